// SPDX-License-Identifier: Apache-2.0
// layer: record
// Headers and frames of segments: any bytes decode to something that encodes to the same bytes,
// need more, or are an error.
#include "userspace/record/segment.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::record;
    Bytes in = std::as_bytes(std::span{data, size});
    if (const auto header = decode_header(in); header && header->has_value()) {
        const Buffer again = encode_header((*header)->header);
        if (!std::ranges::equal(again, in.first((*header)->size))) std::abort();
        in = in.subspan((*header)->size);
    }
    for (;;) {
        const auto frame = decode_frame(in);
        if (!frame || !frame->has_value()) return 0;
        Buffer again;
        append_frame(again, (*frame)->entry, (*frame)->leaf);
        if (!std::ranges::equal(again, in.first((*frame)->size))) std::abort();
        in = in.subspan((*frame)->size);
    }
}
