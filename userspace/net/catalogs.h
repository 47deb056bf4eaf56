// SPDX-License-Identifier: Apache-2.0
// Snapshots of what the databases hold, one for each resource and database, read over connections
// of our own and looked at again every few seconds while sessions use them, and at once when a
// session has changed the schema. Has a thread of its own; get() may be awaited on any.
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

    // Null for a target whose login is the agent's. `fresh`: as of now, not as of the last look.
    asio::awaitable<Result<CatalogPtr>> get(asio::io_context& context,
                                            std::shared_ptr<const Target> target,
                                            std::string database, bool fresh);
    // The newest snapshot; null: none was read. Cheap.
    CatalogPtr current(const Target& target, std::string_view database) const;

private:
    using Clock = std::chrono::steady_clock;
    struct Entry {
        std::shared_ptr<const Target> target{};
        std::string database{};
        std::unique_ptr<PgClient> client{};
        CatalogPtr catalog{};
        Clock::time_point looked{};
        Clock::time_point used{};
        bool busy = false;
        std::unique_ptr<asio::steady_timer> idle{};  // cancelled when busy ends
    };
    struct Kept {
        CatalogPtr catalog{};
        Clock::time_point looked{};
    };

    Catalogs(std::unique_ptr<IoThread> thread, Duration connect_timeout);
    asio::awaitable<Result<CatalogPtr>> look(std::shared_ptr<const Target> target,
                                             std::string database, Clock::time_point not_before);
    asio::awaitable<Result<>> refresh(Entry& entry);
    asio::awaitable<void> watch();

    Duration connect_timeout_;
    std::map<std::string, std::shared_ptr<Entry>> entries_;  // on the thread only
    Guarded<std::map<std::string, Kept, std::less<>>> kept_;
    std::unique_ptr<IoThread> thread_;  // last: it ends first
};

}  // namespace chaperone::net
