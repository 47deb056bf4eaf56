// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/proto_masker.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/unknown_field_set.h>

#include <charconv>
#include <climits>
#include <optional>
#include <utility>
#include <vector>

namespace chaperone::session {

namespace pb = google::protobuf;
using detect::With;
using Field = pb::FieldDescriptor;

namespace {

// A number of the same kind that says nothing, or says the same for the same.
template <class T>
T number_for(const detect::Masker& masker, With with, std::string_view text) {
    if (with != With::Pseudonym) return T{};
    const std::string instead = masker.value(text, with).value_or("");
    T made{};
    const auto [end, error] =
        std::from_chars(instead.data(), instead.data() + instead.size(), made);
    return error == std::errc{} && end == instead.data() + instead.size() ? made : T{};
}

template <class T>
std::string text_of(T number) {
    char room[64];
    return {room, std::to_chars(room, room + sizeof room, number).ptr};
}

}  // namespace

// Over one message. A row has the state of each path of the masks.
class ProtoMasker::Walk {
public:
    using Row = std::vector<policy::JsonPath::State>;
    using Whole = std::optional<With>;  // of all that is here

    explicit Walk(ProtoMasker& it) : it_(it) {}

    Result<> message(pb::Message& message, const Row& row, Whole whole, int depth) {
        if (depth > kMaxDepth) return fail(Errc::TooLarge, "the depth of a message");
        const std::string& name = message.GetDescriptor()->full_name();
        if (name == "google.protobuf.Any") return any(message, row, whole, depth);
        const pb::Reflection& reflection = *message.GetReflection();
        if (!reflection.GetUnknownFields(message).empty()) {
            reflection.MutableUnknownFields(&message)->Clear();
            ++it_.masked_;
        }
        // These are what they hold (struct.proto, and wrappers).
        const bool transparent = name == "google.protobuf.Struct" ||
                                 name == "google.protobuf.Value" ||
                                 name == "google.protobuf.ListValue";
        std::vector<const Field*> fields;
        reflection.ListFields(message, &fields);
        for (const Field* field : fields) {
            Whole of_field = whole;
            const Row at = transparent ? row : member(row, *field, of_field);
            if (auto done = this->field(message, *field, at, of_field, depth); !done) return done;
        }
        return {};
    }

private:
    // One value that is no message; of a list that at `index`.
    struct Place {
        pb::Message& in;
        const Field& field;
        Whole whole;
        std::string_view hint;
        int index;
    };

    template <class Step>
    Row step(const Row& row, Whole& whole, Step take) const {
        const auto& paths = it_.masks_.json();
        Row next(row.size());
        for (std::size_t i = 0; i != row.size(); ++i) {
            next[i] = take(paths[i].path, row[i]);
            if (paths[i].path.complete(next[i]))
                whole = whole ? detect::stronger(*whole, paths[i].with) : paths[i].with;
        }
        return next;
    }
    // A path may name a field as it is declared or as it is in JSON.
    Row member(const Row& row, const Field& field, Whole& whole) const {
        return step(row, whole, [&](const policy::JsonPath& path, auto state) {
            return path.member(state, field.name()) | path.member(state, field.json_name());
        });
    }
    Row key(const Row& row, std::string_view name, Whole& whole) const {
        return step(row, whole, [&](const policy::JsonPath& path, auto state) {
            return path.member(state, name);
        });
    }
    Row element(const Row& row, std::size_t index, Whole& whole) const {
        return step(row, whole, [&](const policy::JsonPath& path, auto state) {
            return path.element(state, index);
        });
    }

    Result<> field(pb::Message& in, const Field& field, const Row& row, Whole whole, int depth) {
        const pb::Reflection& reflection = *in.GetReflection();
        if (!field.is_repeated()) {
            if (field.cpp_type() == Field::CPPTYPE_MESSAGE)
                return message(*reflection.MutableMessage(&in, &field), row, whole, depth + 1);
            one(in, field, whole, field.name());
            return {};
        }
        const int size = reflection.FieldSize(in, &field);
        for (int i = 0; i != size; ++i) {
            Whole here = whole;
            if (field.is_map()) {
                pb::Message& entry = *reflection.MutableRepeatedMessage(&in, &field, i);
                if (auto done = this->entry(entry, row, here, depth); !done) return done;
                continue;
            }
            const Row at = element(row, static_cast<std::size_t>(i), here);
            if (field.cpp_type() == Field::CPPTYPE_MESSAGE) {
                pb::Message& each = *reflection.MutableRepeatedMessage(&in, &field, i);
                if (auto done = message(each, at, here, depth + 1); !done) return done;
            } else {
                one(in, field, here, field.name(), i);
            }
        }
        return {};
    }

    // Of a map. Its key is a name in JSON, which detectors see and paths do not mean.
    Result<> entry(pb::Message& entry, const Row& row, Whole whole, int depth) {
        const pb::Descriptor& type = *entry.GetDescriptor();
        const Field& value = *type.map_value();
        const std::string name = key_text(entry, *type.map_key());
        const Row at = key(row, name, whole);
        one(entry, *type.map_key(), std::nullopt, {});
        if (value.cpp_type() != Field::CPPTYPE_MESSAGE) {
            one(entry, value, whole, name);
            return {};
        }
        const pb::Reflection& reflection = *entry.GetReflection();
        return message(*reflection.MutableMessage(&entry, &value), at, whole, depth + 1);
    }

    static std::string key_text(const pb::Message& entry, const Field& key) {
        const pb::Reflection& r = *entry.GetReflection();
        switch (key.cpp_type()) {
        case Field::CPPTYPE_STRING: return r.GetString(entry, &key);
        case Field::CPPTYPE_INT32: return text_of(r.GetInt32(entry, &key));
        case Field::CPPTYPE_INT64: return text_of(r.GetInt64(entry, &key));
        case Field::CPPTYPE_UINT32: return text_of(r.GetUInt32(entry, &key));
        case Field::CPPTYPE_UINT64: return text_of(r.GetUInt64(entry, &key));
        case Field::CPPTYPE_BOOL: return r.GetBool(entry, &key) ? "true" : "false";
        default: return {};  // no key is of another type
        }
    }

    // The message behind the URL, packed again. An empty one has no type to be of.
    Result<> any(pb::Message& any, const Row& row, Whole whole, int depth) {
        const pb::Descriptor& type = *any.GetDescriptor();
        const Field* url = type.FindFieldByNumber(1);
        const Field* value = type.FindFieldByNumber(2);
        if (url == nullptr || value == nullptr || url->cpp_type() != Field::CPPTYPE_STRING ||
            value->cpp_type() != Field::CPPTYPE_STRING || url->is_repeated() ||
            value->is_repeated())
            return fail(Errc::Unsupported, "an Any that has no type and value");
        const pb::Reflection& reflection = *any.GetReflection();
        reflection.MutableUnknownFields(&any)->Clear();
        const std::string packed = reflection.GetString(any, value);
        if (packed.empty()) return {};
        const std::string name = reflection.GetString(any, url);
        const pb::Descriptor* inner = it_.schema_->message(name.substr(name.rfind('/') + 1));
        if (inner == nullptr)
            return fail(Errc::Unsupported, "a message of type \"" + name.substr(0, 200) +
                                               "\", which the resource's protoDescriptor lacks");
        const auto unpacked = it_.schema_->make(*inner);
        if (!unpacked->ParsePartialFromString(packed))
            return fail(Errc::Malformed, "a message of type " + inner->full_name());
        if (auto done = message(*unpacked, row, whole, depth + 1); !done) return done;
        reflection.SetString(&any, value, unpacked->SerializePartialAsString());
        return {};
    }

    void one(pb::Message& in, const Field& field, Whole whole, std::string_view hint,
             int index = -1) {
        using R = pb::Reflection;
        const R& r = *in.GetReflection();
        const Place at{in, field, whole, hint, index};
        switch (field.cpp_type()) {
        case Field::CPPTYPE_STRING: return text(at);
        case Field::CPPTYPE_INT32:
            return number(at, &R::GetInt32, &R::GetRepeatedInt32, &R::SetInt32,
                          &R::SetRepeatedInt32);
        case Field::CPPTYPE_INT64:
            return number(at, &R::GetInt64, &R::GetRepeatedInt64, &R::SetInt64,
                          &R::SetRepeatedInt64);
        case Field::CPPTYPE_UINT32:
            return number(at, &R::GetUInt32, &R::GetRepeatedUInt32, &R::SetUInt32,
                          &R::SetRepeatedUInt32);
        case Field::CPPTYPE_UINT64:
            return number(at, &R::GetUInt64, &R::GetRepeatedUInt64, &R::SetUInt64,
                          &R::SetRepeatedUInt64);
        case Field::CPPTYPE_DOUBLE:
            return number(at, &R::GetDouble, &R::GetRepeatedDouble, &R::SetDouble,
                          &R::SetRepeatedDouble);
        case Field::CPPTYPE_FLOAT:
            return number(at, &R::GetFloat, &R::GetRepeatedFloat, &R::SetFloat,
                          &R::SetRepeatedFloat);
        case Field::CPPTYPE_BOOL:
            if (!whole) return;
            ++it_.masked_;
            if (index < 0) return r.SetBool(&in, &field, false);
            return r.SetRepeatedBool(&in, &field, index, false);
        case Field::CPPTYPE_ENUM: {
            if (!whole) return;
            ++it_.masked_;
            const pb::EnumValueDescriptor* none = field.enum_type()->value(0);
            if (index < 0) return r.SetEnum(&in, &field, none);
            return r.SetRepeatedEnum(&in, &field, index, none);
        }
        case Field::CPPTYPE_MESSAGE: return;  // is no single value
        }
    }

    template <class T>
    void number(const Place& at, T (pb::Reflection::*get)(const pb::Message&, const Field*) const,
                T (pb::Reflection::*get_one)(const pb::Message&, const Field*, int) const,
                void (pb::Reflection::*set)(pb::Message*, const Field*, T) const,
                void (pb::Reflection::*set_one)(pb::Message*, const Field*, int, T) const) {
        const pb::Reflection& r = *at.in.GetReflection();
        const T value =
            at.index < 0 ? (r.*get)(at.in, &at.field) : (r.*get_one)(at.in, &at.field, at.index);
        const std::string text = text_of(value);
        Whole with = at.whole;
        if (!with && !it_.masks_.empty()) with = it_.masks_.found(text, at.hint);
        if (!with) return;
        ++it_.masked_;
        const T instead = number_for<T>(it_.masks_.masker(), *with, text);
        if (at.index < 0)
            (r.*set)(&at.in, &at.field, instead);
        else
            (r.*set_one)(&at.in, &at.field, at.index, instead);
    }

    // Bytes are looked through as text is: they may well be some.
    void text(const Place& at) {
        const pb::Reflection& r = *at.in.GetReflection();
        const std::string value = at.index < 0 ? r.GetString(at.in, &at.field)
                                               : r.GetRepeatedString(at.in, &at.field, at.index);
        std::optional<std::string> instead;
        if (at.whole) {
            ++it_.masked_;
            instead = it_.masks_.masker().value(value, *at.whole).value_or("");
        } else if (!it_.masks_.empty()) {
            instead = it_.masks_.replace(value, at.hint, it_.masked_);
        }
        if (!instead) return;
        if (at.index < 0) return r.SetString(&at.in, &at.field, *std::move(instead));
        r.SetRepeatedString(&at.in, &at.field, at.index, *std::move(instead));
    }

    ProtoMasker& it_;
};

ProtoMasker::ProtoMasker(std::shared_ptr<const policy::proto::Schema> schema,
                         const pb::Descriptor& type, const TextMasks& masks)
    : schema_(std::move(schema)), type_(type), masks_(masks) {}

Result<std::string> ProtoMasker::mask(std::string_view text) {
    const pb::LogSilencer quiet;  // what it finds wrong is said here
    const auto malformed = [&] {
        return fail(Errc::Malformed, "a message of type " + type_.full_name());
    };
    if (text.size() > INT_MAX) return malformed();
    const auto message = schema_->make(type_);
    if (!message->ParsePartialFromArray(text.data(), static_cast<int>(text.size())))
        return malformed();
    Walk walk{*this};
    const Walk::Row row(masks_.json().size(), policy::JsonPath::kRoot);
    if (auto done = walk.message(*message, row, std::nullopt, 0); !done) return fail(done.error());
    std::string out;
    if (!message->SerializePartialToString(&out)) return malformed();
    return out;
}

}  // namespace chaperone::session
