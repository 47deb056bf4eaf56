// SPDX-License-Identifier: Apache-2.0
// A transient scope, asked of systemd over D-Bus (org.freedesktop.systemd1(5), StartTransientUnit).
#include "userspace/base/unique_fd.h"
#include "userspace/launch/cgroup.h"
#include "userspace/launch/mounts.h"

#include <systemd/sd-bus.h>

#include <cstring>
#include <memory>

namespace chaperone::launch {
namespace {

constexpr std::uint64_t kPatience = 10'000'000;  // microseconds; a job to make a scope takes two ms

constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";

struct BusCloser {
    void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, BusCloser>;
struct MessageCloser {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageCloser>;

struct BusError {
    sd_bus_error error{};  // SD_BUS_ERROR_NULL is C
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error); }

    std::unexpected<Error> as_failure(const std::string& what, int code) const {
        const std::string why = error.message != nullptr ? error.message : std::strerror(-code);
        return fail(Errc::System, what + ": " + why);
    }
};

// The system bus; systemd's own socket where no bus daemon runs.
Result<Bus> open_bus() {
    sd_bus* raw = nullptr;
    if (sd_bus_open_system(&raw) >= 0) return Bus{raw};
    int code = sd_bus_new(&raw);
    Bus bus{raw};
    if (code >= 0) code = sd_bus_set_address(raw, "unix:path=/run/systemd/private");
    if (code >= 0) code = sd_bus_start(raw);
    if (code < 0) return system_error("connect to systemd", -code);
    return bus;
}

struct Job {
    std::string path{};
    std::string result{};  // "done", or why not
};

int on_job_removed(sd_bus_message* message, void* data, sd_bus_error*) {
    std::uint32_t id = 0;
    const char* path = nullptr;
    const char* unit = nullptr;
    const char* result = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0) return 0;
    Job& job = *static_cast<Job*>(data);
    // It may come before the answer that tells us the job's path: the unit's name decides.
    if (job.path == unit) job.result = result;
    return 0;
}

int fill_properties(sd_bus_message* call, const std::string& unit, const std::string& slice,
                    const std::string& workload, pid_t pid) {
    const std::string description = "Chaperone agent " + workload;
    int code = sd_bus_message_append(call, "ss", unit.c_str(), "fail");
    if (code >= 0) code = sd_bus_message_open_container(call, 'a', "(sv)");
    if (code >= 0)
        code = sd_bus_message_append(call, "(sv)(sv)(sv)(sv)(sv)",              //
                                     "Description", "s", description.c_str(),   //
                                     "Slice", "s", slice.c_str(),               //
                                     "Delegate", "b", 1,                        //
                                     "CollectMode", "s", "inactive-or-failed",  //
                                     "PIDs", "au", 1, static_cast<std::uint32_t>(pid));
    if (code >= 0) code = sd_bus_message_close_container(call);
    if (code >= 0) code = sd_bus_message_append(call, "a(sa(sv))", 0);
    return code;
}

Result<> wait_for(sd_bus* bus, const Job& job) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds{kPatience};
    while (job.result.empty()) {
        int code = sd_bus_process(bus, nullptr);
        if (code == 0) {
            const auto left = std::chrono::duration_cast<std::chrono::microseconds>(
                until - std::chrono::steady_clock::now());
            if (left.count() <= 0)
                return fail(Errc::Unavailable, "systemd does not make the scope");
            code = sd_bus_wait(bus, static_cast<std::uint64_t>(left.count()));
        }
        if (code < 0) return system_error("wait for systemd", -code);
    }
    if (job.result != "done") return fail(Errc::System, "systemd made no scope: " + job.result);
    return {};
}

}  // namespace

Result<Cgroup> make_scope(const std::string& tag, const std::string& workload, pid_t pid) {
    const auto mounts = read_mounts();
    if (!mounts) return fail(mounts.error());
    const auto mount = find_cgroup2(*mounts);
    if (!mount) return fail(mount.error());
    auto bus = open_bus();
    if (!bus) return fail(bus.error());
    const std::string unit =
        "chaperone-" + safe_name(workload) + "-" + std::to_string(pid) + ".scope";
    const std::string slice =
        "chaperone-agents" + (tag.empty() ? std::string{} : "-" + safe_name(tag)) + ".slice";

    Job job{.path = unit};
    BusError error;
    int code = sd_bus_match_signal(bus->get(), nullptr, kService, kPath, kManager, "JobRemoved",
                                   on_job_removed, &job);
    if (code < 0) return error.as_failure("listen to systemd", code);
    code = sd_bus_call_method(bus->get(), kService, kPath, kManager, "Subscribe", &error.error,
                              nullptr, "");
    if (code < 0) return error.as_failure("subscribe to systemd's signals", code);
    sd_bus_message* raw = nullptr;
    code = sd_bus_message_new_method_call(bus->get(), &raw, kService, kPath, kManager,
                                          "StartTransientUnit");
    const Message call{raw};
    if (code >= 0) code = fill_properties(raw, unit, slice, workload, pid);
    if (code >= 0) code = sd_bus_call(bus->get(), raw, kPatience, &error.error, nullptr);
    if (code < 0) return error.as_failure("start " + unit, code);
    if (auto done = wait_for(bus->get(), job); !done) return fail(done.error());

    // Not what we asked for counts, but where the process is.
    const auto path = cgroup_of(pid, *mount);
    if (!path) return fail(path.error());
    if (path->filename() != unit)
        return fail(Errc::System, "systemd left the agent in " + path->string());
    const auto id = cgroup_id(*path);
    if (!id) return fail(id.error());
    return Cgroup{.path = *path, .unit = unit, .id = *id};
}

}  // namespace chaperone::launch
