// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/secret.h"

#include <cstring>
#include <utility>

namespace chaperone {

Secret Secret::take(std::string& text) {
    Secret secret{std::string{text}};
    explicit_bzero(text.data(), text.size());
    text.clear();
    return secret;
}

Secret::Secret(Secret&& other) noexcept : text_(other.text_) {
    other.wipe();
}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    wipe();
    text_ = other.text_;
    other.wipe();
    return *this;
}

Secret::~Secret() {
    wipe();
}

bool Secret::equals(std::string_view other) const noexcept {
    if (other.size() != text_.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i != other.size(); ++i)
        difference |= static_cast<unsigned char>(text_[i] ^ other[i]);
    return difference == 0;
}

void Secret::wipe() noexcept {
    explicit_bzero(text_.data(), text_.size());
    text_.clear();
}

}  // namespace chaperone
