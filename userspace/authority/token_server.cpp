// SPDX-License-Identifier: Apache-2.0
// The process that the token's module runs in.
#include "userspace/authority/token_message.h"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace chaperone::authority {
namespace {

enum Exit { kOk = 0, kFailed = 1 };

// The daemon ends a process that takes too long; this is for when there is no daemon any more.
constexpr unsigned kMostSeconds = 120;

// The library of somebody else gets none of the daemon's rights, descriptors or core files.
bool give_up_rights(int kept) {
    if (kept > 3) (void)::syscall(SYS_close_range, 3, kept - 1, 0);
    (void)::syscall(SYS_close_range, kept + 1, ~0U, 0);
    const rlimit none{};
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2]{};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && ::setrlimit(RLIMIT_CORE, &none) == 0 &&
           ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           ::syscall(SYS_capset, &header, data) == 0;
}

// 0: the daemon has closed the line.
std::size_t receive(int line, Buffer& into) {
    into.resize(kMaxTokenMessage);
    ssize_t n = -1;
    while ((n = ::recv(line, into.data(), into.size(), 0)) < 0 && errno == EINTR) {
    }
    into.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return into.size();
}

bool answer(int line, const Result<Buffer>& with) {
    const Buffer message = write_token_answer(with);
    return ::send(line, message.data(), message.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(message.size());
}

int serve(int line) {
    if (!give_up_rights(line)) return kFailed;
    Buffer message;
    if (receive(line, message) == 0) return kFailed;
    const auto uri = read_token_opening(message);
    if (!uri) return kFailed;
    ::alarm(kMostSeconds);
    auto module = TokenModule::open(*uri);
    ::alarm(0);
    if (!module) {
        (void)answer(line, fail(module.error()));
        return kFailed;
    }
    if (!answer(line, Buffer{std::byte{(*module)->extractable()}})) return kFailed;
    while (receive(line, message) != 0) {
        const auto question = read_token_question(message);
        if (!question) return kFailed;
        ::alarm(kMostSeconds);
        const auto signature = (*module)->sign(question->scheme, question->sha256);
        ::alarm(0);
        if (!answer(line, signature)) return kFailed;
    }
    return kOk;
}

}  // namespace

void serve_token(int line) {
    ::_exit(serve(line));
}

}  // namespace chaperone::authority
