// SPDX-License-Identifier: Apache-2.0
// Masks the body of an HTTP message while it streams by, whatever its content codings: they are
// taken off, the text is masked by its media type, and they are put on again. What is fed can be
// read by the receiver before more is fed, so that events are not held back.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/session/masking/text_stream.h"

#include <cstdint>
#include <memory>
#include <string_view>

namespace chaperone::session {

// How a body of this media type is masked (RFC 9110 section 8.3.1).
enum class BodyForm : std::uint8_t {
    Json,    // application/json, +json, JSON Lines and sequences
    Form,    // application/x-www-form-urlencoded
    Events,  // text/event-stream
    Text,    // text/*, XML, scripts, what has no type: detectors only
    Bytes,   // detectors find text in it; multipart, archives, octet-stream
    Media,   // pictures, sound, video, fonts: no text is looked for
    Framed,  // gRPC, protobuf, CBOR …: lengths would no longer hold; cannot be masked
};

BodyForm body_form(std::string_view content_type) noexcept;

// One way of changing text, behind codings.
class TextFilter {
public:
    virtual ~TextFilter() = default;
    virtual Result<> feed(std::string_view piece, std::string& out) = 0;
    virtual Result<> finish(std::string& out) = 0;
    virtual std::uint64_t masked() const noexcept { return 0; }
};

class BodyMasker {
public:
    // Unsupported: it cannot be masked: a content coding or a charset that is not spoken here, a
    // framed format, or a form without the names that JSON paths need. Then the body must not
    // pass. The masks outlive the result.
    static Result<std::unique_ptr<BodyMasker>> make(std::string_view content_type,
                                                    std::string_view content_encoding,
                                                    const TextMasks& masks);
    virtual ~BodyMasker() = default;

    // Appends to `out` what may be passed on. An error: the rest of the body must not pass; what
    // was given out is no whole message.
    virtual Result<> feed(Bytes piece, Buffer& out) = 0;
    virtual Result<> finish(Buffer& out) = 0;
    virtual std::uint64_t masked() const noexcept = 0;
};

// The codings of a Content-Encoding field around a filter. Unsupported: not spoken here.
Result<std::unique_ptr<BodyMasker>> make_coded(std::string_view content_encoding,
                                               std::unique_ptr<TextFilter> filter);

}  // namespace chaperone::session
