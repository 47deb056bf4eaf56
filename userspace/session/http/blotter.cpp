// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/blotter.h"

#include <algorithm>
#include <cstring>

namespace chaperone::session {
namespace {

// Octets at the end of `text` that may be the beginning of `secret`.
std::size_t begun(std::string_view text, std::string_view secret) {
    for (std::size_t n = std::min(text.size(), secret.size() - 1); n != 0; --n)
        if (secret.starts_with(text.substr(text.size() - n))) return n;
    return 0;
}

class Blotter final : public BodyFilter {
public:
    explicit Blotter(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {}
    ~Blotter() override {
        for (std::string& secret : secrets_) explicit_bzero(secret.data(), secret.size());
    }

    Result<> push(Bytes data, bool last, Buffer& out) override {
        held_ += as_text(data);
        masked_ += blot(held_, secrets_) ? 1 : 0;
        std::size_t keep = 0;
        if (!last)
            for (const std::string& secret : secrets_) keep = std::max(keep, begun(held_, secret));
        append(out, std::string_view{held_}.substr(0, held_.size() - keep));
        held_.erase(0, held_.size() - keep);
        return {};
    }
    std::uint64_t masked() const override { return masked_; }

private:
    std::vector<std::string> secrets_;
    std::string held_;
    std::uint64_t masked_ = 0;
};

}  // namespace

std::unique_ptr<BodyFilter> make_blotter(std::vector<std::string> secrets) {
    std::erase_if(secrets, [](const std::string& secret) { return secret.empty(); });
    if (secrets.empty()) return nullptr;
    return std::make_unique<Blotter>(std::move(secrets));
}

bool blot(std::string& text, const std::vector<std::string>& secrets) {
    bool any = false;
    for (const std::string& secret : secrets) {
        if (secret.empty()) continue;
        for (std::size_t at = text.find(secret); at != std::string::npos;
             at = text.find(secret, at + secret.size())) {
            text.replace(at, secret.size(), secret.size(), '*');
            any = true;
        }
    }
    return any;
}

}  // namespace chaperone::session
