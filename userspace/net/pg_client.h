// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL connection of our own, for the catalog and for `chaperone doctor`: logs in as the
// resource says and runs simple queries. Lives on one thread; one query at a time.
#pragma once

#include "userspace/net/stream.h"
#include "userspace/net/target.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace chaperone::net {

class PgClient {
public:
    using Row = std::span<const std::optional<std::string_view>>;
    // Called for each row, all fields in text format; an error ends the connection.
    using OnRow = std::function<Result<>(Row)>;

    static asio::awaitable<Result<std::unique_ptr<PgClient>>> connect(
        asio::io_context& context, std::shared_ptr<const Target> target, std::string database,
        Duration timeout);

    // Unavailable: the server's error, in its words, or the connection is lost. After an error of
    // the server the connection may be used again.
    asio::awaitable<Result<>> query(std::string sql, OnRow on_row);
    bool usable() const noexcept { return usable_; }

private:
    explicit PgClient(Stream stream) : stream_(std::move(stream)) {}
    asio::awaitable<Result<>> log_in(std::shared_ptr<const Target> target, std::string database);
    asio::awaitable<bool> fill();
    asio::awaitable<bool> write(Buffer data);

    Stream stream_;
    Buffer in_;
    bool usable_ = false;
};

}  // namespace chaperone::net
