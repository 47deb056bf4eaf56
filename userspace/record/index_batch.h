// SPDX-License-Identifier: Apache-2.0
// What some consecutive entries of the journal make of the index, put together before anything is
// written: a session that began and ended within them is one row, a request and its outcome, too.
// Written later, they come to the same rows as if each entry had been written by itself.
#pragma once

#include "userspace/record/reader.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::record {

// How grave an effect is, for the gravest of a session; 0: none.
int gravity(std::string_view effect);

// Where an entry of a session is, as the index keeps it: many in one row.
struct Place {
    std::uint64_t index{};
    std::uint64_t segment{};
    std::uint64_t offset{};
};

struct RequestRow {
    const Stored* request{};
    const ResultEntry* result{};  // null: not seen yet
    std::string_view effect{};    // as it is shown
};

// What is to be added to a session's row, or the whole row where it starts here.
struct SessionRow {
    std::string_view id{};
    const Stored* start{};
    const Entry* end{};
    std::uint64_t requests{};
    std::uint64_t rows{};
    std::uint64_t up{};
    std::uint64_t down{};
    int gravity{};
    bool shadow{};
    std::vector<Place> places{};
    std::vector<std::size_t> at{};  // its requests, in IndexBatch::requests
};

class IndexBatch {
public:
    // The entry must outlive the batch. False: it was not taken, as all before it must be written
    // first.
    bool take(const Stored& stored);
    void clear();

    std::vector<RequestRow> requests{};
    std::vector<const ResultEntry*> late{};  // outcomes of requests that are written already
    std::vector<SessionRow> sessions{};      // in the order in which they were met

private:
    SessionRow& session(std::string_view id);
    void take_request(const Stored& stored, SessionRow& session);
    void take_result(const ResultEntry& result, SessionRow& session);

    std::unordered_map<std::string_view, std::size_t> known_{};  // in `sessions`
};

}  // namespace chaperone::record
