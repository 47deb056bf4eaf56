// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/proxy.h"

#include "policy/bundle/bundle.h"
#include "userspace/base/ids.h"
#include "userspace/base/log.h"
#include "userspace/net/approvals.h"
#include "userspace/net/catalogs.h"
#include "userspace/net/io_thread.h"
#include "userspace/net/listener.h"
#include "userspace/net/placement.h"
#include "userspace/net/protocols.h"
#include "userspace/net/resolver.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/shared.h"
#include "userspace/net/target.h"
#include "userspace/net/tokens.h"
#include "userspace/net/worker.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <optional>
#include <thread>
#include <unordered_map>

namespace chaperone::net {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
// How long the first bytes of a connection may take that tell its resource.
constexpr auto kHelloPatience = std::chrono::seconds{10};
constexpr std::size_t kHelloPiece = 4096;
// Connections that are accepted before others on the thread have their turn.
constexpr int kAtOnce = 64;
// Out of descriptors or memory: connections wait in the backlog meanwhile.
constexpr auto kBreath = std::chrono::milliseconds{50};

// For sessions that did not end by themselves, to say that they end now.
constexpr auto kLastWords = std::chrono::seconds{2};

// A connection that is nobody's is reset, so that its opener sees it fail at once.
void reset(UniqueFd connection) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

struct Proxy::State {
    Shared shared;
    std::vector<std::unique_ptr<Worker>> workers;
    std::unique_ptr<IoThread> front;  // accepts
    using Acceptors = std::vector<std::shared_ptr<tcp::acceptor>>;
    Acceptors acceptors;
    std::unordered_map<std::uint64_t, Acceptors> elsewhere;  // by namespace; on front's thread only
    std::unique_ptr<Resolver> resolver;
    std::uint16_t port = 0;
    std::atomic<bool> draining{false};
    std::atomic<bool> names_resolve{true};

    ~State();
    Result<> listen();
    Result<> listen(const tcp::endpoint& at);
    std::shared_ptr<tcp::acceptor> adopt(UniqueFd listener) const;
    void stop_listening();
    asio::awaitable<void> accept(std::shared_ptr<tcp::acceptor> acceptor);
    void leave(std::uint64_t netns);
    bool is_question(const Origin& origin) const;
    asio::awaitable<void> expire_approvals();
    void admit(UniqueFd connection, const tcp& protocol);
    Result<> begin(Worker& worker, int fd, const tcp& protocol, Origin origin);
    asio::awaitable<void> sniff(Worker& worker, Poller::Outside outside, Stream stream,
                                Origin origin, Buffer early);
    Result<> open(Worker& worker, Stream stream, const Origin& origin, const AskedName& asked,
                  Buffer early);
    Worker& place();
};

Proxy::State::~State() {
    if (front) front->join();
    resolver.reset();
    if (shared.signer) shared.signer->join();
    for (auto& worker : workers) worker->thread->join();
    shared.signer.reset();  // who waits for it belongs to a worker
    acceptors.clear();
    elsewhere.clear();
    front.reset();
    workers.clear();  // what sessions held is let go by the contexts
    shared.catalogs.reset();
    shared.tokens.reset();
}

// Who comes from now on waits for the next process where a service manager keeps the sockets, and
// is refused by the kernel where not. Who was accepted before is no longer to be told apart.
void Proxy::State::stop_listening() {
    std::promise<void> done;
    asio::post(front->context(), [&] {
        error_code ignored;
        for (const auto& acceptor : acceptors) acceptor->close(ignored);
        while (!elsewhere.empty()) leave(elsewhere.begin()->first);
        done.set_value();
    });
    done.get_future().wait();
}

std::shared_ptr<tcp::acceptor> Proxy::State::adopt(UniqueFd listener) const {
    int family = AF_INET;
    socklen_t size = sizeof family;
    ::getsockopt(listener.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
    auto acceptor = std::make_shared<tcp::acceptor>(front->context());
    error_code error;
    acceptor->assign(family == AF_INET6 ? tcp::v6() : tcp::v4(), listener.get(), error);
    if (error) {
        log::error("a listener cannot be used", {{"error", error.message()}});
        return nullptr;
    }
    (void)listener.release();
    return acceptor;
}

Result<> Proxy::State::listen(const tcp::endpoint& at) {
    auto listener = make_listener(SOCK_STREAM, at.data(), static_cast<socklen_t>(at.size()),
                                  shared.options.kept);
    if (!listener) return fail(listener.error());
    auto acceptor = adopt(*std::move(listener));
    if (!acceptor) return fail(Errc::System, "listen on port " + std::to_string(at.port()));
    acceptors.push_back(std::move(acceptor));
    return {};
}

// The same port for both families, because one number is in the kernel's map.
Result<> Proxy::State::listen() {
    const auto v4 = asio::ip::make_address("127.0.0.1"), v6 = asio::ip::make_address("::1");
    for (int attempt = 0;; ++attempt) {
        if (auto done = listen({v4, shared.options.port}); !done) return done;
        port = acceptors.back()->local_endpoint().port();
        auto done = listen({v6, port});
        if (done && resolver) done = resolver->listen({v4, port});
        if (done && resolver) done = resolver->listen({v6, port});
        if (done) return {};
        acceptors.clear();
        if (resolver) resolver->close_listeners();
        if (shared.options.port != 0 || attempt == 16) return done;
    }
}

asio::awaitable<void> Proxy::State::accept(std::shared_ptr<tcp::acceptor> acceptor) {
    error_code error;
    const tcp protocol = acceptor->local_endpoint(error).protocol();
    acceptor->native_non_blocking(true, error);
    Stream::set_options(acceptor->native_handle());  // what it accepts has them, too
    for (int turn = 0; acceptor->is_open(); ++turn) {
        UniqueFd connection{
            ::accept4(acceptor->native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        const int why = errno;
        if (connection) {
            admit(std::move(connection), protocol);
            if (turn % kAtOnce != 0) continue;
        } else if (why == EINTR || why == ECONNABORTED) {
            continue;
        } else if (why != EAGAIN && why != EWOULDBLOCK) {
            log::warning("connection not accepted", {{"error", std::strerror(why)}});
            asio::steady_timer pause{front->context(), kBreath};
            co_await pause.async_wait(kNoThrow);
        }
        if (acceptor->is_open()) co_await acceptor->async_wait(tcp::acceptor::wait_read, kNoThrow);
    }
}

// To whatever resolver, unless a resource is one.
bool Proxy::State::is_question(const Origin& origin) const {
    constexpr std::uint16_t kDns = 53;
    if (!resolver || !names_resolve || origin.destination.port != kDns) return false;
    const auto bundle = shared.bundle();
    return !bundle || bundle->resource_for(origin.destination, origin.names).resource == nullptr;
}

void Proxy::State::admit(UniqueFd connection, const tcp& protocol) {
    ++shared.tally.accepted;
    auto origin = shared.services.origin(connection.get());
    if (!origin) {
        ++shared.tally.without_origin;
        reset(std::move(connection));
        return;
    }
    const std::size_t load = shared.registry.size() + shared.tally.sniffed.load();
    if (draining || load >= shared.options.max_sessions) {
        ++shared.tally.refused;
        log::warning("session refused",
                     {{"workload", origin->workload},
                      {"error", draining ? "shutting down" : "too many sessions"}});
        reset(std::move(connection));
        return;
    }
    origin->names =
        shared.names.of(origin->workload, origin->destination.address, Names::Clock::now());
    if (is_question(*origin)) {
        resolver->serve(std::move(connection), *std::move(origin));
        return;
    }
    const int fd = connection.release();  // a posted function must be copyable
    Worker& worker = place();
    ++worker.load;
    ++worker.recent;
    Poller::of(worker.thread->context())
        .post([this, &worker, fd, protocol, origin = std::move(*origin)]() mutable {
            const std::string workload = origin.workload;
            if (auto begun = begin(worker, fd, protocol, std::move(origin)); !begun) {
                ++shared.tally.refused;
                log::warning("session refused",
                             {{"workload", workload}, {"error", begun.error().message()}});
            }
        });
}

Worker& Proxy::State::place() {
    static thread_local std::vector<ThreadLoad> loads;
    loads.clear();
    for (const auto& worker : workers)
        loads.push_back({worker->load, worker->busy, worker->recent});
    static const unsigned processors = std::thread::hardware_concurrency();  // reads a file
    return *workers[place_session(loads, processors)];
}

Result<> Proxy::State::begin(Worker& worker, int fd, const tcp& protocol, Origin origin) {
    auto& context = worker.thread->context();
    Stream stream{context, protocol, UniqueFd{fd}};
    if (!wants_asked_name(shared, origin)) return open(worker, std::move(stream), origin, {}, {});
    // Mostly the first bytes are here already, and say it.
    Buffer early(kHelloPiece);
    early.resize(stream.read(early).bytes);
    if (const auto asked = asked_name(early))
        return open(worker, std::move(stream), origin, *asked, std::move(early));
    asio::co_spawn(context,
                   sniff(worker, Poller::Outside{Poller::of(context)}, std::move(stream),
                         std::move(origin), std::move(early)),
                   asio::detached);
    return {};
}

// A resource may be claimed by the name that the client asks for in its first bytes. A client that
// says nothing in time, or leaves, has a session all the same: it is recorded.
asio::awaitable<void> Proxy::State::sniff(Worker& worker, Poller::Outside, Stream stream,
                                          Origin origin, Buffer early) {
    ++shared.tally.sniffed;
    auto& context = worker.thread->context();
    asio::steady_timer limit{context};
    limit.expires_after(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(kHelloPatience));
    bool late = false;
    limit.async_wait([&stream, &late](error_code cancelled) {
        if (cancelled) return;
        late = true;
        stream.wake();
    });
    std::optional<AskedName> asked;
    while (!asked && !late) {
        const std::size_t had = early.size();
        early.resize(had + kHelloPiece);
        const Stream::Moved moved = stream.read(std::span{early}.subspan(had));
        early.resize(had + moved.bytes);
        if (moved.state == Stream::State::Closed) break;
        if (moved.state == Stream::State::WouldBlock) {
            co_await stream.readable();
            continue;
        }
        asked = asked_name(early);
        if (early.size() > 2 * kMaxAskedName) break;
    }
    // The handler refers to this frame: it must have run, or be cancelled, before we leave.
    if (!late && limit.cancel() == 0) co_await asio::post(context, kNoThrow);
    --shared.tally.sniffed;
    const AskedName name = asked.value_or(AskedName{});
    const auto opened = open(worker, std::move(stream), origin, name, std::move(early));
    if (opened) co_return;
    ++shared.tally.refused;
    log::warning("session refused",
                 {{"workload", origin.workload}, {"error", opened.error().message()}});
}

Result<> Proxy::State::open(Worker& worker, Stream stream, const Origin& origin,
                            const AskedName& asked, Buffer early) {
    // Whoever was on the way when those that are open were told to end would not hear of it.
    if (draining) return fail(Errc::Unavailable, "shutting down");
    const Opening opening = open_session(shared, origin, asked);
    const auto& facts = opening.facts;
    auto self = std::make_shared<std::weak_ptr<SessionRunner>>();
    auto& context = worker.thread->context();
    auto live = std::make_shared<LiveSession>(
        facts->id, [self, &poller = Poller::of(context)](std::function<void(SessionRunner&)> call) {
            poller.post([self, call = std::move(call)] {
                if (const auto runner = self->lock()) call(*runner);
            });
        });
    live->facts.with([&](auto& held) { held = facts; });
    const CancelKey key = shared.registry.new_key(facts->id);
    auto runner =
        std::make_shared<SessionRunner>(context, shared, std::move(stream), live, opening, key);
    *self = runner;
    worker.runners[facts->id] = runner;
    shared.registry.add(live);
    return runner->start(make_machine(shared, opening, {key, live}), std::move(early));
}

asio::awaitable<void> Proxy::State::expire_approvals() {
    asio::steady_timer pause{front->context()};
    for (;;) {
        pause.expires_after(std::chrono::milliseconds{250});
        co_await pause.async_wait(kNoThrow);
        shared.services.approvals->with([](approval::ApprovalBook& book) { book.expire(now()); });
    }
}

Proxy::Proxy(std::unique_ptr<State> state) : state_(std::move(state)) {}
Proxy::~Proxy() = default;

Result<std::unique_ptr<Proxy>> Proxy::create(Options options, Services services, BundlePtr bundle) {
    auto state = std::make_unique<State>();
    if (options.threads == 0) options.threads = std::max(1U, std::thread::hardware_concurrency());
    state->shared.options = std::move(options);
    state->shared.services = std::move(services);
    state->shared.set_bundle(std::move(bundle));
    if (auto started = state->shared.start_threads(); !started) return fail(started.error());
    for (unsigned i = 0; i <= state->shared.options.threads; ++i) {
        auto thread = IoThread::start(i);
        if (!thread) return fail(thread.error());
        if (i == state->shared.options.threads) {
            state->front = std::move(*thread);
            break;
        }
        state->workers.push_back(std::make_unique<Worker>());
        state->workers.back()->thread = std::move(*thread);
    }
    if (state->shared.options.dns.enabled) {
        auto resolver = Resolver::create(state->shared, state->shared.options.dns);
        if (!resolver) return fail(resolver.error());
        state->resolver = std::move(*resolver);
    }
    if (auto listening = state->listen(); !listening) return fail(listening.error());
    return std::unique_ptr<Proxy>{new Proxy{std::move(state)}};
}

Result<> Proxy::start() {
    for (auto& worker : state_->workers)
        asio::co_spawn(worker->thread->context(), worker->tick(), asio::detached);
    for (auto& acceptor : state_->acceptors)
        asio::co_spawn(state_->front->context(), state_->accept(acceptor), asio::detached);
    asio::co_spawn(state_->front->context(), state_->expire_approvals(), asio::detached);
    if (state_->resolver) state_->resolver->start();
    return {};
}

std::uint16_t Proxy::port() const {
    return state_->port;
}

void Proxy::State::leave(std::uint64_t netns) {
    const auto there = elsewhere.find(netns);
    if (there == elsewhere.end()) return;
    error_code ignored;
    for (const auto& acceptor : there->second) acceptor->close(ignored);
    elsewhere.erase(there);
}

void Proxy::accept_from(std::uint64_t netns, std::vector<UniqueFd> listeners) {
    auto held = std::make_shared<std::vector<UniqueFd>>(std::move(listeners));
    asio::post(state_->front->context(), [state = state_.get(), netns, held] {
        state->leave(netns);
        for (UniqueFd& listener : *held) {
            auto acceptor = state->adopt(std::move(listener));
            if (!acceptor) continue;
            asio::co_spawn(state->front->context(), state->accept(acceptor), asio::detached);
            state->elsewhere[netns].push_back(std::move(acceptor));
        }
    });
}

void Proxy::answer_in(std::uint64_t netns, std::vector<UniqueFd> sockets) {
    if (!state_->resolver) return;
    state_->resolver->leave(netns);
    for (UniqueFd& socket : sockets) state_->resolver->answer_on(std::move(socket));
}

void Proxy::leave(std::uint64_t netns) {
    if (state_->resolver) state_->resolver->leave(netns);
    asio::post(state_->front->context(), [state = state_.get(), netns] { state->leave(netns); });
}

const Names& Proxy::names() const {
    return state_->shared.names;
}

void Proxy::resolve_names(bool wanted) {
    state_->names_resolve = wanted;
}

void Proxy::set_bundle(BundlePtr bundle) {
    state_->shared.set_bundle(std::move(bundle));
}

Proxy::BundlePtr Proxy::bundle() const {
    return state_->shared.bundle();
}

std::vector<SessionSnapshot> Proxy::sessions() const {
    std::vector<SessionSnapshot> all;
    for (const LivePtr& session : state_->shared.registry.all()) all.push_back(session->snapshot());
    return all;
}

Result<> Proxy::kill(std::string_view id, std::string why) {
    const LivePtr session = state_->shared.registry.find(id);
    if (!session) return fail(Errc::NotFound, "open session " + std::string{id});
    session->post([why = std::move(why)](SessionRunner& runner) { runner.terminate(why); });
    return {};
}

void Proxy::kill_workload(std::string_view workload, std::string reason) {
    for (const LivePtr& session : state_->shared.registry.all()) {
        if (session->snapshot().facts->workload != workload) continue;
        session->post([reason](SessionRunner& runner) { runner.terminate(reason); });
    }
}

Counters Proxy::counters() const {
    const Tally& tally = state_->shared.tally;
    Counters counters;
    counters.accepted = tally.accepted;
    counters.without_origin = tally.without_origin;
    counters.refused = tally.refused;
    counters.open = state_->shared.registry.size();
    counters.requests = tally.requests;
    counters.denied = tally.denied;
    counters.held = tally.held;
    counters.unrecordable = tally.unrecordable;
    counters.shadow_denied = tally.shadow_denied;
    counters.shadow_held = tally.shadow_held;
    counters.shadow_allowed = tally.shadow_allowed;
    return counters;
}

std::vector<int> Proxy::listeners() const {
    std::vector<int> fds;
    for (const auto& acceptor : state_->acceptors) fds.push_back(acceptor->native_handle());
    if (state_->resolver) state_->resolver->add_listeners(fds);
    return fds;
}

void Proxy::drain(Duration patience) {
    state_->stop_listening();
    state_->draining = true;
    const Registry& registry = state_->shared.registry;
    const auto everyone = [&](void (SessionRunner::*what)(const std::string&), Duration most) {
        for (const LivePtr& session : registry.all())
            session->post(
                [what](SessionRunner& runner) { (runner.*what)("chaperone is shutting down"); });
        const auto until = std::chrono::steady_clock::now() + most;
        while (registry.size() != 0 && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
    };
    everyone(&SessionRunner::wind_down, patience);
    for (const LivePtr& session : registry.all()) {
        const SessionSnapshot one = session->snapshot();
        log::warning("session cut", {{"session", one.facts->id},
                                     {"workload", one.facts->workload},
                                     {"protocol", one.facts->protocol},
                                     {"state", one.state}});
    }
    if (registry.size() != 0) everyone(&SessionRunner::terminate, kLastWords);
}

}  // namespace chaperone::net
