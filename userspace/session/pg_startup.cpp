// SPDX-License-Identifier: Apache-2.0
// From the first byte of the client to the moment when it may ask something.
#include "userspace/base/overloaded.h"
#include "userspace/base/steady.h"
#include "userspace/session/pg_machine.h"
#include "userspace/session/pg_settings.h"
#include "userspace/wire/pg/encoder.h"

#include <algorithm>

namespace chaperone::session {

namespace pg = wire::pg;

namespace {

constexpr std::byte kTlsHandshake{0x16};  // a TLS record of type handshake: no length starts so
// What an unqualified name means in this session, before the agent says a word. Qualified, so that
// no search_path of the agent's choice can put another function in its place.
constexpr std::string_view kLearn =
    "SELECT pg_catalog.current_setting('search_path'), "
    "pg_catalog.array_to_string(pg_catalog.current_schemas(false), E'\\n'), current_user";

}  // namespace

std::size_t PgMachine::on_startup(Bytes data, Actions& out) {
    if (data.front() == kTlsHandshake && !client_secure_ && !ssl_seen_) {
        if (!config_.client_tls) {
            finish(out, "TLS is not offered to this client");
            return 0;
        }
        phase_ = Phase::ClientTls;
        out.start_tls(Side::Client);
        return 0;
    }
    const auto frame = pg::decode_startup(data);
    if (!frame) {
        fatal(out, "08P01", "chaperone: invalid startup packet");
        return 0;
    }
    if (!*frame) return 0;
    const auto& [packet, size] = **frame;
    std::visit(overloaded{
                   [&](const pg::SslRequest&) {
                       if (ssl_seen_ || client_secure_)
                           return fatal(out, "08P01", "chaperone: SSLRequest was sent twice");
                       ssl_seen_ = true;
                       if (!config_.client_tls) return out.send(Side::Client, as_bytes("N"));
                       phase_ = Phase::ClientTls;
                       out.send(Side::Client, as_bytes("S"));
                       out.start_tls(Side::Client);
                   },
                   [&](const pg::GssEncRequest&) {
                       if (client_secure_)
                           return fatal(out, "08P01", "chaperone: GSSENCRequest inside TLS");
                       out.send(Side::Client, as_bytes("N"));
                   },
                   [&](const pg::CancelRequest& cancel) {
                       out.cancel_session(cancel.pid, cancel.secret);
                       finish(out, "a cancel request");
                   },
                   [&](const pg::StartupMessage& message) { on_startup_message(message, out); },
               },
               packet);
    return size;
}

void PgMachine::on_startup_message(const pg::StartupMessage& message, Actions& out) {
    if (message.major != 3)
        return fatal(out, "0A000", "chaperone: only protocol 3 of PostgreSQL is supported");
    if (!check_settings(message, out)) return;
    const auto text = [&](std::string_view name) {
        return std::string{message.find(name).value_or("")};
    };
    facts_->user = text("user");
    if (facts_->user.empty())
        return fatal(out, "28000", "chaperone: no user name in the startup packet");
    facts_->database = text("database");
    if (facts_->database.empty()) facts_->database = facts_->user;
    facts_->application = text("application_name");
    facts_->tls = client_secure_;
    std::vector<std::string_view> unknown;
    for (const auto& [name, value] : message.parameters) {
        if (name.starts_with("_pq_.")) {
            unknown.push_back(name);
        } else if (name == "replication") {
            if (!is_false(value)) {
                facts_->replication = true;
                startup_.emplace_back(name, value);
            }
        } else if (name != "user" && name != "database") {
            startup_.emplace_back(name, value);
        }
    }
    // 3.2 only makes the cancel's secret longer, if a server wishes; ours, whatever its version is,
    // has four bytes. 3.1 was never used.
    constexpr std::uint16_t kNewest = 2;
    const std::uint16_t minor = message.minor >= kNewest ? kNewest : 0;
    if (message.minor != minor || !unknown.empty())
        pg::encode_negotiate(greeting_, 3u << 16 | minor, unknown);
    phase_ = Phase::ConnectAsked;
    question_.open = true;
    out.ask({.session = facts_, .stage = policy::Stage::Connect, .now = to_wall(now_)});
}

bool PgMachine::check_settings(const pg::StartupMessage& message, Actions& out) {
    const auto refuse = [&](std::string_view name) {
        fatal(out, "28000",
              "chaperone: the setting \"" + std::string{name} + "\" cannot be given at startup");
        return false;
    };
    for (const auto& [name, value] : message.parameters) {
        if (!may_set_at_startup(name)) return refuse(name);
        if (name != "options") continue;
        const auto options = parse_options(value);
        if (!options) return refuse("options");
        for (const auto& setting : *options)
            if (!may_set_at_startup(setting.first)) return refuse(setting.first);
    }
    return true;
}

void PgMachine::on_connect_decided(const Answer& answer, Actions& out) {
    if (answer.verdict != Verdict::Allowed || !answer.decision) {
        PgRefusal refusal = refusal_of(answer, facts_->id);
        if (refusal.sqlstate == "42501") refusal.sqlstate = "28000";
        Buffer error;
        encode_fatal(error, refusal);
        out.send(Side::Client, error);
        return finish(out, "denied by policy");
    }
    phase_ = Phase::Connecting;
    out.connect();
}

void PgMachine::on_connected(Result<> connected, Actions& out) {
    if (phase_ != Phase::Connecting) return;
    run_ = {};
    if (!connected) return fatal(out, "08006", "chaperone: the server cannot be reached");
    const bool relay = config_.credential == Credential::PassThrough;
    const std::string user = relay || config_.user.empty() ? facts_->user : config_.user;
    database_ = relay || config_.database.empty() ? facts_->database : config_.database;
    login_.emplace(LoginConfig{.tls = config_.server_tls,
                               .user = user,
                               .database = database_,
                               .password = config_.password.clone(),
                               .parameters = startup_,
                               .nonce = config_.nonce});
    config_.password = Secret{};
    Buffer send;
    phase_ = Phase::Login;
    on_login_step(login_->start(send), send, out);
}

void PgMachine::on_tls_started(Side side, Result<TlsInfo> started, Actions& out) {
    if (phase_ == Phase::Ended) return;
    run_ = {};
    if (side == Side::Client) {
        if (phase_ != Phase::ClientTls) return;
        if (!started) return finish(out, "TLS with the client failed: " + started.error().detail);
        client_secure_ = true;
        if (facts_->destination.name.empty()) facts_->destination.name = started->server_name;
        phase_ = Phase::Startup;
        return;
    }
    if (phase_ != Phase::Login) return;
    if (!started)
        return fatal(out, "08006", "chaperone: TLS with the server failed",
                     "its certificate may not be the expected one; the operator's log says more");
    server_secure_ = true;
    Buffer send;
    on_login_step(login_->on_tls_started(*started, send), send, out);
}

std::size_t PgMachine::on_login_bytes(Bytes data, Actions& out) {
    std::size_t consumed = 0;
    Buffer send;
    const auto step = login_->on_received(data, consumed, send);
    on_login_step(step, send, out);
    return consumed;
}

void PgMachine::on_login_step(UpstreamLogin::Step step, const Buffer& send, Actions& out) {
    if (!send.empty()) out.send(Side::Server, send);
    switch (step) {
    case UpstreamLogin::Step::NeedMore:
        // The startup packet is out: from here on the agent's own login is between those two.
        if (config_.credential == Credential::PassThrough && login_->asks_for_login()) {
            login_.reset();
            phase_ = Phase::RelayLogin;
        }
        return;
    case UpstreamLogin::Step::StartTls: return out.start_tls(Side::Server);
    case UpstreamLogin::Step::Failed:
        if (!login_->server_error().empty()) {
            out.send(Side::Client, login_->server_error());
            return finish(out, "login at the server failed: " + login_->error().detail);
        }
        return fatal(out, login_->sqlstate().starts_with("28") ? "28000" : login_->sqlstate(),
                     "chaperone: login at the server failed: " + login_->error().detail);
    case UpstreamLogin::Step::Done: {
        LoginResult result = login_->take_result();
        login_.reset();
        backend_pid_ = result.pid;
        out.server_key(result.pid, result.secret);
        pg::encode_authentication(greeting_, pg::Auth::Ok);
        for (auto& [name, value] : result.parameters) statuses_.emplace_back(name, value);
        append(greeting_, result.notices);
        return begin_learning(out);
    }
    }
}

void PgMachine::begin_learning(Actions& out) {
    for (const auto& [name, value] : statuses_) {
        pg::encode_parameter_status(greeting_, name, value);
        on_setting(name, value);
    }
    statuses_.clear();
    // A walsender for physical replication runs no SQL.
    const bool physical = facts_->replication && std::ranges::none_of(startup_, [](const auto& s) {
                              return s.first == "replication" && s.second == "database";
                          });
    if (physical) {
        space_.certain = false;
        return become_ready(out);
    }
    Buffer query;
    pg::encode_query(query, kLearn);
    phase_ = Phase::Learning;
    out.send(Side::Server, query);
}

std::size_t PgMachine::on_learning(Bytes data, Actions& out) {
    std::size_t consumed = 0;
    while (phase_ == Phase::Learning) {
        const Bytes rest = data.subspan(consumed);
        const auto header = pg::peek(rest, {.message = config_.limits.control});
        if (header && !*header) break;
        if (header && rest.size() < (*header)->size) break;
        const char tag = header ? (*header)->tag : '\0';
        const Bytes raw = header ? rest.first((*header)->size) : Bytes{};
        const Bytes body = raw.empty() ? raw : raw.subspan(pg::kHeaderSize);
        bool fine = true;
        pg::Row row;
        switch (tag) {
        case 'T':
        case 'C': break;
        case 'D': fine = pg::decode_row(body, row).has_value() && on_learnt(row); break;
        case 'N': append(greeting_, raw); break;
        case 'S': append(greeting_, raw), on_parameter(body); break;
        case 'Z':
            fine = !effective_path_.empty() || !wanted_path_.empty() || space_.search_path.empty();
            if (!fine) break;
            phase_ = Phase::Cataloguing;
            out.need_catalog(database_, false);
            break;
        default: fine = false;
        }
        if (!fine) {
            fatal(out, "58000", "chaperone: the server did not tell its name space");
            return consumed;
        }
        consumed += raw.size();
    }
    return consumed;
}

bool PgMachine::on_learnt(const pg::Row& row) {
    if (row.size() != 3 || !row[0] || !row[1] || !row[2]) return false;
    const auto path = split_identifiers(as_text(*row[0]), as_text(*row[2]));
    if (!path) return false;
    wanted_path_ = *path;
    std::string_view rest = as_text(*row[1]);
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        effective_path_.emplace_back(rest.substr(0, end));
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    space_.search_path = wanted_path_;
    return true;
}

// A schema of the path that exists and is not effective may not be used by this role: the server
// passes over it. One that does not exist yet may come to be, so it stays.
void PgMachine::settle_search_path() {
    if (!catalog_) return;
    std::erase_if(space_.search_path, [&](const std::string& schema) {
        return catalog_->has_schema(schema) &&
               std::ranges::find(effective_path_, schema) == effective_path_.end();
    });
}

void PgMachine::on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>> catalog,
                           Actions& out) {
    if (phase_ == Phase::Ended) return;
    run_ = {};
    if (!catalog) {
        if (phase_ == Phase::Cataloguing)
            return fatal(out, "58000", "chaperone: the catalog cannot be read");
        // Every name is in doubt until it can be.
        awaiting_catalog_ = catalog_stale_ = false;
        names_.all_changed = catalog_missed_ = true;
        names_.made.clear();
        return;
    }
    if (phase_ == Phase::Cataloguing) {
        catalog_ = *std::move(catalog);
        settle_search_path();
        return become_ready(out);
    }
    const bool asked = awaiting_catalog_;
    if (*catalog != catalog_) {
        catalog_ = *std::move(catalog);
        ++epoch_;
        forget_bodies();
        names_.seen(*catalog_);
    }
    // Another session changed the schema. What this one has changed may not be in it.
    if (!asked) return;
    awaiting_catalog_ = false;
    catalog_stale_ = schema_unsure_ = names_.added = false;
    // Nothing has touched the schema since what did was committed, so it holds all those changes.
    const bool temporary_first =
        std::ranges::find(space_.search_path, "pg_temp") != space_.search_path.end();
    if (!private_relations_ && space_.certain && !temporary_first) {
        names_.changed.clear();
        names_.changed_in.clear();
        names_.made.clear();
        names_.all_changed = false;
    }
}

void PgMachine::become_ready(Actions& out) {
    const std::uint32_t pid = backend_pid_ == 0 ? config_.pid : backend_pid_;
    pg::encode_backend_key(greeting_, pid, config_.cancel_secret);
    pg::encode_ready(greeting_, 'I');
    phase_ = Phase::Ready;
    out.send(Side::Client, greeting_);
    greeting_ = {};
}

}  // namespace chaperone::session
