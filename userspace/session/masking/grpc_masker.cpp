// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/grpc_masker.h"

#include "userspace/wire/coding/coding.h"

#include <algorithm>
#include <string>
#include <utility>

namespace chaperone::session {
namespace {

constexpr std::size_t kPrefix = 5;  // a flag, and the length in four bytes
constexpr char kPlain = 0, kCompressed = 1;

std::size_t length_of(std::string_view prefix) {
    std::size_t length = 0;
    for (const char byte : prefix.substr(1, 4))
        length = length << 8 | static_cast<unsigned char>(byte);
    return length;
}

void put_prefix(std::size_t length, std::string& out) {
    out += kPlain;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift & 0xff);
}

std::unexpected<Error> too_large() {
    return fail(Errc::TooLarge, "a gRPC message of more than " +
                                    std::to_string(kMaxGrpcMessage >> 20) + " MiB under masks");
}

class GrpcMasker final : public TextFilter {
public:
    GrpcMasker(ProtoMasker masker, std::string_view encoding)
        : masker_(std::move(masker)), encoding_(encoding) {}

    Result<> feed(std::string_view piece, std::string& out) override {
        while (!piece.empty()) {
            if (held_.size() < kPrefix) {
                take(piece, kPrefix);
                if (held_.size() < kPrefix) return {};
                if (held_[0] != kPlain && held_[0] != kCompressed)
                    return fail(Errc::Malformed, "the flags of a gRPC message");
                if (length_of(held_) > kMaxGrpcMessage) return too_large();
            }
            take(piece, kPrefix + length_of(held_));
            if (held_.size() < kPrefix + length_of(held_)) return {};
            if (auto done = message(out); !done) return done;
            held_.clear();
        }
        return {};
    }
    Result<> finish(std::string&) override {
        if (!held_.empty()) return fail(Errc::Truncated, "a gRPC message");
        return {};
    }
    std::uint64_t masked() const noexcept override { return masker_.masked(); }

private:
    void take(std::string_view& piece, std::size_t until) {
        const std::size_t size = std::min(piece.size(), until - held_.size());
        held_ += piece.substr(0, size);
        piece.remove_prefix(size);
    }

    Result<> message(std::string& out) {
        std::string plain;
        std::string_view text = std::string_view{held_}.substr(kPrefix);
        if (held_[0] == kCompressed) {
            if (auto done = decompress(text, plain); !done) return done;
            text = plain;
        }
        auto masked = masker_.mask(text);
        if (!masked) return fail(masked.error());
        put_prefix(masked->size(), out);
        out += *masked;
        return {};
    }

    Result<> decompress(std::string_view text, std::string& plain) const {
        const auto codings = wire::parse_codings(encoding_);
        if (!codings || codings->size() != 1)
            return fail(Errc::Unsupported, "a gRPC message compressed as \"" + encoding_ + "\"");
        const auto decoder = wire::make_decoder(codings->front());
        bool fits = true;
        auto done = decoder->push(as_bytes(text), [&](Bytes piece) {
            fits = fits && plain.size() + piece.size() <= kMaxGrpcMessage;
            if (fits) plain += as_text(piece);
        });
        if (!fits) return too_large();
        if (!done) return done;
        return decoder->finish();
    }

    ProtoMasker masker_;
    std::string encoding_;
    std::string held_;  // of the message at hand, with its prefix
};

}  // namespace

std::unique_ptr<TextFilter> make_grpc_masker(ProtoMasker masker, std::string_view encoding) {
    return std::make_unique<GrpcMasker>(std::move(masker), encoding);
}

}  // namespace chaperone::session
