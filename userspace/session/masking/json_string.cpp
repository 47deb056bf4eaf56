// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/json_string.h"

namespace chaperone::session {
namespace {

void append_utf8(std::string& text, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xc0 | code >> 6);
        put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    }
}

void append_unit(std::string& out, std::uint32_t unit) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += kHex[unit >> shift & 0xf];
}

}  // namespace

void JsonUnescaper::surrogate_alone(std::string& text) {
    if (high_ != 0) append_utf8(text, high_);
    high_ = 0;
}

Result<> JsonUnescaper::escape(char c, std::string& text) {
    in_ = In::Plain;
    if (c == 'u') {
        in_ = In::Hex;
        digits_ = 0;
        unit_ = 0;
        return {};
    }
    surrogate_alone(text);
    switch (c) {
    case '"':
    case '\\':
    case '/': text += c; return {};
    case 'b': text += '\b'; return {};
    case 'f': text += '\f'; return {};
    case 'n': text += '\n'; return {};
    case 'r': text += '\r'; return {};
    case 't': text += '\t'; return {};
    default: return fail(Errc::Malformed, "an escape in JSON");
    }
}

Result<> JsonUnescaper::hex(char c, std::string& text) {
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9')
        digit = static_cast<std::uint32_t>(c - '0');
    else if (c >= 'a' && c <= 'f')
        digit = static_cast<std::uint32_t>(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F')
        digit = static_cast<std::uint32_t>(c - 'A' + 10);
    else
        return fail(Errc::Malformed, "an escape in JSON");
    unit_ = unit_ << 4 | digit;
    if (++digits_ != 4) return {};
    in_ = In::Plain;
    const bool low = unit_ >= 0xdc00 && unit_ <= 0xdfff;
    if (high_ != 0 && low) {
        append_utf8(text, 0x10000 + ((high_ - 0xd800) << 10) + (unit_ - 0xdc00));
        high_ = 0;
        return {};
    }
    surrogate_alone(text);
    if (unit_ >= 0xd800 && unit_ <= 0xdbff)
        high_ = unit_;
    else
        append_utf8(text, unit_);
    return {};
}

Result<std::size_t> JsonUnescaper::read(std::string_view in, std::string& text, bool& closed) {
    closed = false;
    std::size_t at = 0;
    while (at != in.size()) {
        if (in_ == In::Plain && high_ == 0) {  // the run up to what needs a look
            const std::size_t run = json_plain_run(in.substr(at));
            text += in.substr(at, run);
            at += run;
            if (at == in.size()) break;
        }
        const char c = in[at++];
        if (in_ == In::Escape) {
            if (auto done = escape(c, text); !done) return fail(done.error());
        } else if (in_ == In::Hex) {
            if (auto done = hex(c, text); !done) return fail(done.error());
        } else if (c == '\\') {
            in_ = In::Escape;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            return fail(Errc::Malformed, "a control character in a string of JSON");
        } else {
            surrogate_alone(text);
            closed = c == '"';
            if (closed) return at;
            text += c;
        }
    }
    return at;
}

void append_json_escaped(std::string& out, std::string_view text) {
    std::size_t run = 0;  // of what stands for itself
    for (std::size_t i = 0; i != text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        const bool lone_surrogate =
            c == 0xed && text.size() - i >= 3 && static_cast<unsigned char>(text[i + 1]) >= 0xa0;
        if (c != '"' && c != '\\' && c >= 0x20 && !lone_surrogate) continue;
        out += text.substr(run, i - run);
        if (lone_surrogate) {
            append_unit(out, 0xd000U | (static_cast<unsigned char>(text[i + 1]) & 0x3fU) << 6 |
                                 (static_cast<unsigned char>(text[i + 2]) & 0x3fU));
            i += 2;
        } else if (c < 0x20) {
            append_unit(out, c);
        } else {
            out += '\\';
            out += text[i];
        }
        run = i + 1;
    }
    out += text.substr(run);
}

}  // namespace chaperone::session
