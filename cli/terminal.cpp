// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include "userspace/base/unique_fd.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <istream>

namespace chaperone::cli {
namespace {

constexpr std::size_t kMaxSecret = 64 * 1024;

// Echo is off while it lives.
class Silence {
public:
    explicit Silence(int terminal) : terminal_(terminal) {
        ::tcgetattr(terminal_, &before_);
        termios quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(terminal_, TCSAFLUSH, &quiet);
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    ~Silence() { ::tcsetattr(terminal_, TCSAFLUSH, &before_); }

private:
    int terminal_;
    termios before_{};
};

Result<std::string> type(int terminal, std::string_view prompt) {
    (void)!::write(terminal, prompt.data(), prompt.size());
    const Silence silence{terminal};
    std::string text;
    char c = 0;
    while (::read(terminal, &c, 1) == 1 && c != '\n') {
        if (text.size() == kMaxSecret) return fail(Errc::TooLarge, "the value");
        text += c;
    }
    (void)!::write(terminal, "\n", 1);
    return text;
}

}  // namespace

Result<Secret> read_secret(Context& context, std::string_view name) {
    if (&context.in == &std::cin && ::isatty(STDIN_FILENO) == 1) {
        const UniqueFd terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC)};
        if (!terminal) return system_error("open the terminal", errno);
        auto first = type(terminal.get(), "value of " + std::string{name} + ": ");
        if (!first) return fail(first.error());
        auto second = type(terminal.get(), "again: ");
        if (!second) return fail(second.error());
        const Secret once = Secret::take(*first), again = Secret::take(*second);
        if (!once.equals(again.expose())) return fail(Errc::Invalid, "the two values differ");
        return once.clone();
    }
    std::string text;
    for (char c = 0; context.in.get(c);) {
        if (text.size() > kMaxSecret) return fail(Errc::TooLarge, "the value is over 64 KiB");
        text += c;
    }
    // What an editor or echo puts at the end is no part of a password.
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    return Secret::take(text);
}

}  // namespace chaperone::cli
