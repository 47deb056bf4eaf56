// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_session.h"

#include "cli/output.h"
#include "cli/recording.h"
#include "userspace/control/client.h"
#include "userspace/control/http.h"
#include "userspace/control/json.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <map>
#include <optional>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace json = boost::json;

// Who asks in each session, from the event that opened it.
class Sessions {
public:
    explicit Sessions(Context& context) : context_(context) {}

    void opened(const v1::Event& event) {
        policy::Question question{.workload = event.workload(), .resource = event.resource()};
        policy::Identity identity{.subject = event.subject(), .issuer = event.issuer()};
        for (const auto& group : event.groups()) identity.groups.push_back(group);
        question.identity = std::move(identity);
        known_.insert_or_assign(event.session(), std::move(question));
    }
    void closed(const std::string& id) { known_.erase(id); }

    std::optional<policy::Question> find(const std::string& id) {
        if (const auto found = known_.find(id); found != known_.end()) return found->second;
        // It opened before we looked: its first entry says who it is.
        const auto first = [&](std::string_view line) {
            v1::Event entry;
            if (control::from_json(line, entry, control::Unknown::Ignored) &&
                entry.kind() == "open")
                opened(entry);
            return !known_.contains(id);
        };
        (void)context_.client().stream("/v1/sessions/" + control::escape(id) + "/entries",
                                       v1::Empty{}, first);
        const auto found = known_.find(id);
        return found == known_.end() ? std::nullopt : std::optional{found->second};
    }

private:
    Context& context_;
    std::map<std::string, policy::Question> known_;
};

policy::Question question_of(policy::Question question, const v1::Event& event) {
    question.statement = event.statement();
    question.database = event.database();
    question.user = event.user();
    question.now = Time{std::chrono::seconds{event.time().seconds()} +
                        std::chrono::nanoseconds{event.time().nanos()}};
    if (event.request_kind() == "http") return http_question(std::move(question));
    if (event.request_kind() != "bind") return question;
    auto& parameters = question.parameters.emplace();
    for (const auto& value : event.parameters()) parameters.push_back(value.string_value());
    return question;
}

}  // namespace

Explained explain_one(const std::shared_ptr<const policy::bundle::Bundle>& bundle,
                      const policy::Question& question, std::string_view session,
                      std::uint64_t request) {
    const std::string head =
        "session " + shown(session) + ", request " + std::to_string(request) + ": " +
        shown(question.http ? question.http->method + " " + question.http->url : question.statement,
              200) +
        "\n";
    json::object made;
    Explained out{.text = head};
    if (const auto asked = policy::ask(*bundle, question)) {
        const auto explained = policy::explain(bundle, asked->request);
        made = json::parse(policy::to_json(explained)).as_object();
        out.text += policy::to_text(explained);
    } else {
        made["error"] = asked.error().message();
        out.text += asked.error().message() + "\n";
    }
    made["session"] = session;
    made["request"] = request;
    out.json = json::serialize(made);
    return out;
}

std::string json_of(const std::vector<Explained>& all) {
    std::string text = R"({"requests":[)";
    for (const Explained& one : all) text += (&one == &all.front() ? "" : ",") + one.json;
    return text + "]}";
}

int explain_live(Context& context, const std::shared_ptr<const policy::bundle::Bundle>& bundle,
                 const std::string& session) {
    Sessions sessions{context};
    v1::FollowRequest request;
    request.set_session(session);
    auto read = context.client().stream("/v1/events", request, [&](std::string_view line) {
        v1::Event event;
        if (!control::from_json(line, event, control::Unknown::Ignored)) return true;
        if (event.kind() == "open") sessions.opened(event);
        if (event.kind() == "close") sessions.closed(event.session());
        if (event.kind() != "request" || event.statement().empty() || event.truncated())
            return static_cast<bool>(context.out);
        const auto question = sessions.find(event.session());
        if (!question) return true;
        const Explained one = explain_one(bundle, question_of(*question, event), event.session(),
                                          static_cast<std::uint64_t>(event.request()));
        context.out << (context.output == Output::Table ? one.text : one.json) << '\n'
                    << std::flush;
        return static_cast<bool>(context.out);
    });
    if (!read) return fail_with(context, "policy explain", read.error());
    return kOk;
}

}  // namespace chaperone::cli
