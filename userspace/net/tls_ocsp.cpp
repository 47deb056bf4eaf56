// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/tls_ocsp.h"

#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace chaperone::net::tls {
namespace {

template <auto Free>
struct Delete {
    void operator()(auto* pointer) const noexcept { Free(pointer); }
};
using Response = std::unique_ptr<OCSP_RESPONSE, Delete<OCSP_RESPONSE_free>>;
using Basic = std::unique_ptr<OCSP_BASICRESP, Delete<OCSP_BASICRESP_free>>;
using CertificateId = std::unique_ptr<OCSP_CERTID, Delete<OCSP_CERTID_free>>;
using Features = std::unique_ptr<TLS_FEATURE, Delete<TLS_FEATURE_free>>;

constexpr long kSkew = 300;         // seconds that the responder's clock may differ
constexpr long kStatusRequest = 5;  // the TLS extension that the feature names

bool must_staple(const X509& certificate) {
    const Features features{static_cast<TLS_FEATURE*>(
        X509_get_ext_d2i(&certificate, NID_tlsfeature, nullptr, nullptr))};
    for (int i = 0; features && i != sk_ASN1_INTEGER_num(features.get()); ++i)
        if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features.get(), i)) == kStatusRequest)
            return true;
    return false;
}

// X509_V_OK, or the error.
int status_in(SSL* ssl, const unsigned char* staple, long size) {
    STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
    if (chain == nullptr || sk_X509_num(chain) == 0) return X509_V_ERR_OCSP_VERIFY_FAILED;
    X509* certificate = sk_X509_value(chain, 0);
    X509* issuer = sk_X509_num(chain) > 1 ? sk_X509_value(chain, 1) : certificate;
    const Response response{d2i_OCSP_RESPONSE(nullptr, &staple, size)};
    if (!response || OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return X509_V_ERR_OCSP_VERIFY_FAILED;
    const Basic basic{OCSP_response_get1_basic(response.get())};
    X509_STORE* store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    if (!basic || OCSP_basic_verify(basic.get(), chain, store, 0) != 1)
        return X509_V_ERR_OCSP_VERIFY_FAILED;
    const CertificateId id{OCSP_cert_to_id(nullptr, certificate, issuer)};
    int status = V_OCSP_CERTSTATUS_UNKNOWN, reason = 0;
    ASN1_GENERALIZEDTIME *revoked = nullptr, *from = nullptr, *until = nullptr;
    if (!id || OCSP_resp_find_status(basic.get(), id.get(), &status, &reason, &revoked, &from,
                                     &until) != 1)
        return X509_V_ERR_OCSP_CERT_UNKNOWN;
    if (OCSP_check_validity(from, until, kSkew, -1) != 1) return X509_V_ERR_OCSP_VERIFY_FAILED;
    if (status == V_OCSP_CERTSTATUS_REVOKED) return X509_V_ERR_CERT_REVOKED;
    return status == V_OCSP_CERTSTATUS_GOOD ? X509_V_OK : X509_V_ERR_OCSP_CERT_UNKNOWN;
}

int check(SSL* ssl, void*) {
    if (SSL_session_reused(ssl) == 1) return 1;  // it was checked when the session began
    const unsigned char* staple = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(ssl, &staple);
    int result = X509_V_OK;
    if (staple != nullptr && size > 0) {
        result = status_in(ssl, staple, size);
    } else if (const X509* peer = SSL_get0_peer_certificate(ssl);
               peer != nullptr && must_staple(*peer)) {
        result = X509_V_ERR_OCSP_VERIFY_NEEDED;
    }
    if (result == X509_V_OK) return 1;
    SSL_set_verify_result(ssl, result);
    return 0;
}

}  // namespace

void check_staples(ssl_ctx_st* context) {
    SSL_CTX_set_tlsext_status_cb(context, check);
}

void ask_for_staple(ssl_st* ssl) {
    SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
}

}  // namespace chaperone::net::tls
