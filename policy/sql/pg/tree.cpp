// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/pg/tree.h"

namespace chaperone::policy::sql::pg {
namespace {

const Object kNoFields;
const Array kNoItems;

}  // namespace

Node node(const Value& value) noexcept {
    const Object* outer = value.if_object();
    if (outer == nullptr || outer->size() != 1) return {{}, &kNoFields};
    const auto& member = *outer->begin();
    const Object* fields = member.value().if_object();
    if (fields == nullptr) return {{}, &kNoFields};
    return {{member.key().data(), member.key().size()}, fields};
}

Node node(const Object& in, std::string_view field) noexcept {
    const Value* value = find(in, field);
    return value == nullptr ? Node{{}, &kNoFields} : node(*value);
}

const Value* find(const Object& in, std::string_view field) noexcept {
    return in.if_contains({field.data(), field.size()});
}

const Object* child(const Object& in, std::string_view field) noexcept {
    const Value* value = find(in, field);
    return value == nullptr ? nullptr : value->if_object();
}

const Array& list(const Object& in, std::string_view field) noexcept {
    const Value* value = find(in, field);
    const Array* array = value == nullptr ? nullptr : value->if_array();
    return array == nullptr ? kNoItems : *array;
}

std::string_view text(const Object& in, std::string_view field) noexcept {
    const Value* value = find(in, field);
    const auto* string = value == nullptr ? nullptr : value->if_string();
    return string == nullptr ? std::string_view{}
                             : std::string_view{string->data(), string->size()};
}

bool flag(const Object& in, std::string_view field) noexcept {
    const Value* value = find(in, field);
    return value != nullptr && value->is_bool() && value->get_bool();
}

std::int64_t number(const Object& in, std::string_view field) noexcept {
    const Value* value = find(in, field);
    if (value == nullptr) return 0;
    if (const auto* integer = value->if_int64()) return *integer;
    return 0;
}

std::string_view string_of(const Value& value) noexcept {
    const Node n = node(value);
    return n.type == "String" ? text(*n.fields, "sval") : std::string_view{};
}

std::vector<std::string_view> strings(const Array& values) {
    std::vector<std::string_view> result;
    result.reserve(values.size());
    for (const Value& value : values)
        if (node(value).type == "String") result.push_back(string_of(value));
    return result;
}

bool constant_text(const Value& value, std::string& out) {
    const Value* at = &value;
    for (int casts = 0; casts < 8; ++casts) {
        const Node n = node(*at);
        if (n.type == "TypeCast" && find(*n.fields, "arg") != nullptr) {
            at = find(*n.fields, "arg");
            continue;
        }
        if (n.type != "A_Const") return false;
        const Object* sval = child(*n.fields, "sval");
        if (sval == nullptr) return false;
        out = text(*sval, "sval");
        return true;
    }
    return false;
}

}  // namespace chaperone::policy::sql::pg
