// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Any bytes as a DNS message; what decodes must survive being encoded, stripped and decoded again.
#include "userspace/wire/dns/record.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::wire::dns;
    const Bytes input = std::as_bytes(std::span{data, size});
    (void)decode_header(input);
    auto message = decode(input);
    if (!message) return 0;
    for (const Question& question : message->questions)
        if (const auto back = Name::from_text(question.name.text());
            !back || !(*back == question.name))
            std::abort();
    for (const Record& record : message->answers) {
        (void)addresses_of(record);
        (void)target_of(record);
    }
    strip_ech(*message);
    (void)encode(*message, kMostUdp);
    // Written out in full, data may be more than one message holds.
    if (const auto again = decode(encode(*message, kMostMessage));
        !again && message->questions.size() < 2)
        std::abort();
    return 0;
}
