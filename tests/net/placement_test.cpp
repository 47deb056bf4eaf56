// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/placement.h"

#include <gtest/gtest.h>

#include <vector>

namespace chaperone::net {
namespace {

// How many of `count` sessions that come at once each thread gets, if one accepts them all.
std::vector<std::size_t> burst(std::size_t count, std::size_t threads, std::size_t here = 0) {
    std::vector<ThreadLoad> loads(threads);
    for (std::size_t i = 0; i != count; ++i) ++loads[place_session(loads, here)].sessions;
    std::vector<std::size_t> sessions;
    for (const ThreadLoad& load : loads) sessions.push_back(load.sessions);
    return sessions;
}

TEST(Placement, AFewStayWhereTheyWereAccepted) {
    EXPECT_EQ(burst(4, 2), (std::vector<std::size_t>{4, 0}));
    EXPECT_EQ(burst(4, 2, 1), (std::vector<std::size_t>{0, 4}));
}

TEST(Placement, ManyAreSpread) {
    EXPECT_EQ(burst(8, 2), (std::vector<std::size_t>{6, 2}));
    EXPECT_EQ(burst(100, 2), (std::vector<std::size_t>{52, 48}));
    EXPECT_EQ(burst(100, 2, 1), (std::vector<std::size_t>{48, 52}));
}

TEST(Placement, ABusyThreadGetsNoMoreWhereAnotherHasTime) {
    const ThreadLoad loads[] = {{.sessions = 2, .busy = 95}, {.sessions = 20, .busy = 10}};
    EXPECT_EQ(place_session(loads, 0), 1u);
    const ThreadLoad both[] = {{.sessions = 2, .busy = 95}, {.sessions = 20, .busy = 70}};
    EXPECT_EQ(place_session(both, 0), 0u);
}

TEST(Placement, ABusyThreadDoesNotGiveAllToOne) {
    const ThreadLoad loads[] = {{.sessions = 2, .busy = 95}, {.sessions = 66, .busy = 10}};
    EXPECT_EQ(place_session(loads, 0), 0u);
}

TEST(Placement, IdleSessionsDoNotPileUpOnOneThread) {
    const ThreadLoad loads[] = {{.sessions = 64}, {.sessions = 0}};
    EXPECT_EQ(place_session(loads, 0), 1u);
}

TEST(Placement, WhatComesAndGoesStaysWhereItWasAccepted) {
    const ThreadLoad loads[] = {{.sessions = 3, .busy = 80}, {.sessions = 5, .busy = 80}};
    EXPECT_EQ(place_session(loads, 0), 0u);
    EXPECT_EQ(place_session(loads, 1), 1u);
}

TEST(Placement, OneThreadTakesAll) {
    const ThreadLoad loads[] = {{.sessions = 5, .busy = 100}};
    EXPECT_EQ(place_session(loads, 0), 0u);
}

}  // namespace
}  // namespace chaperone::net
