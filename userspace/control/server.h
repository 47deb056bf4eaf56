// SPDX-License-Identifier: Apache-2.0
// Serves the API on a Unix socket: a thread accepts, a bounded number of threads each serve one
// connection, because calls may block (the index, a long poll, a stream). Nothing here is on the
// data path.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/control/http.h"
#include "userspace/control/service.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace chaperone::control {

struct ServerOptions {
    std::filesystem::path socket{};  // DIR/run/chaperone/api.sock; its folder must exist
    std::string operators_group = "chaperone";
    // Whether this process runs inside a governed cgroup. Asked for every request, as an agent may
    // be governed after it has connected.
    std::function<bool(pid_t)> is_governed{};
    // A governed process has asked for what it may not have, and was refused. May be called from
    // any thread, and often.
    std::function<void(const Caller&, const HttpRequest&)> refused{};
    std::size_t connections = 128;         // at a time; each costs a thread
    std::size_t connections_of_user = 32;  // root excepted: nobody can keep the operators out
    Duration request_time = std::chrono::seconds{10};  // for a request to arrive whole
    Duration idle_time = std::chrono::seconds{60};     // between requests of a connection
    Duration write_time = std::chrono::seconds{10};    // for a reader to make room
    HttpLimits limits{};
};

class Server {
public:
    // Listens from now on; a socket that an earlier daemon left is replaced. `service` must outlive
    // the server.
    static Result<std::unique_ptr<Server>> start(ServerOptions options, Service& service);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    // Closes all connections, waits for the calls that run, and removes the socket.
    ~Server();

    void set_operators_group(std::string name);

private:
    struct State;
    explicit Server(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::control
