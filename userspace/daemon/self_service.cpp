// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/self_service.h"

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/engine/session_policy.h"
#include "userspace/control/json.h"
#include "userspace/daemon/events.h"
#include "userspace/daemon/instance.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <charconv>

namespace chaperone::daemon {
namespace {

namespace json = boost::json;
using policy::http::Facts;
using session::LocalResponse;

constexpr std::chrono::seconds kLongestWait{60};
constexpr unsigned kComeAgain = 5;
constexpr std::uint32_t kMostDenials = 100;
constexpr std::string_view kDenials = "/v1/denials/", kApprovals = "/v1/approvals/";

LocalResponse answer_with(int status, const json::value& body) {
    LocalResponse made{.status = status};
    made.fields.emplace_back("Content-Type", "application/json");
    made.fields.emplace_back("Cache-Control", "no-store");
    made.body = json::serialize(body) + "\n";
    return made;
}

LocalResponse problem(int status, std::string_view title) {
    auto made = answer_with(status, json::object{{"title", title}, {"status", status}});
    made.fields.front().second = "application/problem+json";
    return made;
}

LocalResponse index() {
    return answer_with(
        200, json::object{{"service", "chaperone"},
                          {"endpoints", json::array{"/v1/whoami", "/v1/resources", "/v1/denials",
                                                    "/v1/denials/{id}", "/v1/approvals",
                                                    "/v1/approvals/{id}?wait={seconds}"}}});
}

json::array texts(const std::vector<std::string>& from) {
    json::array made;
    for (const std::string& text : from) made.emplace_back(text);
    return made;
}

json::object labels_of(const policy::Labels& labels) {
    json::object made;
    for (const auto& [name, value] : labels) made[name] = value;
    return made;
}

json::value as_json(const google::protobuf::Message& message) {
    return json::parse(control::to_json(message));
}

// What it comes to, without the condition: that is the operators'.
json::object describe_rule(const policy::bundle::Policy& policy, const policy::bundle::Rule& rule) {
    json::object made{{"rule", policy.metadata.name + "/" + rule.id}};
    if (rule.deny) {
        made["effect"] = "deny";
        if (!rule.deny->reason.empty()) made["reason"] = rule.deny->reason;
        if (!rule.deny->hint.empty()) made["hint"] = rule.deny->hint;
    } else if (rule.approve) {
        made["effect"] = "approve";
        made["by"] = texts(rule.approve->by);
    } else {
        made["effect"] = rule.allow ? "allow" : "mask";
    }
    return made;
}

// Of ?wait=N, or Prefer: wait=N (RFC 7240, 4.3).
std::chrono::seconds wait_of(const Facts& request) {
    std::string number;
    for (const auto& [name, value] : Facts::pairs(request.raw_query()))
        if (name == "wait") number = value;
    if (const auto prefer = request.field("prefer"); number.empty() && prefer) {
        const std::string text = http::lower(*prefer);
        if (const auto at = text.find("wait="); at != text.npos) number = text.substr(at + 5);
    }
    unsigned seconds = 0;
    std::from_chars(number.data(), number.data() + number.size(), seconds);
    return std::min(std::chrono::seconds{seconds}, kLongestWait);
}

class SelfService final : public session::Desk {
public:
    explicit SelfService(Instance& instance) : it_(instance) {}

    std::optional<LocalResponse> answer(const policy::SessionFacts& who, const Facts& request,
                                        Time since, Time now) override {
        const std::string_view method = request.head().method;
        if (method != "GET" && method != "HEAD") {
            auto made = problem(405, "only GET is answered here");
            made.fields.emplace_back("Allow", "GET, HEAD");
            return made;
        }
        const std::string_view path = request.raw_path();
        if (path == "/" || path == "/v1") return index();
        if (path == "/v1/whoami") return whoami(who);
        if (path == "/v1/resources") return resources(who);
        if (path == "/v1/denials") return denials(who);
        if (path == "/v1/approvals") return approvals(who, now);
        if (path.starts_with(kDenials)) return denial(who, path.substr(kDenials.size()));
        if (path.starts_with(kApprovals))
            return approval(who, path.substr(kApprovals.size()), now - since < wait_of(request),
                            now);
        return problem(404, "there is nothing here; / lists what is");
    }

private:
    LocalResponse whoami(const policy::SessionFacts& who) {
        json::object identity{{"subject", who.identity.subject},
                              {"groups", texts(who.identity.groups)},
                              {"issuer", who.identity.issuer},
                              {"actsFor", texts(who.identity.actors)}};
        const auto bundle = it_.proxy->bundle();
        return answer_with(200, json::object{{"workload", who.workload},
                                             {"labels", labels_of(who.workload_labels)},
                                             {"identity", std::move(identity)},
                                             {"session", who.id},
                                             {"pid", who.pid},
                                             {"bundle", bundle ? bundle->digest() : ""}});
    }

    LocalResponse resources(const policy::SessionFacts& who) {
        json::array found, rules;
        const auto bundle = it_.proxy->bundle();
        if (bundle) {
            for (const auto& resource : bundle->resources())
                found.push_back(describe_for(who, bundle, resource));
            for (const auto& policy : bundle->policies())
                for (const auto& rule : policy.rules)
                    if (rule.mode.value_or(policy.mode) == policy::bundle::Mode::Enforce)
                        rules.push_back(describe_rule(policy, rule));
        }
        return answer_with(200, json::object{{"resources", std::move(found)},
                                             {"rules", std::move(rules)},
                                             {"otherwise", "deny"}});
    }

    static json::object describe_for(const policy::SessionFacts& who,
                                     const std::shared_ptr<const policy::bundle::Bundle>& bundle,
                                     const policy::bundle::Resource& resource) {
        auto facts = std::make_shared<policy::SessionFacts>(who);
        facts->resource = resource.metadata.name;
        facts->protocol = resource.protocol;
        facts->resource_labels = resource.metadata.labels;
        facts->destination = {.port = resource.ports.empty() ? std::uint16_t{0}
                                                             : resource.ports.front()};
        policy::Request request;
        request.session = facts;
        request.stage = policy::Stage::Connect;
        request.now = now();
        policy::SessionPolicy policy{bundle, facts};
        const policy::DecisionPtr decision = policy.decide(request);
        json::array ports;
        for (const std::uint16_t port : resource.ports) ports.emplace_back(port);
        json::object made{{"name", resource.metadata.name},
                          {"protocol", resource.protocol},
                          {"hosts", texts(resource.hosts)},
                          {"ports", std::move(ports)},
                          {"labels", labels_of(resource.metadata.labels)},
                          {"effect", policy::to_text(decision->effect)}};
        if (decision->effect != policy::Effect::Allow) {
            made["rule"] = decision->rule;
            made["reason"] = decision->reason;
        }
        return made;
    }

    LocalResponse denials(const policy::SessionFacts& who) {
        record::Filter filter;
        filter.workload = who.workload;
        filter.effect = "deny";
        filter.limit = kMostDenials;
        if (!it_.index->catch_up(it_.journal->journal()))
            return problem(503, "the journal's index cannot be read");
        const auto found = it_.index->requests(filter);
        if (!found) return problem(503, "the journal's index cannot be read");
        json::array made;
        for (const record::RequestSummary& one : *found) {
            const std::string id = one.session + "-" + std::to_string(one.number);
            made.push_back(json::object{{"id", id},
                                        {"time", to_rfc3339(one.time)},
                                        {"statement", one.statement},
                                        {"rule", one.rule},
                                        {"link", std::string{kDenials} + id}});
        }
        return answer_with(200, json::object{{"denials", std::move(made)}});
    }

    LocalResponse denial(const policy::SessionFacts& who, std::string_view id) {
        const auto unknown = [] { return problem(404, "this workload has no such denial"); };
        const auto dash = id.rfind('-');
        std::uint64_t number = 0;
        if (dash == id.npos) return unknown();
        const std::string_view digits = id.substr(dash + 1);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (error != std::errc{} || end != digits.data() + digits.size()) return unknown();
        if (!it_.index->catch_up(it_.journal->journal()))
            return problem(503, "the journal's index cannot be read");
        const auto session = it_.index->session(id.substr(0, dash));
        if (!session || session->workload != who.workload || session->id != id.substr(0, dash))
            return unknown();
        const auto entries = it_.index->entries_of(session->id, it_.journal->journal());
        if (!entries) return problem(503, "the journal cannot be read");
        for (const record::Stored& stored : *entries) {
            if (!stored.entry.has_request() || stored.entry.request().number() != number) continue;
            const auto& request = stored.entry.request();
            if (request.decision().effect() == "allow" && request.approval().empty())
                return unknown();
            return answer_with(200, describe(request, session->resource));
        }
        return unknown();
    }

    json::object describe(const record::RequestEntry& request, const std::string& resource) const {
        json::object made{{"statement", request.statement()},
                          {"resource", resource},
                          {"effect", request.decision().effect()},
                          {"rule", request.decision().rule()},
                          {"reason", request.decision().reason()}};
        if (!request.approval().empty()) {
            made["approval"] = request.approval();
            made["link"] = std::string{kApprovals} + request.approval();
        }
        const auto bundle = it_.proxy->bundle();
        if (!bundle) return made;
        for (const auto& policy : bundle->policies())
            for (const auto& rule : policy.rules)
                if (rule.deny && !rule.deny->hint.empty() &&
                    (request.decision().rule() == rule.id ||
                     request.decision().rule() == policy.metadata.name + "/" + rule.id))
                    made["hint"] = rule.deny->hint;
        return made;
    }

    LocalResponse approvals(const policy::SessionFacts& who, Time now) {
        json::array made;
        it_.approvals->with([&](approval::ApprovalBook& book) {
            book.expire(now);
            for (const approval::Approval& one : book.list(approval::State::Pending))
                if (one.held.workload == who.workload) made.push_back(as_json(to_approval(one)));
        });
        return answer_with(200, json::object{{"approvals", std::move(made)}});
    }

    std::optional<LocalResponse> approval(const policy::SessionFacts& who, std::string_view id,
                                          bool may_wait, Time now) {
        std::optional<approval::Approval> found = it_.approvals->with(
            [&](approval::ApprovalBook& book) -> std::optional<approval::Approval> {
                book.expire(now);
                const approval::Approval* one = book.find(id);
                if (one == nullptr || one->held.workload != who.workload) return std::nullopt;
                return *one;
            });
        if (!found) return problem(404, "this workload has no such approval");
        const bool pending = found->state == approval::State::Pending;
        if (pending && may_wait) return std::nullopt;
        json::object body = as_json(to_approval(*found)).as_object();
        body["guidance"] =
            pending ? "Nobody has decided yet. Ask here again; do not change the request."
            : found->state == approval::State::Granted
                ? "Send the same request again now: it will go through."
                : "Do not send this request again unchanged.";
        auto made = answer_with(200, body);
        if (pending) made.fields.emplace_back("Retry-After", std::to_string(kComeAgain));
        return made;
    }

    Instance& it_;
};

}  // namespace

std::shared_ptr<session::Desk> make_self_service(Instance& instance) {
    return std::make_shared<SelfService>(instance);
}

}  // namespace chaperone::daemon
