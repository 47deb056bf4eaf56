// SPDX-License-Identifier: Apache-2.0
// The built-in kinds as an enumeration, and the words that stand near their values. For .cpp files
// of this layer only.
#pragma once

#include "policy/detect/kind.h"

#include <string_view>

namespace chaperone::detect {

// In the order of builtin_kinds().
enum class Kind : KindId {
    EmailAddress,
    CreditCard,
    IbanCode,
    PhoneNumber,
    IpAddress,
    MacAddress,
    UrlCredentials,
    Password,
    PrivateKey,
    Jwt,
    Crypto,
    SwiftBic,
    DateOfBirth,
    Imei,
    UsSsn,
    UsItin,
    UsPassport,
    UsDriverLicense,
    UsBankRouting,
    CaSin,
    MxCurp,
    BrCpf,
    BrCnpj,
    UkNhs,
    UkNino,
    IePps,
    EsNif,
    EsNie,
    PtNif,
    FrNir,
    ItFiscalCode,
    DeTaxId,
    NlBsn,
    BeNational,
    ChAhv,
    PlPesel,
    SePersonnummer,
    FiIdentityCode,
    NoFodselsnummer,
    DkCpr,
    TrNationalId,
    ZaId,
    CnResidentId,
    KrRrn,
    JpMyNumber,
    ThTnin,
    SgNric,
    InAadhaar,
    InPan,
    AuTfn,
    AuMedicare,
    AwsAccessKey,
    AwsSecretKey,
    GcpApiKey,
    GcpOauthToken,
    AzureStorageKey,
    AzureClientSecret,
    GithubToken,
    GitlabToken,
    SlackToken,
    SlackWebhook,
    StripeKey,
    OpenaiKey,
    AnthropicKey,
    HuggingfaceToken,
    NpmToken,
    PypiToken,
    SendgridKey,
    TwilioKey,
    DigitaloceanToken,
    ShopifyToken,
    DatabricksToken,
    VaultToken,
    TelegramToken,
    GrafanaToken,
    DockerToken,
    AtlassianToken,
    LinearKey,
    AgeSecretKey,
    MailgunKey,
    NewRelicKey,
};

constexpr KindId id_of(Kind kind) noexcept {
    return static_cast<KindId>(kind);
}

// Words, in lower case and separated by '|', that near a value speak for its being of this kind.
std::string_view context_of(Kind kind) noexcept;

}  // namespace chaperone::detect
