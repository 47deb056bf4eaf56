// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/events.h"
#include "userspace/record/replay.h"

#include <deque>
#include <map>

namespace chaperone::daemon {
namespace {

constexpr std::size_t kFollowQueue = 4096;  // entries that a slow reader may lag behind

Time time_of(const google::protobuf::Timestamp& stamp) {
    return Time{std::chrono::seconds{stamp.seconds()} + std::chrono::nanoseconds{stamp.nanos()}};
}

record::Filter filter_of(const v1::ListSessionsRequest& request) {
    record::Filter filter{.workload = request.workload(),
                          .subject = request.subject(),
                          .resource = request.resource(),
                          .effect = request.effect(),
                          .text = request.text(),
                          .shadow = request.shadow()};
    // Live states are finer than the journal's.
    if (request.state() == "closed") filter.state = "closed";
    if (!request.state().empty() && request.state() != "closed") filter.state = "open";
    if (request.has_since()) filter.since = time_of(request.since());
    if (request.has_until()) filter.until = time_of(request.until());
    filter.limit = request.limit() != 0 ? std::min(request.limit(), 10'000U) : 100;
    return filter;
}

// Hands entries from the feed's thread to the one that writes them to a reader.
class Queue {
public:
    bool push(const record::Stored& stored) {
        const std::lock_guard lock{mutex_};
        if (waiting_.size() >= kFollowQueue) full_ = true;
        if (full_) return false;
        waiting_.push_back(stored);
        ready_.notify_one();
        return true;
    }
    std::deque<record::Stored> take() {
        std::unique_lock lock{mutex_};
        ready_.wait_for(lock, std::chrono::milliseconds{500},
                        [&] { return !waiting_.empty() || full_; });
        return std::exchange(waiting_, {});
    }
    bool full() const {
        const std::lock_guard lock{mutex_};
        return full_;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<record::Stored> waiting_;
    bool full_ = false;
};

}  // namespace

Result<> ApiService::catch_up() {
    return it_.index->catch_up(it_.journal->journal());
}

Result<v1::ListSessionsResponse> ApiService::list_sessions(const v1::ListSessionsRequest& request,
                                                           const Caller&) {
    if (auto caught = catch_up(); !caught) return fail(caught.error());
    auto found = it_.index->sessions(filter_of(request));
    if (!found) return fail(found.error());
    std::map<std::string, net::SessionSnapshot> live;
    for (net::SessionSnapshot& one : it_.open_sessions())
        if (one.facts) live.emplace(one.facts->id, std::move(one));
    v1::ListSessionsResponse response;
    for (const record::SessionSummary& summary : *found) {
        v1::Session session = to_session(summary);
        if (const auto now = live.find(summary.id); now != live.end())
            add_live(session, now->second);
        else if (session.state() == "open")
            session.set_state("lost");
        // "open" is every live one, whatever it does just now.
        if (request.state() == "open"
                ? session.state() == "lost"
                : !request.state().empty() && session.state() != request.state())
            continue;
        *response.add_sessions() = std::move(session);
    }
    return response;
}

Result<v1::Session> ApiService::get_session(const v1::SessionRequest& request, const Caller&) {
    if (auto caught = catch_up(); !caught) return fail(caught.error());
    auto found = it_.index->session(request.id());
    if (!found)
        return found.error().code == Errc::NotFound
                   ? fail(Errc::NotFound, "there is no session " + request.id())
                   : fail(found.error());
    v1::Session session = to_session(*found);
    if (session.state() != "open") return session;
    session.set_state("lost");
    for (const net::SessionSnapshot& one : it_.open_sessions())
        if (one.facts && one.facts->id == found->id) add_live(session, one);
    return session;
}

Result<std::string> ApiService::full_id(const std::string& id) {
    if (auto caught = catch_up(); !caught) return fail(caught.error());
    auto found = it_.index->session(id);
    if (found) return found->id;
    if (found.error().code == Errc::NotFound)
        return fail(Errc::NotFound, "there is no session " + id);
    return fail(found.error());
}

Result<v1::Empty> ApiService::kill_session(const v1::SessionRequest& request,
                                           const Caller& caller) {
    const auto id = full_id(request.id());
    if (!id) return fail(id.error());
    if (auto noted = it_.note(record::AdminEntry::SESSION_KILLED, &caller, *id); !noted)
        return fail(noted.error());
    auto killed = it_.proxy->kill(*id, "ended by an operator");
    if (!killed && killed.error().code == Errc::NotFound)
        killed = it_.watch->kill(*id, "ended by an operator");
    if (!killed && killed.error().code == Errc::NotFound)
        return fail(Errc::NotFound, "session " + *id + " is not open");
    if (!killed) return fail(killed.error());
    return v1::Empty{};
}

Result<std::vector<record::Stored>> ApiService::entries_of(const std::string& id) {
    const auto full = full_id(id);
    if (!full) return fail(full.error());
    return it_.index->entries_of(*full, it_.journal->journal());
}

Result<> ApiService::replay_session(const v1::SessionRequest& request, const Caller& caller,
                                    Stream& out) {
    if (auto noted = it_.note(record::AdminEntry::JOURNAL_READ, &caller, request.id()); !noted)
        return noted;
    const auto entries = entries_of(request.id());
    if (!entries) return fail(entries.error());
    for (const record::Stored& stored : *entries)
        if (!out.write(to_event(stored))) return {};
    return {};
}

Result<v1::Transcript> ApiService::transcript(const v1::TranscriptRequest& request,
                                              const Caller& caller) {
    if (request.format() != "" && request.format() != "text" && request.format() != "asciicast")
        return fail(Errc::Invalid, "format must be text or asciicast");
    if (auto noted = it_.note(record::AdminEntry::JOURNAL_READ, &caller, request.id()); !noted)
        return fail(noted.error());
    const auto entries = entries_of(request.id());
    if (!entries) return fail(entries.error());
    v1::Transcript transcript;
    transcript.set_text(request.format() == "asciicast" ? record::asciicast(*entries)
                                                        : record::transcript(*entries));
    return transcript;
}

Result<> ApiService::follow(const v1::FollowRequest& request, const Caller& caller, Stream& out) {
    std::string session;
    if (!request.session().empty()) {
        auto id = full_id(request.session());
        if (!id) return fail(id.error());
        session = *std::move(id);
    }
    if (auto noted = it_.note(record::AdminEntry::JOURNAL_READ, &caller, session, "follow"); !noted)
        return noted;
    Queue queue;
    const auto subscription = it_.feed->subscribe([&](const record::Stored& stored) {
        return (!session.empty() && session_of(stored.entry) != session) || queue.push(stored);
    });
    bool going = true, ended = false;
    while (going && !ended && !queue.full() && out.open()) {
        for (const record::Stored& stored : queue.take()) {
            going = going && out.write(to_event(stored));
            ended = ended ||
                    (!session.empty() && stored.entry.body_case() == record::Entry::kSessionEnd);
        }
    }
    it_.feed->remove(subscription);
    if (queue.full()) return fail(Errc::TooLarge, "the reader is too slow to follow");
    return {};
}

}  // namespace chaperone::daemon
