// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/placement.h"

#include <gtest/gtest.h>

#include <vector>

namespace chaperone::net {
namespace {

// How many of `count` sessions that come at once each thread gets, if one accepts them all.
std::vector<std::size_t> burst(std::size_t count, std::size_t threads, unsigned processors,
                               std::size_t here = 0) {
    std::vector<ThreadLoad> loads(threads);
    for (std::size_t i = 0; i != count; ++i) {
        ThreadLoad& chosen = loads[place_session(loads, here, processors)];
        ++chosen.sessions;
        ++chosen.recent;
    }
    std::vector<std::size_t> sessions;
    for (const ThreadLoad& load : loads) sessions.push_back(load.sessions);
    return sessions;
}

TEST(Placement, FewSessionsKeepTogetherWhereProcessorsAreFew) {
    EXPECT_EQ(burst(8, 2, 2), (std::vector<std::size_t>{8, 0}));
}

TEST(Placement, ManyAreSpreadEvenly) {
    EXPECT_EQ(burst(16, 2, 2), (std::vector<std::size_t>{8, 8}));
    EXPECT_EQ(burst(100, 2, 2), (std::vector<std::size_t>{52, 48}));
    EXPECT_EQ(burst(100, 2, 2, 1), (std::vector<std::size_t>{48, 52}));
    EXPECT_EQ(burst(8, 8, 16), (std::vector<std::size_t>(8, 1)));
}

TEST(Placement, ABusyThreadGetsNoMore) {
    const ThreadLoad loads[] = {{.sessions = 2, .busy = 90}, {.sessions = 20, .busy = 10}};
    EXPECT_EQ(place_session(loads, 0, 2), 1u);
    const ThreadLoad both[] = {{.sessions = 2, .busy = 90}, {.sessions = 20, .busy = 70}};
    EXPECT_EQ(place_session(both, 1, 2), 0u);
}

TEST(Placement, IdleSessionsDoNotPileUpOnOneThread) {
    const ThreadLoad loads[] = {{.sessions = 64}, {.sessions = 0}};
    EXPECT_EQ(place_session(loads, 0, 2), 1u);
}

TEST(Placement, WhatComesAndGoesStaysWhereItWasAccepted) {
    const ThreadLoad loads[] = {{.sessions = 3, .busy = 80}, {.sessions = 5, .busy = 80}};
    EXPECT_EQ(place_session(loads, 0, 2), 0u);
    EXPECT_EQ(place_session(loads, 1, 2), 1u);
}

TEST(Placement, OneThreadTakesAll) {
    const ThreadLoad loads[] = {{.sessions = 5, .busy = 100, .recent = 100}};
    EXPECT_EQ(place_session(loads, 0, 2), 0u);
}

}  // namespace
}  // namespace chaperone::net
