// SPDX-License-Identifier: Apache-2.0
// Masks a JSON text while it streams by (RFC 8259; also several in a row, as in JSON Lines and RFC
// 7464 sequences). Values that a path of the masks means are replaced by values of their own type,
// with all that is in them; all other strings, numbers and names are put to the detectors,
// unescaped. Cut anywhere, the output is the same. Bounded: depth, names, numbers; long strings
// stream.
#pragma once

#include "policy/json_path.h"
#include "userspace/session/masking/json_string.h"
#include "userspace/session/masking/text_stream.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

class JsonMasker {
public:
    static constexpr std::size_t kMaxDepth = 512;
    static constexpr std::size_t kMaxName = std::size_t{64} * 1024;  // bytes of a member's name
    static constexpr std::size_t kMaxNumber = 1024;                  // characters
    static constexpr std::size_t kWhole = std::size_t{64} * 1024;    // a string looked at at once

    explicit JsonMasker(const TextMasks& masks);

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
        InName,
        InString,
        InNumber,
        InWord,  // true, false, null
    };
    struct Frame {
        bool object = false;
        std::size_t index = 0;                // of the element
        std::optional<detect::With> whole{};  // of all that is in it
    };

    Result<> structural(char c, std::string& out);
    Result<> begin_value(char c, std::string& out);
    Result<> open(char c, std::string& out);
    Result<> close(char c, std::string& out);
    void ended() noexcept { at_ = frames_.empty() ? At::Start : At::AfterValue; }
    void match_value();
    Result<std::size_t> string_part(std::string_view in, std::string& out);
    Result<std::size_t> plain_part(std::string_view in, std::string& out);
    void whole_string(std::string_view text, std::string& out);
    bool passed_over(char c);
    void string_done(std::string& out);
    void name_done(std::string& out);
    Result<> number_done(std::string& out);
    Result<> word_done(std::string& out);
    void stream_string(std::string& out);
    std::string number_for(detect::With with) const;

    const TextMasks& masks_;
    TextStream stream_;
    JsonUnescaper unescaper_;
    At at_ = At::Start;
    std::vector<Frame> frames_;
    std::vector<policy::JsonPath::State> states_;  // a row of paths a frame
    std::vector<policy::JsonPath::State> value_;   // the row of the value at hand
    std::optional<detect::With> mask_;             // of the value at hand
    std::string name_;                             // of the member at hand, unescaped
    std::string text_;                             // of the string at hand, unescaped
    std::string raw_;                              // as it came
    bool streaming_ = false;                       // the string at hand is a long one
    bool begun_ = false;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session
