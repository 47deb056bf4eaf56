// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/model_usage.h"

#include "userspace/session/masking/body_masker.h"
#include "userspace/wire/coding/coding.h"

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

namespace chaperone::session {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDocument = std::size_t{4} << 20;  // of an answer; more is not read
constexpr std::size_t kMaxEvent = std::size_t{1} << 20;
constexpr std::size_t kMaxTools = 64;
constexpr std::size_t kMaxName = 128;

const json::object* object_in(const json::object& from, std::string_view name) {
    const json::value* found = from.if_contains(name);
    return found == nullptr ? nullptr : found->if_object();
}

template <class Use>
void each(const json::object& from, std::string_view name, Use use) {
    const json::value* found = from.if_contains(name);
    const json::array* list = found == nullptr ? nullptr : found->if_array();
    if (list == nullptr) return;
    for (const json::value& one : *list)
        if (const json::object* object = one.if_object()) use(*object);
}

std::string_view text_in(const json::object& from, std::string_view name) {
    const json::value* found = from.if_contains(name);
    return found != nullptr && found->is_string() ? std::string_view{found->get_string()}
                                                  : std::string_view{};
}

void count(const json::object& from, std::string_view name, std::uint64_t& into, bool& any) {
    const json::value* found = from.if_contains(name);
    boost::system::error_code no_number;
    if (found == nullptr || !found->is_number()) return;
    const auto value = found->to_number<std::uint64_t>(no_number);
    if (no_number) return;
    into = std::max(into, value);  // streams say it again as it grows
    any = true;
}

class Reading {
public:
    explicit Reading(ModelUsage& usage) : usage_(usage) {}

    void answer(const json::object& from) {
        if (const auto model = text_in(from, "model"); !model.empty() && usage_.model.empty())
            usage_.model = model.substr(0, kMaxName);
        if (const json::object* usage = object_in(from, "usage"))
            tokens(*usage);
        else
            count(from, "input_tokens", usage_.input_tokens, usage_.counted);  // count_tokens
        each(from, "choices", [&](const json::object& choice) {
            for (const std::string_view part : {"message", "delta"})
                if (const json::object* said = object_in(choice, part))
                    each(*said, "tool_calls", [&](const json::object& call) {
                        if (const json::object* function = object_in(call, "function"))
                            tool(text_in(*function, "name"));
                    });
        });
        each(from, "content", [&](const json::object& block) { content(block); });
        each(from, "output", [&](const json::object& item) { output(item); });
        const std::string_view type = text_in(from, "type");
        // Of a stream: what an event wraps. The same calls come again in response.completed.
        if (type == "message_start")
            if (const json::object* message = object_in(from, "message")) answer(*message);
        if (type == "content_block_start")
            if (const json::object* block = object_in(from, "content_block")) content(*block);
        if (type == "response.completed" || type == "response.incomplete" ||
            type == "response.failed")
            if (const json::object* response = object_in(from, "response")) answer(*response);
    }

private:
    void tokens(const json::object& usage) {
        for (const std::string_view name : {"input_tokens", "prompt_tokens"})
            count(usage, name, usage_.input_tokens, usage_.counted);
        for (const std::string_view name : {"output_tokens", "completion_tokens"})
            count(usage, name, usage_.output_tokens, usage_.counted);
        // Anthropic counts these beside the others, OpenAI among them.
        count(usage, "cache_read_input_tokens", usage_.cached_tokens, usage_.counted);
        for (const std::string_view name : {"input_tokens_details", "prompt_tokens_details"})
            if (const json::object* details = object_in(usage, name))
                count(*details, "cached_tokens", usage_.cached_tokens, usage_.counted);
    }
    void content(const json::object& block) {
        if (text_in(block, "type").ends_with("tool_use")) tool(text_in(block, "name"));
    }
    void output(const json::object& item) {
        const std::string_view type = text_in(item, "type");
        if (type == "function_call" || type == "custom_tool_call" || type == "mcp_call")
            tool(text_in(item, "name"));
    }
    void tool(std::string_view name) {
        if (name.empty() || usage_.tools.size() == kMaxTools) return;
        std::string kept{name.substr(0, kMaxName)};
        for (char& c : kept)
            if (static_cast<unsigned char>(c) <= ' ' || c == ',' || c == 0x7f) c = '_';
        usage_.tools.push_back(std::move(kept));
    }

    ModelUsage& usage_;
};

// Decoded text: a document as a whole, events one by one.
class Texts {
public:
    Texts(ModelUsage& usage, bool events) : usage_(usage), events_(events) {}

    void add(std::string_view text) {
        if (usage_.incomplete) return;
        if (!events_) return document(text);
        for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
            line_ += text.substr(0, end);
            text.remove_prefix(end + 1);
            line();
        }
        line_ += text;
        if (line_.size() + data_.size() > kMaxEvent) give_up();
    }
    void end() {
        if (usage_.incomplete) return;
        if (!events_) return read_model_answer(data_, usage_);
        line();
        event();
    }

private:
    void document(std::string_view text) {
        if (data_.size() + text.size() > kMaxDocument) return give_up();
        data_ += text;
    }
    void line() {
        if (line_.ends_with('\r')) line_.pop_back();
        if (line_.empty()) {
            event();
        } else if (line_.starts_with("data:")) {
            if (!data_.empty()) data_ += '\n';
            data_ += std::string_view{line_}.substr(5);
        }
        line_.clear();
    }
    void event() {
        if (!data_.empty()) read_model_answer(data_, usage_);
        data_.clear();
    }
    void give_up() {
        usage_.incomplete = true;
        data_ = {};
        line_ = {};
    }

    ModelUsage& usage_;
    bool events_;
    std::string line_{};
    std::string data_{};
};

class UsageReader final : public BodyFilter {
public:
    UsageReader(ModelUsage& usage, bool events, const std::vector<wire::Coding>& codings)
        : usage_(usage), texts_(usage, events) {
        for (const wire::Coding coding : codings)
            decoders_.insert(decoders_.begin(), wire::make_decoder(coding));
    }

    Result<> push(Bytes data, bool last, Buffer& out) override {
        append(out, data);
        if (usage_.incomplete) return {};
        decode(0, data);
        if (last) texts_.end();
        return {};
    }
    bool keeps_length() const override { return true; }
    std::optional<std::string> trailer(std::string_view, std::string_view value) override {
        return std::string{value};
    }

private:
    // What breaks here breaks for the agent, too; it is no reason to stop it.
    void decode(std::size_t at, Bytes data) {
        if (at == decoders_.size()) return texts_.add(as_text(data));
        if (!decoders_[at]->push(data, [&](Bytes piece) { decode(at + 1, piece); }))
            usage_.incomplete = true;
    }

    ModelUsage& usage_;
    Texts texts_;
    std::vector<std::unique_ptr<wire::Decoder>> decoders_{};
};

}  // namespace

std::string ModelUsage::text() const {
    std::string made = model;
    for (char& c : made)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) c = '_';
    if (counted)
        made +=
            " input=" + std::to_string(input_tokens) + " output=" + std::to_string(output_tokens);
    if (cached_tokens != 0) made += " cached=" + std::to_string(cached_tokens);
    for (std::size_t i = 0; i != tools.size(); ++i) made += (i == 0 ? " tools=" : ",") + tools[i];
    if (incomplete) made += " incomplete";
    return made.starts_with(' ') ? made.substr(1) : made;
}

void read_model_answer(std::string_view text, ModelUsage& usage) {
    boost::system::error_code error;
    json::monotonic_resource memory;
    const json::value value =
        json::parse({text.data(), text.size()}, error, &memory, {.max_depth = 64});
    if (error || !value.is_object()) return;
    Reading{usage}.answer(value.get_object());
}

std::unique_ptr<BodyFilter> make_usage_reader(std::string_view content_type,
                                              std::string_view content_encoding,
                                              ModelUsage& usage) {
    const BodyForm form = body_form(content_type);
    if (form != BodyForm::Json && form != BodyForm::Events) return nullptr;
    const auto codings = wire::parse_codings(content_encoding);
    if (!codings) return nullptr;
    return std::make_unique<UsageReader>(usage, form == BodyForm::Events, *codings);
}

}  // namespace chaperone::session
