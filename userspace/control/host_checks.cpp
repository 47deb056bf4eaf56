// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/host_checks.h"

#include "userspace/base/capabilities.h"
#include "userspace/base/file.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

namespace chaperone::control {
namespace {

v1::DoctorCheck make(std::string name, const char* result, std::string detail, std::string hint) {
    v1::DoctorCheck check;
    check.set_name(std::move(name));
    check.set_result(result);
    check.set_detail(std::move(detail));
    check.set_hint(std::move(hint));
    return check;
}

v1::DoctorCheck check_kernel() {
    utsname name{};
    ::uname(&name);
    if (kernel_at_least(name.release, 6, 1)) return check_ok("kernel", name.release);
    return check_fail("kernel", std::string{name.release} + " is older than 6.1",
                      "boot Debian 12's kernel or a later one");
}

v1::DoctorCheck check_btf() {
    if (std::filesystem::exists("/sys/kernel/btf/vmlinux"))
        return check_ok("btf", "/sys/kernel/btf/vmlinux");
    return check_fail("btf", "/sys/kernel/btf/vmlinux is missing",
                      "boot a kernel with CONFIG_DEBUG_INFO_BTF=y");
}

// The mount points of this file system type, from proc(5)'s mountinfo.
std::string mount_of(const std::string& type) {
    const auto text = read_file("/proc/self/mountinfo");
    std::istringstream lines{text.value_or("")};
    for (std::string line; std::getline(lines, line);) {
        const auto dash = line.find(" - ");
        if (dash == std::string::npos || !line.substr(dash + 3).starts_with(type + " ")) continue;
        std::istringstream fields{line};
        std::string id, parent, device, root, point;
        fields >> id >> parent >> device >> root >> point;
        return point;
    }
    return "";
}

v1::DoctorCheck check_cgroup2() {
    const std::string mount = mount_of("cgroup2");
    if (!mount.empty()) return check_ok("cgroup v2", mount);
    return check_fail("cgroup v2", "no cgroup2 file system is mounted",
                      "boot with systemd.unified_cgroup_hierarchy=1, or mount it: "
                      "mount -t cgroup2 none /sys/fs/cgroup/unified");
}

v1::DoctorCheck check_bpffs() {
    // The second is what a sandboxed service sees of it.
    for (const char* path : {"/sys/fs/bpf", "/sys/fs/bpf/chaperone"}) {
        struct statfs status{};
        if (::statfs(path, &status) == 0 && status.f_type == BPF_FS_MAGIC)
            return check_ok("bpffs", path);
    }
    return check_warn("bpffs", "/sys/fs/bpf is no bpffs: one of our own is mounted below /run",
                      "mount -t bpf bpf /sys/fs/bpf, if other tools should see the pins");
}

v1::DoctorCheck check_lsm() {
    const auto text = read_file("/sys/kernel/security/lsm", 4096);
    if (!text)
        return check_warn("bpf lsm", "the list of security modules cannot be read",
                          "mount securityfs to see it; the hooks used do not need the BPF LSM");
    if (text->find("bpf") != std::string::npos) return check_ok("bpf lsm", *text);
    return check_warn("bpf lsm", "not among the active security modules: " + *text,
                      "add bpf to the lsm= kernel parameter; the hooks used do without");
}

v1::DoctorCheck check_capabilities() {
    struct Needed {
        int number;
        const char* name;
    };
    static constexpr Needed kNeeded[] = {
        {CAP_BPF, "CAP_BPF"}, {CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_PERFMON, "CAP_PERFMON"}};
    const std::uint64_t have = effective_capabilities();
    std::string missing;
    for (const Needed& one : kNeeded)
        if ((have & (std::uint64_t{1} << one.number)) == 0)
            missing += (missing.empty() ? "" : ", ") + std::string{one.name};
    if (missing.empty()) return check_ok("capabilities", "all that are needed");
    // Of this process: the daemon looks at its own, the CLI at those of who calls it.
    return ::geteuid() == 0
               ? check_fail("capabilities", "missing: " + missing,
                            "give them to the service, or run outside of a restricted container")
               : check_warn("capabilities", "not root: " + missing + " cannot be judged",
                            "run it as root");
}

v1::DoctorCheck check_clock() {
    timex state{};
    const int clock = ::adjtimex(&state);
    if (clock >= 0 && clock != TIME_ERROR && (state.status & STA_UNSYNC) == 0)
        return check_ok("clock", "synchronised");
    return check_warn("clock", "the kernel does not call its clock synchronised",
                      "run an NTP client: tokens, certificates and the journal need the time");
}

}  // namespace

v1::DoctorCheck check_ok(std::string name, std::string detail) {
    return make(std::move(name), "ok", std::move(detail), "");
}

v1::DoctorCheck check_warn(std::string name, std::string detail, std::string hint) {
    return make(std::move(name), "warn", std::move(detail), std::move(hint));
}

v1::DoctorCheck check_fail(std::string name, std::string detail, std::string hint) {
    return make(std::move(name), "fail", std::move(detail), std::move(hint));
}

bool kernel_at_least(const std::string& release, int major, int minor) {
    int has_major = 0, has_minor = 0;
    if (std::sscanf(release.c_str(), "%d.%d", &has_major, &has_minor) != 2) return false;
    return has_major != major ? has_major > major : has_minor >= minor;
}

v1::DoctorReport check_host() {
    v1::DoctorReport report;
    for (const auto check : {check_kernel, check_btf, check_cgroup2, check_bpffs, check_lsm,
                             check_capabilities, check_clock})
        *report.add_checks() = check();
    return report;
}

}  // namespace chaperone::control
