// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/catalog_reader.h"

#include <charconv>
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
asio::awaitable<Result<bool>> read_views(PgClient& client, CatalogBuilder& builder,
                                         std::string together) {
    const PgClient::OnRow on_row = [&builder](PgClient::Row row) {
        return builder.add(Catalog::kViewsQuery, row);
    };
    auto set = co_await run(client, "SET LOCAL lock_timeout = '100ms'");
    if (!set) co_return fail(set.error());
    auto read = co_await attempt(client, std::move(together), on_row);
    if (read) co_return true;
    if (!client.usable()) co_return fail(read.error());
    builder.disturb();
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

asio::awaitable<Result<>> read_mark(PgClient& client, CatalogState& state) {
    const PgClient::OnRow on_row = [&state](PgClient::Row row) -> Result<> {
        if (row.size() != 4 || !row[0] || !row[1] || !row[2] || !row[3])
            return fail(Errc::Malformed, "the mark of a catalog");
        state.origin = *row[0];
        state.ground = *row[2];
        state.functions = *row[3];
        const char* const end = row[1]->data() + row[1]->size();
        const auto [at, error] = std::from_chars(row[1]->data(), end, state.horizon);
        if (error != std::errc{} || at != end) return fail(Errc::Malformed, "a transaction's id");
        return {};
    };
    std::string sql{Catalog::mark_query()};
    co_return co_await client.query(std::move(sql), on_row);
}

bool continues(const CatalogState& earlier, const CatalogState& now) {
    return earlier.catalog && earlier.whole && earlier.origin == now.origin &&
           earlier.ground == now.ground && now.horizon >= earlier.horizon &&
           now.horizon - earlier.horizon < Catalog::kMaxDistance;
}

// All queries but that of the views, whole or for what may have changed.
asio::awaitable<Result<>> read_rows(PgClient& client, CatalogBuilder& builder,
                                    const CatalogState* since, bool functions,
                                    policy::sql::Oid from) {
    for (std::size_t i = 0; i <= Catalog::kAliveQuery; ++i) {
        if (i == Catalog::kViewsQuery) continue;
        const bool changes = i == Catalog::kRelationsQuery || i == Catalog::kInheritanceQuery ||
                             i == Catalog::kTypesQuery || i == Catalog::kAliveQuery ||
                             (functions && i == Catalog::kFunctionsQuery);
        if (since == nullptr ? i == Catalog::kAliveQuery : !changes) continue;
        const PgClient::OnRow on_row = [&builder, i](PgClient::Row row) {
            return builder.add(i, row);
        };
        std::string sql =
            since == nullptr ? Catalog::query(i, from) : Catalog::changes_query(i, since->horizon);
        auto rows = co_await client.query(std::move(sql), on_row);
        if (!rows) co_return rows;
    }
    co_return Result<>{};
}

}  // namespace

asio::awaitable<Result<CatalogState>> read_catalog(PgClient& client, CatalogState earlier) {
    auto begun = co_await run(client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!begun) co_return fail(begun.error());
    CatalogState now;
    auto marked = co_await read_mark(client, now);
    if (!marked) co_return fail(marked.error());
    CatalogBuilder builder;
    const CatalogState* const since = continues(earlier, now) ? &earlier : nullptr;
    const bool same_database = earlier.catalog && earlier.origin == now.origin;
    const bool functions = earlier.functions != now.functions;
    if (since != nullptr)
        builder.continue_from(earlier.catalog, functions);
    else if (same_database)
        builder.begin_with(*earlier.catalog);
    const policy::sql::Oid from = same_database ? Catalog::kFirstUserOid : 0;
    auto rows = co_await read_rows(client, builder, since, functions, from);
    if (!rows) co_return fail(rows.error());
    std::string together = builder.disturbed()
                               ? Catalog::query(Catalog::kViewsQuery)
                               : Catalog::changes_query(Catalog::kViewsQuery, since->horizon);
    auto views = co_await read_views(client, builder, std::move(together));
    if (!views) co_return fail(views.error());
    auto ended = co_await run(client, "COMMIT");
    if (!ended) co_return fail(ended.error());
    now.whole = *views;
    now.catalog = builder.build();
    co_return now;
}

}  // namespace chaperone::net
