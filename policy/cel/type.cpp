// SPDX-License-Identifier: Apache-2.0
// Declared types and their text form.
#include "policy/cel/type.h"

#include <array>
#include <optional>
#include <utility>

namespace chaperone::cel {

struct Type::Detail {
    std::string name;
    std::vector<Type> arguments;
    const ObjectType* object = nullptr;
    std::size_t weight = 1;  // nodes of the type if nothing were shared
};

namespace {

constexpr std::size_t kMaxWeight = 500;  // bigger types share parts to hurt; they become dyn

constexpr std::array<std::pair<TypeKind, std::string_view>, 11> kNames{{
    {TypeKind::Dyn, "dyn"},
    {TypeKind::Null, "null_type"},
    {TypeKind::Bool, "bool"},
    {TypeKind::Int, "int"},
    {TypeKind::Uint, "uint"},
    {TypeKind::Double, "double"},
    {TypeKind::String, "string"},
    {TypeKind::Bytes, "bytes"},
    {TypeKind::Timestamp, "google.protobuf.Timestamp"},
    {TypeKind::Duration, "google.protobuf.Duration"},
    {TypeKind::Any, "google.protobuf.Any"},
}};

struct Shape {
    std::string_view name;
    TypeKind kind;
    std::size_t arguments;
};
constexpr std::array<Shape, 5> kShapes{{
    {"list", TypeKind::List, 1},
    {"map", TypeKind::Map, 2},
    {"type", TypeKind::Type, 1},
    {"wrapper", TypeKind::Wrapper, 1},
    {"optional_type", TypeKind::Optional, 1},
}};

constexpr int kMaxTypeDepth = 32;  // nobody writes deeper types, and parsing recurses

class TypeParser {
public:
    explicit TypeParser(std::string_view text) : text_(text) {}

    Result<Type> whole() {
        auto type = parse(0);
        if (!type) return type;
        skip_spaces();
        if (at_ != text_.size()) return bad("text after the type");
        return type;
    }

private:
    std::unexpected<Error> bad(std::string_view what) const {
        return fail(Errc::Invalid, "type '" + std::string{text_} + "': " + std::string{what});
    }
    void skip_spaces() {
        while (at_ != text_.size() && text_[at_] == ' ') ++at_;
    }
    bool take(char c) {
        skip_spaces();
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    Result<Type> parse(int depth) {
        if (depth > kMaxTypeDepth) return bad("nested too deeply");
        skip_spaces();
        const std::size_t begin = at_;
        while (at_ != text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                       text_[at_] == '_' || text_[at_] == '.'))
            ++at_;
        const std::string_view name = text_.substr(begin, at_ - begin);
        if (name.empty()) return bad("a name is missing");
        std::vector<Type> arguments;
        if (take('(')) {
            do {
                auto argument = parse(depth + 1);
                if (!argument) return argument;
                arguments.push_back(*std::move(argument));
            } while (take(','));
            if (!take(')')) return bad("')' is missing");
        }
        return make(name, std::move(arguments));
    }

    Result<Type> make(std::string_view name, std::vector<Type> arguments) const {
        for (const Shape& shape : kShapes) {
            if (shape.name != name) continue;
            if (arguments.empty()) arguments.resize(shape.arguments);  // list is list(dyn)
            if (arguments.size() != shape.arguments) return bad("wrong number of arguments");
            if (shape.kind == TypeKind::List) return Type::list(arguments[0]);
            if (shape.kind == TypeKind::Map) return Type::map(arguments[0], arguments[1]);
            if (shape.kind == TypeKind::Type) return Type::type(arguments[0]);
            if (shape.kind == TypeKind::Wrapper) return Type::wrapper(arguments[0]);
            return Type::optional(arguments[0]);
        }
        if (!arguments.empty()) return bad("this type has no arguments");
        for (const auto& [kind, text] : kNames)
            if (text == name) return Type{kind};
        if (name == "null") return Type{TypeKind::Null};
        if (auto known = well_known(name)) return *std::move(known);
        if (name.size() == 1 && name[0] >= 'A' && name[0] <= 'Z') return Type::parameter(name);
        return Type::opaque(name);
    }

    // Messages of protobuf that are values of the language.
    static std::optional<Type> well_known(std::string_view name) {
        constexpr std::string_view kPackage = "google.protobuf.";
        if (!name.starts_with(kPackage)) return std::nullopt;
        name.remove_prefix(kPackage.size());
        if (name == "Value") return Type{};
        if (name == "Struct") return Type::map(TypeKind::String, TypeKind::Dyn);
        if (name == "ListValue") return Type::list(TypeKind::Dyn);
        if (name == "BoolValue") return Type::wrapper(TypeKind::Bool);
        if (name == "StringValue") return Type::wrapper(TypeKind::String);
        if (name == "BytesValue") return Type::wrapper(TypeKind::Bytes);
        if (name == "Int32Value" || name == "Int64Value") return Type::wrapper(TypeKind::Int);
        if (name == "UInt32Value" || name == "UInt64Value") return Type::wrapper(TypeKind::Uint);
        if (name == "FloatValue" || name == "DoubleValue") return Type::wrapper(TypeKind::Double);
        return std::nullopt;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

Type::Type(TypeKind kind, std::string_view name, std::vector<Type> arguments,
           const ObjectType* object)
    : kind_(kind) {
    std::size_t weight = 1;
    for (const Type& argument : arguments)
        weight += argument.detail_ ? argument.detail_->weight : 1;
    if (weight > kMaxWeight) arguments.assign(arguments.size(), Type{});
    detail_ = std::make_shared<const Detail>(
        Detail{std::string{name}, std::move(arguments), object, weight > kMaxWeight ? 1 : weight});
}

Type Type::list(Type element) {
    return {TypeKind::List, "list", {std::move(element)}, nullptr};
}
Type Type::map(Type key, Type value) {
    return {TypeKind::Map, "map", {std::move(key), std::move(value)}, nullptr};
}
Type Type::type(Type of) {
    return {TypeKind::Type, "type", {std::move(of)}, nullptr};
}
Type Type::wrapper(Type of) {
    return {TypeKind::Wrapper, "wrapper", {std::move(of)}, nullptr};
}
Type Type::optional(Type of) {
    return {TypeKind::Optional, "optional_type", {std::move(of)}, nullptr};
}
Type Type::object(const ObjectType& type) {
    return {TypeKind::Object, type.name, {}, &type};
}
Type Type::opaque(std::string_view name) {
    return {TypeKind::Object, name, {}, nullptr};
}
Type Type::parameter(std::string_view name) {
    return {TypeKind::Parameter, name, {}, nullptr};
}

const std::string& Type::name() const {
    static const std::string none;
    return detail_ ? detail_->name : none;
}

const ObjectType* Type::object_type() const {
    return detail_ ? detail_->object : nullptr;
}

const std::vector<Type>& Type::arguments() const {
    static const std::vector<Type> none;
    return detail_ ? detail_->arguments : none;
}

std::string Type::text() const {
    for (const auto& [kind, text] : kNames)
        if (kind == kind_) return std::string{text};
    std::string text = name();
    if (arguments().empty()) return text;
    for (std::size_t i = 0; i != arguments().size(); ++i)
        text += (i == 0 ? "(" : ", ") + arguments()[i].text();
    return text + ")";
}

bool operator==(const Type& left, const Type& right) {
    if (left.kind_ != right.kind_) return false;
    if (left.detail_ == right.detail_) return true;
    return left.name() == right.name() && left.arguments() == right.arguments();
}

Result<Type> parse_type(std::string_view text) {
    return TypeParser{text}.whole();
}

std::size_t ObjectType::index_of(std::string_view field) const noexcept {
    for (std::size_t i = 0; i != fields.size(); ++i)
        if (fields[i].name == field) return i;
    return kNone;
}

}  // namespace chaperone::cel
