// SPDX-License-Identifier: Apache-2.0
// An HTTP session in a script, with rules as simple as a word: what a test's request path begins
// with decides ("/deny", "/hold", "/body"); everything else is allowed.
#pragma once

#include "policy/http/facts.h"
#include "tests/support/session_script.h"
#include "userspace/session/http/config.h"

#include <memory>
#include <string>

namespace chaperone::session::test {

inline std::shared_ptr<const policy::Decision> decision(policy::Effect effect,
                                                        policy::MaskSet masks = {}) {
    policy::Decision made;
    made.effect = effect;
    made.rule = "r";
    made.reason = "because";
    made.masks = std::move(masks);
    return std::make_shared<const policy::Decision>(std::move(made));
}

inline HttpConfig http_config() {
    HttpConfig config;
    auto facts = std::make_shared<policy::SessionFacts>();
    facts->id = "S";
    config.facts = facts;
    return config;
}

class HttpFixture {
public:
    explicit HttpFixture(HttpConfig config = http_config(), std::size_t piece = SIZE_MAX)
        : machine(make_http1_machine(std::move(config))), script(*machine, piece) {
        script.gate([this](const policy::Request& request) { return decide(request); });
    }

    std::optional<Answer> decide(const policy::Request& request) {
        const std::string path = request.http->readings().front().path;
        Answer answer{.verdict = Verdict::Allowed,
                      .decision = decision(policy::Effect::Allow, masks),
                      .request = ++number};
        bodies.push_back(request.http->body.data);
        if (!request.refused.empty() || path.starts_with("/deny"))
            answer.verdict = Verdict::Denied, answer.decision = decision(policy::Effect::Deny);
        if (path.starts_with("/hold")) return std::nullopt;
        if (path.starts_with("/body")) {
            using policy::http::Body;
            if (request.http->body.state == Body::State::NotSeen) {
                --number;
                answer.verdict = Verdict::NeedsBody;
            } else if (request.http->body.state == Body::State::TooLarge ||
                       request.http->body.data.find("bad") != std::string::npos) {
                answer.verdict = Verdict::Denied;
            }
        }
        return answer;
    }
    // The answer to a held question.
    Answer granted(Tag tag) {
        return {.verdict = Verdict::Allowed,
                .decision = decision(policy::Effect::Allow, masks),
                .request = ++number,
                .tag = tag};
    }

    policy::MaskSet masks{};
    std::uint64_t number = 0;
    std::vector<std::string> bodies{};
    std::unique_ptr<Machine> machine;
    SessionScript script;
};

}  // namespace chaperone::session::test
