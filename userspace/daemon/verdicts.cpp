// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/verdicts.h"

#include "policy/bundle/hosts.h"
#include "policy/engine/standing.h"
#include "userspace/base/log.h"
#include "userspace/daemon/inbound.h"

#include <algorithm>
#include <set>
#include <utility>

#include <netinet/in.h>

namespace chaperone::daemon {
namespace {

using kernel::Verdict;
using policy::bundle::HostPattern;
using policy::bundle::Resource;

constexpr unsigned kV4Prefix = 96;  // ::ffff:0:0/96

// The system log, and what a service tells its manager: they take datagrams and give nothing away.
constexpr const char* kSinks[] = {"/dev/log", "/run/systemd/journal/dev-log",
                                  "/run/systemd/journal/socket", "/run/systemd/journal/stdout",
                                  "/run/systemd/notify"};

using Door = std::pair<int, std::uint16_t>;  // protocol and port

struct Claims {
    std::vector<Verdict> networks{};
    std::vector<const Resource*> by_name{};
    Verdict any{};          // of the rest
    bool standing = false;  // some resource's decision is known beforehand
};

int transport_of(const Resource& resource) {
    return resource.protocol == "udp" ? IPPROTO_UDP : IPPROTO_TCP;
}

// Of the network pattern, with IPv4 in its IPv6 form.
Verdict verdict_on(const HostPattern& pattern) {
    Verdict verdict;
    if (pattern.address.v6) {
        std::ranges::copy(pattern.address.bytes, verdict.network.ip.begin());
        verdict.prefix = pattern.prefix;
    } else {
        const auto& ip = pattern.address.bytes;
        verdict.network = kernel::v4_address(ip[0], ip[1], ip[2], ip[3], 0);
        verdict.prefix = kV4Prefix + pattern.prefix;
    }
    return verdict;
}

void add(Claims& claims, const Resource& resource, Verdict::Action action, Door door) {
    for (const std::string& host : resource.hosts) {
        const auto pattern = HostPattern::parse(host);
        if (!pattern) continue;
        switch (pattern->kind) {
        case HostPattern::Kind::Wildcard:
        case HostPattern::Kind::Exact: claims.by_name.push_back(&resource); break;
        case HostPattern::Kind::Socket: break;
        case HostPattern::Kind::Any:
            claims.any.action = action;
            claims.any.tag = tag_of(resource.metadata.name);
            break;
        case HostPattern::Kind::Network: {
            Verdict verdict = verdict_on(*pattern);
            verdict.protocol = door.first;
            verdict.network.port = door.second;
            verdict.action = action;
            verdict.tag = tag_of(resource.metadata.name);
            claims.networks.push_back(verdict);
            break;
        }
        }
    }
}

// Everything of that port that no network of a resource has, for both families apart: ::/0 holds
// for IPv6 alone.
void add_rest(std::vector<Verdict>& all, Claims& claims, Door door) {
    claims.any.protocol = door.first;
    claims.any.network.port = door.second;
    all.push_back(claims.any);
    claims.any.network = kernel::v4_address(0, 0, 0, 0, door.second);
    claims.any.prefix = kV4Prefix;
    all.push_back(claims.any);
}

std::string fingerprint(const policy::bundle::Bundle& bundle, const std::string& workload,
                        const policy::Identity& identity) {
    std::string text = bundle.digest() + '\n' + workload + '\n' + identity.subject + '\n' +
                       identity.issuer + '\n' + identity.claims;
    for (const std::string& group : identity.groups) text += "\ng" + group;
    for (const std::string& actor : identity.actors) text += "\na" + actor;
    return text;
}

}  // namespace

// FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
std::uint32_t tag_of(std::string_view resource) noexcept {
    std::uint32_t hash = 2166136261U;
    for (const char c : resource) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 16777619U;
    }
    return hash;
}

std::vector<Verdict> compile_verdicts(const policy::bundle::Bundle& bundle,
                                      const std::string& workload,
                                      const policy::Identity& identity) {
    std::map<Door, Claims> doors;
    for (const Resource& resource : bundle.resources()) {
        const auto decision = policy::standing_decision(bundle, resource, workload, identity);
        for (const std::uint16_t port : resource.ports) {
            const Door door{transport_of(resource), port};
            Claims& claims = doors[door];
            claims.standing = claims.standing || decision != nullptr;
            add(claims, resource, action_of(decision), door);
        }
    }
    std::vector<Verdict> all;
    for (auto& [door, claims] : doors) {
        if (!claims.standing) continue;
        const auto named = [&](std::uint32_t tag) {
            return std::ranges::any_of(claims.by_name, [&](const Resource* resource) {
                return tag_of(resource->metadata.name) != tag;
            });
        };
        // Datagrams to what was resolved by that name are decided before.
        if (door.first == IPPROTO_TCP) {
            for (Verdict& verdict : claims.networks)
                if (named(verdict.tag)) verdict.action = Verdict::Action::Ask;
            if (named(claims.any.tag)) claims.any.action = Verdict::Action::Ask;
        }
        add_rest(all, claims, door);
        all.insert(all.end(), claims.networks.begin(), claims.networks.end());
    }
    return all;
}

kernel::Verdict::Action look_up(const std::vector<kernel::Verdict>& verdicts, int protocol,
                                const kernel::Address& destination) {
    const Verdict* best = nullptr;
    for (const Verdict& verdict : verdicts) {
        if (verdict.workload != 0 || verdict.protocol != protocol ||
            verdict.network.port != destination.port)
            continue;
        bool within = true;
        for (unsigned bit = 0; bit < verdict.prefix && within; ++bit) {
            const unsigned mask = 0x80U >> bit % 8;
            within = ((verdict.network.ip[bit / 8] ^ destination.ip[bit / 8]) & mask) == 0;
        }
        // The latter of two that are alike: so does the table.
        if (within && (best == nullptr || verdict.prefix >= best->prefix)) best = &verdict;
    }
    return best == nullptr ? Verdict::Action::Ask : best->action;
}

std::vector<kernel::Door> compile_doors(const policy::bundle::Bundle& bundle,
                                        const std::string& workload,
                                        const policy::Identity& identity) {
    std::map<std::pair<std::string, bool>, Verdict::Action> doors;
    for (const char* sink : kSinks) doors[{sink, false}] = Verdict::Action::Let;
    std::set<std::pair<std::string, bool>> named;
    for (const Resource& resource : bundle.resources()) {
        if (resource.protocol != "unix") continue;
        const auto action =
            action_of(policy::standing_decision(bundle, resource, workload, identity));
        for (const std::string& host : resource.hosts) {
            const auto pattern = HostPattern::parse(host);
            if (!pattern || pattern->kind != HostPattern::Kind::Socket) continue;
            const std::pair name{pattern->name, pattern->beginning};
            const bool again = !named.insert(name).second;
            // Two resources that name one socket: both must let.
            if (!again || action != Verdict::Action::Let) doors[name] = action;
        }
    }
    std::vector<kernel::Door> all;
    for (const auto& [name, action] : doors)
        all.push_back({.name = name.first, .beginning = name.second, .action = action});
    return all;
}

namespace {

// Their cgroups come and go.
bool takes_workloads(const policy::bundle::Bundle& bundle, const std::string& name) {
    const auto* document = bundle.workload(name);
    return document != nullptr && std::ranges::any_of(document->inbound, [](const auto& one) {
               return !one.workloads.empty();
           });
}

}  // namespace

Result<> Verdicts::set_named(std::uint64_t cgroup_id, InForce& held) {
    held.next_end = 0;
    if (names_ == nullptr) return {};
    std::vector<kernel::NamedVerdict> all;
    if (!held.named.empty())
        for (const auto& [address, names] :
             names_->of_workload(held.workload, net::Names::Clock::now()))
            for (const kernel::NamedVerdict& one : verdicts_on(held.named, names))
                all.push_back(one);
    for (const kernel::NamedVerdict& one : all)
        if (held.next_end == 0 || one.until_ns < held.next_end) held.next_end = one.until_ns;
    return redirector_.set_named(cgroup_id, all);
}

Result<> Verdicts::learned(const std::string& workload, const std::string& address) {
    const std::lock_guard lock{mutex_};
    if (names_ == nullptr) return {};
    for (auto& [cgroup, held] : in_force_) {
        if (held.workload != workload || held.named.empty()) continue;
        const auto names = names_->at(workload, address, net::Names::Clock::now());
        const auto all = verdicts_on(held.named, names);
        for (const kernel::NamedVerdict& one : all)
            if (held.next_end == 0 || one.until_ns < held.next_end) held.next_end = one.until_ns;
        const auto added = redirector_.add_named(cgroup, all);
        if (!added && added.error().code != Errc::NotFound) return added;
    }
    return {};
}

namespace {

// As the kernel judges who calls: by the port, else by any.
bool takes_address(const std::vector<Verdict>& callers, int protocol, kernel::Address from,
                   std::uint16_t port) {
    from.port = port;
    const auto action = look_up(callers, protocol, from);
    if (action != Verdict::Action::Ask) return action == Verdict::Action::Let;
    from.port = 0;
    return look_up(callers, protocol, from) == Verdict::Action::Let;
}

bool takes_workload(const std::vector<Verdict>& callers, int protocol, std::uint64_t caller,
                    std::uint16_t port) {
    return std::ranges::any_of(callers, [&](const Verdict& one) {
        return one.workload == caller && one.protocol == protocol &&
               (one.network.port == port || one.network.port == 0) &&
               one.action == Verdict::Action::Let;
    });
}

}  // namespace

bool Verdicts::sends(const InForce& held, const kernel::Direct& direct) const {
    const kernel::Address& to = direct.origin.destination;
    if (direct.protocol == IPPROTO_UDP && names_ != nullptr) {
        const auto now = net::Names::Clock::now();
        const auto names = names_->at(held.workload, to.host(), now);
        for (const kernel::NamedVerdict& one : verdicts_on(held.named, names))
            if (one.address.port == to.port) return one.action == Verdict::Action::Let;
    }
    return look_up(held.verdicts, direct.protocol, to) == Verdict::Action::Let;
}

// Of a cgroup that is not governed any more nothing is said: what runs there is let.
bool Verdicts::lets(const kernel::Direct& direct) {
    const std::lock_guard lock{mutex_};
    const auto listener = in_force_.find(direct.peer.cgroup_id);
    if (direct.inbound)
        return listener == in_force_.end() ||
               takes_address(listener->second.callers, direct.protocol, direct.origin.destination,
                             direct.called.port);
    const auto own = in_force_.find(direct.origin.workload.cgroup_id);
    if (own != in_force_.end() && !sends(own->second, direct)) return false;
    return listener == in_force_.end() || own == listener ||
           takes_workload(listener->second.callers, direct.protocol,
                          direct.origin.workload.cgroup_id, direct.origin.destination.port);
}

Result<> Verdicts::set_tables(const BundlePtr& bundle, const kernel::Workload& one,
                              const Result<policy::Identity>& identity,
                              const std::vector<kernel::Workload>& governed, InForce& held) {
    std::vector<Verdict> verdicts;
    std::vector<kernel::Door> doors;
    std::vector<Verdict> callers;
    held.named = {};
    if (const auto* document = bundle->workload(one.name))
        callers = compile_inbound(*document, governed);
    if (identity) {
        verdicts = compile_verdicts(*bundle, one.name, *identity);
        doors = compile_doors(*bundle, one.name, *identity);
        held.named = plan_named(bundle, one.name, *identity);
    }
    held.verdicts = verdicts;
    held.callers = callers;
    // Each of them, also when another failed: the former ones hold no longer.
    Result<> done = redirector_.set_doors(one.cgroup_id, doors);
    if (auto set = redirector_.set_inbound(one.cgroup_id, callers); !set) done = set;
    // Names before networks: what goes by its name is never let by its address in between.
    if (auto set = set_named(one.cgroup_id, held); !set) {
        done = set;
        verdicts.clear();
    }
    if (auto set = redirector_.set_verdicts(one.cgroup_id, verdicts); !set) done = set;
    return done;
}

bool Verdicts::follow(const BundlePtr& bundle, const IdentityOf& identity_of) {
    const std::lock_guard lock{mutex_};
    const auto governed = redirector_.list();
    if (!governed) return false;
    const auto now = std::uint64_t(net::Names::Clock::now().time_since_epoch().count());
    bool changed = false;
    std::set<std::uint64_t> there;
    for (const kernel::Workload& one : *governed) {
        there.insert(one.cgroup_id);
        const auto identity = identity_of(one.name);
        std::string print =
            identity ? std::to_string(one.epoch) + '\n' + fingerprint(*bundle, one.name, *identity)
                     : std::string{"nobody"};
        const bool by_name = takes_workloads(*bundle, one.name);
        for (const kernel::Workload& other : *governed)
            if (by_name || other.name == one.name)
                print += '\n' + std::to_string(other.cgroup_id) + ' ' + other.name;
        InForce& held = in_force_[one.cgroup_id];
        const bool same = held.made_of == print;
        if (same && (held.next_end == 0 || now < held.next_end)) continue;
        held.workload = one.name;
        const auto set = same ? set_named(one.cgroup_id, held)
                              : set_tables(bundle, one, identity, *governed, held);
        if (set) {
            held.made_of = print;
            changed = true;
        } else {
            // A name that found no room must not be let by its address either.
            if (same) (void)redirector_.set_verdicts(one.cgroup_id, {});
            in_force_.erase(one.cgroup_id);
            changed = true;
            if (set.error().code != Errc::NotFound)
                log::error("verdicts cannot be given to the kernel",
                           {{"workload", one.name}, {"error", set.error().message()}});
        }
    }
    std::erase_if(in_force_, [&](const auto& entry) { return !there.contains(entry.first); });
    return changed;
}

}  // namespace chaperone::daemon
