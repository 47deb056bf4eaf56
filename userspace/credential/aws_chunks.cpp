// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/aws_chunks.h"

#include "userspace/base/http.h"

#include <algorithm>
#include <charconv>

namespace chaperone::credential {
namespace {

constexpr std::string_view kEnd = "\r\n";
constexpr std::string_view kSignature = ";chunk-signature=";
constexpr std::string_view kTrailerSignature = "x-amz-trailer-signature:";
constexpr std::size_t kSignatureSize = 64;

std::unexpected<Error> malformed(const char* what) {
    return fail(Errc::Malformed, std::string{"a body signed in pieces: "} + what);
}

bool is_signature(std::string_view text) {
    return text.size() == kSignatureSize && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

}  // namespace

Result<> AwsChunks::push(std::string_view data, bool last, std::string& out) {
    waiting_.erase(0, at_);
    at_ = 0;
    waiting_ += data;
    for (;;) {
        const auto more = step(out);
        if (!more) return fail(more.error());
        if (!*more) break;
    }
    if (last && state_ != State::End) return malformed("it ends early");
    return {};
}

Result<bool> AwsChunks::step(std::string& out) {
    switch (state_) {
    case State::Head: return head(out);
    case State::Data: return data(out);
    case State::Trailers: return trailer(out);
    case State::End:
        if (at_ != waiting_.size()) return malformed("something follows its end");
        return false;
    }
    return malformed("state");
}

// "1f4;chunk-signature=HEX"
Result<bool> AwsChunks::head(std::string& out) {
    const std::string_view rest = std::string_view{waiting_}.substr(at_);
    const auto end = rest.substr(0, kMaxLine).find(kEnd);
    if (end == rest.npos) {
        if (rest.size() >= kMaxLine) return malformed("a piece has no head");
        return false;
    }
    const std::string_view line = rest.substr(0, end);
    const auto semicolon = line.find(';');
    const std::string_view digits = line.substr(0, semicolon);
    const std::string_view signature =
        semicolon == line.npos ? std::string_view{} : line.substr(semicolon);
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), size_, 16);
    if (error != std::errc{} || stop != digits.data() + digits.size())
        return malformed("a piece's size");
    if (!signature.starts_with(kSignature) || !is_signature(signature.substr(kSignature.size())))
        return malformed("a piece without its signature");
    if (size_ > kMaxChunk)
        return fail(Errc::TooLarge, "a piece of a signed body: " + std::to_string(size_));
    size_text_ = digits;
    at_ += end + kEnd.size();
    state_ = State::Data;
    if (size_ != 0) return true;
    out += size_text_;
    out += kSignature;
    out += signer_.sign_chunk({});
    out += kEnd;
    state_ = State::Trailers;
    return true;
}

Result<bool> AwsChunks::data(std::string& out) {
    const std::string_view rest = std::string_view{waiting_}.substr(at_);
    if (rest.size() < size_ + kEnd.size()) return false;
    const std::string_view piece = rest.substr(0, size_);
    if (rest.substr(size_, kEnd.size()) != kEnd) return malformed("a piece is longer than it says");
    out += size_text_;
    out += kSignature;
    out += signer_.sign_chunk(piece);
    out += kEnd;
    out += piece;
    out += kEnd;
    at_ += size_ + kEnd.size();
    state_ = State::Head;
    return true;
}

// A field behind the last piece, or the empty line.
Result<bool> AwsChunks::trailer(std::string& out) {
    const std::string_view rest = std::string_view{waiting_}.substr(at_);
    const auto end = rest.substr(0, kMaxLine).find(kEnd);
    if (end == rest.npos) {
        if (rest.size() >= kMaxLine) return malformed("a trailer without an end");
        return false;
    }
    const std::string_view line = rest.substr(0, end);
    at_ += end + kEnd.size();
    if (line.empty()) {
        if (signed_ && !trailer_signed_) return malformed("its trailers are not signed");
        out += kEnd;
        state_ = State::End;
        return true;
    }
    const auto colon = line.find(':');
    if (!signed_ || trailer_signed_ || colon == line.npos) return malformed("a trailer");
    if (http::lower(line.substr(0, colon + 1)) == kTrailerSignature) {
        if (!is_signature(line.substr(colon + 1))) return malformed("the trailers' signature");
        out += line.substr(0, colon + 1);
        out += signer_.sign_trailer(fields_);
        out += kEnd;
        trailer_signed_ = true;
        return true;
    }
    fields_ += http::lower(line.substr(0, colon)) + std::string{line.substr(colon)} + '\n';
    if (fields_.size() > kMaxLine) return fail(Errc::TooLarge, "the trailers of a signed body");
    out += line;
    out += kEnd;
    return true;
}

}  // namespace chaperone::credential
