// SPDX-License-Identifier: Apache-2.0
// What the index takes of an entry, as views into its bytes. Everything else is stepped over: a
// parsed Entry costs several times as much, and the index reads each entry of a busy host.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/record/segment.h"

#include <cstdint>
#include <string_view>

namespace chaperone::record {

struct StartView {
    std::string_view workload{};
    std::string_view subject{};
    std::string_view resource{};
    std::string_view protocol{};
    std::string_view address{};
    std::string_view name{};
    std::string_view comm{};
    std::uint64_t port{};
    std::uint64_t pid{};
    std::uint64_t uid{};
    bool refused{};
};

struct RequestView {
    std::string_view kind{};
    std::string_view statement{};
    std::string_view approval{};
    std::string_view effect{};  // of its decision
    std::string_view rule{};
    bool masks{};
    bool shadow{};
};

struct ResultView {
    std::string_view status{};
    std::string_view code{};
    std::int64_t duration{};  // ns
};

// Fields have the names and the meaning of record.proto's.
struct EntryView {
    enum class Kind { Other, Start, Request, Outcome, End, DaemonStart };

    Kind kind = Kind::Other;
    std::int64_t time{};
    std::string_view session{};  // empty: of none
    std::string_view peer{};     // of a start or an end
    std::string_view reason{};   // of an end
    std::uint64_t number{};      // of a request, or of the one that a result is of
    std::uint64_t requests{};    // of an end, as those below; of a result, too
    std::uint64_t rows{};
    std::uint64_t bytes_up{};
    std::uint64_t bytes_down{};
    StartView start{};
    RequestView request{};
    ResultView result{};
};

// An entry in its place.
struct Viewed {
    std::uint64_t index{};
    Location where{};
    EntryView entry{};
};

// The views live as long as `entry`. Corrupt: it is no protobuf message.
Result<EntryView> view_entry(Bytes entry);

}  // namespace chaperone::record
