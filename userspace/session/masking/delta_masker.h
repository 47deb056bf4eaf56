// SPDX-License-Identifier: Apache-2.0
// Detectors over texts that a model's stream brings in pieces: chat completions and completions,
// responses (OpenAI), messages (Anthropic). The pieces of each text (a choice's content, a block, a
// call's arguments) are put to the detectors as one; what may be the beginning of a value comes in
// the next event, or in one of its own before the text's end is told. All else of an event is
// masked as any JSON. Bounded; one stream, one thread. The masks outlive it.
#pragma once

#include "userspace/session/masking/event_text.h"
#include "userspace/session/masking/text_stream.h"

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace chaperone::session {

class DeltaMasker {
public:
    static constexpr std::size_t kMaxTexts = 256;  // that are open at once

    explicit DeltaMasker(const TextMasks& masks) : masks_(masks) {}
    DeltaMasker(const DeltaMasker&) = delete;
    DeltaMasker& operator=(const DeltaMasker&) = delete;

    struct Made {
        std::vector<EventText::Event> before{};  // go out first
        std::string data{};                      // instead of the event's
    };
    // nullopt: no event of such a stream. TooLarge: too many texts. Malformed: what cannot be
    // masked; it must not pass.
    Result<std::optional<Made>> event(const std::string& data);
    // The end of the stream.
    std::vector<EventText::Event> finish();
    std::uint64_t masked() const noexcept;

private:
    struct Open {
        Open(const TextMasks& masks) : stream(masks, TextStream::Pace::Prompt) {}
        TextStream stream;
        boost::json::object shell{};  // an event with an empty piece of this text only
        std::vector<std::variant<std::string, std::size_t>> path{};  // to that piece
    };
    struct Piece;
    struct Reading;

    Result<Made> masked_event(const Reading& reading, const boost::json::object& event);
    void close(const std::string& prefix, std::vector<EventText::Event>& out);

    const TextMasks& masks_;
    std::map<std::string, Open> open_;  // by what text it is
    std::uint64_t masked_ = 0;          // beside the streams that are open
};

}  // namespace chaperone::session
