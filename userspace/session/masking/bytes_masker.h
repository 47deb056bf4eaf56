// SPDX-License-Identifier: Apache-2.0
// Bodies without a structure that is known here: detectors read them as they come.
#pragma once

#include "userspace/base/error.h"
#include "userspace/session/masking/text_stream.h"

#include <string>
#include <string_view>

namespace chaperone::session {

// Text, or bytes that may hold some. Unsupported: characters of sixteen or more bits, in which no
// detector would see anything. What is `declared` to be text and has a zero octet is such a text,
// of bytes only the beginning tells.
class BytesMasker {
public:
    BytesMasker(const TextMasks& masks, bool declared) : stream_(masks), declared_(declared) {}

    Result<> feed(std::string_view piece, std::string& out);
    Result<> finish(std::string& out);
    std::uint64_t masked() const noexcept { return stream_.masked(); }

private:
    void begin(std::string& out);

    TextStream stream_;
    std::string first_;
    bool declared_;
    bool begun_ = false;
};

// What is said to be an image, sound, video or a font passes as it is if it begins as such, else it
// is treated as bytes of any kind: of some stores whoever asks says what type the answer shall
// have.
class MediaMasker {
public:
    explicit MediaMasker(const TextMasks& masks) : bytes_(masks, false) {}

    Result<> feed(std::string_view piece, std::string& out);
    Result<> finish(std::string& out);
    std::uint64_t masked() const noexcept { return bytes_.masked(); }

private:
    Result<> begin(std::string& out);

    BytesMasker bytes_;
    std::string first_;
    bool known_ = false;
    bool media_ = false;
};

}  // namespace chaperone::session
