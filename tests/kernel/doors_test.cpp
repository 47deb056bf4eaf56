// SPDX-License-Identifier: Apache-2.0
// Unix sockets of others: which of them a governed process may call, by path and by abstract name.
// Each is called ungoverned first, so that what is refused is known to be there.
#include "bpf/shared/abi.h"
#include "tests/kernel/support.h"

#include <cstddef>
#include <cstring>

#include <sys/un.h>
#include <unistd.h>

namespace chaperone::kernel::testing {

namespace {

using Action = Verdict::Action;

struct Named {
    sockaddr_un address{};
    socklen_t size = 0;
};

// "@" stands for the NUL of an abstract name.
Named named(const std::string& name) {
    Named made;
    made.address.sun_family = AF_UNIX;
    name.copy(made.address.sun_path, sizeof(made.address.sun_path));
    made.size = socklen_t(offsetof(sockaddr_un, sun_path) + name.size());
    if (name.starts_with('@'))
        made.address.sun_path[0] = 0;
    else if (name.size() < sizeof(made.address.sun_path))
        ++made.size;
    return made;
}

std::string call(const std::string& name, int type = SOCK_STREAM) {
    const UniqueFd fd{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
    const Named to = named(name);
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return error_name(::connect(fd.get(), address, to.size) == 0 ? 0 : errno);
}

std::string send_to(const std::string& name) {
    const UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const Named to = named(name);
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return error_name(::sendto(fd.get(), "x", 1, 0, address, to.size) < 0 ? errno : 0);
}

// A socket that answers to this name, as long as it lives.
class Bell {
public:
    explicit Bell(const std::string& name, int type = SOCK_STREAM)
        : name_(name), fd_(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
        const Named at = named(name);
        const auto* address = reinterpret_cast<const sockaddr*>(&at.address);
        EXPECT_EQ(::bind(fd_.get(), address, at.size), 0) << name << error_name(errno);
        if (type != SOCK_DGRAM) EXPECT_EQ(::listen(fd_.get(), 16), 0);
    }
    ~Bell() {
        if (name_.starts_with('/')) ::unlink(name_.c_str());
    }
    bool rang() const { return readable(fd_.get(), 0); }

private:
    std::string name_;
    UniqueFd fd_;
};

}  // namespace

class DoorsTest : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        ASSERT_EQ(redirector->no_doors(), "");
        agent = make_agent("agent");
        id = cgroup_id(agent).value();
        folder = "/tmp/chaperone-" + tag;
        std::filesystem::create_directory(folder);
    }
    void TearDown() override {
        std::filesystem::remove_all(folder);
        KernelTest::TearDown();
    }

    void set(std::vector<Door> doors) {
        auto done = redirector->set_doors(id, doors);
        ASSERT_TRUE(done) << done.error().message();
    }
    std::string calls(const std::string& name, int type = SOCK_STREAM) {
        return run_in(agent, [&] { return call(name, type); });
    }

    std::filesystem::path agent;
    std::uint64_t id = 0;
    std::string folder;
};

TEST_F(DoorsTest, AreShutUnlessOpened) {
    const std::string path = folder + "/docker.sock", abstract = "@" + tag;
    const Bell by_path{path}, by_name{abstract}, datagrams{folder + "/log", SOCK_DGRAM},
        packets{folder + "/packets", SOCK_SEQPACKET};
    EXPECT_EQ(run_in(outside, [&] { return call(path); }), "ok");
    EXPECT_EQ(run_in(outside, [&] { return call(abstract); }), "ok");
    EXPECT_EQ(run_in(outside, [&] { return send_to(folder + "/log"); }), "ok");
    EXPECT_EQ(calls(path), "EPERM");
    EXPECT_EQ(calls(abstract), "EPERM");
    EXPECT_EQ(calls(folder + "/packets", SOCK_SEQPACKET), "EPERM");
    EXPECT_EQ(calls(folder + "/log", SOCK_DGRAM), "EPERM");
    EXPECT_EQ(run_in(agent, [&] { return send_to(folder + "/log"); }), "EPERM");
    EXPECT_FALSE(packets.rang());
    EXPECT_EQ(redirector->counters()->refused_doors, 5U);
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    ASSERT_EQ(denials->size(), 5U);
    EXPECT_EQ((*denials)[0].kind, Denial::Kind::Door);
    EXPECT_EQ((*denials)[0].door, path);
    EXPECT_EQ((*denials)[0].workload, "agent");
    EXPECT_EQ((*denials)[1].door, abstract);
}

TEST_F(DoorsTest, OpenByWholeNames) {
    const std::string path = folder + "/a", longer = folder + "/ab", abstract = "@" + tag,
                      more = abstract + "x";
    const Bell one{path}, two{longer}, three{abstract}, four{more};
    set({{.name = path, .action = Action::Let}, {.name = abstract, .action = Action::Let}});
    EXPECT_EQ(calls(path), "ok");
    EXPECT_EQ(calls(longer), "EPERM");
    EXPECT_EQ(calls(abstract), "ok");
    EXPECT_EQ(calls(more), "EPERM");
    EXPECT_EQ(redirector->counters()->open_doors, 2U);
    // By name alone, another name for it is another; the guard knows the one that it was given.
    EXPECT_EQ(calls(folder + "/./a"), redirector->no_guard().empty() ? "ok" : "EPERM");
}

TEST_F(DoorsTest, OpenByBeginningsAndTheLongestHolds) {
    const Bell one{folder + "/a"}, secret{folder + "/secret"}, three{"@" + tag + "-1"},
        shut{"@" + tag + "-2"};
    set({{.name = folder + "/", .beginning = true, .action = Action::Let},
         {.name = folder + "/secret", .action = Action::Refuse},
         {.name = "@" + tag, .beginning = true, .action = Action::Let},
         {.name = "@" + tag + "-2", .action = Action::Refuse}});
    EXPECT_EQ(calls(folder + "/a"), "ok");
    EXPECT_EQ(calls(folder + "/secret"), "EPERM");
    EXPECT_EQ(calls("@" + tag + "-1"), "ok");
    EXPECT_EQ(calls("@" + tag + "-2"), "EPERM");
}

TEST_F(DoorsTest, TakeNamesAsLongAsThereCanBe) {
    const std::string name = "@" + tag + std::string(CHAP_DOOR_NAME - 1 - tag.size(), 'n');
    const Bell bell{name};
    EXPECT_EQ(calls(name), "EPERM");
    set({{.name = name, .action = Action::Let}});
    EXPECT_EQ(calls(name), "ok");
    const auto denials = redirector->take_denials();
    ASSERT_EQ(denials->size(), 1U);
    EXPECT_EQ(denials->front().door, name);
    EXPECT_FALSE(redirector->set_doors(id, {{{.name = name + "n"}}}));
    EXPECT_FALSE(redirector->set_doors(id, {{{.name = "relative"}}}));
}

TEST_F(DoorsTest, DoNotMindPairsAndConnectedOnes) {
    EXPECT_EQ(run_in(agent,
                     [] {
                         int ends[2];
                         if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
                             return error_name(errno);
                         return error_name(::send(ends[0], "x", 1, 0) == 1 ? 0 : errno);
                     }),
              "ok");
}

TEST_F(DoorsTest, AreTheDeepestWorkloadsOwn) {
    const Bell bell{folder + "/a"};
    set({{.name = folder + "/a", .action = Action::Let}});
    const auto inner = make_agent("agent/inner");
    EXPECT_EQ(run_in(inner, [&] { return call(folder + "/a"); }), "EPERM");
    EXPECT_EQ(redirector->counters()->refused_doors, 1U);
    const auto below = make_cgroup("agent/below");
    EXPECT_EQ(run_in(below, [&] { return call(folder + "/a"); }), "ok");
}

}  // namespace chaperone::kernel::testing
