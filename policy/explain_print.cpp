// SPDX-License-Identifier: Apache-2.0
// Explanations and decisions as JSON for programs and as text for people.
#include "policy/explain.h"

#include "policy/cel/value.h"
#include "policy/engine/engine.h"
#include "policy/engine/variables.h"
#include "policy/shell/facts.h"
#include "policy/sql/facts.h"
#include "policy/yaml/text.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace chaperone::policy {
namespace {

namespace json = boost::json;

constexpr int kDeepest = 64;  // claims are as deep as their issuer likes

json::value to_value(const cel::Value& value, int depth = 0);

json::value object_value(const cel::Object& object, int depth) {
    json::object made;
    const auto& fields = object.type().fields;
    // The schema is the object's first part; effects keep their documented three members.
    const bool effect = object.type().name == "SqlEffect";
    for (std::size_t i = 0; i != fields.size(); ++i)
        if (!effect || fields[i].name != "schema")
            made[fields[i].name] = to_value(object.field(i), depth + 1);
    return made;
}

json::value list_value(const cel::List& list, int depth) {
    json::array made;
    for (std::size_t i = 0; i != list.size(); ++i) made.push_back(to_value(list.at(i), depth + 1));
    return made;
}

json::value map_value(const cel::Map& map, int depth) {
    json::object made;
    for (std::size_t i = 0; i != map.size(); ++i) {
        const cel::Value key = map.key(i);
        const std::string name =
            key.is(cel::Kind::String) ? std::string{key.as_text()} : cel::describe(key);
        made[name] = to_value(map.at(i), depth + 1);
    }
    return made;
}

json::value to_value(const cel::Value& value, int depth) {
    if (depth > kDeepest) return "…";
    switch (value.kind()) {
    case cel::Kind::Null: return nullptr;
    case cel::Kind::Bool: return value.as_bool();
    case cel::Kind::Int: return value.as_int();
    case cel::Kind::Uint: return value.as_uint();
    case cel::Kind::Double: return value.as_double();
    case cel::Kind::String: return json::string{value.as_text()};
    case cel::Kind::List: return list_value(value.as_list(), depth);
    case cel::Kind::Map: return map_value(value.as_map(), depth);
    case cel::Kind::Object: return object_value(value.as_object(), depth);
    case cel::Kind::Error:
    case cel::Kind::Unknown: return nullptr;
    case cel::Kind::Bytes:
    case cel::Kind::Timestamp:
    case cel::Kind::Duration:
    case cel::Kind::Type:
    case cel::Kind::Optional: break;
    }
    return json::string{cel::describe(value)};
}

json::array names(const std::vector<std::string>& all) {
    json::array made;
    for (const std::string& one : all) made.push_back(json::string{one});
    return made;
}

std::string_view scope_text(ApprovalScope scope) {
    switch (scope) {
    case ApprovalScope::Statement: return "statement";
    case ApprovalScope::Session: return "session";
    case ApprovalScope::Window: return "window";
    }
    return "statement";
}

void add_masks(json::array& made, const MaskSet& masks, std::string_view in) {
    const std::size_t from = made.size();
    for (const ColumnMask& mask : masks.columns)
        made.push_back(json::object{
            {"column", mask.pattern}, {"with", detect::name_of(mask.with)}, {"rule", mask.rule}});
    for (const DetectMask& mask : masks.detectors)
        made.push_back(json::object{{"detect", names(mask.kinds)},
                                    {"with", detect::name_of(mask.with)},
                                    {"rule", mask.rule}});
    for (const JsonMask& mask : masks.json)
        made.push_back(json::object{
            {"json", mask.path.text()}, {"with", detect::name_of(mask.with)}, {"rule", mask.rule}});
    for (std::size_t i = from; !in.empty() && i != made.size(); ++i)
        made[i].get_object()["in"] = in;
}

json::array masks_value(const Decision& decision) {
    json::array made;
    add_masks(made, decision.masks, {});
    add_masks(made, decision.request_masks, "request");
    return made;
}

json::object decision_value(const Decision& decision) {
    json::object made;
    made["effect"] = to_text(decision.effect);
    made["rule"] = decision.rule;
    made["rules"] = names(decision.rules);
    made["masks"] = masks_value(decision);
    made["reason"] = decision.reason;
    if (!decision.hint.empty()) made["hint"] = decision.hint;
    json::array approvals;
    for (const ApprovalNeed& need : decision.approvals) {
        json::object one{{"rule", need.rule}, {"by", names(need.by)}, {"count", need.count}};
        one["within"] = chaperone::to_text(need.within);
        one["scope"] = scope_text(need.scope);
        if (need.scope == ApprovalScope::Window) one["window"] = chaperone::to_text(need.window);
        approvals.push_back(std::move(one));
    }
    if (!approvals.empty()) made["approvals"] = std::move(approvals);
    if (!decision.shadow_rules.empty()) {
        made["shadowEffect"] = to_text(decision.shadow_effect);
        made["shadowRules"] = names(decision.shadow_rules);
    }
    made["bundle"] = decision.bundle;
    return made;
}

json::object facts_value(const Request& request, const std::string& statement) {
    Request whole = request;
    whole.statement = statement;
    const engine::SessionView view{*request.session};
    const engine::RequestActivation variables{view, &whole};
    json::object made;
    for (const engine::Slot slot :
         {engine::kIdentity, engine::kWorkload, engine::kResource, engine::kSession, engine::kConn,
          engine::kNow, engine::kSql, engine::kDns, engine::kHttp, engine::kWs, engine::kLlm,
          engine::kSsh}) {
        if (slot == engine::kSql && request.sql == nullptr) continue;
        if (slot == engine::kDns && request.dns == nullptr) continue;
        if (slot == engine::kHttp && request.http == nullptr) continue;
        if (slot == engine::kWs && request.message == nullptr) continue;
        if (slot == engine::kLlm && request.tool_call == nullptr) continue;
        if (slot == engine::kSsh && request.shell == nullptr) continue;
        made[engine::environment()->variables()[slot].name] = to_value(variables.variable(slot));
    }
    return made;
}

json::object rule_value(const ConsideredRule& rule) {
    json::object made{{"id", rule.id}, {"effect", rule.effect}, {"matched", rule.matched}};
    made["applies"] = rule.applies;
    made["failed"] = rule.failed;
    made["shadow"] = rule.shadow;
    made["file"] = rule.file;
    made["line"] = rule.line;
    if (!rule.when.empty()) made["when"] = rule.when;
    if (!rule.note.empty()) made["note"] = rule.note;
    json::array trace;
    for (const TraceLine& line : rule.trace)
        trace.push_back(json::object{{"expression", line.text},
                                     {"value", line.value},
                                     {"line", line.line},
                                     {"column", line.column}});
    made["trace"] = std::move(trace);
    return made;
}

void add_masks_text(std::string& text, const MaskSet& masks, std::string_view before) {
    const auto add = [&](const std::string& what, const auto& mask) {
        text += std::string{before} + what + " with " + std::string{detect::name_of(mask.with)} +
                " (" + mask.rule + ")\n";
    };
    for (const ColumnMask& mask : masks.columns) add(" " + mask.pattern, mask);
    for (const DetectMask& mask : masks.detectors) {
        std::string kinds;
        for (const std::string& kind : mask.kinds) kinds += " " + kind;
        add(kinds, mask);
    }
    for (const JsonMask& mask : masks.json) add(" " + mask.path.text(), mask);
}

std::string verdict_text(const Decision& decision) {
    std::string text{to_text(decision.effect)};
    if (!decision.rule.empty()) text += " by rule " + decision.rule;
    if (!decision.reason.empty()) text += ": " + decision.reason;
    text += "\n";
    if (!decision.hint.empty()) text += "  hint: " + decision.hint + "\n";
    add_masks_text(text, decision.masks, "  mask");
    add_masks_text(text, decision.request_masks, "  mask in the request");
    if (!decision.shadow_rules.empty()) {
        text += "  shadow: " + std::string{to_text(decision.shadow_effect)} + " by";
        for (const std::string& rule : decision.shadow_rules) text += " " + rule;
        text += "\n";
    }
    return text;
}

}  // namespace

std::string to_json(const Decision& decision) {
    return json::serialize(decision_value(decision));
}

std::string to_json(const Explanation& explanation) {
    json::object made;
    made["facts"] = facts_value(explanation.request, explanation.statement);
    made["decision"] = decision_value(*explanation.decision);
    json::array rules;
    for (const ConsideredRule& rule : explanation.rules) rules.push_back(rule_value(rule));
    made["rules"] = std::move(rules);
    return json::serialize(made);
}

std::string to_text(const Explanation& explanation) {
    std::string text = verdict_text(*explanation.decision);
    if (explanation.request.sql != nullptr) {
        text += "\nit does\n";
        for (const sql::Effect& effect : explanation.request.sql->effects) {
            text +=
                "  " + std::string{sql::to_text(effect.kind)} + " " + yaml::one_line(effect.object);
            for (const std::string& column : effect.columns)
                text += (&column == &effect.columns.front() ? " (" : ", ") + yaml::one_line(column);
            text += effect.columns.empty() ? "\n" : ")\n";
        }
    }
    if (explanation.request.shell != nullptr) {
        text += "\nit does\n";
        for (const shell::Effect& effect : explanation.request.shell->effects)
            text += "  " + std::string{shell::to_text(effect.kind)} + " " +
                    yaml::one_line(effect.object) + "\n";
    }
    text += "\nrules\n";
    for (const ConsideredRule& rule : explanation.rules) {
        text += std::string{rule.matched ? "  + " : "  - "} + rule.effect + " " + rule.id;
        if (rule.shadow) text += " (shadow)";
        text += "  " + rule.file + ":" + std::to_string(rule.line) + "\n";
        if (!rule.note.empty()) text += "      " + yaml::one_line(rule.note) + "\n";
        for (const TraceLine& line : rule.trace)
            text +=
                "      " + yaml::one_line(line.text) + " = " + yaml::one_line(line.value) + "\n";
    }
    return text;
}

}  // namespace chaperone::policy
