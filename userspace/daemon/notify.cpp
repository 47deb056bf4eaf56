// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <cstdlib>
#include <string>

namespace chaperone::daemon::notify {

void ready(std::string_view status) {
    (void)::sd_notify(0, ("READY=1\nSTATUS=" + std::string{status}).c_str());
}

void status(std::string_view status) {
    (void)::sd_notify(0, ("STATUS=" + std::string{status}).c_str());
}

void reloading() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                              static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
    (void)::sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds)).c_str());
}

void stopping() {
    (void)::sd_notify(0, "STOPPING=1");
}

void watchdog() {
    (void)::sd_notify(0, "WATCHDOG=1");
}

bool is_managed() {
    return ::getenv("NOTIFY_SOCKET") != nullptr;
}

void let_go(const std::string& name) {
    (void)::sd_notify(0, ("FDSTOREREMOVE=1\nFDNAME=" + name).c_str());
}

void keep(const std::string& name, std::span<const int> sockets) {
    let_go(name);
    (void)::sd_pid_notify_with_fds(0, 0, ("FDSTORE=1\nFDNAME=" + name).c_str(), sockets.data(),
                                   static_cast<unsigned>(sockets.size()));
}

std::vector<Kept> kept() {
    std::vector<Kept> all;
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);  // they are closed on exec
    for (int i = 0; i < count; ++i) {
        all.push_back({UniqueFd{SD_LISTEN_FDS_START + i}, names[i] != nullptr ? names[i] : ""});
        ::free(names[i]);
    }
    ::free(static_cast<void*>(names));
    return all;
}

std::optional<Duration> watchdog_interval() {
    std::uint64_t microseconds = 0;
    if (::sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
    return std::chrono::microseconds{microseconds / 2};
}

}  // namespace chaperone::daemon::notify
