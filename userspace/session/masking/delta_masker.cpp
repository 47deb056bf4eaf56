// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/delta_masker.h"

#include "userspace/session/masking/json_masker.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

namespace chaperone::session {

namespace json = boost::json;

namespace {

constexpr std::string_view kDone = "[DONE]";  // how OpenAI's streams end; it is no JSON
constexpr std::size_t kMaxKept = 256;         // bytes of a member that an event of ours repeats

using Step = std::variant<std::string, std::size_t>;
using Path = std::vector<Step>;  // names of members, indexes of elements

json::value* at(json::value& root, const Path& path) {
    json::value* here = &root;
    for (const Step& step : path) {
        if (const auto* name = std::get_if<std::string>(&step)) {
            json::object* object = here->if_object();
            here = object == nullptr ? nullptr : object->if_contains(*name);
        } else {
            json::array* list = here->if_array();
            const std::size_t index = std::get<std::size_t>(step);
            here = list == nullptr || index >= list->size() ? nullptr : &(*list)[index];
        }
        if (here == nullptr) return nullptr;
    }
    return here;
}

// A path of the masks means it, or what it is in: it is masked whole, each piece by itself.
bool meant(const TextMasks& masks, const Path& path) {
    return std::ranges::any_of(masks.json(), [&](const policy::JsonMask& mask) {
        auto state = policy::JsonPath::kRoot;
        if (mask.path.complete(state)) return true;
        for (const Step& step : path) {
            state = std::holds_alternative<std::string>(step)
                        ? mask.path.member(state, std::get<std::string>(step))
                        : mask.path.element(state, std::get<std::size_t>(step));
            if (mask.path.complete(state)) return true;
        }
        return false;
    });
}

std::string_view text_in(const json::object& from, std::string_view name) {
    const json::value* found = from.if_contains(name);
    return found != nullptr && found->is_string() ? std::string_view{found->get_string()}
                                                  : std::string_view{};
}
std::string number_in(const json::object& from, std::string_view name) {
    const json::value* found = from.if_contains(name);
    return found != nullptr && found->is_int64() ? std::to_string(found->get_int64()) : "-";
}

// What names the stream and the place in it, without what the event tells beside.
json::object frame_of(const json::object& event) {
    json::object made;
    for (const auto& [name, value] : event) {
        if (value.is_object() || value.is_array() || name == "sequence_number") continue;
        if (!value.is_string() || value.get_string().size() <= kMaxKept) made[name] = value;
    }
    return made;
}

EventText::Event event_of(const json::object& data) {
    EventText::Event made;
    if (const std::string_view type = text_in(data, "type"); !type.empty())
        made.fields.push_back("event: " + std::string{type});
    made.data = json::serialize(data);
    return made;
}

}  // namespace

// A piece of a text, where it stands.
struct DeltaMasker::Piece {
    std::string text{};  // which
    Path path{};
    json::object shell{};
};

// What an event brings and ends.
struct DeltaMasker::Reading {
    bool known = false;
    std::vector<Piece> pieces{};
    std::vector<std::string> ends{};  // beginnings of texts' names
    std::vector<Path> tells_again{};  // text in another form, which goes

    explicit Reading(const json::object& event) {
        const std::string_view type = text_in(event, "type");
        const json::value* choices = event.if_contains("choices");
        const json::value* error = event.if_contains("error");
        if (choices != nullptr && choices->is_array()) {
            chat(event, choices->get_array());
        } else if (type.starts_with("content_block_") || type.starts_with("message_")) {
            messages(event, type);
        } else if (type.starts_with("response.")) {
            responses(event, type);
        } else if (type == "error" || (error != nullptr && error->is_object())) {
            known = true;
            ends = {"b/", "c/", "r/"};  // nothing is read behind it
        }
    }

private:
    void add(std::string text, Path path, json::object shell) {
        pieces.push_back({std::move(text), std::move(path), std::move(shell)});
    }

    void chat(const json::object& event, const json::array& choices) {
        known = true;
        for (std::size_t i = 0; i != choices.size(); ++i) {
            const json::object* choice = choices[i].if_object();
            if (choice == nullptr) continue;
            const std::string name = "c/" + number_in(*choice, "index") + "/";
            const auto shell = [&](std::string_view member, json::value inner) {
                json::object one{{"index", choice->contains("index") ? choice->at("index") : 0}};
                one[member] = std::move(inner);
                one["finish_reason"] = nullptr;
                json::object made = frame_of(event);
                made["choices"] = json::array{std::move(one)};
                return made;
            };
            if (const json::value* text = choice->if_contains("text"); text && text->is_string())
                add(name + "text", {"choices", i, "text"}, shell("text", ""));
            if (const json::value* delta = choice->if_contains("delta");
                delta && delta->is_object())
                chat_delta(name, i, delta->get_object(), shell);
            if (choice->contains("logprobs")) tells_again.push_back({"choices", i, "logprobs"});
            // Some servers say an empty one until there is one.
            if (!text_in(*choice, "finish_reason").empty()) ends.push_back(name);
        }
    }
    template <class Shell>
    void chat_delta(const std::string& name, std::size_t i, const json::object& delta,
                    const Shell& shell) {
        for (const auto& [member, value] : delta)
            if (value.is_string() && member != "role")
                add(name + std::string{member}, {"choices", i, "delta", std::string{member}},
                    shell("delta", json::object{{member, ""}}));
        for (const auto& [member, value] : delta) {
            const json::array* calls = value.if_array();
            if (member != "tool_calls" || calls == nullptr) continue;
            for (std::size_t k = 0; k != calls->size(); ++k) {
                const json::object* call = (*calls)[k].if_object();
                if (call == nullptr) continue;
                for (const auto& [kind, field] :
                     {std::pair{"function", "arguments"}, std::pair{"custom", "input"}}) {
                    const json::value* what = call->if_contains(kind);
                    if (what == nullptr || !what->is_object() ||
                        !what->get_object().contains(field) ||
                        !what->get_object().at(field).is_string())
                        continue;
                    json::object piece{{kind, json::object{{field, ""}}}};
                    if (call->contains("index")) piece["index"] = call->at("index");
                    add(name + "call/" + number_in(*call, "index") + kind,
                        {"choices", i, "delta", "tool_calls", k, kind, field},
                        shell("delta", json::object{{"tool_calls", json::array{piece}}}));
                }
            }
        }
        const json::value* legacy = delta.if_contains("function_call");
        if (legacy != nullptr && legacy->is_object() &&
            legacy->get_object().contains("arguments") &&
            legacy->get_object().at("arguments").is_string())
            add(name + "function_call", {"choices", i, "delta", "function_call", "arguments"},
                shell("delta", json::object{{"function_call", json::object{{"arguments", ""}}}}));
    }

    void messages(const json::object& event, std::string_view type) {
        known = true;
        const std::string name = "b/" + number_in(event, "index") + "/";
        if (type == "content_block_stop") return ends.push_back(name);
        if (type.starts_with("message_")) return ends.push_back("b/");
        const json::value* delta = event.if_contains("delta");
        if (type != "content_block_delta" || delta == nullptr || !delta->is_object()) return;
        for (const auto& [member, value] : delta->get_object()) {
            if (!value.is_string() || member == "type" || member == "signature") continue;
            json::object inner{{member, ""}};
            inner["type"] = text_in(delta->get_object(), "type");
            json::object shell = frame_of(event);
            shell["delta"] = std::move(inner);
            add(name + std::string{member}, {"delta", std::string{member}}, std::move(shell));
        }
    }

    void responses(const json::object& event, std::string_view type) {
        known = true;
        const std::string item = "r/" + number_in(event, "output_index") + "/";
        const json::value* delta = event.if_contains("delta");
        if (type.ends_with(".delta") && delta != nullptr && delta->is_string()) {
            json::object shell = frame_of(event);
            shell["delta"] = "";
            add(item + std::string{type} + "/" + number_in(event, "content_index") + "/" +
                    number_in(event, "summary_index"),
                {"delta"}, std::move(shell));
            if (event.contains("logprobs")) tells_again.push_back({"logprobs"});
        } else if (type.ends_with(".done")) {
            ends.push_back(item);
        } else if (event.contains("response")) {
            ends.emplace_back("r/");
        }
    }
};

void DeltaMasker::close(const std::string& prefix, std::vector<EventText::Event>& out) {
    for (auto it = open_.lower_bound(prefix); it != open_.end() && it->first.starts_with(prefix);) {
        std::string rest;
        it->second.stream.finish(rest);
        masked_ += it->second.stream.masked();
        if (!rest.empty()) {
            json::value data = std::move(it->second.shell);
            for (Step& step : it->second.path)  // the only one of its list
                if (std::holds_alternative<std::size_t>(step)) step = std::size_t{0};
            if (json::value* place = at(data, it->second.path)) *place = rest;
            out.push_back(event_of(data.get_object()));
        }
        it = open_.erase(it);
    }
}

Result<std::optional<DeltaMasker::Made>> DeltaMasker::event(const std::string& data) {
    if (data == kDone) return Made{finish(), data};
    if (!data.starts_with('{')) return std::nullopt;
    json::error_code error;
    const json::value value = json::parse(data, error, {}, {.max_depth = 128});
    if (error || !value.is_object()) return std::nullopt;
    const Reading reading{value.get_object()};
    if (!reading.known) return std::nullopt;
    auto made = masked_event(reading, value.get_object());
    if (!made) return fail(made.error());
    return *std::move(made);
}

Result<DeltaMasker::Made> DeltaMasker::masked_event(const Reading& reading,
                                                    const json::object& event) {
    const auto broken = [] { return fail(Errc::Malformed, "an event of a model's stream"); };
    Made made;
    json::value blank(event);  // braces would make a list of it
    for (const Path& path : reading.tells_again)
        if (json::value* again = at(blank, path)) *again = nullptr;
    std::vector<std::pair<const Path*, std::string>> texts;
    for (const Piece& piece : reading.pieces) {
        if (meant(masks_, piece.path)) continue;
        json::value* text = at(blank, piece.path);
        if (text == nullptr || !text->is_string()) return broken();
        Open& open = open_.try_emplace(piece.text, masks_).first->second;
        if (open_.size() > kMaxTexts) return fail(Errc::TooLarge, "texts of a model's stream");
        std::string out;
        open.stream.feed(text->get_string(), out);
        open.shell = piece.shell;
        open.path = piece.path;
        const bool ends = std::ranges::any_of(
            reading.ends, [&](const std::string& end) { return piece.text.starts_with(end); });
        if (ends) {
            open.stream.finish(out);
            masked_ += open.stream.masked();
            open_.erase(piece.text);
        }
        *text = "";
        texts.emplace_back(&piece.path, std::move(out));
    }
    for (const std::string& end : reading.ends) close(end, made.before);

    JsonMasker rest{masks_};
    std::string masked;
    if (!rest.feed(json::serialize(blank), masked) || !rest.finish(masked)) return broken();
    masked_ += rest.masked();
    if (!texts.empty()) {
        json::error_code error;
        json::value whole = json::parse(masked, error, {}, {.max_depth = 128});
        if (error) return broken();
        for (auto& [path, text] : texts) {
            json::value* place = at(whole, *path);
            if (place == nullptr) return broken();
            *place = text;
        }
        masked = json::serialize(whole);
    }
    made.data = std::move(masked);
    return made;
}

std::vector<EventText::Event> DeltaMasker::finish() {
    std::vector<EventText::Event> made;
    close("", made);
    return made;
}

std::uint64_t DeltaMasker::masked() const noexcept {
    std::uint64_t sum = masked_;
    for (const auto& [name, open] : open_) sum += open.stream.masked();
    return sum;
}

}  // namespace chaperone::session
