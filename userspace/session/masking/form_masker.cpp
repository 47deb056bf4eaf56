// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/form_masker.h"

#include <optional>

namespace chaperone::session {

using detect::With;

namespace {

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// A percent sign that begins no escape stands for itself, as every parser of forms has it.
std::string decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] == '+') {
            out += ' ';
        } else if (text[i] == '%' && text.size() - i > 2 && digit(text[i + 1]) >= 0 &&
                   digit(text[i + 2]) >= 0) {
            out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

void append_encoded(std::string& out, std::string_view text) {
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '*' || c == '-' || c == '.' || c == '_';
        const auto byte = static_cast<unsigned char>(c);
        if (plain)
            out += c;
        else if (c == ' ')
            out += '+';
        else
            (out += '%') += {kHex[byte >> 4], kHex[byte & 0xf]};
    }
}

}  // namespace

Result<> FormMasker::feed(std::string_view piece, std::string& out) {
    while (!piece.empty()) {
        const auto end = piece.find('&');
        pair_ += piece.substr(0, end);
        if (pair_.size() > kMaxPair) return fail(Errc::TooLarge, "a value of a form");
        if (end == std::string_view::npos) return {};
        pair_done(out);
        out += '&';
        piece.remove_prefix(end + 1);
    }
    return {};
}

Result<> FormMasker::finish(std::string& out) {
    pair_done(out);
    return {};
}

void FormMasker::pair_done(std::string& out) {
    if (pair_.empty()) return;
    const auto equals = pair_.find('=');
    const std::string name = decoded(std::string_view{pair_}.substr(0, equals));
    const bool has_value = equals != std::string::npos;
    const std::string value = has_value ? decoded(std::string_view{pair_}.substr(equals + 1)) : "";
    std::optional<With> mask;
    for (const policy::JsonMask& meant : masks_.json())
        if (meant.path.complete(meant.path.member(policy::JsonPath::kRoot, name)))
            mask = mask ? detect::stronger(*mask, meant.with) : meant.with;
    std::optional<std::string> new_name, new_value;
    if (!masks_.empty()) new_name = masks_.replace(name, {}, masked_);
    if (mask && has_value) {
        ++masked_;
        new_value = masks_.masker().value(value, *mask).value_or("");
    } else if (has_value && !masks_.empty()) {
        new_value = masks_.replace(value, name, masked_);
    }
    if (!new_name && !new_value) {
        out += pair_;
    } else {
        append_encoded(out, new_name ? *new_name : name);
        if (has_value) out += '=';
        if (has_value) append_encoded(out, new_value ? *new_value : value);
    }
    pair_.clear();
}

}  // namespace chaperone::session
