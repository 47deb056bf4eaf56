// SPDX-License-Identifier: Apache-2.0
// Masks application/x-www-form-urlencoded text (https://url.spec.whatwg.org/#urlencoded-parsing), a
// query string included, while it streams by: a value whose name a JSON path means as a member of
// the root (`$.email`, `$..email`), and whatever the detectors find in the others and in names.
#pragma once

#include "userspace/session/masking/text_stream.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace chaperone::session {

class FormMasker {
public:
    static constexpr std::size_t kMaxPair = std::size_t{1} << 20;  // bytes of name=value

    explicit FormMasker(const TextMasks& masks) : masks_(masks) {}

    Result<> feed(std::string_view piece, std::string& out);  // TooLarge: a pair
    Result<> finish(std::string& out);
    std::uint64_t masked() const noexcept { return masked_; }

private:
    void pair_done(std::string& out);

    const TextMasks& masks_;
    std::string pair_;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session
