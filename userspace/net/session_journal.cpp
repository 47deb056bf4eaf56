// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/session_journal.h"

#include "policy/request.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/writer.h"

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::net {

namespace {

void fill(record::Decision& to, const policy::Decision& decision) {
    to.set_effect(std::string{policy::to_text(decision.effect)});
    to.set_rule(decision.rule);
    for (const std::string& rule : decision.rules) to.add_rules(rule);
    if (!decision.masks.empty() || !decision.request_masks.empty())
        for (const std::string& name : policy::mask_names(decision)) to.add_masks(name);
    to.set_reason(decision.reason);
    to.set_bundle(decision.bundle);
    to.set_generation(decision.generation);
    to.set_commit(decision.commit);
    for (const std::string& rule : decision.shadow_rules)
        to.add_shadow(std::string{policy::to_text(decision.shadow_effect)} + " " + rule);
}

// Sessions run the same requests again and again, and their decisions are kept.
struct Kept {
    policy::DecisionPtr decision{};  // kept alive, so that its address is its identity
    Buffer serialized{};
};

Bytes serialized(const policy::DecisionPtr& decision) {
    static thread_local std::array<Kept, 64> all;
    Kept& kept = all[(std::bit_cast<std::uintptr_t>(decision.get()) >> 4) % all.size()];
    if (kept.decision == decision) return kept.serialized;
    record::Decision filled;
    fill(filled, *decision);
    kept = {decision, copy(as_bytes(filled.SerializeAsString()))};
    return kept.serialized;
}

}  // namespace

Result<> SessionJournal::append(const record::Entry& entry) {
    frames_.add(entry);
    return flush();
}

Result<> SessionJournal::append(const record::StartFields& start) {
    frames_.add(start);
    return flush();
}

Result<> SessionJournal::append(const record::EndFields& end) {
    frames_.add(end);
    return flush();
}

Result<> SessionJournal::append(record::RequestFields fields, const policy::DecisionPtr& decision,
                                std::span<const policy::Parameter> parameters) {
    static thread_local std::vector<record::ParameterFields> views;
    views.clear();
    for (const policy::Parameter& parameter : parameters)
        views.push_back({.text = parameter.text,
                         .type_oid = parameter.type,
                         .absent = parameter.null,
                         .truncated = parameter.truncated});
    fields.decision = serialized(decision);
    frames_.add(fields, views);
    return flush();
}

Result<> SessionJournal::note(const record::ResultFields& outcome) {
    frames_.add(outcome);
    if (writer_.waits_for_disk() && frames_.size() < kMostWaiting) return {};
    return flush();
}

Result<> SessionJournal::flush() {
    if (frames_.empty()) return {};
    auto written = writer_.append(frames_);
    frames_.clear();
    if (!written) return fail(written.error());
    return {};
}

}  // namespace chaperone::net
