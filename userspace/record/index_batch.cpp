// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/index_batch.h"

#include "userspace/record/summary.h"

#include <algorithm>
#include <ranges>

namespace chaperone::record {

int gravity(std::string_view effect) {
    if (effect == "deny") return 4;
    if (effect == "approve") return 3;
    if (effect == "mask") return 2;
    return effect == "allow" ? 1 : 0;
}

SessionRow& IndexBatch::session(std::string_view id) {
    const auto [found, made] = known_.try_emplace(id, sessions.size());
    if (made) sessions.push_back({.id = id});
    return sessions[found->second];
}

void IndexBatch::take_request(const Stored& stored, SessionRow& row) {
    const RequestEntry& request = stored.entry.request();
    const Decision& decision = request.decision();
    // One that was granted is recorded as approve; a mask is graver than a plain allow. The masks
    // of a connect are what may come: no value came yet.
    const bool masks = decision.masks_size() != 0 && request.kind() != "connect";
    const std::string_view effect =
        decision.effect() == "allow" && masks ? std::string_view{"mask"} : decision.effect();
    ++row.requests;
    row.gravity = std::max(row.gravity, gravity(effect));
    row.shadow = row.shadow || decision.shadow_size() != 0;
    row.at.push_back(requests.size());
    requests.push_back({.request = &stored, .effect = effect});
}

void IndexBatch::take_result(const ResultEntry& result, SessionRow& row) {
    row.rows += result.rows();
    row.up += result.bytes_up();
    row.down += result.bytes_down();
    for (const std::size_t at : std::views::reverse(row.at)) {
        RequestRow& made = requests[at];
        if (made.request->entry.request().number() != result.request()) continue;
        made.result = &result;
        return;
    }
    late.push_back(&result);
}

bool IndexBatch::take(const Stored& stored) {
    const Entry& entry = stored.entry;
    // No session outlives its daemon; those without an end lost theirs.
    if (entry.has_admin() && entry.admin().action() == AdminEntry::DAEMON_START)
        return sessions.empty();
    const std::string_view id = session_of(entry);
    if (id.empty()) return true;
    SessionRow& row = session(id);
    // What its end sets comes behind what is added, and a start puts another row in its place.
    if (row.end != nullptr || (entry.has_session_start() && !row.places.empty())) return false;
    if (entry.has_session_start()) row.start = &stored;
    row.places.push_back({stored.index, stored.where.segment, stored.where.offset});
    if (entry.has_request()) take_request(stored, row);
    if (entry.has_result()) take_result(entry.result(), row);
    if (entry.has_session_end()) row.end = &entry;
    return true;
}

void IndexBatch::clear() {
    requests.clear();
    late.clear();
    sessions.clear();
    known_.clear();
}

}  // namespace chaperone::record
