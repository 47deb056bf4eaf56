// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/proxy.h"

#include "policy/bundle/bundle.h"
#include "userspace/base/ids.h"
#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/net/acceptor.h"
#include "userspace/net/approvals.h"
#include "userspace/net/catalogs.h"
#include "userspace/net/io_thread.h"
#include "userspace/net/listener.h"
#include "userspace/net/placement.h"
#include "userspace/net/protocols.h"
#include "userspace/net/resolver.h"
#include "userspace/net/server_pool.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/shared.h"
#include "userspace/net/sniffer.h"
#include "userspace/net/target.h"
#include "userspace/net/tokens.h"
#include "userspace/net/worker.h"
#include "userspace/net/workload_room.h"

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
#include <thread>
#include <unordered_map>

namespace chaperone::net {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
// How long the first bytes of a connection may take that tell its resource.
constexpr auto kHelloPatience = std::chrono::seconds{10};
// For sessions that did not end by themselves, to say that they end now.
constexpr auto kLastWords = std::chrono::seconds{2};

// A connection that is nobody's is reset, so that its opener sees it fail at once.
void reset(UniqueFd connection) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// What a session holds as long as it is there.
struct Listed {
    Listed(std::shared_ptr<const Counted> counts, Roster<SessionRunner>& on)
        : counted(std::move(counts)), place(on) {}
    std::shared_ptr<const Counted> counted;
    Roster<SessionRunner>::Place place;
};

}  // namespace

struct Proxy::State {
    Shared shared;
    std::vector<std::unique_ptr<Worker>> workers;
    using Entrances = std::vector<std::shared_ptr<const Entrance>>;
    Entrances entrances;                                              // of our own namespace
    Guarded<std::unordered_map<std::uint64_t, Entrances>> elsewhere;  // by namespace
    std::unique_ptr<Resolver> resolver;
    std::uint16_t port = 0;
    std::atomic<bool> draining{false};
    std::atomic<bool> names_resolve{true};

    ~State();
    Result<> listen();
    Result<> listen(const tcp::endpoint& at);
    void stop_listening();
    void accept_on(const Entrances& these);
    void leave(Entrances these);
    bool is_question(const Origin& origin) const;
    asio::awaitable<void> expire_approvals();
    std::string_view full(const WorkloadRoom& room) const;
    void admit(Worker& here, UniqueFd connection, const tcp::endpoint& client);
    Result<> begin(Worker& worker, int fd, const tcp::endpoint& client, Origin origin,
                   std::shared_ptr<const Counted> counted);
    void note_refused(const std::string& workload, const Result<>& opened);
    Result<> open(Worker& worker, Stream stream, const Origin& origin, const AskedName& asked,
                  Buffer early, std::shared_ptr<const Counted> counted);
    Worker& place(const Worker& here);
    template <class Call>
    void on_pools(const Call& call);
};

// Behind what was posted to sessions before.
template <class Call>
void Proxy::State::on_pools(const Call& call) {
    for (const auto& worker : workers)
        worker->pool.poller().post([&pool = worker->pool, call] { call(pool); });
}

Proxy::State::~State() {
    for (auto& worker : workers) worker->thread->join();  // they accept: nothing else first
    resolver.reset();
    if (shared.signer) shared.signer->join();
    shared.signer.reset();  // who waits for it belongs to a worker
    workers.clear();        // what sessions held is let go by the contexts
    shared.catalogs.reset();
    shared.tokens.reset();
}

// Who comes from now on waits for the next process where a service manager keeps the sockets, and
// is refused by the kernel where not. Who was accepted before is no longer to be told apart.
void Proxy::State::stop_listening() {
    std::vector<std::future<void>> all;
    for (const auto& worker : workers) {
        auto left = std::make_shared<std::promise<void>>();
        all.push_back(left->get_future());
        worker->pool.poller().post([left, worker = worker.get()] {
            for (const auto& acceptor : worker->acceptors) acceptor->stop();
            worker->acceptors.clear();
            left->set_value();
        });
    }
    // One that is busy until then accepts nothing meanwhile, and stops when it is not.
    const auto until = std::chrono::steady_clock::now() + kLastWords;
    for (const auto& left : all) (void)left.wait_until(until);
    entrances.clear();
    elsewhere.with([](auto& all) { all.clear(); });
}

Result<> Proxy::State::listen(const tcp::endpoint& at) {
    auto listener = make_listener(SOCK_STREAM, at.data(), static_cast<socklen_t>(at.size()),
                                  shared.options.kept);
    if (!listener) return fail(listener.error());
    auto entrance = Entrance::make(*std::move(listener));
    if (!entrance) return fail(entrance.error());
    entrances.push_back(*std::move(entrance));
    return {};
}

// The same port for both families, because one number is in the kernel's map.
Result<> Proxy::State::listen() {
    const auto v4 = asio::ip::make_address("127.0.0.1"), v6 = asio::ip::make_address("::1");
    for (int attempt = 0;; ++attempt) {
        if (auto done = listen({v4, shared.options.port}); !done) return done;
        port = entrances.back()->at.port();
        auto done = listen({v6, port});
        if (done && resolver) done = resolver->listen({v4, port});
        if (done && resolver) done = resolver->listen({v6, port});
        if (done) return {};
        entrances.clear();
        if (resolver) resolver->close_listeners();
        if (shared.options.port != 0 || attempt == 16) return done;
    }
}

void Proxy::State::accept_on(const Entrances& these) {
    for (const auto& worker : workers)
        worker->pool.poller().post([this, worker = worker.get(), these] {
            for (const auto& entrance : these) {
                worker->acceptors.push_back(std::make_shared<Acceptor>(
                    worker->pool.poller(), entrance,
                    [this, worker](UniqueFd connection, const tcp::endpoint& client) {
                        admit(*worker, std::move(connection), client);
                    }));
                worker->acceptors.back()->start();
            }
        });
}

// They are closed when the last thread has let them go.
void Proxy::State::leave(Entrances these) {
    for (const auto& worker : workers)
        worker->pool.poller().post([worker = worker.get(), these] {
            std::erase_if(worker->acceptors, [&](const auto& acceptor) {
                const bool gone = std::ranges::find(these, acceptor->entrance()) != these.end();
                if (gone) acceptor->stop();
                return gone;
            });
        });
}

// To whatever resolver, unless a resource is one.
bool Proxy::State::is_question(const Origin& origin) const {
    constexpr std::uint16_t kDns = 53;
    if (!resolver || !names_resolve || origin.destination.port != kDns) return false;
    const auto bundle = shared.bundle();
    return !bundle || bundle->resource_for(origin.destination, origin.names).resource == nullptr;
}

// Why no more are let in; empty: they are.
std::string_view Proxy::State::full(const WorkloadRoom& room) const {
    if (draining) return "shutting down";
    if (shared.registry.size() + shared.tally.sniffed.load() >= shared.options.max_sessions)
        return "too many sessions (limits.maxSessions)";
    if (room.sessions >= shared.options.max_sessions_per_workload)
        return "too many sessions of the workload (limits.maxSessionsPerWorkload)";
    return {};
}

void Proxy::State::admit(Worker& here, UniqueFd connection, const tcp::endpoint& client) {
    ++shared.tally.accepted;
    auto origin = shared.services.origin(connection.get());
    if (!origin) {
        ++shared.tally.without_origin;
        reset(std::move(connection));
        return;
    }
    auto room = shared.room_of(origin->workload);
    if (const std::string_view why = full(*room); !why.empty()) {
        ++shared.tally.refused;
        log::warning("session refused", {{"workload", origin->workload}, {"error", why}});
        reset(std::move(connection));
        return;
    }
    origin->names = shared.names.of(origin->workload, origin->destination.address, about_now());
    if (is_question(*origin)) {
        resolver->serve(std::move(connection), *std::move(origin));
        return;
    }
    const int fd = connection.release();  // a posted function must be copyable
    Worker& worker = place(here);
    auto counted = std::make_shared<const Counted>(worker, std::move(room));
    if (&worker == &here) {
        const std::string workload = origin->workload;
        return note_refused(workload,
                            begin(here, fd, client, *std::move(origin), std::move(counted)));
    }
    worker.pool.poller().post([this, &worker, fd, client, counted,
                               origin = std::move(*origin)]() mutable {
        const std::string workload = origin.workload;
        note_refused(workload, begin(worker, fd, client, std::move(origin), std::move(counted)));
    });
}

Worker& Proxy::State::place(const Worker& here) {
    static thread_local std::vector<ThreadLoad> loads;
    loads.clear();
    std::size_t at = 0;
    for (const auto& worker : workers) {
        if (worker.get() == &here) at = loads.size();
        loads.push_back({worker->load, worker->busy});
    }
    return *workers[place_session(loads, at)];
}

Result<> Proxy::State::begin(Worker& worker, int fd, const tcp::endpoint& client, Origin origin,
                             std::shared_ptr<const Counted> counted) {
    Stream stream{worker.pool.context(), client, UniqueFd{fd}};
    if (!wants_asked_name(shared, origin))
        return open(worker, std::move(stream), origin, {}, {}, std::move(counted));
    // A resource may be claimed by the name that the client asks for in its first bytes. A client
    // that says nothing in time, or leaves, has a session all the same: it is recorded.
    ++shared.tally.sniffed;
    auto listed = std::make_shared<Roster<Sniffer>::Place>(worker.sniffers);
    auto sniffer = std::make_shared<Sniffer>(
        std::move(stream), about_now() + kHelloPatience,
        [this, &worker, counted, listed, origin = std::move(origin)](
            Stream heard, const AskedName& asked, Buffer early) {
            --shared.tally.sniffed;
            note_refused(origin.workload,
                         open(worker, std::move(heard), origin, asked, std::move(early), counted));
        });
    listed->is_of(sniffer);
    auto started = sniffer->start(worker.pool.poller());
    if (!started) --shared.tally.sniffed;
    return started;
}

void Proxy::State::note_refused(const std::string& workload, const Result<>& opened) {
    if (opened) return;
    ++shared.tally.refused;
    log::warning("session refused", {{"workload", workload}, {"error", opened.error().message()}});
}

Result<> Proxy::State::open(Worker& worker, Stream stream, const Origin& origin,
                            const AskedName& asked, Buffer early,
                            std::shared_ptr<const Counted> counted) {
    // Whoever was on the way when those that are open were told to end would not hear of it.
    if (draining) return fail(Errc::Unavailable, "shutting down");
    const Opening opening = open_session(shared, origin, asked);
    const auto& facts = opening.facts;
    auto self = std::make_shared<std::weak_ptr<SessionRunner>>();
    auto live = std::make_shared<LiveSession>(
        facts->id,
        [self, &poller = worker.pool.poller()](std::function<void(SessionRunner&)> call) {
            poller.post([self, call = std::move(call)] {
                if (const auto runner = self->lock()) call(*runner);
            });
        },
        facts);
    const CancelKey key = may_cancel(opening) ? shared.registry.new_key(facts->id) : CancelKey{};
    const Place place{key, live, counted->room()};
    auto listed = std::make_shared<Listed>(std::move(counted), worker.runners);
    auto runner = std::make_shared<SessionRunner>(worker.pool, shared, std::move(stream), live,
                                                  opening, key, listed);
    *self = runner;
    listed->place.is_of(runner);
    shared.registry.add(live);
    return runner->start(make_machine(shared, opening, place), std::move(early));
}

asio::awaitable<void> Proxy::State::expire_approvals() {
    asio::steady_timer pause{workers.front()->thread->context()};
    for (;;) {
        pause.expires_after(std::chrono::milliseconds{250});
        co_await pause.async_wait(kNoThrow);
        shared.services.approvals->with(
            [](approval::ApprovalBook& book) { book.expire(steady_now()); });
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
    for (unsigned i = 0; i != state->shared.options.threads; ++i) {
        auto thread = IoThread::start(i);
        if (!thread) return fail(thread.error());
        state->workers.push_back(std::make_unique<Worker>(std::move(*thread)));
        state->workers.back()->pool.keep_for(state->shared.options.http_reuse_idle);
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
    state_->accept_on(state_->entrances);
    asio::co_spawn(state_->workers.front()->thread->context(), state_->expire_approvals(),
                   asio::detached);
    if (state_->resolver) state_->resolver->start();
    return {};
}

std::uint16_t Proxy::port() const {
    return state_->port;
}

void Proxy::accept_from(std::uint64_t netns, std::vector<UniqueFd> listeners) {
    State::Entrances these;
    for (UniqueFd& listener : listeners) {
        auto entrance = Entrance::make(std::move(listener));
        if (entrance)
            these.push_back(*std::move(entrance));
        else
            log::error("a listener cannot be used", {{"error", entrance.error().message()}});
    }
    state_->elsewhere.with([&](auto& all) {
        state_->leave(std::exchange(all[netns], these));
        state_->accept_on(these);
    });
}

void Proxy::answer_in(std::uint64_t netns, std::vector<UniqueFd> sockets) {
    if (!state_->resolver) return;
    state_->resolver->leave(netns);
    for (UniqueFd& socket : sockets) state_->resolver->answer_on(std::move(socket));
}

void Proxy::leave(std::uint64_t netns) {
    if (state_->resolver) state_->resolver->leave(netns);
    state_->elsewhere.with([&](auto& all) {
        if (auto there = all.extract(netns)) state_->leave(std::move(there.mapped()));
    });
}

const Names& Proxy::names() const {
    return state_->shared.names;
}

void Proxy::resolve_names(bool wanted) {
    state_->names_resolve = wanted;
}

void Proxy::set_bundle(BundlePtr bundle) {
    state_->shared.set_bundle(std::move(bundle));
    state_->on_pools([](ServerPool& pool) { pool.drop_all(); });
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
    state_->on_pools(
        [name = std::string{workload}](ServerPool& pool) { pool.drop_workload(name); });
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
    counters.reused = tally.reused;
    counters.shadow_denied = tally.shadow_denied;
    counters.shadow_held = tally.shadow_held;
    counters.shadow_allowed = tally.shadow_allowed;
    return counters;
}

std::vector<int> Proxy::listeners() const {
    std::vector<int> fds;
    for (const auto& entrance : state_->entrances) fds.push_back(entrance->fd.get());
    if (state_->resolver) state_->resolver->add_listeners(fds);
    return fds;
}

void Proxy::drain(Duration patience) {
    state_->stop_listening();
    state_->draining = true;
    state_->on_pools([](ServerPool& pool) { pool.shut(); });
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
