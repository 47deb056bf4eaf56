// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/context.h"

#include <algorithm>
#include <array>

namespace chaperone::detect {
namespace {

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
    return is_upper(c) || (c >= 'a' && c <= 'z');
}
char lower(char c) {
    return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t length) {
    // The letter of an escape ("\\nmobile") belongs to no word.
    const bool escaped = begin >= 2 && text[begin - 2] == '\\';
    if (begin != 0 && !escaped && is_letter(text[begin - 1]) &&
        !(is_upper(text[begin]) && !is_upper(text[begin - 1])))
        return false;
    const std::size_t end = begin + length;
    return length > 3 || end == text.size() || !is_letter(text[end]) ||
           (is_upper(text[end]) && !is_upper(text[end - 1]));
}

bool has_word(std::string_view word, std::string_view text, std::string_view lowered) {
    for (auto at = lowered.find(word); at != std::string_view::npos;
         at = lowered.find(word, at + 1))
        if (stands_alone(text, at, word.size())) return true;
    return false;
}

}  // namespace

bool context_in(std::string_view words, std::string_view text) noexcept {
    std::array<char, 2 * kContextReach> room{};
    if (text.size() > room.size()) text = text.substr(text.size() - room.size());
    std::ranges::transform(text, room.begin(), lower);
    const std::string_view lowered{room.data(), text.size()};
    while (!words.empty() && !text.empty()) {
        const auto bar = std::min(words.find('|'), words.size());
        if (has_word(words.substr(0, bar), text, lowered)) return true;
        words.remove_prefix(std::min(bar + 1, words.size()));
    }
    return false;
}

bool context_before(std::string_view words, std::string_view text, std::size_t begin) noexcept {
    const std::size_t from = begin - std::min(begin, kContextReach);
    return context_in(words, text.substr(from, begin - from));
}

}  // namespace chaperone::detect
