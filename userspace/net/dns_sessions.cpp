// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/dns_sessions.h"

#include "policy/names.h"
#include "userspace/base/ids.h"
#include "userspace/base/log.h"
#include "userspace/net/shared.h"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace chaperone::net {

using Clock = std::chrono::steady_clock;

struct DnsSessions::Session {
    std::shared_ptr<const policy::SessionFacts> facts{};
    LivePtr live{};
    std::unique_ptr<Gate> gate{};
    Clock::time_point used = Clock::now();
    bool ended = false;
    // By resource; asked of the bundle of this generation.
    std::map<std::string, bool, std::less<>> may_open{};
    std::uint64_t generation = 0;
};

DnsSessions::~DnsSessions() {
    for (auto& [key, session] : sessions_) end(*session, "chaperone is shutting down");
}

std::shared_ptr<DnsSessions::Session> DnsSessions::open(const Origin& origin) {
    auto facts = std::make_shared<policy::SessionFacts>();
    facts->start = now();
    facts->id = new_id(facts->start);
    facts->protocol = "dns";
    facts->workload = origin.workload;
    facts->workload_labels = origin.labels;
    facts->destination = origin.destination;
    facts->pid = origin.pid;
    facts->uid = origin.uid;
    facts->comm = origin.comm;
    facts->cgroup = origin.cgroup;
    std::string refusal;
    if (auto identity = shared_.services.identity(origin.workload))
        facts->identity = std::move(*identity);
    else
        refusal = "the identity of workload " + origin.workload +
                  " is not established: " + identity.error().message();

    auto made = std::make_shared<Session>();
    made->facts = facts;
    // Whatever is wanted of it from elsewhere is that it ends.
    made->live = std::make_shared<LiveSession>(
        facts->id,
        [this, id = facts->id](const std::function<void(SessionRunner&)>&) {
            asio::post(context_, [this, id] { kill(id); });
        },
        facts);
    made->live->state = "open";
    made->gate = std::make_unique<Gate>(shared_, made->live, made->facts, std::move(refusal),
                                        [](const std::function<void(Waiting&)>&) {});
    if (auto written = made->gate->open({}, 0); !written) {
        ++shared_.tally.unrecordable;
        return nullptr;
    }
    shared_.registry.add(made->live);
    return made;
}

std::shared_ptr<DnsSessions::Session> DnsSessions::session_of(const Origin& origin) {
    const Key key{origin.cgroup, origin.pid, origin.uid, origin.workload + "\n" + origin.comm};
    const auto found = sessions_.find(key);
    if (found != sessions_.end()) {
        found->second->used = Clock::now();
        return found->second;
    }
    if (sessions_.size() >= kMost) end_oldest();
    auto made = open(origin);
    if (made) sessions_.emplace(key, made);
    return made;
}

std::vector<std::string> DnsSessions::claimants(Session& session, std::string_view name) {
    std::vector<std::string> all;
    const auto bundle = shared_.bundle();
    if (!bundle) return all;
    if (const std::uint64_t now = shared_.bundle_generation; now != session.generation) {
        session.generation = now;
        session.may_open.clear();
    }
    policy::SessionFacts who = *session.facts;
    if (const auto* workload = bundle->workload(who.workload))
        who.workload_labels = workload->metadata.labels;
    for (const auto* resource : policy::claimants_of(*bundle, name)) {
        const std::string& claimant = resource->metadata.name;
        auto known = session.may_open.find(claimant);
        if (known == session.may_open.end()) {
            const bool may = policy::may_open(bundle, who, *resource, name, now());
            known = session.may_open.emplace(claimant, may).first;
        }
        if (known->second) all.push_back(claimant);
    }
    return all;
}

DnsSessions::Verdict DnsSessions::ask(const Origin& origin, session::dns::Query& query) {
    Verdict made{.session = session_of(origin)};
    if (!made.session) {
        made.text = "chaperone: the journal cannot be written";
        return made;
    }
    Session& session = *made.session;
    query.facts.server = origin.destination.address;
    query.facts.resources = claimants(session, query.facts.name);
    const std::string statement = query.facts.name + " " + query.facts.type;
    policy::Request request;
    request.session = session.facts;
    request.stage = policy::Stage::Statement;
    request.statement = statement;
    request.dns = std::make_shared<const policy::DnsFacts>(query.facts);
    request.now = now();
    // Names are never held: the answer is there at once.
    made.answer = session.gate->ask(request, 0).value_or(session::Answer{});
    if (made.allowed()) return made;
    const auto& decision = made.answer.decision;
    made.text = "chaperone: ";
    if (!made.answer.reason.empty() || !decision)
        made.text += made.answer.reason;
    else if (decision->rule.empty())
        made.text += decision->reason;
    else
        made.text += "denied by policy rule \"" + decision->rule + "\": " + decision->reason;
    return made;
}

void DnsSessions::record(const Verdict& verdict, const session::Outcome& outcome) {
    if (verdict.session && !verdict.session->ended) verdict.session->gate->record(outcome);
}

void DnsSessions::flush() {
    for (auto& [key, session] : sessions_) session->gate->flush();
}

void DnsSessions::end(Session& session, std::string_view reason) {
    if (session.ended) return;
    session.ended = true;
    session.gate->close(reason);
    shared_.registry.remove(session.live->id);
}

void DnsSessions::sweep() {
    const auto limit = Clock::now() - kIdle;
    std::erase_if(sessions_, [&](auto& entry) {
        if (entry.second->used > limit) return false;
        end(*entry.second, "asks no more");
        return true;
    });
}

void DnsSessions::end_oldest() {
    const auto oldest = std::ranges::min_element(
        sessions_, {}, [](const auto& entry) { return entry.second->used; });
    if (oldest == sessions_.end()) return;
    end(*oldest->second, "too many processes ask");
    sessions_.erase(oldest);
}

void DnsSessions::kill(std::string_view id) {
    std::erase_if(sessions_, [&](auto& entry) {
        if (entry.second->live->id != id) return false;
        end(*entry.second, "ended by an operator, or by shutting down");
        return true;
    });
}

}  // namespace chaperone::net
