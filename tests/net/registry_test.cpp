// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/registry.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace chaperone::net {
namespace {

LivePtr session(std::string id) {
    auto live = std::make_shared<LiveSession>(std::move(id), [](auto) {});
    live->facts.with([](auto& facts) { facts = std::make_shared<policy::SessionFacts>(); });
    return live;
}

TEST(Registry, FindsASessionByItsKeyUntilItIsForgotten) {
    Registry registry;
    registry.add(session("a"));
    const CancelKey key = registry.new_key("a");
    ASSERT_TRUE(registry.find(key));
    EXPECT_EQ(registry.find(key)->id, "a");
    EXPECT_FALSE(registry.find(CancelKey{key.pid, key.secret + 1}));
    registry.forget_key(key);
    EXPECT_FALSE(registry.find(key));
}

TEST(Registry, GivesEachSessionAKeyOfItsOwn) {
    Registry registry;
    std::set<CancelKey> keys;
    for (int i = 0; i != 1000; ++i) keys.insert(registry.new_key("a"));
    EXPECT_EQ(keys.size(), 1000U);
}

TEST(Registry, IsUsedFromManyThreads) {
    Registry registry;
    const auto work = [&](int number) {
        for (int i = 0; i != 200; ++i) {
            const std::string id = std::to_string(number) + "." + std::to_string(i);
            registry.add(session(id));
            EXPECT_TRUE(registry.find(id));
            (void)registry.all();
            registry.remove(id);
        }
    };
    std::thread a{work, 1}, b{work, 2}, c{work, 3};
    a.join(), b.join(), c.join();
    EXPECT_EQ(registry.size(), 0U);
}

}  // namespace
}  // namespace chaperone::net
