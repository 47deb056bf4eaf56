// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/watcher.h"

#include "userspace/base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace chaperone::launch {
namespace {

constexpr int kIgnored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};

// Nothing that is meant for the launcher reaches us, nor what a terminal sends to its jobs.
void stand_apart() {
    ::setsid();
    for (const int signal : kIgnored) ::signal(signal, SIG_IGN);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0) {
        ::dup2(null, 0);
        ::dup2(null, 1);
    }
}

// Until the launcher says that the agent has ended, or no process has the filter any more.
void wait_for_end(int listener, int launcher) {
    pollfd wait[2]{{.fd = launcher, .events = POLLIN, .revents = 0},
                   {.fd = listener, .events = 0, .revents = 0}};
    for (;;) {
        if (::poll(wait, 2, -1) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        if (wait[1].revents != 0) return;
        if (wait[0].revents == 0) continue;
        char byte = 0;
        const ssize_t n = ::read(launcher, &byte, 1);
        if (n > 0) return;
        if (n == 0) wait[0].fd = -1;  // killed: the agent lives on, and so do we
    }
}

[[noreturn]] void watch(UniqueFd listener, const UniqueFd& launcher, const Attempts::Tell& tell) {
    stand_apart();
    if (auto told = tell({}); !told)
        log::warning("what the agent tries cannot be reported",
                     {{"error", told.error().message()}});
    const int seen = listener.get();
    {
        const auto attempts = Attempts::watch(std::move(listener), tell);
        if (!attempts) {
            log::warning("what the agent tries is not watched",
                         {{"error", attempts.error().message()}});
            ::_exit(1);  // and the kernel refuses by itself
        }
        wait_for_end(seen, launcher.get());
    }
    ::_exit(0);
}

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::start(UniqueFd listener, Attempts::Tell tell) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("make a pipe", errno);
    UniqueFd read{ends[0]}, write{ends[1]};
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("fork", errno);
    if (pid == 0) {
        write.reset();
        watch(std::move(listener), read, tell);
    }
    return std::unique_ptr<Watcher>{new Watcher{pid, std::move(write)}};
}

Watcher::~Watcher() {
    const char byte = 'e';
    struct sigaction ignore{}, before{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before);
    (void)!::write(end_.get(), &byte, 1);
    ::sigaction(SIGPIPE, &before, nullptr);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace chaperone::launch
