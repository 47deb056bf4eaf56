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

Result<> SessionJournal::hand_over(record::Frames& frames) {
    auto written = writer_.append(frames);
    frames.clear();
    if (!written) return fail(written.error());
    return {};
}

// Where nothing waits a session needs no memory for it: that of its thread serves.
template <class... Fields>
Result<> SessionJournal::write(const Fields&... entry) {
    static thread_local record::Frames at_once;
    at_once.clear();
    record::Frames& frames = frames_.empty() ? at_once : frames_;
    frames.add(entry...);
    return hand_over(frames);
}

Result<> SessionJournal::append(const record::Entry& entry) {
    return write(entry);
}

Result<> SessionJournal::append(const record::StartFields& start) {
    return write(start);
}

Result<> SessionJournal::append(const record::EndFields& end) {
    return write(end);
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
    return write(fields, std::span<const record::ParameterFields>{views});
}

Result<> SessionJournal::note(const record::ResultFields& outcome) {
    if (!writer_.waits_for_disk()) return write(outcome);
    frames_.add(outcome);
    return frames_.size() < kMostWaiting ? Result<>{} : flush();
}

Result<> SessionJournal::flush() {
    if (frames_.empty()) return {};
    return hand_over(frames_);
}

}  // namespace chaperone::net
