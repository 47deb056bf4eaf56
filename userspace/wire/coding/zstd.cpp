// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/coding/codecs.h"

#include <zstd.h>

#include <array>
#include <new>

namespace chaperone::wire {
namespace {

constexpr int kLevel = 3;
constexpr int kWindowLog = 23;  // 8 MiB: what a recipient must accept, and no more (RFC 9659)

class Unzstd final : public Decoder {
public:
    Unzstd() : state_(ZSTD_createDCtx()) {
        if (!state_) throw std::bad_alloc{};
        ZSTD_DCtx_setParameter(state_.get(), ZSTD_d_windowLogMax, kWindowLog);
    }

    Result<> push(Bytes in, const Sink& out) override {
        if (in.empty()) return {};
        proportion_.took(in.size());
        std::array<std::byte, kPiece> room;
        ZSTD_inBuffer from{in.data(), in.size(), 0};
        bool full = false;
        while (from.pos != from.size || full) {
            ZSTD_outBuffer to{room.data(), room.size(), 0};
            const std::size_t got = ZSTD_decompressStream(state_.get(), &to, &from);
            if (ZSTD_isError(got) != 0U) return fail(Errc::Malformed, "a compressed body");
            if (auto fine = proportion_.gave(to.pos); !fine) return fine;
            if (to.pos != 0) out(Bytes{room}.first(to.pos));
            inside_ = got != 0;  // 0: a frame has ended, and another may follow
            full = to.pos == to.size;
        }
        return {};
    }

    Result<> finish() override {
        if (inside_) return fail(Errc::Truncated, "a compressed body");
        return {};
    }

private:
    struct Free {
        void operator()(ZSTD_DCtx* state) const noexcept { ZSTD_freeDCtx(state); }
    };
    std::unique_ptr<ZSTD_DCtx, Free> state_;
    Proportion proportion_;
    bool inside_ = false;
};

class Zstd final : public Encoder {
public:
    Zstd() : state_(ZSTD_createCCtx()) {
        if (!state_) throw std::bad_alloc{};
        ZSTD_CCtx_setParameter(state_.get(), ZSTD_c_compressionLevel, kLevel);
    }

    void push(Bytes in, const Sink& out) override {
        if (!in.empty()) run(in, ZSTD_e_flush, out);
    }
    void finish(const Sink& out) override { run({}, ZSTD_e_end, out); }

private:
    void run(Bytes in, ZSTD_EndDirective directive, const Sink& out) {
        std::array<std::byte, kPiece> room;
        ZSTD_inBuffer from{in.data(), in.size(), 0};
        for (;;) {
            ZSTD_outBuffer to{room.data(), room.size(), 0};
            const std::size_t left = ZSTD_compressStream2(state_.get(), &to, &from, directive);
            if (ZSTD_isError(left) != 0U) throw std::bad_alloc{};
            if (to.pos != 0) out(Bytes{room}.first(to.pos));
            if (left == 0 && from.pos == from.size) return;
        }
    }

    struct Free {
        void operator()(ZSTD_CCtx* state) const noexcept { ZSTD_freeCCtx(state); }
    };
    std::unique_ptr<ZSTD_CCtx, Free> state_;
};

}  // namespace

std::unique_ptr<Decoder> make_zstd_decoder() {
    return std::make_unique<Unzstd>();
}

std::unique_ptr<Encoder> make_zstd_encoder() {
    return std::make_unique<Zstd>();
}

}  // namespace chaperone::wire
