// SPDX-License-Identifier: Apache-2.0
// Which workload a connect belongs to: nested and adopted cgroups, sockets that change hands.
#include "tests/kernel/support.h"

#include <cerrno>
#include <cstring>

#include <sys/un.h>

namespace chaperone::kernel::testing {

namespace {

// Lets one process wait for another.
class Signal {
public:
    Signal() { EXPECT_EQ(::pipe(ends_), 0); }
    ~Signal() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    void give() const { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }
    bool wait() const {
        char byte;
        return readable(ends_[0]) && ::read(ends_[0], &byte, 1) == 1;
    }

private:
    int ends_[2];
};

std::string workload_of(const Result<Origin>& origin) {
    return origin ? origin->workload.name : origin.error().message();
}

void send_fd(int over, int fd) {
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))]{};
    char byte = 'x';
    iovec part{.iov_base = &byte, .iov_len = 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof(space);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    EXPECT_EQ(::sendmsg(over, &message, 0), 1);
}

UniqueFd receive_fd(int over) {
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))]{};
    char byte = 0;
    iovec part{.iov_base = &byte, .iov_len = 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof(space);
    if (::recvmsg(over, &message, 0) != 1) return {};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return UniqueFd{fd};
}

using Workloads = KernelTest;

TEST_F(Workloads, CgroupsBelowBelongToIt) {
    make_agent("agent");
    const auto below = make_cgroup("agent/a/b/c");
    EXPECT_EQ(run_in(below, [] { return try_connect("192.0.2.7", 1); }), "ok");
    EXPECT_EQ(workload_of(accept_origin(proxy4)), "agent");
}

TEST_F(Workloads, TheDeepestGovernedAncestorWins) {
    make_agent("outer");
    const auto inner = make_agent("outer/inner");
    const auto below = make_cgroup("outer/inner/below");
    const auto beside = make_cgroup("outer/beside");
    for (const auto& [cgroup, name] :
         {std::pair{inner, "outer/inner"}, std::pair{below, "outer/inner"},
          std::pair{beside, "outer"}}) {
        Child child{cgroup, [] {
                        const UniqueFd fd = stream(AF_INET);
                        connect_to(fd.get(), target("192.0.2.7", 1));
                        return peer_of(fd.get());
                    }};
        const auto origin = accept_origin(proxy4);
        EXPECT_EQ(workload_of(origin), name);
        EXPECT_EQ(origin->destination.to_text(), "192.0.2.7:1");
        EXPECT_EQ(child.result(), "192.0.2.7:1");
    }
    EXPECT_EQ(*redirector->flows_count(), 0U);
}

TEST_F(Workloads, NestedGoverningKeepsTheProxysDoorClosed) {
    make_agent("outer");
    const auto inner = make_agent("outer/inner");
    const auto knock = [&] { return try_connect("127.0.0.1", proxy4.port); };
    EXPECT_EQ(run_in(inner, knock), "EPERM");
}

TEST_F(Workloads, AnAdoptedProcessIsGovernedWithItsOldSockets) {
    const auto cgroup = make_cgroup("adopted");
    Signal made, governed;
    Child child{cgroup, [&] {
                    const UniqueFd old = stream(AF_INET);
                    made.give();
                    governed.wait();
                    connect_to(old.get(), target("192.0.2.7", 5));
                    return peer_of(old.get());
                }};
    ASSERT_TRUE(made.wait());
    ASSERT_TRUE(redirector->govern(cgroup, "adopted"));
    governed.give();
    const auto origin = accept_origin(proxy4);
    EXPECT_EQ(workload_of(origin), "adopted");
    EXPECT_EQ(child.result(), "192.0.2.7:5");
}

TEST_F(Workloads, AnAdoptedProcessSendsNoMoreOverItsOldConnections) {
    const auto cgroup = make_cgroup("adopted");
    const Listener elsewhere = listen_on("127.0.0.1");
    Signal governed;
    Child child{cgroup, [&] {
                    const UniqueFd fd = stream(AF_INET);
                    connect_to(fd.get(), target("127.0.0.1", elsewhere.port));
                    if (::send(fd.get(), "a", 1, 0) != 1) return std::string{"not sent"};
                    governed.wait();
                    (void)!::send(fd.get(), "b", 1, MSG_NOSIGNAL);
                    readable(fd.get(), 60'000);
                    return std::string{};
                }};
    const UniqueFd accepted = accept_from(elsewhere);
    char byte;
    ASSERT_EQ(::recv(accepted.get(), &byte, 1, 0), 1);
    const auto dropped = redirector->counters()->dropped_packets;
    ASSERT_TRUE(redirector->govern(cgroup, "adopted"));
    governed.give();
    EXPECT_FALSE(readable(accepted.get(), 500)) << "a governed process spoke past the proxy";
    EXPECT_GT(redirector->counters()->dropped_packets, dropped);
}

TEST_F(Workloads, AnAdoptedServerServesWhomPolicyNames) {
    const auto cgroup = make_cgroup("adopted");
    Signal governed;
    int port_pipe[2];
    ASSERT_EQ(::pipe(port_pipe), 0);
    Child child{cgroup, [&] {
                    const Listener server = listen_on("127.0.0.1");
                    (void)!::write(port_pipe[1], &server.port, sizeof(server.port));
                    governed.wait();
                    const UniqueFd fd = accept_from(server);
                    return ::send(fd.get(), "served", 6, 0) == 6 ? std::string{"ok"}
                                                                 : error_name(errno);
                }};
    std::uint16_t port = 0;
    ASSERT_EQ(::read(port_pipe[0], &port, sizeof(port)), ssize_t(sizeof(port)));
    const auto workload = redirector->govern(cgroup, "adopted");
    ASSERT_TRUE(workload);
    governed.give();
    const UniqueFd fd = stream(AF_INET);
    ASSERT_TRUE(redirector->mark_dial(fd.get(), *workload));
    EXPECT_EQ(connect_to(fd.get(), target("127.0.0.1", port)), "ok");
    char text[6];
    EXPECT_TRUE(readable(fd.get()));
    EXPECT_EQ(::recv(fd.get(), text, sizeof(text), MSG_WAITALL), 6);
    EXPECT_EQ(child.result(), "ok");
    ::close(port_pipe[0]);
    ::close(port_pipe[1]);
}

TEST_F(Workloads, ASocketHandedOutsideStaysTheCreators) {
    const auto agent = make_agent("agent");
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    EXPECT_EQ(run_in(agent,
                     [&] {
                         send_fd(ends[0], stream(AF_INET).get());
                         return std::string{};
                     }),
              "");
    EXPECT_EQ(run_in(outside,
                     [&] {
                         const UniqueFd fd = receive_fd(ends[1]);
                         return connect_to(fd.get(), target("192.0.2.7", 1));
                     }),
              "ok");
    EXPECT_EQ(workload_of(accept_origin(proxy4)), "agent");
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(Workloads, AReleasedOneIsNotGoverned) {
    const auto cgroup = make_agent("agent");
    const Listener elsewhere = listen_on("127.0.0.1");
    ASSERT_TRUE(redirector->release(*cgroup_id(cgroup)));
    EXPECT_EQ(run_in(cgroup, [&] { return try_connect("127.0.0.1", elsewhere.port); }), "ok");
    EXPECT_TRUE(accept_from(elsewhere));
    EXPECT_EQ(redirector->list()->size(), 0U);
    EXPECT_EQ(redirector->release(*cgroup_id(cgroup)).error().code, Errc::NotFound);
}

TEST_F(Workloads, AnOriginOfAFormerRegistrationIsExpired) {
    const auto cgroup = make_agent("agent");
    EXPECT_EQ(run_in(cgroup, [] { return try_connect("192.0.2.7", 1); }), "ok");
    const UniqueFd accepted = accept_from(proxy4);
    ASSERT_TRUE(redirector->origin(accepted.get()));
    ASSERT_TRUE(redirector->release(*cgroup_id(cgroup)));
    EXPECT_EQ(redirector->origin(accepted.get()).error().code, Errc::Expired);
    ASSERT_TRUE(redirector->govern(cgroup, "another"));
    EXPECT_EQ(redirector->origin(accepted.get()).error().code, Errc::Expired);
}

TEST_F(Workloads, GoverningAgainRenames) {
    const auto cgroup = make_agent("agent");
    ASSERT_TRUE(redirector->govern(cgroup, "renamed"));
    EXPECT_EQ(run_in(cgroup, [] { return try_connect("192.0.2.7", 1); }), "ok");
    EXPECT_EQ(workload_of(accept_origin(proxy4)), "renamed");
    EXPECT_EQ(redirector->list()->size(), 1U);
}

TEST_F(Workloads, RefusesWhatMustNotBeGoverned) {
    const auto code = [&](const std::filesystem::path& path, std::string_view name) {
        const auto governed = redirector->govern(path, name);
        return governed ? Errc{} : governed.error().code;
    };
    const auto deep = make_cgroup("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15");
    EXPECT_EQ(code(*find_cgroup2(), "root"), Errc::Invalid);
    EXPECT_EQ(code(outside.parent_path(), "above the proxy"), Errc::Invalid);
    EXPECT_EQ(code(outside.parent_path() / "core", "the proxy"), Errc::Invalid);
    EXPECT_EQ(code(deep, "deep"), Errc::Invalid);
    EXPECT_EQ(code(outside, ""), Errc::Invalid);
    EXPECT_EQ(code(outside, std::string(64, 'x')), Errc::Invalid);
    EXPECT_EQ(code("/tmp", "no cgroup"), Errc::Invalid);
    EXPECT_EQ(code(outside / "none", "nothing"), Errc::NotFound);
    EXPECT_EQ(redirector->list()->size(), 0U);
}

TEST_F(Workloads, AFailedGovernLeavesNothing) {
    const auto cgroup = make_cgroup("agent");
    // A directory where a pin has to go makes the last attachments fail.
    const auto links = options().pin_dir / version() / "links";
    char name[17];
    std::snprintf(name, sizeof(name), "%016llx",
                  static_cast<unsigned long long>(*cgroup_id(cgroup)));
    std::filesystem::create_directories(links / name / "chap_agent");
    const auto governed = redirector->govern(cgroup, "agent");
    ASSERT_FALSE(governed);
    EXPECT_EQ(redirector->list()->size(), 0U);
    const Listener elsewhere = listen_on("127.0.0.1");
    EXPECT_EQ(run_in(cgroup, [&] { return try_connect("127.0.0.1", elsewhere.port); }), "ok");
    EXPECT_TRUE(accept_from(elsewhere)) << "a program stayed attached";
}

}  // namespace

}  // namespace chaperone::kernel::testing
