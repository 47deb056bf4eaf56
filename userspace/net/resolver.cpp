// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/resolver.h"

#include "policy/names.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/net/dns_sessions.h"
#include "userspace/net/dns_upstream.h"
#include "userspace/net/io_thread.h"
#include "userspace/net/listener.h"
#include "userspace/net/names_file.h"
#include "userspace/net/shared.h"
#include "userspace/session/http/desk.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>

#include <sys/socket.h>

namespace chaperone::net {

using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr auto kFlush = std::chrono::milliseconds{100};
constexpr int kFlushesPerSweep = 50;
constexpr auto kBreath = std::chrono::milliseconds{50};
constexpr auto kStreamIdle = std::chrono::seconds{30};
constexpr std::size_t kMostQuery = 4096;  // no question is longer, whatever its options
constexpr std::size_t kMostResolvConf = 64 * 1024;

// How much goes on at a time, of each workload and of all.
class Seats {
public:
    Seats(std::size_t of_one, std::size_t of_all) : of_one_(of_one), of_all_(of_all) {}

    class Seat {
    public:
        Seat() = default;
        Seat(Seats& seats, std::string who) : seats_(&seats), who_(std::move(who)) {}
        Seat(Seat&& other) noexcept
            : seats_(std::exchange(other.seats_, nullptr)), who_(std::move(other.who_)) {}
        Seat& operator=(Seat&&) = delete;
        ~Seat() {
            if (seats_ != nullptr) seats_->leave(who_);
        }
        explicit operator bool() const { return seats_ != nullptr; }

    private:
        Seats* seats_ = nullptr;
        std::string who_;
    };

    // False: there is none left.
    Seat take(const std::string& workload) {
        const auto mine = taken_.find(workload);
        if (all_ >= of_all_ || (mine != taken_.end() && mine->second >= of_one_)) return {};
        ++all_;
        ++taken_[workload];
        return {*this, workload};
    }

private:
    void leave(const std::string& workload) {
        --all_;
        if (--taken_[workload] == 0) taken_.erase(workload);
    }

    std::size_t of_one_;
    std::size_t of_all_;
    std::size_t all_ = 0;
    std::map<std::string, std::size_t> taken_;
};

// A socket on which questions arrive.
struct Door {
    udp::socket socket;
    std::uint64_t netns{};
    sockaddr_storage at{};
};

sockaddr_storage storage_of(const udp::endpoint& endpoint) {
    sockaddr_storage made{};
    std::memcpy(&made, endpoint.data(), endpoint.size());
    return made;
}

bool is_below(std::string_view name, std::string_view suffix) {
    return name.size() > suffix.size() && name.ends_with(suffix) &&
           name[name.size() - suffix.size() - 1] == '.';
}

}  // namespace

struct Resolver::State {
    State(Shared& s, DnsOptions o, std::unique_ptr<IoThread> t)
        : shared(s),
          options(std::move(o)),
          thread(std::move(t)),
          sessions(std::make_unique<DnsSessions>(thread->context(), shared)) {}

    Shared& shared;
    DnsOptions options;
    Seats queries{kQueries, kAllQueries};  // those that are open now
    Seats streams{kStreams, kAllStreams};
    DnsServers servers;
    std::vector<std::string> search;
    std::string resolv_conf;  // as read last
    std::unique_ptr<NamesFile> names_file;
    // From here on in the order in which they must end: coroutines hold seats and sessions.
    std::unique_ptr<IoThread> thread;
    std::unique_ptr<DnsSessions> sessions;
    std::vector<std::shared_ptr<Door>> doors;      // until start()
    std::vector<std::shared_ptr<Door>> elsewhere;  // on the thread only

    Result<> read_servers();
    void reread_servers();
    std::size_t first_server(const Origin& origin) const;
    bool is_searched(const std::string& name) const;
    asio::awaitable<void> tick();
    asio::awaitable<void> receive(std::shared_ptr<Door> door);
    void admit(const std::shared_ptr<Door>& door, const udp::endpoint& from, Bytes message);
    asio::awaitable<void> answer_datagram(std::shared_ptr<Door> door, udp::endpoint from,
                                          Origin origin, Buffer message);
    asio::awaitable<void> answer_stream(tcp::socket socket, Origin origin);
    asio::awaitable<Buffer> answer(Origin origin, Buffer message, bool stream);
    asio::awaitable<Buffer> resolve(Origin origin, session::dns::Query query);
    Result<> learn(const std::string& workload, const std::string& name,
                   const session::dns::Answer& made);
    Buffer refuse(const DnsSessions::Verdict& verdict, const session::dns::Query& query);
};

// The system's servers where none are configured.
Result<> Resolver::State::read_servers() {
    for (const std::string& text : options.servers) {
        const auto server = parse_dns_server(text);
        if (!server) return fail(server.error());
        servers.push_back(*server);
    }
    reread_servers();
    return {};
}

void Resolver::State::reread_servers() {
    auto text = read_file(options.resolv_conf, kMostResolvConf);
    if (!text || *text == resolv_conf) return;
    resolv_conf = *std::move(text);
    ResolvConf conf = parse_resolv_conf(resolv_conf);
    search = std::move(conf.search);
    if (!options.servers.empty()) return;
    servers = std::move(conf.servers);
    if (servers.empty())
        log::warning("no resolver is configured: agents' names do not resolve",
                     {{"file", options.resolv_conf}});
}

// The one that the agent asked, if it is one of ours.
std::size_t Resolver::State::first_server(const Origin& origin) const {
    for (std::size_t i = 0; i != servers.size(); ++i)
        if (servers[i].address().to_string() == origin.destination.address) return i;
    return 0;
}

bool Resolver::State::is_searched(const std::string& name) const {
    const auto below = [&](const std::string& suffix) { return is_below(name, suffix); };
    if (std::ranges::any_of(search, below)) return true;
    const auto bundle = shared.bundle();
    return bundle && policy::is_searched(*bundle, name);
}

asio::awaitable<void> Resolver::State::tick() {
    asio::steady_timer pause{thread->context()};
    for (int turn = 1;; ++turn) {
        pause.expires_after(kFlush);
        co_await pause.async_wait(kNoThrow);
        sessions->flush();
        if (turn % kFlushesPerSweep != 0) continue;
        sessions->sweep();
        reread_servers();
    }
}

asio::awaitable<void> Resolver::State::receive(std::shared_ptr<Door> door) {
    Buffer room(kMostQuery + 1);
    while (door->socket.is_open()) {
        udp::endpoint from;
        const auto buffer = asio::buffer(room);
        const auto [error, size] = co_await door->socket.async_receive_from(buffer, from, kNoThrow);
        if (!error) {
            if (size <= kMostQuery) admit(door, from, Bytes{room}.first(size));
            continue;
        }
        asio::steady_timer pause{thread->context(), kBreath};
        co_await pause.async_wait(kNoThrow);
    }
}

void Resolver::State::admit(const std::shared_ptr<Door>& door, const udp::endpoint& from,
                            Bytes message) {
    auto origin = shared.services.datagram_origin(door->netns, storage_of(from), door->at);
    if (!origin) {
        ++shared.tally.without_origin;  // nobody's: not answered, as its port were closed
        return;
    }
    asio::co_spawn(thread->context(),
                   answer_datagram(door, from, std::move(*origin), copy(message)), asio::detached);
}

asio::awaitable<void> Resolver::State::answer_datagram(std::shared_ptr<Door> door,
                                                       udp::endpoint from, Origin origin,
                                                       Buffer message) {
    const Buffer reply = co_await answer(std::move(origin), std::move(message), false);
    if (reply.empty()) co_return;
    error_code lost;  // is asked again, as with any datagram
    door->socket.send_to(asio::buffer(reply), from, 0, lost);
}

asio::awaitable<void> Resolver::State::answer_stream(tcp::socket socket, Origin origin) {
    const Seats::Seat seat = streams.take(origin.workload);
    if (!seat) co_return;
    auto idle = std::make_shared<asio::steady_timer>(thread->context());
    auto mine = std::make_shared<tcp::socket>(std::move(socket));
    while (mine->is_open()) {
        idle->expires_after(kStreamIdle);
        idle->async_wait([mine, idle](error_code cancelled) {
            error_code ignored;
            if (!cancelled) mine->close(ignored);
        });
        std::array<std::byte, 2> length{};
        const auto [short_, n] = co_await asio::async_read(*mine, asio::buffer(length), kNoThrow);
        Buffer message(std::to_integer<std::size_t>(length[0]) << 8 |
                       std::to_integer<std::size_t>(length[1]));
        if (short_ || message.size() > kMostQuery) break;
        const auto [cut, m] = co_await asio::async_read(*mine, asio::buffer(message), kNoThrow);
        if (cut) break;
        idle->cancel();
        Buffer reply = co_await answer(origin, std::move(message), true);
        if (reply.empty()) break;
        const std::array<std::byte, 2> size{static_cast<std::byte>(reply.size() >> 8),
                                            static_cast<std::byte>(reply.size() & 0xff)};
        reply.insert(reply.begin(), size.begin(), size.end());
        idle->expires_after(kStreamIdle);
        idle->async_wait([mine, idle](error_code cancelled) {
            error_code ignored;
            if (!cancelled) mine->close(ignored);
        });
        const auto [gone, w] = co_await asio::async_write(*mine, asio::buffer(reply), kNoThrow);
        if (gone) break;
    }
    idle->cancel();
}

asio::awaitable<Buffer> Resolver::State::answer(Origin origin, Buffer message, bool stream) {
    session::dns::Taken taken = session::dns::take(message, stream);
    if (!taken.query) co_return std::move(taken.reply);
    const Seats::Seat seat = queries.take(origin.workload);
    if (!seat)
        co_return session::dns::failed(*taken.query, wire::dns::kEdeOther,
                                       "chaperone: too many questions at a time");
    Buffer reply = co_await resolve(std::move(origin), *std::move(taken.query));
    co_return reply;
}

Buffer Resolver::State::refuse(const DnsSessions::Verdict& verdict,
                               const session::dns::Query& query) {
    session::Outcome outcome;
    outcome.request = verdict.answer.request;
    if (verdict.answer.verdict == session::Verdict::Unavailable) {
        outcome.sqlstate = "SERVFAIL";
        sessions->record(verdict, outcome);
        return session::dns::failed(query, wire::dns::kEdeOther, verdict.text);
    }
    const bool by_rule = verdict.answer.decision && !verdict.answer.decision->rule.empty();
    const bool searched = !by_rule && is_searched(query.facts.name);
    outcome.sqlstate = searched ? "NXDOMAIN" : "REFUSED";
    sessions->record(verdict, outcome);
    return searched ? session::dns::absent(query, verdict.text)
                    : session::dns::refused(query, verdict.text);
}

// An error: what the kernel does not know of must not be told.
Result<> Resolver::State::learn(const std::string& workload, const std::string& name,
                                const session::dns::Answer& made) {
    const auto time = Names::Clock::now();
    for (const session::dns::Learned& one : made.learned) {
        const auto known = shared.names.learn(workload, name, one.address, one.ttl, time);
        if (names_file) names_file->note(known, time);
        if (!shared.services.learned) continue;
        if (auto done = shared.services.learned(workload, one.address); !done) return done;
    }
    return {};
}

asio::awaitable<Buffer> Resolver::State::resolve(Origin origin, session::dns::Query query) {
    // Ours: nothing is asked of anybody.
    if (http::same(query.facts.name, session::Desk::kName) && shared.services.desk)
        co_return session::dns::local(query, session::Desk::kAddress);
    const DnsSessions::Verdict verdict = sessions->ask(origin, query);
    if (!verdict.allowed()) co_return refuse(verdict, query);

    const std::size_t first = first_server(origin);
    wire::dns::Message asked = session::dns::to_resolver(query, 0);
    auto got = co_await ask_resolvers(thread->context(), servers, first, std::move(asked),
                                      options.timeout);
    session::Outcome outcome;
    outcome.request = verdict.answer.request;
    if (!got) {
        outcome.sqlstate = "SERVFAIL";
        sessions->record(verdict, outcome);
        const auto ede = got.error().code == Errc::NotFound    ? wire::dns::kEdeNoReachableAuthority
                         : got.error().code == Errc::Malformed ? wire::dns::kEdeInvalidData
                                                               : wire::dns::kEdeNetworkError;
        co_return session::dns::failed(query, ede, "chaperone: " + got.error().detail);
    }
    session::dns::Answer made = session::dns::answer(query, *std::move(got));
    // Before the answer is released: the connection that follows it is matched by name.
    if (auto learnt = learn(origin.workload, query.facts.name, made); !learnt) {
        outcome.sqlstate = "SERVFAIL";
        sessions->record(verdict, outcome);
        log::error("a name is not answered",
                   {{"workload", origin.workload}, {"error", learnt.error().message()}});
        co_return session::dns::failed(query, wire::dns::kEdeOther,
                                       "chaperone: there is no room for more names");
    }
    outcome.ok = made.code == "NOERROR" || made.code == "NXDOMAIN";
    if (made.code != "NOERROR") outcome.sqlstate = made.code;
    outcome.tag = made.summary;
    outcome.rows = made.records;
    outcome.bytes_down = made.reply.size();
    sessions->record(verdict, outcome);
    co_return std::move(made.reply);
}

Resolver::Resolver(std::unique_ptr<State> state) : state_(std::move(state)) {}

Resolver::~Resolver() {
    state_->thread->join();
    state_->sessions.reset();
    state_->doors.clear();
    state_->elsewhere.clear();
}

Result<std::unique_ptr<Resolver>> Resolver::create(Shared& shared, DnsOptions options) {
    constexpr unsigned kNumber = 1000;  // of its thread, for those who look at names of threads
    auto thread = IoThread::start(kNumber);
    if (!thread) return fail(thread.error());
    auto state = std::make_unique<State>(shared, std::move(options), std::move(*thread));
    if (auto read = state->read_servers(); !read) return fail(read.error());
    if (const std::string& file = state->options.names_file; !file.empty()) {
        state->names_file = std::make_unique<NamesFile>(file, boot_id(), shared.names);
        if (auto loaded = state->names_file->load(Names::Clock::now()); !loaded)
            log::warning("what agents were told before the restart is not known",
                         {{"file", file}, {"error", loaded.error().detail}});
    }
    return std::unique_ptr<Resolver>{new Resolver{std::move(state)}};
}

Result<> Resolver::listen(const udp::endpoint& at) {
    auto listener = make_listener(SOCK_DGRAM, at.data(), static_cast<socklen_t>(at.size()),
                                  state_->shared.options.kept);
    if (!listener) return fail(listener.error());
    auto door = std::make_shared<Door>(Door{udp::socket{state_->thread->context()}});
    error_code error;
    door->socket.assign(at.protocol(), listener->get(), error);
    if (!error) (void)listener->release();
    if (!error) door->socket.non_blocking(true, error);
    if (error)
        return fail(Errc::System,
                    "answer on port " + std::to_string(at.port()) + ": " + error.message());
    door->netns = netns_cookie(door->socket.native_handle());
    door->at = storage_of(door->socket.local_endpoint(error));
    state_->doors.push_back(std::move(door));
    return {};
}

void Resolver::close_listeners() {
    state_->doors.clear();
}

void Resolver::add_listeners(std::vector<int>& fds) const {
    for (const auto& door : state_->doors) fds.push_back(door->socket.native_handle());
}

void Resolver::start() {
    asio::io_context& context = state_->thread->context();
    for (auto& door : state_->doors) asio::co_spawn(context, state_->receive(door), asio::detached);
    state_->doors.clear();
    asio::co_spawn(context, state_->tick(), asio::detached);
}

void Resolver::answer_on(UniqueFd socket) {
    auto held = std::make_shared<UniqueFd>(std::move(socket));
    asio::post(state_->thread->context(), [state = state_.get(), held] {
        sockaddr_storage name{};
        socklen_t size = sizeof(name);
        ::getsockname(held->get(), reinterpret_cast<sockaddr*>(&name), &size);
        auto door = std::make_shared<Door>(Door{udp::socket{state->thread->context()}});
        error_code error;
        const udp protocol = name.ss_family == AF_INET6 ? udp::v6() : udp::v4();
        door->socket.assign(protocol, held->get(), error);
        if (!error) (void)held->release();
        if (!error) door->socket.non_blocking(true, error);
        if (error) {
            log::error("a resolver's socket cannot be used", {{"error", error.message()}});
            return;
        }
        door->netns = netns_cookie(door->socket.native_handle());
        door->at = storage_of(door->socket.local_endpoint(error));
        state->elsewhere.push_back(door);
        asio::co_spawn(state->thread->context(), state->receive(door), asio::detached);
    });
}

void Resolver::leave(std::uint64_t netns) {
    asio::post(state_->thread->context(), [state = state_.get(), netns] {
        std::erase_if(state->elsewhere, [&](const auto& door) {
            if (door->netns != netns) return false;
            error_code ignored;
            door->socket.close(ignored);
            return true;
        });
    });
}

void Resolver::serve(UniqueFd accepted, Origin origin) {
    auto held = std::make_shared<UniqueFd>(std::move(accepted));
    asio::post(state_->thread->context(), [state = state_.get(), held,
                                           origin = std::move(origin)]() mutable {
        int family = AF_INET;
        socklen_t size = sizeof(family);
        ::getsockopt(held->get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
        tcp::socket socket{state->thread->context()};
        error_code error;
        socket.assign(family == AF_INET6 ? tcp::v6() : tcp::v4(), held->get(), error);
        if (error) return;
        (void)held->release();
        asio::co_spawn(state->thread->context(),
                       state->answer_stream(std::move(socket), std::move(origin)), asio::detached);
    });
}

}  // namespace chaperone::net
