// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/simulate.h"

#include "policy/yaml/text.h"

#include <boost/json.hpp>

#include <algorithm>

namespace chaperone::policy::testing {
namespace {

namespace json = boost::json;

std::string words_of(const Question& question) {
    if (question.http) return question.http->method + " " + question.http->url;
    if (!question.dns.empty()) return question.dns + " " + question.dns_type;
    if (!question.command.empty()) return question.command;
    return question.statement.empty() ? "the connection" : question.statement;
}

std::string with_masks(const Recorded& recorded) {
    std::string text = recorded.effect;
    for (const std::string& mask : recorded.masks)
        text += (mask == *recorded.masks.begin() ? " " : ", ") + mask;
    return text;
}

}  // namespace

Recorded answer_of(Asker& asker, const Question& question, std::string_view session) {
    const DecisionPtr decision = asker.ask(question, session);
    if (decision == nullptr) return {.effect = "unknown"};
    Recorded made{.effect = effect_of(*decision), .rule = decision->rule};
    if (made.effect != "mask") return made;
    for (std::string& mask : mask_names(*decision)) made.masks.insert(std::move(mask));
    return made;
}

void Simulation::add(const Recorded& recorded) {
    ++requests_;
    Recorded now = answer_of(candidate_, recorded.question, recorded.session);
    if (now.effect == recorded.effect && now.masks == recorded.masks) return;
    const std::string& rule = now.rule.empty() ? recorded.rule : now.rule;
    const auto& [workload, resource] =
        std::tie(recorded.question.workload, recorded.question.resource);
    const bool same = now.effect == recorded.effect;
    const std::string before = same ? with_masks(recorded) : recorded.effect;
    const std::string after = same ? with_masks(now) : now.effect;
    Change& change = changes_[{workload, resource, before, after, rule}];
    if (change.requests++ == 0) {
        change.workload = workload;
        change.resource = resource;
        change.before = before;
        change.after = after;
        change.rule = rule;
        change.session = recorded.session;
    }
    const std::string example = yaml::one_line(words_of(recorded.question), kExample);
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
