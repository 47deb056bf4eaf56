// SPDX-License-Identifier: Apache-2.0
// A body whose pieces were signed with one key (aws-chunked with STREAMING-AWS4-HMAC-SHA256-PAYLOAD
// or …-PAYLOAD-TRAILER), signed anew with another. Nothing but the signatures changes, and they are
// all of one length. A piece is held until it is whole, because its signature stands before it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
// …-streaming-trailers.html
#pragma once

#include "userspace/base/error.h"
#include "userspace/credential/aws_sigv4.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace chaperone::credential {

class AwsChunks {
public:
    // SDKs make pieces of 64 KiB to 1 MiB.
    static constexpr std::size_t kMaxChunk = std::size_t{4} << 20;
    static constexpr std::size_t kMaxLine = 4096;  // of a piece's head, and of all trailers

    // The signer has signed the head. `trailers`: fields behind the last piece are signed, too.
    AwsChunks(AwsSigner signer, bool trailers) : signer_(std::move(signer)), signed_(trailers) {}

    // Appends what can go on. Malformed: no such body, or (`last`) it ends early. TooLarge: a piece
    // or a line is. Nothing more after an error.
    Result<> push(std::string_view data, bool last, std::string& out);

private:
    enum class State { Head, Data, Trailers, End };
    // False: more is needed.
    Result<bool> step(std::string& out);
    Result<bool> head(std::string& out);
    Result<bool> data(std::string& out);
    Result<bool> trailer(std::string& out);

    AwsSigner signer_;
    bool signed_;
    State state_ = State::Head;
    std::string waiting_{};
    std::size_t at_ = 0;    // what of waiting_ is done with
    std::size_t size_ = 0;  // of the piece whose data is read
    std::string size_text_{};
    std::string fields_{};  // trailers so far, as they are signed
    bool trailer_signed_ = false;
};

}  // namespace chaperone::credential
