// SPDX-License-Identifier: Apache-2.0
// What one session writes into the journal. Where an append waits for the disk, an outcome waits a
// moment, to be written together with what the session writes next. On the session's thread; in the
// steady state nothing is allocated.
#pragma once

#include "policy/decision.h"
#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/record/encoder.h"

#include <cstddef>
#include <span>

namespace chaperone::record {
class Entry;
class Writer;
}  // namespace chaperone::record

namespace chaperone::policy {
struct Parameter;
}

namespace chaperone::net {

class SessionJournal {
public:
    // The writer must outlive it.
    explicit SessionJournal(record::Writer& writer) : writer_(writer) {}

    // Written when it returns, behind the outcomes that waited. An error: none of them is.
    Result<> append(const record::Entry& entry);
    Result<> append(const record::StartFields& start);
    Result<> append(const record::EndFields& end);
    // As above. `fields.decision` is filled in here.
    Result<> append(record::RequestFields fields, const policy::DecisionPtr& decision,
                    std::span<const policy::Parameter> parameters);
    // Written when it returns, or waits until flush(); at most kMostWaiting do. An error: those
    // that waited are lost, and the journal stays unwritable until it has recovered.
    Result<> note(const record::ResultFields& outcome);
    Result<> flush();

private:
    static constexpr std::size_t kMostWaiting = 64;

    template <class... Fields>
    Result<> write(const Fields&... entry);  // behind what waits
    Result<> hand_over(record::Frames& frames);

    record::Writer& writer_;
    record::Frames frames_;  // that wait
};

}  // namespace chaperone::net
