// SPDX-License-Identifier: Apache-2.0
// Changes to a head on its way: what a credential, a mask or the hop itself makes of it. Empty for
// most messages, which then go on as the bytes they came in.
#pragma once

#include "userspace/base/http.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::session {

class HeadEdits {
public:
    void remove(std::string_view name);                       // all fields of this name
    void set(std::string_view name, std::string_view value);  // instead of all of this name
    void add(std::string_view name, std::string_view value);  // behind what is there
    void set_target(std::string target) { target_ = std::move(target); }  // "/path?query"
    // The length of the body that follows is not what the head says: the front frames it anew.
    void reframe() { reframe_ = true; }

    bool empty() const noexcept {
        return removed_.empty() && added_.empty() && !target_ && !reframe_;
    }
    bool reframes() const noexcept { return reframe_; }
    void clear();

    // The fields as they go on. Views of what those of `fields` are of, and of this object.
    http::Fields apply(http::Fields fields) const;
    std::string_view target(std::string_view sent) const { return target_ ? *target_ : sent; }

private:
    std::vector<std::string> removed_{};
    std::vector<std::pair<std::string, std::string>> added_{};
    std::optional<std::string> target_{};
    bool reframe_ = false;
};

}  // namespace chaperone::session
