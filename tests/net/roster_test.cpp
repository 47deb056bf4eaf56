// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/roster.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

namespace chaperone::net {
namespace {

struct Session {
    std::optional<Roster<Session>::Place> place{};
};

std::shared_ptr<Session> enter(Roster<Session>& roster) {
    Roster<Session>::Place place{roster};
    auto session = std::make_shared<Session>();
    place.is_of(session);
    session->place.emplace(std::move(place));
    return session;
}

TEST(Roster, ListsThoseThatAreThere) {
    Roster<Session> roster;
    const auto one = enter(roster);
    auto two = enter(roster);
    EXPECT_EQ(roster.all(), (std::vector{one, two}));
    two.reset();
    EXPECT_EQ(roster.all(), (std::vector{one}));
}

// A list that were swept now and then would hold the memory of what has ended.
TEST(Roster, HoldsNothingOfThoseThatAreGone) {
    Roster<Session> roster;
    for (int i = 0; i != 1000; ++i) {
        const std::weak_ptr<Session> seen = enter(roster);
        EXPECT_TRUE(seen.expired());
        EXPECT_EQ(roster.size(), 0U);
    }
}

TEST(Roster, KnowsAPlaceWhoseOwnerIsStillToCome) {
    Roster<Session> roster;
    const Roster<Session>::Place place{roster};
    EXPECT_TRUE(roster.all().empty());
    EXPECT_EQ(roster.size(), 1U);
}

// One may end others while all are told something.
TEST(Roster, LetsThemGoWhileItIsWalked) {
    Roster<Session> roster;
    std::vector<std::shared_ptr<Session>> owners;
    for (int i = 0; i != 3; ++i) owners.push_back(enter(roster));
    int told = 0;
    for (const auto& one : roster.all()) {
        ++told;
        EXPECT_TRUE(one->place);
        owners.clear();
    }
    EXPECT_EQ(told, 3);
    EXPECT_EQ(roster.size(), 0U);
}

}  // namespace
}  // namespace chaperone::net
