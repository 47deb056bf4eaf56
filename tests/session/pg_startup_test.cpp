// SPDX-License-Identifier: Apache-2.0
// From the first byte to ReadyForQuery.
#include "tests/support/pg_fixture.h"

namespace chaperone::session::test {
namespace {

TEST(PgStartup, LogsInAndGreets) {
    PgFixture f;
    f.script.client_sends(startup({"user", "bob", "application_name", "psql"}));
    ASSERT_EQ(f.script.asked.size(), 1u);
    EXPECT_EQ(f.script.asked.front().stage, policy::Stage::Connect);
    f.script.asked.clear();
    f.script.nothing_more();
    f.script.decided(allowed(0)).does("connect").connected();
    f.script.sends(Side::Server,
                   startup({"user", "app", "database", "bob", "application_name", "psql"}));
    f.script.server_sends(msg('R', be32(0)) +
                          msg('S',
                              "server_version\0"
                              "15\0"s) +
                          msg('K', be32(9) + "zzzz") + ready());
    f.script.does("key 9");
    EXPECT_NE(f.script.to_server.find("current_schemas"), std::string::npos);
    f.script.to_server.clear();
    f.script.nothing_more();
    f.script.server_sends(row_description({{"a"}, {"b"}, {"c"}}) +
                          row({"\"$user\", public", "public", "app"}) + complete("SELECT 1") +
                          ready());
    f.script.does("catalog bob").catalog(nullptr);
    f.script.sends(Side::Client, msg('R', be32(0)) +
                                     msg('S',
                                         "server_version\0"
                                         "15\0"s) +
                                     msg('K', be32(9) + "abcd") + ready());
    f.script.nothing_more();
}

TEST(PgStartup, DeniedConnectionIsFatal28000AndNothingIsDialled) {
    PgFixture f;
    f.script.client_sends(startup({"user", "bob"})).decided(denied());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "28000");
    EXPECT_EQ(field_of(f.script.to_client, 'V'), "FATAL");
    EXPECT_TRUE(f.script.ended);
    EXPECT_TRUE(f.script.events.empty());
}

TEST(PgStartup, TlsIsStartedOnRequestAndAtOnce) {
    PgFixture f;
    f.script.client_sends(ssl_request()).sends(Side::Client, "S").does("tls client");
    f.script.tls_started(Side::Client).client_sends(startup({"user", "bob"}));
    EXPECT_EQ(f.script.asked.size(), 1u);
    PgFixture direct;
    direct.script.client_sends("\x16\x03\x01"sv).does("tls client").nothing_more();
}

TEST(PgStartup, GssIsDeclinedAndTlsMayFollow) {
    PgFixture f;
    f.script.client_sends(be32(8) + be32(1234u << 16 | 5680)).sends(Side::Client, "N");
    f.script.client_sends(ssl_request()).sends(Side::Client, "S").does("tls client");
}

TEST(PgStartup, ASecondSslRequestEndsIt) {
    PgFixture f;
    f.script.client_sends(ssl_request()).tls_started(Side::Client).forget();
    f.script.client_sends(ssl_request());
    EXPECT_TRUE(f.script.ended);
}

TEST(PgStartup, CancelRequestIsPassedToItsSession) {
    PgFixture f;
    f.script.client_sends(be32(16) + be32(1234u << 16 | 5678) + be32(77) + "abcd");
    f.script.does("cancel 77");
    EXPECT_TRUE(f.script.ended);
}

// What the agent is told first when it asks for 3.`minor` and that option, if any.
std::string greeted(std::string startup_packet) {
    PgFixture f;
    f.script.client_sends(startup_packet).decided(allowed()).connected();
    EXPECT_EQ(f.script.to_server.find("_pq_"), std::string::npos);
    f.script.server_sends(msg('R', be32(0)) + msg('K', be32(9) + "zzzz") + ready());
    f.script.server_sends(row_description({{"a"}, {"b"}, {"c"}}) + row({"", "", "app"}) +
                          complete("SELECT 1") + ready());
    f.script.catalog(nullptr);
    return f.script.to_client;
}

TEST(PgStartup, TheMinorVersionIsNegotiated) {
    const auto told = [](unsigned minor, std::string options = be32(0)) {
        return msg('v', be32(3u << 16 | minor) + options);
    };
    EXPECT_TRUE(greeted(startup({"user", "bob"}, 0)).starts_with("R"));
    EXPECT_TRUE(greeted(startup({"user", "bob"}, 1)).starts_with(told(0)));
    EXPECT_TRUE(greeted(startup({"user", "bob"}, 2)).starts_with("R"));
    EXPECT_TRUE(greeted(startup({"user", "bob"}, 3)).starts_with(told(2)));
    EXPECT_TRUE(greeted(startup({"user", "bob"}, 9999)).starts_with(told(2)));
    const std::string option = be32(1) + "_pq_.x\0"s;
    EXPECT_TRUE(greeted(startup({"user", "bob", "_pq_.x", "1"}, 0)).starts_with(told(0, option)));
    EXPECT_TRUE(greeted(startup({"user", "bob", "_pq_.x", "1"}, 2)).starts_with(told(2, option)));
}

// One command, several archives and sets of rows, one CommandComplete behind the last of them.
TEST(PgStartup, ABaseBackupPasses) {
    for (const bool replication : {true, false}) {
        PgFixture f;
        f.script.client_sends(replication ? startup({"user", "bob", "replication", "true"})
                                          : startup({"user", "bob"}));
        f.script.decided(allowed()).connected();
        f.script.server_sends(msg('R', be32(0)) + msg('K', be32(9) + "zzzz") + ready());
        if (!replication) {
            f.script.server_sends(row_description({{"a"}, {"b"}, {"c"}}) + row({"", "", "app"}) +
                                  complete("SELECT 1") + ready());
            f.script.catalog(nullptr);
        }
        f.script.client_sends(query("BASE_BACKUP")).decided(allowed(f.script.asked.back().tag));
        f.script.forget();
        const std::string rows = row_description({{"lsn"}}) + row({"0/1"});
        const std::string archive = msg('H', "\0"s + be16(0)) + msg('d', "archive") + msg('c');
        const std::string answer = rows + complete("SELECT") + rows + complete("SELECT") + archive +
                                   archive + rows + complete("SELECT") + complete("BASE_BACKUP") +
                                   ready();
        f.script.server_sends(answer);
        EXPECT_EQ(f.script.ended, !replication);
        if (replication) {
            EXPECT_EQ(f.script.to_client, answer);
        }
    }
}

struct BadStart {
    const char* name;
    std::string bytes;
};
class PgStartupBad : public testing::TestWithParam<BadStart> {};
TEST_P(PgStartupBad, EndsBeforeAnythingIsAsked) {
    PgFixture f;
    f.script.client_sends(GetParam().bytes);
    EXPECT_TRUE(f.script.ended);
    EXPECT_TRUE(f.script.asked.empty());
    EXPECT_TRUE(f.script.to_client.starts_with("E"));
}
// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, PgStartupBad, testing::Values(
    BadStart{"TooShort", be32(4)},
    BadStart{"TooLong", be32(20'000)},
    BadStart{"Version2", be32(8) + be32(2u << 16)},
    BadStart{"NoUser", startup({"database", "x"})},
    BadStart{"UserTwice", startup({"user", "a", "user", "b"})},
    BadStart{"Role", startup({"user", "a", "role", "admin"})},
    BadStart{"RoleInOptions", startup({"user", "a", "options", "-c ROLE=admin"})},
    BadStart{"SessionAuthorizationInOptions", startup({"user", "a", "options", "--session-authorization=x"})},
    BadStart{"OtherSwitch", startup({"user", "a", "options", "-O"})}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(PgStartup, ServerWithoutTlsIsFatalWhenDemanded) {
    PgSessionConfig config;
    auto machine = make_pg_session(std::move(config));
    SessionScript script{*machine};
    script.client_sends(startup({"user", "bob"})).decided(allowed()).does("connect").connected();
    script.sends(Side::Server, ssl_request()).server_sends("N");
    EXPECT_EQ(field_of(script.to_client, 'C'), "08006");
    EXPECT_TRUE(script.ended);
}

TEST(PgStartup, ClearBytesBehindTheTlsAnswerAreRefused) {
    PgSessionConfig config;
    auto machine = make_pg_session(std::move(config));
    SessionScript script{*machine};
    script.client_sends(startup({"user", "bob"})).decided(allowed()).connected();
    script.server_sends("S" + msg('R', be32(0)));
    EXPECT_TRUE(script.ended);
    EXPECT_TRUE(script.events.size() == 1);  // connect, and no handshake
}

TEST(PgStartup, FailedLoginNamesNoSecret) {
    PgFixture f;
    f.script.client_sends(startup({"user", "bob"})).decided(allowed()).connected();
    f.script.server_sends(
        error("28P01", "password authentication failed for user \"app\"", "FATAL"));
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "28000");
    EXPECT_EQ(f.script.to_client.find("app"), std::string::npos);
    EXPECT_EQ(f.script.to_client.find("pw"), std::string::npos);
}

// What the server says of the agent's own database or settings is the agent's to read, word by
// word.
TEST(PgStartup, AFailureThatIsNotAboutTheCredentialIsTheServersOwn) {
    for (const std::string code : {"3D000", "42704", "22023", "53300", "57P03"}) {
        PgFixture f;
        f.script.client_sends(startup({"user", "bob"})).decided(allowed()).connected();
        const std::string said = error(code, "database \"bob\" does not exist", "FATAL");
        f.script.server_sends(said);
        EXPECT_EQ(f.script.to_client, said);
        EXPECT_TRUE(f.script.ended);
    }
}

TEST(PgStartup, CutAnywhereItSaysTheSame) {
    const auto play = [](std::size_t piece) {
        PgFixture f{piece};
        f.script.gate([](const policy::Request&) { return allowed(); });
        f.open();
        f.script.client_sends(query("SELECT 1"));
        return f.script.to_server;
    };
    EXPECT_EQ(play(1), play(SIZE_MAX));
    EXPECT_EQ(play(1), query("SELECT 1"));
}

}  // namespace
}  // namespace chaperone::session::test
