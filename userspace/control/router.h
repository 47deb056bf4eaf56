// SPDX-License-Identifier: Apache-2.0
// Which request calls what, and who may: HTTP without sockets. The same router serves the Unix
// socket and whatever else will carry the API. Thread-safe if the Service is.
#pragma once

#include "userspace/control/caller.h"
#include "userspace/control/http.h"
#include "userspace/control/service.h"

#include <functional>
#include <string>

namespace chaperone::control {

enum class Access {
    Everybody,  // who can reach the socket
    Approver,   // not governed; the approval itself says who may decide it
    Operator,   // root or the operators' group, and not governed
};

struct Reply {
    int status = 500;
    std::string type = "application/json";
    std::string body{};
    // Set: the answer is a stream of JSON lines, made by calling this.
    std::function<Result<>(Stream&)> stream{};
};

Reply route(const HttpRequest& request, const Caller& caller, Service& service);

// Whether a caller has this access; Denied says why not.
Result<> check_access(Access access, const Caller& caller);

}  // namespace chaperone::control
