// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/server.h"

#include "userspace/base/guarded.h"
#include "userspace/base/log.h"
#include "userspace/base/unique_fd.h"
#include "userspace/control/connection.h"
#include "userspace/control/errors.h"
#include "userspace/control/json.h"
#include "userspace/control/router.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace chaperone::control {
namespace {

Result<UniqueFd> listen_on(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string text = path.string();
    if (text.size() >= sizeof address.sun_path)
        return fail(Errc::Invalid, "the path of the API socket is too long: " + text);
    std::memcpy(address.sun_path, text.data(), text.size());
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) return system_error("make the API socket", errno);
    if (::unlink(text.c_str()) != 0 && errno != ENOENT)
        return system_error("replace " + text, errno);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return system_error("bind " + text, errno);
    // Everybody may connect: the peer's credentials decide what it may do.
    if (::chmod(text.c_str(), 0666) != 0) return system_error("chmod " + text, errno);
    if (::listen(fd.get(), 64) != 0) return system_error("listen on " + text, errno);
    return fd;
}

class ChunkStream final : public Stream {
public:
    ChunkStream(Connection& connection, std::string_view type, Duration patience,
                const std::atomic<bool>& stopping)
        : connection_(connection), type_(type), patience_(patience), stopping_(stopping) {}

    bool write(const google::protobuf::Message& message) override {
        return send(make_chunk(to_json(message) + '\n'));
    }
    bool open() override { return ok_ && !stopping_ && begin() && connection_.alive(); }

    bool begun() const { return begun_; }
    bool begin() {
        if (begun_) return ok_;
        begun_ = true;
        return send(make_stream_head(type_));
    }
    void end(const Result<>& result) {
        // An error after the first line: the last line says so.
        if (!result) send(make_chunk(error_json(result.error()) + '\n'));
        send(kLastChunk);
    }

private:
    bool send(std::string_view data) {
        if (!begin()) return false;
        ok_ = ok_ && connection_.write(data, patience_).has_value();
        return ok_;
    }

    Connection& connection_;
    std::string type_;
    Duration patience_;
    const std::atomic<bool>& stopping_;
    bool begun_ = false;
    bool ok_ = true;
};

}  // namespace

struct Server::State {
    ServerOptions options{};
    Service& service;
    UniqueFd listener{};
    UniqueFd wake{};
    std::atomic<bool> stopping = false;
    Guarded<std::string> operators{};

    std::mutex mutex{};
    std::condition_variable ended{};
    std::map<int, uid_t> connections{};  // by file descriptor; under mutex
    std::thread accepter{};

    State(ServerOptions o, Service& s) : options(std::move(o)), service(s) {}

    void accept_all();
    void take(UniqueFd fd);
    void serve(Connection connection);
    bool serve_one(Connection& connection, std::string& rest);
    Result<std::optional<HttpRequest>> receive(Connection& connection, std::string& rest) const;
    bool reply(Connection& connection, const HttpRequest& request);
    bool stream(Connection& connection, Reply reply);
};

void Server::State::accept_all() {
    while (!stopping) {
        pollfd waiting[] = {{.fd = listener.get(), .events = POLLIN, .revents = 0},
                            {.fd = wake.get(), .events = POLLIN, .revents = 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
        UniqueFd fd{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        if (fd) {
            take(std::move(fd));
        } else if (errno == EMFILE || errno == ENFILE) {
            // The connection stays in the queue and wakes us at once: wait a little for room.
            ::poll(&waiting[1], 1, 100);
        }
    }
}

void Server::State::take(UniqueFd fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    const std::lock_guard lock{mutex};
    std::size_t of_user = 0;
    for (const auto& [other, uid] : connections) of_user += uid == peer.uid;
    const bool full = connections.size() >= options.connections ||
                      (peer.uid != 0 && of_user >= options.connections_of_user);
    if (full) {
        const std::string answer =
            make_response(503, "application/json",
                          error_json({Errc::Unavailable, "too many API connections"}), false);
        ::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    const int number = fd.get();
    connections.emplace(number, peer.uid);
    try {
        std::thread{[this, connection = Connection{std::move(fd)}]() mutable {
            serve(std::move(connection));
        }}.detach();
    } catch (const std::system_error&) {  // no thread to be had: the caller sees it closed
        connections.erase(number);
        log::warning("an API connection was closed for want of a thread");
    }
}

void Server::State::serve(Connection connection) {
    const int number = connection.fd();
    std::string rest;
    while (!stopping && serve_one(connection, rest)) {
    }
    // Off the list before the descriptor is closed: its number may be given out again at once.
    const std::unique_lock lock{mutex};
    connections.erase(number);
    {
        const Connection closed = std::move(connection);
    }
    ended.notify_all();
}

Result<std::optional<HttpRequest>> Server::State::receive(Connection& connection,
                                                          std::string& rest) const {
    RequestReader reader{options.limits};
    const auto begin = std::chrono::steady_clock::now();
    std::string arrived = std::exchange(rest, {});
    while (true) {
        auto request = reader.feed(as_bytes(arrived));
        if (!request || *request) {
            rest = reader.rest();
            return request;
        }
        const Duration spent = std::chrono::steady_clock::now() - begin;
        const Duration left =
            reader.started() ? options.request_time - spent : options.idle_time - spent;
        auto more = connection.read(std::max(left, Duration{}));
        if (!more) {
            if (!reader.started()) return std::nullopt;
            return fail(more.error());
        }
        if (more->empty()) return std::nullopt;
        arrived = *std::move(more);
    }
}

bool Server::State::serve_one(Connection& connection, std::string& rest) {
    auto request = receive(connection, rest);
    if (!request) {
        const std::string answer =
            make_response(http_status(request.error().code), "application/json",
                          error_json(request.error()), false);
        (void)connection.write(answer, options.write_time);
        return false;
    }
    if (!*request) return false;
    return reply(connection, **request);
}

bool Server::State::reply(Connection& connection, const HttpRequest& request) {
    auto caller =
        caller_of(connection.fd(), operators.with([](const std::string& name) { return name; }));
    Reply reply;
    if (caller) {
        caller->governed = !options.is_governed || options.is_governed(caller->pid);
        reply = route(request, *caller, service);
        if (caller->governed && reply.status == http_status(Errc::Denied) && options.refused)
            options.refused(*caller, request);
    } else {
        reply = {.status = http_status(caller.error().code), .body = error_json(caller.error())};
    }
    if (reply.stream) return stream(connection, std::move(reply));
    const std::string answer =
        make_response(reply.status, reply.type, reply.body, request.keep_alive);
    return connection.write(answer, options.write_time).has_value() && request.keep_alive;
}

bool Server::State::stream(Connection& connection, Reply reply) {
    ChunkStream out{connection, reply.type, options.write_time, stopping};
    const auto result = reply.stream(out);
    if (!result && !out.begun()) {
        const std::string answer =
            make_response(http_status(result.error().code), "application/json",
                          error_json(result.error()), false);
        (void)connection.write(answer, options.write_time);
        return false;
    }
    out.end(result);
    return false;
}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Service& service) {
    auto state = std::make_unique<State>(std::move(options), service);
    state->operators.with([&](std::string& name) { name = state->options.operators_group; });
    auto listener = listen_on(state->options.socket);
    if (!listener) return fail(listener.error());
    state->listener = *std::move(listener);
    state->wake = UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!state->wake) return system_error("make an eventfd", errno);
    state->accepter = std::thread{[s = state.get()] { s->accept_all(); }};
    return std::unique_ptr<Server>{new Server{std::move(state)}};
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
    state_->stopping = true;
    (void)::eventfd_write(state_->wake.get(), 1);
    state_->accepter.join();
    ::unlink(state_->options.socket.c_str());
    std::unique_lock lock{state_->mutex};
    for (const auto& [fd, uid] : state_->connections) ::shutdown(fd, SHUT_RDWR);
    state_->ended.wait(lock, [&] { return state_->connections.empty(); });
}

void Server::set_operators_group(std::string name) {
    state_->operators.with([&](std::string& old) { old = std::move(name); });
}

}  // namespace chaperone::control
