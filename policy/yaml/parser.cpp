// SPDX-License-Identifier: Apache-2.0
#include "policy/yaml/parser.h"

#include "policy/yaml/text.h"

#include <libfyaml.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace chaperone::policy::yaml {
namespace {

using bundle::Findings;
using bundle::Mark;
using bundle::Style;

struct DestroyParser {
    void operator()(fy_parser* parser) const noexcept { fy_parser_destroy(parser); }
};
struct DestroyDiag {
    void operator()(fy_diag* diag) const noexcept { fy_diag_destroy(diag); }
};

Style style_of(fy_scalar_style style) noexcept {
    switch (style) {
    case FYSS_PLAIN: return Style::Plain;
    case FYSS_SINGLE_QUOTED: return Style::SingleQuoted;
    case FYSS_DOUBLE_QUOTED: return Style::DoubleQuoted;
    case FYSS_LITERAL: return Style::Literal;
    case FYSS_FOLDED: return Style::Folded;
    case FYSS_ANY:
    case FYSS_MAX: break;
    }
    return Style::None;
}

// Characters that show one thing and mean another (Unicode TR 36): bidirectional controls, and
// control characters, which YAML itself forbids but libfyaml takes.
bool misleads(char32_t value) noexcept {
    if (value < 0x20) return value != '\t' && value != '\n' && value != '\r';
    return value == 0x7f || (value >= 0x80 && value < 0xa0 && value != 0x85) ||
           (value >= 0x202a && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069) ||
           value == 0x200e || value == 0x200f;
}

class Builder {
public:
    Builder(std::uint32_t file, Findings& findings)
        : findings_(findings), content_(findings.files()[file].content), file_(file) {}

    std::vector<Node> run() {
        if (!is_readable()) return {};
        open();
        while (next()) {
            if (event_->type != FYET_DOCUMENT_START) continue;
            if (!next()) break;
            std::optional<Node> node = take_node(0);
            if (!node) break;
            if (node->kind != Node::Kind::Null) documents_.push_back(std::move(*node));
        }
        report_syntax();
        release();
        return std::move(documents_);
    }

private:
    bool is_readable() {
        Mark at{.file = file_, .line = 1, .column = 1};
        std::string_view rest = content_;
        while (!rest.empty()) {
            const CodePoint next = first_code_point(rest);
            at.begin = static_cast<std::uint32_t>(content_.size() - rest.size());
            at.end = at.begin + 1;
            if (next.size == 0) {
                findings_.error(at, "this is not valid UTF-8");
                return false;
            }
            if (misleads(next.value)) {
                findings_.error(at, "a control character, which could hide what is written here");
                return false;
            }
            rest.remove_prefix(next.size);
            if (next.value == '\n') {
                ++at.line;
                at.column = 1;
            } else {
                ++at.column;
            }
        }
        return true;
    }

    void open() {
        fy_diag_cfg diag_config;
        fy_diag_cfg_default(&diag_config);
        diag_.reset(fy_diag_create(&diag_config));
        fy_diag_set_collect_errors(diag_.get(), true);
        fy_parse_cfg config{};
        config.flags = static_cast<fy_parse_cfg_flags>(FYPCF_QUIET | FYPCF_COLLECT_DIAG);
        config.diag = diag_.get();
        parser_.reset(fy_parser_create(&config));
        if (parser_) fy_parser_set_string(parser_.get(), content_.data(), content_.size());
    }

    void release() noexcept {
        if (event_ != nullptr) fy_parser_event_free(parser_.get(), event_);
        event_ = nullptr;
    }

    bool next() {
        release();
        if (!parser_) return false;
        event_ = fy_parser_parse(parser_.get());
        return event_ != nullptr && event_->type != FYET_STREAM_END;
    }

    // The first only: what follows a syntax error is mostly an echo of it.
    void report_syntax() {
        if (!parser_) {
            findings_.error({.file = file_}, "cannot be read as YAML");
            return;
        }
        if (failed_ || !fy_parser_get_stream_error(parser_.get())) return;
        void* previous = nullptr;
        const fy_diag_error* error = fy_diag_errors_iterate(diag_.get(), &previous);
        if (error == nullptr) {
            findings_.error({.file = file_}, "cannot be read as YAML");
            return;
        }
        Mark at{.file = file_};
        at.line = error->line > 0 ? static_cast<std::uint32_t>(error->line) : 0;
        at.column = error->column > 0 ? static_cast<std::uint32_t>(error->column) : 0;
        findings_.error(at, std::string{"this is not YAML: "} + error->msg);
    }

    Mark mark() const {
        Mark at{.file = file_};
        if (const fy_mark* start = fy_event_start_mark(event_)) {
            at.line = static_cast<std::uint32_t>(start->line) + 1;
            at.column = static_cast<std::uint32_t>(start->column) + 1;
            at.begin = at.end = static_cast<std::uint32_t>(start->input_pos);
        } else {  // an empty value: where the last thing ended
            at = last_;
            at.begin = at.end;
            return at;
        }
        if (const fy_mark* end = fy_event_end_mark(event_))
            at.end = static_cast<std::uint32_t>(end->input_pos);
        return at;
    }

    std::nullopt_t fail(const Mark& at, std::string message, std::string suggestion = {}) {
        findings_.error(at, std::move(message), std::move(suggestion));
        failed_ = true;
        return std::nullopt;
    }

    // The node that begins with the current event; the last event read is its last.
    std::optional<Node> take_node(std::size_t depth) {
        Node node{.at = mark()};
        last_ = node.at;
        if (depth > kMaxDepth) return fail(node.at, "nested too deeply");
        if (event_->type == FYET_ALIAS && node.at.begin > 0) {  // its mark is behind the "*"
            --node.at.begin;
            --node.at.column;
        }
        if (event_->type == FYET_ALIAS)
            return fail(node.at, "aliases are not allowed in a bundle", "write the value out");
        if (fy_event_get_anchor_token(event_) != nullptr)
            return fail(node.at, "anchors are not allowed in a bundle", "write the value out");
        if (fy_event_get_tag_token(event_) != nullptr)
            return fail(node.at, "tags are not allowed in a bundle", "remove the tag");
        switch (event_->type) {
        case FYET_SCALAR: take_scalar(node); return node;
        case FYET_SEQUENCE_START: return take_sequence(std::move(node), depth);
        case FYET_MAPPING_START: return take_mapping(std::move(node), depth);
        case FYET_NONE:
        case FYET_STREAM_START:
        case FYET_STREAM_END:
        case FYET_DOCUMENT_START:
        case FYET_DOCUMENT_END:
        case FYET_MAPPING_END:
        case FYET_SEQUENCE_END:
        case FYET_ALIAS: break;
        }
        return fail(node.at, "cannot be read as YAML");
    }

    void take_scalar(Node& node) {
        fy_token* token = fy_event_get_token(event_);
        node.at.style = style_of(fy_token_scalar_style(token));
        std::size_t size = 0;
        if (const char* text = token == nullptr ? nullptr : fy_token_get_text(token, &size))
            node.text.assign(text, size);
        const bool plain = node.at.style == Style::Plain;
        const bool null = plain && (node.text.empty() || node.text == "~" || node.text == "null");
        node.kind = null ? Node::Kind::Null : Node::Kind::Scalar;
    }

    std::optional<Node> take_sequence(Node node, std::size_t depth) {
        node.kind = Node::Kind::Sequence;
        while (next() && event_->type != FYET_SEQUENCE_END) {
            std::optional<Node> item = take_node(depth + 1);
            if (!item) return std::nullopt;
            node.items.push_back(std::move(*item));
        }
        if (event_ == nullptr) return std::nullopt;
        return node;
    }

    std::optional<Node> take_mapping(Node node, std::size_t depth) {
        node.kind = Node::Kind::Mapping;
        while (next() && event_->type != FYET_MAPPING_END) {
            std::optional<Node> key = take_node(depth + 1);
            if (!key) return std::nullopt;
            if (key->kind != Node::Kind::Scalar) return fail(key->at, "a key must be text");
            if (const Field* other = node.find(key->text))
                findings_.error(key->at, "duplicate key \"" + key->text + "\", first on line " +
                                             std::to_string(other->at.line));
            if (!next()) return std::nullopt;
            std::optional<Node> value = take_node(depth + 1);
            if (!value) return std::nullopt;
            if (node.find(key->text) == nullptr)
                node.fields.push_back({std::move(key->text), key->at, std::move(*value)});
        }
        if (event_ == nullptr) return std::nullopt;
        return node;
    }

    Findings& findings_;
    std::string_view content_;
    std::uint32_t file_;
    std::unique_ptr<fy_diag, DestroyDiag> diag_;
    std::unique_ptr<fy_parser, DestroyParser> parser_;
    fy_event* event_ = nullptr;
    Mark last_{};
    bool failed_ = false;
    std::vector<Node> documents_;
};

}  // namespace

const Field* Node::find(std::string_view name) const noexcept {
    for (const Field& field : fields)
        if (field.name == name) return &field;
    return nullptr;
}

std::string_view describe(Node::Kind kind) noexcept {
    switch (kind) {
    case Node::Kind::Null: return "nothing";
    case Node::Kind::Scalar: return "text";
    case Node::Kind::Sequence: return "a list";
    case Node::Kind::Mapping: return "a mapping";
    }
    return "";
}

std::vector<Node> parse(std::uint32_t file, bundle::Findings& findings) {
    return Builder{file, findings}.run();
}

}  // namespace chaperone::policy::yaml
