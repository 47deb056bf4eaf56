// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/client.h"

#include "userspace/control/connection.h"
#include "userspace/control/errors.h"
#include "userspace/control/http.h"
#include "userspace/control/json.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <google/protobuf/message.h>

namespace chaperone::control {
namespace http = boost::beast::http;
namespace {

constexpr std::size_t kMaxAnswer = std::size_t{256} << 20;

std::unexpected<Failure> failure(const Error& error, bool unreachable = false) {
    return std::unexpected{Failure{error, std::string{hint_for(error.code)}, unreachable}};
}

// What the daemon said of itself, or what its HTTP status means.
Failure failure_of(unsigned status, std::string_view body) {
    v1::ErrorResponse response;
    if (from_json(body, response, Unknown::Ignored) && response.has_error())
        return {Error{code_named(response.error().code()), response.error().message()},
                response.error().hint()};
    return {Error{Errc::Malformed, "HTTP status " + std::to_string(status)}, "", false};
}

std::string request_text(std::string_view method, std::string_view path,
                         const google::protobuf::Message& request) {
    std::string target{path}, body;
    if (method == "GET" || method == "DELETE") {
        char separator = '?';
        for (const auto& [key, value] : set_fields(request)) {
            target.append(1, separator).append(escape(key)).append("=").append(escape(value));
            separator = '&';
        }
    } else {
        body = to_json(request);
    }
    std::string out{method};
    out.append(" ").append(target).append(" HTTP/1.1\r\nHost: chaperone\r\nConnection: close\r\n");
    if (!body.empty()) out.append("Content-Type: application/json\r\n");
    out.append("Content-Length: ").append(std::to_string(body.size()));
    return out.append("\r\n\r\n").append(body);
}

// Reads one answer; what is there of the body is handed out as it comes.
class AnswerReader {
public:
    explicit AnswerReader(Duration patience) : patience_(patience) {
        parser_.eager(true);
        parser_.body_limit(boost::none);
    }

    Answer<> run(Connection& connection,
                 const std::function<bool(unsigned status, std::string& body)>& part) {
        while (!parser_.is_done()) {
            auto arrived = connection.read(patience_);
            if (!arrived) return failure(arrived.error());
            boost::beast::error_code error;
            if (arrived->empty()) parser_.put_eof(error);
            buffer_ += *arrived;
            while (!error && !buffer_.empty() && !parser_.is_done()) {
                const std::size_t used =
                    parser_.put(boost::asio::const_buffer{buffer_.data(), buffer_.size()}, error);
                buffer_.erase(0, used);
                if (used == 0) break;
            }
            if (error && error != http::error::need_more)
                return failure({arrived->empty() ? Errc::Unavailable : Errc::Malformed,
                                "the daemon's answer ends early: " + error.message()});
            if (parser_.is_header_done() && !part(parser_.get().result_int(), parser_.get().body()))
                return {};
        }
        return {};
    }

private:
    Duration patience_;
    http::response_parser<http::string_body> parser_{};
    std::string buffer_{};
};

Answer<Connection> open(const std::filesystem::path& socket, std::string_view request,
                        Duration patience) {
    auto connection = Connection::open(socket);
    if (!connection) {
        return std::unexpected{Failure{connection.error(),
                                       "is chaperoned running? CHAPERONE_ROOT names its root; see "
                                       "`systemctl status chaperoned`",
                                       true}};
    }
    // A daemon at its limit answers before it has read; its answer tells more than EPIPE would.
    (void)connection->write(request, patience);
    return *std::move(connection);
}

}  // namespace

std::filesystem::path Client::socket() const {
    return root_ / "run/chaperone/api.sock";
}

Answer<> Client::call(std::string_view method, std::string_view path,
                      const google::protobuf::Message& request,
                      google::protobuf::Message& response) {
    auto connection = open(socket(), request_text(method, path, request), patience_);
    if (!connection) return std::unexpected{connection.error()};
    unsigned status = 0;
    std::string body;
    bool too_large = false;
    auto read = AnswerReader{patience_}.run(*connection, [&](unsigned code, std::string& part) {
        status = code;
        body += std::exchange(part, {});
        too_large = body.size() > kMaxAnswer;
        return !too_large;
    });
    if (!read) return read;
    if (too_large) return failure({Errc::TooLarge, "the daemon's answer"});
    if (status != 200) return std::unexpected{failure_of(status, body)};
    if (auto decoded = from_json(body, response, Unknown::Ignored); !decoded)
        return failure(decoded.error());
    return {};
}

Answer<> Client::stream(std::string_view path, const google::protobuf::Message& request,
                        const std::function<bool(std::string_view line)>& line) {
    auto connection = open(socket(), request_text("GET", path, request), patience_);
    if (!connection) return std::unexpected{connection.error()};
    unsigned status = 0;
    std::string text;
    std::optional<Failure> ended;
    auto read = AnswerReader{patience_}.run(*connection, [&](unsigned code, std::string& part) {
        status = code;
        text += std::exchange(part, {});
        if (status != 200) return text.size() <= kMaxAnswer;
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            const std::string one = text.substr(0, end);
            text.erase(0, end + 1);
            if (one.starts_with(R"({"error":)")) {
                ended = failure_of(status, one);
                return false;
            }
            if (!line(one)) return false;
        }
        return text.size() <= kMaxAnswer;
    });
    if (!read) return read;
    if (ended) return std::unexpected{*ended};
    if (status != 200) return std::unexpected{failure_of(status, text)};
    return {};
}

}  // namespace chaperone::control
