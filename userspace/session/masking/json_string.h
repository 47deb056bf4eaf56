// SPDX-License-Identifier: Apache-2.0
// Strings of JSON (RFC 8259 section 7) in pieces: escapes to UTF-8 and back. A lone surrogate is
// kept: three bytes in between, an escape again on its way out.
#pragma once

#include "userspace/base/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace chaperone::session {

class JsonUnescaper {
public:
    // Consumes up to and with the closing quote, or all; appends what it stands for. Malformed: an
    // unknown escape or a control character. `closed` tells whether the quote came.
    Result<std::size_t> read(std::string_view in, std::string& text, bool& closed);
    void reset() noexcept { *this = {}; }

private:
    enum class In : std::uint8_t { Plain, Escape, Hex };

    Result<> escape(char c, std::string& text);
    Result<> hex(char c, std::string& text);
    void surrogate_alone(std::string& text);

    In in_ = In::Plain;
    unsigned digits_ = 0;
    std::uint32_t unit_ = 0;
    std::uint32_t high_ = 0;  // the first half of a pair
};

// Appends `text` as it stands between quotes.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace chaperone::session
