// SPDX-License-Identifier: Apache-2.0
// layer: session
// Any bytes as what an agent asks, and as what a resolver answers to it.
#include "userspace/session/dns/exchange.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::session::dns;
    if (size < 2) return 0;
    const Bytes input = std::as_bytes(std::span{data, size});
    const std::size_t cut = std::min<std::size_t>(2 + std::size_t{data[0]}, size);
    const Taken taken = take(input.subspan(2, cut - 2), (data[1] & 1) != 0);
    if (!taken.query) return 0;
    const Query& query = *taken.query;
    if (refused(query, "because").size() > query.most) std::abort();
    const wire::dns::Message asked = to_resolver(query, 1);
    if (!wire::dns::decode(wire::dns::encode(asked, wire::dns::kMostUdp))) std::abort();
    auto got = wire::dns::decode(input.subspan(cut));
    if (!got) return 0;
    (void)answers(asked, *got);
    const Answer made = answer(query, *std::move(got));
    if (made.reply.size() > std::max(query.most, wire::dns::kMostUdp)) std::abort();
    if (!wire::dns::decode(made.reply)) std::abort();
    return 0;
}
