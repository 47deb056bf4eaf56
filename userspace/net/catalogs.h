// SPDX-License-Identifier: Apache-2.0
// Snapshots of what the databases hold, one for each resource and database, read over connections
// of our own and looked at again every few seconds while sessions use them, and at once when a
// session has changed the schema. Such a connection is gone soon after the last session: a database
// that somebody is connected to can be neither dropped, renamed nor copied, and PostgreSQL waits
// 5 seconds only. Has a thread of its own; get() may be awaited on any.
#pragma once

#include "policy/sql/catalog.h"
#include "userspace/base/guarded.h"
#include "userspace/net/catalog_reader.h"
#include "userspace/net/io_thread.h"
#include "userspace/net/target.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace chaperone::net {

class PgClient;

class Catalogs {
public:
    static Result<std::unique_ptr<Catalogs>> create(Duration connect_timeout);
    ~Catalogs();

    // As long as a session keeps one, its database is looked at.
    using Use = std::shared_ptr<const void>;
    struct Got {
        CatalogPtr catalog{};  // null for a target whose login is the agent's
        Use use{};
    };

    // `fresh`: as of now, not as of the last look.
    asio::awaitable<Result<Got>> get(std::shared_ptr<const Target> target, std::string database,
                                     bool fresh);
    // The newest snapshot; null: none was read. Cheap.
    CatalogPtr current(const Target& target, std::string_view database) const;

private:
    using Clock = std::chrono::steady_clock;
    struct Entry {
        std::shared_ptr<const Target> target{};
        std::string database{};
        std::unique_ptr<PgClient> client{};
        CatalogState state{};
        Use use{};
        Clock::time_point looked{};
        bool busy = false;
        std::unique_ptr<asio::steady_timer> idle{};  // cancelled when busy ends
    };
    struct Kept {
        Got got{};
        Clock::time_point looked{};
    };

    Catalogs(std::unique_ptr<IoThread> thread, Duration connect_timeout);
    asio::awaitable<Result<Got>> look(std::shared_ptr<const Target> target, std::string database,
                                      Clock::time_point not_before);
    asio::awaitable<Result<>> refresh(Entry& entry);
    asio::awaitable<void> watch();
    bool let_go_of_unused();

    Duration connect_timeout_;
    std::map<std::string, std::shared_ptr<Entry>> entries_;  // on the thread only
    std::unique_ptr<asio::steady_timer> pause_;              // between two looks of watch()
    Guarded<std::map<std::string, Kept, std::less<>>> kept_;
    std::unique_ptr<IoThread> thread_;  // last: it ends first
};

}  // namespace chaperone::net
