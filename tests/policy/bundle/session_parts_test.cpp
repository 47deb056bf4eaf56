// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/variables.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chaperone::policy::engine {
namespace {

std::string print_of(const SessionFacts& facts, const std::vector<std::string>& paths) {
    return SessionView{facts}.fingerprint(session_parts(paths));
}

TEST(SessionParts, AreWhatPathsLookAtOfASession) {
    const std::vector<std::string> paths{"identity.groups",
                                         "identity.groups[0]",
                                         "now",
                                         "sql.text",
                                         "http.path",
                                         "conn",
                                         "nothing",
                                         "workload.labels.team",
                                         "identity[\"x\"]"};
    const auto parts = session_parts(paths);
    ASSERT_EQ(parts.size(), 4U) << "groups, the whole identity, labels and conn";
    EXPECT_EQ(parts.back().slot, kConn);
    EXPECT_EQ(parts.back().field, cel::ObjectType::kNone);
}

TEST(SessionParts, TellSessionsApartByNothingElse) {
    SessionFacts one;
    one.identity.subject = "agent:one";
    one.workload = "a";
    one.workload_labels = {{"team", "x"}};
    SessionFacts other = one;
    other.id = "another";
    other.workload = "b";
    EXPECT_EQ(print_of(one, {"identity.subject"}), print_of(other, {"identity.subject"}));
    EXPECT_NE(print_of(one, {"workload.name"}), print_of(other, {"workload.name"}));
    EXPECT_NE(print_of(one, {"workload"}), print_of(other, {"workload"}));
    other.identity.subject = "agent:two";
    EXPECT_NE(print_of(one, {"identity.subject"}), print_of(other, {"identity.subject"}));
    other.identity.subject = one.identity.subject;
    EXPECT_EQ(print_of(one, {"workload.labels.team"}), print_of(other, {"workload.labels.team"}));
    other.workload_labels["team"] = "y";
    EXPECT_NE(print_of(one, {"workload.labels.team"}), print_of(other, {"workload.labels.team"}));
}

// What stands in one part must not be taken for what stands in the next.
TEST(SessionParts, DoNotRunIntoEachOther) {
    SessionFacts one;
    one.identity.subject = "ab";
    one.identity.issuer = "c";
    SessionFacts other = one;
    other.identity.subject = "a";
    other.identity.issuer = "bc";
    const std::vector<std::string> both{"identity.subject", "identity.issuer"};
    EXPECT_NE(print_of(one, both), print_of(other, both));
}

}  // namespace
}  // namespace chaperone::policy::engine
