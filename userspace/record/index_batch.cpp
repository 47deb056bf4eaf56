// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/index_batch.h"

#include <algorithm>
#include <ranges>

namespace chaperone::record {

int gravity(std::string_view effect) {
    if (effect == "deny") return 4;
    if (effect == "approve") return 3;
    if (effect == "mask") return 2;
    return effect == "allow" ? 1 : 0;
}

bool is_kept(std::string_view effect) {
    return effect == "deny" || effect == "approve";
}

SessionRow& IndexBatch::session(std::string_view id) {
    const auto [found, made] = known_.try_emplace(id, sessions.size());
    if (made) sessions.push_back({.id = id});
    return sessions[found->second];
}

void IndexBatch::take_request(const Viewed& viewed, SessionRow& row) {
    const RequestView& request = viewed.entry.request;
    // One that was granted is recorded as approve; a mask is graver than a plain allow. The masks
    // of a connect are what may come: no value came yet.
    const bool masks = request.masks && request.kind != "connect";
    const std::string_view effect =
        request.effect == "allow" && masks ? std::string_view{"mask"} : request.effect;
    ++row.requests;
    row.gravity = std::max(row.gravity, gravity(effect));
    row.shadow = row.shadow || request.shadow;
    if (!request.statement.empty())
        spoken.push_back({.text = request.statement, .session = row.id, .index = viewed.index});
    auto& asked = row.asked.emplace_back(SessionRow::Asked{.number = viewed.entry.number});
    if (!is_kept(effect)) return;
    asked.at = requests.size();
    requests.push_back({.request = &viewed, .effect = effect});
}

void IndexBatch::take_result(const EntryView& entry, SessionRow& row) {
    row.rows += entry.rows;
    row.up += entry.bytes_up;
    row.down += entry.bytes_down;
    for (const SessionRow::Asked& asked : std::views::reverse(row.asked)) {
        if (asked.number != entry.number) continue;
        if (asked.at) requests[*asked.at].result = &entry;
        return;
    }
    late.push_back(&entry);
}

bool IndexBatch::take(const Viewed& viewed) {
    using enum EntryView::Kind;
    const EntryView& entry = viewed.entry;
    // No session outlives its daemon; those without an end lost theirs.
    if (entry.kind == DaemonStart) return sessions.empty();
    if (entry.session.empty()) return true;
    SessionRow& row = session(entry.session);
    // What its end sets comes behind what is added, and a start puts another row in its place.
    if (row.end != nullptr || (entry.kind == Start && !row.places.empty())) return false;
    if (entry.kind == Start) row.start = &entry;
    row.places.push_back({viewed.index, viewed.where.segment, viewed.where.offset});
    if (entry.kind == Request) take_request(viewed, row);
    if (entry.kind == Outcome) take_result(entry, row);
    if (entry.kind == End) row.end = &entry;
    return true;
}

void IndexBatch::clear() {
    requests.clear();
    spoken.clear();
    late.clear();
    sessions.clear();
    known_.clear();
}

}  // namespace chaperone::record
