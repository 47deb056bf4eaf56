// SPDX-License-Identifier: Apache-2.0
// Which resource a destination is.
#include "tests/policy/bundle/support.h"

namespace chaperone::policy {
namespace {

constexpr std::string_view kHosts = R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: exact}
spec: {protocol: postgresql, hosts: [db.internal, 10.1.2.3, "fd00::7"]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: wild}
spec: {protocol: postgresql, hosts: ["*.internal", 10.1.0.0/16, "fd00::/8"]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: deep}
spec: {protocol: postgresql, hosts: ["*.a.internal", 10.1.2.0/24]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: any}
spec: {protocol: postgresql, hosts: ["*"], ports: [7000]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: datagrams}
spec: {protocol: udp, hosts: [10.1.2.3], ports: [5432]}
)";

struct Dial {
    const char* name;
    const char* host;
    const char* address;
    std::uint16_t port;
    const char* resource;
};

class Hosts : public testing::TestWithParam<Dial> {};

TEST_P(Hosts, FindTheMostSpecific) {
    static const auto kBundle = load_files({{"a.yaml", std::string{kHosts}}});
    ASSERT_TRUE(kBundle.bundle) << bundle::to_text(kBundle.issues);
    const Dial& dial = GetParam();
    const bundle::Resource* got = kBundle.bundle->resource_for(
        {.address = dial.address, .port = dial.port, .name = dial.host});
    EXPECT_EQ(got == nullptr ? "" : got->metadata.name, dial.resource);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, Hosts, testing::Values(
    Dial{"Exact",       "db.internal",    "192.0.2.1", 5432, "exact"},
    Dial{"Case",        "DB.Internal.",   "192.0.2.1", 5432, "exact"},
    Dial{"Wildcard",    "x.internal",     "192.0.2.1", 5432, "wild"},
    Dial{"DeepWildcard","x.y.internal",   "192.0.2.1", 5432, "wild"},
    Dial{"Longer",      "x.a.internal",   "192.0.2.1", 5432, "deep"},
    Dial{"NotTheApex",  "internal",       "192.0.2.1", 5432, ""},
    Dial{"NotASuffix",  "xinternal",      "192.0.2.1", 5432, ""},
    Dial{"Address",     "",               "10.1.2.3",  5432, "exact"},
    Dial{"Mapped",      "",               "::ffff:10.1.2.3", 5432, "exact"},
    Dial{"Prefix24",    "",               "10.1.2.4",  5432, "deep"},
    Dial{"Prefix16",    "",               "10.1.9.4",  5432, "wild"},
    Dial{"Outside",     "",               "10.2.0.1",  5432, ""},
    Dial{"V6",          "",               "fd00::7",   5432, "exact"},
    Dial{"V6Prefix",    "",               "fd12::1",   5432, "wild"},
    Dial{"NameFirst",   "x.internal",     "10.1.2.3",  5432, "wild"},
    Dial{"AddressThen", "unknown.test",   "10.1.2.3",  5432, "exact"},
    Dial{"Port",        "db.internal",    "10.1.2.3",  5433, ""},
    Dial{"Any",         "db.internal",    "10.1.2.3",  7000, "any"},
    Dial{"NoAddress",   "",               "nonsense",  5432, ""}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(HostsUdp, DatagramsAndStreamsDoNotMeet) {
    const auto loaded = load_files({{"a.yaml", std::string{kHosts}}});
    const Destination destination{.address = "10.1.2.3", .port = 5432};
    EXPECT_EQ(loaded.bundle->resource_for(destination, bundle::Transport::Udp)->metadata.name,
              "datagrams");
}

}  // namespace
}  // namespace chaperone::policy
