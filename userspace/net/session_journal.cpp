// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/session_journal.h"

#include "policy/request.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/writer.h"

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

}  // namespace

Bytes SessionJournal::serialized(const policy::DecisionPtr& decision) {
    for (const Kept& kept : kept_)
        if (kept.decision == decision) return kept.serialized;
    record::Decision filled;
    fill(filled, *decision);
    Kept& kept = kept_[next_kept_];
    next_kept_ = (next_kept_ + 1) % kept_.size();
    kept = {decision, copy(as_bytes(filled.SerializeAsString()))};
    return kept.serialized;
}

Result<> SessionJournal::append(const record::Entry& entry) {
    frames_.add(entry);
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
