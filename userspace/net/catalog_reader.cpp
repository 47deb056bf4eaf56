// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/catalog_reader.h"

#include <chrono>
#include <utility>

namespace chaperone::net {
namespace {

using policy::sql::Catalog;
using policy::sql::CatalogBuilder;

// All views are tried one by one within this time; those left over are unknown until the next look.
constexpr auto kPatience = std::chrono::seconds{2};

asio::awaitable<Result<>> run(PgClient& client, std::string sql) {
    const PgClient::OnRow no_rows;
    co_return co_await client.query(std::move(sql), no_rows);
}

// One query, whose failure leaves the transaction as it was.
asio::awaitable<Result<>> attempt(PgClient& client, std::string sql, PgClient::OnRow on_row) {
    if (auto begun = co_await run(client, "SAVEPOINT views"); !begun) co_return begun;
    auto read = co_await client.query(std::move(sql), std::move(on_row));
    if (!client.usable()) co_return read;
    auto ended = co_await run(client, read ? "RELEASE views" : "ROLLBACK TO views; RELEASE views");
    co_return ended ? std::move(read) : std::move(ended);
}

// Whether all could be read. Somebody may have locked or dropped what one of them reads, and then
// the query that reads them together fails whole.
asio::awaitable<Result<bool>> read_views(PgClient& client, CatalogBuilder& builder) {
    const PgClient::OnRow on_row = [&builder](PgClient::Row row) {
        return builder.add(Catalog::kViewsQuery, row);
    };
    auto set = co_await run(client, "SET LOCAL lock_timeout = '100ms'");
    if (!set) co_return fail(set.error());
    auto together = co_await attempt(client, Catalog::query(Catalog::kViewsQuery), on_row);
    if (together) co_return true;
    if (!client.usable()) co_return fail(together.error());
    set = co_await run(client, "SET LOCAL lock_timeout = '20ms'");
    if (!set) co_return fail(set.error());
    bool all = true;
    const auto until = std::chrono::steady_clock::now() + kPatience;
    for (const policy::sql::Oid view : builder.views()) {
        if (std::chrono::steady_clock::now() > until) co_return false;
        auto one = co_await attempt(client, Catalog::view_query(view), on_row);
        if (!one && !client.usable()) co_return fail(one.error());
        all = all && one.has_value();
    }
    co_return all;
}

}  // namespace

asio::awaitable<Result<std::string>> read_digest(PgClient& client) {
    std::string seen;
    auto asked = co_await client.query(
        std::string{Catalog::digest_query()}, [&seen](PgClient::Row row) -> Result<> {
            if (row.size() != 1 || !row[0]) return fail(Errc::Malformed, "the digest of a catalog");
            seen = *row[0];
            return {};
        });
    if (!asked) co_return fail(asked.error());
    co_return seen;
}

asio::awaitable<Result<CatalogPtr>> read_catalog(PgClient& client, std::string digest,
                                                 CatalogPtr earlier) {
    CatalogBuilder builder;
    if (earlier) builder.begin_with(*earlier);
    const policy::sql::Oid from = earlier ? Catalog::kFirstUserOid : 0;
    auto begun = co_await run(client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!begun) co_return fail(begun.error());
    bool all = true;
    for (std::size_t i = 0; i != Catalog::queries(); ++i) {
        if (i == Catalog::kViewsQuery) {
            auto views = co_await read_views(client, builder);
            if (!views) co_return fail(views.error());
            all = *views;
            continue;
        }
        const PgClient::OnRow on_row = [&builder, i](PgClient::Row row) {
            return builder.add(i, row);
        };
        auto rows = co_await client.query(Catalog::query(i, from), on_row);
        if (!rows) co_return fail(rows.error());
    }
    auto ended = co_await run(client, "COMMIT");
    if (!ended) co_return fail(ended.error());
    if (all) builder.set_digest(std::move(digest));
    co_return builder.build();
}

}  // namespace chaperone::net
