// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/json_place.h"

#include <algorithm>

namespace chaperone::session {

void JsonPlace::begin_outermost() {
    mask_.reset();
    followed_ = !value_.empty();
    std::ranges::fill(value_, policy::JsonPath::kRoot);
}

void JsonPlace::follow(const Frame& frame, std::string_view name) {
    followed_ = false;
    const auto* parent = states_.data() + (states_.size() - value_.size());
    auto* state = value_.data();
    for (const policy::JsonMask& mask : masks_) {
        *state = frame.object ? mask.path.member(*parent++, name)
                              : mask.path.element(*parent++, frame.index);
        followed_ = followed_ || *state != 0;
        if (mask.path.complete(*state++))
            mask_ = mask_ ? detect::stronger(*mask_, mask.with) : mask.with;
    }
}

void JsonPlace::open(bool object) {
    std::uint64_t names = 0;
    if (followed_) {
        states_.insert(states_.end(), value_.begin(), value_.end());
        for (std::size_t i = 0; object && i != value_.size(); ++i)
            names |= masks_[i].path.names(value_[i]);
    }
    frames_.push_back({object, followed_, names, 0, mask_});
}

bool JsonPlace::close(bool object) {
    if (frames_.empty() || frames_.back().object != object) return false;
    if (frames_.back().followed) states_.resize(states_.size() - value_.size());
    frames_.pop_back();
    return true;
}

}  // namespace chaperone::session
