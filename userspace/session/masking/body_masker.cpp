// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/body_masker.h"

#include "userspace/session/masking/bytes_masker.h"
#include "userspace/session/masking/event_masker.h"
#include "userspace/session/masking/form_masker.h"
#include "userspace/session/masking/json_masker.h"
#include "userspace/wire/coding/coding.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace chaperone::session {
namespace {

std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string media_type(std::string_view content_type) {
    return lower(trimmed(content_type.substr(0, content_type.find(';'))));
}

std::string charset(std::string_view content_type) {
    for (auto at = content_type.find(';'); at != std::string_view::npos;) {
        const auto next = content_type.find(';', at + 1);
        const auto parameter = trimmed(content_type.substr(at + 1, next - at - 1));
        const auto equals = parameter.find('=');
        if (equals != std::string_view::npos && lower(parameter.substr(0, equals)) == "charset") {
            std::string_view value = parameter.substr(equals + 1);
            if (value.size() >= 2 && value.front() == '"')
                value = value.substr(1, value.size() - 2);
            return lower(value);
        }
        at = next;
    }
    return {};
}

// The detectors read ASCII; these agree with it.
bool is_readable(std::string_view charset) {
    static constexpr std::array kReadable{
        std::string_view{""},           std::string_view{"utf-8"},
        std::string_view{"utf8"},       std::string_view{"us-ascii"},
        std::string_view{"ascii"},      std::string_view{"iso-8859-1"},
        std::string_view{"latin1"},     std::string_view{"windows-1252"},
        std::string_view{"iso-8859-15"}};
    return std::ranges::find(kReadable, charset) != kReadable.end();
}

template <class Masker>
class Of final : public TextFilter {
public:
    template <class... More>
    explicit Of(const TextMasks& masks, More... more) : masker_(masks, more...) {}
    Result<> feed(std::string_view piece, std::string& out) override {
        return masker_.feed(piece, out);
    }
    Result<> finish(std::string& out) override { return masker_.finish(out); }
    std::uint64_t masked() const noexcept override { return masker_.masked(); }

private:
    Masker masker_;
};

class Coded final : public BodyMasker {
public:
    Coded(std::unique_ptr<TextFilter> filter, const std::vector<wire::Coding>& codings)
        : filter_(std::move(filter)) {
        for (const wire::Coding coding : codings) {
            decoders_.insert(decoders_.begin(), wire::make_decoder(coding));
            encoders_.push_back(wire::make_encoder(coding));
        }
    }

    Result<> feed(Bytes piece, Buffer& out) override {
        // An empty piece is for the filter, which may have more to say by now.
        return decode(piece.empty() ? decoders_.size() : 0, piece, out);
    }

    Result<> finish(Buffer& out) override {
        for (const auto& decoder : decoders_)
            if (auto done = decoder->finish(); !done) return done;
        if (any_) {
            text_.clear();
            if (auto done = filter_->finish(text_); !done) return done;
            encode(0, as_bytes(text_), out);
            finish_encoders(out);
        }
        return {};
    }

    std::uint64_t masked() const noexcept override { return filter_->masked(); }

private:
    // Each piece is masked and encoded before the next is decoded: memory does not grow with what
    // a compressed body expands to.
    Result<> decode(std::size_t stage, Bytes piece, Buffer& out) {
        any_ = any_ || !piece.empty();
        if (stage == decoders_.size()) {
            text_.clear();
            if (auto done = filter_->feed(as_text(piece), text_); !done) return done;
            encode(0, as_bytes(text_), out);
            return {};
        }
        Result<> inner;
        auto done = decoders_[stage]->push(piece, [&](Bytes decoded) {
            if (inner) inner = decode(stage + 1, decoded, out);
        });
        if (!inner) return inner;
        return done;
    }

    void encode(std::size_t stage, Bytes piece, Buffer& out) {
        if (stage == encoders_.size()) return append(out, piece);
        encoders_[stage]->push(piece, [&](Bytes encoded) { encode(stage + 1, encoded, out); });
    }

    void finish_encoders(Buffer& out) {
        for (std::size_t i = 0; i != encoders_.size(); ++i)
            encoders_[i]->finish([&](Bytes encoded) { encode(i + 1, encoded, out); });
    }

    std::unique_ptr<TextFilter> filter_;
    std::vector<std::unique_ptr<wire::Decoder>> decoders_;
    std::vector<std::unique_ptr<wire::Encoder>> encoders_;
    std::string text_;
    bool any_ = false;  // a body of no byte at all stays one
};

}  // namespace

BodyForm body_form(std::string_view content_type) noexcept {
    const std::string type = media_type(content_type);
    const auto is = [&](std::string_view name) { return type == name; };
    // Also what puts JSON into its frames.
    if (type.starts_with("application/grpc") || type.starts_with("application/connect+"))
        return BodyForm::Framed;
    if (is("application/json") || is("text/json") || type.ends_with("+json") ||
        is("application/x-ndjson") || is("application/jsonl") || is("application/x-jsonlines") ||
        is("application/x-jsonl") || is("application/json-seq") || is("application/stream+json") ||
        type.ends_with("+json-seq"))
        return BodyForm::Json;
    if (is("application/x-www-form-urlencoded")) return BodyForm::Form;
    if (is("text/event-stream")) return BodyForm::Events;
    if (type.find("protobuf") != std::string::npos || type.ends_with("+proto") ||
        is("application/proto") || is("application/cbor") || type.ends_with("+cbor") ||
        type.find("msgpack") != std::string::npos || is("multipart/byteranges"))
        return BodyForm::Framed;
    for (const std::string_view media : {"image/", "audio/", "video/", "font/"})
        if (type.starts_with(media) && !is("image/svg+xml")) return BodyForm::Media;
    if (type.empty() || type.starts_with("text/") || type.ends_with("+xml") ||
        is("application/xml") || type.ends_with("javascript") || is("application/yaml"))
        return BodyForm::Text;
    return BodyForm::Bytes;
}

Result<std::unique_ptr<BodyMasker>> BodyMasker::make(std::string_view content_type,
                                                     std::string_view content_encoding,
                                                     const TextMasks& masks) {
    const auto unsupported = [](std::string what) {
        return fail(Errc::Unsupported, "a body that must be masked: " + std::move(what));
    };
    const BodyForm form = body_form(content_type);
    const bool named = form == BodyForm::Json || form == BodyForm::Form || form == BodyForm::Events;
    if (!masks.json().empty() && !named)
        return unsupported("its type, " + media_type(content_type) +
                           ", has no values that a JSON path could mean");
    if (form == BodyForm::Framed)
        return unsupported("its type, " + media_type(content_type) + ", cannot be rewritten");
    if (const std::string set = charset(content_type); !is_readable(set))
        return unsupported("its charset is not read here");
    std::unique_ptr<TextFilter> filter;
    switch (form) {
    case BodyForm::Json: filter = std::make_unique<Of<JsonMasker>>(masks); break;
    case BodyForm::Form: filter = std::make_unique<Of<FormMasker>>(masks); break;
    case BodyForm::Events: filter = std::make_unique<Of<EventMasker>>(masks); break;
    case BodyForm::Text:
        // Without a type it may be anything.
        filter = std::make_unique<Of<BytesMasker>>(masks, !media_type(content_type).empty());
        break;
    case BodyForm::Bytes: filter = std::make_unique<Of<BytesMasker>>(masks, false); break;
    case BodyForm::Media: filter = std::make_unique<Of<MediaMasker>>(masks); break;
    case BodyForm::Framed: return unsupported("its type");
    }
    return make_coded(content_encoding, std::move(filter));
}

Result<std::unique_ptr<BodyMasker>> make_coded(std::string_view content_encoding,
                                               std::unique_ptr<TextFilter> filter) {
    auto codings = wire::parse_codings(content_encoding);
    if (!codings) return fail(codings.error());
    return std::make_unique<Coded>(std::move(filter), *codings);
}

}  // namespace chaperone::session
