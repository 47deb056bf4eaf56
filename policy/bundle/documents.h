// SPDX-License-Identifier: Apache-2.0
// The documents of a bundle as they were written, decoded and typed. Plain values, immutable once
// they are in a Bundle. Field names are those of the YAML in snake_case; policy/README.md and
// policy/schema.json say what each means.
#pragma once

#include "policy/bundle/credential.h"
#include "policy/bundle/mark.h"
#include "policy/decision.h"
#include "policy/json_path.h"
#include "policy/proto/schema.h"
#include "policy/request.h"
#include "userspace/base/clock.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::bundle {

struct Metadata {
    std::string name{};
    Labels labels{};
    Mark at{};  // of the name
};

// A CEL expression as written.
struct Expression {
    std::string source{};
    Mark at{};
};

// A warning of `policy check` that somebody has looked at and keeps.
struct Accept {
    std::string warning{};
    std::string reason{};
    Mark at{};
};

// ---- kind: Policy

enum class Mode : std::uint8_t { Enforce, Shadow };

struct Allow {
    // A rule that looks at the request allows what cannot be analysed only if it says so.
    bool unknown = false;
};
struct Deny {
    std::string reason{};
    std::string hint{};
};
struct Approve {
    std::vector<std::string> by{};  // "group:dba", "user:alice"; one of them is enough
    unsigned count = 1;             // different people
    Duration within = std::chrono::minutes{10};
    ApprovalScope scope = ApprovalScope::Statement;
    Duration window{};  // ApprovalScope::Window
};
// What happens to a statement that filters, joins or sorts by a masked column, from which its
// values can be inferred although they are not shown.
enum class Filters : std::uint8_t { Allow, Deny };
// Which way what is masked goes: to the agent, or from it.
enum class MaskIn : std::uint8_t { Response, Request, Both };
struct Mask {
    std::vector<std::string> columns{};  // either these
    std::vector<std::string> detect{};   // or these
    std::vector<std::string> json{};     // or these
    detect::With with = detect::With::Redact;
    Filters filters = Filters::Allow;
    MaskIn in = MaskIn::Response;
    Mark at{};
    std::vector<Mark> detect_marks{};    // of detect, in its order
    std::vector<JsonPath> json_paths{};  // of json, in its order
};

struct Rule {
    std::string id{};
    Mark at{};  // of the id
    std::optional<Expression> when{};
    std::optional<Mode> mode{};  // the policy's, if not given
    // Exactly one of these.
    std::optional<Allow> allow{};
    std::optional<Deny> deny{};
    std::optional<Approve> approve{};
    std::vector<Mask> mask{};
    std::vector<Accept> accept{};
};

struct Policy {
    Metadata metadata{};
    Mode mode = Mode::Enforce;
    std::optional<Expression> when{};
    std::vector<Rule> rules{};
    std::vector<Accept> accept{};
};

// ---- kind: Resource

enum class TlsMode : std::uint8_t { Disable, Require, VerifyCa, VerifyFull };

struct UpstreamTls {
    TlsMode mode = TlsMode::VerifyFull;
    std::string ca{};           // file of the bundle; empty: the system's trust store
    std::string ca_pem{};       // its content, read when the bundle was loaded
    std::string server_name{};  // empty: the name that is dialled
    std::string cert{};         // file of the bundle: our certificate
    std::string cert_pem{};
    std::string key_secret{};  // name of the secret that holds its key
    bool mode_given = false;   // else TLS is spoken where the agent speaks it
};

// What becomes of clients that do not accept our certificate (they pin the server's).
enum class OnPinned : std::uint8_t { Refuse, Tunnel };

// Towards the agent.
struct AgentTls {
    OnPinned on_pinned = OnPinned::Refuse;
};

struct Upstream {
    std::string host{};  // empty: where the agent meant to go
    std::uint16_t port = 0;
    UpstreamTls tls{};
};

// 0: no limit of this resource's own.
struct ResourceLimits {
    unsigned sessions = 0;           // at a time, over all workloads
    Duration idle{};                 // a session without traffic ends
    Duration hold{};                 // longest wait for an approval inside a transaction
    std::uint64_t message_size = 0;  // bytes of one message that is inspected
};

struct Resource {
    Metadata metadata{};
    std::string protocol{};
    std::vector<std::string> hosts{};
    std::vector<std::uint16_t> ports{};  // never empty: the protocol's own if none were given
    bool inspect = true;
    std::vector<std::string> databases{};  // that may be opened; empty: any
    Upstream upstream{};
    AgentTls tls{};
    std::optional<Credential> credential{};  // none: as passThrough
    std::string proto_descriptor{};          // of HTTP: a file, and what it says of gRPC
    std::shared_ptr<const proto::Schema> schema{};
    ResourceLimits limits{};
    std::vector<Accept> accept{};
    std::vector<Mark> host_marks{};  // of hosts, in their order
};

// ---- kind: Workload

struct OidcIdentity {
    std::string provider{};
    std::string token_file{};
    Mark provider_at{};
};

// Who may call its listeners from outside it.
struct Inbound {
    std::string protocol = "tcp";
    std::vector<std::uint16_t> ports{};    // empty: all
    std::vector<std::string> hosts{};      // addresses and networks of callers who are not governed
    std::vector<std::string> workloads{};  // governed callers; "*": all
    std::vector<Mark> workload_marks{};
};

struct Workload {
    Metadata metadata{};
    std::string subject{};  // static identity, if oidc is not set
    std::vector<std::string> groups{};
    std::optional<OidcIdentity> oidc{};
    std::string unit{};         // of systemd
    std::string cgroup{};       // path below the cgroup2 mount; neither: started by `chaperone run`
    Mode mode = Mode::Enforce;  // Shadow: policy is decided and recorded, and changes nothing
    std::vector<Inbound> inbound{};
    std::vector<Accept> accept{};

    // Whether its listeners on this port take that other workload.
    bool takes(std::string_view caller, std::string_view protocol, std::uint16_t port) const;
};

// ---- kind: IdentityProvider

struct IdentityProvider {
    Metadata metadata{};
    std::string issuer{};
    std::string audience{};
    std::string groups_claim = "groups";
    std::string subject_claim = "sub";
    Duration clock_skew = std::chrono::seconds{60};
    Duration jwks_ttl = std::chrono::hours{1};
    Duration stale_for = std::chrono::hours{24};
    std::string ca{};  // file of the bundle
    std::string ca_pem{};
};

// ---- kind: Approvers

// Who is in an approver group, so that `policy check` can tell a group that nobody is in. Local
// approvers are OS groups and need none.
struct Approvers {
    Metadata metadata{};  // the name is the group's
    std::vector<std::string> users{};
};

// ---- kind: PolicyTest

struct Expectation {
    Effect effect = Effect::Deny;
    std::optional<std::string> rule{};                // "id" or "policy/id"
    std::optional<std::vector<std::string>> masks{};  // columns patterns, kinds: as a set
};

// An HTTP request; its connection is opened to the host of the URL.
struct HttpCase {
    std::string method = "GET";
    std::string url{};  // "https://host/path?query"
    Labels headers{};
    std::string body{};
    Mark at{};
};

// A message of the WebSocket that the case's HTTP request opens.
struct MessageCase {
    bool down = false;  // from the server
    std::string text{};
};

// A tool call in a model's answer to the case's HTTP request.
struct ToolCallCase {
    std::string name{};
    std::string arguments{};  // JSON
    std::string type{};
};

struct TestCase {
    std::string name{};
    Mark at{};
    std::string workload{};
    std::string resource{};
    Mark workload_at{};
    Mark resource_at{};
    std::string sql{};                      // empty: the connection itself is asked for
    std::vector<std::string> parameters{};  // given: the statement is bound and executed
    std::optional<HttpCase> http{};
    std::optional<MessageCase> ws{};
    std::optional<ToolCallCase> tool_call{};
    std::string command{};  // for a shell
    std::string dns{};      // a name that is to be resolved
    std::string dns_type{};
    bool has_parameters = false;
    std::string database{};
    std::string user{};
    std::string application{};
    bool replication = false;
    bool tls = true;
    std::optional<std::string> subject{};  // identity override
    std::optional<std::vector<std::string>> groups{};
    std::optional<Time> now{};
    std::map<std::string, std::vector<std::string>, std::less<>> tables{};  // catalog: columns
    Expectation expect{};
};

struct PolicyTest {
    Metadata metadata{};
    std::vector<TestCase> cases{};
};

}  // namespace chaperone::policy::bundle
