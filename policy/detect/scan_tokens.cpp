// SPDX-License-Identifier: Apache-2.0
// Tokens and keys, which begin in known ways or are of known length.
#include "policy/detect/scanner.h"

#include <algorithm>

namespace chaperone::detect {
namespace {

constexpr std::size_t kMaxJwtPart = 8192;
constexpr unsigned kSure = 95;

}  // namespace

// The words of the run around `i` that begin before it: is one of them a token's beginning?
Scanner::Position Scanner::tokens(Position i, Position reach) {
    const Position low = std::max(tried_, run_begin(i, kUrl64 | kDot, reach));
    tried_ = std::max(tried_, i + 1);
    for (Position begin = low; begin <= i; ++begin) {
        if (!is(text_[begin], kAlnum) || !begins(begin)) continue;
        Position found = prefixed(begin);
        if (found == 0) found = jwt(begin);
        if (found == 0) continue;
        tried_ = std::max(tried_, found);
        return found;
    }
    return 0;
}

Scanner::Position Scanner::prefixed(Position begin) {
    for (const PrefixRule* rule : plan_.prefixes[static_cast<unsigned char>(text_[begin])]) {
        if (!text_.substr(begin).starts_with(rule->prefix)) continue;
        const Position body = begin + rule->prefix.size();
        Position end = run_end(body, rule->classes, rule->most + std::size_t{1});
        while (end > body && (text_[end - 1] == '.' || text_[end - 1] == '-')) --end;
        if (end - body < rule->least || end - body > rule->most || !ends(end)) continue;
        if (const Position found = add(rule->kind, begin, end, kSure)) return found;
    }
    return 0;
}

// RFC 7519; three parts, or five when encrypted (RFC 7516). Both begin with '{"' in base64url.
Scanner::Position Scanner::jwt(Position begin) {
    if (!plan_.wants(Kind::Jwt) || !text_.substr(begin).starts_with("eyJ")) return 0;
    Position end = run_end(begin, kUrl64, kMaxJwtPart);
    if (end - begin < 10) return 0;
    int parts = 1;
    for (; parts != 5 && at(end) == '.' && (parts != 1 || is(at(end + 1), kUrl64)); ++parts)
        end = run_end(end + 1, kUrl64, kMaxJwtPart);
    if (parts < 3) return 0;
    return add(Kind::Jwt, begin, end, kSure);
}

// Three characters, "8Q~" and 31 to 34 more; called at the digit.
Scanner::Position Scanner::azure_secret(Position digit) {
    if (!plan_.wants(Kind::AzureClientSecret) || digit < 3 || text_[digit] != '8' ||
        at(digit + 1) != 'Q' || at(digit + 2) != '~')
        return 0;
    const Position begin = digit - 3;
    if (run_begin(digit, kUrl64 | kDot, 3) != begin || !begins(begin)) return 0;
    Position end = digit + 3;
    while (end < text_.size() && end - begin < 41 &&
           (is(text_[end], kUrl64 | kDot) || text_[end] == '~'))
        ++end;
    const std::size_t length = end - begin;
    return length >= 37 && length <= 40 ? add(Kind::AzureClientSecret, begin, end, kSure) : 0;
}

// Keys without any mark but their length: AWS's of 40 characters (by context), Azure's of 88.
Scanner::Position Scanner::base64_secret(Position begin, Position end) {
    if (!plan_.wants(Kind::AwsSecretKey) && !plan_.wants(Kind::AzureStorageKey)) return 0;
    constexpr std::size_t kAws = 40, kAzure = 86;
    begin = run_begin(begin, kBase64, kAzure);
    if (begin != 0 && text_[begin - 1] == '\\') ++begin;  // the letter of an escape
    end = run_end(end, kBase64, kAzure + 1);
    const std::size_t length = end - begin;
    if (length == kAzure && plan_.wants(Kind::AzureStorageKey) &&
        text_.substr(end).starts_with("=="))
        return add(Kind::AzureStorageKey, begin, end + 2, 90);
    if (length != kAws || !plan_.wants(Kind::AwsSecretKey) || at(end) == '=') return 0;
    unsigned seen = 0;
    for (const char c : text_.substr(begin, length))
        seen |= kClasses[static_cast<unsigned char>(c)];
    if ((seen & kAlnum) != kAlnum) return 0;
    return add_by_context(Kind::AwsSecretKey, begin, end, 20, 90);
}

}  // namespace chaperone::detect
