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
// How long a connection stays open, at most, that no session has a use for.
constexpr auto kLetGo = std::chrono::milliseconds{200};

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
    catalogs->pause_ = std::make_unique<asio::steady_timer>(catalogs->thread_->context());
    asio::co_spawn(catalogs->thread_->context(), catalogs->watch(), asio::detached);
    return catalogs;
}

Catalogs::Catalogs(std::unique_ptr<IoThread> thread, Duration connect_timeout)
    : connect_timeout_(connect_timeout), thread_(std::move(thread)) {}

Catalogs::~Catalogs() {
    thread_->join();
    entries_.clear();  // their sockets and timers belong to the context
    pause_.reset();
}

CatalogPtr Catalogs::current(const Target& target, std::string_view database) const {
    return kept_.with([&](const auto& kept) -> CatalogPtr {
        const auto found = kept.find(key_of(target, database));
        return found == kept.end() ? nullptr : found->second.got.catalog;
    });
}

asio::awaitable<Result<Catalogs::Got>> Catalogs::get(std::shared_ptr<const Target> target,
                                                     std::string database, bool fresh) {
    if (target->pass_through) co_return Got{};
    const auto now = Clock::now();
    const auto not_before = fresh ? now : now - kFreshFor;
    auto kept = kept_.with([&](const auto& all) {
        const auto found = all.find(key_of(*target, database));
        return found == all.end() ? Kept{} : found->second;
    });
    if (kept.got.catalog && kept.looked >= not_before) co_return std::move(kept.got);
    co_return co_await asio::co_spawn(thread_->context(),
                                      look(std::move(target), std::move(database), not_before),
                                      asio::use_awaitable);
}

// Runs on the thread. One look at a time; who comes meanwhile shares the result if it began late
// enough for them.
asio::awaitable<Result<Catalogs::Got>> Catalogs::look(std::shared_ptr<const Target> target,
                                                      std::string database,
                                                      Clock::time_point not_before) {
    const std::string key = key_of(*target, database);
    auto& slot = entries_[key];
    if (!slot) {
        slot = std::make_shared<Entry>();
        slot->database = std::move(database);
        slot->use = std::make_shared<char>();
        slot->idle = std::make_unique<asio::steady_timer>(thread_->context(),
                                                          asio::steady_timer::time_point::max());
    }
    const std::shared_ptr<Entry> entry = slot;
    entry->target = std::move(target);  // the credential may have been changed
    while (entry->busy) co_await entry->idle->async_wait(kNoThrow);
    if (entry->state.catalog && entry->looked >= not_before)
        co_return Got{entry->state.catalog, entry->use};

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
    Got got{entry->state.catalog, entry->use};
    kept_.with([&](auto& kept) { kept[key] = Kept{got, began}; });
    if (entry->client) pause_->cancel();  // watch() may have had nothing to let go of
    co_return got;
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
        auto state = co_await read_catalog(*entry.client, entry.state);
        // A connection that was kept may have died meanwhile: once more with a new one.
        if (!state && reused && attempt == 0 && !entry.client->usable()) {
            entry.client.reset();
            continue;
        }
        if (!state) co_return fail(state.error());
        entry.state = std::move(*state);
        co_return Result<>{};
    }
}

// True if connections are left that may have to be let go of later.
bool Catalogs::let_go_of_unused() {
    bool left = false;
    for (const auto& [key, entry] : entries_) {
        if (!entry->client || entry->busy) continue;
        // One is the entry's own, one stands among those kept; all others are sessions'.
        if (entry->use.use_count() <= 2)
            entry->client.reset();
        else
            left = true;
    }
    return left;
}

// While sessions use a database, changes that others make to its schema are noticed.
asio::awaitable<void> Catalogs::watch() {
    auto next = Clock::now() + kFreshFor;
    for (;;) {
        const bool left = let_go_of_unused();
        pause_->expires_after(left ? Clock::duration{kLetGo} : kFreshFor);
        co_await pause_->async_wait(kNoThrow);
        const auto now = Clock::now();
        if (now < next) continue;
        next = now + kFreshFor;
        for (const auto& [key, entry] : entries_) {
            if (entry->busy || entry->use.use_count() <= 2) continue;
            asio::co_spawn(thread_->context(), look(entry->target, entry->database, now),
                           asio::detached);
        }
    }
}

}  // namespace chaperone::net
