// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/json_masker.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace chaperone::session {

using detect::With;

namespace {

constexpr char kRecordSeparator = '\x1e';  // RFC 7464
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_number_part(char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}
bool is_letter(char c) {
    return c >= 'a' && c <= 'z';
}

bool is_number(std::string_view text) {
    std::size_t at = 0;
    const auto digits = [&] {
        const std::size_t from = at;
        while (at != text.size() && text[at] >= '0' && text[at] <= '9') ++at;
        return at - from;
    };
    if (at != text.size() && text[at] == '-') ++at;
    const bool zero = at != text.size() && text[at] == '0';
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole != 1)) return false;
    if (at != text.size() && text[at] == '.') {
        ++at;
        if (digits() == 0) return false;
    }
    if (at != text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at != text.size() && (text[at] == '-' || text[at] == '+')) ++at;
        if (digits() == 0) return false;
    }
    return at == text.size();
}

// How far `in` is nothing but characters that stand for themselves; eight at a time.
std::size_t plain_run(std::string_view in) noexcept {
    constexpr std::uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
    const auto zero = [](std::uint64_t word) { return (word - kOnes) & ~word & kHighs; };
    std::size_t at = 0;
    for (; at + 8 <= in.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, in.data() + at, 8);
        const std::uint64_t control = (word - kOnes * 0x20) & ~word & kHighs;
        if ((zero(word ^ kOnes * '"') | zero(word ^ kOnes * '\\') | control) != 0) break;
    }
    while (at != in.size() && in[at] != '"' && in[at] != '\\' &&
           static_cast<unsigned char>(in[at]) >= 0x20)
        ++at;
    return at;
}

std::unexpected<Error> malformed(std::string_view what) {
    return fail(Errc::Malformed, "JSON: " + std::string{what});
}

}  // namespace

JsonMasker::JsonMasker(const TextMasks& masks) : masks_(masks), stream_(masks) {}

Result<> JsonMasker::feed(std::string_view piece, std::string& out) {
    while (!piece.empty()) {
        Result<std::size_t> used = 1;
        if (at_ == At::InString || at_ == At::InName) {
            used = string_part(piece, out);
        } else if (at_ == At::InNumber || at_ == At::InWord) {
            used = plain_part(piece, out);
        } else if (passed_over(piece.front())) {
            out += piece.front();
        } else if (auto done = structural(piece.front(), out); !done) {
            return done;
        }
        if (!used) return fail(used.error());
        piece.remove_prefix(*used);
    }
    return {};
}

Result<> JsonMasker::finish(std::string& out) {
    if (at_ == At::InNumber)
        if (auto done = number_done(out); !done) return done;
    if (at_ == At::InWord)
        if (auto done = word_done(out); !done) return done;
    if (at_ != At::Start && at_ != At::Guard) return fail(Errc::Truncated, "JSON");
    if (!raw_.empty()) return malformed("a byte order mark");
    return {};
}

// What stands between names and values mostly.
bool JsonMasker::passed_over(char c) {
    if (c == ':' && at_ == At::Colon) {
        at_ = At::Value;
        return true;
    }
    if (c == ',' && at_ == At::AfterValue) {
        ++frames_.back().index;
        at_ = frames_.back().object ? At::Name : At::Value;
        return true;
    }
    return c == ' ' && at_ != At::Guard;
}

Result<> JsonMasker::structural(char c, std::string& out) {
    if (is_space(c)) {
        if (at_ == At::Guard && c == '\n') at_ = At::Start;
        out += c;
        return {};
    }
    switch (at_) {
    case At::Start:
        if (c == kRecordSeparator) {
            out += c;
            return {};
        }
        if (!begun_ && raw_.size() < kByteOrderMark.size() && c == kByteOrderMark[raw_.size()]) {
            raw_ += c;
            if (raw_ == kByteOrderMark) {
                out += raw_;
                raw_.clear();
                begun_ = true;
            }
            return {};
        }
        if (!raw_.empty()) return malformed("a byte order mark");
        if (!begun_ && c == ')') {
            at_ = At::Guard;
            begun_ = true;
            out += c;
            return {};
        }
        return begin_value(c, out);
    case At::Guard:
        if (c != ']' && c != '}' && c != '\'' && c != ',') return malformed("what is before it");
        out += c;
        return {};
    case At::FirstValue:
        if (c == ']') return close(c, out);
        return begin_value(c, out);
    case At::Value: return begin_value(c, out);
    case At::FirstName:
        if (c == '}') return close(c, out);
        [[fallthrough]];
    case At::Name:
        if (c != '"') return malformed("a name was expected");
        at_ = At::InName;
        raw_ = '"';
        text_.clear();
        return {};
    case At::Colon: return malformed("a colon was expected");
    case At::AfterValue:
        if (c == ']' || c == '}') return close(c, out);
        return malformed("a comma was expected");
    case At::InName:
    case At::InString:
    case At::InNumber:
    case At::InWord: break;
    }
    return malformed("no such place");
}

// Where the value at hand stands, and what masks it for that.
void JsonMasker::match_value() {
    const auto& paths = masks_.json();
    value_.resize(paths.size());
    mask_ = frames_.empty() ? std::nullopt : frames_.back().whole;
    const std::size_t row = frames_.empty() ? 0 : (frames_.size() - 1) * paths.size();
    for (std::size_t i = 0; i != paths.size(); ++i) {
        const policy::JsonPath& path = paths[i].path;
        if (frames_.empty())
            value_[i] = policy::JsonPath::kRoot;
        else if (frames_.back().object)
            value_[i] = path.member(states_[row + i], name_);
        else
            value_[i] = path.element(states_[row + i], frames_.back().index);
        if (path.complete(value_[i]))
            mask_ = mask_ ? detect::stronger(*mask_, paths[i].with) : paths[i].with;
    }
}

Result<> JsonMasker::begin_value(char c, std::string& out) {
    begun_ = true;
    match_value();
    if (frames_.empty() || !frames_.back().object) name_.clear();
    if (c == '{' || c == '[') return open(c, out);
    raw_ = c;
    if (c == '"') {
        at_ = At::InString;
        text_.clear();
        streaming_ = false;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        at_ = At::InNumber;
    } else if (is_letter(c)) {
        at_ = At::InWord;
    } else {
        return malformed("a value was expected");
    }
    return {};
}

Result<> JsonMasker::open(char c, std::string& out) {
    if (frames_.size() == kMaxDepth) return fail(Errc::TooLarge, "the depth of JSON");
    frames_.push_back({c == '{', 0, mask_});
    states_.insert(states_.end(), value_.begin(), value_.end());
    at_ = c == '{' ? At::FirstName : At::FirstValue;
    out += c;
    return {};
}

Result<> JsonMasker::close(char c, std::string& out) {
    if (frames_.empty() || frames_.back().object != (c == '}'))
        return malformed("a bracket that closes nothing");
    frames_.pop_back();
    states_.resize(frames_.size() * masks_.json().size());
    out += c;
    ended();
    return {};
}

Result<std::size_t> JsonMasker::string_part(std::string_view in, std::string& out) {
    // Nearly all are here whole and stand for themselves: nothing has to be put together.
    if (raw_.size() == 1) {
        const std::size_t size = plain_run(in);
        if (size < in.size() && in[size] == '"' && size <= std::min(kMaxName, kWhole)) {
            whole_string(in.substr(0, size), out);
            return size + 1;
        }
    }
    bool closed = false;
    const auto used = unescaper_.read(in, text_, closed);
    if (!used) return used;
    if (!streaming_) raw_ += in.substr(0, *used);
    const bool name = at_ == At::InName;
    if (name && text_.size() > kMaxName) return fail(Errc::TooLarge, "a name in JSON");
    if (!name && (streaming_ || text_.size() > kWhole)) stream_string(out);
    if (!closed) return used;
    if (name)
        name_done(out);
    else
        string_done(out);
    return used;
}

void JsonMasker::whole_string(std::string_view text, std::string& out) {
    const bool name = at_ == At::InName;
    if (name) name_ = text;
    if (!name && mask_) {
        text_ = text;
        return string_done(out);
    }
    const auto instead = masks_.empty()
                             ? std::nullopt
                             : masks_.replace(text, name ? std::string_view{} : name_, masked_);
    out += '"';
    if (instead)
        append_json_escaped(out, *instead);
    else
        out += text;
    out += '"';
    raw_.clear();
    if (name)
        at_ = At::Colon;
    else
        ended();
}

// A long string: masked as a whole it is replaced once, else it passes through the detectors.
void JsonMasker::stream_string(std::string& out) {
    if (!streaming_) {
        streaming_ = true;
        raw_.clear();
        out += '"';
        if (mask_) {
            const auto instead = masks_.masker().value(text_, *mask_);
            append_json_escaped(out, instead.value_or(""));
            ++masked_;
        }
    }
    if (!mask_) {
        std::string passed;
        stream_.feed(text_, passed);
        append_json_escaped(out, passed);
    }
    text_.clear();
}

void JsonMasker::string_done(std::string& out) {
    if (streaming_) {
        if (!mask_) {
            std::string passed;
            stream_.finish(passed);
            append_json_escaped(out, passed);
        }
        out += '"';
        streaming_ = false;
    } else {
        std::optional<std::string> instead;
        if (mask_) {
            ++masked_;
            instead = masks_.masker().value(text_, *mask_);
        } else if (!masks_.empty()) {
            instead = masks_.replace(text_, name_, masked_);
        }
        if (mask_ && !instead) {
            out += "null";
        } else if (instead) {
            out += '"';
            append_json_escaped(out, *instead);
            out += '"';
        } else {
            out += raw_;
        }
    }
    raw_.clear();
    ended();
}

void JsonMasker::name_done(std::string& out) {
    name_ = text_;
    const auto instead =
        masks_.empty() ? std::nullopt : masks_.replace(text_, std::string_view{}, masked_);
    if (instead) {
        out += '"';
        append_json_escaped(out, *instead);
        out += '"';
    } else {
        out += raw_;
    }
    raw_.clear();
    at_ = At::Colon;
}

Result<std::size_t> JsonMasker::plain_part(std::string_view in, std::string& out) {
    const bool number = at_ == At::InNumber;
    std::size_t used = 0;
    while (used != in.size() && (number ? is_number_part(in[used]) : is_letter(in[used]))) ++used;
    raw_ += in.substr(0, used);
    if (raw_.size() > kMaxNumber) return fail(Errc::TooLarge, "a number in JSON");
    if (used == in.size()) return used;
    if (auto done = number ? number_done(out) : word_done(out); !done) return fail(done.error());
    return used;
}

Result<> JsonMasker::number_done(std::string& out) {
    if (!is_number(raw_)) return malformed("a number");
    std::optional<With> with = mask_;
    if (!with && !masks_.empty()) with = masks_.found(raw_, name_);
    out += with ? number_for(*with) : raw_;
    masked_ += with ? 1 : 0;
    raw_.clear();
    ended();
    return {};
}

// A number stays one, unless nothing at all is to be shown of it.
std::string JsonMasker::number_for(With with) const {
    if (with == With::Null) return "null";
    if (with != With::Pseudonym) return "0";
    std::string instead = masks_.masker().value(raw_, with).value_or("0");
    const std::size_t first = !instead.empty() && instead.front() == '-' ? 1 : 0;
    if (instead.size() > first + 1 && instead[first] == '0') instead[first] = '1';
    return is_number(instead) ? instead : "0";
}

Result<> JsonMasker::word_done(std::string& out) {
    if (raw_ != "true" && raw_ != "false" && raw_ != "null") return malformed("a word");
    if (mask_ && raw_ != "null") {
        ++masked_;
        out += *mask_ == With::Null ? "null" : "false";
    } else {
        out += raw_;
    }
    raw_.clear();
    ended();
    return {};
}

}  // namespace chaperone::session
