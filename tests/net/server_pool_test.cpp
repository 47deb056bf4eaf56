// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/server_pool.h"

#include "policy/request.h"
#include "tests/net/wires.h"
#include "userspace/net/http_credential.h"
#include "userspace/net/target.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

namespace chaperone::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Pool : public testing::Test {
protected:
    void SetUp() override { pool_.keep_for(seconds{4}); }

    struct Parts {
        policy::SessionFacts facts{};
        Target target{};
        ServerUse use{};
    };
    static ServerUse use(const std::function<void(Parts&)>& change = {}) {
        auto facts = std::make_shared<policy::SessionFacts>();
        auto target = std::make_shared<Target>();
        Parts parts;
        parts.facts.workload = "w";
        parts.facts.resource = parts.target.resource = "r";
        parts.facts.protocol = parts.target.protocol = "http";
        parts.facts.identity.subject = "agent:one";
        parts.target.host = "192.0.2.1";
        parts.target.port = 443;
        parts.use.generation = 1;
        parts.use.tls = true;
        parts.use.offers = {"http/1.1"};
        if (change) change(parts);
        *facts = std::move(parts.facts);
        *target = std::move(parts.target);
        parts.use.facts = std::move(facts);
        parts.use.target = std::move(target);
        return std::move(parts.use);
    }
    // The server's end of one that was put there.
    Stream put(ServerUse its) {
        Wire wire = connected(context_);
        pool_.put(std::move(its), {std::move(wire.ours), "http/1.1", now_}, now_);
        return std::move(wire.theirs);
    }
    void settle() {
        context_.restart();
        context_.run_for(milliseconds{50});
    }
    static bool is_closed(Stream& end) {
        std::array<std::byte, 1> one{};
        for (int i = 0; i != 1000; ++i) {
            const auto moved = end.read(one);
            if (moved.state != Stream::State::WouldBlock)
                return moved.state == Stream::State::Closed;
            std::this_thread::yield();
        }
        return false;
    }
    static std::size_t descriptors() {
        const std::filesystem::directory_iterator all{"/proc/self/fd"};
        return static_cast<std::size_t>(std::distance(begin(all), end(all)));
    }

    asio::io_context context_{1};
    ServerPool& pool_ = ServerPool::of(context_);
    ServerPool::Clock::time_point now_ = ServerPool::Clock::now();
};

TEST_F(Pool, GivesWhatWasLeftOnce) {
    Stream end = put(use());
    auto taken = pool_.take(use(), now_ + seconds{3});
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->alpn, "http/1.1");
    EXPECT_TRUE(taken->stream.is_open());
    EXPECT_EQ(pool_.size(), 0u);
    EXPECT_FALSE(pool_.take(use(), now_));
}

TEST_F(Pool, GivesTheLatest) {
    Stream first = put(use());
    Stream second = put(use());
    auto taken = pool_.take(use(), now_);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->stream.is_open(), true);
    taken.reset();
    EXPECT_TRUE(is_closed(second));
    EXPECT_EQ(pool_.size(), 1u);
}

TEST_F(Pool, GivesItToNobodyElse) {
    const std::vector<std::function<void(Parts&)>> others{
        [](Parts& p) { p.facts.workload = "x"; },
        [](Parts& p) { p.facts.resource = "x"; },
        [](Parts& p) { p.facts.protocol = "tcp"; },
        [](Parts& p) { p.facts.identity.subject = "agent:two"; },
        [](Parts& p) { p.facts.identity.groups = {"g"}; },
        [](Parts& p) { p.facts.identity.issuer = "i"; },
        [](Parts& p) { p.facts.identity.actors = {"ann"}; },
        [](Parts& p) { p.facts.identity.claims = "{}"; },
        [](Parts& p) { p.target.host = "192.0.2.2"; },
        [](Parts& p) { p.target.port = 444; },
        [](Parts& p) { p.target.tls_mode = TlsMode::Require; },
        [](Parts& p) { p.target.tls.verify = tls::Verify::None; },
        [](Parts& p) { p.target.tls.server_name = "other"; },
        [](Parts& p) { p.target.tls.ca = "pem"; },
        [](Parts& p) { p.target.user = "u"; },
        [](Parts& p) { p.target.password = Secret{"p"}; },
        [](Parts& p) { p.target.pass_through = true; },
        [](Parts& p) {
            auto credential = std::make_shared<HttpCredential>();
            credential->value = Secret{"Bearer x"};
            p.target.http_credential = std::move(credential);
        },
        [](Parts& p) { p.use.generation = 2; },
        [](Parts& p) { p.use.tls = false; },
        [](Parts& p) { p.use.offers = {"h2", "http/1.1"}; },
    };
    Stream end = put(use());
    for (std::size_t i = 0; i != others.size(); ++i) {
        EXPECT_FALSE(pool_.take(use(others[i]), now_)) << i;
        Stream other = put(use(others[i]));
        EXPECT_EQ(pool_.size(), 2u) << i;
        EXPECT_TRUE(pool_.take(use(others[i]), now_)) << i;
    }
    EXPECT_TRUE(pool_.take(use(), now_));
}

TEST_F(Pool, TakesNoneThatIsBound) {
    Stream a = put(use([](Parts& p) { p.target.tls.certificate = "pem"; }));
    Stream b =
        put(use([](Parts& p) { p.target.before_connect = [](int) -> Result<> { return {}; }; }));
    EXPECT_TRUE(is_closed(a));
    EXPECT_TRUE(is_closed(b));
    EXPECT_EQ(pool_.size(), 0u);
}

TEST_F(Pool, DropsOneAtWhichTheServerCloses) {
    put(use()).close();
    settle();
    EXPECT_EQ(pool_.size(), 0u);
}

TEST_F(Pool, DropsOneAtWhichTheServerSpeaks) {
    Stream end = put(use());
    const iovec word{const_cast<char*>("x"), 1};
    (void)end.write({&word, 1});
    settle();
    EXPECT_EQ(pool_.size(), 0u);
    EXPECT_TRUE(is_closed(end));
}

TEST_F(Pool, GivesNoneOfWhichTheEndWasNotTold) {
    Stream spoken = put(use());
    const iovec word{const_cast<char*>("x"), 1};
    (void)spoken.write({&word, 1});
    put(use()).close();
    EXPECT_EQ(pool_.size(), 2u);
    EXPECT_FALSE(pool_.take(use(), now_));
    EXPECT_EQ(pool_.size(), 0u);
}

TEST_F(Pool, KeepsNoneInWhichSomethingWaits) {
    Wire wire = connected(context_);
    const iovec word{const_cast<char*>("x"), 1};
    (void)wire.theirs.write({&word, 1});
    pool_.put(use(), {std::move(wire.ours), "", now_}, now_);
    EXPECT_EQ(pool_.size(), 0u);
}

TEST_F(Pool, KeepsThemForATime) {
    Stream end = put(use());
    EXPECT_FALSE(pool_.take(use(), now_ + seconds{4})) << "late, and nobody has looked";
    EXPECT_TRUE(is_closed(end));
    Stream other = put(use());
    pool_.expire(now_ + milliseconds{3999});
    EXPECT_EQ(pool_.size(), 1u);
    pool_.expire(now_ + seconds{4});
    EXPECT_EQ(pool_.size(), 0u);
    EXPECT_TRUE(is_closed(other));
    Wire wire = connected(context_);
    pool_.put(use(), {std::move(wire.ours), "", now_ - ServerPool::kOldest}, now_);
    EXPECT_EQ(pool_.size(), 0u) << "old, however busy it was";
}

TEST_F(Pool, KeepsNoMoreThanItMay) {
    std::vector<Stream> ends;
    for (std::size_t i = 0; i != ServerPool::kMostOfOne + 3; ++i) ends.push_back(put(use()));
    EXPECT_EQ(pool_.size(), ServerPool::kMostOfOne);
    for (std::size_t i = 0; i != ServerPool::kMost; ++i)
        ends.push_back(
            put(use([&](Parts& p) { p.target.port = static_cast<std::uint16_t>(i + 1); })));
    EXPECT_EQ(pool_.size(), ServerPool::kMost);
}

TEST_F(Pool, DropsWhatItIsTold) {
    const std::size_t before = descriptors();
    {
        Stream a = put(use());
        Stream b = put(use([](Parts& p) { p.facts.workload = "x"; }));
        pool_.drop_workload("x");
        EXPECT_TRUE(is_closed(b));
        EXPECT_EQ(pool_.size(), 1u);
        pool_.drop_all();
        EXPECT_TRUE(is_closed(a));
        Stream c = put(use());
        EXPECT_EQ(pool_.size(), 1u);
        pool_.shut();
        EXPECT_TRUE(is_closed(c));
        Stream d = put(use());
        EXPECT_TRUE(is_closed(d)) << "nothing is kept behind the end";
    }
    EXPECT_EQ(descriptors(), before);
}

TEST(PoolOff, KeepsNothingUnlessItIsTold) {
    asio::io_context context{1};
    Wire wire = connected(context);
    auto& pool = ServerPool::of(context);
    const ServerUse its{std::make_shared<policy::SessionFacts>(), std::make_shared<Target>(), 1};
    pool.put(its, {std::move(wire.ours), "", ServerPool::Clock::now()}, ServerPool::Clock::now());
    EXPECT_EQ(pool.size(), 0u);
}

}  // namespace
}  // namespace chaperone::net
