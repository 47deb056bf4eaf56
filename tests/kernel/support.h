// SPDX-License-Identifier: Apache-2.0
// A private instance on the real kernel: cgroups below the cgroup2 mount, pins in a directory of
// their own, a proxy's listeners, and processes that run as agents. All of it is removed at the
// end by a janitor process, also when the test process dies.
#pragma once

#include "bpf/shared/abi.h"
#include "userspace/base/unique_fd.h"
#include "userspace/kernel/address.h"
#include "userspace/kernel/cgroup.h"
#include "userspace/kernel/redirector.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include <sys/socket.h>

namespace chaperone::kernel::testing {

// The folder of this version's pins.
inline std::string version() {
    return "v" + std::to_string(CHAP_ABI);
}

// Waiting longer than this for anything local is a failure.
constexpr int kPatienceMs = 10'000;

// A child process in a cgroup. It runs the function, which returns what it has to tell.
class Child {
public:
    Child(const std::filesystem::path& cgroup, const std::function<std::string()>& run);
    Child(Child&&) noexcept;
    ~Child();  // kills it when nobody waited

    std::string result();  // waits for its end; what the function returned
    void kill();           // SIGKILL, and waits
    pid_t pid() const { return pid_; }

private:
    pid_t pid_ = -1;
    UniqueFd told_;
};

inline std::string run_in(const std::filesystem::path& cgroup,
                          const std::function<std::string()>& run) {
    return Child{cgroup, run}.result();
}

// Socket addresses: "192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7".
struct Target {
    sockaddr_storage address{};
    socklen_t size = 0;
};
Target target(const std::string& host, std::uint16_t port);

// Names of errors: 0 is "ok", 111 "ECONNREFUSED".
std::string error_name(int error);

UniqueFd stream(int family, int flags = 0);
// "ok" or the name of the error.
std::string connect_to(int fd, const Target& to);
std::string try_connect(const std::string& host, std::uint16_t port);
std::string peer_of(int fd);  // "192.0.2.7:5432"
std::string local_of(int fd);
bool readable(int fd, int timeout_ms = kPatienceMs);

// A listening socket on 127.0.0.1 or ::1.
struct Listener {
    UniqueFd fd;
    std::uint16_t port = 0;
};
Listener listen_on(const std::string& host, std::uint16_t port = 0, int backlog = 512);
// An invalid descriptor when nobody comes.
UniqueFd accept_from(const Listener& listener);

class KernelTest : public ::testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    // Another Redirector over the same pins; the one that is held must be gone.
    Options options() const;
    void reopen();
    // A cgroup, not governed. Nested ones by "a/b".
    std::filesystem::path make_cgroup(const std::string& name);
    // A governed one.
    std::filesystem::path make_agent(const std::string& name);

    // Accepts and asks who it is. An error says why there is no origin.
    Result<Origin> accept_origin(const Listener& listener);

    std::string tag;
    std::filesystem::path outside;  // an ungoverned cgroup
    Listener proxy4;
    Listener proxy6;
    std::optional<Redirector> redirector;
    std::map<std::string, std::uint32_t> room;  // as in Options
    bool attempts = false;  // to attach what tells of them takes a second under emulation

private:
    void start_janitor();

    CoreCgroup core_;
    std::filesystem::path top_;
    UniqueFd janitor_lifeline_;
    pid_t janitor_ = -1;
};

}  // namespace chaperone::kernel::testing
