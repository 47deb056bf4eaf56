// SPDX-License-Identifier: Apache-2.0
// layer: identity
// Any bytes as a key set: whatever is taken holds only keys that are strong enough, and can be
// used.
#include "userspace/identity/key_set.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::identity;
    const auto set = KeySet::parse({reinterpret_cast<const char*>(data), size});
    if (!set) return 0;
    if (set->keys().empty() || set->keys().size() > KeySet::kMaxKeys) std::abort();
    for (const Key& key : set->keys()) {
        if (!key.public_key) std::abort();
        if (key.kind == KeyKind::Rsa && EVP_PKEY_get_bits(key.public_key.get()) < 2048)
            std::abort();
        for (const Algorithm algorithm : {Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256,
                                          Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa}) {
            const std::array<std::byte, 132> zeros{};
            if (verify_signature(key, algorithm, chaperone::as_bytes("text"), zeros)) std::abort();
            if (verify_signature(key, algorithm, chaperone::as_bytes("text"),
                                 chaperone::Bytes{zeros}.first(64)))
                std::abort();
        }
    }
    return 0;
}
