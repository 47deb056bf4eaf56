// SPDX-License-Identifier: Apache-2.0
// What `chaperone doctor` can tell of a host without the daemon: kernel, file systems, rights.
#pragma once

#include "userspace/control/control.pb.h"

#include <string>

namespace chaperone::control {

v1::DoctorCheck check_ok(std::string name, std::string detail);
v1::DoctorCheck check_warn(std::string name, std::string detail, std::string hint);
v1::DoctorCheck check_fail(std::string name, std::string detail, std::string hint);

// Kernel version, BTF, cgroup v2, bpffs, BPF LSM, capabilities, clock, pinned hooks' file system.
v1::DoctorReport check_host();

// Whether a kernel release ("6.1.0-18-amd64") is at least this.
bool kernel_at_least(const std::string& release, int major, int minor);

}  // namespace chaperone::control
