// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace chaperone::kernel::testing {

namespace fs = std::filesystem;

namespace {

// Its end tells the janitor that the test is over; children must not keep it open.
int janitor_lifeline = -1;

// An inherited descriptor would hold the lock on the pins for the child's life.
void drop_pin_locks() {
    for (int fd = 3; fd < 1024; ++fd) {
        struct statfs about{};
        if (::fstatfs(fd, &about) == 0 && about.f_type == BPF_FS_MAGIC) ::close(fd);
    }
}

void write_file_or_die(const fs::path& path, const std::string& text) {
    const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd || ::write(fd.get(), text.data(), text.size()) != ssize_t(text.size())) ::_exit(97);
}

std::string read_all(int fd) {
    std::string all;
    char buffer[4096];
    for (;;) {
        const ssize_t n = ::read(fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return all;
        all.append(buffer, std::size_t(n));
    }
}

// Leaves nothing of a test instance behind. Runs in the janitor, in the root cgroup.
void clean_up(const fs::path& top, const fs::path& tree, const fs::path& pin_dir, pid_t owner) {
    std::ofstream{top / "cgroup.procs"} << owner << std::flush;  // fails when it has died: fine
    std::ofstream{tree / "cgroup.kill"} << "1" << std::flush;
    (void)remove_pins(pin_dir);
    for (int tries = 0; tries < 200; ++tries) {  // killed processes leave their cgroups in time
        std::vector<fs::path> cgroups;
        std::error_code error;
        for (auto it = fs::recursive_directory_iterator{tree, error};
             !error && it != fs::recursive_directory_iterator{}; it.increment(error))
            if (it->is_directory(error)) cgroups.push_back(it->path());
        for (auto it = cgroups.rbegin(); it != cgroups.rend(); ++it) ::rmdir(it->c_str());
        if (::rmdir(tree.c_str()) == 0 || errno == ENOENT) break;
        ::poll(nullptr, 0, 10);
    }
    std::error_code error;
    fs::remove_all(pin_dir.parent_path(), error);
}

}  // namespace

Child::Child(const fs::path& cgroup, const std::function<std::string()>& run) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error{"pipe"};
    pid_ = ::fork();
    if (pid_ == 0) {
        ::close(ends[0]);
        ::close(janitor_lifeline);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        drop_pin_locks();
        write_file_or_die(cgroup / "cgroup.procs", "0");
        const std::string said = run();
        if (::write(ends[1], said.data(), said.size()) != ssize_t(said.size())) ::_exit(98);
        ::_exit(0);
    }
    ::close(ends[1]);
    told_.reset(ends[0]);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), told_(std::move(other.told_)) {}

Child::~Child() {
    if (pid_ > 0) kill();
}

std::string Child::result() {
    std::string said = read_all(told_.get());
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    if (status != 0) said += " (status " + std::to_string(status) + ")";
    return said;
}

void Child::kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

Target target(const std::string& host, std::uint16_t port) {
    Target to;
    if (host.find(':') == std::string::npos) {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&to.address);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) != 1) ::abort();
        to.size = sizeof(sockaddr_in);
    } else {
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&to.address);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) ::abort();
        to.size = sizeof(sockaddr_in6);
    }
    return to;
}

std::string error_name(int error) {
    if (error == 0) return "ok";
    const char* name = ::strerrorname_np(error);
    return name ? name : std::to_string(error);
}

UniqueFd stream(int family, int flags) {
    return UniqueFd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)};
}

std::string connect_to(int fd, const Target& to) {
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return error_name(::connect(fd, address, to.size) == 0 ? 0 : errno);
}

std::string try_connect(const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    const UniqueFd fd = stream(to.address.ss_family);
    return connect_to(fd.get(), to);
}

namespace {

std::string name_of(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    if (ask(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return error_name(errno);
    const auto address = from_sockaddr(name);
    return address ? address->to_text() : "not an address";
}

}  // namespace

std::string peer_of(int fd) {
    return name_of(fd, ::getpeername);
}

std::string local_of(int fd) {
    return name_of(fd, ::getsockname);
}

bool readable(int fd, int timeout_ms) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, timeout_ms) == 1;
}

Listener listen_on(const std::string& host, std::uint16_t port, int backlog) {
    const Target at = target(host, port);
    Listener made{.fd = stream(at.address.ss_family)};
    const int on = 1;
    ::setsockopt(made.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const auto* address = reinterpret_cast<const sockaddr*>(&at.address);
    if (::bind(made.fd.get(), address, at.size) != 0 || ::listen(made.fd.get(), backlog) != 0) {
        ADD_FAILURE() << "listen on " << host << ": " << error_name(errno);
        return made;
    }
    const std::string name = local_of(made.fd.get());
    made.port = std::uint16_t(std::stoi(name.substr(name.rfind(':') + 1)));
    return made;
}

UniqueFd accept_from(const Listener& listener) {
    if (!readable(listener.fd.get())) return {};
    return UniqueFd{::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)};
}

void KernelTest::start_janitor() {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t owner = ::getpid();
    janitor_ = ::fork();
    if (janitor_ == 0) {
        ::close(ends[1]);
        ::setsid();  // a signal to the test's terminal or group is not for the janitor
        char byte;
        while (::read(ends[0], &byte, 1) < 0 && errno == EINTR) {
        }
        clean_up(top_, top_ / ("chaperone-" + tag), options().pin_dir, owner);
        ::_exit(0);
    }
    ::close(ends[0]);
    janitor_lifeline_.reset(ends[1]);
    janitor_lifeline = ends[1];
}

void KernelTest::SetUp() {
    static int instance = 0;
    tag = "test-" + std::to_string(::getpid()) + "-" + std::to_string(++instance);
    auto top = find_cgroup2();
    ASSERT_TRUE(top) << top.error().message();
    top_ = *top;
    ASSERT_NO_FATAL_FAILURE(start_janitor());
    auto core = prepare_core_cgroup(tag);
    ASSERT_TRUE(core) << core.error().message();
    core_ = *std::move(core);
    outside = make_cgroup("outside");
    proxy4 = listen_on("127.0.0.1");
    proxy6 = listen_on("::1");
    reopen();
}

void KernelTest::TearDown() {
    redirector.reset();
    janitor_lifeline_.reset();
    ::waitpid(janitor_, nullptr, 0);
    EXPECT_FALSE(fs::exists(top_ / ("chaperone-" + tag))) << "cgroups were left behind";
    EXPECT_FALSE(fs::exists(options().pin_dir)) << "pins were left behind";
}

Options KernelTest::options() const {
    return {.pin_dir = fs::path{"/run"} / ("chaperone-" + tag) / "bpf",
            .core_cgroup = core_.fd.get(),
            .ports = {.tcp4 = proxy4.port, .tcp6 = proxy6.port},
            .room = room,
            .attempts = attempts};
}

void KernelTest::reopen() {
    redirector.reset();
    auto opened = Redirector::open(options());
    // A child that was just forked lets go of the lock when it first runs.
    for (int tries = 0; tries < 1000 && !opened && opened.error().code == Errc::Unavailable;
         ++tries) {
        ::poll(nullptr, 0, kPatienceMs / 1000);
        opened = Redirector::open(options());
    }
    ASSERT_TRUE(opened) << opened.error().message();
    redirector.emplace(*std::move(opened));
}

fs::path KernelTest::make_cgroup(const std::string& name) {
    const fs::path path = top_ / ("chaperone-" + tag) / name;
    std::error_code error;
    fs::create_directories(path, error);
    EXPECT_FALSE(error) << error.message();
    return path;
}

fs::path KernelTest::make_agent(const std::string& name) {
    const fs::path path = make_cgroup(name);
    auto governed = redirector->govern(path, name);
    EXPECT_TRUE(governed) << governed.error().message();
    return path;
}

Result<Origin> KernelTest::accept_origin(const Listener& listener) {
    const UniqueFd fd = accept_from(listener);
    if (!fd) return fail(Errc::Unavailable, "nobody connected");
    return redirector->origin(fd.get());
}

}  // namespace chaperone::kernel::testing
