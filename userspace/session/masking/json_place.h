// SPDX-License-Identifier: Apache-2.0
// Where in a JSON text that streams by a value stands, and what the paths of the masks do to it for
// that. Its depth is the caller's to bound.
#pragma once

#include "policy/mask.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace chaperone::session {

class JsonPlace {
public:
    // The masks outlive it.
    explicit JsonPlace(const std::vector<policy::JsonMask>& masks)
        : masks_(masks), value_(masks.size()) {}

    std::size_t depth() const noexcept { return frames_.size(); }
    bool in_object() const noexcept { return !frames_.empty() && frames_.back().object; }
    bool outermost() const noexcept { return frames_.empty(); }

    // A value begins; its name, unescaped, where it stands in an object.
    void begin(std::string_view name) {
        if (frames_.empty()) return begin_outermost();
        const Frame& frame = frames_.back();
        mask_ = frame.whole;
        followed_ = frame.followed &&
                    (!frame.object || (frame.names & policy::JsonPath::bit_of(name)) != 0);
        if (followed_) follow(frame, name);
    }
    // Of the value that began last.
    const std::optional<detect::With>& mask() const noexcept { return mask_; }

    void open(bool object);   // the value that began last
    bool close(bool object);  // false: there is none to close
    void comma() noexcept { ++frames_.back().index; }

private:
    struct Frame {
        bool object = false;
        bool followed = false;                // a path may lead to what is in it
        std::uint64_t names = 0;              // JsonPath::names, of all paths
        std::size_t index = 0;                // of the element
        std::optional<detect::With> whole{};  // of all that is in it
    };

    void begin_outermost();
    void follow(const Frame& frame, std::string_view name);

    const std::vector<policy::JsonMask>& masks_;
    std::vector<Frame> frames_;
    std::vector<policy::JsonPath::State> states_;  // a row of paths a frame that is followed
    std::vector<policy::JsonPath::State> value_;   // the row of the value that began last
    bool followed_ = false;
    std::optional<detect::With> mask_;
};

}  // namespace chaperone::session
