// SPDX-License-Identifier: Apache-2.0
// A C++ struct as a CEL object: a list of fields, each with its type, how to read it and a sentence
// for the reference. The views own nothing.
#pragma once

#include "policy/cel/type.h"
#include "policy/cel/value.h"
#include "policy/request.h"
#include "policy/yaml/text.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::policy::engine {

// Text that came from outside: what is not UTF-8 cannot be evaluated, and so decides closed.
inline cel::Value text_value(std::string_view text) {
    if (!yaml::is_utf8(text)) return cel::Value::error("text that is not valid UTF-8");
    return cel::Value::text(text);
}

template <class T>
struct FieldOf {
    std::string name;
    cel::Type type;
    cel::Value (*read)(const T&);
    std::string doc;
};

template <class T>
struct Declared {
    cel::ObjectType type;
    std::vector<FieldOf<T>> fields;

    Declared(std::string name, std::vector<FieldOf<T>> all) : fields(std::move(all)) {
        type.name = std::move(name);
        for (const FieldOf<T>& field : fields) type.fields.push_back({field.name, field.type});
    }
};

// Specialised by what is viewed.
template <class T>
const Declared<T>& declared();

template <class T>
class View final : public cel::Object {
public:
    explicit View(const T& subject) : subject_(subject) {}
    const cel::ObjectType& type() const override { return declared<T>().type; }
    cel::Value field(std::size_t index) const override {
        return declared<T>().fields[index].read(subject_);
    }

private:
    const T& subject_;
};

class TextList final : public cel::List {
public:
    explicit TextList(const std::vector<std::string>& items) : items_(items) {}
    std::size_t size() const override { return items_.size(); }
    cel::Value at(std::size_t index) const override { return text_value(items_[index]); }

private:
    const std::vector<std::string>& items_;
};

template <class T>
class ObjectList final : public cel::List {
public:
    explicit ObjectList(const std::vector<T>& items) : items_(items) {}
    std::size_t size() const override { return items_.size(); }
    cel::Value at(std::size_t index) const override {
        return cel::Value::own_object(new View<T>{items_[index]});
    }

private:
    const std::vector<T>& items_;
};

class LabelMap final : public cel::Map {
public:
    explicit LabelMap(const Labels& labels) : labels_(labels) {}
    std::size_t size() const override { return labels_.size(); }
    std::optional<cel::Value> find(const cel::Value& key) const override {
        if (!key.is(cel::Kind::String)) return std::nullopt;
        const auto found = labels_.find(key.as_text());
        if (found == labels_.end()) return std::nullopt;
        return text_value(found->second);
    }
    cel::Value key(std::size_t index) const override {
        return text_value(std::next(labels_.begin(), static_cast<std::ptrdiff_t>(index))->first);
    }
    cel::Value at(std::size_t index) const override {
        return text_value(std::next(labels_.begin(), static_cast<std::ptrdiff_t>(index))->second);
    }

private:
    const Labels& labels_;
};

inline cel::Value texts(const std::vector<std::string>& items) {
    return cel::Value::own_list(new TextList{items});
}
template <class T>
cel::Value objects(const std::vector<T>& items) {
    return cel::Value::own_list(new ObjectList<T>{items});
}
inline cel::Value labels(const Labels& all) {
    return cel::Value::own_map(new LabelMap{all});
}

inline cel::Type strings() {
    return cel::Type::list(cel::TypeKind::String);
}
template <class T>
cel::Type object_type() {
    return cel::Type::object(declared<T>().type);
}

}  // namespace chaperone::policy::engine
