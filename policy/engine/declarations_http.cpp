// SPDX-License-Identifier: Apache-2.0
// The variable http.
#include "policy/engine/declarations.h"
#include "policy/engine/json_value.h"
#include "policy/http/body_text.h"
#include "policy/http/path.h"

namespace chaperone::policy::engine {
namespace {

using cel::Type;
using cel::TypeKind;
using cel::Value;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Value own(std::string_view text) {
    return yaml::is_utf8(text) ? Value::own_text(text)
                               : Value::error("text that is not valid UTF-8");
}

// Fields by name, in whatever case it is asked for.
class FieldMap final : public cel::Map {
public:
    explicit FieldMap(const http::Facts& facts) : facts_(facts) {
        for (const http::Field& field : facts.head().fields) {
            bool there = false;
            for (const std::string_view name : names_) there = there || name == field.name;
            if (!there) names_.push_back(field.name);
        }
    }
    std::size_t size() const override { return names_.size(); }
    std::optional<Value> find(const Value& key) const override {
        if (!key.is(cel::Kind::String)) return std::nullopt;
        const auto value = facts_.field(key.as_text());
        if (!value) return std::nullopt;
        return own(*value);
    }
    Value key(std::size_t index) const override { return text_value(names_[index]); }
    Value at(std::size_t index) const override { return own(*facts_.field(names_[index])); }

private:
    const http::Facts& facts_;
    std::vector<std::string_view> names_;
};

// Every value of each name, in order: servers differ on which of several counts.
Value multimap(const Pairs& pairs) {
    std::vector<std::pair<std::string_view, std::vector<Value>>> grouped;
    for (const auto& [name, value] : pairs) {
        auto at = std::ranges::find(grouped, std::string_view{name},
                                    [](const auto& group) { return group.first; });
        if (at == grouped.end()) at = grouped.insert(at, {std::string_view{name}, {}});
        at->second.push_back(own(value));
    }
    std::vector<std::pair<Value, Value>> made;
    for (auto& [name, values] : grouped)
        made.emplace_back(own(name), Value::list_of(std::move(values)));
    return Value::map_of(std::move(made));
}

Value path_value(const HttpPart& h) {
    if (h.facts.bad_path()) return Value::error("a path with escapes that mean nothing");
    return text_value(h.reading.path);
}

Value segments_value(const HttpPart& h) {
    if (h.facts.bad_path()) return Value::error("a path with escapes that mean nothing");
    std::vector<Value> made;
    for (const std::string& segment : http::segments_of(h.reading.path))
        made.push_back(own(segment));
    return Value::list_of(std::move(made));
}

Value whole(const http::Body& body, Value (*make)(const http::Body&)) {
    switch (body.state) {
    case http::Body::State::NotSeen: return Value::unknown();
    case http::Body::State::TooLarge: return Value::error("a body too large to be examined");
    case http::Body::State::Whole: return make(body);
    }
    return Value::error("no body");
}

Value text_of(const HttpPart& h, Value (*make)(const http::Body&)) {
    if (const std::string_view fault = http::body_text_fault(h.facts); !fault.empty())
        return Value::error(std::string{fault});
    return whole(h.facts.body, make);
}

Value body_json(const HttpPart& h) {
    if (h.facts.body.state == http::Body::State::Whole) {
        if (!h.json) h.json = json_body(h.facts);
        return *h.json;
    }
    return whole(h.facts.body, nullptr);
}

Value body_form(const http::Body& body) {
    return multimap(http::Facts::pairs(body.data));
}
Value body_text(const http::Body& body) {
    return text_value(body.data);
}
Value body_size(const http::Body& body) {
    return Value::integer(static_cast<std::int64_t>(body.data.size()));
}

}  // namespace

// clang-format off
template <>
const Declared<HttpBody>& declared<HttpBody>() {
    static const Declared<HttpBody> made{"HttpBody", {
        {"json", TypeKind::Dyn, [](const HttpBody& b) { return body_json(b.part); }, "The body as JSON, whatever its type is said to be; {} if there is none. What is no JSON, or names a member twice, cannot be evaluated."},
        {"form", Type::map(TypeKind::String, strings()), [](const HttpBody& b) { return text_of(b.part, body_form); }, "The body as a URL-encoded form: all values of each name."},
        {"text", TypeKind::String, [](const HttpBody& b) { return text_of(b.part, body_text); }, "The body as it was sent. Of one in another charset than UTF-8, or under a content coding, only the size can be evaluated."},
        {"size", TypeKind::Int, [](const HttpBody& b) { return whole(b.part.facts.body, body_size); }, "Its length in bytes."},
    }};
    return made;
}

template <>
const Declared<HttpPart>& declared<HttpPart>() {
    static const Declared<HttpPart> made{"Http", {
        {"method", TypeKind::String, [](const HttpPart& h) { return text_value(h.reading.method); }, "The method as sent: methods are case-sensitive. A rule that forbids sees what X-HTTP-Method-Override and the like name, too, in fields and in queries. TRACE, TRACK, PRI and what is longer than 32 letters are refused."},
        {"scheme", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.head().scheme); }, "http or https, as it is on the wire."},
        {"authority", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.head().authority); }, "Host or :authority as sent."},
        {"host", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.host()); }, "The host of authority in lower case, without a last dot or brackets; an IPv4 address in IPv6 is IPv4. What some readers take for another host is refused (400)."},
        {"port", TypeKind::Int, [](const HttpPart& h) { return Value::integer(h.facts.port()); }, "Its port, or the scheme's own."},
        {"path", TypeKind::String, path_value, "The path as servers read it: escapes decoded, dot segments resolved, empty segments merged, \";x=1\" left out. Where servers differ, a rule that forbids matches if any reading does, lower case, Destination and X-Amz-Copy-Source among them, and one that allows must match all."},
        {"segments", strings(), segments_value, "The parts of path between slashes."},
        {"raw_path", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.raw_path()); }, "The path as sent."},
        {"query", Type::map(TypeKind::String, strings()), [](const HttpPart& h) { return multimap(http::Facts::pairs(h.facts.raw_query())); }, "All values of each name of the query, decoded."},
        {"raw_query", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.raw_query()); }, "The query as sent."},
        {"url", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.url()); }, "The whole URL as sent."},
        {"headers", Type::map(TypeKind::String, TypeKind::String), [](const HttpPart& h) { return Value::own_map(new FieldMap{h.facts}); }, "Fields by name in lower case; several of one name are joined by \", \"."},
        {"cookies", Type::map(TypeKind::String, strings()), [](const HttpPart& h) { return multimap(h.facts.cookies()); }, "All values of each cookie."},
        {"content_type", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.content_type()); }, "The body's media type in lower case, without parameters; empty: none."},
        {"version", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.head().version); }, "1.0, 1.1 or 2."},
        {"upgrade", TypeKind::String, [](const HttpPart& h) { return text_value(h.facts.upgrade()); }, "The protocol that is asked for instead, such as websocket; empty: none."},
        {"fronted", TypeKind::Bool, [](const HttpPart& h) { return Value::boolean(h.facts.fronted()); }, "Another host is named than the connection was opened to; where only an address is known, another address or the name of another resource. Such a request is allowed only by a rule that names this."},
        {"body", object_type<HttpBody>(), [](const HttpPart& h) { return Value::own_object(new View<HttpBody>{h.body}); }, "The request's body, read up to a limit if a rule asks for it; longer ones cannot be evaluated."},
    }};
    return made;
}
// clang-format on

}  // namespace chaperone::policy::engine
