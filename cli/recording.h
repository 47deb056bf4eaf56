// SPDX-License-Identifier: Apache-2.0
// Requests of the journal as questions that can be asked anew.
#pragma once

#include "policy/testing/simulate.h"
#include "userspace/base/clock.h"
#include "userspace/record/reader.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace chaperone::cli {

// A question whose statement is "METHOD URL", as the journal has HTTP requests. Fields and bodies
// are not recorded, so that rules which look at them may answer otherwise.
policy::Question http_question(policy::Question question);

class Recording {
public:
    struct Wanted {
        std::filesystem::path journal{};
        Time from = Time::min();
        Time to = Time::max();
        std::string session{};  // the beginning of an id; empty: all
        bool prepared = false;  // texts that were only prepared too
    };
    using Take = std::function<void(const policy::testing::Recorded&, std::uint64_t number)>;

    explicit Recording(Wanted wanted) : wanted_(std::move(wanted)) {}

    // Reads to the journal's end. A prepared text is judged when it runs; one that was refused
    // never ran.
    Result<> read(const Take& take);
    // Statements that were too long to be recorded whole, and so cannot be asked.
    std::uint64_t cut() const noexcept { return cut_; }

private:
    void take(const record::Entry& entry, const Take& take);
    void request(const record::RequestEntry& request, Time time, const Take& take);

    Wanted wanted_;
    std::map<std::string, policy::Question, std::less<>> sessions_;  // open at this point
    std::uint64_t cut_ = 0;
};

}  // namespace chaperone::cli
