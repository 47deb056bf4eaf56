// SPDX-License-Identifier: Apache-2.0
// Reads a snapshot of a database's catalog over a connection of our own. Never waits long for locks
// that others hold: a view that cannot be read now has an unknown lineage, and then the snapshot
// has no digest, so that the next look reads it again.
#pragma once

#include "policy/sql/catalog.h"
#include "userspace/net/pg_client.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace chaperone::net {

using CatalogPtr = std::shared_ptr<const policy::sql::Catalog>;

// What the connection is set to first, in one simple query.
constexpr std::string_view kCatalogSettings =
    "SET search_path = pg_catalog; SET statement_timeout = '60s'; SET lock_timeout = '5s'";

asio::awaitable<Result<std::string>> read_digest(PgClient& client);
// `earlier`: a snapshot of the same database, or null.
asio::awaitable<Result<CatalogPtr>> read_catalog(PgClient& client, std::string digest,
                                                 CatalogPtr earlier);

}  // namespace chaperone::net
