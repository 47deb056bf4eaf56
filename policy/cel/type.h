// SPDX-License-Identifier: Apache-2.0
// Declared types: what the checker reasons about. Immutable and cheap to copy.
#pragma once

#include "userspace/base/error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

struct ObjectType;

enum class TypeKind : std::uint8_t {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    Any,
    List,
    Map,
    Type,
    Wrapper,
    Optional,
    Object,
    Parameter,
};

class Type {
public:
    Type(TypeKind kind = TypeKind::Dyn) : kind_(kind) {}  // NOLINT: a kind is a type
    static Type list(Type element);
    static Type map(Type key, Type value);
    static Type type(Type of);
    static Type wrapper(Type of);  // a scalar or null
    static Type optional(Type of);
    static Type object(const ObjectType& type);  // which must live as long as every program
    static Type opaque(std::string_view name);   // an object type known by name only
    static Type parameter(std::string_view name);

    TypeKind kind() const noexcept { return kind_; }
    bool is(TypeKind kind) const noexcept { return kind_ == kind; }
    const std::string& name() const;             // Object, Parameter
    const ObjectType* object_type() const;       // Object; null if opaque
    const std::vector<Type>& arguments() const;  // of List, Map, Type, Wrapper, Optional

    // The text form of CEL_JSON.md: "list(int)", "map(string, dyn)", "google.protobuf.Timestamp".
    std::string text() const;

    friend bool operator==(const Type& left, const Type& right);

private:
    struct Detail;
    Type(TypeKind kind, std::string_view name, std::vector<Type> arguments,
         const ObjectType* object);

    TypeKind kind_;
    std::shared_ptr<const Detail> detail_;
};

// The text form back to a type. A dotted name that is no type of the language is an opaque
// object type; a single capital letter is a type parameter. Invalid if it is not the text form.
Result<Type> parse_type(std::string_view text);

struct Field {
    std::string name;
    Type type;
};

// The shape of a native object: e.g. {"sql", {{"text", string}, {"effects", list(object)}}}.
struct ObjectType {
    std::string name;
    std::vector<Field> fields;

    static constexpr std::size_t kNone = ~std::size_t{0};
    std::size_t index_of(std::string_view field) const noexcept;  // kNone if there is none
};

}  // namespace chaperone::cel
