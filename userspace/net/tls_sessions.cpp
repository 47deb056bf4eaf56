// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/tls_sessions.h"

#include <openssl/ssl.h>

namespace chaperone::net::tls {

void FreeSession::operator()(ssl_session_st* session) const noexcept {
    SSL_SESSION_free(session);
}

void Sessions::keep(const Digest& key, SessionPtr session) {
    state_.with([&](State& state) {
        auto found = state.by_key.find(key);
        if (found == state.by_key.end()) {
            state.recent.push_front({.key = key});
            found = state.by_key.emplace(key, state.recent.begin()).first;
        } else {
            state.recent.splice(state.recent.begin(), state.recent, found->second);
        }
        auto& sessions = found->second->sessions;
        sessions.push_back(std::move(session));
        if (sessions.size() > kOfOne) sessions.pop_front();
        if (state.recent.size() <= kServers) return;
        state.by_key.erase(state.recent.back().key);
        state.recent.pop_back();
    });
}

SessionPtr Sessions::take(const Digest& key) {
    return state_.with([&](State& state) -> SessionPtr {
        const auto found = state.by_key.find(key);
        if (found == state.by_key.end()) return nullptr;
        auto& sessions = found->second->sessions;
        while (!sessions.empty()) {
            SessionPtr last = std::move(sessions.back());
            sessions.pop_back();
            if (SSL_SESSION_is_resumable(last.get()) != 1) continue;
            if (SSL_SESSION_get_protocol_version(last.get()) < TLS1_3_VERSION) {
                SSL_SESSION_up_ref(last.get());
                sessions.emplace_back(last.get());
            }
            return last;
        }
        return nullptr;
    });
}

}  // namespace chaperone::net::tls
