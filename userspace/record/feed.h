// SPDX-License-Identifier: Apache-2.0
// Tells subscribers of new entries, live. It reads them back from the segments on a thread of its
// own, so the append path knows nothing of subscribers, and a slow one delays only the others.
#pragma once

#include "userspace/record/reader.h"
#include "userspace/record/writer.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace chaperone::record {

class Feed {
public:
    // Called on the feed's thread, in order, each entry once. It must not block: hand over to a
    // bounded queue of your own and return false when that is full or the reader is gone; then
    // it is not called again. The record itself never loses an entry by this.
    using Subscriber = std::function<bool(const Stored&)>;

    // `writer` must outlive the feed.
    explicit Feed(const Writer& writer);
    Feed(const Feed&) = delete;
    Feed& operator=(const Feed&) = delete;
    ~Feed();

    // Entries from the present end on. Returns an id for remove().
    std::uint64_t subscribe(Subscriber subscriber);
    // After it returns, the subscriber is not running and is not called again. Not from inside one.
    void remove(std::uint64_t id);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::record
