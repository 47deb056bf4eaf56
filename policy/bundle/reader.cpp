// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/reader.h"

#include "policy/bundle/hosts.h"

#include <charconv>
#include <limits>

namespace chaperone::policy::bundle {
namespace {

constexpr std::size_t kMaxText = 64 * 1024;  // bytes of one value; a test's SQL is the longest

std::string quote(std::string_view text) {
    constexpr std::size_t kShown = 80;
    std::string made{text.substr(0, kShown)};
    if (text.size() > kShown) made += "…";
    return "\"" + made + "\"";
}

bool all_of(std::string_view text, std::string_view extra, bool upper) {
    return std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (upper ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z') ||
               extra.find(c) != std::string_view::npos;
    });
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > 63 || !all_of(text, "-_.", false)) return false;
    return all_of(text.substr(0, 1), "", false) && all_of(text.substr(text.size() - 1), "", false);
}

bool is_column(std::string_view text) {
    int parts = 1;
    bool quoted = false;
    bool empty = true;
    for (const char c : text) {
        if (c == '"') quoted = !quoted;
        if (c == '.' && !quoted) {
            if (empty) return false;
            ++parts;
            empty = true;
            continue;
        }
        empty = false;
    }
    return !empty && !quoted && parts <= 3;
}

bool is_path(std::string_view path) {
    if (path.find("//") != std::string_view::npos) return false;
    return !("/" + std::string{path} + "/").contains("/../") &&
           !("/" + std::string{path} + "/").contains("/./");
}

// What is wrong with the text; empty if nothing is.
std::string wrong(Format format, const std::string& text) {
    switch (format) {
    case Format::Text: return {};
    case Format::Name:
    case Format::RuleId:
        return is_name(text) ? std::string{}
                             : quote(text) + " is no name: a-z, 0-9, - _ . inside, at most 63";
    case Format::Upper:
        return all_of(text, "_", true) && text.size() <= 63
                   ? std::string{}
                   : quote(text) + " is no kind: A-Z, 0-9 and _, at most 63";
    case Format::Host: {
        const auto pattern = HostPattern::parse(text);
        return pattern ? std::string{} : pattern.error().detail;
    }
    case Format::Approver:
        return (text.starts_with("group:") && text.size() > 6) ||
                       (text.starts_with("user:") && text.size() > 5)
                   ? std::string{}
                   : quote(text) + " is no approver: group:NAME or user:NAME";
    case Format::Column:
        return is_column(text) ? std::string{}
                               : quote(text) + " is no column: schema.table.column or shorter";
    case Format::Url:
        return (text.starts_with("https://") && text.size() > 8) || text.starts_with("http://")
                   ? std::string{}
                   : quote(text) + " is no https URL";
    case Format::Cgroup:
        return text.starts_with('/') && text.size() > 1 && is_path(text.substr(1))
                   ? std::string{}
                   : quote(text) + " is no cgroup: a path such as /system.slice/agent.service";
    case Format::Unit:
        return text.find('.') != std::string::npos && text.find('/') == std::string::npos
                   ? std::string{}
                   : quote(text) + " is no systemd unit: NAME.service, NAME.slice …";
    }
    return {};
}

}  // namespace

Reader::Reader(const yaml::Node& node, DecodeContext& context) : node_(node), context_(context) {}

const yaml::Node* Reader::take(const Key& key) {
    known_.push_back(key.name);
    const yaml::Field* field = node_.find(key.name);
    if (field == nullptr) {
        if (key.required)
            context_.findings.error(node_.at, "\"" + std::string{key.name} + "\" is missing here");
        return nullptr;
    }
    return &field->value;
}

bool Reader::expect(const yaml::Node& node, const Key& key, yaml::Node::Kind kind) {
    if (node.kind == kind) return true;
    context_.findings.error(node.at, "\"" + std::string{key.name} + "\" must be " +
                                         std::string{yaml::describe(kind)} + ", not " +
                                         std::string{yaml::describe(node.kind)});
    return false;
}

void Reader::wrong_choice(const yaml::Node& node, const Key& key,
                          const std::vector<std::string_view>& names) {
    std::string list;
    for (const std::string_view name : names)
        list += (list.empty() ? "" : ", ") + std::string{name};
    std::string suggestion = did_you_mean(node.text, names);
    if (suggestion.empty()) suggestion = "one of " + list;
    context_.findings.error(node.at, quote(node.text) + " is no " + std::string{key.name},
                            std::move(suggestion));
}

void Reader::decode(const yaml::Node& node, const Key& key, std::string& to) {
    if (!expect(node, key, yaml::Node::Kind::Scalar)) return;
    if (node.text.size() > kMaxText) {
        context_.findings.error(node.at, "longer than " + std::to_string(kMaxText) + " bytes");
        return;
    }
    if (node.text.find('\0') != std::string::npos) {
        context_.findings.error(node.at, "\"" + std::string{key.name} + "\" has a NUL character");
        return;
    }
    const bool needed = key.required || key.format != Format::Text;
    if (needed && node.text.empty()) {
        context_.findings.error(node.at, "\"" + std::string{key.name} + "\" is empty");
        return;
    }
    if (std::string problem = wrong(key.format, node.text); !problem.empty()) {
        context_.findings.error(node.at, std::move(problem));
        return;
    }
    to = node.text;
}

void Reader::decode(const yaml::Node& node, const Key& key, bool& to) {
    if (!expect(node, key, yaml::Node::Kind::Scalar)) return;
    if (node.text == "true" || node.text == "false")
        to = node.text == "true";
    else
        context_.findings.error(node.at, quote(node.text) + " is neither true nor false");
}

bool Reader::number(const yaml::Node& node, const Key& key, std::uint64_t most, std::uint64_t& to) {
    if (!expect(node, key, yaml::Node::Kind::Scalar)) return false;
    std::uint64_t value = 0;
    const char* end = node.text.data() + node.text.size();
    const auto [stop, error] = std::from_chars(node.text.data(), end, value);
    if (error != std::errc{} || stop != end || value > most) {
        context_.findings.error(
            node.at, quote(node.text) + " is no whole number from 0 to " + std::to_string(most));
        return false;
    }
    to = value;
    return true;
}

void Reader::decode(const yaml::Node& node, const Key& key, std::uint16_t& to) {
    std::uint64_t value = 0;
    if (number(node, key, std::numeric_limits<std::uint16_t>::max(), value))
        to = static_cast<std::uint16_t>(value);
}

void Reader::decode(const yaml::Node& node, const Key& key, unsigned& to) {
    std::uint64_t value = 0;
    if (number(node, key, std::numeric_limits<unsigned>::max(), value))
        to = static_cast<unsigned>(value);
}

void Reader::decode(const yaml::Node& node, const Key& key, std::uint8_t& to) {
    std::uint64_t value = 0;
    if (number(node, key, std::numeric_limits<std::uint8_t>::max(), value))
        to = static_cast<std::uint8_t>(value);
}

void Reader::decode(const yaml::Node& node, const Key& key, std::uint64_t& to) {
    number(node, key, std::uint64_t{1} << 62, to);
}

void Reader::decode(const yaml::Node& node, const Key& key, Duration& to) {
    if (!expect(node, key, yaml::Node::Kind::Scalar)) return;
    if (const auto duration = parse_duration(node.text); duration && *duration >= Duration{})
        to = *duration;
    else
        context_.findings.error(node.at, quote(node.text) + " is no duration",
                                "write 30s, 10m, 1h30m or 7d");
}

void Reader::decode(const yaml::Node& node, const Key& key, Time& to) {
    if (!expect(node, key, yaml::Node::Kind::Scalar)) return;
    if (const auto time = parse_rfc3339(node.text))
        to = *time;
    else
        context_.findings.error(node.at, quote(node.text) + " is no time",
                                "write 2026-01-31T08:00:00Z");
}

void Reader::decode(const yaml::Node& node, const Key& key, Labels& to) {
    if (!expect(node, key, yaml::Node::Kind::Mapping)) return;
    for (const yaml::Field& field : node.fields) {
        const Key label{field.name, {}};
        decode(field.value, label, to[field.name]);
    }
}

void Reader::decode(const yaml::Node& node, const Key& key, Expression& to) {
    if (node.kind == yaml::Node::Kind::Null) {
        context_.findings.error(node.at, "\"" + std::string{key.name} + "\" has no condition",
                                "leave it out if the rule is about everything");
        return;
    }
    decode(node, key, to.source);
    to.at = node.at;
}

void Reader::file(const Key& key, std::string& path, std::string& content) {
    const yaml::Node* node = take(key);
    if (node == nullptr) return;
    std::string name;
    decode(*node, key, name);
    if (name.empty()) return;
    if (name.starts_with('/') || !is_path(name)) {
        context_.findings.error(node->at, quote(name) + " leaves the bundle's directory",
                                "files are named relative to the bundle's directory, without ..");
        return;
    }
    if (auto read = context_.read_file(node->at, name)) {
        path = std::move(name);
        content = std::move(*read);
    }
}

void Reader::certificates(const Key& key, std::string& path, std::string& content) {
    file(key, path, content);
    if (path.empty() || content.contains("-----BEGIN CERTIFICATE-----")) return;
    error(key.name, "\"" + path + "\" holds no certificate in PEM form");
    path.clear();
    content.clear();
}

void Reader::secret(const Key& key, std::string& name) {
    const yaml::Node* node = take(key);
    if (node == nullptr) return;
    if (node->kind == yaml::Node::Kind::Scalar) {
        // The text itself is not repeated: it may well be the secret.
        context_.findings.error(
            Mark{.file = node->at.file, .line = node->at.line, .column = node->at.column},
            "\"" + std::string{key.name} + "\" must name a secret, a bundle does not hold them",
            "write {secret: NAME} and store it with `chaperone secret set NAME`");
        return;
    }
    if (!expect(*node, key, yaml::Node::Kind::Mapping)) return;
    Reader inner{*node, context_};
    inner.field({"secret", {}, true, Format::Name}, name);
    inner.finish();
}

void Reader::one_of(const std::vector<std::string_view>& names, bool required) {
    std::string list;
    std::vector<std::string_view> present;
    for (const std::string_view name : names) {
        if (has(name)) present.push_back(name);
        list += (list.empty() ? "" : ", ") + std::string{name};
    }
    if (present.empty() && required)
        context_.findings.error(node_.at, "one of " + list + " is missing here");
    if (present.size() > 1)
        context_.findings.error(node_.find(present[1])->at,
                                "\"" + std::string{present[0]} + "\" and \"" +
                                    std::string{present[1]} + "\" exclude each other");
}

void Reader::not_empty(std::string_view name, bool empty) {
    if (!empty) return;
    const yaml::Field* field = node_.find(name);
    // What is not there, or is no list, was reported as such.
    if (field == nullptr || field->value.kind != yaml::Node::Kind::Sequence) return;
    if (field->value.items.empty())
        context_.findings.error(field->value.at, "\"" + std::string{name} + "\" is an empty list");
}

Mark Reader::mark(std::string_view name) const {
    const yaml::Field* field = node_.find(name);
    return field == nullptr ? node_.at : field->value.at;
}

std::vector<Mark> Reader::item_marks(std::string_view name) const {
    std::vector<Mark> marks;
    if (const yaml::Field* field = node_.find(name))
        for (const yaml::Node& item : field->value.items) marks.push_back(item.at);
    return marks;
}

void Reader::finish() {
    for (const yaml::Field& field : node_.fields) {
        if (std::ranges::find(known_, field.name) != known_.end()) continue;
        std::string suggestion = did_you_mean(field.name, known_);
        if (suggestion.empty()) {
            suggestion = "known here: ";
            for (const std::string_view name : known_)
                suggestion += (name == known_.front() ? "" : ", ") + std::string{name};
        }
        context_.findings.error(field.at, "unknown field " + quote(field.name),
                                std::move(suggestion));
    }
}

}  // namespace chaperone::policy::bundle
