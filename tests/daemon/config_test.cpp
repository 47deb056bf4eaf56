// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/config.h"

#include <gtest/gtest.h>

namespace chaperone::daemon {
namespace {

TEST(Config, IsAllDefaultsWhereThereIsNothing) {
    for (const char* text : {"", "# only a comment\n", "{}\n"}) {
        const auto config = parse_config("chaperone.yaml", text);
        ASSERT_TRUE(config) << config.error().detail;
        EXPECT_EQ(config->listen.port, 0);
        EXPECT_EQ(config->operators.group, "chaperone");
        EXPECT_EQ(config->agents.dns, Dns::Resolve);
    }
    EXPECT_TRUE(read_config("/nonexistent/chaperone.yaml"));
}

TEST(Config, ReadsEveryKey) {
    const auto config = parse_config("chaperone.yaml", R"(
listen: {port: 15432, threads: 3}
log: {level: debug, format: json}
journal: {sync: always, interval: 2s, segmentSize: 2097152, checkpointEntries: 7}
limits: {maxSessions: 9, maxSessionsPerWorkload: 5, maxStatement: 4096, maxMessage: 65536, connectTimeout: 1s,
         loginTimeout: 2s, drain: 3s}
agents: {dns: direct}
resolver: {servers: [10.0.0.2, "[fd00::53]:5353"], timeout: 2s}
operators: {group: ops}
ca: {key: "pkcs11:token=a;object=b?pin-source=/p", module: /lib/hsm.so, timeout: 2s}
)");
    ASSERT_TRUE(config) << config.error().detail;
    EXPECT_EQ(config->listen.port, 15432);
    EXPECT_EQ(config->listen.threads, 3U);
    EXPECT_EQ(config->log.level, LogLevel::Debug);
    EXPECT_EQ(config->log.format, LogFormat::Json);
    EXPECT_EQ(config->journal.sync, JournalSync::Always);
    EXPECT_EQ(config->journal.interval, std::chrono::seconds{2});
    EXPECT_EQ(config->journal.segment_size, 2097152U);
    EXPECT_EQ(config->journal.checkpoint_entries, 7U);
    EXPECT_EQ(config->limits.max_sessions, 9U);
    EXPECT_EQ(config->limits.max_sessions_per_workload, 5U);
    EXPECT_EQ(config->limits.max_statement, 4096U);
    EXPECT_EQ(config->limits.max_message, 65536U);
    EXPECT_EQ(config->limits.drain, std::chrono::seconds{3});
    EXPECT_EQ(config->agents.dns, Dns::Direct);
    EXPECT_EQ(config->resolver.servers.size(), 2U);
    EXPECT_EQ(config->resolver.timeout, std::chrono::seconds{2});
    EXPECT_EQ(config->operators.group, "ops");
    EXPECT_EQ(config->ca.key, "pkcs11:token=a;object=b?pin-source=/p");
    EXPECT_EQ(config->ca.module, "/lib/hsm.so");
    EXPECT_EQ(config->ca.timeout, std::chrono::seconds{2});
}

struct Bad {
    const char* name;
    const char* text;
    const char* where;
    const char* says;
};

class ConfigBad : public testing::TestWithParam<Bad> {};

TEST_P(ConfigBad, IsRefusedWithItsPlace) {
    const auto config = parse_config("c.yaml", GetParam().text);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, Errc::Invalid);
    EXPECT_NE(config.error().detail.find(GetParam().where), std::string::npos)
        << config.error().detail;
    EXPECT_NE(config.error().detail.find(GetParam().says), std::string::npos)
        << config.error().detail;
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, ConfigBad,
    testing::Values(
        Bad{"MisspeltKey",     "listen: {prot: 1}\n",               "c.yaml:1:", "port"},
        Bad{"UnknownSection",  "log: {}\nlimit: {}\n",              "c.yaml:2:", "limits"},
        Bad{"NotANumber",      "listen: {port: five}\n",            "c.yaml:1:", "port"},
        Bad{"PortTooLarge",    "listen: {port: 65536}\n",           "c.yaml:1:", "port"},
        Bad{"BadChoice",       "journal: {sync: sometimes}\n",      "c.yaml:1:", "sync"},
        Bad{"BadDuration",     "limits: {drain: soon}\n",           "c.yaml:1:", "drain"},
        Bad{"SegmentTooSmall", "journal:\n  segmentSize: 10\n",     "c.yaml:2:", "segmentSize"},
        Bad{"NoResolver",      "resolver: {servers: [dns.x]}\n",    "c.yaml:1:", "resolver"},
        Bad{"TokenWithoutKey", "ca: {key: 'pkcs11:token=a'}\n",     "c.yaml:1:", "must name the key"},
        Bad{"PinInside",       "ca: {key: 'pkcs11:id=%01?pin-value=1'}\n", "c.yaml:1:", "must not stand"},
        Bad{"ModuleAlone",     "ca: {module: /lib/a.so}\n",         "c.yaml:1:", "without key"},
        Bad{"ModuleTwice",     "ca: {key: 'pkcs11:id=%01?module-path=/a', module: /b}\n", "c.yaml:1:", "twice"},
        Bad{"ModuleRelative",  "ca: {key: 'pkcs11:id=%01', module: b.so}\n", "c.yaml:1:", "absolute"},
        Bad{"TokenTooSlow",    "ca: {key: 'pkcs11:id=%01', timeout: 2m}\n", "c.yaml:1:", "at most 1m"},
        Bad{"DuplicateKey",    "log: {}\nlog: {}\n",                "c.yaml:2:", "log"},
        Bad{"NotAMapping",     "- listen\n",                        "c.yaml:1:", "mapping"},
        Bad{"TwoDocuments",    "log: {}\n---\nlog: {}\n",           "c.yaml:3:", "second"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

}  // namespace
}  // namespace chaperone::daemon
