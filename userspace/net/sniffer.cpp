// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/sniffer.h"

#include "userspace/base/log.h"

#include <array>
#include <exception>
#include <optional>
#include <span>
#include <utility>

namespace chaperone::net {

namespace {

constexpr std::size_t kPiece = 4096;

}  // namespace

Result<> Sniffer::start(Poller& poller) {
    return stream_.watch(poller, shared_from_this());
}

void Sniffer::ready() noexcept {
    try {
        look();
    } catch (const std::exception& error) {
        log::error("a connection was lost", {{"error", error.what()}});
        stream_.reset();
    }
}

void Sniffer::look() {
    std::array<std::byte, kPiece> piece;
    while (found_ && stream_.may_have_more()) {
        const Stream::Moved moved = stream_.read(piece);
        if (moved.state == Stream::State::WouldBlock) return;
        if (moved.state == Stream::State::Closed) return finish({});
        append(early_, Bytes{piece}.first(moved.bytes));
        if (const auto asked = asked_name(early_)) return finish(*asked);
        if (early_.size() > 2 * kMaxAskedName) return finish({});
    }
}

void Sniffer::tick(Clock::time_point time) {
    if (found_ && time >= until_) finish({});
}

void Sniffer::finish(const AskedName& asked) {
    const auto self = shared_from_this();  // the connection may have been the last to hold it
    const Found found = std::exchange(found_, nullptr);
    found(std::move(stream_), asked, std::move(early_));
}

}  // namespace chaperone::net
