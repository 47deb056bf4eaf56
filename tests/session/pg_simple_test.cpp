// SPDX-License-Identifier: Apache-2.0
// Simple queries: asked, let through, refused by substitution, held, cancelled.
#include "tests/support/pg_fixture.h"

namespace chaperone::session::test {
namespace {

const std::string kSubstitute = query("chaperone refused this statement");

TEST(PgSimple, NothingIsForwardedBeforeItsAnswer) {
    PgFixture f;
    f.open().client_sends(query("A") + query("B")).asks("A").nothing_more();
    f.script.decided(allowed(1)).sends(Side::Server, query("A")).asks("B");
    f.script.decided(allowed(2)).sends(Side::Server, query("B")).nothing_more();
    f.script.server_sends(row_description({{"x"}}) + row({"1"}) + complete("SELECT 1") + ready());
    ASSERT_EQ(f.script.outcomes.size(), 1u);
    EXPECT_EQ(f.script.outcomes[0].request, 1u);
    EXPECT_EQ(f.script.outcomes[0].rows, 1u);
    EXPECT_EQ(f.script.outcomes[0].tag, "SELECT 1");
    EXPECT_TRUE(f.script.outcomes[0].ok);
}

TEST(PgSimple, ARefusedStatementIsSubstitutedAndItsErrorRewritten) {
    PgFixture f;
    f.open().client_sends(query("DROP TABLE t")).asks("DROP TABLE t").decided(denied(7));
    f.script.sends(Side::Server, kSubstitute).nothing_more();
    f.script.server_sends(error("42601") + ready('E'));
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "42501");
    EXPECT_EQ(field_of(f.script.to_client, 'M'),
              "chaperone: denied by policy rule \"guard/no-ddl\": no DDL");
    EXPECT_EQ(field_of(f.script.to_client, 'H'), "ask");
    EXPECT_TRUE(f.script.to_client.ends_with(ready('E')));
    ASSERT_EQ(f.script.outcomes.size(), 1u);
    EXPECT_EQ(f.script.outcomes[0].sqlstate, "42501");
    f.script.forget().client_sends(query("ROLLBACK")).asks("ROLLBACK").decided(allowed());
    f.script.sends(Side::Server, query("ROLLBACK"));
}

TEST(PgSimple, ASubstituteThatDoesNotFailEndsTheSession) {
    PgFixture f;
    f.open().client_sends(query("DROP TABLE t")).decided(denied()).forget();
    f.script.server_sends(complete("DROP TABLE"));
    EXPECT_TRUE(f.script.ended);
}

TEST(PgSimple, AFatalErrorIsNotRewritten) {
    PgFixture f;
    f.open().client_sends(query("DROP TABLE t")).decided(denied()).forget();
    const std::string fatal = error("57P01", "terminating", "FATAL");
    f.script.server_sends(fatal).sends(Side::Client, fatal).closed(Side::Server);
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_client, "");
}

struct Verdicts {
    Verdict verdict;
    const char* code;
};
class PgVerdict : public testing::TestWithParam<Verdicts> {};
TEST_P(PgVerdict, GivesItsSqlstate) {
    PgFixture f;
    f.open().client_sends(query("X"));
    f.script.decided({.verdict = GetParam().verdict, .approval = "A1", .reason = "later"});
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), GetParam().code);
}
INSTANTIATE_TEST_SUITE_P(Table, PgVerdict,
                         testing::Values(Verdicts{Verdict::Denied, "42501"},
                                         Verdicts{Verdict::Refused, "42501"},
                                         Verdicts{Verdict::Expired, "42501"},
                                         Verdicts{Verdict::Cancelled, "57014"},
                                         Verdicts{Verdict::Unavailable, "58000"},
                                         // An allowance without a decision is none.
                                         Verdicts{Verdict::Allowed, "58000"}));

TEST(PgSimple, AHeldStatementGivesOneNoticeAndItsCancelGives57014) {
    PgFixture f;
    f.open().client_sends(query("UPDATE t")).held("A1");
    EXPECT_TRUE(f.script.to_client.starts_with("N"));
    EXPECT_EQ(field_of(f.script.to_client, 'M'), "waiting for approval A1");
    f.script.forget().cancelled().does("withdraw").sends(Side::Server, kSubstitute);
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "57014");
}

TEST(PgSimple, ANoticeNeverLandsInsideAnotherMessage) {
    PgFixture f;
    f.open().gate(nullptr).client_sends(query("A")).decided(allowed()).forget();
    f.script.client_sends(query("B"));
    const std::string data = row({"0123456789"});
    f.script.server_sends(row_description({{"x"}}) + data.substr(0, 8)).held("A1");
    f.script.server_sends(data.substr(8));
    EXPECT_TRUE(f.script.to_client.starts_with(row_description({{"x"}}) + data + "N"));
}

TEST(PgSimple, CancelOfARunningStatementGoesToTheServer) {
    PgFixture f;
    f.open().client_sends(query("A")).decided(allowed()).cancelled().does("cancel server");
}

TEST(PgSimple, AClientThatLeavesWithdrawsItsQuestion) {
    PgFixture f;
    f.open().client_sends(query("A")).closed(Side::Client).does("withdraw");
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_server, msg('X'));
}

TEST(PgSimple, AnOversizedStatementIsRefusedDrainedAndTheSessionLives) {
    PgFixture f;
    const std::string big = "/*" + std::string(9'000, 'x') + "*/ DROP TABLE t";
    f.open().client_sends(query(big));
    ASSERT_EQ(f.script.asked.size(), 1u);
    EXPECT_EQ(f.script.asked.front().refused, "the statement is too large");
    f.script.asked.clear();
    f.script.decided(allowed(3)).sends(Side::Server, kSubstitute);
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "54000");
    f.script.forget().client_sends(query("B")).asks("B");
}

// A client that reads while it sends must not be answered before it has sent all.
TEST(PgSimple, AnOversizedStatementIsAnsweredWhenItHasComeWhole) {
    PgFixture f;
    const std::string big = query(std::string(9'000, 'x'));
    f.open().client_sends(big.substr(0, 5'000)).decided(allowed(3));
    f.script.client_sends(big.substr(5'000, big.size() - 5'001));
    EXPECT_EQ(f.script.to_server, "");
    f.script.client_sends(big.substr(big.size() - 1)).sends(Side::Server, kSubstitute);
}

std::string loread(std::uint32_t bytes) {
    return msg('F', be32(954) + be16(1) + be16(1) + be16(2) + be32(4) + be32(0) + be32(4) +
                        be32(bytes) + be16(1));
}

TEST(PgSimple, LargeObjectsAreDecidedOnAsTheSelectThatDoesTheSame) {
    PgFixture f;
    f.open().client_sends(loread(100)).asks("SELECT pg_catalog.loread($1, $2)");
    ASSERT_EQ(f.script.last.parameters.size(), 2U);
    EXPECT_EQ(f.script.last.parameters[1].text, "100");
    f.script.decided(allowed()).sends(Side::Server, loread(100));
    const std::string reply = msg('V', be32(3) + "abc") + ready('T');
    f.script.server_sends(reply).sends(Side::Client, reply);
    f.script.client_sends(query("B")).asks("B");
}

TEST(PgSimple, ACallKeepsTheUnnamedStatement) {
    PgFixture f;
    f.open().client_sends(parse("", "A") + kSync).decided(allowed()).forget();
    f.script.server_sends(msg('1') + ready()).client_sends(loread(1)).decided(allowed());
    f.script.server_sends(msg('V', be32(0)) + ready()).forget();
    f.script.client_sends(bind_to("", "") + kSync).asks("A");
}

TEST(PgSimple, ARefusedCallFailsLikeAStatement) {
    PgFixture f;
    f.open().client_sends(loread(1)).decided(denied()).sends(Side::Server, kSubstitute);
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "42501");
}

TEST(PgSimple, ALargeObjectIsNotReadWhereValuesAreMasked) {
    PgFixture f;
    policy::MaskSet masks;
    masks.detectors.push_back({});
    f.open().client_sends(loread(1)).decided(allowed(1, masks)).sends(Side::Server, kSubstitute);
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "42501");
}

TEST(PgSimple, OnlyItsOwnReplyAnswersACall) {
    PgFixture f;
    f.open().client_sends(loread(1)).decided(allowed());
    f.script.server_sends(row_description({{"a"}}));
    EXPECT_TRUE(f.script.ended);
}

TEST(PgSimple, AFunctionCallIsRefusedAsUnsupported) {
    PgFixture f;
    f.open().client_sends(msg('F', be32(1) + be16(0) + be16(0) + be16(0)));
    EXPECT_FALSE(f.script.asked.front().refused.empty());
    f.script.asked.clear();
    f.script.decided(allowed()).sends(Side::Server, kSubstitute);
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "0A000");
    EXPECT_TRUE(f.script.to_client.ends_with(ready()));
}

struct BadMessage {
    const char* name;
    std::string bytes;
};
class PgBadMessage : public testing::TestWithParam<BadMessage> {};
TEST_P(PgBadMessage, EndsTheSessionAndIsNotForwarded) {
    PgFixture f;
    f.open().client_sends(GetParam().bytes);
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_server, "");
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "08P01");
}
// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, PgBadMessage, testing::Values(
    BadMessage{"UnknownTag", msg('!')},
    BadMessage{"Password", msg('p', "x")},
    BadMessage{"LengthBelowFour", "Q\0\0\0\3"s},
    BadMessage{"QueryWithoutNul", msg('Q', "hi")},
    BadMessage{"QueryWithTrailer", msg('Q', "hi\0x"s)},
    BadMessage{"ParseCutShort", msg('P', "s\0q\0\0\2"s)},
    BadMessage{"BindFormats", msg('B', "\0\0"s + be16(2) + be16(0) + be16(0) + be16(0) + be16(0))},
    BadMessage{"DescribeKind", msg('D', "X\0"s)},
    BadMessage{"SyncWithBody", msg('S', "x")}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(PgSimple, AnswersThatNothingAskedForEndTheSession) {
    for (const std::string& bytes :
         {ready(), row({"x"}), complete("SELECT 1"), error("22012"), msg('1'), msg('d', "x")}) {
        PgFixture f;
        f.open().server_sends(bytes);
        EXPECT_TRUE(f.script.ended);
        EXPECT_EQ(f.script.to_client.find(bytes), std::string::npos);
        EXPECT_EQ(field_of(f.script.to_client, 'C'), "08P01");
    }
}

TEST(PgSimple, SettingsInFlightStopTheNextAnalysisUntilTheyAreAnswered) {
    PgFixture f;
    policy::sql::Facts set;
    set.parsed = true;
    set.statements.push_back({.changes = {{.kind = policy::sql::SessionChange::Kind::SetParameter,
                                           .name = "standard_conforming_strings"}}});
    f.analyzer.known["SET"] = std::make_shared<const policy::sql::Facts>(set);
    f.open().client_sends(query("SET") + query("B")).asks("SET").decided(allowed());
    f.script.sends(Side::Server, query("SET")).nothing_more();
    f.script.server_sends(msg('S', "standard_conforming_strings\0off\0"s) + complete("SET") +
                          ready());
    f.script.asks("B");
    EXPECT_FALSE(f.script.last.facts->parsed);
}

// A session in which the text "DDL" makes this object.
struct Makes : PgFixture {
    explicit Makes(const std::string& object) {
        policy::sql::Facts ddl;
        ddl.parsed = true;
        ddl.changes_schema = ddl.changes_names = true;
        ddl.effects = {{.kind = policy::sql::EffectKind::Create, .object = object}};
        ddl.statements.push_back({.command = "CREATE TABLE"});
        analyzer.known["DDL"] = std::make_shared<const policy::sql::Facts>(ddl);
        policy::sql::Facts other;
        other.parsed = true;
        other.uses_session = true;
        other.statements.push_back({.command = "SELECT", .returns_rows = true});
        analyzer.known["OTHER"] = std::make_shared<const policy::sql::Facts>(other);
        open(catalog);
    }
    std::shared_ptr<const policy::sql::Catalog> catalog = policy::sql::CatalogBuilder{}.build();
};

TEST(PgSimple, AfterDdlTheCatalogIsReadAnewForWhatNamesIt) {
    Makes f{"public.t"};
    f.script.client_sends(query("DDL") + query("B")).asks("DDL").decided(allowed()).forget();
    f.script.server_sends(complete("CREATE TABLE") + ready()).does("catalog shop fresh");
    EXPECT_TRUE(f.script.asked.empty());
    f.script.catalog(f.catalog).asks("B");
    EXPECT_EQ(f.analyzer.changed, 0U);
}

TEST(PgSimple, WhatDoesNotNameTheChangeDoesNotWaitForTheCatalog) {
    Makes f{"public.t"};
    f.script.client_sends(query("DDL") + query("OTHER")).asks("DDL").decided(allowed());
    f.script.server_sends(complete("CREATE TABLE") + ready()).asks("OTHER").decided(allowed());
    f.script.server_sends(complete("SELECT 1") + ready()).forget().client_sends(query("B"));
    f.script.does("catalog shop fresh").catalog(f.catalog).asks("B");
}

TEST(PgSimple, WhatAnExtensionMadeIsLookedForInTheCatalogButPutsNothingInDoubt) {
    Makes f{"public.t"};
    policy::sql::Facts extension;
    extension.parsed = extension.changes_schema = true;
    extension.effects = {{.kind = policy::sql::EffectKind::Create, .object = "hstore"}};
    f.analyzer.known["EXTENSION"] = std::make_shared<const policy::sql::Facts>(extension);
    f.script.client_sends(query("EXTENSION")).decided(allowed());
    f.script.server_sends(complete("CREATE EXTENSION") + ready('T')).forget();
    f.script.client_sends(query("B")).asks("B").decided(allowed());
    EXPECT_FALSE(f.analyzer.all_changed);
    EXPECT_EQ(f.analyzer.changed, 0U);
    f.script.server_sends(complete("COMMIT") + ready()).forget().client_sends(query("OTHER"));
    f.script.does("catalog shop fresh").catalog(f.catalog).asks("OTHER").decided(allowed());
    f.script.server_sends(complete("SELECT 1") + ready()).client_sends(query("B")).asks("B");
}

TEST(PgSimple, ChangesThatAreNotCommittedAreNotLookedForInTheCatalog) {
    Makes f{"public.t"};
    f.script.client_sends(query("DDL")).decided(allowed());
    f.script.server_sends(complete("CREATE TABLE") + ready()).client_sends(query("OTHER"));
    f.script.decided(allowed()).server_sends(complete("BEGIN") + ready('T'));
    f.script.client_sends(query("DDL")).decided(allowed());
    f.script.server_sends(complete("CREATE TABLE") + ready('T')).forget();
    f.script.client_sends(query("B")).asks("B");  // in doubt
    EXPECT_EQ(f.analyzer.changed, 1U);
    EXPECT_TRUE(f.script.events.empty());
}

TEST(PgSimple, NoCatalogShowsTemporaryTables) {
    Makes f{"pg_temp.t"};
    f.script.client_sends(query("DDL") + query("B")).asks("DDL").decided(allowed()).forget();
    f.script.server_sends(complete("CREATE TABLE") + ready()).asks("B");
    EXPECT_EQ(f.analyzer.changed, 1U);
    EXPECT_TRUE(f.script.events.empty());
}

// A session that makes a temporary table whose columns are written out by the text "TABLE".
struct MakesTable : Makes {
    MakesTable() : Makes{"pg_temp.other"} {
        policy::sql::Facts table;
        table.parsed = table.changes_schema = table.changes_names = true;
        table.effects = {{.kind = policy::sql::EffectKind::Create, .object = "pg_temp.x"}};
        table.statements.push_back(
            {.command = "CREATE TABLE",
             .makes = policy::sql::MadeTable{.schema = "pg_temp", .name = "x", .columns = {"y"}}});
        analyzer.known["TABLE"] = std::make_shared<const policy::sql::Facts>(table);
        table.statements.push_back({.command = "DROP TABLE"});
        analyzer.known["BOTH"] = std::make_shared<const policy::sql::Facts>(table);
        for (const auto& [text, kind] :
             {std::pair{"ROLLBACK", policy::sql::SessionChange::Kind::Rollback},
              std::pair{"COMMIT", policy::sql::SessionChange::Kind::Commit}}) {
            policy::sql::Facts facts;
            facts.parsed = true;
            facts.statements.push_back({.command = text, .changes = {{.kind = kind}}});
            analyzer.known[text] = std::make_shared<const policy::sql::Facts>(facts);
        }
    }
    void runs(const char* text, char status) {
        script.client_sends(query(text)).decided(allowed());
        script.server_sends(complete(text) + ready(status)).forget();
    }
    void fails(char status) {
        script.client_sends(query("BAD")).decided(allowed());
        script.server_sends(error("22012") + ready(status)).forget();
    }
    std::size_t made() {
        script.client_sends(query("NEXT"));
        return analyzer.made;
    }
};

TEST(PgSimple, ATableThatTheSessionMadeIsKnownOnceThatHasSucceeded) {
    MakesTable f;
    f.script.client_sends(query("TABLE")).decided(allowed());
    f.script.server_sends(complete("CREATE TABLE")).forget().client_sends(query("NEXT"));
    EXPECT_EQ(f.script.asked.size(), 0U);  // it waits for ReadyForQuery
    f.script.server_sends(ready('T'));
    EXPECT_EQ(f.analyzer.made, 1U);
    MakesTable behind;  // something that changes names is sent before the answer
    behind.script.client_sends(query("TABLE") + query("COMMIT")).decided(allowed());
    behind.script.server_sends(complete("CREATE TABLE") + ready('T')).decided(allowed());
    behind.script.server_sends(complete("COMMIT") + ready());
    EXPECT_EQ(behind.made(), 1U);
    MakesTable failed;
    failed.script.client_sends(query("TABLE")).decided(allowed());
    failed.script.server_sends(error("42P07") + ready('E'));
    EXPECT_EQ(failed.made(), 0U);
    MakesTable dropped;  // by the same text
    dropped.script.client_sends(query("BOTH")).decided(allowed());
    dropped.script.server_sends(complete("CREATE TABLE") + complete("DROP TABLE") + ready());
    EXPECT_EQ(dropped.made(), 0U);
}

TEST(PgSimple, ATableThatTheSessionMadeLastsAsItsTransactionDoes) {
    MakesTable undone;
    undone.runs("TABLE", 'T');
    undone.runs("ROLLBACK", 'I');
    EXPECT_EQ(undone.made(), 0U);
    MakesTable late;  // the commit fails
    late.runs("TABLE", 'T');
    late.script.client_sends(query("COMMIT")).decided(allowed());
    late.script.server_sends(error("23503") + ready()).forget();
    EXPECT_EQ(late.made(), 0U);
    MakesTable failed;
    failed.runs("TABLE", 'T');
    failed.fails('E');
    EXPECT_EQ(failed.made(), 0U);
    MakesTable lasts;
    lasts.runs("TABLE", 'T');
    lasts.runs("COMMIT", 'I');
    lasts.fails('I');
    lasts.runs("ROLLBACK", 'I');
    EXPECT_EQ(lasts.made(), 1U);
    MakesTable changed;
    changed.runs("TABLE", 'I');
    changed.runs("DDL", 'I');  // of another name
    EXPECT_EQ(changed.made(), 1U);
}

TEST(PgSimple, WithoutTheCatalogEveryNameIsInDoubtUntilItCanBeRead) {
    Makes f{"public.t"};
    f.script.client_sends(query("DDL") + query("B")).asks("DDL").decided(allowed()).forget();
    f.script.server_sends(complete("CREATE TABLE") + ready()).does("catalog shop fresh");
    f.script.no_catalog().asks("B").decided(allowed());
    EXPECT_TRUE(f.analyzer.all_changed);
    f.script.server_sends(complete("SELECT 1") + ready()).forget();
    f.script.client_sends(query("OTHER")).does("catalog shop fresh").catalog(f.catalog);
    f.script.asks("OTHER");
    EXPECT_FALSE(f.analyzer.all_changed);
}

struct Prepares : PgFixture {
    Prepares() {
        policy::sql::Facts prepare;
        prepare.parsed = true;
        prepare.uses_session = true;
        prepare.statements.push_back(
            {.command = "PREPARE",
             .changes = {{.kind = policy::sql::SessionChange::Kind::Prepare,
                          .name = "p",
                          .body = std::make_shared<const policy::sql::Facts>(
                              policy::sql::Facts{.parsed = true})}}});
        analyzer.known["PREPARE"] = std::make_shared<const policy::sql::Facts>(prepare);
        policy::sql::Facts ddl;
        ddl.parsed = true;
        ddl.changes_schema = ddl.changes_names = true;
        ddl.statements.push_back({.command = "CREATE VIEW"});
        analyzer.known["DDL"] = std::make_shared<const policy::sql::Facts>(ddl);
        open(policy::sql::CatalogBuilder{}.build());
        script.client_sends(query("PREPARE")).decided(allowed());
        script.server_sends(complete("PREPARE") + ready());
    }
    // Whether what EXECUTE p would do is still known when the next text is looked at.
    bool known_at_next() {
        script.client_sends(query("NEXT"));
        return analyzer.prepared_known;
    }
};

TEST(PgSimple, WhatWasPreparedIsKnownUntilNamesChangeTheirMeaning) {
    Prepares nothing;
    EXPECT_TRUE(nothing.known_at_next());
    Prepares by_others;
    by_others.script.catalog(policy::sql::CatalogBuilder{}.build());
    EXPECT_FALSE(by_others.known_at_next());
    Prepares by_itself;
    by_itself.script.client_sends(query("BEGIN")).decided(allowed());
    by_itself.script.server_sends(complete("BEGIN") + ready('T'));
    by_itself.script.client_sends(query("DDL")).decided(allowed());
    by_itself.script.server_sends(complete("CREATE VIEW") + ready('T'));
    EXPECT_FALSE(by_itself.known_at_next());
}

TEST(PgSimple, ACatalogThatChangesWhileAStatementIsHeldIsTheOneItIsMaskedBy) {
    PgFixture f;
    f.open(policy::sql::CatalogBuilder{}.build()).client_sends(query("A")).asks("A");
    f.script.held("A1").catalog(policy::sql::CatalogBuilder{}.build());
    const std::size_t before = f.analyzer.calls;
    f.script.decided(allowed());
    EXPECT_EQ(f.analyzer.calls, before + 1);
    f.script.sends(Side::Server, query("A"));
}

TEST(PgSimple, WhatDoesSomethingElseOnceTheSchemaChangedIsAskedAgain) {
    PgFixture f;
    f.open(policy::sql::CatalogBuilder{}.build()).client_sends(query("A")).asks("A").held("A1");
    policy::sql::Facts other;
    other.parsed = true;
    other.effects = {{.kind = policy::sql::EffectKind::Call, .object = "public.f"}};
    f.analyzer.known["A"] = std::make_shared<const policy::sql::Facts>(other);
    f.script.catalog(policy::sql::CatalogBuilder{}.build()).forget();
    f.script.decided(allowed(5)).asks("A");
    EXPECT_EQ(f.script.to_server, "");
    ASSERT_EQ(f.script.outcomes.size(), 1U);  // the first answer was of no use
    EXPECT_EQ(f.script.outcomes.front().request, 5U);
    f.script.decided(denied(6)).sends(Side::Server, kSubstitute);
}

}  // namespace
}  // namespace chaperone::session::test
