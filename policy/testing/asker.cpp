// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/asker.h"

#include <utility>

namespace chaperone::policy::testing {
namespace {

void add(std::string& key, std::string_view text) {
    key += std::to_string(text.size());
    key += ':';
    key += text;
}

std::string key_of(const Question& question, std::string_view session) {
    std::string key;
    for (const std::string_view text :
         {session, std::string_view{question.workload}, std::string_view{question.resource},
          std::string_view{question.database}, std::string_view{question.user},
          std::string_view{question.application}})
        add(key, text);
    key += question.replication ? 'r' : '-';
    key += question.tls ? 't' : '-';
    if (!question.identity) return key;
    add(key, question.identity->subject);
    add(key, question.identity->issuer);
    add(key, question.identity->claims);
    for (const auto* all : {&question.identity->groups, &question.identity->actors}) {
        key += '[';
        for (const std::string& one : *all) add(key, one);
    }
    return key;
}

}  // namespace

Asker::Session* Asker::open(const Question& question, std::string_view session) {
    const std::string key = key_of(question, session);
    if (const auto found = index_.find(key); found != index_.end()) return found->second;
    Question opening = question;
    opening.statement.clear();
    opening.command.clear();
    const auto asked = policy::ask(*bundle_, opening, {.cache = &cache_});
    if (!asked) return nullptr;
    if (sessions_.size() == kSessions) {
        index_.erase(sessions_.back().key);
        sessions_.pop_back();
    }
    const auto& facts = asked->request.session;
    Session& made =
        sessions_.emplace_front(Session{key, facts, SessionPolicy{bundle_, facts}, nullptr});
    made.opened = made.policy.decide({.session = facts, .now = question.now});
    index_.emplace(made.key, &made);
    return &made;
}

DecisionPtr Asker::ask(const Question& question, std::string_view session) {
    last_.reset();
    // A question to a resolver is of no session, an HTTP request makes facts of its own.
    if (!question.dns.empty() || question.http) {
        auto asked = policy::ask(*bundle_, question);
        if (!asked) return nullptr;
        last_ = *std::move(asked);
        SessionPolicy policy{bundle_, last_->request.session};
        return decide_all(policy, last_->request);
    }
    Session* at = open(question, session);
    if (at == nullptr) return nullptr;
    auto asked = policy::ask(*bundle_, question, {.cache = &cache_, .session = at->facts});
    if (!asked) return nullptr;
    last_ = *std::move(asked);
    if (last_->request.stage == Stage::Connect || at->opened->effect == Effect::Deny)
        return at->opened;
    return at->policy.decide(last_->request);
}

std::string effect_of(const Decision& decision) {
    const bool masks = !decision.masks.empty() || !decision.request_masks.empty();
    if (decision.effect == Effect::Allow && masks) return "mask";
    return std::string{to_text(decision.effect)};
}

}  // namespace chaperone::policy::testing
