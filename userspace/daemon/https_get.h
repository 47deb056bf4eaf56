// SPDX-License-Identifier: Apache-2.0
// One GET over HTTPS, for the keys of identity providers. Blocking, bounded in time and size; no
// redirects. The server's certificate and name are always checked.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <chrono>
#include <cstddef>
#include <string>

namespace chaperone::daemon {

struct HttpsLimits {
    Duration time = std::chrono::seconds{10};
    std::size_t body = 512 * 1024;
};

// The body of a 200 answer. `ca` is PEM to trust instead of the system's store; empty: that.
// Invalid: not an https URL. Unavailable: not reached, not trusted, another status.
Result<std::string> https_get(const std::string& url, const std::string& ca,
                              const HttpsLimits& limits = {});

}  // namespace chaperone::daemon
