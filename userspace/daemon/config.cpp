// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/config.h"

#include "policy/bundle/findings.h"
#include "policy/bundle/reader.h"
#include "policy/yaml/parser.h"
#include "userspace/authority/token_uri.h"
#include "userspace/base/file.h"
#include "userspace/net/dns_upstream.h"

#include <array>

namespace chaperone::policy::bundle {

template <>
struct Choices<daemon::LogLevel> {
    static constexpr std::array<std::pair<std::string_view, daemon::LogLevel>, 4> all{
        {{"debug", daemon::LogLevel::Debug},
         {"info", daemon::LogLevel::Info},
         {"warning", daemon::LogLevel::Warning},
         {"error", daemon::LogLevel::Error}}};
};
template <>
struct Choices<daemon::LogFormat> {
    static constexpr std::array<std::pair<std::string_view, daemon::LogFormat>, 4> all{
        {{"auto", daemon::LogFormat::Auto},
         {"text", daemon::LogFormat::Text},
         {"json", daemon::LogFormat::Json},
         {"journal", daemon::LogFormat::Journal}}};
};
template <>
struct Choices<daemon::JournalSync> {
    static constexpr std::array<std::pair<std::string_view, daemon::JournalSync>, 3> all{
        {{"never", daemon::JournalSync::Never},
         {"interval", daemon::JournalSync::Interval},
         {"always", daemon::JournalSync::Always}}};
};
template <>
struct Choices<daemon::Dns> {
    static constexpr std::array<std::pair<std::string_view, daemon::Dns>, 3> all{
        {{"deny", daemon::Dns::Deny},
         {"direct", daemon::Dns::Direct},
         {"resolve", daemon::Dns::Resolve}}};
};

}  // namespace chaperone::policy::bundle

namespace chaperone::daemon {

using policy::bundle::Format;
using policy::bundle::Key;
using policy::bundle::Reader;

namespace {

constexpr std::size_t kMaxConfig = std::size_t{1} << 20;

void at_least(Reader& reader, std::string_view key, Duration value, Duration least) {
    if (value < least) reader.error(key, std::string{key} + " must be at least " + to_text(least));
}
void between(Reader& reader, std::string_view key, std::uint64_t value, std::uint64_t least,
             std::uint64_t most) {
    if (value < least || value > most)
        reader.error(key, std::string{key} + " must be from " + std::to_string(least) + " to " +
                              std::to_string(most));
}

}  // namespace

void shape(Reader& r, ListenConfig& c) {
    r.field({"port",
             "The proxy's port on 127.0.0.1 and ::1. Choose one that no other program can "
             "take while the daemon is away. 0: one is picked once and kept."},
            c.port);
    r.field({"threads", "Threads that carry sessions; 0: one per core."}, c.threads);
    between(r, "threads", c.threads, 0, 1024);
}

void shape(Reader& r, LogConfig& c) {
    r.field({"level", "The least level that is written."}, c.level);
    r.field({"format",
             "text or json on standard error; journal: the fields of systemd's journal; "
             "auto: journal where systemd reads our standard error, else text."},
            c.format);
}

void shape(Reader& r, JournalConfig& c) {
    r.field({"sync",
             "When entries are forced to the disk: always: before a request goes on; "
             "interval: with each checkpoint; never: when the kernel likes."},
            c.sync);
    r.field({"interval", "A signed checkpoint comes at least this often while there are entries."},
            c.interval);
    r.field({"segmentSize", "Bytes after which a new file begins."}, c.segment_size);
    r.field({"checkpointEntries", "Entries after which a checkpoint comes at once."},
            c.checkpoint_entries);
    at_least(r, "interval", c.interval, std::chrono::milliseconds{10});
    between(r, "segmentSize", c.segment_size, 1 << 20, std::uint64_t{4} << 30);
    between(r, "checkpointEntries", c.checkpoint_entries, 1, 1 << 20);
}

void shape(Reader& r, LimitsConfig& c) {
    r.field({"maxSessions", "Sessions at a time; more are refused."}, c.max_sessions);
    r.field({"maxSessionsPerWorkload", "Of them, what one workload may have."},
            c.max_sessions_per_workload);
    r.field({"maxStatement", "Bytes of SQL that are analysed; a longer statement is unknown."},
            c.max_statement);
    r.field(
        {"maxMessage", "Bytes of one message that must be seen whole; a longer one is refused."},
        c.max_message);
    r.field({"connectTimeout", "For dialling a resource."}, c.connect_timeout);
    r.field({"loginTimeout", "For an agent to log in, and for us at the resource."},
            c.login_timeout);
    r.field({"httpIdleTimeout", "For an HTTP connection without a request; then it is closed."},
            c.http_idle_timeout);
    r.field({"httpReuseIdle",
             "How long an HTTP server's connection waits for the next session of the same workload "
             "to the same server; shorter than servers wait themselves. 0s: none does."},
            c.http_reuse_idle);
    r.field({"drain", "What open sessions are given when the daemon stops."}, c.drain);
    between(r, "maxSessions", c.max_sessions, 1, 1 << 24);
    between(r, "maxSessionsPerWorkload", c.max_sessions_per_workload, 1, 1 << 24);
    between(r, "maxStatement", c.max_statement, 1024, 1 << 26);
    between(r, "maxMessage", c.max_message, 16 * 1024, std::uint64_t{1} << 30);
    at_least(r, "connectTimeout", c.connect_timeout, std::chrono::milliseconds{100});
    at_least(r, "loginTimeout", c.login_timeout, std::chrono::seconds{1});
    at_least(r, "httpIdleTimeout", c.http_idle_timeout, std::chrono::seconds{1});
}

void shape(Reader& r, AgentsConfig& c) {
    r.field({"dns",
             "What becomes of agents' own questions to resolvers: resolve: answered by us, as "
             "policy says; deny: refused (names from /etc/hosts still resolve); direct: any "
             "resolver may be reached, which is a way out for data."},
            c.dns);
}

void shape(Reader& r, ResolverConfig& c) {
    r.field({"servers",
             "Who is asked for agents' names: addresses, with a port where it is not 53. Without "
             "them, the name servers of /etc/resolv.conf. Read when the daemon starts."},
            c.servers);
    r.field({"timeout", "For all servers together; agents' libraries wait 5 s."}, c.timeout);
    for (const std::string& server : c.servers)
        if (const auto parsed = net::parse_dns_server(server); !parsed)
            r.error("servers", parsed.error().detail);
    at_least(r, "timeout", c.timeout, std::chrono::milliseconds{100});
}

void shape(Reader& r, OperatorsConfig& c) {
    r.field({"group", "The OS group that may operate this instance beside root."}, c.group);
}

void shape(Reader& r, BundleConfig& c) {
    r.field({"signers",
             "A file of who may sign bundles (ssh-keygen(1), ALLOWED SIGNERS), relative to this "
             "folder. Where it is given, a bundle that none of them signed is refused."},
            c.signers);
}

void shape(Reader& r, CaConfig& c) {
    r.field({"key",
             "Where the private key of your own CA is, if not in ca.key: a PKCS#11 URI (RFC 7512), "
             "as pkcs11:token=hsm;object=agents?pin-source=file:/etc/chaperone/ca.pin. Its "
             "certificate is ca.pem in the state folder's ca."},
            c.key);
    r.field({"module",
             "The PKCS#11 library of the token's maker, an absolute path. Without it, module-path "
             "of the URI, or every module that p11-kit knows."},
            c.module);
    r.field({"timeout", "For one signature of the token; then its module is started anew."},
            c.timeout);
    at_least(r, "timeout", c.timeout, std::chrono::milliseconds{100});
    if (c.timeout > std::chrono::minutes{1}) r.error("timeout", "timeout must be at most 1m");
    if (c.key.empty()) {
        if (!c.module.empty()) r.error("module", "module says nothing without key");
        return;
    }
    const auto uri = authority::read_token_uri(c.key);
    if (!uri) r.error("key", uri.error().detail);
    if (!c.module.empty() && !c.module.starts_with('/'))
        r.error("module", "module must be an absolute path");
    if (uri && !uri->module.empty() && !c.module.empty())
        r.error("module", "module is said twice: here and as module-path in key");
}

void shape(Reader& r, Config& c) {
    r.field({"listen", "Where governed connections arrive."}, c.listen);
    r.field({"log", "The daemon's own log."}, c.log);
    r.field({"journal", "The record of all sessions."}, c.journal);
    r.field({"limits", "Bounds of what agents may cost."}, c.limits);
    r.field({"agents", "What holds for all agents."}, c.agents);
    r.field({"resolver", "Who is asked for agents' names."}, c.resolver);
    r.field({"operators", "Who may operate."}, c.operators);
    r.field({"bundle", "Where policy may come from."}, c.bundle);
    r.field({"ca", "The authority that agents trust."}, c.ca);
}

Result<Config> parse_config(std::string_view name, std::string text) {
    const std::vector<policy::bundle::SourceFile> files{{std::string{name}, std::move(text)}};
    policy::bundle::Findings findings{files};
    const auto documents = policy::yaml::parse(0, findings);
    Config config;
    if (documents.size() > 1)
        findings.error(documents[1].at, "the configuration is one document, here is a second");
    if (!documents.empty() && documents[0].kind != policy::yaml::Node::Kind::Null) {
        policy::bundle::DecodeContext context{findings, {}};
        if (documents[0].kind != policy::yaml::Node::Kind::Mapping) {
            findings.error(documents[0].at, "the configuration must be a mapping");
        } else {
            Reader reader{documents[0], context};
            shape(reader, config);
            reader.finish();
        }
    }
    if (!findings.has_errors()) return config;
    const auto issues = findings.take();
    return fail(Errc::Invalid, policy::bundle::to_text(issues));
}

Result<Config> read_config(const std::filesystem::path& path) {
    auto text = read_file(path, kMaxConfig);
    if (!text && text.error().code == Errc::NotFound) return Config{};
    if (!text) return fail(text.error());
    return parse_config(path.string(), *std::move(text));
}

}  // namespace chaperone::daemon
