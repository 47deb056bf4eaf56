// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/coding/codecs.h"

#include <zlib.h>

#include <array>
#include <new>

namespace chaperone::wire {
namespace {

constexpr int kWindow = 15, kGzip = 16;
constexpr int kLevel = 4, kMemory = 8;  // a proxy compresses for the wire, not for the archive

Bytef* mutable_bytes(Bytes bytes) {
    return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
}

class Inflater final : public Decoder {
public:
    explicit Inflater(Wrapper wrapper) : wrapper_(wrapper) {
        if (inflateInit2(&z_, wrapper == Wrapper::Gzip ? kWindow + kGzip : kWindow) != Z_OK)
            throw std::bad_alloc{};
    }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    ~Inflater() override { inflateEnd(&z_); }

    Result<> push(Bytes in, const Sink& out) override {
        if (in.empty()) return {};
        if (wrapper_ == Wrapper::Zlib && !chosen_) {
            // "deflate" means the zlib format, but some servers send it bare (RFC 9110 8.4.1.2).
            for (; head_.size() < 2 && !in.empty(); in = in.subspan(1)) head_.push_back(in.front());
            if (head_.size() < 2) return {};
            choose();
            if (auto done = run(head_, out); !done) return done;
        }
        return run(in, out);
    }

    Result<> finish() override {
        if (head_.size() == 1 || (begun_ && !ended_))
            return fail(Errc::Truncated, "a compressed body");
        return {};
    }

private:
    void choose() {
        chosen_ = true;
        const auto first = std::to_integer<unsigned>(head_[0]);
        const auto second = std::to_integer<unsigned>(head_[1]);
        const bool zlib = (first & 0x0f) == 8 && (first * 256 + second) % 31 == 0;
        if (!zlib) inflateReset2(&z_, -kWindow);
    }

    Result<> run(Bytes in, const Sink& out) {
        std::array<std::byte, kPiece> room;
        z_.next_in = mutable_bytes(in);
        z_.avail_in = static_cast<uInt>(in.size());
        proportion_.took(in.size());
        while (z_.avail_in != 0 || full_) {
            if (ended_) {  // gzip may have several members (RFC 1952 2.2)
                if (wrapper_ != Wrapper::Gzip) return fail(Errc::Malformed, "bytes after the end");
                inflateReset(&z_);
                ended_ = false;
            }
            begun_ = true;
            z_.next_out = reinterpret_cast<Bytef*>(room.data());
            z_.avail_out = static_cast<uInt>(room.size());
            const int got = inflate(&z_, Z_NO_FLUSH);
            if (got != Z_OK && got != Z_STREAM_END && got != Z_BUF_ERROR)
                return fail(Errc::Malformed, "a compressed body");
            full_ = z_.avail_out == 0 && got == Z_OK;
            const std::size_t made = room.size() - z_.avail_out;
            if (auto fine = proportion_.gave(made); !fine) return fine;
            if (made != 0) out(Bytes{room}.first(made));
            ended_ = got == Z_STREAM_END;
            if (got == Z_BUF_ERROR && made == 0) break;
        }
        return {};
    }

    Wrapper wrapper_;
    z_stream z_{};
    Buffer head_;
    Proportion proportion_;
    bool chosen_ = false, begun_ = false, ended_ = false, full_ = false;
};

class Deflater final : public Encoder {
public:
    explicit Deflater(Wrapper wrapper) {
        if (deflateInit2(&z_, kLevel, Z_DEFLATED,
                         wrapper == Wrapper::Gzip ? kWindow + kGzip : kWindow, kMemory,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            throw std::bad_alloc{};
    }
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;
    ~Deflater() override { deflateEnd(&z_); }

    void push(Bytes in, const Sink& out) override {
        if (!in.empty()) run(in, Z_SYNC_FLUSH, out);
    }
    void finish(const Sink& out) override { run({}, Z_FINISH, out); }

private:
    void run(Bytes in, int flush, const Sink& out) {
        std::array<std::byte, kPiece> room;
        z_.next_in = mutable_bytes(in);
        z_.avail_in = static_cast<uInt>(in.size());
        do {
            z_.next_out = reinterpret_cast<Bytef*>(room.data());
            z_.avail_out = static_cast<uInt>(room.size());
            deflate(&z_, flush);
            const std::size_t made = room.size() - z_.avail_out;
            if (made != 0) out(Bytes{room}.first(made));
        } while (z_.avail_out == 0);
    }

    z_stream z_{};
};

}  // namespace

std::unique_ptr<Decoder> make_inflater(Wrapper wrapper) {
    return std::make_unique<Inflater>(wrapper);
}

std::unique_ptr<Encoder> make_deflater(Wrapper wrapper) {
    return std::make_unique<Deflater>(wrapper);
}

}  // namespace chaperone::wire
