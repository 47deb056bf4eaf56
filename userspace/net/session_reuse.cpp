// SPDX-License-Identifier: Apache-2.0
// Connections to servers that outlive a session, and such that another session has left.
#include "userspace/net/session_runner.h"

#include "userspace/base/steady.h"
#include "userspace/net/shared.h"
#include "userspace/net/target.h"

#include <utility>

namespace chaperone::net {

using session::Side;

ServerUse SessionRunner::server_use(bool tls, const session::TlsWants& wants) const {
    ServerUse use{facts_, target_, generation_, tls, {}};
    if (tls) use.offers = wants.alpn;
    return use;
}

std::optional<session::TlsInfo> SessionRunner::reuse(bool tls, const session::TlsWants& wants) {
    // Another name than the target's is not what a connection is known by.
    if (generation_ != shared_.bundle_generation || !wants.server_name.empty()) return std::nullopt;
    auto taken = pool_.take(server_use(tls, wants), about_now());
    if (!taken) return std::nullopt;
    Leg& its = leg(Side::Server);
    its.stream.emplace(std::move(taken->stream));
    its.tls_wants = wants;
    if (!watch(Side::Server)) {
        its.stream.reset();
        return std::nullopt;
    }
    server_made_ = taken->made;
    server_alpn_ = std::move(taken->alpn);
    ++shared_.tally.reused;
    gate_.reused();
    tell_upstream();
    return session::TlsInfo{.alpn = server_alpn_};
}

void SessionRunner::tell_upstream() {
    const Stream& server = *leg(Side::Server).stream;
    gate_.went_to(server.peer_host(), server.peer().port());
}

// Not here: what the machine was given may lie in the leg's own buffers.
void SessionRunner::reconnect(bool unused) {
    poller_.post([self = shared_from_this(), unused] { self->redial(unused); });
}

void SessionRunner::redial(bool unused) {
    if (ended_) return;
    Leg& its = leg(Side::Server);
    if (its.stream) {
        if (unused && is_clean(its))
            give_to_pool(its);
        else
            its.stream->finish();
    }
    its = Leg{};
    keep_server_ = false;
    connect_wanted_ = true;
    resume();
}

void SessionRunner::keep_server() {
    keep_server_ = true;
}

bool SessionRunner::is_clean(Leg& server) const {
    return !dropped_ && server.stream && server.pending.empty() && server.pieces.empty() &&
           server.waiting_bytes() == 0 && !server.tls_wanted && !server.securing &&
           !server.closed && !server.gone && !server.last && !server.shut &&
           generation_ == shared_.bundle_generation;
}

void SessionRunner::give_to_pool(Leg& server) {
    ServerUse use = server_use(!server.stream->is_plain(), server.tls_wants);
    pool_.put(std::move(use), {*std::move(server.stream), std::move(server_alpn_), server_made_},
              about_now());
    server.stream.reset();
}

}  // namespace chaperone::net
