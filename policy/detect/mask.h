// SPDX-License-Identifier: Apache-2.0
// Makes the values that stand in for masked ones. Deterministic: the same key, scope, kind and
// value give the same result, so joins and GROUP BY over masked values still work within one scope.
#pragma once

#include "policy/detect/detector.h"
#include "policy/detect/kind.h"
#include "userspace/base/sha256.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace chaperone::detect {

// From the weakest to the strongest, by what an observer still learns: a part of the value; that
// two values are equal, and their shape; that two are equal; that there is one; nothing.
enum class With : std::uint8_t { Partial, Pseudonym, Hash, Redact, Null };

constexpr With stronger(With a, With b) noexcept {
    return a < b ? b : a;
}
std::string_view name_of(With with) noexcept;  // "redact"
std::optional<With> with_named(std::string_view name) noexcept;

class Masker {
public:
    static constexpr std::size_t kUnlimited = static_cast<std::size_t>(-1);

    // `installation_key` is the installation's own; `scope` separates what must not be joined (a
    // resource, a tenant).
    Masker(Bytes installation_key, std::string_view scope);

    // The stand-in for a whole text value; nothing for With::Null. `kind` is what it is known to
    // be, kNoKind for a column masked by name. At most `max_length` bytes, cut at a UTF-8 border
    // (varchar(n), char(n)).
    //   redact     <EMAIL_ADDRESS>, [REDACTED] without a kind
    //   partial    ***********1111, j***@example.com; at most a quarter of a value, short ones none
    //   hash       16 hex digits of HMAC-SHA-256
    //   pseudonym  same shape: a card number of the same length that passes Luhn, an SSN from the
    //              unused 9xx, an IBAN with right check digits, an e-mail address at
    //              example.invalid, an address from 240.0.0.0/4 or 2001:db8::/32, a valid date,
    //              else letters for letters and digits for digits
    std::optional<std::string> value(std::string_view text, With with, KindId kind = kNoKind,
                                     std::size_t max_length = kUnlimited) const;

    // `text` with each match replaced (With::Null removes it). Matches as find() gives them.
    std::string spans(std::string_view text, std::span<const Match> matches, With with,
                      const Detector& detector, std::size_t max_length = kUnlimited) const;

private:
    std::string partial(std::string_view text, KindId kind) const;
    std::string pseudonym(std::string_view text, KindId kind) const;

    Digest key_;
};

}  // namespace chaperone::detect
