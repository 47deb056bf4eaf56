// SPDX-License-Identifier: Apache-2.0
// What policy sees of one message of a WebSocket: the variable `ws`. Owns its text.
#pragma once

#include <string>
#include <string_view>

namespace chaperone::policy::http {

struct Message {
    bool up = true;      // from the agent
    bool text = true;    // else binary
    std::string data{};  // decompressed; of a text, valid UTF-8
};

}  // namespace chaperone::policy::http
