// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/mcp_filter.h"

#include "userspace/session/masking/body_masker.h"
#include "userspace/session/masking/event_text.h"

#include "policy/engine/json_value.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <string>

namespace chaperone::session {
namespace {

namespace json = boost::json;
using policy::http::McpMessage;

constexpr std::size_t kMaxMessage = std::size_t{8} << 20;  // bytes of one that is read whole

constexpr std::size_t kMaxDepth = 128;
constexpr std::size_t kMaxNamed = 64;  // bytes of a method's name that are told
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // JSON's readers on the web skip it

struct Listing {
    std::string_view list;    // the result's member
    std::string_view key;     // what names its items
    std::string_view method;  // what is asked with such a name
};
constexpr std::array kListings{Listing{"tools", "name", "tools/call"},
                               Listing{"prompts", "name", "prompts/get"},
                               Listing{"resources", "uri", "resources/read"},
                               Listing{"resourceTemplates", "uriTemplate", "resources/read"}};
constexpr std::string_view kHidden = "chaperone/denied";
constexpr int kDenied = -32003;  // as refusals of calls have it

std::string_view text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_string()) return {};
    return value->get_string();
}

class Messages {
public:
    explicit Messages(McpDecider decide) : decide_(std::move(decide)) {}

    // What goes on in the place of a message; nullopt: nothing does. What does not begin as JSON is
    // none; what does and cannot be read, or in two ways, goes nowhere.
    std::optional<std::string> pass(std::string_view text) {
        if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
        const auto begin = text.find_first_not_of(" \t\r\n");
        if (begin == text.npos || (text[begin] != '{' && text[begin] != '['))
            return std::string{text};
        json::error_code error;
        json::value value = json::parse(text, error, {}, {.max_depth = kMaxDepth});
        if (error || policy::engine::json_value(text).is(cel::Kind::Error)) return std::nullopt;
        bool changed = false;
        if (json::array* batch = value.if_array())
            for (json::value& message : *batch) one(message, changed);
        else
            one(value, changed);
        return changed ? json::serialize(value) : std::string{text};
    }

private:
    void one(json::value& value, bool& changed) {
        json::object* object = value.if_object();
        if (object == nullptr || text_of(*object, "jsonrpc").empty()) return;
        // A request has an id; a notification asks for nothing.
        if (object->contains("method") && object->contains("id") && !may_ask(*object)) {
            hide(*object);
            changed = true;
            return;
        }
        json::value* result = object->if_contains("result");
        if (result == nullptr || !result->is_object()) return;
        for (const Listing& listing : kListings) {
            json::value* list = result->get_object().if_contains(listing.list);
            if (list != nullptr && list->is_array()) cut(list->get_array(), listing, changed);
        }
        // What a server asks within an answer (2026-07-28, multi round-trip requests). Without all
        // of its answers the call cannot go on.
        if (const json::value* asked = result->get_object().if_contains("inputRequests")) {
            if (const std::string denied = first_denied(*asked); !denied.empty()) {
                object->erase("result");
                object->insert_or_assign(
                    "error", json::object{{"code", kDenied},
                                          {"message", "chaperone: the server asked for " + denied +
                                                          ", and policy does not allow it"}});
                changed = true;
            }
        }
    }

    // A client must answer a method that it does not know with an error (JSON-RPC 2.0, 5.1): so the
    // server hears at once that nothing comes, and the client of nothing but that.
    static void hide(json::object& question) {
        json::object made{{"jsonrpc", "2.0"}, {"id", question.at("id")}, {"method", kHidden}};
        question = std::move(made);
    }

    // Its method; empty: all may be asked.
    std::string first_denied(const json::value& asked) const {
        const json::object* requests = asked.if_object();
        if (requests == nullptr) return asked.is_null() ? "" : "what cannot be told";
        for (const auto& [name, request] : *requests) {
            if (!request.is_object()) return "what cannot be told";
            if (may_ask(request.get_object())) continue;
            const std::string_view method = text_of(request.get_object(), "method");
            return method.empty() ? "what cannot be told"
                                  : std::string{method.substr(0, kMaxNamed)};
        }
        return {};
    }

    bool may_ask(const json::object& object) const {
        auto message = std::make_shared<McpMessage>();
        message->method = text_of(object, "method");
        message->arguments = cel::Value::map_of({});
        if (const json::value* params = object.if_contains("params"))
            message->arguments = policy::http::mcp_value(json::serialize(*params));
        message->from_server = true;
        const policy::DecisionPtr decision = decide_(std::move(message), true);
        // Nobody is there to wait for a person.
        return decision && decision->effect == policy::Effect::Allow;
    }

    void cut(json::array& items, const Listing& listing, bool& changed) const {
        for (auto it = items.begin(); it != items.end();) {
            const bool stays = it->is_object() && may_see(it->get_object(), listing);
            changed = changed || !stays;
            it = stays ? std::next(it) : items.erase(it);
        }
    }

    bool may_see(const json::object& item, const Listing& listing) const {
        auto message = std::make_shared<McpMessage>();
        message->method = listing.method;
        message->listed = true;
        const std::string name{text_of(item, listing.key)};
        if (name.empty()) return false;  // nothing can be asked of it
        if (listing.list == "tools") message->tool = name;
        if (listing.list == "prompts") message->prompt = name;
        if (listing.list.starts_with("resource")) message->resource = name;
        return allowed(decide_(std::move(message), false));
    }

    // What a person would have to approve may be seen, and what cannot be decided may not.
    static bool allowed(const policy::DecisionPtr& decision) {
        return decision && decision->effect != policy::Effect::Deny;
    }

    McpDecider decide_;
};

class JsonMessages final : public TextFilter {
public:
    explicit JsonMessages(McpDecider decide) : messages_(std::move(decide)) {}

    Result<> feed(std::string_view piece, std::string&) override {
        if (piece.size() > kMaxMessage - text_.size())
            return fail(Errc::TooLarge, "a message of MCP");
        text_ += piece;
        return {};
    }
    Result<> finish(std::string& out) override {
        // A body must be there still: an empty batch says that nothing is left.
        out += messages_.pass(text_).value_or("[]");
        return {};
    }

private:
    Messages messages_;
    std::string text_;
};

class EventMessages final : public TextFilter {
public:
    EventMessages(McpDecider decide, McpOpener opened)
        : messages_(std::move(decide)), opened_(std::move(opened)) {}

    // An empty piece, too, is a time at which something may be said.
    Result<> feed(std::string_view piece, std::string& out) override {
        auto fed = events_.feed(piece, [&](EventText::Event& event) {
            if (event.data) {
                if (opened_ && says_endpoint(event)) inbox_ = opened_(*event.data);
                auto data = messages_.pass(*event.data);
                if (!data) return;
                event.data = std::move(data);
            }
            EventText::append(out, event);
        });
        if (fed && inbox_)
            for (std::string& message : inbox_->take())
                EventText::append(out, {.fields = {"event: message"}, .data = std::move(message)});
        return fed;
    }
    Result<> finish(std::string&) override { return {}; }

private:
    static bool says_endpoint(const EventText::Event& event) {
        return std::ranges::any_of(event.fields, [](std::string_view field) {
            return field == "event: endpoint" || field == "event:endpoint";
        });
    }

    Messages messages_;
    McpOpener opened_;
    std::shared_ptr<McpStreams::Inbox> inbox_;
    EventText events_;
};

class Filter final : public BodyFilter {
public:
    explicit Filter(std::unique_ptr<BodyMasker> inner) : inner_(std::move(inner)) {}
    Result<> push(Bytes data, bool last, Buffer& out) override {
        if (auto done = inner_->feed(data, out); !done || !last) return done;
        return inner_->finish(out);
    }

    // Messages are in bodies only.
    std::optional<std::string> trailer(std::string_view, std::string_view value) override {
        return std::string{value};
    }

private:
    std::unique_ptr<BodyMasker> inner_;
};

}  // namespace

Result<std::unique_ptr<BodyFilter>> make_mcp_filter(std::string_view content_type,
                                                    std::string_view content_encoding,
                                                    McpDecider decide, McpOpener opened) {
    std::unique_ptr<TextFilter> text;
    switch (body_form(content_type)) {
    case BodyForm::Json: text = std::make_unique<JsonMessages>(std::move(decide)); break;
    case BodyForm::Events:
        text = std::make_unique<EventMessages>(std::move(decide), std::move(opened));
        break;
    case BodyForm::Form:
    case BodyForm::Text:
    case BodyForm::Bytes:
    case BodyForm::Media:
    case BodyForm::Framed: return nullptr;
    }
    auto coded = make_coded(content_encoding, std::move(text));
    if (!coded) return fail(coded.error());
    return std::make_unique<Filter>(*std::move(coded));
}

}  // namespace chaperone::session
