// SPDX-License-Identifier: Apache-2.0
// What seccomp refused to an agent, as its `chaperone run` tells it.
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/kernel_entries.h"

#include <filesystem>

namespace chaperone::daemon {
namespace {

constexpr int kMostAttempts = 512;
constexpr std::size_t kMostText = 64;
constexpr std::size_t kMostReason = 512;

Result<> check(const v1::ReportAttemptsRequest& request) {
    if (request.cgroup().empty()) return fail(Errc::Invalid, "the report names no cgroup");
    if (request.attempts_size() > kMostAttempts)
        return fail(Errc::Invalid,
                    "more than " + std::to_string(kMostAttempts) + " attempts in a report");
    for (const v1::Attempt& attempt : request.attempts())
        if (attempt.call().empty() || attempt.call().size() > kMostText ||
            attempt.error().size() > kMostText || attempt.comm().size() > kMostText)
            return fail(Errc::Invalid, "an attempt has no call, or too long a text");
    if (request.unrecorded().size() > kMostReason) return fail(Errc::Invalid, "too long a reason");
    return {};
}

}  // namespace

Result<v1::Empty> ApiService::report_attempts(const v1::ReportAttemptsRequest& request,
                                              const Caller& caller) {
    if (caller.uid != 0)
        return fail(Errc::Denied, "only `chaperone run`, as root, reports what an agent tried");
    if (it_.bundles->bundle()->workload(request.name()) == nullptr)
        return fail(Errc::NotFound, "the bundle has no workload " + request.name());
    if (auto checked = check(request); !checked) return fail(checked.error());
    const bool news = it_.recorders.with([&](auto& recorders) {
        std::error_code error;
        std::erase_if(recorders, [&](const auto& one) {
            return one.first != request.cgroup() && !std::filesystem::exists(one.first, error);
        });
        Instance::Recorder& recorder = recorders[request.cgroup()];
        const bool first = recorder.pid == 0;
        recorder = {.pid = caller.pid, .why = request.unrecorded()};
        return first;
    });
    if (news && !request.unrecorded().empty())
        if (auto written = it_.journal->append(unrecorded_entry(request)); !written)
            return fail(written.error());
    for (const v1::Attempt& attempt : request.attempts())
        if (auto written = it_.journal->append(attempt_entry(request, attempt)); !written)
            return fail(written.error());
    return v1::Empty{};
}

}  // namespace chaperone::daemon
