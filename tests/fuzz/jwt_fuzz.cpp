// SPDX-License-Identifier: Apache-2.0
// layer: identity
// Any bytes as a token, as a claims set and as a provider's discovery document. A token that no key
// signed is never accepted.
#include "userspace/base/encoding.h"
#include "userspace/identity/provider.h"
#include "userspace/identity/token_verifier.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace chaperone::identity {
namespace {

constexpr Time kNow{std::chrono::seconds{1'800'000'000}};

// The public key of RFC 8037, appendix A.2, whose private half signs nothing for this issuer.
const KeySet& keys() {
    static const KeySet set = *KeySet::parse(
        R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
    return set;
}

void run(std::string_view text) {
    const TokenRules rules{.issuer = "https://id.example.com", .audience = "chaperone"};
    if (verify_token(text, keys(), rules, kNow)) std::abort();
    // The same bytes as the payload of a token, past the signature.
    if (const auto claims = read_claims(text, "realm_access.roles")) {
        if (claims->subject.empty() || claims->issuer.empty()) std::abort();
        if (!read_claims(claims->json, "realm_access.roles")) std::abort();
    }
    // And as a header: a token of this header, some payload and some signature.
    const std::string built = to_base64url(as_bytes(text)) + ".e30.AAAA";
    if (verify_token(built, keys(), rules, kNow)) std::abort();
    auto provider = Provider::make({.rules = rules});
    if (!provider) std::abort();
    static_cast<void>((*provider)->accept(Fetch::What::Discovery, text, kNow));
    static_cast<void>((*provider)->needs_fetch(kNow));
}

}  // namespace
}  // namespace chaperone::identity

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    chaperone::identity::run({reinterpret_cast<const char*>(data), size});
    return 0;
}
