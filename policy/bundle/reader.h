// SPDX-License-Identifier: Apache-2.0
// Reads the fields of one YAML mapping into a struct. With SchemaWriter (schema.cpp) the one half
// of what shapes.h describes: a shape is written once and gives both the decoder and the JSON
// Schema.
#pragma once

#include "policy/bundle/documents.h"
#include "policy/bundle/findings.h"
#include "policy/yaml/node.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace chaperone::policy::bundle {

// What a text may be.
enum class Format : std::uint8_t {
    Text,      // anything but nothing
    Name,      // a-z 0-9 - _ . , beginning and ending with a letter or digit, at most 63
    RuleId,    // as Name
    Upper,     // A-Z 0-9 _
    Host,      // name, *.name, address, address/prefix
    Approver,  // group:NAME, user:NAME
    Column,    // schema.table.column and shorter, * in any part
    Url,       // https://…
    Cgroup,    // absolute path without . and ..
    Unit,      // of systemd
};

struct Key {
    std::string_view name;
    std::string_view doc;
    bool required = false;
    Format format = Format::Text;
};

template <class T>
struct Choices;  // .all: pairs of text and value, specialised for each enum in shapes.h

// What decoding needs beside the node. `read_file` returns the content of a file of the bundle.
struct DecodeContext {
    Findings& findings;
    std::function<std::optional<std::string>(const Mark& at, const std::string& path)> read_file;
};

class Reader {
public:
    Reader(const yaml::Node& node, DecodeContext& context);

    template <class T>
    void field(const Key& key, T& to) {
        if (const yaml::Node* node = take(key)) decode(*node, key, to);
    }
    // A file of the bundle: its path and what is in it.
    // A file of the bundle, of any kind, and one with certificates.
    void file(const Key& key, std::string& path, std::string& content);
    void certificates(const Key& key, std::string& path, std::string& content);
    void secret(const Key& key, std::string& name);  // {secret: NAME}
    // One of the choices, kept as its text.
    template <class T>
    void choice(const Key& key, std::string& to) {
        const yaml::Node* node = take(key);
        if (node == nullptr || !expect(*node, key, yaml::Node::Kind::Scalar)) return;
        std::vector<std::string_view> names;
        for (const auto& [name, value] : Choices<T>::all) names.push_back(name);
        if (std::ranges::find(names, node->text) == names.end())
            wrong_choice(*node, key, names);
        else
            to = node->text;
    }
    // Exactly one (or at most one) of these keys.
    void one_of(const std::vector<std::string_view>& names, bool required);
    void not_empty(std::string_view name, bool empty);
    // For the schema; the shape checks the value itself, in its own words.
    void bounds(std::string_view, std::uint64_t, std::uint64_t) {}
    // Where the value of a key (or, if it is not there, the mapping) stands.
    Mark mark(std::string_view name) const;
    std::vector<Mark> item_marks(std::string_view name) const;
    bool has(std::string_view name) const { return node_.find(name) != nullptr; }
    void error(std::string_view name, std::string message, std::string suggestion = {}) {
        context_.findings.error(mark(name), std::move(message), std::move(suggestion));
    }
    const Mark& at() const noexcept { return node_.at; }
    // Reports the fields that nobody asked for.
    void finish();

    static constexpr bool kWritesSchema = false;

private:
    const yaml::Node* take(const Key& key);
    bool expect(const yaml::Node& node, const Key& key, yaml::Node::Kind kind);

    void decode(const yaml::Node& node, const Key& key, std::string& to);
    void decode(const yaml::Node& node, const Key& key, bool& to);
    void decode(const yaml::Node& node, const Key& key, std::uint16_t& to);
    void decode(const yaml::Node& node, const Key& key, unsigned& to);
    void decode(const yaml::Node& node, const Key& key, std::uint8_t& to);
    void decode(const yaml::Node& node, const Key& key, std::uint64_t& to);
    void decode(const yaml::Node& node, const Key& key, Duration& to);
    void decode(const yaml::Node& node, const Key& key, Time& to);
    void decode(const yaml::Node& node, const Key& key, Labels& to);
    void decode(const yaml::Node& node, const Key& key, Expression& to);
    bool number(const yaml::Node& node, const Key& key, std::uint64_t most, std::uint64_t& to);
    void wrong_choice(const yaml::Node& node, const Key& key,
                      const std::vector<std::string_view>& names);

    template <class T>
    void decode(const yaml::Node& node, const Key& key, std::optional<T>& to) {
        decode(node, key, to.emplace());
    }

    template <class T>
    void decode(const yaml::Node& node, const Key& key, std::vector<T>& to) {
        if (!expect(node, key, yaml::Node::Kind::Sequence)) return;
        to.clear();
        for (const yaml::Node& item : node.items) {
            to.emplace_back();
            decode(item, key, to.back());
        }
    }

    template <class T>
    void decode(const yaml::Node& node, const Key& key,
                std::map<std::string, std::vector<T>, std::less<>>& to) {
        if (!expect(node, key, yaml::Node::Kind::Mapping)) return;
        for (const yaml::Field& field : node.fields) decode(field.value, key, to[field.name]);
    }

    template <class T>
        requires std::is_enum_v<T>
    void decode(const yaml::Node& node, const Key& key, T& to) {
        if (!expect(node, key, yaml::Node::Kind::Scalar)) return;
        std::vector<std::string_view> names;
        for (const auto& [name, value] : Choices<T>::all) {
            if (node.text == name) {
                to = value;
                return;
            }
            names.push_back(name);
        }
        wrong_choice(node, key, names);
    }

    template <class T>
        requires std::is_class_v<T>
    void decode(const yaml::Node& node, const Key& key, T& to) {
        if (!expect(node, key, yaml::Node::Kind::Mapping)) return;
        Reader inner{node, context_};
        shape(inner, to);
        inner.finish();
    }

    const yaml::Node& node_;
    DecodeContext& context_;
    std::vector<std::string_view> known_;
};

}  // namespace chaperone::policy::bundle
