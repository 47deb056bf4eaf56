// SPDX-License-Identifier: Apache-2.0
// layer: session
// Any bytes as the messages of a gRPC call: no crash, what is cut comes out the same wherever it is
// cut, and what has come out can be read again.
#include "userspace/session/masking/grpc_masker.h"

#include "tests/support/proto_schema.h"

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

namespace chaperone::session {
namespace {

constexpr const char* kSource = R"(
syntax = "proto3";
package f;
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
message M {
  string a = 1;
  M b = 2;
  repeated M c = 3;
  map<string, M> d = 4;
  google.protobuf.Any e = 5;
  google.protobuf.Struct f = 6;
  bytes g = 7;
  repeated int64 h = 8;
  double i = 9;
  bool j = 10;
  map<int32, string> k = 11;
  google.protobuf.StringValue l = 12;
}
)";

const TextMasks& masks() {
    static const policy::MaskSet kSet = [] {
        policy::MaskSet set{
            .detectors = {{{"EMAIL_ADDRESS", "CREDIT_CARD"}, detect::With::Redact, "r"}}};
        set.json.push_back({*policy::JsonPath::parse("$..a"), detect::With::Redact, "r"});
        set.json.push_back({*policy::JsonPath::parse("$.c[1]"), detect::With::Null, "r"});
        return set;
    }();
    static const TextMasks kMasks{
        kSet,
        [](const policy::DetectMask& mask) {
            return std::make_shared<const detect::Detector>(*detect::Detector::make(mask.kinds));
        },
        std::make_shared<const detect::Masker>(as_bytes("key"), "scope")};
    return kMasks;
}

std::optional<std::string> play(std::string_view body, std::size_t piece,
                                std::string_view encoding) {
    static const auto kSchema = testing::schema_of(kSource);
    const auto masker = make_grpc_masker({kSchema, *kSchema->message("f.M"), masks()}, encoding);
    std::string out;
    for (; !body.empty(); body.remove_prefix(std::min(piece, body.size())))
        if (!masker->feed(body.substr(0, piece), out)) return std::nullopt;
    if (!masker->finish(out)) return std::nullopt;
    return out;
}

}  // namespace
}  // namespace chaperone::session

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::session;
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    const auto whole = play(body, size + 1, "gzip");
    if (play(body, 3, "gzip") != whole) std::abort();
    if (whole && !play(*whole, whole->size() + 1, {})) std::abort();
    return 0;
}
