// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/report.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace chaperone::launch {
namespace {

constexpr std::size_t kMostText = 1024;
constexpr char kFailed = 'f';
constexpr char kReady = 'r';

// The room for one descriptor beside a message.
struct Control {
    alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))]{};
};

}  // namespace

Result<ReportEnds> make_report_ends() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return system_error("make a socket pair", errno);
    return ReportEnds{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

bool send_report(int fd, Report report) {
    std::string text(1, report.error.empty() ? kReady : kFailed);
    text += (report.error.empty() ? report.why_not : report.error).substr(0, kMostText - 1);
    iovec part{.iov_base = text.data(), .iov_len = text.size()};
    Control control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (report.listener) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int listener = report.listener.get();
        std::memcpy(CMSG_DATA(header), &listener, sizeof listener);
    }
    ssize_t n = 0;
    while ((n = ::sendmsg(fd, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return n == static_cast<ssize_t>(text.size());
}

Report read_report(int fd) {
    Report report;
    bool said = false;
    for (;;) {
        char text[kMostText];
        iovec part{.iov_base = text, .iov_len = sizeof text};
        Control control;
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        const ssize_t n = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        const cmsghdr* const header = CMSG_FIRSTHDR(&message);
        if (header != nullptr && header->cmsg_level == SOL_SOCKET &&
            header->cmsg_type == SCM_RIGHTS) {
            int listener = -1;
            std::memcpy(&listener, CMSG_DATA(header), sizeof listener);
            report.listener.reset(listener);
        }
        said = true;
        const std::string rest{text + 1, static_cast<std::size_t>(n) - 1};
        (text[0] == kReady ? report.why_not : report.error) = rest;
    }
    if (!said) report.error = "it ended before it was ready";
    return report;
}

}  // namespace chaperone::launch
