// SPDX-License-Identifier: Apache-2.0
// The client's half of a PostgreSQL login, from the first byte to the first ReadyForQuery: bytes
// in, bytes out. Sessions, the catalog's reader and `chaperone doctor` log in with it. It opens no
// socket. One thread at a time. Errors never name a secret.
#pragma once

#include "userspace/base/secret.h"
#include "userspace/session/machine.h"
#include "userspace/wire/pg/encoder.h"
#include "userspace/wire/pg/scram.h"

#include <map>
#include <optional>
#include <string>

namespace chaperone::session {

struct LoginConfig {
    bool tls = true;  // ask for it, and fail when the server has none
    std::string user{};
    std::string database{};
    Secret password{};
    wire::pg::Parameters parameters{};  // further ones of the startup packet
    std::string nonce{};                // for SCRAM: 18 fresh random bytes or more, in base64
    std::size_t max_message = 65'536;   // of any message before ReadyForQuery
};

struct LoginResult {
    std::map<std::string, std::string, std::less<>> parameters{};  // ParameterStatus, by name
    std::uint32_t pid{};
    Buffer secret{};
    Buffer notices{};  // NoticeResponse messages that came meanwhile, whole
};

class UpstreamLogin {
public:
    enum class Step {
        NeedMore,  // call on_received when there is more
        StartTls,  // do a handshake as client, then call on_tls_started
        Done,      // result() holds; nothing behind ReadyForQuery was consumed
        Failed,    // error() and sqlstate() hold
    };

    explicit UpstreamLogin(LoginConfig config);

    // Each appends to `send` what must go to the server now.
    Step start(Buffer& send);
    Step on_tls_started(const TlsInfo& tls, Buffer& send);
    // `data` is all unconsumed bytes of the server; `consumed` tells how many are done with.
    Step on_received(Bytes data, std::size_t& consumed, Buffer& send);

    // The startup packet is sent: the next thing is the server's demand for a login.
    bool asks_for_login() const noexcept { return state_ == State::Authenticating; }
    const LoginResult& result() const noexcept { return result_; }
    LoginResult take_result() { return std::move(result_); }
    const Error& error() const noexcept { return error_; }
    // The server's, or ours: 08006 (cannot be reached safely), 28000 (login not possible).
    const std::string& sqlstate() const noexcept { return sqlstate_; }
    // The ErrorResponse that failed it, whole, if it is the agent's to read: about its database or
    // settings, or about the server. Empty where it is about our credential (class 28).
    Bytes server_error() const noexcept { return server_error_; }

private:
    enum class State { Start, AwaitSsl, AwaitTls, Authenticating, Settling, Ended };

    Step fail(Errc code, std::string_view sqlstate, std::string detail);
    Step send_startup(Buffer& send);
    Step on_ssl_answer(Bytes data, std::size_t& consumed, Buffer& send);
    Step on_message(char tag, Bytes body, Bytes raw, Buffer& send);
    Step on_authentication(Bytes body, Buffer& send);
    Step on_sasl(Bytes data, Buffer& send);
    Step on_password_request(wire::pg::Auth kind, Bytes salt, Buffer& send);
    Step on_server_error(Bytes body, Bytes raw);

    LoginConfig config_;
    State state_ = State::Start;
    bool encrypted_ = false;
    Buffer end_point_{};
    std::optional<wire::pg::ScramClient> scram_{};
    bool scram_verified_ = false;
    LoginResult result_{};
    Error error_{};
    std::string sqlstate_{};
    Buffer server_error_{};
};

}  // namespace chaperone::session
