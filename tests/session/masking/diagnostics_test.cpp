// SPDX-License-Identifier: Apache-2.0
// What stays of the server's errors and notices where they may quote masked values.
#include "userspace/session/masking/diagnostics.h"

#include "userspace/wire/pg/decoder.h"

#include <gtest/gtest.h>

namespace chaperone::session {
namespace {

using Fields = std::vector<std::pair<char, std::string_view>>;

std::string masked(const Fields& fields, bool sensitive = true) {
    policy::MaskSet masks{.columns = {{.pattern = "*.secret", .with = detect::With::Redact}}};
    const DetectorSource none = [](const policy::DetectMask&) { return nullptr; };
    const MaskContext context{.masks = &masks, .detectors = &none};
    Buffer out;
    mask_diagnostic('E', {.fields = fields}, sensitive, context, out);
    std::string text;
    const auto read = wire::pg::decode_diagnostic(Bytes{out}.subspan(5));
    if (!read) return "malformed";
    for (const auto& [letter, value] : read->fields)
        if (letter != 'S' && letter != 'F')
            text += std::string(1, letter) + std::string{value} + '|';
    return text;
}

struct Case {
    const char* name;
    Fields fields;
    const char* expected;
};
class Diagnostics : public testing::TestWithParam<Case> {};

TEST_P(Diagnostics, KeepsWhatHoldsNoValue) {
    EXPECT_EQ(masked(GetParam().fields), GetParam().expected);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, Diagnostics, testing::Values(
    Case{"OfTheParser", {{'C', "42703"}, {'M', "column \"emial\" does not exist"}, {'H', "Perhaps …"}, {'P', "8"}, {'F', "parse_relation.c"}},
         "C42703|Mcolumn \"emial\" does not exist|HPerhaps …|P8|"},
    Case{"OfTheParserWithinAFunction", {{'C', "42703"}, {'M', "column \"zq7\" does not exist"}, {'W', "PL/pgSQL …"}, {'p', "8"}, {'q', "SELECT \"zq7\""}, {'F', "parse_relation.c"}},
         "C42703|M[REDACTED]|W[REDACTED]|p8|q[REDACTED]|"},
    Case{"ANameMadeOfAValue", {{'C', "42P01"}, {'M', "relation \"zq7\" does not exist"}, {'F', "namespace.c"}},
         "C42P01|Mrelation \"[REDACTED]\" does not exist|"},
    Case{"BehindAColon", {{'C', "42883"}, {'M', "operator does not exist: zq7"}, {'F', "regproc.c"}},
         "C42883|Moperator does not exist: [REDACTED]|"},
    Case{"ANumber", {{'C', "2202E"}, {'M', "index 734 out of valid range, 0..7"}, {'F', "varlena.c"}},
         "C2202E|Mindex [REDACTED] out of valid range, [REDACTED]|"},
    Case{"APlanThatDoesNotFitAnyMore", {{'C', "0A000"}, {'M', "cached plan must not change result type"}, {'F', "plancache.c"}},
         "C0A000|Mcached plan must not change result type|"},
    Case{"DivisionByZero", {{'C', "22012"}, {'M', "division by zero"}, {'F', "int.c"}}, "C22012|Mdivision by zero|"},
    Case{"AConstraint", {{'C', "23505"}, {'M', "duplicate key value violates unique constraint \"k\""}, {'D', "Key (secret)=(zq7) already exists."}, {'n', "k"}, {'F', "nbtinsert.c"}},
         "C23505|Mduplicate key value violates unique constraint \"k\"|DKey (secret)=([REDACTED]) already exists.|nk|"},
    Case{"AConstraintThatIsRaised", {{'C', "23505"}, {'M', "zq7"}, {'D', "Key (a)=(b) zq7"}, {'n', "zq7"}, {'s', "zq7"}, {'t', "zq7"}, {'c', "zq7"}, {'d', "zq7"}, {'F', "pl_exec.c"}},
         "C23505|M[REDACTED]|D[REDACTED]|"},
    Case{"RaisedAsIfOfTheParser", {{'C', "42601"}, {'M', "zq7"}, {'P', "1"}, {'F', "plpy_elog.c"}}, "C42601|M[REDACTED]|P1|"},
    Case{"OfAnotherServer", {{'C', "42P01"}, {'M', "zq7"}, {'F', "dblink.c"}}, "C42P01|M[REDACTED]|"},
    Case{"OfNobody", {{'C', "57014"}, {'M', "zq7"}}, "C57014|M[REDACTED]|"},
    Case{"OfAnUnknownFile", {{'C', "58P01"}, {'M', "zq7"}, {'F', "other.c"}}, "C58P01|M[REDACTED]|"},
    Case{"Cancelled", {{'C', "57014"}, {'M', "canceling statement due to user request"}, {'W', "SQL … zq7"}, {'F', "postgres.c"}},
         "C57014|Mcanceling statement due to user request|W[REDACTED]|"},
    Case{"Privileges", {{'C', "42501"}, {'M', "permission denied for table people"}, {'F', "aclchk.c"}}, "C42501|Mpermission denied for table people|"},
    Case{"ARowOfASecurityPolicy", {{'C', "42501"}, {'M', "new row violates row-level security policy"}, {'D', "zq7"}, {'F', "execMain.c"}},
         "C42501|Mnew row violates row-level security policy|D[REDACTED]|"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

// Triggers, rules and operators run code that no statement names.
TEST(DiagnosticsOf, CodeOfOthersIsRedactedWhateverTheStatement) {
    EXPECT_EQ(masked({{'C', "01000"}, {'M', "seen zq7"}, {'F', "pl_exec.c"}}, false),
              "C01000|M[REDACTED]|");
    EXPECT_EQ(masked({{'C', "42P01"},
                      {'M', "relation \"zq7\" does not exist"},
                      {'W', "PL/pgSQL function"},
                      {'F', "namespace.c"}},
                     false),
              "C42P01|Mrelation \"[REDACTED]\" does not exist|W[REDACTED]|");
    EXPECT_EQ(masked({{'C', "42P01"}, {'M', "relation \"t\" does not exist"}, {'F', "namespace.c"}},
                     false),
              "C42P01|Mrelation \"t\" does not exist|");
}

}  // namespace
}  // namespace chaperone::session
