// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/json_masker.h"

#include <algorithm>
#include <cstdint>

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

std::string quoted(std::string_view text) {
    std::string out{'"'};
    append_json_escaped(out, text);
    out += '"';
    return out;
}

std::unexpected<Error> malformed(std::string_view what) {
    return fail(Errc::Malformed, "JSON: " + std::string{what});
}

}  // namespace

JsonMasker::JsonMasker(const TextMasks& masks)
    : masks_(masks), stream_(masks), place_(masks.json()), detects_(!masks.empty()) {}

void JsonMasker::Reading::pass() {
    out.append(run, static_cast<std::size_t>(at - run));
    run = at;
}

Result<> JsonMasker::feed(std::string_view piece, std::string& out) {
    Reading in{piece.data(), piece.data() + piece.size(), piece.data(), out};
    while (in.at != in.end) {
        Result<> done;
        switch (at_) {
        case At::InName:
        case At::InString: done = more_string(in); break;
        case At::InNumber:
        case At::InWord: done = plain(in); break;
        default: done = structural(in);
        }
        if (!done) return done;
    }
    in.pass();
    if (!name_.empty() && name_.data() != kept_name_.data()) {
        kept_name_ = name_;
        name_ = kept_name_;
    }
    return {};
}

Result<> JsonMasker::finish(std::string& out) {
    if (at_ == At::InNumber || at_ == At::InWord) {
        if (auto right = check_plain(raw_); !right) return right;
        const auto instead = at_ == At::InNumber ? for_number(raw_) : for_word(raw_);
        out += instead ? *instead : raw_;
        raw_.clear();
        at_ = place_.outermost() ? At::Start : At::AfterValue;
    }
    if (at_ != At::Start && at_ != At::Guard) return fail(Errc::Truncated, "JSON");
    if (!raw_.empty()) return malformed("a byte order mark");
    return {};
}

Result<> JsonMasker::structural(Reading& in) {
    const char c = *in.at;
    if (c <= ' ' && is_space(c)) {
        if (at_ == At::Guard && c == '\n') at_ = At::Start;
        ++in.at;
        return {};
    }
    switch (at_) {
    case At::Start: return start(in);
    case At::Guard:
        if (c != ']' && c != '}' && c != '\'' && c != ',') return malformed("what is before it");
        break;
    case At::FirstValue:
        if (c == ']') return close(in);
        return begin_value(in);
    case At::Value: return begin_value(in);
    case At::FirstName:
        if (c == '}') return close(in);
        [[fallthrough]];
    case At::Name:
        if (c != '"') return malformed("a name was expected");
        begin_string(in, At::InName);
        return {};
    case At::Colon:
        if (c != ':') return malformed("a colon was expected");
        at_ = At::Value;
        break;
    case At::AfterValue:
        if (c == ']' || c == '}') return close(in);
        if (c != ',') return malformed("a comma was expected");
        place_.comma();
        at_ = place_.in_object() ? At::Name : At::Value;
        break;
    case At::InName:
    case At::InString:
    case At::InNumber:
    case At::InWord: return malformed("no such place");
    }
    ++in.at;
    return {};
}

Result<> JsonMasker::start(Reading& in) {
    const char c = *in.at;
    if (c == kRecordSeparator) {
        ++in.at;
        return {};
    }
    if (!begun_ && raw_.size() < kByteOrderMark.size() && c == kByteOrderMark[raw_.size()]) {
        raw_ += c;
        if (raw_ == kByteOrderMark) {
            raw_.clear();
            begun_ = true;
        }
        ++in.at;
        return {};
    }
    if (!raw_.empty()) return malformed("a byte order mark");
    if (!begun_ && c == ')') {
        at_ = At::Guard;
        begun_ = true;
        ++in.at;
        return {};
    }
    return begin_value(in);
}

Result<> JsonMasker::begin_value(Reading& in) {
    const char c = *in.at;
    begun_ = true;
    if (!place_.in_object()) name_ = {};
    place_.begin(name_);
    if (c == '"') {
        begin_string(in, At::InString);
        return {};
    }
    if (c == '{' || c == '[') return open(in);
    if (c == '-' || (c >= '0' && c <= '9'))
        at_ = At::InNumber;
    else if (is_letter(c))
        at_ = At::InWord;
    else
        return malformed("a value was expected");
    return plain(in);
}

Result<> JsonMasker::open(Reading& in) {
    if (place_.depth() == kMaxDepth) return fail(Errc::TooLarge, "the depth of JSON");
    const bool object = *in.at == '{';
    place_.open(object);
    at_ = object ? At::FirstName : At::FirstValue;
    ++in.at;
    return {};
}

// What mostly follows is passed over at once, here and below; structural() reads all that may.
inline void JsonMasker::name_ended(Reading& in) noexcept {
    at_ = At::Colon;
    if (in.end - in.at < 2 || in.at[0] != ':') return;
    at_ = At::Value;
    in.at += in.at[1] == ' ' ? 2 : 1;
}

inline void JsonMasker::value_ended(Reading& in) noexcept {
    at_ = place_.outermost() ? At::Start : At::AfterValue;
    if (at_ == At::Start || in.end - in.at < 2 || in.at[0] != ',') return;
    place_.comma();
    at_ = place_.in_object() ? At::Name : At::Value;
    in.at += in.at[1] == ' ' ? 2 : 1;
}

Result<> JsonMasker::close(Reading& in) {
    if (!place_.close(*in.at == '}')) return malformed("a bracket that closes nothing");
    ++in.at;
    value_ended(in);
    return {};
}

// Nearly all are here whole and stand for themselves: nothing has to be put together.
void JsonMasker::begin_string(Reading& in, At as) {
    const std::string_view rest = in.rest().substr(1);
    const std::size_t size = json_plain_run(rest);
    if (size == rest.size() || rest[size] != '"' || size > std::min(kMaxName, kWhole)) {
        in.pass();
        in.skip(1);
        raw_ = '"';
        text_.clear();
        at_ = as;
        return;
    }
    const std::string_view text = rest.substr(0, size);
    if (as == At::InName) name_ = text;
    if (!detects_ && (as == At::InName || !place_.mask())) {
        in.at += size + 2;
    } else if (const auto instead = as == At::InName ? for_name(text) : for_string(text)) {
        in.pass();
        in.out += *instead;
        in.skip(size + 2);
    } else {
        in.at += size + 2;
    }
    if (as == At::InName)
        name_ended(in);
    else
        value_ended(in);
}

Result<> JsonMasker::more_string(Reading& in) {
    bool closed = false;
    const auto used = unescaper_.read(in.rest(), text_, closed);
    if (!used) return fail(used.error());
    if (!streaming_) raw_ += in.rest().substr(0, *used);
    in.skip(*used);
    const bool name = at_ == At::InName;
    if (name && text_.size() > kMaxName) return fail(Errc::TooLarge, "a name in JSON");
    if (!name && (streaming_ || text_.size() > kWhole)) stream_string(in.out);
    if (!closed) return {};
    if (streaming_) {
        end_stream(in.out);
    } else {
        const auto instead = name ? for_name(text_) : for_string(text_);
        in.out += instead ? *instead : raw_;
    }
    raw_.clear();
    if (name) {
        kept_name_ = text_;
        name_ = kept_name_;
        name_ended(in);
    } else {
        value_ended(in);
    }
    return {};
}

// A long string: masked as a whole it is replaced once, else it passes through the detectors.
void JsonMasker::stream_string(std::string& out) {
    if (!streaming_) {
        streaming_ = true;
        raw_.clear();
        out += '"';
        if (const auto& mask = place_.mask()) {
            const auto instead = masks_.masker().value(text_, *mask);
            append_json_escaped(out, instead.value_or(""));
            ++masked_;
        }
    }
    if (!place_.mask()) {
        std::string passed;
        stream_.feed(text_, passed);
        append_json_escaped(out, passed);
    }
    text_.clear();
}

void JsonMasker::end_stream(std::string& out) {
    if (!place_.mask()) {
        std::string passed;
        stream_.finish(passed);
        append_json_escaped(out, passed);
    }
    out += '"';
    streaming_ = false;
}

std::optional<std::string> JsonMasker::for_name(std::string_view text) {
    if (!detects_) return std::nullopt;
    const auto instead = masks_.replace(text, {}, masked_);
    return instead ? std::optional{quoted(*instead)} : std::nullopt;
}

std::optional<std::string> JsonMasker::for_string(std::string_view text) {
    if (const auto& mask = place_.mask()) {
        ++masked_;
        const auto instead = masks_.masker().value(text, *mask);
        return instead ? quoted(*instead) : "null";
    }
    if (!detects_) return std::nullopt;
    const auto instead = masks_.replace(text, name_, masked_);
    return instead ? std::optional{quoted(*instead)} : std::nullopt;
}

// A number or a word: from its beginning, or from where the last piece ended.
Result<> JsonMasker::plain(Reading& in) {
    const bool number = at_ == At::InNumber;
    const std::string_view rest = in.rest();
    std::size_t used = 0;
    while (used != rest.size() && (number ? is_number_part(rest[used]) : is_letter(rest[used])))
        ++used;
    if (raw_.size() + used > kMaxNumber) return fail(Errc::TooLarge, "a number in JSON");
    const bool whole = raw_.empty() && used != rest.size();
    if (!whole) {
        in.pass();
        raw_ += rest.substr(0, used);
        in.skip(used);
        if (used == rest.size()) return {};
    }
    const std::string_view text = whole ? rest.substr(0, used) : raw_;
    if (auto right = check_plain(text); !right) return right;
    if (const auto instead = number ? for_number(text) : for_word(text)) {
        in.pass();
        in.out += *instead;
        in.skip(whole ? used : 0);
    } else if (whole) {
        in.at += used;
    } else {
        in.out += raw_;
    }
    raw_.clear();
    value_ended(in);
    return {};
}

Result<> JsonMasker::check_plain(std::string_view text) const {
    if (at_ == At::InNumber) {
        if (!is_number(text)) return malformed("a number");
    } else if (text != "true" && text != "false" && text != "null") {
        return malformed("a word");
    }
    return {};
}

// A number stays one, unless nothing at all is to be shown of it.
std::optional<std::string> JsonMasker::for_number(std::string_view text) {
    std::optional<With> with = place_.mask();
    if (!with && detects_) with = masks_.found(text, name_);
    if (!with) return std::nullopt;
    ++masked_;
    if (*with == With::Null) return "null";
    if (*with != With::Pseudonym) return "0";
    std::string instead = masks_.masker().value(text, *with).value_or("0");
    const std::size_t first = !instead.empty() && instead.front() == '-' ? 1 : 0;
    if (instead.size() > first + 1 && instead[first] == '0') instead[first] = '1';
    return is_number(instead) ? instead : "0";
}

std::optional<std::string> JsonMasker::for_word(std::string_view text) {
    if (!place_.mask() || text == "null") return std::nullopt;
    ++masked_;
    return place_.mask() == With::Null ? "null" : "false";
}

}  // namespace chaperone::session
