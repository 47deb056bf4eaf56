// SPDX-License-Identifier: Apache-2.0
// A connect in a network namespace where nobody listens for us yet: it waits while the daemon is
// there, or was a moment ago and may be starting again; else it is refused at once and told of.
#include "tests/kernel/support.h"

#include <sched.h>
#include <sys/socket.h>

#include <cstdlib>

namespace chaperone::kernel::testing {

namespace {

class Waiting : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        agent = make_agent("agent");
    }
    std::string connects() const {
        return run_in(agent, [] {
            if (::unshare(CLONE_NEWNET) != 0 || std::system("ip link set lo up") != 0)
                return std::string{"no namespace"};
            const UniqueFd fd = stream(AF_INET, SOCK_NONBLOCK);
            return connect_to(fd.get(), target("192.0.2.7", 5432));
        });
    }
    std::filesystem::path agent;
};

TEST_F(Waiting, ForADaemonThatIsThere) {
    ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}, 15432));
    EXPECT_EQ(connects(), "EINPROGRESS");
}

TEST_F(Waiting, ForOneThatMayBeStartingAgain) {
    ASSERT_TRUE(redirector->answer_for(std::chrono::seconds{1}));
    ASSERT_TRUE(redirector->lend({}, 15432));
    EXPECT_EQ(connects(), "EINPROGRESS");
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    ASSERT_FALSE(denials->empty());
    for (const Denial& one : *denials) EXPECT_EQ(one.kind, Denial::Kind::Namespace);
}

TEST_F(Waiting, ForNobody) {
    ASSERT_TRUE(redirector->lend({}, 15432));
    EXPECT_EQ(connects(), "ECONNREFUSED");
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    bool told = false;
    for (const Denial& one : *denials)
        told = told || (one.kind == Denial::Kind::Connect &&
                        one.destination.to_text() == "192.0.2.7:5432" && one.workload == "agent");
    EXPECT_TRUE(told);
}

}  // namespace

}  // namespace chaperone::kernel::testing
