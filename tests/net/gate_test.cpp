// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/gate.h"

#include "policy/engine/session_policy.h"
#include "tests/net/runner.h"
#include "userspace/record/reader.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace chaperone::net {
namespace {

class GateOutcomes : public Runner {
protected:
    void SetUp() override {
        Runner::SetUp();
        auto facts = std::make_shared<policy::SessionFacts>();
        facts->id = "one";
        live_ = std::make_shared<LiveSession>(facts->id, [](auto) {}, facts);
        // What is refused is a request like any other.
        gate_ = std::make_unique<Gate>(shared_, live_, facts, "not today", [](auto) {});
        ASSERT_TRUE(gate_->open("127.0.0.1", 1));
    }

    std::uint64_t ask() {
        policy::Request request;
        request.stage = policy::Stage::Statement;
        request.now = now();
        const auto answer = gate_->ask(request, 0);
        EXPECT_TRUE(answer);
        return answer->request;
    }

    // By request; of several outcomes of one, the last.
    std::map<std::uint64_t, std::int64_t> durations() {
        std::map<std::uint64_t, std::int64_t> all;
        auto reader = record::Reader::open(folder_ / "journal");
        EXPECT_TRUE(reader);
        while (auto stored = *reader->next())
            if (stored->entry.has_result())
                all[stored->entry.result().request()] = stored->entry.result().duration();
        return all;
    }

    std::unique_ptr<Gate> gate_;
};

TEST_F(GateOutcomes, HaveTheTimeThatTheirRequestTook) {
    std::vector<std::uint64_t> asked;
    for (int i = 0; i != 7; ++i) asked.push_back(ask());
    for (const std::size_t i : {6U, 4U, 2U, 1U, 0U})
        gate_->record({.request = asked[i], .ok = true});
    auto took = durations();
    ASSERT_EQ(took.size(), 5U);
    // Asked earlier and done later: longer.
    EXPECT_GT(took[asked[6]], 0);
    EXPECT_GT(took[asked[4]], took[asked[6]]);
    EXPECT_GT(took[asked[2]], took[asked[4]]);
    EXPECT_GT(took[asked[1]], took[asked[2]]);
    EXPECT_GT(took[asked[0]], took[asked[1]]);
    gate_->record({.request = asked[2], .ok = true});
    EXPECT_EQ(durations()[asked[2]], 0) << "nobody waited for it any more";
}

TEST_F(GateOutcomes, ComeInWhateverOrder) {
    std::mt19937 chance{1};
    std::vector<std::uint64_t> open;
    std::size_t asked = 0;
    for (int i = 0; i != 4000; ++i) {
        if (open.empty() || chance() % 2 == 0) {
            open.push_back(ask());
            ++asked;
            continue;
        }
        const auto at = open.begin() + static_cast<std::ptrdiff_t>(chance() % open.size());
        gate_->record({.request = *at, .ok = true});
        open.erase(at);
    }
    const auto took = durations();
    EXPECT_EQ(took.size(), asked - open.size());
    for (const auto& [request, duration] : took) EXPECT_GT(duration, 0) << request;
}

}  // namespace
}  // namespace chaperone::net
