// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/https_get.h"

#include "userspace/base/unique_fd.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <netdb.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace chaperone::daemon {
namespace http = boost::beast::http;
namespace {

using Clock = std::chrono::steady_clock;
using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Session = std::unique_ptr<SSL, decltype(&SSL_free)>;

Result<> wait_for(int fd, short events, Clock::time_point until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd waiting{.fd = fd, .events = events, .revents = 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0)
        return fail(Errc::Unavailable, "no answer in time");
    return {};
}

Result<UniqueFd> dial(const std::string& host, const std::string& port, Clock::time_point until) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
        return fail(Errc::Unavailable, "resolve " + host + ": " + ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses{found, ::freeaddrinfo};
    std::string why = "no address";
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        UniqueFd fd{::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        if (!fd) continue;
        if (::connect(fd.get(), at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS) {
            why = std::strerror(errno);
            continue;
        }
        if (auto ready = wait_for(fd.get(), POLLOUT, until); !ready) return fail(ready.error());
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0) return fd;
        why = std::strerror(error);
    }
    return fail(Errc::Unavailable, "connect to " + host + ":" + port + ": " + why);
}

Result<Context> make_context(const std::string& ca) {
    Context context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
    if (!context) return fail(Errc::System, "make a TLS context");
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    if (ca.empty()) {
        SSL_CTX_set_default_verify_paths(context.get());
        return context;
    }
    const std::unique_ptr<BIO, decltype(&BIO_free)> text{
        BIO_new_mem_buf(ca.data(), static_cast<int>(ca.size())), BIO_free};
    int taken = 0;
    while (X509* certificate = PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), certificate);
        X509_free(certificate);
        ++taken;
    }
    ERR_clear_error();
    if (taken == 0) return fail(Errc::Invalid, "the provider's ca holds no certificate");
    return context;
}

// Repeats an operation of OpenSSL until it is done; what it returned.
template <class Operation>
Result<int> drive(SSL* tls, int fd, Clock::time_point until, Operation operation) {
    while (true) {
        ERR_clear_error();
        const int done = operation();
        if (done > 0) return done;
        const int error = SSL_get_error(tls, done);
        if (error == SSL_ERROR_ZERO_RETURN) return 0;
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            const long verified = SSL_get_verify_result(tls);
            return fail(Errc::Unavailable, verified != X509_V_OK
                                               ? X509_verify_cert_error_string(verified)
                                               : "the TLS connection broke");
        }
        if (auto ready = wait_for(fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until);
            !ready)
            return fail(ready.error());
    }
}

Result<std::string> read_answer(SSL* tls, int fd, Clock::time_point until, std::size_t most) {
    http::response_parser<http::string_body> parser;
    parser.eager(true);
    parser.body_limit(most);
    std::array<char, 16 * 1024> space;
    std::string buffer;
    while (!parser.is_done()) {
        const auto got = drive(tls, fd, until, [&] {
            return SSL_read(tls, space.data(), static_cast<int>(space.size()));
        });
        if (!got) return fail(got.error());
        boost::beast::error_code error;
        if (*got == 0) parser.put_eof(error);
        buffer.append(space.data(), static_cast<std::size_t>(*got));
        while (!error && !buffer.empty() && !parser.is_done()) {
            const std::size_t used =
                parser.put(boost::asio::const_buffer{buffer.data(), buffer.size()}, error);
            buffer.erase(0, used);
            if (used == 0) break;
        }
        if (error && error != http::error::need_more)
            return fail(Errc::Unavailable, "its answer cannot be read: " + error.message());
        if (*got == 0 && !parser.is_done()) return fail(Errc::Unavailable, "its answer ends early");
    }
    if (parser.get().result_int() != 200)
        return fail(Errc::Unavailable, "HTTP status " + std::to_string(parser.get().result_int()));
    return std::move(parser.get().body());
}

}  // namespace

Result<std::string> https_get(const std::string& url, const std::string& ca,
                              const HttpsLimits& limits) {
    const auto parsed = boost::urls::parse_uri(url);
    if (!parsed || parsed->scheme() != "https" || parsed->host().empty())
        return fail(Errc::Invalid, "not an https URL: " + url);
    const std::string host = parsed->host_address();
    const std::string port = parsed->has_port() ? std::string{parsed->port()} : "443";
    const auto until = Clock::now() + limits.time;
    auto context = make_context(ca);
    if (!context) return fail(context.error());
    auto fd = dial(host, port, until);
    if (!fd) return fail(fd.error());

    const Session tls{SSL_new(context->get()), SSL_free};
    if (!tls || SSL_set_fd(tls.get(), fd->get()) != 1) return fail(Errc::System, "make TLS");
    X509_VERIFY_PARAM* rules = SSL_get0_param(tls.get());
    // An address is looked for among the certificate's addresses, a name among its names.
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) != 1) {
        SSL_set_tlsext_host_name(tls.get(), host.c_str());
        if (SSL_set1_host(tls.get(), host.c_str()) != 1) return fail(Errc::Invalid, "host " + host);
    }
    auto shaken = drive(tls.get(), fd->get(), until, [&] { return SSL_connect(tls.get()); });
    if (!shaken) return fail(Errc::Unavailable, host + ": " + shaken.error().detail);

    const std::string path{parsed->encoded_resource()};
    const std::string request = "GET " + (path.empty() ? "/" : path) + " HTTP/1.1\r\nHost: " +
                                std::string{parsed->encoded_host_and_port()} +
                                "\r\nAccept: application/json\r\nUser-Agent: chaperone\r\n"
                                "Connection: close\r\n\r\n";
    auto sent = drive(tls.get(), fd->get(), until, [&] {
        return SSL_write(tls.get(), request.data(), static_cast<int>(request.size()));
    });
    if (!sent) return fail(Errc::Unavailable, host + ": " + sent.error().detail);
    auto body = read_answer(tls.get(), fd->get(), until, limits.body);
    if (!body) return fail(Errc::Unavailable, host + ": " + body.error().detail);
    return body;
}

}  // namespace chaperone::daemon
