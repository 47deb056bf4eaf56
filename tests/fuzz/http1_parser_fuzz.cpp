// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Heads and chunked bodies over any bytes: what is taken is taken at its own size, and of no
// beginning of it, and what is written from it is taken again.
#include "userspace/wire/http1/chunks.h"
#include "userspace/wire/http1/parser.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace chaperone;
using namespace chaperone::wire::http1;

void requests(Bytes input) {
    http::RequestHead head;
    Framing framing;
    const Parsed whole = parse_request(input, "http", {}, head, framing);
    if (whole.size == 0) return;
    if (whole.size > input.size() || whole.fault.status != 0) std::abort();
    http::RequestHead other;
    Framing ignored;
    if (parse_request(input.first(whole.size - 1), "http", {}, other, ignored).size != 0)
        std::abort();
    if (head.method == "CONNECT") return;
    Buffer again;
    write_request_head(again, head, head.target, head.fields);
    const Parsed second = parse_request(again, "http", {}, other, ignored);
    if (second.size != again.size() || other.fields.size() != head.fields.size() ||
        ignored.body != framing.body || ignored.length != framing.length)
        std::abort();
}

void responses(Bytes input) {
    http::ResponseHead head;
    Framing framing;
    const Parsed parsed = parse_response(input, "GET", true, {}, head, framing);
    if (parsed.size > input.size()) std::abort();
}

void chunks(Bytes input) {
    ChunkReader reader, by_byte;
    std::size_t data = 0, data_by_byte = 0;
    Bytes rest = input;
    bool done = false, bad = false;
    while (!done && !bad) {
        const auto step = reader.next(rest);
        if (step.used > rest.size()) std::abort();
        data += step.data.size();
        done = step.done;
        bad = step.fault.status != 0;
        if (step.used == 0 && !done) break;
        rest = rest.subspan(step.used);
    }
    std::size_t from = 0, to = 0;
    bool done_by_byte = false;
    while (!done_by_byte && to <= input.size()) {
        const auto step = by_byte.next(input.subspan(from, to - from));
        if (step.fault.status != 0) break;
        data_by_byte += step.data.size();
        from += step.used;
        done_by_byte = step.done;
        if (step.used == 0) ++to;
    }
    if (done && (!done_by_byte || data != data_by_byte)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const Bytes input = std::as_bytes(std::span{bytes, size});
    requests(input);
    responses(input);
    chunks(input);
    return 0;
}
