// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include "cli/when.h"

#include <gtest/gtest.h>

#include <sstream>

namespace chaperone::cli {
namespace {

TEST(Yaml, IsBlockStyleAndQuotesWhatWouldBeReadAsSomethingElse) {
    EXPECT_EQ(yaml_of(R"({"sessions":[{"id":"01A","rows":5,"to":{"port":1}},{"id":"no"}],"e":[],)"
                      R"("s":"a: b","v":"12","t":true})"),
              "sessions:\n"
              "  - id: \"01A\"\n"
              "    rows: 5\n"
              "    to:\n"
              "      port: 1\n"
              "  - id: \"no\"\n"
              "e: []\n"
              "s: \"a: b\"\n"
              "v: \"12\"\n"
              "t: true\n");
    EXPECT_EQ(yaml_of("{}"), "{}\n");
    EXPECT_EQ(yaml_of("[[1,2],[]]"), "-\n  - 1\n  - 2\n- []\n");
}

TEST(Shown, SendsNoControlCharacterToTheTerminal) {
    EXPECT_EQ(shown("a\x1b[2Jb\nc\x7f\xc2\x9b"
                    "d\xc3\xa9"),
              "a?[2Jb c??d\xc3\xa9");
    EXPECT_EQ(shown("abcdef", 3), "abc…");
}

TEST(Table, AlignsByCharacters) {
    std::ostringstream out;
    Table{{"A", "B"}}.row({"\xc3\xa9", "x"}).row({"long", ""}).print(out);
    EXPECT_EQ(out.str(), "A     B\n\xc3\xa9     x\nlong\n");
}

TEST(When, ReadsTimesDaysAndSpans) {
    const Time noon = *parse_rfc3339("2026-01-31T12:00:00Z");
    EXPECT_EQ(read_when("2026-01-31T12:00:00Z", {}), noon);
    EXPECT_EQ(read_when("2026-01-31", {}), noon - std::chrono::hours{12});
    EXPECT_EQ(read_when("2h", noon), noon - std::chrono::hours{2});
    for (const char* bad : {"", "yesterday", "2026-13-01", "-2h"})
        EXPECT_FALSE(read_when(bad, noon)) << bad;
}

TEST(Bytes, AreReadable) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(1536), "1.5 KiB");
}

}  // namespace
}  // namespace chaperone::cli
