// SPDX-License-Identifier: Apache-2.0
// The corpus: statements and what they must be found to do; its files say how they are written.
#include "policy/sql/analyzer.h"
#include "tests/policy/sql/render.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace chaperone::policy::sql {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path{CHAPERONE_SOURCE_DIR} / "tests/policy/sql/corpus";

struct Case {
    std::string where;
    std::string sql;
    std::string expected;  // the lines below the statement
};

std::vector<Case> cases(const std::string& file) {
    std::ifstream in{kFolder / file};
    std::vector<Case> result;
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        if (line.starts_with("? "))
            result.push_back({file + ":" + std::to_string(number), line.substr(2), ""});
        else if (line.starts_with("| "))
            result.back().sql += "\n" + line.substr(2);
        else if (!line.empty() && !line.starts_with('#'))
            result.back().expected += line + "\n";
    }
    return result;
}

std::shared_ptr<const Catalog> shop() {
    std::ifstream in{kFolder / "catalog.txt"};
    std::stringstream text;
    text << in.rdbuf();
    CatalogBuilder builder;
    EXPECT_TRUE(builder.add_literal(text.str()));
    return builder.build();
}

TEST(Corpus, FindsTheEffects) {
    std::size_t count = 0;
    for (const std::string file : {"statements.txt", "evasions.txt"})
        for (const Case& c : cases(file)) {
            const auto facts = analyze(c.sql, {});
            std::string found = facts->parsed ? "" : "! " + facts->error + "\n";
            found += "= " + render_effects(*facts) + "\n";
            EXPECT_EQ(found, c.expected) << c.where << ": " << c.sql;
            ++count;
        }
    EXPECT_GE(count, 400U);
}

TEST(Corpus, FollowsTheLineage) {
    const auto catalog = shop();
    Context context;
    context.catalog = catalog.get();
    std::size_t count = 0;
    for (const Case& c : cases("lineage.txt")) {
        const auto facts = analyze(c.sql, context);
        std::string found = facts->parsed ? "" : "! " + facts->error + "\n";
        for (const Statement& statement : facts->statements)
            if (statement.returns_rows || statement.copy_out)
                found += "> " + render_outputs(statement) + "\n";
        if (!facts->flows.empty()) found += "~ " + render_flows(*facts) + "\n";
        if (!facts->filters.empty()) found += "% " + render_filters(*facts) + "\n";
        EXPECT_EQ(found, c.expected) << c.where << ": " << c.sql;
        ++count;
    }
    EXPECT_GE(count, 150U);
}

// Whatever the text, its effects are the same when other white space and comments surround it.
TEST(Corpus, CommentsChangeNothing) {
    for (const std::string file : {"statements.txt", "evasions.txt"})
        for (const Case& c : cases(file)) {
            const auto plain = analyze(c.sql, {});
            if (!plain->parsed) continue;
            const auto dressed = analyze("/* a /* b */ ; */ \n\t" + c.sql + "\n-- ; c", {});
            EXPECT_EQ(render_effects(*plain), render_effects(*dressed)) << c.where;
        }
}

// What follows a statement is never hidden by it.
TEST(Corpus, EveryStatementCounts) {
    for (const std::string file : {"statements.txt", "evasions.txt"})
        for (const Case& c : cases(file)) {
            const auto alone = analyze(c.sql, {});
            if (!alone->parsed) continue;
            const auto both = analyze(c.sql + "\n;truncate hidden.table_of_the_end", {});
            EXPECT_TRUE(both->does(EffectKind::Truncate)) << c.where;
        }
}

}  // namespace
}  // namespace chaperone::policy::sql
