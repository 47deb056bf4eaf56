// SPDX-License-Identifier: Apache-2.0
// Messages of gRPC are masked as their JSON form would be, whatever they are made of.
#include "userspace/session/masking/grpc_masker.h"

#include "tests/support/masks.h"
#include "tests/support/proto_schema.h"
#include "userspace/wire/coding/coding.h"

#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace chaperone::session {
namespace {

using detect::With;
using testing::Masks;
using testing::schema_of;

constexpr const char* kShop = R"(
syntax = "proto3";
package shop.v1;
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
enum Kind { UNKNOWN = 0; PRIVATE = 1; }
message Address { string street = 1; string zip_code = 2; Address next = 3; }
message Order {
  int64 id = 1;
  string customer_email = 2;
  Address ship_to = 3;
  repeated string notes = 4;
  map<string, string> labels = 5;
  map<int32, Address> stops = 6;
  bytes blob = 7;
  Kind kind = 8;
  bool gift = 9;
  double price = 10;
  repeated int32 digits = 11;
  google.protobuf.Any extra = 12;
  google.protobuf.Struct attributes = 13;
  google.protobuf.StringValue nick = 14;
  oneof contact { string phone = 15; uint64 card = 16; }
  repeated Address more = 17;
}
message Id { int64 id = 1; }
service Orders { rpc Get(Id) returns (Order); }
)";

const std::shared_ptr<const policy::proto::Schema>& schema() {
    static const auto made = schema_of(kShop);
    return made;
}

const google::protobuf::Descriptor& order() {
    return *schema()->message("shop.v1.Order");
}

std::string encoded(const std::string& text) {
    const auto message = schema()->make(order());
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, message.get())) << text;
    return message->SerializeAsString();
}

std::string decoded(const std::string& bytes) {
    const auto message = schema()->make(order());
    EXPECT_TRUE(message->ParseFromString(bytes));
    return message->ShortDebugString();
}

std::string frame(std::string_view message, char flag = 0) {
    std::string out{flag};
    for (int shift = 24; shift >= 0; shift -= 8)
        out += static_cast<char>(message.size() >> shift & 0xff);
    return out + std::string{message};
}

Result<std::string> masked(Masks masks, std::string_view body, std::size_t piece,
                           std::string_view encoding = {}) {
    const TextMasks& made = masks.get();
    const auto masker = make_grpc_masker({schema(), order(), made}, encoding);
    std::string out;
    for (std::size_t at = 0; at < body.size(); at += piece)
        if (auto done = masker->feed(body.substr(at, piece), out); !done) return fail(done.error());
    if (auto done = masker->finish(out); !done) return fail(done.error());
    return out;
}

struct Case {
    const char* name;
    Masks masks;
    const char* in;
    const char* out;
};

class Messages : public ::testing::TestWithParam<Case> {};

TEST_P(Messages, AreMaskedAtEveryCut) {
    const Case& c = GetParam();
    const std::string one = frame(encoded(c.in));
    for (const std::size_t piece : {one.size() * 2, std::size_t{1}, std::size_t{6}}) {
        const auto got = masked(c.masks, one + one, piece);
        ASSERT_TRUE(got) << got.error().message();
        const std::string half = got->substr(0, got->size() / 2);
        EXPECT_EQ(half + half, *got);
        EXPECT_EQ(frame(half.substr(5)), half);
        EXPECT_EQ(decoded(half.substr(5)), c.out);
    }
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, Messages, ::testing::Values(
    Case{"AsDeclared", Masks{}.path("$.customer_email"),
        R"(id: 7 customer_email: "a@b.example")", R"(id: 7 customer_email: "[REDACTED]")"},
    Case{"AsInJson", Masks{}.path("$.customerEmail"),
        R"(id: 7 customer_email: "a@b.example")", R"(id: 7 customer_email: "[REDACTED]")"},
    Case{"NoOther", Masks{}.path("$.email").path("$.street"),
        R"(customer_email: "a" ship_to { street: "b" })",
        R"(customer_email: "a" ship_to { street: "b" })"},
    Case{"Inside", Masks{}.path("$.shipTo.zipCode"),
        R"(ship_to { street: "s" zip_code: "z" next { zip_code: "y" } })",
        R"(ship_to { street: "s" zip_code: "[REDACTED]" next { zip_code: "y" } })"},
    Case{"AnyDepth", Masks{}.path("$..zip_code"),
        R"(ship_to { zip_code: "z" next { zip_code: "y" } } more { zip_code: "x" })",
        R"(ship_to { zip_code: "[REDACTED]" next { zip_code: "[REDACTED]" } } more { zip_code: "[REDACTED]" })"},
    Case{"Whole", Masks{}.path("$.ship_to"),
        R"(ship_to { street: "s" next { zip_code: "y" } })",
        R"(ship_to { street: "[REDACTED]" next { zip_code: "[REDACTED]" } })"},
    Case{"All", Masks{}.path("$.*"),
        R"(id: 7 customer_email: "a" kind: PRIVATE gift: true price: 1.5 digits: [1, 2])",
        R"(customer_email: "[REDACTED]" digits: 0 digits: 0)"},
    Case{"Element", Masks{}.path("$.notes[1]").path("$.more[0].street"),
        R"(notes: ["a", "b"] more { street: "s" } more { street: "t" })",
        R"(notes: "a" notes: "[REDACTED]" more { street: "[REDACTED]" } more { street: "t" })"},
    Case{"MapByKey", Masks{}.path("$.labels.mail").path("$.stops['7'].street"),
        R"(labels { key: "mail" value: "m" } stops { key: 7 value { street: "s" zip_code: "z" } })",
        R"(labels { key: "mail" value: "[REDACTED]" } stops { key: 7 value { street: "[REDACTED]" zip_code: "z" } })"},
    Case{"Number", Masks{}.path("$.id").path("$.price").path("$.digits[*]", With::Null),
        R"(id: 7 price: 1.5 digits: 3)", R"(digits: 0)"},
    Case{"Null", Masks{}.path("$.customer_email", With::Null),
        R"(id: 1 customer_email: "a")", R"(id: 1)"},
    Case{"Wrapper", Masks{}.path("$.nick"),
        R"(nick { value: "joe" })", R"(nick { value: "[REDACTED]" })"},
    Case{"OneOf", Masks{}.path("$.phone"), R"(phone: "1")", R"(phone: "[REDACTED]")"},
    Case{"Struct", Masks{}.path("$.attributes.mail").path("$.attributes.all[1].x"),
        R"(attributes { fields { key: "mail" value { string_value: "m" } } })",
        R"(attributes { fields { key: "mail" value { string_value: "[REDACTED]" } } })"},
    Case{"StructList", Masks{}.path("$.attributes.all[1].x"),
        R"(attributes { fields { key: "all" value { list_value { values { number_value: 1 } values { struct_value { fields { key: "x" value { number_value: 9 } } } } } } } })",
        R"(attributes { fields { key: "all" value { list_value { values { number_value: 1 } values { struct_value { fields { key: "x" value { number_value: 0 } } } } } } } })"},
    Case{"Detected", Masks{}.detect({"EMAIL_ADDRESS"}),
        R"(customer_email: "write to ann@shop.example" notes: "bob@shop.example" blob: "eve@shop.example" labels { key: "joe@shop.example" value: "x" } nick { value: "zoe@shop.example" })",
        R"(customer_email: "write to <EMAIL_ADDRESS>" notes: "<EMAIL_ADDRESS>" labels { key: "<EMAIL_ADDRESS>" value: "x" } blob: "<EMAIL_ADDRESS>" nick { value: "<EMAIL_ADDRESS>" })"},
    Case{"DetectedNumber", Masks{}.detect({"CREDIT_CARD"}), R"(card: 4111111111111111)", R"(card: 0)"},
    Case{"Any", Masks{}.path("$.extra.street").detect({"EMAIL_ADDRESS"}),
        R"(extra { [type.googleapis.com/shop.v1.Address] { street: "s" zip_code: "ann@shop.example" } })",
        R"(extra { [type.googleapis.com/shop.v1.Address] { street: "[REDACTED]" zip_code: "<EMAIL_ADDRESS>" } })"},
    Case{"Nothing", Masks{}.path("$.id"), "", ""}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(GrpcMasker, PseudonymsOfNumbersAreNumbers) {
    const auto once =
        masked(Masks{}.path("$.id", With::Pseudonym), frame(encoded("id: 123456")), 99);
    const auto other =
        masked(Masks{}.path("$.id", With::Pseudonym), frame(encoded("id: 123457")), 99);
    ASSERT_TRUE(once && other);
    EXPECT_NE(decoded(once->substr(5)), "id: 123456");
    EXPECT_NE(*once, *other);
}

// What nobody here can read does not pass.
TEST(GrpcMasker, LeavesOutWhatTheSchemaDoesNotKnow) {
    const auto got =
        masked(Masks{}.detect({"US_SSN"}), frame(encoded("id: 7") + "\xfa\x07\x04hide"), 99);
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(*got, frame(encoded("id: 7")));
}

// The first of two values of one field is read by nobody, but it is there.
TEST(GrpcMasker, LeavesOutWhatIsOverwritten) {
    const auto got = masked(
        Masks{}.path("$.id"),
        frame(encoded(R"(customer_email: "first")") + encoded(R"(customer_email: "second")")), 99);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->find("first"), std::string::npos);
    EXPECT_NE(got->find("second"), std::string::npos);
}

TEST(GrpcMasker, TakesCompressionOff) {
    std::string packed;
    const auto encoder = wire::make_encoder(wire::Coding::Gzip);
    const auto sink = [&](Bytes piece) { packed += as_text(piece); };
    encoder->push(as_bytes(encoded(R"(customer_email: "a@b.example")")), sink);
    encoder->finish(sink);
    const Masks masks = Masks{}.path("$.customer_email");
    const auto got = masked(masks, frame(packed, 1), 7, "gzip");
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(*got, frame(encoded(R"(customer_email: "[REDACTED]")")));
    EXPECT_EQ(masked(masks, frame(packed, 1), 7, "snappy").error().code, Errc::Unsupported);
    EXPECT_EQ(masked(masks, frame(packed, 1), 7).error().code, Errc::Unsupported);
    EXPECT_FALSE(masked(masks, frame(packed.substr(0, 12), 1), 99, "gzip"));
}

TEST(GrpcMasker, RefusesWhatExpandsWithoutEnd) {
    std::string packed;
    const auto encoder = wire::make_encoder(wire::Coding::Gzip);
    const auto sink = [&](Bytes piece) { packed += as_text(piece); };
    const std::string zeros(std::size_t{1} << 20, '\0');
    for (int i = 0; i != 6; ++i) encoder->push(as_bytes(zeros), sink);
    encoder->finish(sink);
    EXPECT_EQ(
        masked(Masks{}.path("$.id"), frame(packed, 1), packed.size() + 5, "gzip").error().code,
        Errc::TooLarge);
}

TEST(GrpcMasker, RefusesWhatIsNone) {
    const Masks masks = Masks{}.path("$.id");
    EXPECT_EQ(masked(masks, frame("\xff\xff", 0), 99).error().code, Errc::Malformed);
    EXPECT_EQ(masked(masks, frame("x", 2), 99).error().code, Errc::Malformed);
    EXPECT_EQ(masked(masks, frame("", '\x80'), 99).error().code, Errc::Malformed);
    EXPECT_EQ(masked(masks, std::string("\0\x7f\0\0\0", 5), 99).error().code, Errc::TooLarge);
    EXPECT_EQ(masked(masks, frame(encoded("id: 7")).substr(0, 6), 99).error().code,
              Errc::Truncated);
    // No UTF-8 where the schema says string.
    EXPECT_FALSE(masked(masks, frame("\x12\x01\xff"), 99));
}

TEST(GrpcMasker, RefusesAnAnyThatNobodyKnows) {
    const std::string any = encoded(R"(extra { type_url: "type.googleapis.com/x.Y" value: "z" })");
    EXPECT_EQ(masked(Masks{}.path("$.id"), frame(any), 99).error().code, Errc::Unsupported);
}

// Each Any is parsed by itself, so that no parser counts how deep they are in one another.
TEST(GrpcMasker, RefusesWhatIsTooDeep) {
    const auto packed = [](int times) {
        std::string inner = encoded("id: 7");
        for (int i = 0; i != times; ++i) {
            const auto message = schema()->make(order());
            const auto& reflection = *message->GetReflection();
            auto& any = *reflection.MutableMessage(message.get(), order().FindFieldByName("extra"));
            const auto& type = *any.GetDescriptor();
            any.GetReflection()->SetString(&any, type.FindFieldByNumber(1), "x/shop.v1.Order");
            any.GetReflection()->SetString(&any, type.FindFieldByNumber(2), inner);
            inner = message->SerializeAsString();
        }
        return inner;
    };
    const Masks masks = Masks{}.path("$..id");
    EXPECT_TRUE(masked(masks, frame(packed(40)), 4096));
    EXPECT_EQ(masked(masks, frame(packed(60)), 4096).error().code, Errc::TooLarge);
}

}  // namespace
}  // namespace chaperone::session
