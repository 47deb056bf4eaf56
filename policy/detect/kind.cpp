// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/kind.h"

#include "policy/detect/builtin.h"

#include <array>
#include <cstddef>

namespace chaperone::detect {
namespace {

struct Entry {
    Kind kind;
    KindInfo info;
    std::string_view context;
};

// clang-format off
constexpr std::array kEntries{
    Entry{Kind::EmailAddress,     {"EMAIL_ADDRESS", "E-mail address"}, ""},
    Entry{Kind::CreditCard,       {"CREDIT_CARD", "Payment card number; brand, length and Luhn"}, "card|visa|mastercard|amex|cc|pan|credit|debit"},
    Entry{Kind::IbanCode,         {"IBAN_CODE", "International bank account number; mod 97"}, "iban|account|bank"},
    Entry{Kind::PhoneNumber,      {"PHONE_NUMBER", "Telephone number; E.164, or national by shape and context"}, "phone|tel|telephone|mobile|cell|fax|call|sms|whatsapp|telefon|handy|mobil"},
    Entry{Kind::IpAddress,        {"IP_ADDRESS", "IPv4 or IPv6 address"}, ""},
    Entry{Kind::MacAddress,       {"MAC_ADDRESS", "Hardware address of 48 bits"}, ""},
    Entry{Kind::UrlCredentials,   {"URL_CREDENTIALS", "User and password in a URL or connection string"}, ""},
    Entry{Kind::Password,         {"PASSWORD", "Value given to password=, secret: and the like"}, ""},
    Entry{Kind::PrivateKey,       {"PRIVATE_KEY", "PEM block with a private key"}, ""},
    Entry{Kind::Jwt,              {"JWT", "JSON Web Token"}, ""},
    Entry{Kind::Crypto,           {"CRYPTO", "Bitcoin or Ethereum address; checksums"}, "wallet|bitcoin|btc|eth|ethereum|crypto"},
    Entry{Kind::SwiftBic,         {"SWIFT_BIC", "Bank identifier code, by context"}, "swift|bic|bank"},
    Entry{Kind::DateOfBirth,      {"DATE_OF_BIRTH", "Date, by context"}, "birth|born|dob|birthday|birthdate|geboren|geburtsdatum|naissance|nacimiento|nascita"},
    Entry{Kind::Imei,             {"IMEI", "Mobile equipment identity, Luhn, by context"}, "imei"},
    Entry{Kind::UsSsn,            {"US_SSN", "US social security number"}, "ssn|social|security|ssns|ss#"},
    Entry{Kind::UsItin,           {"US_ITIN", "US individual taxpayer number"}, "itin|taxpayer|tax"},
    Entry{Kind::UsPassport,       {"US_PASSPORT", "US passport number, by context"}, "passport"},
    Entry{Kind::UsDriverLicense,  {"US_DRIVER_LICENSE", "US driver's licence, by context"}, "driver|drivers|license|licence|dl|permit"},
    Entry{Kind::UsBankRouting,    {"US_BANK_ROUTING", "ABA routing number, check digit, by context"}, "routing|aba|rtn"},
    Entry{Kind::CaSin,            {"CA_SIN", "Canadian social insurance number; Luhn"}, "sin|social insurance|assurance sociale|nas"},
    Entry{Kind::MxCurp,           {"MX_CURP", "Mexican CURP; check digit"}, "curp"},
    Entry{Kind::BrCpf,            {"BR_CPF", "Brazilian CPF; two check digits"}, "cpf"},
    Entry{Kind::BrCnpj,           {"BR_CNPJ", "Brazilian CNPJ; two check digits"}, "cnpj"},
    Entry{Kind::UkNhs,            {"UK_NHS", "NHS number; mod 11"}, "nhs|patient|health"},
    Entry{Kind::UkNino,           {"UK_NINO", "UK national insurance number"}, "nino|national insurance|ni number|insurance"},
    Entry{Kind::IePps,            {"IE_PPS", "Irish PPS number; mod 23"}, "pps|ppsn"},
    Entry{Kind::EsNif,            {"ES_NIF", "Spanish DNI/NIF; check letter"}, "dni|nif|documento"},
    Entry{Kind::EsNie,            {"ES_NIE", "Spanish NIE; check letter"}, "nie|extranjero"},
    Entry{Kind::PtNif,            {"PT_NIF", "Portuguese NIF; mod 11"}, "nif|contribuinte|fiscal"},
    Entry{Kind::FrNir,            {"FR_NIR", "French social security number; mod 97"}, "nir|insee|s\xc3\xa9""curit\xc3\xa9 sociale|securite sociale"},
    Entry{Kind::ItFiscalCode,     {"IT_FISCAL_CODE", "Italian codice fiscale; check letter"}, "codice fiscale|cf"},
    Entry{Kind::DeTaxId,          {"DE_TAX_ID", "German Steuer-ID; ISO 7064"}, "steuer|steuer-id|steueridentifikationsnummer|idnr|tin|tax"},
    Entry{Kind::NlBsn,            {"NL_BSN", "Dutch BSN; 11-test"}, "bsn|burgerservicenummer|sofi"},
    Entry{Kind::BeNational,       {"BE_NATIONAL_NUMBER", "Belgian national number; mod 97"}, "rijksregister|registre national|national number|nrn|insz|niss"},
    Entry{Kind::ChAhv,            {"CH_AHV", "Swiss AHV number; EAN-13"}, "ahv|avs|sozialversicherung"},
    Entry{Kind::PlPesel,          {"PL_PESEL", "Polish PESEL; date and check digit"}, "pesel"},
    Entry{Kind::SePersonnummer,   {"SE_PERSONNUMMER", "Swedish personnummer; date and Luhn"}, "personnummer|personnr|samordningsnummer"},
    Entry{Kind::FiIdentityCode,   {"FI_PERSONAL_IDENTITY_CODE", "Finnish HETU; date and check"}, "hetu|henkil\xc3\xb6tunnus|henkilotunnus"},
    Entry{Kind::NoFodselsnummer,  {"NO_FODSELSNUMMER", "Norwegian birth number; two check digits"}, "f\xc3\xb8""dselsnummer|fodselsnummer|personnummer|fnr"},
    Entry{Kind::DkCpr,            {"DK_CPR", "Danish CPR number; date, by context"}, "cpr"},
    Entry{Kind::TrNationalId,     {"TR_NATIONAL_ID", "Turkish identity number; two check digits"}, "kimlik|tckn|tc"},
    Entry{Kind::ZaId,             {"ZA_ID", "South African identity number; date and Luhn"}, "id number|identity|rsa id|said"},
    Entry{Kind::CnResidentId,     {"CN_RESIDENT_ID", "Chinese resident identity number; ISO 7064"}, "\xe8\xba\xab\xe4\xbb\xbd\xe8\xaf\x81|resident|identity"},
    Entry{Kind::KrRrn,            {"KR_RRN", "Korean resident registration number; check digit"}, "rrn|\xec\xa3\xbc\xeb\xaf\xbc\xeb\x93\xb1\xeb\xa1\x9d|resident"},
    Entry{Kind::JpMyNumber,       {"JP_MY_NUMBER", "Japanese My Number; check digit, by context"}, "my number|mynumber|\xe3\x83\x9e\xe3\x82\xa4\xe3\x83\x8a\xe3\x83\xb3\xe3\x83\x90\xe3\x83\xbc"},
    Entry{Kind::ThTnin,           {"TH_TNIN", "Thai national number; check digit"}, "thai|national id|\xe0\xb8\x9b\xe0\xb8\xa3\xe0\xb8\xb0\xe0\xb8\x8a\xe0\xb8\xb2\xe0\xb8\x8a\xe0\xb8\x99"},
    Entry{Kind::SgNric,           {"SG_NRIC_FIN", "Singapore NRIC or FIN; check letter"}, "nric|fin"},
    Entry{Kind::InAadhaar,        {"IN_AADHAAR", "Indian Aadhaar number; Verhoeff"}, "aadhaar|aadhar|uidai|uid"},
    Entry{Kind::InPan,            {"IN_PAN", "Indian permanent account number"}, "pan|income tax|permanent account"},
    Entry{Kind::AuTfn,            {"AU_TFN", "Australian tax file number; mod 11"}, "tfn|tax file"},
    Entry{Kind::AuMedicare,       {"AU_MEDICARE", "Australian Medicare number; check digit"}, "medicare"},
    Entry{Kind::AwsAccessKey,     {"AWS_ACCESS_KEY", "AWS access key id"}, ""},
    Entry{Kind::AwsSecretKey,     {"AWS_SECRET_KEY", "AWS secret access key, by context"}, "aws|secret|aws_secret_access_key|secret_access_key|secretaccesskey"},
    Entry{Kind::GcpApiKey,        {"GCP_API_KEY", "Google API key"}, ""},
    Entry{Kind::GcpOauthToken,    {"GCP_OAUTH_TOKEN", "Google OAuth access token"}, ""},
    Entry{Kind::AzureStorageKey,  {"AZURE_STORAGE_KEY", "Azure storage account key"}, ""},
    Entry{Kind::AzureClientSecret,{"AZURE_CLIENT_SECRET", "Azure AD client secret"}, ""},
    Entry{Kind::GithubToken,      {"GITHUB_TOKEN", "GitHub token"}, ""},
    Entry{Kind::GitlabToken,      {"GITLAB_TOKEN", "GitLab token"}, ""},
    Entry{Kind::SlackToken,       {"SLACK_TOKEN", "Slack token"}, ""},
    Entry{Kind::SlackWebhook,     {"SLACK_WEBHOOK", "Slack incoming webhook URL"}, ""},
    Entry{Kind::StripeKey,        {"STRIPE_KEY", "Stripe secret key"}, ""},
    Entry{Kind::OpenaiKey,        {"OPENAI_KEY", "OpenAI API key"}, ""},
    Entry{Kind::AnthropicKey,     {"ANTHROPIC_KEY", "Anthropic API key"}, ""},
    Entry{Kind::HuggingfaceToken, {"HUGGINGFACE_TOKEN", "Hugging Face token"}, ""},
    Entry{Kind::NpmToken,         {"NPM_TOKEN", "npm token"}, ""},
    Entry{Kind::PypiToken,        {"PYPI_TOKEN", "PyPI token"}, ""},
    Entry{Kind::SendgridKey,      {"SENDGRID_KEY", "SendGrid API key"}, ""},
    Entry{Kind::TwilioKey,        {"TWILIO_KEY", "Twilio API key or account"}, ""},
    Entry{Kind::DigitaloceanToken,{"DIGITALOCEAN_TOKEN", "DigitalOcean token"}, ""},
    Entry{Kind::ShopifyToken,     {"SHOPIFY_TOKEN", "Shopify token"}, ""},
    Entry{Kind::DatabricksToken,  {"DATABRICKS_TOKEN", "Databricks token"}, ""},
    Entry{Kind::VaultToken,       {"VAULT_TOKEN", "HashiCorp Vault token"}, ""},
    Entry{Kind::TelegramToken,    {"TELEGRAM_TOKEN", "Telegram bot token"}, ""},
    Entry{Kind::GrafanaToken,     {"GRAFANA_TOKEN", "Grafana service account token"}, ""},
    Entry{Kind::DockerToken,      {"DOCKER_TOKEN", "Docker Hub token"}, ""},
    Entry{Kind::AtlassianToken,   {"ATLASSIAN_TOKEN", "Atlassian API token"}, ""},
    Entry{Kind::LinearKey,        {"LINEAR_KEY", "Linear API key"}, ""},
    Entry{Kind::AgeSecretKey,     {"AGE_SECRET_KEY", "age secret key"}, ""},
    Entry{Kind::MailgunKey,       {"MAILGUN_KEY", "Mailgun API key"}, ""},
    Entry{Kind::NewRelicKey,      {"NEW_RELIC_KEY", "New Relic API key"}, ""},
};
// clang-format on

constexpr bool in_order() {
    for (std::size_t i = 0; i != kEntries.size(); ++i)
        if (id_of(kEntries[i].kind) != i) return false;
    return true;
}
static_assert(in_order());

constexpr auto kInfos = [] {
    std::array<KindInfo, kEntries.size()> infos{};
    for (std::size_t i = 0; i != infos.size(); ++i) infos[i] = kEntries[i].info;
    return infos;
}();

}  // namespace

std::span<const KindInfo> builtin_kinds() noexcept {
    return kInfos;
}

std::optional<KindId> builtin_kind(std::string_view name) noexcept {
    for (std::size_t i = 0; i != kInfos.size(); ++i)
        if (kInfos[i].name == name) return static_cast<KindId>(i);
    return {};
}

std::string_view context_of(Kind kind) noexcept {
    return kEntries[id_of(kind)].context;
}

}  // namespace chaperone::detect
