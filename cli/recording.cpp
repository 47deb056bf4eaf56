// SPDX-License-Identifier: Apache-2.0
#include "cli/recording.h"

#include <utility>

namespace chaperone::cli {

policy::Question http_question(policy::Question question) {
    auto& asked = question.http.emplace();
    const std::string text = std::exchange(question.statement, {});
    const std::size_t space = text.find(' ');
    asked.method = text.substr(0, space);
    if (space != std::string::npos) asked.url = text.substr(space + 1);
    return question;
}

Result<> Recording::read(const Take& take) {
    auto reader = record::Reader::open(wanted_.journal);
    if (!reader) return fail(reader.error());
    while (true) {
        const auto stored = reader->next();
        if (!stored) return fail(stored.error());
        if (!*stored) return {};
        this->take((*stored)->entry, take);
    }
}

void Recording::take(const record::Entry& entry, const Take& take) {
    if (entry.has_session_start()) {
        const record::SessionStart& start = entry.session_start();
        if (!start.session().starts_with(wanted_.session)) return;
        policy::Question question{.workload = start.workload(), .resource = start.resource()};
        policy::Identity identity{.subject = start.identity().subject(),
                                  .issuer = start.identity().issuer()};
        for (const auto& group : start.identity().groups()) identity.groups.push_back(group);
        question.identity = std::move(identity);
        sessions_.insert_or_assign(start.session(), std::move(question));
    } else if (entry.has_session_end()) {
        sessions_.erase(entry.session_end().session());
    } else if (entry.has_request()) {
        request(entry.request(), Time{Duration{entry.time()}}, take);
    }
}

void Recording::request(const record::RequestEntry& request, Time time, const Take& take) {
    const auto session = sessions_.find(request.session());
    const std::string& effect = request.decision().effect();
    const bool prepared = request.kind() == "parse" && effect != "deny" && !wanted_.prepared;
    if (session == sessions_.end() || time < wanted_.from || time > wanted_.to || prepared ||
        request.statement().empty() || request.kind() == "message")
        return;
    if (request.statement_truncated()) {
        ++cut_;
        return;
    }
    policy::testing::Recorded recorded{.question = session->second,
                                       .session = request.session(),
                                       .effect = effect,
                                       .rule = request.decision().rule()};
    if (effect == "allow" && request.decision().masks_size() != 0) {
        recorded.effect = "mask";
        for (const auto& mask : request.decision().masks()) recorded.masks.insert(mask);
    }
    recorded.question.statement = request.statement();
    recorded.question.database = request.database();
    recorded.question.user = request.user();
    recorded.question.now = time;
    if (request.kind() == "http") {
        recorded.question = http_question(std::move(recorded.question));
        // Its fields and its body are not in the journal, but for what kind of body it was.
        const auto type = request.facts().find("content_type");
        if (type != request.facts().end())
            recorded.question.http->headers.emplace_back("content-type", type->second);
    }
    if (request.kind() == "bind") {
        auto& parameters = recorded.question.parameters.emplace();
        for (const record::Parameter& one : request.parameters()) parameters.push_back(one.text());
    }
    take(recorded, request.number());
}

}  // namespace chaperone::cli
