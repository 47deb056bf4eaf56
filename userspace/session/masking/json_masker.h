// SPDX-License-Identifier: Apache-2.0
// Masks a JSON text while it streams by (RFC 8259; also several in a row, as in JSON Lines and RFC
// 7464 sequences). Values that a path of the masks means are replaced by values of their own type,
// with all that is in them; all other strings, numbers and names are put to the detectors,
// unescaped. Cut anywhere, the output is the same. Bounded: depth, names, numbers; long strings
// stream.
#pragma once

#include "userspace/session/masking/json_place.h"
#include "userspace/session/masking/json_string.h"
#include "userspace/session/masking/text_stream.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::session {

class JsonMasker {
public:
    static constexpr std::size_t kMaxDepth = 512;
    static constexpr std::size_t kMaxName = std::size_t{64} * 1024;  // bytes of a member's name
    static constexpr std::size_t kMaxNumber = 1024;                  // characters
    static constexpr std::size_t kWhole = std::size_t{64} * 1024;    // a string looked at at once

    explicit JsonMasker(const TextMasks& masks);
    JsonMasker(const JsonMasker&) = delete;
    JsonMasker& operator=(const JsonMasker&) = delete;

    // Appends to `out` what may be passed on. Malformed, TooLarge: nothing of what is still held
    // back may be passed on, and the masker is of no more use.
    Result<> feed(std::string_view piece, std::string& out);
    // The end of the text. Truncated: inside a value.
    Result<> finish(std::string& out);
    std::uint64_t masked() const noexcept { return masked_ + stream_.masked(); }

private:
    enum class At : std::uint8_t {
        Start,       // of a text: a value, or white space
        Guard,       // ")]}'", which some servers put before it; up to the end of the line
        Value,       // in an array or after a colon
        FirstValue,  // or the end of the array
        FirstName,   // or the end of the object
        Name,
        Colon,
        AfterValue,
        InName,  // from here on: within what was cut, or is put together for other reasons
        InString,
        InNumber,
        InWord,  // true, false, null
    };
    // What is read of a piece. All that stays as it came is passed on in long runs.
    struct Reading {
        const char* at;
        const char* end;
        const char* run;  // from here on nothing is passed on yet
        std::string& out;

        std::string_view rest() const noexcept { return {at, end}; }
        void pass();  // up to `at`
        void skip(std::size_t size) noexcept { run = at += size; }
    };

    Result<> structural(Reading& in);
    Result<> start(Reading& in);
    Result<> begin_value(Reading& in);
    void begin_string(Reading& in, At as);
    Result<> open(Reading& in);
    Result<> close(Reading& in);
    void name_ended(Reading& in) noexcept;
    void value_ended(Reading& in) noexcept;
    Result<> more_string(Reading& in);
    Result<> plain(Reading& in);
    Result<> check_plain(std::string_view text) const;
    void stream_string(std::string& out);
    void end_stream(std::string& out);

    // What stands in the place of one; nullopt: it stays as it came.
    std::optional<std::string> for_name(std::string_view text);
    std::optional<std::string> for_string(std::string_view text);
    std::optional<std::string> for_number(std::string_view text);
    std::optional<std::string> for_word(std::string_view text);

    const TextMasks& masks_;
    TextStream stream_;
    JsonUnescaper unescaper_;
    At at_ = At::Start;
    JsonPlace place_;
    std::string_view name_;   // of the member at hand, unescaped
    std::string kept_name_;   // where it is beyond its piece
    std::string text_;        // of the string at hand, unescaped
    std::string raw_;         // as it came
    bool streaming_ = false;  // the string at hand is a long one
    bool begun_ = false;
    const bool detects_;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session
