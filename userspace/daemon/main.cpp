// SPDX-License-Identifier: Apache-2.0
// chaperoned: reads what it is told, starts the instance, and waits for signals.
//   SIGHUP    reload configuration and bundle
//   SIGTERM   drain and stop; SIGINT too
#include "userspace/authority/token_module.h"
#include "userspace/base/log.h"
#include "userspace/daemon/ca_token.h"
#include "userspace/daemon/instance.h"
#include "userspace/daemon/logging.h"
#include "userspace/daemon/notify.h"
#include "userspace/daemon/version.h"

#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <optional>
#include <string_view>

namespace chaperone::daemon {
namespace {

enum Exit { kOk = 0, kFailed = 1, kUsage = 2 };

struct Arguments {
    std::string root = "/";
    bool check = false;
    bool detach = false;
    bool token = false;
};

constexpr std::string_view kHelp =
    "usage: chaperoned [--root DIR] [--check | --detach]\n"
    "Governs what AI agents on this host may reach and do; see chaperoned(8).\n"
    "  --root DIR   everything is below DIR (default /)\n"
    "  --check      check configuration and bundle, and exit\n"
    "  --detach     take the kernel's hooks out of force, and exit: agents are not governed\n"
    "               any more\n"
    "  --version    print the version\n";

// nullopt: the exit status is in `status`.
std::optional<Arguments> parse(int argc, char** argv, int& status) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        status = kOk;
        if (argument == "--help" || argument == "-h") return std::cout << kHelp, std::nullopt;
        if (argument == "--version")
            return std::cout << "chaperoned " << kVersion << '\n', std::nullopt;
        status = kUsage;
        if (argument == "--check") {
            arguments.check = true;
        } else if (argument == "--detach") {
            arguments.detach = true;
        } else if (argument == kTokenArgument) {
            arguments.token = true;
        } else if (argument.starts_with("--root=")) {
            arguments.root = argument.substr(7);
        } else if (argument == "--root" && i + 1 < argc) {
            arguments.root = argv[++i];
        } else {
            std::cerr << "chaperoned: unknown or incomplete argument " << argument << '\n' << kHelp;
            return std::nullopt;
        }
    }
    return arguments;
}

int complain(std::string_view what, const Error& error) {
    std::cerr << "chaperoned: " << what << ":\n" << error.detail << '\n';
    return kFailed;
}

int check(const Paths& paths) {
    int status = kOk;
    Config settings;
    if (auto config = read_config(paths.config); config)
        settings = *std::move(config);
    else
        status = complain("the configuration does not check", config.error());
    auto places = bundle_places(paths, settings);
    places.history.clear();
    if (auto bundle = BundleKeeper::open(places); !bundle)
        status = complain("the bundle does not check", bundle.error());
    if (status == kOk) std::cout << "configuration and bundle are fine\n";
    return status;
}

// The host-wide names of an instance. rmdir(2) takes only what is empty: a cgroup in which an agent
// still runs stays.
void remove_names(const Paths& paths) {
    const std::string name = paths.tag.empty() ? "chaperone" : "chaperone-" + paths.tag;
    const auto pins = kernel::pin_dir_for(paths.tag);
    (void)::rmdir(pins.c_str());
    if (!paths.tag.empty()) (void)::rmdir(("/run/" + name).c_str());
    const auto mount = kernel::find_cgroup2();
    if (!mount) return;
    for (const char* below : {"core", "agents", ""}) (void)::rmdir((*mount / name / below).c_str());
}

int detach(const Paths& paths) {
    const auto pins = kernel::pin_dir_for(paths.tag);
    if (auto removed = kernel::remove_pins(pins); !removed)
        return complain("the kernel's hooks stay in force", removed.error());
    remove_names(paths);
    return kOk;
}

sigset_t handled_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int one : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, one);
    return signals;
}

// The next signal; 0 when the watchdog is due.
int next_signal(const sigset_t& signals, std::optional<Duration> most) {
    if (!most) {
        int number = 0;
        return ::sigwait(&signals, &number) == 0 ? number : 0;
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*most);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = (*most - seconds).count()};
    const int number = ::sigtimedwait(&signals, nullptr, &time);
    return std::max(number, 0);
}

int serve(const Paths& paths) {
    auto config = read_config(paths.config);
    if (!config) return complain("the configuration is refused", config.error());
    start_logging(config->log);
    Instance instance{paths, *std::move(config)};
    if (auto started = instance.start(); !started) {
        log::error("chaperoned cannot start", {{"error", started.error().detail}});
        return complain("cannot start", started.error());
    }
    log::info("ready", {{"root", paths.root.string()},
                        {"port", instance.proxy->port()},
                        {"bundle_digest", instance.bundles->bundle()->digest()}});
    notify::ready("running");
    const sigset_t signals = handled_signals();
    const auto watchdog = notify::watchdog_interval();
    while (true) {
        const int signal = next_signal(signals, watchdog);
        notify::watchdog();
        if (signal == SIGHUP) instance.reload();
        if (signal == SIGTERM || signal == SIGINT) break;
    }
    log::info("stopping");
    instance.drain();
    return kOk;
}

// Sessions come and go: what their threads give back to the kernel they ask for again at once. Of
// each thread's heap so much is kept; pieces that are larger go back whenever they are freed.
void keep_memory() {
    constexpr int kKept = 4 << 20, kLarge = 1 << 20;
    ::mallopt(M_TRIM_THRESHOLD, kKept);
    ::mallopt(M_MMAP_THRESHOLD, kLarge);
}

int main(int argc, char** argv) {
    int status = kOk;
    const auto arguments = parse(argc, argv, status);
    if (!arguments) return status;
    if (arguments->token) authority::serve_token(kTokenDescriptor);
    const auto paths = paths_of(arguments->root);
    if (!paths) return complain("the root cannot be used", paths.error());
    if (arguments->check) return check(*paths);
    if (arguments->detach) return detach(*paths);
    keep_memory();
    // Before any thread: threads inherit it, so that only next_signal() takes them.
    const sigset_t signals = handled_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::umask(0022);
    return serve(*paths);
}

}  // namespace
}  // namespace chaperone::daemon

int main(int argc, char** argv) {
    return chaperone::daemon::main(argc, argv);
}
