// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/denials.h"

#include "userspace/base/file.h"
#include "userspace/daemon/kernel_entries.h"

#include <filesystem>
#include <utility>

namespace chaperone::daemon {
namespace {

// A caller has another port each time.
std::string peer_of(const kernel::Denial& denial) {
    if (denial.kind != kernel::Denial::Kind::Inbound) return denial.destination.to_text();
    return denial.destination.host() + ' ' + denial.listener + ' ' + denial.local.to_text();
}

// The command of the process that was aimed at, where its number is one of ours.
std::string name_of_target(const kernel::Denial& denial) {
    if (denial.target <= 0) return {};
    std::error_code error;
    const auto space = [&](const std::string& process) {
        return std::filesystem::read_symlink("/proc/" + process + "/ns/pid", error);
    };
    if (space(std::to_string(denial.pid)) != space("self") || error) return {};
    auto name = read_file("/proc/" + std::to_string(denial.target) + "/comm", 64);
    if (!name) return {};
    while (name->ends_with('\n')) name->pop_back();
    return *std::move(name);
}

std::string key_of(const kernel::Denial& denial) {
    return std::to_string(static_cast<int>(denial.kind)) + '\n' + std::to_string(denial.cgroup_id) +
           '\n' + peer_of(denial) + '\n' + std::to_string(denial.type) + '\n' +
           std::to_string(denial.protocol) + '\n' + std::to_string(denial.uid) + '\n' +
           denial.comm + '\n' + denial.door + '\n' + std::string{denial.what} + '\n' +
           std::to_string(denial.target) + '\n' + std::to_string(denial.signal);
}

}  // namespace

std::optional<record::Entry> Denials::add(const kernel::Denial& denial, Clock::time_point time) {
    std::string key = key_of(denial);
    if (const auto before = repeated_.find(key); before != repeated_.end()) {
        before->second.latest = denial;
        ++before->second.count;
        return std::nullopt;
    }
    if (repeated_.size() < kMost)
        repeated_.emplace(std::move(key), Repeated{.latest = denial, .since = time});
    return entry_of(denial, 1);
}

std::vector<record::Entry> Denials::due(Clock::time_point time, bool all) {
    std::vector<record::Entry> entries;
    std::erase_if(repeated_, [&](const auto& entry) {
        const Repeated& one = entry.second;
        if (!all && time - one.since < kRepeat) return false;
        if (one.count != 0) entries.push_back(entry_of(one.latest, one.count));
        return true;
    });
    return entries;
}

// With the name that the workload was told the address for last.
record::Entry Denials::entry_of(const kernel::Denial& denial, std::uint64_t count) const {
    record::Entry entry = denial_entry(denial, count);
    if (const std::string whom = name_of_target(denial); !whom.empty()) {
        auto& event = *entry.mutable_event();
        event.set_detail(event.detail() + " (" + whom + ")");
        (*event.mutable_facts())["target.comm"] = whom;
    }
    if (denial.workload.empty() || denial.destination == kernel::Address{} ||
        denial.kind == kernel::Denial::Kind::Inbound)
        return entry;
    const auto names = names_(denial.workload, denial.destination.host());
    if (!names.empty()) entry.mutable_event()->mutable_destination()->set_name(names.front());
    return entry;
}

}  // namespace chaperone::daemon
