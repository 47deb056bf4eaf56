// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/token_message.h"

#include "userspace/base/encoding.h"

#include <charconv>

namespace chaperone::authority {
namespace {

constexpr std::size_t kDigest = 32;
constexpr std::size_t kMaxWords = 4096;

}  // namespace

Buffer write_token_opening(const TokenUri& uri) {
    Buffer out;
    const auto add = [&](std::string_view field) {
        append(out, field);
        out.push_back(std::byte{0});
    };
    for (const std::string* field :
         {&uri.token, &uri.manufacturer, &uri.model, &uri.serial, &uri.object})
        add(*field);
    add(to_hex(as_bytes(uri.id)));
    add(uri.slot ? std::to_string(*uri.slot) : std::string{});
    add(uri.module);
    add(uri.pin_source);
    return out;
}

Result<TokenUri> read_token_opening(Bytes message) {
    std::string_view text = as_text(message);
    bool cut = false;
    const auto next = [&]() -> std::string {
        const std::size_t end = text.find('\0');
        cut = cut || end == text.npos;
        if (cut) return {};
        std::string field{text.substr(0, end)};
        text.remove_prefix(end + 1);
        return field;
    };
    TokenUri uri;
    for (std::string* field : {&uri.token, &uri.manufacturer, &uri.model, &uri.serial, &uri.object})
        *field = next();
    const auto id = from_hex(next());
    const std::string slot = next();
    uri.module = next();
    uri.pin_source = next();
    if (cut || !text.empty() || !id) return fail(Errc::Malformed, "the opening of a token");
    uri.id = as_text(*id);
    unsigned long number = 0;
    if (slot.empty()) return uri;
    const auto read = std::from_chars(slot.data(), slot.data() + slot.size(), number);
    if (read.ec != std::errc{} || read.ptr != slot.data() + slot.size())
        return fail(Errc::Malformed, "the opening of a token");
    uri.slot = number;
    return uri;
}

Buffer write_token_question(TokenScheme scheme, Bytes sha256) {
    Buffer out{static_cast<std::byte>(scheme)};
    append(out, sha256);
    return out;
}

Result<TokenQuestion> read_token_question(Bytes message) {
    if (message.size() != 1 + kDigest) return fail(Errc::Malformed, "a question to a token");
    const auto scheme = static_cast<TokenScheme>(message.front());
    if (scheme != TokenScheme::Ecdsa && scheme != TokenScheme::Rsa)
        return fail(Errc::Malformed, "a question to a token");
    return TokenQuestion{scheme, message.subspan(1)};
}

Buffer write_token_answer(const Result<Buffer>& answer) {
    Buffer out{answer ? std::byte{0} : static_cast<std::byte>(answer.error().code)};
    if (answer)
        append(out, *answer);
    else
        append(out, std::string_view{answer.error().detail}.substr(0, kMaxWords));
    return out;
}

Result<Bytes> read_token_answer(Bytes message) {
    if (message.empty()) return fail(Errc::Malformed, "an answer of a token");
    const auto code = std::to_integer<int>(message.front());
    message = message.subspan(1);
    if (code == 0) return message;
    if (code > static_cast<int>(Errc::System) || message.size() > kMaxWords)
        return fail(Errc::Malformed, "an answer of a token");
    return fail(static_cast<Errc>(code), std::string{as_text(message)});
}

}  // namespace chaperone::authority
