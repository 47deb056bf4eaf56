// SPDX-License-Identifier: Apache-2.0
// What some consecutive entries of the journal make of the index, put together before anything is
// written: a session that began and ended within them is one row, a request and its outcome, too.
// Written later, they come to the same rows as if each entry had been written by itself.
#pragma once

#include "userspace/record/entry_view.h"
#include "userspace/record/places.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::record {

// Whether a request of this effect has a row of its own: a hundred thousand that passed are asked
// for by what they said only.
bool is_kept(std::string_view effect);
// How grave an effect is, for the gravest of a session; 0: none.
int gravity(std::string_view effect);

// One that policy did not simply let through.
struct RequestRow {
    const Viewed* request{};
    const EntryView* result{};  // null: not seen yet
    std::string_view effect{};  // as it is shown
};

// That a session said this.
struct SpokenRow {
    std::string_view text{};
    std::string_view session{};
    std::uint64_t index{};  // of the entry
};

// What is to be added to a session's row, or the whole row where it starts here.
struct SessionRow {
    std::string_view id{};
    const EntryView* start{};
    const EntryView* end{};
    std::uint64_t requests{};
    std::uint64_t rows{};
    std::uint64_t up{};
    std::uint64_t down{};
    int gravity{};
    bool shadow{};
    std::vector<Place> places{};
    struct Asked {
        std::uint64_t number{};
        std::optional<std::size_t> at{};  // in IndexBatch::requests, if it is there
    };
    std::vector<Asked> asked{};
};

class IndexBatch {
public:
    // The entry must outlive the batch. False: it was not taken, as all before it must be written
    // first.
    bool take(const Viewed& viewed);
    void clear();

    std::vector<RequestRow> requests{};
    std::vector<SpokenRow> spoken{};
    std::vector<const EntryView*> late{};  // outcomes of requests that are written already
    std::vector<SessionRow> sessions{};    // in the order in which they were met

private:
    SessionRow& session(std::string_view id);
    void take_request(const Viewed& viewed, SessionRow& session);
    void take_result(const EntryView& entry, SessionRow& session);

    std::unordered_map<std::string_view, std::size_t> known_{};  // in `sessions`
};

}  // namespace chaperone::record
