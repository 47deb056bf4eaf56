// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/json.h"

#include "userspace/control/control.pb.h"

#include <gtest/gtest.h>

#include <string>

namespace chaperone::control {
namespace {

const std::string kNoText = "DELETE FROM a\xff";
constexpr const char* kShown = "DELETE FROM a\uFFFD";

// An approver must not read another statement than the one that is granted.
TEST(Json, BytesThatAreNoTextAreSeen) {
    v1::Approval approval;
    approval.set_statement(kNoText);
    approval.add_parameters()->set_string_value(kNoText);
    approval.add_needs()->add_by(kNoText);
    v1::Approval read;
    ASSERT_TRUE(from_json(to_json(approval), read, Unknown::Malformed));
    EXPECT_EQ(read.statement(), kShown);
    EXPECT_EQ(read.parameters(0).string_value(), kShown);
    EXPECT_EQ(read.needs(0).by(0), kShown);
}

TEST(Json, BytesThatAreNoTextAreSeenInMaps) {
    v1::Workload workload;
    (*workload.mutable_labels())["team"] = kNoText;
    v1::Workload read;
    ASSERT_TRUE(from_json(to_json(workload), read, Unknown::Malformed));
    EXPECT_EQ(read.labels().at("team"), kShown);
}

TEST(Json, TextStaysAsItIs) {
    v1::Approval approval;
    approval.set_statement("SELECT 'k\u00fcndigung \U0001f600'\n");
    v1::Approval read;
    ASSERT_TRUE(from_json(to_json(approval), read, Unknown::Malformed));
    EXPECT_EQ(read.statement(), approval.statement());
}

}  // namespace
}  // namespace chaperone::control
