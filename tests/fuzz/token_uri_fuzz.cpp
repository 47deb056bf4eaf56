// SPDX-License-Identifier: Apache-2.0
// layer: authority
// PKCS#11 URIs and the messages about them: what is read is written and read again the same.
#include "userspace/authority/token_message.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    const Bytes input = std::as_bytes(std::span{data, size});
    (void)authority::read_token_answer(input);
    (void)authority::read_token_question(input);
    if (const auto uri = authority::read_token_opening(input))
        if (!authority::read_token_opening(authority::write_token_opening(*uri))) std::abort();
    const auto uri = authority::read_token_uri(as_text(input));
    if (!uri) return 0;
    const auto back = authority::read_token_opening(authority::write_token_opening(*uri));
    if (!back || back->id != uri->id || back->object != uri->object || back->slot != uri->slot ||
        back->pin_source != uri->pin_source || back->module != uri->module)
        std::abort();
    return 0;
}
