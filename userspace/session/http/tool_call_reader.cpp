// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/tool_call_reader.h"

#include "policy/engine/json_value.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <limits>
#include <utility>

namespace chaperone::session {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 128;
constexpr std::string_view kDone = "[DONE]";  // how OpenAI's streams end; it is no JSON

Result<json::value> parsed(std::string_view text) {
    json::error_code error;
    json::value made = json::parse(text, error, {}, {.max_depth = kMaxDepth});
    if (error) return fail(Errc::Malformed, "an answer of a model that is no JSON");
    // Of a member that is named twice clients choose one or the other.
    if (policy::engine::json_value(text).is(cel::Kind::Error))
        return fail(Errc::Malformed, "an answer of a model that can be read in two ways");
    return made;
}

const json::value* member(const json::object& from, std::string_view name) {
    return from.if_contains(name);
}
const json::object* object_in(const json::object& from, std::string_view name) {
    const json::value* found = member(from, name);
    return found == nullptr ? nullptr : found->if_object();
}
const json::array* array_in(const json::object& from, std::string_view name) {
    const json::value* found = member(from, name);
    return found == nullptr ? nullptr : found->if_array();
}
std::string_view text_in(const json::object& from, std::string_view name) {
    const json::value* found = member(from, name);
    return found != nullptr && found->is_string() ? std::string_view{found->get_string()}
                                                  : std::string_view{};
}
std::int64_t number_in(const json::object& from, std::string_view name, std::int64_t without) {
    const json::value* found = member(from, name);
    return found != nullptr && found->is_int64() ? found->get_int64() : without;
}

bool is_call(std::string_view type) {
    return type.ends_with("tool_use") || type.ends_with("_call") || type == "mcp_approval_request";
}

// An item of Responses, a block of Messages: {"type", "name", "arguments" | "input" | its own}.
WrittenCall item(const json::object& from) {
    WrittenCall made{.type = std::string{text_in(from, "type")}};
    made.name = text_in(from, "name");
    if (made.name.empty()) made.name = made.type;
    made.id = text_in(from, "call_id");
    if (made.id.empty()) made.id = text_in(from, "id");
    const json::value* arguments = member(from, "arguments");
    const json::value* input = member(from, "input");
    if (arguments != nullptr && arguments->is_string()) {
        made.arguments = arguments->get_string();
    } else if (arguments != nullptr) {
        made.arguments = json::serialize(*arguments);
    } else if (input != nullptr && input->is_string()) {
        made.arguments = input->get_string();
        made.free_text = true;
    } else {
        made.arguments = input != nullptr ? json::serialize(*input) : json::serialize(from);
    }
    return made;
}

// One of Chat Completions: {"id", "type", "function": {"name", "arguments"}}, or "custom" with
// {"name", "input"}. Of a stream it may be a piece.
WrittenCall chat_call(const json::object& from) {
    WrittenCall made{.type = std::string{text_in(from, "type")},
                     .id = std::string{text_in(from, "id")}};
    const json::object* what = object_in(from, "function");
    if (what == nullptr) {
        what = object_in(from, "custom");
        made.free_text = what != nullptr;
    }
    if (what == nullptr) what = &from;
    made.name = text_in(*what, "name");
    const json::value* arguments = member(*what, made.free_text ? "input" : "arguments");
    if (arguments == nullptr) return made;
    if (arguments->is_string())
        made.arguments = arguments->get_string();
    else if (!arguments->is_null())
        made.arguments = json::serialize(*arguments);
    return made;
}

WrittenCall legacy_call(const json::object& from) {
    WrittenCall made = chat_call(from);
    made.type = "function_call";
    return made;
}

// All whole calls in a value, wherever they stand; what is within a call is its arguments.
void find_calls(const json::value& in, WrittenCalls& out) {
    if (const json::array* list = in.if_array()) {
        for (const json::value& one : *list) find_calls(one, out);
        return;
    }
    const json::object* object = in.if_object();
    if (object == nullptr) return;
    if (is_call(text_in(*object, "type"))) return out.push_back(item(*object));
    for (const auto& [name, value] : *object) {
        if (name == "tool_calls" && value.is_array()) {
            for (const json::value& one : value.get_array())
                if (const json::object* call = one.if_object()) out.push_back(chat_call(*call));
        } else if (name == "function_call" && value.is_object()) {
            out.push_back(legacy_call(value.get_object()));
        } else {
            find_calls(value, out);
        }
    }
}

void add(WrittenCall& to, WrittenCall piece) {
    // Some servers say name and id again with each piece.
    if (to.name != piece.name) to.name += piece.name;
    if (to.id.empty()) to.id = std::move(piece.id);
    if (!piece.type.empty()) to.type = std::move(piece.type);
    to.free_text = to.free_text || piece.free_text;
    to.arguments += piece.arguments;
}

}  // namespace

// What one event does to the calls that are open.
struct ToolCallReader::Pieces {
    std::map<Key, WrittenCall>& open;
    WrittenCalls& whole;

    void close(const Key& key) {
        const auto found = open.find(key);
        if (found == open.end()) return;
        whole.push_back(std::move(found->second));
        open.erase(found);
    }
    void close_choice(std::int64_t choice) {
        const auto first =
            open.lower_bound({'c', choice, std::numeric_limits<std::int64_t>::min()});
        auto last = first;
        for (; last != open.end() && std::get<0>(last->first) == 'c' &&
               std::get<1>(last->first) == choice;
             ++last)
            whole.push_back(std::move(last->second));
        open.erase(first, last);
    }

    // --- Chat Completions
    void chat(const json::array& choices) {
        for (const json::value& one : choices) {
            const json::object* choice = one.if_object();
            if (choice == nullptr) continue;
            const std::int64_t index = number_in(*choice, "index", 0);
            if (const json::object* delta = object_in(*choice, "delta")) chat_delta(index, *delta);
            if (const json::value* message = member(*choice, "message"))
                find_calls(*message, whole);
            // Some servers say an empty one until there is one.
            if (!text_in(*choice, "finish_reason").empty()) close_choice(index);
        }
    }
    void chat_delta(std::int64_t choice, const json::object& delta) {
        if (const json::object* legacy = object_in(delta, "function_call"))
            add(open[{'c', choice, -1}], legacy_call(*legacy));
        const json::array* calls = array_in(delta, "tool_calls");
        if (calls == nullptr) return;
        for (const json::value& one : *calls) {
            const json::object* call = one.if_object();
            if (call == nullptr) continue;
            WrittenCall piece = chat_call(*call);
            add(open[{'c', choice, place(choice, *call, piece)}], std::move(piece));
        }
    }
    // Some servers send calls whole and do not number them.
    std::int64_t place(std::int64_t choice, const json::object& call, const WrittenCall& piece) {
        if (const std::int64_t index = number_in(call, "index", -1); index >= 0) return index;
        std::int64_t last = 0;
        for (const auto& [key, other] : open)
            if (std::get<0>(key) == 'c' && std::get<1>(key) == choice) last = std::get<2>(key);
        return piece.name.empty() ? last : last + 1;
    }

    // --- Messages
    void block_start(const json::object& event) {
        const json::object* block = object_in(event, "content_block");
        if (block == nullptr || !is_call(text_in(*block, "type"))) return;
        WrittenCall begun = item(*block);
        const json::object* input = object_in(*block, "input");
        if (input == nullptr || input->empty()) begun.arguments.clear();  // it comes in pieces
        const Key key{'b', 0, number_in(event, "index", 0)};
        close(key);  // one that never ended is decided all the same
        open[key] = std::move(begun);
    }
    void block_delta(const json::object& event) {
        const auto found = open.find({'b', 0, number_in(event, "index", 0)});
        const json::object* delta = object_in(event, "delta");
        if (found == open.end() || delta == nullptr) return;
        found->second.arguments += text_in(*delta, "partial_json");
    }

    // --- Responses
    void item_added(const json::object& event) {
        const json::object* one = object_in(event, "item");
        if (one == nullptr || !is_call(text_in(*one, "type"))) return;
        WrittenCall begun = item(*one);
        const bool in_pieces = member(*one, "arguments") != nullptr || begun.free_text;
        if (!in_pieces) begun.arguments.clear();
        const Key key{'o', 0, number_in(event, "output_index", 0)};
        close(key);
        open[key] = std::move(begun);
    }
    void item_piece(const json::object& event) {
        const auto found = open.find({'o', 0, number_in(event, "output_index", -1)});
        if (found != open.end()) found->second.arguments += text_in(event, "delta");
    }
    void item_done(const json::object& event) {
        const Key key{'o', 0, number_in(event, "output_index", 0)};
        const std::size_t before = whole.size();
        if (const json::value* one = member(event, "item")) find_calls(*one, whole);
        if (whole.size() == before) return close(key);
        open.erase(key);
    }

    void take(const json::value& value) {
        const json::object* event = value.if_object();
        if (event == nullptr) return find_calls(value, whole);
        const std::string_view type = text_in(*event, "type");
        const json::array* choices = array_in(*event, "choices");
        if (choices != nullptr) return chat(*choices);
        if (type == "content_block_start") return block_start(*event);
        if (type == "content_block_delta") return block_delta(*event);
        if (type == "content_block_stop") return close({'b', 0, number_in(*event, "index", 0)});
        if (type == "response.output_item.added") return item_added(*event);
        if (type == "response.output_item.done") return item_done(*event);
        if (type.starts_with("response.") && type.ends_with(".delta")) return item_piece(*event);
        find_calls(value, whole);
    }
};

Result<WrittenCalls> ToolCallReader::document(std::string_view text) {
    WrittenCalls made;
    if (auto value = parsed(text)) {
        find_calls(*value, made);
        return made;
    }
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.find_first_not_of(" \t\r") == line.npos) continue;
        auto value = parsed(line);
        if (!value) return fail(value.error());
        find_calls(*value, made);
    }
    return made;
}

Result<WrittenCalls> ToolCallReader::event(std::string_view data) {
    if (data == kDone) return end();
    auto value = parsed(data);
    if (!value) return fail(value.error());
    WrittenCalls whole;
    Pieces{open_, whole}.take(*value);
    if (open_.size() > kMaxOpen) return fail(Errc::TooLarge, "tool calls of an answer");
    return whole;
}

WrittenCalls ToolCallReader::end() {
    WrittenCalls made;
    for (auto& [key, call] : open_) made.push_back(std::move(call));
    open_.clear();
    return made;
}

}  // namespace chaperone::session
