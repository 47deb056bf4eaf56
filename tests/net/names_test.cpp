// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/names.h"

#include "userspace/net/dns_upstream.h"

#include <gtest/gtest.h>

namespace chaperone::net {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using List = std::vector<std::string>;

constexpr Names::Moment kNow{std::chrono::hours{500'000}};

TEST(Names, TheLatestComesFirst) {
    Names names;
    names.learn("w", "a.x", "10.0.0.1", minutes{10}, kNow);
    names.learn("w", "b.x", "10.0.0.1", minutes{10}, kNow);
    EXPECT_EQ(names.of("w", "10.0.0.1", kNow), (List{"b.x", "a.x"}));
    names.learn("w", "a.x", "10.0.0.1", minutes{10}, kNow);
    EXPECT_EQ(names.of("w", "10.0.0.1", kNow), (List{"a.x", "b.x"}));
    EXPECT_TRUE(names.of("w", "10.0.0.2", kNow).empty());
}

TEST(Names, AreFoundAtAllTheirAddresses) {
    Names names;
    names.learn("w", "a.x", "10.0.0.1", minutes{10}, kNow);
    names.learn("w", "a.x", "fd00::1", minutes{20}, kNow);
    names.learn("w", "b.x", "10.0.0.2", minutes{10}, kNow);
    EXPECT_EQ(names.addresses("w", "a.x", kNow), (List{"fd00::1", "10.0.0.1"}));
    EXPECT_EQ(names.addresses("w", "a.x", kNow + minutes{15}), (List{"fd00::1"}));
    EXPECT_TRUE(names.addresses("v", "a.x", kNow).empty());
}

TEST(Names, AreTheWorkloadsOwn) {
    Names names;
    names.learn("w", "a.x", "10.0.0.1", minutes{10}, kNow);
    EXPECT_TRUE(names.of("v", "10.0.0.1", kNow).empty());
    names.forget("w");
    EXPECT_TRUE(names.of("w", "10.0.0.1", kNow).empty());
}

TEST(Names, HoldForTheirTimeWithinBounds) {
    Names names;
    names.learn("w", "short", "10.0.0.1", seconds{0}, kNow);
    names.learn("w", "long", "10.0.0.2", std::chrono::hours{1000}, kNow);
    names.learn("w", "hour", "10.0.0.3", minutes{60}, kNow);
    EXPECT_EQ(names.of("w", "10.0.0.1", kNow + Names::kLeast - seconds{1}).size(), 1U);
    EXPECT_TRUE(names.of("w", "10.0.0.1", kNow + Names::kLeast).empty());
    EXPECT_EQ(names.of("w", "10.0.0.3", kNow + minutes{59}).size(), 1U);
    EXPECT_TRUE(names.of("w", "10.0.0.3", kNow + minutes{60}).empty());
    EXPECT_TRUE(names.of("w", "10.0.0.2", kNow + Names::kMost).empty());
    EXPECT_EQ(names.all(kNow + minutes{59}).size(), 2U);
}

TEST(Names, AreBounded) {
    Names names;
    for (std::size_t i = 0; i != Names::kNamesOfOne + 4; ++i)
        names.learn("w", std::to_string(i), "10.0.0.1", minutes{10}, kNow);
    EXPECT_EQ(names.of("w", "10.0.0.1", kNow).size(), Names::kNamesOfOne);
    EXPECT_EQ(names.of("w", "10.0.0.1", kNow).front(), std::to_string(Names::kNamesOfOne + 3));
    for (std::size_t i = 0; i != 3 * Names::kAddresses; ++i)
        names.learn("w", "n", "a" + std::to_string(i), minutes{10} + seconds{i}, kNow);
    EXPECT_LE(names.all(kNow).size(), Names::kAddresses);
    EXPECT_EQ(names.of("w", "a" + std::to_string(3 * Names::kAddresses - 1), kNow).size(), 1U);
}

TEST(DnsServers, AreAddressesWithPorts) {
    const auto shown = [](std::string_view text) {
        const auto server = parse_dns_server(text);
        return server ? server->address().to_string() + " " + std::to_string(server->port())
                      : "none";
    };
    EXPECT_EQ(shown("10.0.0.2"), "10.0.0.2 53");
    EXPECT_EQ(shown("10.0.0.2:5353"), "10.0.0.2 5353");
    EXPECT_EQ(shown("fd00::53"), "fd00::53 53");
    EXPECT_EQ(shown("[fd00::53]:5353"), "fd00::53 5353");
    EXPECT_EQ(shown("[fd00::53]"), "fd00::53 53");
    for (const char* bad : {"", "dns.internal", "10.0.0.2:0", "10.0.0.2:", "10.0.0.2:65536",
                            "10.0.0.2:5x", "[fd00::53", "[fd00::53]5", "10.0.0"})
        EXPECT_EQ(shown(bad), "none") << bad;
}

TEST(DnsServers, OfResolvConf) {
    const auto conf = parse_resolv_conf(
        "# c\nnameserver 127.0.0.53\n; x\nsearch Corp.Example. lab.example\nnameserver\tfd00::1\r\n"
        "nameserver nonsense\noptions edns0 trust-ad\nnameserver 10.0.0.3\nnameserver 10.0.0.4");
    ASSERT_EQ(conf.servers.size(), 3U);
    EXPECT_EQ(conf.servers[0].address().to_string(), "127.0.0.53");
    EXPECT_EQ(conf.servers[1].address().to_string(), "fd00::1");
    EXPECT_EQ(conf.servers[2].address().to_string(), "10.0.0.3");
    EXPECT_EQ(conf.search, (List{"corp.example", "lab.example"}));
    EXPECT_TRUE(parse_resolv_conf("").servers.empty());
}

}  // namespace
}  // namespace chaperone::net
