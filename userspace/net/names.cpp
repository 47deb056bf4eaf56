// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/names.h"

#include <algorithm>

namespace chaperone::net {

void Names::make_room(Addresses& addresses, Moment now) {
    const auto over = [&](const Name& one) { return one.until <= now; };
    for (auto& [address, names] : addresses) std::erase_if(names, over);
    std::erase_if(addresses, [](const auto& entry) { return entry.second.empty(); });
    if (addresses.size() < kAddresses) return;
    // An eighth at once, so that a full table is not walked for each new address.
    std::vector<Moment> ends;
    ends.reserve(addresses.size());
    for (const auto& [address, names] : addresses) ends.push_back(names.back().until);
    const auto limit = ends.begin() + static_cast<std::ptrdiff_t>(kAddresses / 8);
    std::nth_element(ends.begin(), limit, ends.end());
    std::erase_if(addresses,
                  [&](const auto& entry) { return entry.second.back().until <= *limit; });
}

Names::Known Names::learn(std::string_view workload, std::string_view name,
                          std::string_view address, Duration ttl, Moment now) {
    Known known{std::string{workload}, std::string{address}, std::string{name},
                now + std::clamp(ttl, kLeast, kMost)};
    put(known, now);
    return known;
}

bool Names::restore(const Known& known, Moment now) {
    if (known.until <= now || known.until > now + kMost) return false;
    put(known, now);
    return true;
}

void Names::put(const Known& known, Moment now) {
    workloads_.with([&](auto& workloads) {
        Addresses& addresses = workloads[known.workload];
        auto found = addresses.find(known.address);
        if (found == addresses.end()) {
            if (addresses.size() >= kAddresses) make_room(addresses, now);
            found = addresses.emplace(known.address, std::vector<Name>{}).first;
        }
        auto& names = found->second;  // the latest at the end
        std::erase_if(names, [&](const Name& one) { return one.name == known.name; });
        if (names.size() == kNamesOfOne) names.erase(names.begin());
        names.push_back({known.name, known.until});
    });
}

std::vector<std::string> Names::of(std::string_view workload, std::string_view address,
                                   Moment now) const {
    return workloads_.with([&](const auto& workloads) {
        std::vector<std::string> all;
        const auto mine = workloads.find(workload);
        if (mine == workloads.end()) return all;
        const auto found = mine->second.find(address);
        if (found == mine->second.end()) return all;
        for (auto it = found->second.rbegin(); it != found->second.rend(); ++it)
            if (it->until > now) all.push_back(it->name);
        return all;
    });
}

std::vector<Names::Known> Names::at(std::string_view workload, std::string_view address,
                                    Moment now) const {
    return workloads_.with([&](const auto& workloads) {
        std::vector<Known> all;
        const auto mine = workloads.find(workload);
        if (mine == workloads.end()) return all;
        const auto found = mine->second.find(address);
        if (found == mine->second.end()) return all;
        for (auto it = found->second.rbegin(); it != found->second.rend(); ++it)
            if (it->until > now) all.push_back({mine->first, found->first, it->name, it->until});
        return all;
    });
}

std::map<std::string, std::vector<Names::Known>> Names::of_workload(std::string_view workload,
                                                                    Moment now) const {
    return workloads_.with([&](const auto& workloads) {
        std::map<std::string, std::vector<Known>> all;
        const auto mine = workloads.find(workload);
        if (mine == workloads.end()) return all;
        for (const auto& [address, names] : mine->second)
            for (auto it = names.rbegin(); it != names.rend(); ++it)
                if (it->until > now)
                    all[address].push_back({mine->first, address, it->name, it->until});
        return all;
    });
}

std::vector<std::string> Names::addresses(std::string_view workload, std::string_view name,
                                          Moment now) const {
    return workloads_.with([&](const auto& workloads) {
        std::vector<std::pair<Moment, std::string>> found;
        const auto mine = workloads.find(workload);
        if (mine == workloads.end()) return std::vector<std::string>{};
        for (const auto& [address, names] : mine->second)
            for (const Name& one : names)
                if (one.name == name && one.until > now) found.emplace_back(one.until, address);
        std::ranges::sort(found, std::ranges::greater{});
        std::vector<std::string> all;
        for (auto& [until, address] : found)
            if (all.size() != kAddressesOfOne) all.push_back(std::move(address));
        return all;
    });
}

void Names::forget(std::string_view workload) {
    workloads_.with([&](auto& workloads) {
        if (const auto found = workloads.find(workload); found != workloads.end())
            workloads.erase(found);
    });
}

std::vector<Names::Known> Names::all(Moment now) const {
    return workloads_.with([&](const auto& workloads) {
        std::vector<Known> all;
        for (const auto& [workload, addresses] : workloads)
            for (const auto& [address, names] : addresses)
                for (const Name& one : names)
                    if (one.until > now) all.push_back({workload, address, one.name, one.until});
        return all;
    });
}

}  // namespace chaperone::net
