// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/schema.h"

#include "policy/bundle/shapes.h"
#include "policy/bundle/test_shapes.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <type_traits>
#include <utility>

namespace chaperone::policy::bundle {
namespace {

namespace json = boost::json;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

std::string_view pattern_of(Format format) {
    switch (format) {
    case Format::Name:
    case Format::RuleId: return "^[a-z0-9]([-_.a-z0-9]{0,61}[a-z0-9])?$";
    case Format::Upper: return "^[A-Z0-9_]{1,63}$";
    case Format::Approver: return "^(group|user):.+$";
    case Format::Url: return "^https?://.+$";
    case Format::Cgroup: return "^/.+$";
    case Format::Unit: return "^[^/]+\\.[^/]+$";
    case Format::Text:
    case Format::Host:
    case Format::Column: break;
    }
    return {};
}

// The other half of reader.h: notes what a shape says instead of reading it.
class SchemaWriter {
public:
    static constexpr bool kWritesSchema = true;

    template <class T>
    void field(const Key& key, T& to) {
        put(key, schema_of(key, to));
    }
    void file(const Key& key, std::string& path, std::string&) { field(key, path); }
    void certificates(const Key& key, std::string& path, std::string&) { field(key, path); }
    void secret(const Key& key, std::string&) {
        const Key name{"secret", {}, true, Format::Name};
        std::string text;
        json::object made{{"type", "object"}, {"additionalProperties", false}};
        made["properties"] = json::object{{"secret", schema_of(name, text)}};
        made["required"] = json::array{"secret"};
        put(key, std::move(made));
    }
    template <class T>
    void choice(const Key& key, std::string&) {
        put(key, choices<T>());
    }
    void one_of(const std::vector<std::string_view>& names, bool required) {
        json::array any;
        for (const std::string_view name : names)
            any.push_back(json::object{{"required", json::array{json::string{name}}}});
        if (required) one_of_ = std::move(any);
    }
    void not_empty(std::string_view name, bool) { property(name)["minItems"] = 1; }
    void bounds(std::string_view name, std::uint64_t least, std::uint64_t most) {
        json::object& made = property(name);
        json::object& number = made.contains("items") ? made["items"].as_object() : made;
        number["minimum"] = least;
        number["maximum"] = most;
    }
    Mark mark(std::string_view) const { return {}; }
    std::vector<Mark> item_marks(std::string_view) const { return {}; }
    Mark at() const { return {}; }
    bool has(std::string_view) const { return false; }
    void error(std::string_view, const std::string&, const std::string& = {}) {}

    json::object take() {
        json::object made{{"type", "object"}, {"additionalProperties", false}};
        made["properties"] = std::move(properties_);
        if (!required_.empty()) made["required"] = std::move(required_);
        if (!one_of_.empty()) made["oneOf"] = std::move(one_of_);
        return made;
    }

private:
    json::object& property(std::string_view name) {
        return properties_[json::string_view{name.data(), name.size()}].as_object();
    }
    void put(const Key& key, json::object schema) {
        if (!key.doc.empty()) schema["description"] = key.doc;
        properties_[key.name] = std::move(schema);
        if (key.required) required_.push_back(json::string{key.name});
    }

    template <class T>
    static json::object choices() {
        json::array names;
        for (const auto& [name, value] : Choices<T>::all) names.push_back(json::string{name});
        return {{"enum", std::move(names)}};
    }

    template <class T>
    static json::object schema_of(const Key& key, T& to) {
        if constexpr (std::is_same_v<T, std::string>) {
            json::object made{{"type", "string"}};
            const std::string_view pattern = pattern_of(key.format);
            if (!pattern.empty()) made["pattern"] = pattern;
            return made;
        } else if constexpr (std::is_same_v<T, bool>) {
            return {{"type", "boolean"}};
        } else if constexpr (kIsInteger<T>) {
            return {{"type", "integer"}, {"minimum", 0}};
        } else if constexpr (std::is_same_v<T, Duration>) {
            return {{"type", "string"}, {"pattern", "^([0-9]+(d|h|m|s|ms|us|ns))+$"}};
        } else if constexpr (std::is_same_v<T, Time>) {
            return {{"type", "string"}, {"format", "date-time"}};
        } else if constexpr (std::is_same_v<T, Expression>) {
            return {{"type", {"string", "boolean"}}};
        } else if constexpr (std::is_same_v<T, Labels>) {
            return {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}};
        } else if constexpr (std::is_enum_v<T>) {
            return choices<T>();
        } else if constexpr (IsOptional<T>::value) {
            typename T::value_type inner{};
            return schema_of(key, inner);
        } else if constexpr (IsVector<T>::value) {
            typename T::value_type inner{};
            return {{"type", "array"}, {"items", schema_of(key, inner)}};
        } else if constexpr (requires { typename T::mapped_type; }) {
            typename T::mapped_type inner{};
            return {{"type", "object"}, {"additionalProperties", schema_of(key, inner)}};
        } else {
            SchemaWriter writer;
            shape(writer, to);
            return writer.take();
        }
    }

    json::object properties_;
    json::array required_;
    json::array one_of_;
};

template <class T, class M>
json::object document(std::string_view kind, T spec, M metadata) {
    SchemaWriter writer;
    writer.field({"metadata", "Its name and labels.", true}, metadata);
    writer.field({"spec", "What it says.", true}, spec);
    json::object made = writer.take();
    json::object& properties = made["properties"].as_object();
    properties["apiVersion"] = json::object{{"const", "chaperone.dev/v1"}};
    properties["kind"] = json::object{{"const", kind}};
    json::array& required = made["required"].as_array();
    required.push_back("apiVersion");
    required.push_back("kind");
    return made;
}

void print(const json::value& value, std::string& to, std::size_t depth) {
    const std::string indent(2 * (depth + 1), ' ');
    if (value.is_object() && !value.get_object().empty()) {
        to += "{";
        for (const auto& [name, inner] : value.get_object()) {
            to += to.back() == '{' ? "\n" : ",\n";
            to += indent + json::serialize(name) + ": ";
            print(inner, to, depth + 1);
        }
        to += "\n" + std::string(2 * depth, ' ') + "}";
    } else if (value.is_array() && !value.get_array().empty() &&
               value.get_array().front().is_object()) {
        to += "[";
        for (const json::value& inner : value.get_array()) {
            to += to.back() == '[' ? "\n" : ",\n";
            to += indent;
            print(inner, to, depth + 1);
        }
        to += "\n" + std::string(2 * depth, ' ') + "]";
    } else {
        to += json::serialize(value);
    }
}

}  // namespace

std::string json_schema() {
    json::array all;
    all.push_back(document("Policy", Policy{}, Metadata{}));
    all.push_back(document("Resource", Resource{}, Metadata{}));
    all.push_back(document("Workload", Workload{}, Metadata{}));
    all.push_back(document("IdentityProvider", IdentityProvider{}, Metadata{}));
    all.push_back(document("Approvers", Approvers{}, Metadata{}));
    std::string name;
    all.push_back(document("Recognizer", detect::CustomRecognizer{}, KindName{name}));
    all.push_back(document("PolicyTest", PolicyTest{}, Metadata{}));
    json::object made{{"$schema", "https://json-schema.org/draft/2020-12/schema"}};
    made["title"] = "A document of a Chaperone bundle";
    made["oneOf"] = std::move(all);
    std::string text;
    print(made, text, 0);
    return text + "\n";
}

}  // namespace chaperone::policy::bundle
