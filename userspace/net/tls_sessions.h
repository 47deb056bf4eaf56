// SPDX-License-Identifier: Apache-2.0
// Sessions with servers that may be taken up again. Thread-safe; bounded; in memory only.
#pragma once

#include "userspace/base/guarded.h"
#include "userspace/base/sha256.h"

#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <memory>

struct ssl_session_st;

namespace chaperone::net::tls {

struct FreeSession {
    void operator()(ssl_session_st* session) const noexcept;
};
using SessionPtr = std::unique_ptr<ssl_session_st, FreeSession>;

class Sessions {
public:
    static constexpr std::size_t kServers = 1024;  // the least recently used go
    static constexpr std::size_t kOfOne = 8;       // tickets are for one use each (RFC 8446, C.4)

    void keep(const Digest& key, SessionPtr session);
    // Null: there is none. One of TLS 1.3 is given out once.
    SessionPtr take(const Digest& key);

private:
    struct Entry {
        Digest key{};
        std::deque<SessionPtr> sessions{};
    };
    struct State {
        std::list<Entry> recent{};  // most recent first
        std::map<Digest, std::list<Entry>::iterator> by_key{};
    };
    Guarded<State> state_{};
};

}  // namespace chaperone::net::tls
