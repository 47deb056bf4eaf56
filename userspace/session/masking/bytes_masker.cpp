// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/bytes_masker.h"

#include <algorithm>
#include <array>
#include <utility>

namespace chaperone::session {
namespace {

constexpr std::size_t kFirst = 4;        // octets that tell UTF-16
constexpr std::size_t kFirstMedia = 12;  // octets that tell a kind of media

std::unexpected<Error> wide() {
    return fail(Errc::Unsupported, "text in UTF-16");
}

bool is_wide(std::string_view first) {
    if (first.starts_with("\xff\xfe") || first.starts_with("\xfe\xff")) return true;
    if (first.size() < kFirst) return false;
    const auto zero = [&](std::size_t i) { return first[i] == '\0'; };
    return zero(0) == zero(2) && zero(1) == zero(3) && zero(0) != zero(1);
}

// The formats' own signatures (as the WHATWG's MIME Sniffing standard lists most of them).
bool begins_as_media(std::string_view first) {
    using namespace std::string_view_literals;
    static constexpr std::array kBegins{"\x89PNG\r\n\x1a\n"sv,
                                        "\xff\xd8\xff"sv,
                                        "GIF87a"sv,
                                        "GIF89a"sv,
                                        "OggS\0"sv,
                                        "\x1a\x45\xdf\xa3"sv,
                                        "ID3\2"sv,
                                        "ID3\3"sv,
                                        "ID3\4"sv,
                                        "fLaC\0"sv,
                                        "\xff\xfb"sv,
                                        "\xff\xf3"sv,
                                        "\xff\xf2"sv,
                                        "\xff\xf1"sv,
                                        "\xff\xf9"sv,
                                        "\0\0\1\0"sv,
                                        "II*\0"sv,
                                        "MM\0*"sv,
                                        "wOFF\0"sv,
                                        "wOF2\0"sv,
                                        "OTTO\0"sv,
                                        "\0\1\0\0"sv,
                                        "\0\0\1\xba"sv,
                                        "\0\0\1\xb3"sv};
    if (std::ranges::any_of(kBegins, [&](auto one) { return first.starts_with(one); })) return true;
    const std::string_view four = first.substr(std::min<std::size_t>(first.size(), 4), 4);
    if (four == "ftyp" || four == "styp" || four == "moof" || four == "sidx")
        return first.starts_with('\0');
    const std::string_view riff = first.substr(std::min<std::size_t>(first.size(), 8), 4);
    return first.starts_with("RIFF") && (riff == "WEBP" || riff == "WAVE" || riff == "AVI ");
}

}  // namespace

Result<> BytesMasker::feed(std::string_view piece, std::string& out) {
    if (declared_ && piece.contains('\0')) return wide();
    for (; first_.size() < kFirst && !piece.empty(); piece.remove_prefix(1))
        first_ += piece.front();
    if (is_wide(first_)) return wide();
    if (first_.size() < kFirst) return {};
    begin(out);
    stream_.feed(piece, out);
    return {};
}

Result<> BytesMasker::finish(std::string& out) {
    begin(out);
    stream_.finish(out);
    return {};
}

void BytesMasker::begin(std::string& out) {
    if (!begun_) stream_.feed(first_, out);
    begun_ = true;
}

Result<> MediaMasker::feed(std::string_view piece, std::string& out) {
    if (!known_) {
        first_ += piece;
        return first_.size() < kFirstMedia ? Result<>{} : begin(out);
    }
    if (!media_) return bytes_.feed(piece, out);
    out += piece;
    return {};
}

Result<> MediaMasker::finish(std::string& out) {
    if (!known_)
        if (auto done = begin(out); !done) return done;
    return media_ ? Result<>{} : bytes_.finish(out);
}

Result<> MediaMasker::begin(std::string& out) {
    known_ = true;
    media_ = begins_as_media(first_);
    return feed(std::exchange(first_, {}), out);
}

}  // namespace chaperone::session
