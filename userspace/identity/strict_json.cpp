// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/strict_json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>

#include <set>
#include <string>
#include <vector>

namespace chaperone::identity {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 32;

// A handler of Boost.JSON's event parser (its member names are the library's) that only keeps the
// names of the objects that are open.
struct DuplicateFinder {
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    std::vector<std::set<std::string, std::less<>>> open{};
    std::string name{};
    bool found = false;

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code&) {
        open.emplace_back();
        return true;
    }
    bool on_object_end(std::size_t, json::error_code&) {
        open.pop_back();
        return true;
    }
    bool on_array_begin(json::error_code&) { return true; }
    bool on_array_end(std::size_t, json::error_code&) { return true; }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        name.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t, json::error_code& error) {
        name.append(part.data(), part.size());
        found = !open.back().insert(std::move(name)).second;
        name.clear();
        if (found) error = json::error::extra_data;  // any error: it ends the parse
        return !found;
    }
    bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
    bool on_double(double, json::string_view, json::error_code&) { return true; }
    bool on_bool(bool, json::error_code&) { return true; }
    bool on_null(json::error_code&) { return true; }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }
};

bool has_duplicates(std::string_view text, const json::parse_options& options) {
    json::basic_parser<DuplicateFinder> parser{options};
    json::error_code error;
    parser.write_some(false, text.data(), text.size(), error);
    return parser.handler().found;
}

}  // namespace

Result<json::object> parse_object(std::string_view text, std::size_t limit, std::string_view what) {
    if (text.size() > limit) return fail(Errc::TooLarge, std::string{what});
    json::parse_options options;
    options.max_depth = kMaxDepth;
    json::error_code error;
    json::value value = json::parse({text.data(), text.size()}, error, {}, options);
    if (error) return fail(Errc::Malformed, std::string{what} + " is not JSON");
    if (!value.is_object()) return fail(Errc::Malformed, std::string{what} + " is no JSON object");
    if (has_duplicates(text, options))
        return fail(Errc::Malformed, std::string{what} + " has a member twice");
    return std::move(value.get_object());
}

std::optional<std::string_view> text_of(const json::object& object,
                                        std::string_view name) noexcept {
    const json::value* value = object.if_contains({name.data(), name.size()});
    if (value == nullptr || !value->is_string()) return {};
    const json::string& text = value->get_string();
    return std::string_view{text.data(), text.size()};
}

}  // namespace chaperone::identity
