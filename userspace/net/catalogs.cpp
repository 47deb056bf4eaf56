// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/catalogs.h"

#include "userspace/base/log.h"
#include "userspace/net/catalog_reader.h"
#include "userspace/net/pg_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace chaperone::net {
namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// How old a snapshot may be when a session begins, and how often it is looked at meanwhile.
constexpr auto kFreshFor = std::chrono::seconds{2};
// A connection that no session has needed for this long is closed.
constexpr auto kIdle = std::chrono::seconds{60};

std::string key_of(const Target& target, std::string_view database) {
    std::string key = target.resource;
    for (const std::string& part :
         {target.host, std::to_string(target.port), target.user, std::string{database}}) {
        key += '\n';
        key += part;
    }
    return key;
}

}  // namespace

Result<std::unique_ptr<Catalogs>> Catalogs::create(Duration connect_timeout) {
    auto thread = IoThread::start(999);
    if (!thread) return fail(thread.error());
    std::unique_ptr<Catalogs> catalogs{new Catalogs{std::move(*thread), connect_timeout}};
    asio::co_spawn(catalogs->thread_->context(), catalogs->watch(), asio::detached);
    return catalogs;
}

Catalogs::Catalogs(std::unique_ptr<IoThread> thread, Duration connect_timeout)
    : connect_timeout_(connect_timeout), thread_(std::move(thread)) {}

Catalogs::~Catalogs() {
    thread_->join();
    entries_.clear();  // their sockets and timers belong to the context
}

CatalogPtr Catalogs::current(const Target& target, std::string_view database) const {
    return kept_.with([&](const auto& kept) -> CatalogPtr {
        const auto found = kept.find(key_of(target, database));
        return found == kept.end() ? nullptr : found->second.catalog;
    });
}

asio::awaitable<Result<CatalogPtr>> Catalogs::get(asio::io_context&,
                                                  std::shared_ptr<const Target> target,
                                                  std::string database, bool fresh) {
    if (target->pass_through) co_return CatalogPtr{};
    const auto now = Clock::now();
    const auto not_before = fresh ? now : now - kFreshFor;
    const auto kept = kept_.with([&](const auto& all) {
        const auto found = all.find(key_of(*target, database));
        return found == all.end() ? Kept{} : found->second;
    });
    if (kept.catalog && kept.looked >= not_before) co_return kept.catalog;
    co_return co_await asio::co_spawn(thread_->context(),
                                      look(std::move(target), std::move(database), not_before),
                                      asio::use_awaitable);
}

// Runs on the thread. One look at a time; who comes meanwhile shares the result if it began late
// enough for them.
asio::awaitable<Result<CatalogPtr>> Catalogs::look(std::shared_ptr<const Target> target,
                                                   std::string database,
                                                   Clock::time_point not_before) {
    const std::string key = key_of(*target, database);
    auto& slot = entries_[key];
    if (!slot) {
        slot = std::make_shared<Entry>();
        slot->database = std::move(database);
        slot->idle = std::make_unique<asio::steady_timer>(thread_->context(),
                                                          asio::steady_timer::time_point::max());
    }
    const std::shared_ptr<Entry> entry = slot;
    entry->target = std::move(target);  // the credential may have been changed
    entry->used = Clock::now();
    while (entry->busy) co_await entry->idle->async_wait(kNoThrow);
    if (entry->catalog && entry->looked >= not_before) co_return entry->catalog;

    entry->busy = true;
    const auto began = Clock::now();
    auto refreshed = co_await refresh(*entry);
    entry->busy = false;
    entry->idle->cancel();
    if (!refreshed) {
        log::warning("catalog not read", {{"resource", entry->target->resource},
                                          {"database", entry->database},
                                          {"error", refreshed.error().message()}});
        entry->client.reset();
        co_return fail(refreshed.error());
    }
    entry->looked = began;
    kept_.with([&](auto& kept) { kept[key] = Kept{entry->catalog, began}; });
    co_return entry->catalog;
}

asio::awaitable<Result<>> Catalogs::refresh(Entry& entry) {
    for (int attempt = 0;; ++attempt) {
        const bool reused = entry.client != nullptr && entry.client->usable();
        if (!reused) {
            auto client = co_await PgClient::connect(thread_->context(), entry.target,
                                                     entry.database, connect_timeout_);
            if (!client) co_return fail(client.error());
            entry.client = std::move(*client);
            const PgClient::OnRow no_rows;
            const std::string settings{kCatalogSettings};
            auto set = co_await entry.client->query(settings, no_rows);
            if (!set) co_return set;
        }
        auto seen = co_await read_digest(*entry.client);
        // A connection that was kept may have died meanwhile: once more with a new one.
        if (!seen && reused && attempt == 0) {
            entry.client.reset();
            continue;
        }
        if (!seen) co_return fail(seen.error());
        if (entry.catalog && entry.catalog->digest() == *seen) co_return Result<>{};
        auto catalog = co_await read_catalog(*entry.client, std::move(*seen), entry.catalog);
        if (!catalog) co_return fail(catalog.error());
        entry.catalog = std::move(*catalog);
        co_return Result<>{};
    }
}

// While sessions use a database, changes that others make to its schema are noticed.
asio::awaitable<void> Catalogs::watch() {
    asio::steady_timer pause{thread_->context()};
    for (;;) {
        pause.expires_after(kFreshFor);
        co_await pause.async_wait(kNoThrow);
        const auto now = Clock::now();
        std::vector<std::shared_ptr<Entry>> all;
        for (const auto& [key, entry] : entries_) all.push_back(entry);
        for (const auto& entry : all) {
            // Somebody else holds the snapshot as long as a session does.
            const bool in_use = entry->catalog && entry->catalog.use_count() > 2;
            if (!in_use) {
                if (!entry->busy && now - entry->used > kIdle) entry->client.reset();
                continue;
            }
            (void)co_await look(entry->target, entry->database, now);
        }
    }
}

}  // namespace chaperone::net
