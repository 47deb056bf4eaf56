// SPDX-License-Identifier: Apache-2.0
// What comes back masked: rows in text and binary, copies, messages.
#include "tests/support/pg_fixture.h"

namespace chaperone::session::test {
namespace {

using policy::sql::OutputColumn;

policy::MaskSet email_masks(detect::With with = detect::With::Redact) {
    return {.columns = {{.pattern = "public.people.email", .with = with, .rule = "pii"}}};
}
policy::MaskSet detectors() {
    return {.detectors = {{.kinds = {"EMAIL_ADDRESS"}, .with = detect::With::Redact}}};
}

std::shared_ptr<const policy::sql::Facts> reads_email(
    std::optional<policy::sql::CopyOut> copy = std::nullopt) {
    policy::sql::Facts facts;
    facts.parsed = true;
    facts.uses_session = true;
    facts.effects = {{.kind = policy::sql::EffectKind::Read, .object = "public.people"}};
    policy::sql::Statement statement{.command = "SELECT", .returns_rows = !copy, .copy_out = copy};
    statement.outputs = {{.name = "id", .sources = {{"public", "people", "id"}}, .direct = true},
                         {.name = "email", .sources = {{"public", "people", "email"}}}};
    facts.statements.push_back(statement);
    return std::make_shared<const policy::sql::Facts>(facts);
}

struct Masked : PgFixture {
    explicit Masked(std::size_t piece = SIZE_MAX,
                    std::optional<policy::sql::CopyOut> copy = std::nullopt)
        : PgFixture(piece) {
        analyzer.known["S"] = reads_email(copy);
        open();
    }
};

const std::initializer_list<Col> kColumns{{"id", 23}, {"email", 25}};

TEST(PgMasking, TheMaskedColumnOnlyIsReplaced) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(row_description(kColumns) + row({"1", "a@b.c"}) +
                          row({"2", std::nullopt}) + complete("SELECT 2") + ready());
    f.script.sends(Side::Client, row_description(kColumns) + row({"1", "[REDACTED]"}) +
                                     row({"2", std::nullopt}) + complete("SELECT 2") + ready());
}

TEST(PgMasking, AnotherNumberOfColumnsMasksThemAll) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(row_description({{"x", 25}}) + row({"secret"}));
    EXPECT_EQ(f.script.to_client.find("secret"), std::string::npos);
}

TEST(PgMasking, ASecondSetOfRowsInOneStatementIsMaskedWhole) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(row_description(kColumns) + row({"1", "x"}) + row_description(kColumns) +
                          row({"77", "x"}));
    EXPECT_EQ(f.script.to_client.find("77"), std::string::npos);
}

// asyncpg, pgjdbc, pgx: described once, bound and executed often, in binary.
TEST(PgMasking, DescribedOnceExecutedManyIsMaskedEachTimeInBinary) {
    Masked f;
    f.script.client_sends(parse("s", "S") + describe('S', "s") + kSync).decided(allowed());
    f.script.server_sends(msg('1') + msg('t', be16(0)) + row_description(kColumns) + ready());
    for (int i = 0; i != 3; ++i) {
        f.script.forget().client_sends(bind_to("", "s", "", 1) + execute("") + kSync);
        f.script.decided(allowed(2, email_masks()));
        // Our own Describe stands before Execute; its answer is not the client's.
        f.script.sends(Side::Server,
                       bind_to("", "s", "", 1) + describe('P', "") + execute("") + kSync);
        f.script.server_sends(msg('2') + row_description({{"id", 23, 1}, {"email", 25, 1}}) +
                              row({be32(5), "a@b.c"}) + complete("SELECT 1") + ready());
        f.script.sends(Side::Client,
                       msg('2') + row({be32(5), "[REDACTED]"}) + complete("SELECT 1") + ready());
    }
}

TEST(PgMasking, BinaryNumbersStayValid) {
    Masked f;
    policy::MaskSet all{.columns = {{.pattern = "*", .with = detect::With::Redact}}};
    f.script.client_sends(query("S")).decided(allowed(1, all)).forget();
    f.script.server_sends(row_description({{"id", 23, 1}, {"d", 1082, 1}}) +
                          row({be32(5), be32(9)}));
    EXPECT_TRUE(
        f.script.to_client.ends_with(row({be32(0), be32(static_cast<std::uint32_t>(-10957))})));
}

TEST(PgMasking, AFormatThatNobodyKnowsLeavesNull) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(row_description({{"id", 23, 0}, {"email", 25, 7}}) + row({"1", "x"}));
    EXPECT_TRUE(f.script.to_client.ends_with(row({"1", std::nullopt})));
}

TEST(PgMasking, DetectorsFindValuesInTextJsonAndUnknownTypes) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, detectors())).forget();
    f.script.server_sends(
        row_description({{"a", 25}, {"b", 114}, {"c", 99'999}}) +
        row({"to joe@example.com now", R"({"m":"joe@example.com","n":1})", "(joe@example.com)"}));
    EXPECT_TRUE(f.script.to_client.ends_with(
        row({"to <EMAIL_ADDRESS> now", R"({"m":"<EMAIL_ADDRESS>","n":1})", std::nullopt})))
        << f.script.to_client;
}

TEST(PgMasking, ARowOverTheLimitEndsTheSessionUnseen) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(row_description(kColumns) + row({"1", std::string(9'000, 'x')}));
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_client.find("xxxx"), std::string::npos);
}

policy::sql::CopyOut csv() {
    policy::sql::CopyOut copy;
    copy.format.kind = policy::sql::CopyFormat::Kind::Csv;
    copy.format.delimiter = ',';
    copy.format.null_text = "";
    copy.format.header = true;
    return copy;
}

TEST(PgMasking, CopyInTextIsMaskedOverAnyCut) {
    for (const std::size_t piece : {SIZE_MAX, std::size_t{1}, std::size_t{4}}) {
        Masked f{piece, policy::sql::CopyOut{}};
        f.script.client_sends(query("S"));
        policy::MaskSet masks = detectors();
        f.script.decided(allowed(1, masks)).forget();
        const std::string begin = msg('H', "\0"s + be16(2) + be16(0) + be16(0));
        f.script.server_sends(begin + msg('d', "1\tjoe@exam") + msg('d', "ple.com\\n\n2\t\\N\n") +
                              msg('c') + complete("COPY 2") + ready());
        f.script.sends(Side::Client, begin + msg('d', "1\t<EMAIL_ADDRESS>\\n\n") +
                                         msg('d', "2\t\\N\n") + msg('c') + complete("COPY 2") +
                                         ready());
    }
}

TEST(PgMasking, CopyInCsvKeepsItsHeaderAndQuotes) {
    Masked f{SIZE_MAX, csv()};
    f.script.client_sends(query("S")).decided(allowed(1, email_masks(detect::With::Null))).forget();
    const std::string begin = msg('H', "\0"s + be16(2) + be16(0) + be16(0));
    f.script.server_sends(begin + msg('d', "id,email\n") + msg('d', "\"1,\n\"\"\",a@b.c\n") +
                          msg('c'));
    f.script.sends(Side::Client,
                   begin + msg('d', "id,email\n") + msg('d', "\"1,\n\"\"\",\n") + msg('c'));
}

TEST(PgMasking, CopyInBinaryIsMasked) {
    policy::sql::CopyOut copy;
    copy.format.kind = policy::sql::CopyFormat::Kind::Binary;
    Masked f{3, copy};
    f.script.client_sends(query("S")).decided(allowed(1, email_masks(detect::With::Null))).forget();
    const std::string begin = msg('H', "\1"s + be16(2) + be16(1) + be16(1));
    const std::string head = "PGCOPY\n\377\r\n\0"s + be32(0) + be32(0);
    const std::string id = be32(4) + be32(5);
    f.script.server_sends(begin + msg('d', head + be16(2) + id + be32(3) + "a@b") +
                          msg('d', be16(0xffff)) + msg('c'));
    // As the server has it, and psycopg wants it: the header in one message with the first row.
    f.script.sends(Side::Client, begin + msg('d', head + be16(2) + id + be32(0xffffffff)) +
                                     msg('d', be16(0xffff)) + msg('c'));
    f.script.server_sends(complete("COPY 1") + ready()).forget();
    f.script.client_sends(query("S")).decided(allowed(1, email_masks(detect::With::Null))).forget();
    f.script.server_sends(begin + msg('d', head + be16(0xffff)) + msg('c'));
    f.script.sends(Side::Client, begin + msg('d', head + be16(0xffff)) + msg('c'));
}

TEST(PgMasking, ACopyOfAnotherFormatThanAskedEndsTheSession) {
    Masked f{SIZE_MAX, policy::sql::CopyOut{}};
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(msg('H', "\1"s + be16(2) + be16(1) + be16(1)));
    EXPECT_TRUE(f.script.ended);
}

TEST(PgMasking, ErrorsQuoteNoMaskedValue) {
    Masked f;
    f.script.client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(msg('E',
                              "SERROR\0C22P02\0Minvalid input syntax for type integer: "
                              "\"a@b.c\"\0Fnumutils.c\0\0"s) +
                          ready());
    EXPECT_EQ(field_of(f.script.to_client, 'M'),
              "invalid input syntax for type integer: \"[REDACTED]\"");
    f.script.forget().client_sends(query("S")).decided(allowed(1, email_masks())).forget();
    f.script.server_sends(msg('E',
                              "SERROR\0C23505\0Mduplicate key\0DKey (email)=(a@b.c) already "
                              "exists.\0tpeople\0Fnbtinsert.c\0\0"s) +
                          ready());
    EXPECT_EQ(field_of(f.script.to_client, 'D'), "Key (email)=([REDACTED]) already exists.");
    EXPECT_EQ(field_of(f.script.to_client, 't'), "people");
}

TEST(PgMasking, NotificationsAreSearched) {
    Masked f;
    const auto notified = [](std::string_view payload) {
        return msg('A', be32(7) + "channel\0"s + std::string{payload} + '\0');
    };
    f.script.client_sends(query("S")).decided(allowed(1, detectors())).forget();
    f.script.server_sends(notified("to a@example.org") + notified("plain"));
    f.script.sends(Side::Client, notified("to <EMAIL_ADDRESS>") + notified("plain"));
}

}  // namespace
}  // namespace chaperone::session::test
