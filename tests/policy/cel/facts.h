// SPDX-License-Identifier: Apache-2.0
// Native facts as the policy engine exposes them: an object whose fields are read in place.
#pragma once

#include "policy/cel/program.h"

#include <string>
#include <vector>

namespace chaperone::cel {

inline const ObjectType& effect_type() {
    static const ObjectType type{"Effect",
                                 {{"kind", TypeKind::String},
                                  {"object", TypeKind::String},
                                  {"columns", Type::list(TypeKind::String)}}};
    return type;
}
inline const ObjectType& sql_type() {
    static const ObjectType type{"Sql",
                                 {{"text", TypeKind::String},
                                  {"effects", Type::list(Type::object(effect_type()))},
                                  {"note", TypeKind::String}}};
    return type;
}

class Texts : public List {
public:
    std::vector<std::string> values;
    std::size_t size() const override { return values.size(); }
    Value at(std::size_t index) const override { return Value::text(values[index]); }
};

class EffectFact : public Object {
public:
    EffectFact(std::string kind, std::string object)
        : kind_(std::move(kind)), object_(std::move(object)) {}
    const ObjectType& type() const override { return effect_type(); }
    Value field(std::size_t index) const override {
        if (index == 0) return Value::text(kind_);
        if (index == 1) return Value::text(object_);
        return Value::list(columns_);
    }

private:
    std::string kind_;
    std::string object_;
    Texts columns_;
};

class Effects : public List {
public:
    std::vector<std::unique_ptr<EffectFact>> values;
    std::size_t size() const override { return values.size(); }
    Value at(std::size_t index) const override { return Value::object(*values[index]); }
};

class SqlFact : public Object {
public:
    SqlFact(std::string text, std::initializer_list<const char*> kinds) : text_(std::move(text)) {
        for (const char* kind : kinds)
            effects_.values.push_back(std::make_unique<EffectFact>(kind, "public.orders"));
    }
    const ObjectType& type() const override { return sql_type(); }
    Value field(std::size_t index) const override {
        if (index == 0) return Value::text(text_);
        if (index == 1) return Value::list(effects_);
        return Value::absent();
    }

private:
    std::string text_;
    Effects effects_;
};

// resource.labels and identity.groups are of the session, sql of the request.
inline std::shared_ptr<const Environment> policy_environment() {
    Environment::Builder builder;
    builder.variable("env", TypeKind::String)
        .variable("labels", Type::map(TypeKind::String, TypeKind::String))
        .variable("groups", Type::list(TypeKind::String))
        .variable("sql", Type::object(sql_type()));
    return builder.build();
}

}  // namespace chaperone::cel
