// SPDX-License-Identifier: Apache-2.0
// Names: of types, of well-known messages, inside containers, and the ones probably meant.
#include "policy/cel/checker.h"

#include <algorithm>
#include <map>

namespace chaperone::cel {

std::vector<std::string> candidates(std::string_view container, std::string_view name,
                                    bool leading_dot) {
    std::vector<std::string> names;
    if (!leading_dot) {
        while (!container.empty()) {
            names.push_back(std::string{container} + "." + std::string{name});
            const auto dot = container.rfind('.');
            container = dot == container.npos ? std::string_view{} : container.substr(0, dot);
        }
    }
    names.emplace_back(name);
    return names;
}

const Type* find_type_name(std::string_view name) {
    static const std::map<std::string, Type, std::less<>> kTypes{
        {"bool", TypeKind::Bool},
        {"int", TypeKind::Int},
        {"uint", TypeKind::Uint},
        {"double", TypeKind::Double},
        {"string", TypeKind::String},
        {"bytes", TypeKind::Bytes},
        {"null_type", TypeKind::Null},
        {"list", Type::list(TypeKind::Dyn)},
        {"map", Type::map(TypeKind::Dyn, TypeKind::Dyn)},
        {"type", Type::type(TypeKind::Dyn)},
        {"optional_type", Type::optional(TypeKind::Dyn)},
        {"google.protobuf.Timestamp", TypeKind::Timestamp},
        {"google.protobuf.Duration", TypeKind::Duration},
        {"net.IP", Type::opaque("net.IP")},
        {"net.CIDR", Type::opaque("net.CIDR")},
    };
    const auto found = kTypes.find(name);
    return found == kTypes.end() ? nullptr : &found->second;
}

std::string_view runtime_name(const Type& type) {
    switch (type.kind()) {
    case TypeKind::Dyn: return "dyn";
    case TypeKind::Null: return "null_type";
    case TypeKind::Bool: return "bool";
    case TypeKind::Int: return "int";
    case TypeKind::Uint: return "uint";
    case TypeKind::Double: return "double";
    case TypeKind::String: return "string";
    case TypeKind::Bytes: return "bytes";
    case TypeKind::Timestamp: return "google.protobuf.Timestamp";
    case TypeKind::Duration: return "google.protobuf.Duration";
    case TypeKind::Any: return "google.protobuf.Any";
    case TypeKind::List:
    case TypeKind::Map:
    case TypeKind::Type:
    case TypeKind::Wrapper:
    case TypeKind::Optional:
    case TypeKind::Object:
    case TypeKind::Parameter: return type.name();
    }
    return {};
}

const MessageType* find_message_type(std::string_view name) {
    const auto wrapper = [](std::string_view message, TypeKind kind) {
        return MessageType{message, Type::wrapper(kind), {{"value", kind}}};
    };
    static const std::vector<MessageType> kMessages{
        wrapper("google.protobuf.BoolValue", TypeKind::Bool),
        wrapper("google.protobuf.Int32Value", TypeKind::Int),
        wrapper("google.protobuf.Int64Value", TypeKind::Int),
        wrapper("google.protobuf.UInt32Value", TypeKind::Uint),
        wrapper("google.protobuf.UInt64Value", TypeKind::Uint),
        wrapper("google.protobuf.FloatValue", TypeKind::Double),
        wrapper("google.protobuf.DoubleValue", TypeKind::Double),
        wrapper("google.protobuf.StringValue", TypeKind::String),
        wrapper("google.protobuf.BytesValue", TypeKind::Bytes),
        {"google.protobuf.Timestamp",
         TypeKind::Timestamp,
         {{"seconds", TypeKind::Int}, {"nanos", TypeKind::Int}}},
        {"google.protobuf.Duration",
         TypeKind::Duration,
         {{"seconds", TypeKind::Int}, {"nanos", TypeKind::Int}}},
        {"google.protobuf.Struct",
         Type::map(TypeKind::String, TypeKind::Dyn),
         {{"fields", Type::map(TypeKind::String, TypeKind::Dyn)}}},
        {"google.protobuf.ListValue",
         Type::list(TypeKind::Dyn),
         {{"values", Type::list(TypeKind::Dyn)}}},
        {"google.protobuf.Value",
         TypeKind::Dyn,
         {{"null_value", TypeKind::Dyn},
          {"number_value", TypeKind::Double},
          {"string_value", TypeKind::String},
          {"bool_value", TypeKind::Bool},
          {"struct_value", Type::map(TypeKind::String, TypeKind::Dyn)},
          {"list_value", Type::list(TypeKind::Dyn)}}},
        {"google.protobuf.Any",
         TypeKind::Any,
         {{"type_url", TypeKind::String}, {"value", TypeKind::Bytes}}},
    };
    const auto found = std::ranges::find(kMessages, name, &MessageType::name);
    return found == kMessages.end() ? nullptr : &*found;
}

std::string closest(std::string_view name, const std::vector<std::string>& names) {
    constexpr std::size_t kLongest = 64;  // the cost is quadratic, and longer names are not typed
    if (name.size() > kLongest || name.empty()) return {};
    std::size_t best = std::max<std::size_t>(1, name.size() / 3);
    std::string found;
    std::vector<std::size_t> row(name.size() + 1);
    for (const std::string& other : names) {
        if (other.size() > kLongest || other == name) continue;
        for (std::size_t i = 0; i != row.size(); ++i) row[i] = i;
        for (std::size_t j = 1; j <= other.size(); ++j) {
            std::size_t diagonal = std::exchange(row[0], j);
            for (std::size_t i = 1; i != row.size(); ++i) {
                const std::size_t above = row[i];
                const std::size_t cost = name[i - 1] == other[j - 1] ? 0 : 1;
                row[i] = std::min({above + 1, row[i - 1] + 1, diagonal + cost});
                diagonal = above;
            }
        }
        if (row.back() <= best && (found.empty() || row.back() < best)) {
            best = row.back();
            found = other;
        }
    }
    return found;
}

}  // namespace chaperone::cel
