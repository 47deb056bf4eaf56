// SPDX-License-Identifier: Apache-2.0
// layer: credential
// A body that says it is signed in pieces: what goes on is as long as what came, and the same
// wherever it is cut.
#include "userspace/credential/aws_chunks.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace chaperone;
using namespace chaperone::credential;

bool through(std::string_view text, std::size_t cut, bool trailers, std::string& out) {
    AwsSigner signer{"AKIA", Secret{"secret"}, {"r", "s3"}, "20130524T000000Z"};
    AwsChunks chunks{std::move(signer), trailers};
    for (std::size_t at = 0; at < text.size(); at += cut)
        if (!chunks.push(text.substr(at, cut), false, out)) return false;
    return chunks.push({}, true, out).has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const bool trailers = (input[0] & 1) != 0;
    const std::size_t cut = static_cast<std::size_t>(data[1]) + 1;
    const std::string_view text = input.substr(2);
    std::string whole, cut_up;
    const bool good = through(text, text.size() + 1, trailers, whole);
    if (through(text, cut, trailers, cut_up) != good) std::abort();
    if (good && (whole != cut_up || whole.size() != text.size())) std::abort();
    return 0;
}
