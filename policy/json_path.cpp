// SPDX-License-Identifier: Apache-2.0
#include "policy/json_path.h"

#include <optional>

namespace chaperone::policy {

class JsonPathReader {
public:
    explicit JsonPathReader(std::string_view text) : text_(text) {}

    Result<JsonPath> read() {
        JsonPath path;
        path.text_ = text_;
        if (!take('$')) return expected("$, the root");
        while (at_ != text_.size()) {
            if (path.segments_.size() == JsonPath::kMaxSegments)
                return fail(Errc::Invalid, "a path of more than " +
                                               std::to_string(JsonPath::kMaxSegments) + " steps");
            auto segment = read_segment();
            if (!segment) return fail(segment.error());
            path.segments_.push_back(std::move(*segment));
        }
        if (path.segments_.empty()) return expected("a step: .name, [*] or ..name");
        path.complete_ = JsonPath::State{1} << path.segments_.size();
        return path;
    }

private:
    using Segment = JsonPath::Segment;
    using Kind = JsonPath::Kind;

    bool take(char c) {
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    std::unexpected<Error> expected(std::string_view what) const {
        return fail(Errc::Invalid, "the JSON path " + std::string{text_} + ", byte " +
                                       std::to_string(at_ + 1) + ": expected " + std::string{what});
    }

    Result<Segment> read_segment() {
        Segment segment;
        if (take('.')) {
            segment.descendant = take('.');
            if (segment.descendant && at_ != text_.size() && text_[at_] == '[')
                return bracketed(std::move(segment));
            return dotted(std::move(segment));
        }
        if (at_ != text_.size() && text_[at_] == '[') return bracketed(std::move(segment));
        return expected(". or [");
    }

    Result<Segment> dotted(Segment segment) {
        if (take('*')) return segment;
        const std::size_t from = at_;
        while (at_ != text_.size() && is_name(text_[at_])) ++at_;
        if (from == at_) return expected("a name or *");
        segment.kind = Kind::Name;
        segment.name = text_.substr(from, at_ - from);
        return segment;
    }

    Result<Segment> bracketed(Segment segment) {
        ++at_;
        if (take('*')) return closed(std::move(segment));
        if (at_ != text_.size() && (text_[at_] == '\'' || text_[at_] == '"'))
            return quoted(std::move(segment), text_[at_]);
        const std::size_t from = at_;
        while (at_ != text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && at_ - from < 9)
            segment.index = segment.index * 10 + static_cast<std::size_t>(text_[at_++] - '0');
        if (from == at_) return expected("*, a quoted name or an index");
        segment.kind = Kind::Index;
        return closed(std::move(segment));
    }

    Result<Segment> quoted(Segment segment, char quote) {
        ++at_;
        segment.kind = Kind::Name;
        while (at_ != text_.size() && text_[at_] != quote) {
            if (text_[at_] == '\\' && ++at_ == text_.size()) break;
            segment.name += text_[at_++];
        }
        if (!take(quote)) return expected("the closing quote");
        return closed(std::move(segment));
    }

    Result<Segment> closed(Segment segment) {
        if (!take(']')) return expected("]");
        return segment;
    }

    static bool is_name(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

Result<JsonPath> JsonPath::parse(std::string_view text) {
    return JsonPathReader{text}.read();
}

template <class Fits>
JsonPath::State JsonPath::step(State parent, Fits fits) const noexcept {
    State next = 0;
    for (std::size_t i = 0; i != segments_.size(); ++i) {
        if ((parent >> i & 1) == 0) continue;
        if (segments_[i].descendant) next |= State{1} << i;
        if (fits(segments_[i])) next |= State{1} << (i + 1);
    }
    return next;
}

JsonPath::State JsonPath::member(State parent, std::string_view name) const noexcept {
    return step(parent, [&](const Segment& segment) {
        return segment.kind == Kind::Any || (segment.kind == Kind::Name && segment.name == name);
    });
}

JsonPath::State JsonPath::element(State parent, std::size_t index) const noexcept {
    return step(parent, [&](const Segment& segment) {
        return segment.kind == Kind::Any || (segment.kind == Kind::Index && segment.index == index);
    });
}

std::uint64_t JsonPath::names(State parent) const noexcept {
    std::uint64_t names = 0;
    for (std::size_t i = 0; i != segments_.size(); ++i) {
        const Segment& segment = segments_[i];
        if ((parent >> i & 1) == 0) continue;
        if (segment.descendant || segment.kind == Kind::Any) return ~std::uint64_t{0};
        if (segment.kind == Kind::Name) names |= bit_of(segment.name);
    }
    return names;
}

}  // namespace chaperone::policy
