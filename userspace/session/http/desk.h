// SPDX-License-Identifier: Apache-2.0
// http://chaperone.internal/, where a governed agent asks about itself: nobody else is behind it.
#pragma once

#include "policy/http/facts.h"
#include "userspace/base/clock.h"
#include "userspace/session/http/refusal.h"

#include <optional>
#include <string_view>

namespace chaperone::session {

class Desk {
public:
    static constexpr std::string_view kName = "chaperone.internal";
    // The dummy address of RFC 7600, which no host has: connections to it come to us.
    static constexpr std::string_view kAddress = "192.0.0.8";

    virtual ~Desk() = default;
    // What `who` is told. Nothing: it waits for what has not happened yet; to be asked again, about
    // once a second. `since`: when the request came.
    virtual std::optional<LocalResponse> answer(const policy::SessionFacts& who,
                                                const policy::http::Facts& request, Time since,
                                                Time now) = 0;
};

}  // namespace chaperone::session
