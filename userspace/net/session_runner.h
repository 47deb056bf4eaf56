// SPDX-License-Identifier: Apache-2.0
// Runs one session::Machine over two streams: the only place where a session meets a socket.
//
// What a machine forwards is written straight out of the buffer it was read into; only what the
// receiver does not take at once is copied, and then the sender is not read until it has gone. An
// open question stops the reading likewise, but for a bounded look-ahead that notices a client
// that goes away. Everything of one session runs on one thread.
#pragma once

#include "userspace/net/dialer.h"
#include "userspace/net/gate.h"
#include "userspace/net/registry.h"
#include "userspace/net/server_pool.h"
#include "userspace/net/stream.h"
#include "userspace/session/machine.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/container/small_vector.hpp>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::net {

struct Shared;
struct Opening;
struct Target;

class SessionRunner final : public session::Actions,
                            public Waiting,
                            public Poller::Listener,
                            public std::enable_shared_from_this<SessionRunner> {
public:
    // `held` is held as long as the session is there.
    SessionRunner(ServerPool& pool, Shared& shared, Stream client, LivePtr live,
                  const Opening& opening, CancelKey key,
                  std::shared_ptr<const void> held = nullptr);
    ~SessionRunner() override;

    // An error: there is no session, and the connection was reset. A null machine is one.
    // `early` was read from the client before.
    Result<> start(std::unique_ptr<session::Machine> machine, Buffer early = {});
    // These are posted to the session's thread by whoever calls them from elsewhere.
    void tick(Time time);
    void flush_records();
    void cancel(LivePtr by);  // the session that asks for it is told when it is done
    void cancelled();
    void terminate(const std::string& reason);
    void wind_down(const std::string& reason);  // as Machine::on_drain()
    void wake();

    asio::io_context& context() { return context_; }

    // session::Actions
    void forward(session::Side to, Bytes range) override;
    void send(session::Side to, Bytes data) override;
    void ask(const policy::Request& request, session::Tag tag) override;
    void withdraw(session::Tag tag) override;
    void leave(session::Tag tag) override;
    void record(const session::Outcome& outcome) override;
    policy::DecisionPtr probe(const policy::Request& request, bool record) override;
    void start_tls(session::Side side, const session::TlsWants& wants) override;
    void connect() override;
    void opened() override;
    void close_write(session::Side to) override;
    void need_catalog(std::string_view database, bool fresh) override;
    void server_key(std::uint32_t pid, Bytes secret) override;
    std::optional<session::TlsInfo> reuse(bool tls, const session::TlsWants& wants) override;
    void reconnect(bool unused) override;
    void keep_server() override;
    void cancel_server() override;
    void cancel_session(std::uint32_t pid, Bytes secret) override;
    void end(std::string_view reason) override;
    void drop(std::string_view reason) override;
    void end_untold(std::string_view reason) override;

    // Poller::Listener: something has happened on a socket.
    void ready() noexcept override;

    // Waiting
    void held(session::Tag tag, const std::string& approval, Time expires) override;
    void answered(session::Answer answer) override;

private:
    struct Piece {  // of what is to be written: foreign bytes, or a range of Leg::own
        const std::byte* at{};
        std::size_t offset{};
        std::size_t size{};
    };
    struct Leg {
        std::optional<Stream> stream{};
        Buffer pending{};  // read and not consumed
        boost::container::small_vector<Piece, 4> pieces{};
        Buffer own{};
        std::optional<Pipe> pipe{};  // what comes through it was written before the backlog
        Buffer backlog{};            // written and not yet taken by the peer
        std::size_t backlog_from = 0;
        bool tls_wanted = false;
        session::TlsWants tls_wants{};
        bool securing = false;  // the handshake is under way: the stream is not ours to read
        bool closed = false;    // for reading
        bool gone = false;      // what is written goes nowhere
        bool last = false;      // nothing is written behind what waits
        bool shut = false;      // likewise, and perhaps it has been said
        bool bulk = false;      // it has sent much at once
        bool copied = false;    // there is no pipe to be had
        std::size_t waiting_bytes() const {
            return backlog.size() - backlog_from + (pipe ? pipe->holds() : 0);
        }
        void forget() noexcept {  // what waits
            pipe.reset();
            backlog = {};
            backlog_from = 0;
        }
    };

    Leg& leg(session::Side side) { return legs_[static_cast<std::size_t>(side)]; }
    const Leg& leg(session::Side side) const { return legs_[static_cast<std::size_t>(side)]; }
    void spawn(asio::awaitable<void> task);
    asio::awaitable<void> guarded(Poller::Outside outside, asio::awaitable<void> task);
    bool dial_now();  // true: the machine was told
    asio::awaitable<void> dial(Attempt first);
    void redial(bool unused);
    ServerUse server_use(bool tls, const session::TlsWants& wants) const;
    bool is_clean(Leg& server) const;  // whose last byte was read, and nothing waits for it
    void give_to_pool(Leg& server);
    void tell_upstream();  // which server it is, for the record
    void connected(Result<Stream> server);
    asio::awaitable<void> secure(session::Side side);
    Result<SslPtr> tls_server();
    asio::awaitable<void> fetch_catalog(std::string database, bool fresh);
    asio::awaitable<void> cancel_upstream(LivePtr by);
    asio::awaitable<void> wait_changed();
    void finish();
    bool waits() const;
    asio::awaitable<void> finish_later();
    void close_legs();
    void unlist();
    static void tell_cancelled(const LiveSession& by);
    void give_up_waiting();  // nobody takes the backlog, or the cancel takes too long

    bool watch(session::Side side);
    void move();                     // what can be read and written now, on both sides
    void read(session::Side from);   // until it would block
    void drain(session::Side to);    // the backlog
    void give_up(const char* what);  // a bug of ours: the session ends, others go on
    void renew_catalog();
    bool may_read(session::Side from);
    bool take(session::Side from);  // reads once; false: nothing more is there now
    bool pass(session::Side from);  // the same of what is only forwarded, within the kernel
    bool may_pass(session::Side from);
    void ended_by(session::Side side);
    void present(session::Side from, Bytes data);
    bool represent(session::Side from);  // true: some of what was kept is consumed
    void resume();                       // settle, and look again at what was kept
    void notice_gone();  // a client that closed its half only may have closed the other since
    bool deliver();      // answers that came at once, and the connection; false: there were none
    void settle();       // answers that came at once, then writes what was queued
    void flush(session::Side to);
    bool ends_behind(session::Side to) const;
    void finish_writing(session::Side to);
    void changed();  // coroutines of ours wait for things to change

    std::shared_ptr<const void> held_;
    ServerPool& pool_;
    asio::io_context& context_;
    Poller& poller_;
    Shared& shared_;
    LivePtr live_;
    std::shared_ptr<const policy::SessionFacts> facts_;
    std::shared_ptr<const Target> target_;
    std::unique_ptr<session::Machine> machine_;
    std::array<Leg, 2> legs_;
    std::optional<asio::steady_timer> changed_;  // once somebody waited
    boost::container::small_vector<session::Answer, 1>
        answers_;  // given at once, from within ask()
    Buffer upstream_secret_;
    std::uint32_t upstream_pid_ = 0;
    CancelKey cancel_key_;
    LivePtr canceller_;        // who asked for the cancel that the machine is told of
    bool cancelling_ = false;  // ours is a CancelRequest, and it is not done yet
    std::chrono::steady_clock::time_point login_deadline_{};
    std::string end_reason_;
    std::string database_;  // whose catalog the machine has, once it has one
    std::shared_ptr<const policy::sql::Catalog> catalog_;
    std::shared_ptr<const void> catalog_use_;  // keeps it looked at
    bool catalog_asked_ = false;
    std::uint64_t generation_;
    ServerPool::Clock::time_point server_made_{};
    std::string server_alpn_;
    bool keep_server_ = false;
    bool connect_wanted_ = false;
    bool ended_ = false;
    bool dropped_ = false;
    bool untold_ = false;
    bool finishing_ = false;
    bool listed_ = true;   // in the registry
    bool moving_ = false;  // in move()
    bool again_ = false;   // what could not be read may be readable now
    int turns_ = 0;        // reads in this move()
    int waiters_ = 0;      // coroutines in wait_changed()
    Gate gate_;
};

}  // namespace chaperone::net
