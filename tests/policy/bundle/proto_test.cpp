// SPDX-License-Identifier: Apache-2.0
// The descriptor set of a resource: which calls it knows, and what a bundle says of a bad one.
#include "policy/proto/schema.h"

#include "policy/bundle/bundle.h"
#include "tests/support/proto_schema.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace chaperone::policy::proto {
namespace {

using chaperone::testing::descriptor_set_of;
using chaperone::testing::schema_of;

constexpr const char* kShop = R"(
syntax = "proto3";
package shop.v1;
message Id { int64 id = 1; }
message Order { string email = 1; }
service Orders { rpc Get(Id) returns (Order); }
)";

TEST(Schema, KnowsTheMessagesOfAPath) {
    const auto schema = schema_of(kShop);
    const auto get = schema->method("/shop.v1.Orders/Get");
    ASSERT_TRUE(get);
    EXPECT_EQ(get->request->full_name(), "shop.v1.Id");
    EXPECT_EQ(get->response->full_name(), "shop.v1.Order");
    EXPECT_EQ(schema->message("shop.v1.Order"), get->response);
    EXPECT_EQ(schema->message("shop.v1.Orders"), nullptr);
}

// Servers compare the path as it was sent.
TEST(Schema, KnowsNoOtherPath) {
    const auto schema = schema_of(kShop);
    for (const char* path :
         {"", "/", "shop.v1.Orders/Get", "/shop.v1.Orders/get", "/shop.v1.Orders.Get",
          "/shop.v1/Orders/Get", "//shop.v1.Orders/Get", "/shop.v1.Orders/Get?x",
          "/shop.v1.Orders/Get/", "/Orders/Get", "/shop.v1.Orders//Get", "/shop/v1.Orders.Get"})
        EXPECT_FALSE(schema->method(path)) << path;
}

TEST(Schema, IsNoOtherFile) {
    EXPECT_EQ(Schema::parse("").error().code, Errc::Malformed);
    EXPECT_EQ(Schema::parse("syntax = \"proto3\";").error().code, Errc::Malformed);
}

TEST(Schema, NeedsItsImports) {
    const auto schema =
        Schema::parse(descriptor_set_of("syntax = \"proto3\"; import \"google/protobuf/any.proto\";"
                                        "message X { google.protobuf.Any a = 1; }",
                                        ""));
    ASSERT_FALSE(schema);
    EXPECT_EQ(schema.error().code, Errc::Invalid);
    EXPECT_NE(schema.error().detail.find("google/protobuf/any.proto"), std::string::npos);
}

class Descriptors : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "chaperone-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    bundle::Loaded load(const std::string& set, const std::string& protocol = "http") const {
        std::ofstream{folder / "orders.pb", std::ios::binary} << set;
        std::ofstream{folder / "r.yaml"}
            << "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: orders}\nspec: "
               "{protocol: " +
                   protocol + ", hosts: [orders.internal], protoDescriptor: orders.pb}\n";
        return bundle::load(folder);
    }
    std::filesystem::path folder;
};

TEST_F(Descriptors, AreReadWithTheBundle) {
    const auto loaded = load(descriptor_set_of(kShop));
    ASSERT_TRUE(loaded.bundle) << loaded.issues.front().message;
    ASSERT_TRUE(loaded.bundle->resource("orders")->schema);
    EXPECT_TRUE(loaded.bundle->resource("orders")->schema->method("/shop.v1.Orders/Get"));
}

TEST_F(Descriptors, ChangeTheDigest) {
    const auto one = load(descriptor_set_of(kShop));
    const auto other = load(descriptor_set_of("syntax = \"proto3\"; message X {}"));
    ASSERT_TRUE(one.bundle && other.bundle);
    EXPECT_NE(one.bundle->digest(), other.bundle->digest());
}

TEST_F(Descriptors, ThatAreNoneAreErrors) {
    const auto loaded = load("nonsense");
    EXPECT_FALSE(loaded.bundle);
    ASSERT_FALSE(loaded.issues.empty());
    EXPECT_NE(loaded.issues.front().message.find("FileDescriptorSet"), std::string::npos);
    EXPECT_NE(loaded.issues.front().suggestion.find("protoc"), std::string::npos);
}

TEST_F(Descriptors, AreOfHttpOnly) {
    EXPECT_FALSE(load(descriptor_set_of(kShop), "postgresql").bundle);
}

}  // namespace
}  // namespace chaperone::policy::proto
