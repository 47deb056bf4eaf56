// SPDX-License-Identifier: Apache-2.0
// The approval book as the running daemon has it: locked, journaled, by steady_now(), which expires
// what nobody answered, and with waiters that are called back on whichever thread decided.
#pragma once

#include "userspace/approval/approval_book.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/guarded.h"

#include <memory>
#include <string>
#include <vector>

namespace chaperone::record {
class Writer;
}

namespace chaperone::net {

class Approvals {
public:
    explicit Approvals(record::Writer& journal) : journal_(journal) {}

    // Calls with the book locked; what the book's waiters do must be short (they post).
    template <class Function>
    auto with(Function&& function) {
        return book_.with(std::forward<Function>(function));
    }

    record::Writer& journal() { return journal_; }

private:
    record::Writer& journal_;
    Guarded<approval::ApprovalBook> book_;
};

}  // namespace chaperone::net
