// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/json_value.h"

#include "policy/yaml/text.h"

#include <boost/json/basic_parser_impl.hpp>

#include <string>
#include <utility>
#include <vector>

namespace chaperone::policy::engine {
namespace {

using cel::Value;

constexpr std::size_t kDeepest = 64;

// Builds the value while the document is read; a member that comes twice ends it.
struct Builder {
    constexpr static std::size_t max_array_size = SIZE_MAX;
    constexpr static std::size_t max_object_size = SIZE_MAX;
    constexpr static std::size_t max_string_size = SIZE_MAX;
    constexpr static std::size_t max_key_size = SIZE_MAX;
    using Error = boost::system::error_code;
    using Text = boost::json::string_view;

    struct Open {
        std::vector<Value> items{};
        std::vector<std::pair<Value, Value>> members{};
        std::string key{};
    };

    bool put(Value value) {
        if (open.empty())
            made = std::move(value);
        else if (in_object.back())
            open.back().members.emplace_back(Value::own_text(open.back().key), std::move(value));
        else
            open.back().items.push_back(std::move(value));
        return true;
    }
    bool on_document_begin(Error&) { return true; }
    bool on_document_end(Error&) { return true; }
    bool begin(bool object) {
        open.emplace_back();
        in_object.push_back(object);
        return true;
    }
    bool on_object_begin(Error&) { return begin(true); }
    bool on_array_begin(Error&) { return begin(false); }
    bool on_object_end(std::size_t, Error& error) {
        auto members = std::move(open.back().members);
        open.pop_back();
        in_object.pop_back();
        std::vector<std::string_view> names;
        for (const auto& member : members) names.push_back(member.first.as_text());
        std::ranges::sort(names);
        if (std::ranges::adjacent_find(names) != names.end()) {
            twice = true;
            error = boost::json::error::syntax;
            return false;
        }
        return put(Value::map_of(std::move(members)));
    }
    bool on_array_end(std::size_t, Error&) {
        auto items = std::move(open.back().items);
        open.pop_back();
        in_object.pop_back();
        return put(Value::list_of(std::move(items)));
    }
    bool on_key_part(Text part, std::size_t, Error&) {
        text.append(part.data(), part.size());
        return true;
    }
    bool on_key(Text part, std::size_t, Error&) {
        text.append(part.data(), part.size());
        open.back().key = std::exchange(text, {});
        return true;
    }
    bool on_string_part(Text part, std::size_t, Error&) {
        text.append(part.data(), part.size());
        return true;
    }
    bool on_string(Text part, std::size_t, Error&) {
        text.append(part.data(), part.size());
        return put(Value::own_text(std::exchange(text, {})));
    }
    bool on_number_part(Text, Error&) { return true; }
    bool on_int64(std::int64_t value, Text, Error&) { return put(Value::integer(value)); }
    bool on_uint64(std::uint64_t value, Text, Error&) {
        return put(Value::unsigned_integer(value));
    }
    bool on_double(double value, Text, Error&) { return put(Value::real(value)); }
    bool on_bool(bool value, Error&) { return put(Value::boolean(value)); }
    bool on_null(Error&) { return put(Value::null()); }
    bool on_comment_part(Text, Error&) { return true; }
    bool on_comment(Text, Error&) { return true; }

    Value made{};
    std::vector<Open> open{};
    std::vector<bool> in_object{};
    std::string text{};
    bool twice = false;
};

}  // namespace

Value json_value(std::string_view text) {
    boost::json::parse_options options;
    options.max_depth = kDeepest;
    boost::json::basic_parser<Builder> parser{options};
    boost::system::error_code error;
    const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
    if (parser.handler().twice) return Value::error("JSON that names a member twice");
    if (error || used != text.size() || !parser.done()) return Value::error("text that is no JSON");
    return std::move(parser.handler().made);
}

}  // namespace chaperone::policy::engine
