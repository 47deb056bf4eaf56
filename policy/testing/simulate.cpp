// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/simulate.h"

#include <boost/json.hpp>

#include <algorithm>

namespace chaperone::policy::testing {
namespace {

namespace json = boost::json;

struct Answer {
    std::string effect{};
    std::string rule{};
};

Answer answer_of(const std::shared_ptr<const bundle::Bundle>& bundle, const Question& question) {
    const auto asked = ask(*bundle, question);
    if (!asked) return {"unknown", ""};
    SessionPolicy policy{bundle, asked->request.session};
    const DecisionPtr decision = decide_all(policy, asked->request);
    const bool masks = decision->effect == Effect::Allow && !decision->masks.empty();
    return {masks ? "mask" : std::string{to_text(decision->effect)}, decision->rule};
}

// One line, without what a terminal would obey.
std::string line_of(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return text;
}

}  // namespace

void Simulation::add(const Recorded& recorded) {
    ++requests_;
    const Answer now = answer_of(candidate_, recorded.question);
    if (now.effect == recorded.effect) return;
    const std::string& rule = now.rule.empty() ? recorded.rule : now.rule;
    const auto& [workload, resource] =
        std::tie(recorded.question.workload, recorded.question.resource);
    Change& change = changes_[{workload, resource, recorded.effect, now.effect, rule}];
    if (change.requests++ == 0) {
        change.workload = workload;
        change.resource = resource;
        change.before = recorded.effect;
        change.after = now.effect;
        change.rule = rule;
        change.session = recorded.session;
    }
    const auto& http = recorded.question.http;
    const std::string text = http ? http->method + " " + http->url : recorded.question.statement;
    const std::string example = line_of(text.substr(0, kExample));
    if (change.examples.size() < kExamples &&
        std::ranges::find(change.examples, example) == change.examples.end())
        change.examples.push_back(example);
}

std::uint64_t Simulation::changed() const noexcept {
    std::uint64_t count = 0;
    for (const auto& [key, change] : changes_) count += change.requests;
    return count;
}

std::vector<Change> Simulation::changes() const {
    std::vector<Change> all;
    for (const auto& [key, change] : changes_) all.push_back(change);
    std::ranges::sort(all, std::ranges::greater{}, [](const Change& one) {
        return std::tie(one.requests, one.workload, one.resource, one.rule, one.after, one.before);
    });
    return all;
}

std::string to_json(const Simulation& simulation) {
    json::array changes;
    for (const Change& one : simulation.changes())
        changes.push_back(json::object{{"workload", one.workload},
                                       {"resource", one.resource},
                                       {"before", one.before},
                                       {"after", one.after},
                                       {"rule", one.rule},
                                       {"requests", one.requests},
                                       {"examples", json::value_from(one.examples)},
                                       {"session", one.session}});
    return json::serialize(json::object{{"requests", simulation.requests()},
                                        {"changed", simulation.changed()},
                                        {"changes", std::move(changes)}});
}

std::string to_table(const Simulation& simulation) {
    std::string out = std::to_string(simulation.requests()) + " requests, " +
                      std::to_string(simulation.changed()) + " with another answer\n";
    for (const Change& one : simulation.changes()) {
        out += "\n" + one.before + " -> " + one.after + "  " + std::to_string(one.requests) +
               " requests of " + one.workload + " to " + one.resource;
        out += one.rule.empty() ? "\n" : ", rule " + one.rule + "\n";
        for (const std::string& example : one.examples) out += "    " + example + "\n";
    }
    return out;
}

}  // namespace chaperone::policy::testing
