// SPDX-License-Identifier: Apache-2.0
// How the values of a Bind are shown.
#include "userspace/session/pg_parameters.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {
namespace {

constexpr std::uint32_t kTextOid = 25;

std::vector<policy::Parameter> read(const wire::pg::Bind& bind, std::size_t most) {
    std::vector<policy::Parameter> parameters;
    read_parameters(bind, std::vector{kTextOid, kTextOid, kTextOid}, most, parameters);
    return parameters;
}

TEST(PgParameters, ALongValueIsCutAndItsBytesAreThere) {
    wire::pg::Bind bind;
    bind.values = {as_bytes(std::string_view{"short"}), as_bytes(std::string_view{"longer one"})};
    const auto parameters = read(bind, 6);
    EXPECT_EQ(parameters[0].text, "short");
    EXPECT_FALSE(parameters[0].truncated);
    EXPECT_EQ(parameters[0].whole, "");
    EXPECT_EQ(parameters[1].text, "longer");
    EXPECT_TRUE(parameters[1].truncated);
    EXPECT_EQ(parameters[1].whole, "longer one");
}

// In hex it is longer than it was sent.
TEST(PgParameters, ABinaryValueOfNoKnownTypeIsCutInHex) {
    wire::pg::Bind bind;
    bind.formats = {1};
    bind.values = {as_bytes(std::string_view{"\1\2\3"})};
    std::vector<policy::Parameter> parameters;
    read_parameters(bind, {}, 6, parameters);
    EXPECT_EQ(parameters[0].text, "\\x0102");
    EXPECT_TRUE(parameters[0].truncated);
    EXPECT_EQ(parameters[0].whole, "\1\2\3");
}

TEST(PgParameters, NullIsNoText) {
    wire::pg::Bind bind;
    bind.values = {std::nullopt};
    EXPECT_TRUE(read(bind, 6)[0].null);
}

}  // namespace
}  // namespace chaperone::session
