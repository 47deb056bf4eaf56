// SPDX-License-Identifier: Apache-2.0
// The agent's own login, relayed: for resources without a credential of ours.
#include "userspace/session/pg_machine.h"
#include "userspace/wire/pg/encoder.h"

#include <algorithm>

namespace chaperone::session {

namespace pg = wire::pg;

std::size_t PgMachine::relay_from_server(Bytes data, Actions& out) {
    if (!greeting_.empty() && !relayed_ok_) out.send(Side::Client, std::exchange(greeting_, {}));
    while (phase_ == Phase::RelayLogin) {
        const Bytes rest = data.subspan(run_.end);
        const auto header = pg::peek(rest, {.message = config_.limits.control});
        if (!header) {
            unexpected("message length", out);
            break;
        }
        if (!*header || rest.size() < (*header)->size) break;
        const Bytes raw = rest.first((*header)->size);
        const Bytes body = raw.subspan(pg::kHeaderSize);
        switch ((*header)->tag) {
        case 'R': {
            const auto message = pg::decode_authentication(body);
            if (!message) {
                unexpected("Authentication", out);
                break;
            }
            if (message->kind == pg::Auth::Sasl) {
                skip(out, raw.size());
                relay_mechanisms(message->data, out);
                break;
            }
            if (message->kind == pg::Auth::Ok) relayed_ok_ = true;
            pass(raw.size());
            break;
        }
        case 'E':
            terminating_ = true;
            pass(raw.size());
            break;
        case 'N': pass(raw.size()); break;
        case 'v': skip(out, raw.size()); break;
        case 'S':
            if (const auto status = pg::decode_parameter_status(body);
                status && relayed_ok_ && statuses_.size() < 1'000)
                statuses_.emplace_back(status->name, status->value);
            else
                unexpected("ParameterStatus", out);
            skip(out, raw.size());
            break;
        case 'K':
            if (const auto key = pg::decode_backend_key(body); key && relayed_ok_) {
                backend_pid_ = key->pid;
                out.server_key(key->pid, key->secret);
            } else {
                unexpected("BackendKeyData", out);
            }
            skip(out, raw.size());
            break;
        case 'Z':
            if (!relayed_ok_) {
                unexpected("ReadyForQuery", out);
                break;
            }
            skip(out, raw.size());
            begin_learning(out);
            return run_.end;
        default: unexpected("a message during login", out);
        }
    }
    if (phase_ != Phase::Ended) flush(out);
    return run_.end;
}

// A channel that we end cannot be bound to the server's, so the mechanism that binds it is not
// offered on.
void PgMachine::relay_mechanisms(Bytes data, Actions& out) {
    const auto mechanisms = pg::decode_sasl_mechanisms(data);
    if (!mechanisms) return unexpected("AuthenticationSASL", out);
    const bool strip = client_secure_ || server_secure_;
    Buffer names;
    for (const auto name : *mechanisms) {
        if (strip && name == pg::kScramPlus) {
            plus_offered_ = true;
            continue;
        }
        append(names, name);
        names.push_back({});
    }
    if (names.empty())
        return fatal(out, "28000",
                     "chaperone: the server accepts only logins bound to its TLS channel, which "
                     "cannot be relayed",
                     "give the resource a credential");
    names.push_back({});
    Buffer message;
    pg::encode_authentication(message, pg::Auth::Sasl, names);
    out.send(Side::Client, message);
}

std::size_t PgMachine::relay_from_client(Bytes data, Actions& out) {
    while (phase_ == Phase::RelayLogin && !relayed_ok_) {
        const Bytes rest = data.subspan(run_.end);
        const auto header = pg::peek(rest, {.message = 65'536});
        if (!header || (*header && (*header)->tag != 'p' && (*header)->tag != 'X')) {
            fatal(out, "08P01", "chaperone: a message that is not part of a login");
            break;
        }
        if (!*header || rest.size() < (*header)->size) break;
        if ((*header)->tag == 'X') {
            finish(out, "the client ended the session");
            break;
        }
        const Bytes body = rest.first((*header)->size).subspan(pg::kHeaderSize);
        if (std::exchange(plus_offered_, false)) {
            const auto initial = pg::decode_sasl_initial(body);
            if (initial && initial->response && as_text(*initial->response).starts_with("y,")) {
                // The server would take it for an attack: it did offer to bind the channel.
                fatal(out, "28000",
                      "chaperone: this login cannot be relayed: client and server both want to "
                      "bind it to their TLS channel",
                      "connect with channel_binding=disable or sslmode=disable, or give the "
                      "resource a credential");
                break;
            }
        }
        pass((*header)->size);
    }
    if (phase_ != Phase::Ended) flush(out);
    return run_.end;
}

}  // namespace chaperone::session
