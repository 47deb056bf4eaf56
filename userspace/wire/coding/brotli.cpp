// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/coding/codecs.h"

#include <brotli/decode.h>
#include <brotli/encode.h>

#include <array>
#include <new>

namespace chaperone::wire {
namespace {

constexpr std::uint32_t kQuality = 4, kWindow = 18;

const std::uint8_t* octets(Bytes bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

class Unbrotli final : public Decoder {
public:
    Unbrotli() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
        if (!state_) throw std::bad_alloc{};
    }

    Result<> push(Bytes in, const Sink& out) override {
        if (in.empty()) return {};
        begun_ = true;
        if (ended_) return fail(Errc::Malformed, "bytes after the end");
        proportion_.took(in.size());
        std::array<std::byte, kPiece> room;
        const std::uint8_t* next = octets(in);
        std::size_t left = in.size();
        for (;;) {
            auto* to = reinterpret_cast<std::uint8_t*>(room.data());
            std::size_t space = room.size();
            const auto got =
                BrotliDecoderDecompressStream(state_.get(), &left, &next, &space, &to, nullptr);
            const std::size_t made = room.size() - space;
            if (auto fine = proportion_.gave(made); !fine) return fine;
            if (made != 0) out(Bytes{room}.first(made));
            if (got == BROTLI_DECODER_RESULT_ERROR)
                return fail(Errc::Malformed, "a compressed body");
            ended_ = got == BROTLI_DECODER_RESULT_SUCCESS;
            if (ended_ && left != 0) return fail(Errc::Malformed, "bytes after the end");
            if (got != BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) return {};
        }
    }

    Result<> finish() override {
        if (begun_ && !ended_) return fail(Errc::Truncated, "a compressed body");
        return {};
    }

private:
    struct Free {
        void operator()(BrotliDecoderState* state) const noexcept {
            BrotliDecoderDestroyInstance(state);
        }
    };
    std::unique_ptr<BrotliDecoderState, Free> state_;
    Proportion proportion_;
    bool begun_ = false, ended_ = false;
};

class Brotli final : public Encoder {
public:
    Brotli() : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
        if (!state_) throw std::bad_alloc{};
        BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_QUALITY, kQuality);
        BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_LGWIN, kWindow);
    }

    void push(Bytes in, const Sink& out) override {
        if (!in.empty()) run(in, BROTLI_OPERATION_FLUSH, out);
    }
    void finish(const Sink& out) override { run({}, BROTLI_OPERATION_FINISH, out); }

private:
    void run(Bytes in, BrotliEncoderOperation operation, const Sink& out) {
        std::array<std::byte, kPiece> room;
        const std::uint8_t* next = octets(in);
        std::size_t left = in.size();
        do {
            auto* to = reinterpret_cast<std::uint8_t*>(room.data());
            std::size_t space = room.size();
            if (BrotliEncoderCompressStream(state_.get(), operation, &left, &next, &space, &to,
                                            nullptr) == BROTLI_FALSE)
                throw std::bad_alloc{};
            if (space != room.size()) out(Bytes{room}.first(room.size() - space));
        } while (left != 0 || BrotliEncoderHasMoreOutput(state_.get()) != BROTLI_FALSE);
    }

    struct Free {
        void operator()(BrotliEncoderState* state) const noexcept {
            BrotliEncoderDestroyInstance(state);
        }
    };
    std::unique_ptr<BrotliEncoderState, Free> state_;
};

}  // namespace

std::unique_ptr<Decoder> make_brotli_decoder() {
    return std::make_unique<Unbrotli>();
}

std::unique_ptr<Encoder> make_brotli_encoder() {
    return std::make_unique<Brotli>();
}

}  // namespace chaperone::wire
