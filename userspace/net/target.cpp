// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/target.h"

#include "policy/bundle/documents.h"
#include "userspace/credential/secret_store.h"
#include "userspace/net/http_credential.h"

namespace chaperone::net {
namespace {

TlsMode mode_of(policy::bundle::TlsMode mode) {
    switch (mode) {
    case policy::bundle::TlsMode::Disable: return TlsMode::Disable;
    case policy::bundle::TlsMode::Require: return TlsMode::Require;
    case policy::bundle::TlsMode::VerifyCa: return TlsMode::VerifyCa;
    case policy::bundle::TlsMode::VerifyFull: return TlsMode::VerifyFull;
    }
    return TlsMode::VerifyFull;
}

tls::Verify verify_of(TlsMode mode) {
    switch (mode) {
    case TlsMode::Disable: return tls::Verify::Full;
    case TlsMode::Require: return tls::Verify::None;
    case TlsMode::VerifyCa: return tls::Verify::Ca;
    case TlsMode::VerifyFull: return tls::Verify::Full;
    }
    return tls::Verify::Full;
}

Result<Secret> secret(const credential::SecretStore& secrets, const std::string& name) {
    if (name.empty()) return Secret{};
    auto value = secrets.get(name);
    if (!value) return fail(value.error().code, "secret " + name);
    return value;
}

}  // namespace

policy::Destination upstream_of(const policy::bundle::Resource& resource,
                                const policy::Destination& destination) {
    const auto& upstream = resource.upstream;
    return {.address = upstream.host.empty() ? destination.address : upstream.host,
            .port = upstream.port == 0 ? destination.port : upstream.port};
}

Result<std::shared_ptr<const Target>> make_target(const policy::bundle::Resource& resource,
                                                  const policy::Destination& destination,
                                                  const credential::SecretStore& secrets,
                                                  std::vector<std::string> elsewhere,
                                                  std::function<Result<>(int)> before_connect) {
    auto target = std::make_shared<Target>();
    const auto& upstream = resource.upstream;
    target->resource = resource.metadata.name;
    target->protocol = resource.protocol;
    const policy::Destination at = upstream_of(resource, destination);
    target->before_connect = std::move(before_connect);
    target->host = at.address;
    target->hosts = resource.hosts;
    if (upstream.host.empty()) target->elsewhere = std::move(elsewhere);
    target->port = at.port;
    target->databases = resource.databases;
    target->inspect = resource.inspect;
    target->schema = resource.schema;
    target->tls_mode = mode_of(upstream.tls.mode);
    target->tls.verify = verify_of(target->tls_mode);
    target->tls.ca = upstream.tls.ca_pem;
    target->tls.server_name = upstream.tls.server_name;
    if (target->tls.server_name.empty() && !destination.name.empty() && upstream.host.empty())
        target->tls.server_name = destination.name;
    if (target->tls.server_name.empty()) target->tls.server_name = target->host;
    target->tls.certificate = upstream.tls.cert_pem;
    std::string key = upstream.tls.key_secret;
    if (target->protocol == "postgresql") target->tls.alpn = {"postgresql"};

    if (target->protocol == "http") {
        target->resume_tls = true;
        target->tls_given = upstream.tls.mode_given;
        target->tunnel_pinned = resource.tls.on_pinned == policy::bundle::OnPinned::Tunnel;
        target->tls.resumption =
            target->resource + '\n' + target->host + '\n' + std::to_string(target->port);
        auto credential = make_http_credential(resource, secrets);
        if (!credential) return fail(credential.error());
        target->http_credential = std::move(*credential);
    }
    if (!resource.credential || resource.credential->pass_through) {
        target->pass_through = true;
    } else {
        target->user = resource.credential->user;
        auto password = secret(secrets, resource.credential->password_secret);
        if (!password) return fail(password.error());
        target->password = std::move(*password);
        if (!resource.credential->certificate_pem.empty()) {
            target->tls.certificate = resource.credential->certificate_pem;
            key = resource.credential->key_secret;
        }
    }
    auto private_key = secret(secrets, key);
    if (!private_key) return fail(private_key.error());
    target->tls.key = std::move(*private_key);
    return std::shared_ptr<const Target>{std::move(target)};
}

}  // namespace chaperone::net
