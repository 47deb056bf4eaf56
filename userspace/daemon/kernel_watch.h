// SPDX-License-Identifier: Apache-2.0
// Writes down what the kernel decides without us: what it refused, and the beginning and end of
// what a verdict let through. While that can be written, and only then, the lease is renewed by
// which verdicts let anything. Owns a thread. sessions() may be called from any thread.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/request.h"
#include "userspace/base/guarded.h"
#include "userspace/base/unique_fd.h"
#include "userspace/daemon/denials.h"
#include "userspace/daemon/reported.h"
#include "userspace/kernel/redirector.h"
#include "userspace/net/proxy.h"
#include "userspace/record/record.pb.h"

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace chaperone::record {
class Writer;
}

namespace chaperone::daemon {

class KernelWatch {
public:
    struct Services {
        kernel::Redirector* redirector{};
        record::Writer* journal{};
        std::function<std::shared_ptr<const policy::bundle::Bundle>()> bundle{};
        std::function<Result<policy::Identity>(const std::string& workload)> identity{};
        // What names a workload was told an address for, the latest first.
        Denials::Names names{};
        // Whether policy as it is now lets what was let.
        std::function<bool(const kernel::Direct&)> lets{};
        // A governed thread is in a network namespace that has no listener.
        std::function<void(pid_t thread)> meet{};
        // Where it then listens, if that is free there; 0: in no further one.
        std::function<std::uint16_t()> port{};
        // Somebody called a governed listener that does not take him.
        std::function<void(const kernel::Denial&)> turn_away{};
        // Runs it in the network namespace of this cookie. NotFound: there is no such.
        std::function<Result<>(std::uint64_t netns, const std::function<Result<>()>&)> inside{};
    };

    static Result<std::unique_ptr<KernelWatch>> start(Services services);
    ~KernelWatch();  // ends the lease

    // Connections that were let through and are open.
    std::vector<net::SessionSnapshot> sessions() const;
    // Ends one of them: its socket is gone when this returns. NotFound: it is none of them.
    Result<> kill(std::string_view id, std::string_view reason);
    // Writes down, within a moment, what was refused by others than the kernel.
    void report(kernel::Denial denial) { reported_.add(std::move(denial)); }
    // The tables in the kernel have changed: open connections that they do not let any more stop at
    // their next packet. Soon after this their sockets are ended, so that both sides see an error.
    void verdicts_changed() { changed_ = true; }

private:
    struct Open {
        net::SessionSnapshot shown{};
        kernel::Direct direct{};
        std::string reason{};  // why it is being ended from here
    };

    KernelWatch(Services services, UniqueFd stop, UniqueFd wait);
    void run();
    void renew();
    void read_denials();
    void read_directs();
    void show(std::shared_ptr<const policy::SessionFacts> facts, const kernel::Direct& direct);
    void adopt();
    void opened(const kernel::Direct& direct);
    void closed(const kernel::Direct& direct);
    void reached(const kernel::Direct& direct);
    void end_refused();
    void end_sockets(std::uint64_t netns, const std::vector<kernel::Direct>& directs);
    void read_talks();
    void end_talks(bool before_us);
    void read_losses(bool all);
    bool end_lost();
    void write(record::Entry entry);
    bool write_waiting();

    const Services services_;
    std::atomic<bool> changed_ = false;
    UniqueFd stop_;
    UniqueFd wait_;
    Denials denials_;
    Reported reported_;
    std::deque<record::Entry> waiting_;  // that the journal did not take
    std::uint64_t untold_ = 0;           // of the kernel's counters, what is accounted for
    std::uint64_t lost_ends_ = 0;
    bool behind_ = false;  // ends were lost: sessions may be thought open that are not
    std::chrono::steady_clock::time_point losses_written_{};
    std::chrono::steady_clock::time_point looked_for_ends_{};
    Guarded<std::map<std::string, Open, std::less<>>> open_;
    std::thread thread_;
};

}  // namespace chaperone::daemon
