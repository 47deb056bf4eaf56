// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Any bytes as a ClientHello: no crash; and a prefix is either not enough or says the same.
#include "userspace/wire/tls/client_hello.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    const auto input = std::as_bytes(std::span{data, size});
    const auto whole = wire::tls::decode_client_hello(input);
    for (std::size_t cut = 0; cut < size; cut += 1 + size / 64) {
        const auto part = wire::tls::decode_client_hello(input.first(cut));
        if (!part && (whole || whole.error().code != part.error().code)) std::abort();
        if (part && *part && (!whole || !*whole || (*part)->server_name != (*whole)->server_name))
            std::abort();
    }
    if (whole && *whole && !wire::tls::may_be_tls(input)) std::abort();
    return 0;
}
