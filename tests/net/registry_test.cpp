// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/registry.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace chaperone::net {
namespace {

LivePtr session(std::string id) {
    return std::make_shared<LiveSession>(
        std::move(id), [](auto) {}, std::make_shared<policy::SessionFacts>());
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

TEST(Registry, TellsSessionsOfOnePidApartByTheirSecrets) {
    Registry registry;
    registry.add(session("a"));
    registry.add(session("b"));
    const CancelKey first = registry.new_key("a");
    const CancelKey a = registry.rename_key(first, 4711);
    const CancelKey b = registry.rename_key(registry.new_key("b"), 4711);
    EXPECT_EQ(a, (CancelKey{4711, first.secret}));
    EXPECT_EQ(registry.find(a)->id, "a");
    EXPECT_EQ(registry.find(b)->id, "b");
    EXPECT_FALSE(registry.find(first));
    registry.forget_key(a);
    EXPECT_FALSE(registry.find(a));
    EXPECT_TRUE(registry.find(b));
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
