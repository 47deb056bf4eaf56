// SPDX-License-Identifier: Apache-2.0
// A running daemon: everything it is made of, in the order in which it is made. Ends in the
// opposite order. Members may be used from any thread, each as its own header says.
#pragma once

#include "userspace/authority/authority.h"
#include "userspace/base/guarded.h"
#include "userspace/credential/secret_store.h"
#include "userspace/daemon/bundle_keeper.h"
#include "userspace/daemon/config.h"
#include "userspace/daemon/identities.h"
#include "userspace/daemon/inbound.h"
#include "userspace/daemon/kernel_watch.h"
#include "userspace/daemon/namespaces.h"
#include "userspace/daemon/paths.h"
#include "userspace/daemon/verdicts.h"
#include "userspace/daemon/workloads.h"
#include "userspace/kernel/cgroup.h"
#include "userspace/kernel/redirector.h"
#include "userspace/net/approvals.h"
#include "userspace/net/proxy.h"
#include "userspace/record/feed.h"
#include "userspace/record/index.h"
#include "userspace/record/writer.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace chaperone::control {
struct Caller;
struct HttpRequest;
class Server;
class Service;
}  // namespace chaperone::control

namespace chaperone::daemon {

kernel::DnsMode mode_of(Dns dns);

class Instance {
public:
    Instance(Paths paths, Config config);
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    ~Instance();

    // All steps of the start (steps.cpp). An error names the step, and says what to do.
    Result<> start();
    // Reads configuration and bundle anew. What does not check is refused: the old stays.
    void reload();
    // Lets sessions end, for as long as the configuration gives them.
    void drain();

    // Gives everybody the bundle that is in force now.
    void apply_bundle();
    // What has just been governed gets its verdicts, and a listener where it lives, before its
    // first connect.
    void settle();
    // Those of the proxy, and those that the kernel let through by itself.
    std::vector<net::SessionSnapshot> open_sessions() const;

    // Writes what somebody did. An error: it cannot be recorded, and so must not be done.
    Result<> note(record::AdminEntry::Action action, const control::Caller* by, std::string object,
                  std::string detail = {}, bool refused = false);

    // Who records what seccomp refuses to a launched agent, by the agent's cgroup.
    struct Recorder {
        pid_t pid = 0;      // the `chaperone run`
        std::string why{};  // nothing is recorded; empty: it is
    };
    Guarded<std::map<std::string, Recorder>> recorders{};

    const Paths paths;
    const Time started = now();
    std::atomic<bool> draining = false;

    Config config() const {
        return config_.with([](const Config& config) { return config; });
    }

    // Made by start(), in this order.
    UniqueFd lock{};
    std::unique_ptr<credential::SecretStore> secrets{};
    std::unique_ptr<authority::Authority> authority{};
    std::unique_ptr<record::Writer> journal{};
    std::unique_ptr<record::Index> index{};
    std::unique_ptr<record::Feed> feed{};
    std::unique_ptr<net::Approvals> approvals{};
    std::unique_ptr<BundleKeeper> bundles{};
    std::unique_ptr<Identities> identities{};
    std::optional<kernel::CoreCgroup> core{};
    std::optional<kernel::Redirector> redirector{};
    std::unique_ptr<Workloads> workloads{};
    std::unique_ptr<Verdicts> verdicts{};
    std::unique_ptr<Inbound> inbound{};
    std::unique_ptr<net::Proxy> proxy{};
    std::vector<notify::Kept> kept{};  // until `namespaces` are made
    std::unique_ptr<Namespaces> namespaces{};
    std::unique_ptr<KernelWatch> watch{};
    std::unique_ptr<control::Service> service{};
    std::unique_ptr<control::Server> server{};

private:
    friend struct Steps;

    Result<net::Origin> origin_of(int accepted) const;
    void follow();
    Result<net::Origin> origin_of(std::uint64_t netns, const sockaddr_storage& from,
                                  const sockaddr_storage& to) const;
    Result<net::Origin> as_seen(Result<kernel::Origin> origin) const;
    void keep_house();
    void keep_index();
    bool close_lost();
    // At which the index catches up: what was there before this daemon is waited for.
    record::Index::Pace pace(std::uint64_t former) const;
    void note_refused(const control::Caller& caller, const control::HttpRequest& request) const;

    Guarded<Config> config_;
    std::mutex mutex_;
    std::condition_variable stopping_;
    bool stop_ = false;
    std::thread housekeeper_;
    std::thread indexer_;
};

}  // namespace chaperone::daemon
