// SPDX-License-Identifier: Apache-2.0
// layer: wire
// What a hostile server may say in SCRAM: nothing it says is taken for a proof.
#include "userspace/wire/pg/scram.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::wire::pg;
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const auto half = input.find('\n');
    const auto first = input.substr(0, half);
    // The work is bounded by ScramClient::kMaxIterations, which is too much for each input here.
    if (first.size() > 256 || first.find(",i=4096") == std::string_view::npos) return 0;
    ScramClient client{"abc", ScramClient::Binding::None};
    (void)client.final(first, Secret{std::string{"pencil"}});
    if (half != std::string_view::npos && client.verify(input.substr(half + 1)) &&
        input.substr(half + 1).find("v=") != 0)
        std::abort();
    (void)saslprep(Secret{std::string{input}});
    return 0;
}
