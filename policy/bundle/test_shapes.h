// SPDX-License-Identifier: Apache-2.0
// The shape of a PolicyTest; see shapes.h, which is included first.
#pragma once

#include "policy/bundle/documents.h"
#include "policy/bundle/shapes.h"

namespace chaperone::policy::bundle {

template <class V>
void shape(V& v, Expectation& e) {
    v.field({"effect", "deny, approve or allow.", true}, e.effect);
    v.field({"rule", "The rule that decides: ID, or POLICY/ID."}, e.rule);
    v.field({"masks", "The masks in force, as a set: column patterns and kinds as written."},
            e.masks);
}

struct SubjectShape {
    TestCase& to;
};

template <class V>
void shape(V& v, SubjectShape& s) {
    v.field({"subject", "Who asks."}, s.to.subject);
    v.field({"groups", "Their groups."}, s.to.groups);
}

template <class V>
void shape(V& v, HttpCase& h) {
    v.field({"method", "GET if not given."}, h.method);
    v.field({"url", "https://host/path?query; the connection is opened to this host.", true},
            h.url);
    v.field({"headers", "Fields by name; a Host that differs from the URL's is domain fronting."},
            h.headers);
    v.field({"body", "The body, as text."}, h.body);
    h.at = v.mark("url");
}

template <class V>
void shape(V& v, MessageCase& m) {
    v.field({"text", "The message, as text.", true}, m.text);
    v.field({"fromServer", "Whether the server sends it; false."}, m.down);
}

template <class V>
void shape(V& v, ToolCallCase& c) {
    v.field({"name", "The tool.", true}, c.name);
    v.field({"arguments", "Its arguments, as JSON text; none if not given."}, c.arguments);
    v.field({"type", "As the vendor calls it; function."}, c.type);
}

template <class V>
void shape(V& v, TestCase& t) {
    v.field({"name", "What the case shows.", true}, t.name);
    v.field({"workload", "Who asks.", true}, t.workload);
    v.field({"resource", "What is asked; not where a name is."}, t.resource);
    v.field({"sql", "The statement; without it the connection itself."}, t.sql);
    v.field({"parameters", "Values of $1, $2 …: the statement is bound and executed."},
            t.parameters);
    v.field({"http", "An HTTP request, instead of sql."}, t.http);
    v.field({"ws", "A message of the WebSocket that the HTTP request opens."}, t.ws);
    v.field({"toolCall", "A tool call in a model's answer to the HTTP request."}, t.tool_call);
    v.field({"command", "A command for a shell (SSH), instead of sql."}, t.command);
    v.field({"dns", "A name that is to be resolved, instead of a resource."}, t.dns);
    v.field({"dnsType", "The type of record that is asked for; A."}, t.dns_type);
    v.field({"database", "As the agent names it."}, t.database);
    v.field({"user", "As the agent names it."}, t.user);
    v.field({"application", "As the agent names it."}, t.application);
    v.field({"replication", "A replication connection."}, t.replication);
    v.field({"tls", "Whether the agent uses TLS; true."}, t.tls);
    SubjectShape identity{t};
    v.field({"identity", "Instead of the workload's own."}, identity);
    v.field({"now", "When, as 2026-01-31T08:00:00Z."}, t.now);
    v.field({"tables", "The catalog: \"schema.table\" and its columns."}, t.tables);
    v.field({"expect", "What policy must answer.", true}, t.expect);
    t.at = v.mark("name");
    t.workload_at = v.mark("workload");
    t.resource_at = v.mark("resource");
    t.has_parameters = v.has("parameters");
    if constexpr (!V::kWritesSchema) {
        const int asked = (t.http ? 1 : 0) + (t.sql.empty() ? 0 : 1) + (t.command.empty() ? 0 : 1) +
                          (t.dns.empty() ? 0 : 1);
        if (asked > 1) v.error("name", "a case is one of sql, http, command and dns");
        if (t.ws && !t.http) v.error("ws", "a message needs the http request that opens it");
        if (t.tool_call && !t.http)
            v.error("toolCall", "a tool call needs the http request that is answered with it");
        if (t.tool_call && t.ws) v.error("toolCall", "a case is one of ws and toolCall");
        if (t.resource.empty() == t.dns.empty())
            v.error("name", "a case has a resource, or a dns name and no resource");
        if (!t.dns_type.empty() && t.dns.empty()) v.error("dnsType", "dnsType needs dns");
        if (t.has_parameters && t.sql.empty()) v.error("parameters", "parameters need sql");
    }
}

template <class V>
void shape(V& v, PolicyTest& t) {
    v.field({"cases", "Requests and what must come of them.", true}, t.cases);
}

}  // namespace chaperone::policy::bundle
