// SPDX-License-Identifier: Apache-2.0
// The child waits at a pipe until it is governed, then makes itself the agent. The parent stays as
// its shell would: it passes signals on, stops and continues with it, and clears up after it.
#include "userspace/launch/launch.h"

#include "userspace/base/log.h"
#include "userspace/base/unique_fd.h"
#include "userspace/launch/cgroup.h"
#include "userspace/launch/report.h"
#include "userspace/launch/sandbox.h"
#include "userspace/launch/watcher.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace chaperone::launch {
namespace {

constexpr auto kMostDying = std::chrono::seconds{10};
constexpr int kPassedOn[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP};

struct Pipe {
    UniqueFd read{};
    UniqueFd write{};
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("make a pipe", errno);
    return Pipe{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

// The signals that we wait for instead of being interrupted, and what the agent gets back.
class Signals {
public:
    Signals() {
        ::sigemptyset(&waited_);
        ::sigaddset(&waited_, SIGCHLD);
        for (const int signal : kPassedOn) ::sigaddset(&waited_, signal);
        ::sigprocmask(SIG_BLOCK, &waited_, &before_);
        // An ignored SIGCHLD would take the status from us.
        struct sigaction plain{};
        plain.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &plain, &child_before_);
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals() { restore(); }

    void restore() {
        ::sigaction(SIGCHLD, &child_before_, nullptr);
        ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    }
    siginfo_t wait() const {
        siginfo_t info{};
        while (::sigwaitinfo(&waited_, &info) < 0 && errno == EINTR) {
        }
        return info;
    }

private:
    sigset_t waited_{};
    sigset_t before_{};
    struct sigaction child_before_{};
};

// The controlling terminal, if we are in its foreground; then the agent's group is put there.
class Foreground {
public:
    Foreground() : terminal_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
        if (terminal_ && ::tcgetpgrp(terminal_.get()) != ::getpgrp()) terminal_.reset();
    }
    bool ours() const { return static_cast<bool>(terminal_); }
    void give(pid_t group) const {
        if (!terminal_) return;
        // From the background this would stop us.
        struct sigaction ignore{};
        struct sigaction before{};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGTTOU, &ignore, &before);
        ::tcsetpgrp(terminal_.get(), group);
        ::sigaction(SIGTTOU, &before, nullptr);
    }
    bool is_foreground() const { return terminal_ && ::tcgetpgrp(terminal_.get()) == ::getpgrp(); }

private:
    UniqueFd terminal_;
};

// In the child ----------------------------------------------------------------------------------

Result<> go_to(const std::optional<std::filesystem::path>& wanted,
               const std::filesystem::path& inherited) {
    // By name, also where it stays the same: the folder itself may be one that is now hidden.
    if (wanted) {
        if (::chdir(wanted->c_str()) == 0) return {};
        return system_error("go to " + wanted->string(), errno);
    }
    if (::chdir(inherited.c_str()) != 0 && ::chdir("/") != 0) return system_error("go to /", errno);
    return {};
}

void set_environment(const LaunchOptions& options) {
    for (const auto& name : options.unset) ::unsetenv(name.c_str());
    if (options.user) {
        ::setenv("USER", options.user->name.c_str(), 1);
        ::setenv("LOGNAME", options.user->name.c_str(), 1);
        ::setenv("HOME", options.user->home.c_str(), 1);
    }
    for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
}

Result<FilterListener> become_agent(const LaunchOptions& options) {
    std::error_code error;
    const auto directory = std::filesystem::current_path(error);
    if (auto done =
            enter_mount_namespace(options.hidden, options.closed, options.read_only, options.binds);
        !done)
        return fail(done.error());
    if (auto done = check_standard_files(); !done) return fail(done.error());
    if (auto done = drop_privileges(options.user); !done) return fail(done.error());
    if (auto done = go_to(options.directory, error ? "/" : directory); !done)
        return fail(done.error());
    set_environment(options);
    if (auto done = enter_domain(); !done) return fail(done.error());
    return install_filter(static_cast<bool>(options.attempts));
}

// Whether the agent sees a file of this name where a command is searched.
bool is_anywhere(const std::string& command) {
    if (command.contains('/')) return true;
    const char* path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/bin:/usr/bin";
    while (true) {
        const auto end = std::min(rest.find(':'), rest.size());
        const std::string file = std::string{rest.substr(0, end)} + "/" + command;
        if (::access(file.c_str(), F_OK) == 0) return true;
        if (end == rest.size()) return false;
        rest.remove_prefix(end + 1);
    }
}

// Whatever goes wrong before the agent is the agent goes through `report`; its end means success.
[[noreturn]] void child_main(const LaunchOptions& options, Signals& signals, Pipe go,
                             ReportEnds report, const Foreground& foreground) {
    go.write.reset();
    report.read.reset();
    char byte = 0;
    ssize_t n = 0;
    while ((n = ::read(go.read.get(), &byte, 1)) < 0 && errno == EINTR) {
    }
    if (n != 1) ::_exit(126);  // the parent gave up or is gone: nothing runs ungoverned
    if (foreground.ours()) foreground.give(::getpid());

    // Nothing but 0, 1, 2 goes on; 3 is the report, and closes by itself. The filter's listener
    // goes over it and is closed with our only copy.
    constexpr int kReport = 3;
    if (report.write.get() != kReport && ::dup3(report.write.get(), kReport, O_CLOEXEC) < 0)
        ::_exit(126);
    if (::syscall(SYS_close_range, kReport + 1, ~0u, 0u) != 0) ::_exit(126);

    auto filter = become_agent(options);
    if (!filter) {
        (void)send_report(kReport, {.error = filter.error().message()});
        ::_exit(126);
    }
    // From here on nothing may be called that is refused: who would answer waits for our end.
    if (!send_report(kReport,
                     {.why_not = filter->why_not, .listener = std::move(filter->listener)}))
        ::_exit(126);
    signals.restore();
    std::vector<char*> argv;
    for (const auto& argument : options.command)
        argv.push_back(const_cast<char*>(argument.c_str()));  // execvp does not write to them
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    int error = errno;
    // execvp says so too where it may not look into a folder of PATH; a shell says "not found".
    if (error == EACCES && !is_anywhere(options.command.front())) error = ENOENT;
    std::fprintf(stderr, "chaperone: cannot run %s: %s\n", argv[0], std::strerror(error));
    ::_exit(error == ENOENT ? 127 : 126);
}

// In the parent ---------------------------------------------------------------------------------

Result<Cgroup> make_any_cgroup(const LaunchOptions& options, pid_t pid) {
    if (options.allow_systemd && ::sd_booted() > 0)
        return make_scope(options.tag, options.workload, pid);
    return make_cgroup(options.tag, options.workload, pid);
}

// Stops with the agent, as a job of the caller's shell, and continues with it.
void stop_along(pid_t child, const Foreground& foreground) {
    foreground.give(::getpgrp());
    ::raise(SIGSTOP);
    if (foreground.is_foreground()) foreground.give(child);
    ::kill(foreground.ours() ? -child : child, SIGCONT);
}

int wait_for_end(pid_t child, const Signals& signals, const Foreground& foreground) {
    for (;;) {
        int status = 0;
        const pid_t got = ::waitpid(child, &status, WNOHANG | WUNTRACED);
        if (got == child && WIFEXITED(status)) return WEXITSTATUS(status);
        if (got == child && WIFSIGNALED(status)) return 128 + WTERMSIG(status);
        if (got == child && WIFSTOPPED(status)) {
            stop_along(child, foreground);
            continue;
        }
        const siginfo_t info = signals.wait();
        // A key of the terminal reaches the agent itself; what somebody sent to us is passed on.
        const bool sent =
            info.si_code == SI_USER || info.si_code == SI_QUEUE || info.si_code == SI_TKILL;
        if (info.si_signo != SIGCHLD && sent && info.si_pid != child) ::kill(child, info.si_signo);
    }
}

// Nothing where nobody is told.
Result<std::unique_ptr<Watcher>> watch_attempts(const LaunchOptions& options, const Cgroup& cgroup,
                                                Report& said) {
    if (!said.error.empty() || !options.attempts) return nullptr;
    if (said.listener)
        return Watcher::start(std::move(said.listener), [&](const std::vector<Attempt>& attempts) {
            return options.attempts(cgroup, attempts, {});
        });
    if (auto told = options.attempts(cgroup, {}, said.why_not); !told)
        log::warning("what the agent tries cannot be reported",
                     {{"error", told.error().message()}});
    return nullptr;
}

// The child never became the agent: it ends because its pipe does.
void give_up(pid_t child, Pipe& go) {
    go.write.reset();
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void clear(const Cgroup& cgroup) {
    if (auto done = clear_cgroup(cgroup, kMostDying); !done)
        log::warning("the agent's cgroup could not be cleared",
                     {{"cgroup", cgroup.path.string()}, {"error", done.error().message()}});
}

}  // namespace

Result<int> run(const LaunchOptions& options) {
    if (options.command.empty()) return fail(Errc::Invalid, "no command to run");
    if (!options.bind) return fail(Errc::Invalid, "nothing governs the agent");
    if (::geteuid() != 0) return fail(Errc::Denied, "an agent is started by root");
    auto go = make_pipe();
    auto report = make_report_ends();
    if (!go || !report) return fail(go ? report.error() : go.error());
    const Foreground foreground;
    Signals signals;
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return system_error("fork", errno);
    if (child == 0) {
        if (foreground.ours()) ::setpgid(0, 0);
        child_main(options, signals, *std::move(go), *std::move(report), foreground);
    }
    if (foreground.ours()) ::setpgid(child, child);
    go->read.reset();
    report->write.reset();

    const auto cgroup = make_any_cgroup(options, child);
    if (!cgroup) {
        give_up(child, *go);
        return fail(cgroup.error());
    }
    if (const auto bound = options.bind(*cgroup, child); !bound) {
        give_up(child, *go);
        clear(*cgroup);
        return fail(bound.error());
    }
    const char byte = 'g';
    (void)!::write(go->write.get(), &byte, 1);  // if the child is gone, its status says so
    Report said = read_report(report->read.get());
    const auto watcher = watch_attempts(options, *cgroup, said);
    if (!watcher && said.error.empty()) said.error = watcher.error().message();
    if (!said.error.empty()) {
        give_up(child, *go);
        foreground.give(::getpgrp());
        clear(*cgroup);
        return fail(Errc::System, "the agent was not started: " + said.error);
    }
    const int status = wait_for_end(child, signals, foreground);
    foreground.give(::getpgrp());
    clear(*cgroup);
    return status;
}

}  // namespace chaperone::launch
