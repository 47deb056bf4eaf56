// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/pg_upstream_login.h"

#include "userspace/wire/pg/decoder.h"

#include <algorithm>

namespace chaperone::session {

namespace pg = wire::pg;

UpstreamLogin::UpstreamLogin(LoginConfig config) : config_(std::move(config)) {}

UpstreamLogin::Step UpstreamLogin::fail(Errc code, std::string_view sqlstate, std::string detail) {
    state_ = State::Ended;
    error_ = {code, std::move(detail)};
    sqlstate_ = sqlstate;
    return Step::Failed;
}

UpstreamLogin::Step UpstreamLogin::start(Buffer& send) {
    if (!config_.tls) return send_startup(send);
    pg::encode_ssl_request(send);
    state_ = State::AwaitSsl;
    return Step::NeedMore;
}

UpstreamLogin::Step UpstreamLogin::send_startup(Buffer& send) {
    pg::Parameters parameters{{"user", config_.user}, {"database", config_.database}};
    parameters.insert(parameters.end(), config_.parameters.begin(), config_.parameters.end());
    pg::encode_startup(send, parameters);
    state_ = State::Authenticating;
    return Step::NeedMore;
}

UpstreamLogin::Step UpstreamLogin::on_tls_started(const TlsInfo& tls, Buffer& send) {
    if (state_ != State::AwaitTls)
        return fail(Errc::UnexpectedMessage, "08006", "a handshake nobody asked for");
    encrypted_ = true;
    end_point_ = tls.server_end_point;
    return send_startup(send);
}

UpstreamLogin::Step UpstreamLogin::on_received(Bytes data, std::size_t& consumed, Buffer& send) {
    consumed = 0;
    if (state_ == State::AwaitSsl) return on_ssl_answer(data, consumed, send);
    while (state_ == State::Authenticating || state_ == State::Settling) {
        const Bytes rest = data.subspan(consumed);
        const auto header = pg::peek(rest, {.message = config_.max_message});
        if (!header)
            return fail(header.error().code, "08006", "during login: " + header.error().detail);
        if (!*header) return Step::NeedMore;
        const std::size_t size = (*header)->size;
        if (rest.size() < size) return Step::NeedMore;
        consumed += size;
        const Bytes raw = rest.first(size);
        const Step step = on_message((*header)->tag, raw.subspan(pg::kHeaderSize), raw, send);
        if (step != Step::NeedMore) return step;
    }
    if (state_ == State::Ended) return error_.code == Errc{} ? Step::Done : Step::Failed;
    return fail(Errc::UnexpectedMessage, "08006", "the server spoke before its turn");
}

UpstreamLogin::Step UpstreamLogin::on_ssl_answer(Bytes data, std::size_t& consumed, Buffer&) {
    if (data.empty()) return Step::NeedMore;
    const char answer = std::to_integer<char>(data.front());
    if (answer == 'N')
        return fail(Errc::Unavailable, "08006", "the server does not speak TLS, which is demanded");
    // An old server answers with an ErrorResponse; like anything else it means there is no TLS.
    if (answer != 'S') return fail(Errc::Malformed, "08006", "no answer to SSLRequest");
    // Bytes behind it came in clear, from whoever is on the line (CVE-2021-23222).
    if (data.size() > 1)
        return fail(Errc::Malformed, "08006", "clear bytes behind the answer to SSLRequest");
    consumed = 1;
    state_ = State::AwaitTls;
    return Step::StartTls;
}

UpstreamLogin::Step UpstreamLogin::on_message(char tag, Bytes body, Bytes raw, Buffer& send) {
    if (tag == 'E') return on_server_error(body, raw);
    if (tag == 'N') {
        if (result_.notices.size() < config_.max_message) append(result_.notices, raw);
        return Step::NeedMore;
    }
    if (state_ == State::Authenticating) {
        if (tag == 'R') return on_authentication(body, send);
        if (tag == 'v') return Step::NeedMore;  // we ask for 3.0 and no options: nothing is lost
        return fail(Errc::UnexpectedMessage, "08006", "unexpected message before the login");
    }
    switch (tag) {
    case 'S':
        if (const auto status = pg::decode_parameter_status(body)) {
            if (result_.parameters.size() >= 1'000) break;
            result_.parameters.insert_or_assign(std::string{status->name},
                                                std::string{status->value});
            return Step::NeedMore;
        }
        break;
    case 'K':
        if (const auto key = pg::decode_backend_key(body)) {
            result_.pid = key->pid;
            result_.secret = copy(key->secret);
            return Step::NeedMore;
        }
        break;
    case 'Z':
        if (const auto ready = pg::decode_ready(body); !ready || *ready != 'I') break;
        state_ = State::Ended;
        return Step::Done;
    default: break;
    }
    return fail(Errc::UnexpectedMessage, "08006", "unexpected message after the login");
}

UpstreamLogin::Step UpstreamLogin::on_authentication(Bytes body, Buffer& send) {
    const auto message = pg::decode_authentication(body);
    if (!message) return fail(Errc::Malformed, "08006", "Authentication");
    switch (message->kind) {
    case pg::Auth::Ok:
        // A server that skips its own proof is not the one that knows the password (RFC 5802, 5).
        if (scram_ && !scram_verified_)
            return fail(Errc::Denied, "28000",
                        "the server did not prove that it knows the password");
        state_ = State::Settling;
        return Step::NeedMore;
    case pg::Auth::CleartextPassword:
    case pg::Auth::Md5Password: return on_password_request(message->kind, message->data, send);
    case pg::Auth::Sasl: return on_sasl(message->data, send);
    case pg::Auth::SaslContinue: {
        if (!scram_) break;
        const auto answer = scram_->final(as_text(message->data), config_.password);
        if (!answer) return fail(answer.error().code, "28000", answer.error().detail);
        pg::encode_sasl_response(send, *answer);
        return Step::NeedMore;
    }
    case pg::Auth::SaslFinal: {
        if (!scram_) break;
        if (const auto verified = scram_->verify(as_text(message->data)); !verified)
            return fail(verified.error().code, "28000", verified.error().detail);
        scram_verified_ = true;
        return Step::NeedMore;
    }
    case pg::Auth::KerberosV5:
    case pg::Auth::Gss:
    case pg::Auth::GssContinue:
    case pg::Auth::Sspi: break;
    }
    return fail(Errc::Unsupported, "28000",
                "the server asks for a kind of login that is not supported: " +
                    std::to_string(static_cast<std::uint32_t>(message->kind)));
}

UpstreamLogin::Step UpstreamLogin::on_password_request(pg::Auth kind, Bytes salt, Buffer& send) {
    if (config_.password.empty())
        return fail(Errc::Unavailable, "28000", "the server asks for a password and there is none");
    if (kind == pg::Auth::CleartextPassword) {
        if (!encrypted_)
            return fail(Errc::Denied, "28000",
                        "the server asks for the password in clear over a line without TLS");
        pg::encode_password(send, config_.password.expose());
        return Step::NeedMore;
    }
    const auto answer = pg::md5_password(config_.password, config_.user, salt);
    if (!answer) return fail(answer.error().code, "28000", answer.error().detail);
    pg::encode_password(send, answer->expose());
    return Step::NeedMore;
}

UpstreamLogin::Step UpstreamLogin::on_sasl(Bytes data, Buffer& send) {
    const auto mechanisms = pg::decode_sasl_mechanisms(data);
    if (!mechanisms || scram_) return fail(Errc::Malformed, "08006", "AuthenticationSASL");
    if (config_.password.empty())
        return fail(Errc::Unavailable, "28000", "the server asks for a password and there is none");
    const auto offers = [&](std::string_view name) {
        return std::ranges::find(*mechanisms, name) != mechanisms->end();
    };
    using Binding = pg::ScramClient::Binding;
    const bool can_bind = encrypted_ && !end_point_.empty();
    if (can_bind && offers(pg::kScramPlus)) {
        scram_.emplace(config_.nonce, Binding::ServerEndPoint, end_point_);
        pg::encode_sasl_initial(send, pg::kScramPlus, scram_->first());
        return Step::NeedMore;
    }
    if (!offers(pg::kScram))
        return fail(Errc::Unsupported, "28000", "the server offers no SASL mechanism that we know");
    scram_.emplace(config_.nonce, can_bind ? Binding::Unused : Binding::None);
    pg::encode_sasl_initial(send, pg::kScram, scram_->first());
    return Step::NeedMore;
}

UpstreamLogin::Step UpstreamLogin::on_server_error(Bytes body, Bytes raw) {
    const auto error = pg::decode_diagnostic(body);
    if (!error) return fail(Errc::Malformed, "08006", "ErrorResponse");
    const std::string code{error->field('C')};
    const bool login = code.starts_with("28");
    if (!login && code.size() == 5) server_error_ = copy(raw);
    return fail(login ? Errc::Denied : Errc::Unavailable, code.size() == 5 ? code : "08006",
                "the server answered " + (code.size() == 5 ? code : std::string{"an error"}));
}

}  // namespace chaperone::session
