// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/namespaces.h"

#include "userspace/base/capabilities.h"
#include "userspace/base/log.h"
#include "userspace/net/listener.h"
#include "userspace/net/netns.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

namespace chaperone::daemon {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

// Somebody may be on the way in: a container's namespace is made before its processes are.
constexpr auto kGrace = std::chrono::seconds{3};
// A program of the namespace may sit on the port that the proxy has outside.
constexpr int kPortsTried = 64;

// For the service manager.
std::string name_of(std::uint64_t cookie) {
    return "netns-" + std::to_string(cookie);
}

std::string path_of(pid_t thread) {
    return "/proc/" + std::to_string(thread) + "/ns/net";
}

}  // namespace

bool may_enter_namespaces() {
    constexpr std::uint64_t kNeeded = 1U << CAP_SYS_ADMIN | 1U << CAP_SYS_PTRACE;
    return (effective_capabilities() & kNeeded) == kNeeded;
}

Namespaces::Namespaces(kernel::Redirector& redirector, net::Proxy& proxy, Cgroups cgroups,
                       std::vector<notify::Kept> kept)
    : redirector_(redirector), proxy_(proxy), cgroups_(std::move(cgroups)), kept_(std::move(kept)) {
    if (const auto own = key_of("/proc/self/ns/net")) own_ = *own;
    if (const auto cookie = redirector_.netns_of_thread()) own_cookie_ = *cookie;
    std::erase_if(kept_, [&](const notify::Kept& one) {
        const std::uint64_t cookie = net::netns_cookie(one.socket.get());
        return cookie == 0 || cookie == own_cookie_;
    });
    std::vector<std::uint64_t> listened;
    for (const notify::Kept& one : kept_) listened.push_back(net::netns_cookie(one.socket.get()));
    if (auto forgotten = redirector_.forget_other_proxies(listened); !forgotten)
        log::error("listeners of a former process are not forgotten",
                   {{"error", forgotten.error().message()}});
}

Namespaces::~Namespaces() {
    if (notify::is_managed()) return;  // the next process may find them again
    const std::lock_guard lock{mutex_};
    for (const auto& [key, there] : open_) close(there);
}

Result<Namespaces::Key> Namespaces::key_of(const std::string& path) {
    struct stat about{};
    if (::stat(path.c_str(), &about) != 0) return system_error("look at " + path, errno);
    return Key{about.st_dev, about.st_ino};
}

std::map<Namespaces::Key, pid_t> Namespaces::inhabited() const {
    std::map<Key, pid_t> found;
    const auto read = [&](const fs::path& cgroup) {
        std::ifstream threads{cgroup / "cgroup.threads"};
        for (pid_t thread = 0; threads >> thread;) {
            if (thread == 0) continue;  // of a pid namespace that is not below ours
            if (const auto key = key_of(path_of(thread))) found.emplace(*key, thread);
        }
    };
    for (const fs::path& top : cgroups_()) {
        read(top);
        std::error_code error;
        auto entry = fs::recursive_directory_iterator{
            top, fs::directory_options::skip_permission_denied, error};
        for (; !error && entry != fs::recursive_directory_iterator{}; entry.increment(error)) {
            std::error_code ignored;
            if (entry->is_directory(ignored)) read(entry->path());
        }
    }
    found.erase(own_);
    return found;
}

void Namespaces::look() {
    const auto found = inhabited();
    const auto time = Clock::now();
    const std::lock_guard lock{mutex_};
    if (found.empty()) {
        problem_.clear();
        full_ = false;
    }
    for (const auto& [key, thread] : found) {
        if (const auto known = open_.find(key); known != open_.end())
            known->second.seen = time;
        else
            open(key, thread);
    }
    std::erase_if(open_, [&](const auto& entry) {
        if (time - entry.second.seen < kGrace) return false;
        close(entry.second);
        return true;
    });
    forget_kept();
}

void Namespaces::meet(pid_t thread) {
    const auto key = key_of(path_of(thread));
    if (!key || *key == own_) return;
    const std::lock_guard lock{mutex_};
    if (!open_.contains(*key)) open(*key, thread);
}

void Namespaces::open(const Key& key, pid_t thread) {
    const auto fail_with = [&](const std::string& why) {
        if (problem_ != why)
            log::error("no listener in a network namespace of governed processes",
                       {{"pid", std::to_string(thread)}, {"error", why}});
        problem_ = why;
    };
    const UniqueFd netns{::open(path_of(thread).c_str(), O_RDONLY | O_CLOEXEC)};
    if (!netns) {
        if (errno != ENOENT && errno != ESRCH)
            fail_with(system_error("open its namespace", errno).error().message());
        return;
    }
    struct stat about{};
    if (::fstat(netns.get(), &about) != 0 || about.st_dev != key.device ||
        about.st_ino != key.inode)
        return;  // it has gone elsewhere since
    Open made{.seen = Clock::now()};
    std::vector<UniqueFd> listeners, resolvers;
    std::vector<int> kept;
    for (const notify::Kept& one : kept_) kept.push_back(one.socket.get());
    const auto done = net::in_netns(netns.get(), [&]() -> Result<> {
        const auto cookie = redirector_.netns_of_thread();
        if (!cookie) return fail(cookie.error());
        made.cookie = *cookie;
        const std::uint16_t first = first_port(made.cookie);
        for (int tried = 0;; ++tried) {
            made.port = static_cast<std::uint16_t>(first + tried);
            auto listening = net::listen_on_loopback(made.port, kept);
            auto answering = net::bind_on_loopback(made.port, kept);
            if (listening && answering) {
                listeners = *std::move(listening);
                resolvers = *std::move(answering);
                return {};
            }
            if (listening) listening = fail(answering.error());
            if (listening.error().code != Errc::Unavailable || tried == kPortsTried)
                return fail(listening.error());
        }
    });
    if (!done) return fail_with(done.error().message());
    const std::uint16_t tcp6 = listeners.size() > 1 ? made.port : std::uint16_t{0};
    if (auto set = redirector_.set_proxy(
            made.cookie, {.tcp4 = made.port, .tcp6 = tcp6, .dns4 = made.port, .dns6 = tcp6});
        !set) {
        full_ = set.error().code == Errc::TooLarge;
        return fail_with(set.error().message());
    }
    full_ = false;
    kept.clear();
    for (const auto* sockets : {&listeners, &resolvers})
        for (const UniqueFd& socket : *sockets) kept.push_back(socket.get());
    notify::keep(name_of(made.cookie), kept);
    proxy_.answer_in(made.cookie, std::move(resolvers));
    proxy_.accept_from(made.cookie, std::move(listeners));
    open_[key] = made;
    problem_.clear();
    log::info("listening in a network namespace",
              {{"pid", std::to_string(thread)}, {"port", std::to_string(made.port)}});
}

void Namespaces::close(const Open& there) {
    if (auto gone = redirector_.forget_proxy(there.cookie); !gone)
        log::error("a network namespace is not forgotten", {{"error", gone.error().message()}});
    notify::let_go(name_of(there.cookie));
    proxy_.leave(there.cookie);
}

// Where those that were kept listen, as what waits there is theirs; else the proxy's.
std::uint16_t Namespaces::first_port(std::uint64_t cookie) const {
    for (const notify::Kept& one : kept_) {
        sockaddr_in at{};
        socklen_t size = sizeof at;
        if (net::netns_cookie(one.socket.get()) == cookie &&
            ::getsockname(one.socket.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0)
            return ntohs(at.sin_port);  // at the same place for IPv6
    }
    return proxy_.port();
}

// What nobody came back for: a socket keeps its namespace alive.
void Namespaces::forget_kept() {
    for (const notify::Kept& one : kept_) {
        const std::uint64_t cookie = net::netns_cookie(one.socket.get());
        const auto is_there = [&](const auto& entry) { return entry.second.cookie == cookie; };
        if (!std::ranges::any_of(open_, is_there)) close({.cookie = cookie});
    }
    kept_.clear();
}

Result<> Namespaces::inside(std::uint64_t cookie, const std::function<Result<>()>& run) const {
    if (cookie == own_cookie_) return run();
    const auto key = [&]() -> std::optional<Key> {
        const std::lock_guard lock{mutex_};
        for (const auto& [key, there] : open_)
            if (there.cookie == cookie) return key;
        return std::nullopt;
    }();
    if (!key) return fail(Errc::NotFound, "nobody who is governed lives in that namespace");
    const auto found = inhabited();
    const auto thread = found.find(*key);
    if (thread == found.end()) return fail(Errc::NotFound, "the namespace is left");
    const UniqueFd netns{::open(path_of(thread->second).c_str(), O_RDONLY | O_CLOEXEC)};
    if (!netns) return system_error("open its namespace", errno);
    return net::in_netns(netns.get(), run);
}

std::size_t Namespaces::size() const {
    const std::lock_guard lock{mutex_};
    return open_.size();
}

std::string Namespaces::problem() const {
    const std::lock_guard lock{mutex_};
    return problem_;
}

}  // namespace chaperone::daemon
