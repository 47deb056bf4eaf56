// SPDX-License-Identifier: Apache-2.0
// layer: policy
// Any bytes as a signature and as the file of who may sign: refused, or the one good signature.
#include "policy/bundle/signature.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using chaperone::policy::bundle::Signers;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto any = Signers::parse(text);
    static const auto kOne = Signers::parse(
        "ann ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n");
    const chaperone::Time at{};
    if (kOne) (void)kOne->verify(text, "sha256:00", at);
    if (any) (void)any->verify(text, "sha256:00", at);
    return 0;
}
