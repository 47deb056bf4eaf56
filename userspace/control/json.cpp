// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/json.h"

#include "userspace/record/text.h"

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <charconv>
#include <memory>
#include <vector>

namespace chaperone::control {
namespace pb = google::protobuf;

namespace {

// Protobuf leaves out the bytes of a string that are no UTF-8; who reads a held request would read
// another one.
void make_text(pb::Message& message) {
    const pb::Reflection& fields = *message.GetReflection();
    std::vector<const pb::FieldDescriptor*> set;
    fields.ListFields(message, &set);
    for (const pb::FieldDescriptor* field : set) {
        const bool repeated = field->is_repeated();
        const bool text = field->type() == pb::FieldDescriptor::TYPE_STRING;
        if (!text && field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
        const int count = repeated ? fields.FieldSize(message, field) : 1;
        for (int i = 0; i != count; ++i) {
            if (!text)
                make_text(repeated ? *fields.MutableRepeatedMessage(&message, field, i)
                                   : *fields.MutableMessage(&message, field));
            else if (repeated)
                fields.SetRepeatedString(
                    &message, field, i,
                    record::to_utf8(fields.GetRepeatedString(message, field, i)));
            else
                fields.SetString(&message, field,
                                 record::to_utf8(fields.GetString(message, field)));
        }
    }
}

}  // namespace

std::string to_json(const pb::Message& message) {
    pb::util::JsonPrintOptions options;
    options.always_print_primitive_fields = true;
    const std::unique_ptr<pb::Message> text{message.New()};
    text->CopyFrom(message);
    make_text(*text);
    std::string out;
    if (const auto status = pb::util::MessageToJsonString(*text, &out, options); !status.ok())
        return R"({"error":{"code":"system","message":"the answer is not valid UTF-8"}})";
    return out;
}

Result<> from_json(std::string_view json, pb::Message& into, Unknown unknown) {
    pb::util::JsonParseOptions options;
    options.ignore_unknown_fields = unknown == Unknown::Ignored;
    const auto status =
        pb::util::JsonStringToMessage(pb::StringPiece{json.data(), json.size()}, &into, options);
    if (status.ok()) return {};
    return fail(Errc::Malformed, "JSON: " + std::string{status.message()});
}

namespace {

Result<> bad_value(std::string_view name, std::string_view wanted) {
    return fail(Errc::Invalid, std::string{name} + " must be " + std::string{wanted});
}

Result<> set_time(pb::Message& message, const pb::FieldDescriptor& field, std::string_view text) {
    pb::Message* time = message.GetReflection()->MutableMessage(&message, &field);
    auto* stamp = pb::DynamicCastToGenerated<pb::Timestamp>(time);
    if (stamp == nullptr || !pb::util::TimeUtil::FromString(std::string{text}, stamp))
        return bad_value(field.json_name(), "a time as in RFC 3339, 2026-01-31T12:00:00Z");
    return {};
}

}  // namespace

Result<> set_field(pb::Message& message, std::string_view name, std::string_view text) {
    const pb::Descriptor& type = *message.GetDescriptor();
    const auto* field = type.FindFieldByCamelcaseName(std::string{name});
    if (field == nullptr || field->is_repeated())
        return fail(Errc::Invalid, "unknown parameter '" + std::string{name} + "'");
    const pb::Reflection& fields = *message.GetReflection();
    switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
        fields.SetString(&message, field, std::string{text});
        return {};
    case pb::FieldDescriptor::CPPTYPE_BOOL:
        if (text != "true" && text != "false") return bad_value(name, "true or false");
        fields.SetBool(&message, field, text == "true");
        return {};
    case pb::FieldDescriptor::CPPTYPE_UINT32: {
        std::uint32_t value = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        if (error != std::errc{} || stop != end) return bad_value(name, "a number");
        fields.SetUInt32(&message, field, value);
        return {};
    }
    case pb::FieldDescriptor::CPPTYPE_MESSAGE: return set_time(message, *field, text);
    case pb::FieldDescriptor::CPPTYPE_INT32:
    case pb::FieldDescriptor::CPPTYPE_INT64:
    case pb::FieldDescriptor::CPPTYPE_UINT64:
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
    case pb::FieldDescriptor::CPPTYPE_ENUM: break;
    }
    return fail(Errc::Invalid, "'" + std::string{name} + "' cannot be a parameter");
}

std::vector<std::pair<std::string, std::string>> set_fields(const pb::Message& message) {
    const pb::Reflection& fields = *message.GetReflection();
    std::vector<const pb::FieldDescriptor*> present;
    fields.ListFields(message, &present);
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto* field : present) {
        if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING)
            out.emplace_back(field->json_name(), fields.GetString(message, field));
        else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_BOOL)
            out.emplace_back(field->json_name(), "true");
        else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_UINT32)
            out.emplace_back(field->json_name(), std::to_string(fields.GetUInt32(message, field)));
        else if (const auto* stamp =
                     pb::DynamicCastToGenerated<pb::Timestamp>(&fields.GetMessage(message, field)))
            out.emplace_back(field->json_name(), pb::util::TimeUtil::ToString(*stamp));
    }
    return out;
}

}  // namespace chaperone::control
