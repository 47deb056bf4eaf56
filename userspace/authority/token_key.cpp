// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/token_key.h"

#include "userspace/authority/token_message.h"
#include "userspace/base/unique_fd.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstring>

extern char** environ;

namespace chaperone::authority {
namespace {

using Monotonic = std::chrono::steady_clock;

constexpr int kHelperFd = 3;

// How the helper ended, for people.
std::string words_of(int status) {
    if (WIFSIGNALED(status))
        return "signal " + std::to_string(WTERMSIG(status)) + ", " + ::strsignal(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

// The process, and our end of the line to it.
struct TokenKey::Helper {
    UniqueFd line{};
    pid_t pid = -1;

    Helper() = default;
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;
    ~Helper() { (void)end(); }

    // Its status as waitpid(2) gives it.
    int end() {
        int status = 0;
        line.reset();
        if (pid <= 0) return status;
        ::kill(pid, SIGKILL);
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        pid = -1;
        return status;
    }

    Result<> spawn(const std::vector<std::string>& command) {
        int pair[2];
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
            return system_error("socketpair", errno);
        line.reset(pair[0]);
        UniqueFd theirs{pair[1]};
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
        // dup2 to the same number would leave close-on-exec set; the kernel gave us 3 only if it
        // was free, and then posix_spawn clears the flag by itself.
        ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), kHelperFd);
        sigset_t none, standard;
        ::sigemptyset(&none);
        ::sigemptyset(&standard);
        ::sigaddset(&standard, SIGPIPE);
        ::posix_spawnattr_setsigmask(&attributes, &none);
        ::posix_spawnattr_setsigdefault(&attributes, &standard);
        // Ctrl-C in a terminal is for the daemon, which ends it in order.
        ::posix_spawnattr_setpgroup(&attributes, 0);
        ::posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
        std::vector<char*> argv;
        for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        const int error = ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
        if (error == 0) return {};
        pid = -1;
        return system_error("start the process of the token's module", error);
    }

    // Its answer; TooLarge for nothing: an answer is one datagram. Truncated: it is gone.
    Result<Buffer> exchange(Bytes question, Duration timeout) {
        if (::send(line.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0)
            return fail(Errc::Truncated, "");
        const auto until = Monotonic::now() + timeout;
        for (;;) {
            const auto left =
                std::chrono::ceil<std::chrono::milliseconds>(until - Monotonic::now());
            if (left.count() <= 0) return fail(Errc::Expired, "");
            pollfd waits{.fd = line.get(), .events = POLLIN};
            if (::poll(&waits, 1, static_cast<int>(left.count())) <= 0) continue;
            Buffer answer(kMaxTokenMessage);
            const ssize_t n = ::recv(line.get(), answer.data(), answer.size(), 0);
            if (n <= 0) return fail(Errc::Truncated, "");
            answer.resize(static_cast<std::size_t>(n));
            return answer;
        }
    }
};

struct TokenKey::State {
    std::unique_ptr<Helper> helper{};
    Error failed{};  // of the last try
    Monotonic::time_point not_before{};
    bool refused = false;  // the PIN
    bool extractable = false;
};

TokenKey::TokenKey(TokenOptions options)
    : options_(std::move(options)), state_(std::make_unique<State>()) {}
TokenKey::~TokenKey() = default;

// One question and its answer. After an error there is no helper any more.
Result<Buffer> TokenKey::ask(State& state, Bytes question) {
    auto answer = state.helper->exchange(question, options_.timeout);
    if (answer) {
        auto read = read_token_answer(*answer);
        if (read) return copy(*read);
        state.helper.reset();
        return fail(read.error());
    }
    const std::string module =
        options_.uri.module.empty() ? "the PKCS#11 module" : "module " + options_.uri.module;
    const bool hung = answer.error().code == Errc::Expired;
    const int status = state.helper->end();
    state.helper.reset();
    return fail(Errc::Unavailable,
                module + (hung ? " did not answer within " + to_text(options_.timeout) +
                                     ": is the token reachable? (ca.timeout)"
                               : " crashed (" + words_of(status) +
                                     "); it is started anew. See with its maker's own tool whether "
                                     "the token works, and update the module"));
}

Result<> TokenKey::start(State& state) {
    auto helper = std::make_unique<Helper>();
    if (auto done = helper->spawn(options_.helper); !done) return done;
    state.helper = std::move(helper);
    const auto opened = ask(state, write_token_opening(options_.uri));
    if (!opened) return fail(opened.error());
    state.extractable = !opened->empty() && opened->front() == std::byte{1};
    return {};
}

Result<std::shared_ptr<TokenKey>> TokenKey::open(TokenOptions options) {
    std::shared_ptr<TokenKey> made{new TokenKey{std::move(options)}};
    auto started = made->state_.with([&](auto& state) { return made->start(*state); });
    if (!started) return fail(started.error());
    return made;
}

Result<Buffer> TokenKey::sign(TokenScheme scheme, Bytes sha256) {
    return state_.with([&](auto& held) -> Result<Buffer> {
        State& state = *held;
        if (state.refused) return fail(state.failed);
        if (!state.helper && Monotonic::now() < state.not_before) return fail(state.failed);
        const Buffer question = write_token_question(scheme, sha256);
        // One that was there before may have lost the token meanwhile: then a new one is asked.
        for (bool fresh = !state.helper;; fresh = true) {
            Result<> started{};
            if (!state.helper) started = start(state);
            Result<Buffer> signature =
                started ? ask(state, question) : Result<Buffer>{fail(started.error())};
            if (signature) return signature;
            state.refused = signature.error().code == Errc::Denied;
            if (!fresh && !state.refused) continue;
            state.failed = signature.error();
            state.not_before = Monotonic::now() + kPause;
            return signature;
        }
    });
}

bool TokenKey::extractable() const {
    return state_.with([](const auto& state) { return state->extractable; });
}

}  // namespace chaperone::authority
