// SPDX-License-Identifier: Apache-2.0
// What the kernel lets and refuses by the names that workloads were told.
#include "userspace/kernel/redirector_state.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace chaperone::kernel {
namespace {

chap_named_key key_of(std::uint64_t cgroup_id, const Address& address) {
    chap_named_key key{};
    key.cgroup_id = cgroup_id;
    std::memcpy(key.ip, address.ip.data(), sizeof(key.ip));
    key.port = htons(address.port);
    key.protocol = IPPROTO_UDP;
    return key;
}

chap_named value_of(const NamedVerdict& verdict) {
    const bool let = verdict.action == Verdict::Action::Let;
    return {.verdict = {.action = let ? std::uint32_t{CHAP_LET} : std::uint32_t{CHAP_REFUSE},
                        .tag = verdict.tag},
            .until_ns = verdict.until_ns};
}

}  // namespace

// True: what was let or told before under that address is not any more.
Result<bool> Redirector::State::put_named(std::uint64_t cgroup_id, const NamedVerdict& verdict) {
    auto named = programs.named();
    const chap_named_key key = key_of(cgroup_id, verdict.address);
    const chap_named value = value_of(verdict);
    const auto before = named.get(key);
    if (auto put = named.put(key, value); !put) return fail(put.error());
    return before ? before->verdict.action != value.verdict.action ||
                        before->verdict.tag != value.verdict.tag
                  : value.verdict.action != CHAP_LET;
}

bool Redirector::State::drop_named(std::uint64_t cgroup_id, std::span<const NamedVerdict> but) {
    auto named = programs.named();
    std::vector<chap_named_key> kept;
    kept.reserve(but.size());
    for (const NamedVerdict& one : but) kept.push_back(key_of(cgroup_id, one.address));
    const auto less = [](const chap_named_key& a, const chap_named_key& b) {
        return std::memcmp(&a, &b, sizeof(a)) < 0;
    };
    std::ranges::sort(kept, less);
    std::vector<chap_named_key> gone;
    named.each_key(std::size_t{2} * CHAP_MAX_NAMED, [&](const chap_named_key& key) {
        if (key.cgroup_id == cgroup_id && !std::ranges::binary_search(kept, key, less))
            gone.push_back(key);
    });
    for (const chap_named_key& key : gone) (void)named.erase(key);
    return !gone.empty();
}

Result<> Redirector::set_named(std::uint64_t cgroup_id, std::span<const NamedVerdict> verdicts) {
    const std::lock_guard lock{state_->changing};
    if (auto known = state_->programs.workloads().get(cgroup_id); !known)
        return fail(known.error());
    // What goes makes room first.
    bool less = state_->drop_named(cgroup_id, verdicts);
    Result<> all;
    for (const NamedVerdict& one : verdicts) {
        const auto changed = state_->put_named(cgroup_id, one);
        if (!changed) all = fail(changed.error());
        less = less || !changed || *changed;
    }
    if (less)
        if (auto raised = state_->raise_generation(); !raised) return raised;
    return all;
}

Result<> Redirector::add_named(std::uint64_t cgroup_id, std::span<const NamedVerdict> verdicts) {
    const std::lock_guard lock{state_->changing};
    if (auto known = state_->programs.workloads().get(cgroup_id); !known)
        return fail(known.error());
    bool less = false;
    for (const NamedVerdict& one : verdicts) {
        const auto changed = state_->put_named(cgroup_id, one);
        if (!changed) return fail(changed.error());
        less = less || *changed;
    }
    return less ? state_->raise_generation() : Result<>{};
}

}  // namespace chaperone::kernel
