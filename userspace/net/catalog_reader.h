// SPDX-License-Identifier: Apache-2.0
// Reads a snapshot of a database's catalog over a connection of our own: whole at first, then what
// may have changed since. Never waits long for locks that others hold: a view that cannot be read
// now has an unknown lineage, and then the next look reads all again.
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

// A snapshot and where it stands. Whatever is in doubt is read again whole.
struct CatalogState {
    CatalogPtr catalog{};
    bool whole = false;  // all views could be read
    std::string origin{};
    std::uint64_t horizon = 0;
    std::string ground{};
    std::string functions{};
};

// `earlier`: of the same database, or empty. The catalog is the very same where nothing changed.
asio::awaitable<Result<CatalogState>> read_catalog(PgClient& client, CatalogState earlier);

}  // namespace chaperone::net
