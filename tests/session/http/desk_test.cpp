// SPDX-License-Identifier: Apache-2.0
// Our own desk, asked over HTTP/2.
#include "userspace/session/http/desk.h"

#include "tests/support/http2_fixture.h"

#include <gtest/gtest.h>

namespace chaperone::session::test {
namespace {

class Clerk final : public Desk {
    std::optional<LocalResponse> answer(const policy::SessionFacts&,
                                        const policy::http::Facts& request, Time since,
                                        Time now) override {
        if (request.raw_path() == "/wait" && now - since < std::chrono::seconds{2})
            return std::nullopt;
        return LocalResponse{.status = 200, .body = std::string{request.raw_path()}};
    }
};

TEST(DeskOverHttp2, AnswersInsteadOfAServer) {
    HttpConfig config;
    config.desk = std::make_shared<Clerk>();
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, SIZE_MAX}) {
        Http2Fixture f{piece, config};
        const auto one = f.get("/one");
        const auto wait = f.get("/wait");
        const auto two = f.post("/two", "abc");
        EXPECT_EQ(f.agent.bodies[one], "/one");
        EXPECT_EQ(f.agent.bodies[two], "/two");
        f.tick(std::chrono::seconds{1});
        EXPECT_EQ(f.agent.bodies[wait], "");
        const auto left = f.get("/wait");
        f.at_agent->reset(left, wire::http2::Code::Cancel);
        f.tick(std::chrono::seconds{2});
        EXPECT_EQ(f.agent.bodies[wait], "/wait");
        EXPECT_TRUE(f.server.took().empty());
        EXPECT_FALSE(f.ended);
    }
}

}  // namespace
}  // namespace chaperone::session::test
