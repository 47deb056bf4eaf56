// SPDX-License-Identifier: Apache-2.0
// What a session waits for: the dial, a handshake, a catalog, a cancel request, its last words.
// Coroutines of the session's own thread; whatever they wait for, the session may have ended since.
#include "userspace/net/session_runner.h"

#include "userspace/authority/host_name.h"
#include "userspace/base/steady.h"
#include "userspace/net/catalogs.h"
#include "userspace/net/dialer.h"
#include "userspace/net/shared.h"
#include "userspace/net/target.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace chaperone::net {

using session::Side;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// How long the last words of a session may take to be taken.
constexpr auto kLinger = std::chrono::seconds{5};

}  // namespace

void SessionRunner::spawn(asio::awaitable<void> task) {
    asio::co_spawn(context_, guarded(Poller::Outside{poller_}, std::move(task)),
                   [self = shared_from_this()](const std::exception_ptr& error) {
                       if (!error) return;
                       try {
                           std::rethrow_exception(error);
                       } catch (const std::exception& what) {
                           self->give_up(what.what());
                       }
                   });
}

asio::awaitable<void> SessionRunner::guarded(Poller::Outside, asio::awaitable<void> task) {
    co_await std::move(task);
}

asio::awaitable<void> SessionRunner::wait_changed() {
    if (!changed_) changed_.emplace(context_, asio::steady_timer::time_point::max());
    ++waiters_;
    co_await changed_->async_wait(kNoThrow);
    --waiters_;
}

// A session is taken up again by the same workload at the same resource only.
Result<SslPtr> SessionRunner::tls_server() {
    tls::ServerOptions options;
    options.fallback = facts_->destination.address;
    for (const std::string& host : target_->hosts)  // those that are no patterns
        if (authority::read_host_name(host)) options.also.push_back(host);
    if (!facts_->destination.name.empty()) options.also.push_back(facts_->destination.name);
    options.alpn = leg(Side::Client).tls_wants.alpn;
    if (options.alpn.empty()) options.alpn = target_->tls.alpn;
    if (target_->resume_tls) options.resumption = facts_->workload + '\n' + facts_->resource;
    if (shared_.signer) options.signing = &shared_.signer->context();
    return tls::server(*shared_.services.authority, std::move(options));
}

asio::awaitable<void> SessionRunner::secure(Side side) {
    Leg& mine = leg(side);
    while (mine.waiting_bytes() != 0 && !ended_) co_await wait_changed();
    mine.tls_wanted = false;
    auto ssl = side == Side::Client ? tls_server() : tls::client(target_->tls, mine.tls_wants);
    Result<session::TlsInfo> started = session::TlsInfo{};
    if (!ssl) {
        started = fail(ssl.error());
    } else {
        Buffer early = std::move(mine.pending);
        mine.pending = {};
        started = co_await mine.stream->handshake(std::move(*ssl), std::move(early));
    }
    mine.securing = false;
    if (ended_) co_return;
    if (side == Side::Server && started) server_alpn_ = started->alpn;
    machine_->on_tls_started(side, std::move(started), *this);
    resume();
}

bool SessionRunner::dial_now() {
    Attempt first = dial_at_once(*target_);
    if (!first.made) {
        spawn(dial(std::move(first)));
        return false;
    }
    connected(net::connected(context_, *target_, std::move(first)));
    return true;
}

asio::awaitable<void> SessionRunner::dial(Attempt first) {
    auto server =
        co_await net::dial(context_, *target_, shared_.options.connect_timeout, std::move(first));
    if (ended_) co_return;
    connected(std::move(server));
    resume();
}

void SessionRunner::connected(Result<Stream> server) {
    Result<> done{};
    if (!server) {
        done = fail(server.error());
    } else {
        leg(Side::Server).stream.emplace(*std::move(server));
        server_made_ = about_now();
        tell_upstream();
        if (!watch(Side::Server)) done = fail(Errc::System, "out of memory for connections");
    }
    machine_->on_connected(std::move(done), *this);
}

asio::awaitable<void> SessionRunner::fetch_catalog(std::string database, bool fresh) {
    catalog_asked_ = true;
    auto got = co_await shared_.catalogs->get(target_, database, fresh);
    catalog_asked_ = false;
    if (ended_) co_return;
    database_ = std::move(database);
    if (got) {
        catalog_ = got->catalog;
        catalog_use_ = std::move(got->use);
        machine_->on_catalog(catalog_, *this);
    } else {
        machine_->on_catalog(fail(got.error()), *this);
    }
    resume();
}

// What others have done to the schema reaches sessions that are open, too.
void SessionRunner::renew_catalog() {
    if (!catalog_ || catalog_asked_) return;
    auto current = shared_.catalogs->current(*target_, database_);
    if (!current || current == catalog_) return;
    catalog_ = current;
    machine_->on_catalog(std::move(current), *this);
}

asio::awaitable<void> SessionRunner::cancel_upstream(LivePtr by) {
    co_await send_cancel(context_, target_, upstream_pid_, upstream_secret_,
                         shared_.options.connect_timeout);
    if (by) tell_cancelled(*by);
}

void SessionRunner::tell_cancelled(const LiveSession& by) {
    by.post([](SessionRunner& runner) { runner.cancelled(); });
}

void SessionRunner::give_up_waiting() {
    cancelling_ = false;
    for (Leg& leg : legs_) {
        if (leg.stream) leg.stream->close();
        leg.forget();
    }
    changed();
}

// The last words are written, the sockets closed, the coroutines let go.
void SessionRunner::finish() {
    gate_.close(end_reason_);
    live_->state = "closing";
    if (waits())
        spawn(finish_later());
    else
        close_legs();
}

// A client takes the end of its CancelRequest for the cancel's having been done: what it asks next
// must not be hit.
bool SessionRunner::waits() const {
    return cancelling_ || std::ranges::any_of(legs_, [](const Leg& leg) {
               return leg.stream && leg.waiting_bytes() != 0;
           });
}

asio::awaitable<void> SessionRunner::finish_later() {
    asio::steady_timer limit{context_};
    limit.expires_after(kLinger);
    limit.async_wait([self = shared_from_this()](boost::system::error_code cancelled) {
        if (!cancelled) self->give_up_waiting();
    });
    while (waits()) co_await wait_changed();
    limit.cancel();
    close_legs();
}

void SessionRunner::close_legs() {
    if (dropped_) leg(Side::Client).stream->reset();
    for (Leg& leg : legs_) {
        if (!leg.stream || (dropped_ && &leg == &legs_[0])) continue;
        if (keep_server_ && &leg == &legs_[1] && is_clean(leg))
            give_to_pool(leg);
        else if (untold_ && &leg == &legs_[0])
            leg.stream->finish_untold();
        else
            leg.stream->finish();
    }
    changed();
    unlist();
}

}  // namespace chaperone::net
