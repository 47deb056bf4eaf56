// SPDX-License-Identifier: Apache-2.0
// The shape of every document: which fields it has, what they mean, what must hold. V is a Reader
// (decodes and checks) or a SchemaWriter (prints the JSON Schema); the text is the reference.
#pragma once

#include "policy/bundle/credential_shapes.h"
#include "policy/bundle/documents.h"
#include "policy/bundle/hosts.h"
#include "policy/bundle/reader.h"
#include "policy/detect/mask.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::policy::bundle {

struct CallProtocol {
    std::string_view name;
};
template <>
struct Choices<CallProtocol> {
    static constexpr std::array<std::pair<std::string_view, CallProtocol>, 2> all{
        {{"tcp", {}}, {"udp", {}}}};
};
template <>
struct Choices<Mode> {
    static constexpr std::array<std::pair<std::string_view, Mode>, 2> all{
        {{"enforce", Mode::Enforce}, {"shadow", Mode::Shadow}}};
};
template <>
struct Choices<TlsMode> {
    static constexpr std::array<std::pair<std::string_view, TlsMode>, 4> all{
        {{"disable", TlsMode::Disable},
         {"require", TlsMode::Require},
         {"verify-ca", TlsMode::VerifyCa},
         {"verify-full", TlsMode::VerifyFull}}};
};
template <>
struct Choices<OnPinned> {
    static constexpr std::array<std::pair<std::string_view, OnPinned>, 2> all{
        {{"refuse", OnPinned::Refuse}, {"tunnel", OnPinned::Tunnel}}};
};
template <>
struct Choices<Effect> {
    static constexpr std::array<std::pair<std::string_view, Effect>, 3> all{
        {{"deny", Effect::Deny}, {"approve", Effect::Approve}, {"allow", Effect::Allow}}};
};
template <>
struct Choices<Filters> {
    static constexpr std::array<std::pair<std::string_view, Filters>, 2> all{
        {{"allow", Filters::Allow}, {"deny", Filters::Deny}}};
};
template <>
struct Choices<MaskIn> {
    static constexpr std::array<std::pair<std::string_view, MaskIn>, 3> all{
        {{"response", MaskIn::Response}, {"request", MaskIn::Request}, {"both", MaskIn::Both}}};
};
template <>
struct Choices<detect::With> {
    static constexpr std::array<std::pair<std::string_view, detect::With>, 5> all{
        {{"partial", detect::With::Partial},
         {"pseudonym", detect::With::Pseudonym},
         {"hash", detect::With::Hash},
         {"redact", detect::With::Redact},
         {"null", detect::With::Null}}};
};
struct Protocol {
    std::string_view name;
};
template <>
struct Choices<Protocol> {
    static constexpr std::array<std::pair<std::string_view, Protocol>, 8> all{{{"postgresql", {}},
                                                                               {"mysql", {}},
                                                                               {"ssh", {}},
                                                                               {"kubernetes", {}},
                                                                               {"http", {}},
                                                                               {"tcp", {}},
                                                                               {"udp", {}},
                                                                               {"unix", {}}}};
};

template <class V>
void shape(V& v, Metadata& m) {
    v.field({"name", "Names the document; unique among those of its kind.", true, Format::Name},
            m.name);
    v.field({"labels", "What policies may ask for: labels.KEY."}, m.labels);
    m.at = v.mark("name");
}

// The metadata of a Recognizer: its name is the kind that masks name.
struct KindName {
    std::string& name;
};

template <class V>
void shape(V& v, KindName& k) {
    v.field({"name", "The kind's name, in capitals: EMPLOYEE_ID.", true, Format::Upper}, k.name);
}

template <class V>
void shape(V& v, Accept& a) {
    v.field({"warning", "The warning's id, as `policy check` prints it in brackets.", true},
            a.warning);
    v.field({"reason", "Why it is right as it is.", true}, a.reason);
    a.at = v.mark("warning");
}

// ---- Policy

template <class V>
void shape(V& v, Allow& a) {
    v.field({"unknown", "Also allows requests whose effects cannot be analysed."}, a.unknown);
}

template <class V>
void shape(V& v, Deny& d) {
    v.field({"reason", "Why; shown to the agent and in the journal."}, d.reason);
    v.field({"hint", "What the agent may do instead."}, d.hint);
}

// statement, session, or a duration during which the grant holds.
template <class V>
void shape(V& v, Approve& a) {
    v.field({"by", "Who may grant: group:NAME or user:NAME; one of them is enough.", true,
             Format::Approver},
            a.by);
    v.not_empty("by", a.by.empty());
    v.field({"count", "How many different people must grant; 1."}, a.count);
    v.bounds("count", 1, 10);
    v.field({"within", "An unanswered request expires after this; 10m."}, a.within);
    std::string scope = "statement";
    v.field({"scope",
             "What a grant covers: this statement, the rest of the session, or whatever "
             "the rule matches for a duration such as 15m."},
            scope);
    if constexpr (!V::kWritesSchema) {
        if (a.count == 0 || a.count > 10) v.error("count", "must be 1 to 10");
        if (a.within <= Duration::zero()) v.error("within", "must be longer than nothing");
        if (scope == "statement") {
            a.scope = ApprovalScope::Statement;
        } else if (scope == "session") {
            a.scope = ApprovalScope::Session;
        } else if (const auto window = parse_duration(scope); window && *window > Duration{}) {
            a.scope = ApprovalScope::Window;
            a.window = *window;
        } else {
            v.error("scope", "\"" + scope + "\" is no scope",
                    "use statement, session or a duration such as 15m");
        }
    }
}

template <class V>
void shape(V& v, Mask& m) {
    v.one_of({"columns", "detect", "json"}, true);
    v.field({"columns",
             "Columns as \"schema.table.column\", \"table.column\" or \"column\"; * in any part. "
             "Letters match in either case unless the part is in double quotes.",
             false, Format::Column},
            m.columns);
    v.field({"detect", "Kinds of text to find in values: EMAIL_ADDRESS …", false, Format::Upper},
            m.detect);
    v.field({"json",
             "Values of JSON bodies (and of the same names in forms and events) as JSONPath: "
             "\"$.customer.email\", \"$..ssn\", \"$.rows[*].card\". HTTP only."},
            m.json);
    v.field({"with", "What stands in for the value; redact."}, m.with);
    v.field({"in",
             "What is masked: the response, the request (what leaves the agent), or both; "
             "response. HTTP only."},
            m.in);
    v.field({"filters",
             "Whether a statement may filter, join or sort by these columns, from which their "
             "values can be inferred; allow."},
            m.filters);
    m.at = v.at();
    v.not_empty("columns", m.columns.empty() && v.has("columns"));
    v.not_empty("detect", m.detect.empty() && v.has("detect"));
    v.not_empty("json", m.json.empty() && v.has("json"));
    if constexpr (!V::kWritesSchema) {
        m.detect_marks = v.item_marks("detect");
        for (const std::string& text : m.json) {
            auto path = JsonPath::parse(text);
            if (path)
                m.json_paths.push_back(*std::move(path));
            else
                v.error("json", path.error().detail, "paths look like \"$.customer.email\"");
        }
        if (v.has("filters") && !v.has("columns")) v.error("filters", "applies to columns only");
        if (m.in != MaskIn::Response && v.has("columns"))
            v.error("in", "applies to json and detect: columns are of answers");
    }
}

template <class V>
void shape(V& v, Rule& r) {
    v.field({"id", "Names the rule; unique in its policy.", true, Format::RuleId}, r.id);
    v.field({"when", "CEL: the requests that the rule is about. Without it: all."}, r.when);
    v.field({"mode", "shadow: decided and recorded, changes nothing; the policy's if not given."},
            r.mode);
    v.one_of({"allow", "deny", "approve", "mask"}, true);
    v.field({"allow", "Allows, unless another rule denies or asks for approval."}, r.allow);
    v.field({"deny", "Denies, whatever other rules say."}, r.deny);
    v.field({"approve", "Holds the request until people grant it."}, r.approve);
    v.field({"mask", "Hides values in what comes back."}, r.mask);
    v.field({"accept", "Warnings that are meant to stay."}, r.accept);
    v.not_empty("mask", r.mask.empty() && v.has("mask"));
    r.at = v.mark("id");
}

template <class V>
void shape(V& v, Policy& p) {
    v.field({"mode", "enforce, or shadow: decided and recorded, changes nothing; enforce."},
            p.mode);
    v.field({"when", "CEL over what is constant in a session: where these rules apply at all."},
            p.when);
    v.field({"rules", "In any order: it never matters.", true}, p.rules);
    v.field({"accept", "Warnings that are meant to stay."}, p.accept);
}

// ---- Resource

template <class V>
void shape(V& v, UpstreamTls& t) {
    v.field({"mode", "verify-full unless given."}, t.mode);
    v.certificates({"ca", "Certificates to trust, PEM, a file of the bundle; else the system's."},
                   t.ca, t.ca_pem);
    v.field({"serverName", "The name to verify, if it is not the host that is dialled."},
            t.server_name);
    v.certificates({"cert", "Our certificate, PEM, a file of the bundle."}, t.cert, t.cert_pem);
    v.secret({"key", "Its private key."}, t.key_secret);
    if constexpr (!V::kWritesSchema) {
        t.mode_given = v.has("mode");
        if (t.cert.empty() != t.key_secret.empty())
            v.error(t.cert.empty() ? "key" : "cert", "cert and key go together");
        if (t.mode == TlsMode::Disable && (v.has("ca") || v.has("cert")))
            v.error("mode", "TLS is disabled, so that ca and cert have no use");
        if (t.mode == TlsMode::Require && v.has("ca"))
            v.error("mode", "mode require does not verify, so that ca has no use",
                    "use verify-full or verify-ca");
    }
}

template <class V>
void shape(V& v, Upstream& u) {
    v.field({"host", "Where to connect; else where the agent meant to go."}, u.host);
    v.field({"port", "The port there; else the agent's."}, u.port);
    v.field({"tls", "How the connection is protected."}, u.tls);
}

template <class V>
void shape(V& v, AgentTls& t) {
    v.field({"onPinned",
             "What becomes of clients that do not accept our certificate: refuse, or tunnel, which "
             "lets their next connections pass without inspection where rules allow that; refuse."},
            t.on_pinned);
}

template <class V>
void shape(V& v, ResourceLimits& l) {
    v.field({"sessions", "Sessions at a time, of all workloads together."}, l.sessions);
    v.field({"idle", "A session without traffic for so long ends."}, l.idle);
    v.field({"hold", "Longest wait for an approval inside a transaction."}, l.hold);
    v.field({"messageSize", "Bytes of one message that is inspected."}, l.message_size);
}

// Whether all of these are names of Unix sockets, or none is.
inline bool speaks_of_sockets(const std::vector<std::string>& hosts, bool expected) {
    return std::ranges::all_of(hosts, [&](const std::string& host) {
        return (host.starts_with('/') || host.starts_with('@')) == expected;
    });
}

template <class V>
void shape(V& v, Resource& r) {
    v.template choice<Protocol>({"protocol", "What is spoken there.", true}, r.protocol);
    v.field({"hosts",
             "What the agent dials: names, *.names, addresses, networks; of protocol unix /paths, "
             "/folders/* and @abstract names.",
             true, Format::Host},
            r.hosts);
    v.field({"ports",
             "Ports; the protocol's own if not given (not for tcp and udp); unix "
             "has none."},
            r.ports);
    v.field({"inspect", "false: connections are decided, requests in them are not seen; true."},
            r.inspect);
    v.field({"databases", "Databases that may be opened; any if not given."}, r.databases);
    v.field({"upstream", "How we connect."}, r.upstream);
    v.field({"tls", "TLS with agents."}, r.tls);
    v.field({"credential", "How we log in there; the agent's own login if not given."},
            r.credential);
    std::string descriptor_set;
    v.file({"protoDescriptor",
            "The messages of its gRPC services, so that masks can reach into them: a "
            "FileDescriptorSet with its imports, a file of the bundle."},
           r.proto_descriptor, descriptor_set);
    v.field({"limits", "Limits of this resource's own."}, r.limits);
    v.field({"accept", "Warnings that are meant to stay."}, r.accept);
    v.not_empty("hosts", r.hosts.empty());
    v.bounds("ports", 1, 65'535);
    if constexpr (!V::kWritesSchema) {
        r.host_marks = v.item_marks("hosts");
        for (const std::uint16_t port : r.ports)
            if (port == 0) v.error("ports", "0 is no port");
        if (r.ports.empty()) r.ports = default_ports(r.protocol);
        const bool local = r.protocol == "unix";
        if (local && !r.ports.empty()) v.error("ports", "Unix sockets have no ports");
        if (!r.protocol.empty() && !speaks_of_sockets(r.hosts, local))
            v.error("hosts", local ? "a resource of protocol unix names /paths and @abstract names"
                                   : "Unix sockets are named by resources of protocol unix");
        if (r.ports.empty() && !r.protocol.empty() && !local)
            v.error("ports", "a resource of protocol " + r.protocol + " must say its ports");
        if (r.proto_descriptor.empty()) return;
        if (r.protocol != "http") v.error("protoDescriptor", "gRPC is spoken over protocol http");
        if (auto schema = proto::Schema::parse(descriptor_set))
            r.schema = *std::move(schema);
        else
            v.error("protoDescriptor", r.proto_descriptor + ": " + schema.error().detail,
                    "protoc --include_imports --descriptor_set_out=FILE writes one");
    }
}

// ---- Workload

struct IdentityShape {
    Workload& to;
};
struct MatchShape {
    Workload& to;
};

template <class V>
void shape(V& v, OidcIdentity& o) {
    v.field({"provider", "An IdentityProvider of the bundle.", true}, o.provider);
    v.field({"tokenFile", "Where the workload's token is kept up to date."}, o.token_file);
    o.provider_at = v.mark("provider");
}

template <class V>
void shape(V& v, IdentityShape& i) {
    v.one_of({"subject", "oidc"}, true);
    v.field({"subject", "Who this workload is."}, i.to.subject);
    v.field({"groups", "Its groups."}, i.to.groups);
    v.field({"oidc", "Identity from a token of this provider."}, i.to.oidc);
    if constexpr (!V::kWritesSchema) {
        if (v.has("groups") && v.has("oidc"))
            v.error("groups", "groups come from the token when oidc is used");
    }
}

template <class V>
void shape(V& v, MatchShape& m) {
    v.one_of({"unit", "cgroup"}, true);
    v.field({"unit", "A systemd unit.", false, Format::Unit}, m.to.unit);
    v.field({"cgroup", "A cgroup, as a path below the cgroup2 mount.", false, Format::Cgroup},
            m.to.cgroup);
}

template <class V>
void shape(V& v, Inbound& i) {
    v.template choice<CallProtocol>({"protocol", "tcp or udp; tcp."}, i.protocol);
    v.field({"ports", "Ports that it listens on; all if not given."}, i.ports);
    v.field({"hosts", "Callers who are not governed: addresses and networks; * is everywhere.",
             false, Format::Host},
            i.hosts);
    v.field({"workloads", "Callers who are: workloads of the bundle; * is all."}, i.workloads);
    v.bounds("ports", 1, 65'535);
    if constexpr (!V::kWritesSchema) {
        i.workload_marks = v.item_marks("workloads");
        for (const std::uint16_t port : i.ports)
            if (port == 0) v.error("ports", "0 is no port");
        if (i.hosts.empty() && i.workloads.empty())
            v.error("hosts", "nobody is named", "give hosts, workloads or both");
        for (const std::string& host : i.hosts) {
            const auto pattern = HostPattern::parse(host);
            if (pattern && pattern->kind != HostPattern::Kind::Network &&
                pattern->kind != HostPattern::Kind::Any)
                v.error("hosts", "callers are known by their address, not by a name: " + host);
        }
    }
}

template <class V>
void shape(V& v, Workload& w) {
    IdentityShape identity{w};
    v.field({"identity", "Who it is.", true}, identity);
    MatchShape match{w};
    v.field({"match", "Which processes it is; without it those of `chaperone run`."}, match);
    v.field({"mode", "shadow: policy is decided and recorded, and changes nothing; enforce."},
            w.mode);
    v.field({"inbound", "Who may call what it listens on; nobody from outside if not given."},
            w.inbound);
    v.field({"accept", "Warnings that are meant to stay."}, w.accept);
}

// ---- IdentityProvider

struct OidcShape {
    IdentityProvider& to;
};

template <class V>
void shape(V& v, OidcShape& o) {
    IdentityProvider& p = o.to;
    v.field({"issuer", "The issuer, an https URL.", true, Format::Url}, p.issuer);
    v.field({"audience", "What aud must hold.", true}, p.audience);
    v.field({"groupsClaim", "The claim that lists groups; groups."}, p.groups_claim);
    v.field({"subjectClaim", "The claim that is the subject; sub."}, p.subject_claim);
    v.field({"clockSkew", "How far clocks may differ; 60s."}, p.clock_skew);
    v.field({"jwksTtl", "Keys older than this are fetched anew; 1h."}, p.jwks_ttl);
    v.field({"staleFor", "How long old keys hold while the provider is away; 24h."}, p.stale_for);
    v.certificates({"ca", "Certificates to trust for the provider, PEM, a file of the bundle."},
                   p.ca, p.ca_pem);
}

template <class V>
void shape(V& v, IdentityProvider& p) {
    OidcShape oidc{p};
    v.field({"oidc", "OpenID Connect.", true}, oidc);
}

// ---- Approvers, Recognizer

template <class V>
void shape(V& v, Approvers& a) {
    v.field({"users", "Who is in the group of this name.", true}, a.users);
}

template <class V>
void shape(V& v, detect::CustomRecognizer& r) {
    v.field({"pattern", "RE2; must not match the empty text.", true}, r.pattern);
    v.field({"context", "Words one of which must stand near for full confidence."}, r.context);
    v.field({"confidence", "1 to 100; 85."}, r.confidence);
    v.bounds("confidence", 1, 100);
    if constexpr (!V::kWritesSchema) {
        if (r.confidence == 0 || r.confidence > 100) v.error("confidence", "must be 1 to 100");
    }
}

}  // namespace chaperone::policy::bundle
