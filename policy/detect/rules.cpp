// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/rules.h"

namespace chaperone::detect {
namespace {

constexpr std::array<std::uint8_t, 256> classes() {
    std::array<std::uint8_t, 256> table{};
    for (std::size_t c = '0'; c <= '9'; ++c) table[c] = kDigit | kHex;
    for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = kLower;
    for (std::size_t c = 'A'; c <= 'Z'; ++c) table[c] = kUpper;
    for (std::size_t c = 'a'; c <= 'f'; ++c) table[c] |= kHex;
    for (std::size_t c = 'A'; c <= 'F'; ++c) table[c] |= kHex;
    table['_'] = kUnderscore;
    table['-'] = kDash;
    table['+'] = table['/'] = kPlusSlash;
    table['.'] = kDot;
    return table;
}

// clang-format off
constexpr NumberRule kNumbers[] = {
    {Kind::CreditCard,      "13",           60, 95, payment_card},
    {Kind::CreditCard,      "14",           60, 95, payment_card},
    {Kind::CreditCard,      "15",           80, 95, payment_card},
    {Kind::CreditCard,      "16",           85, 98, payment_card},
    {Kind::CreditCard,      "17",           60, 95, payment_card},
    {Kind::CreditCard,      "18",           60, 95, payment_card},
    {Kind::CreditCard,      "19",           60, 95, payment_card},
    {Kind::CreditCard,      "4 4 4 4",      95, 99, payment_card},
    {Kind::CreditCard,      "4-4-4-4",      95, 99, payment_card},
    {Kind::CreditCard,      "4.4.4.4",      90, 99, payment_card},
    {Kind::CreditCard,      "4 6 5",        95, 99, payment_card},
    {Kind::CreditCard,      "4-6-5",        95, 99, payment_card},
    {Kind::CreditCard,      "4 6 4",        90, 99, payment_card},
    {Kind::CreditCard,      "4-6-4",        90, 99, payment_card},
    {Kind::CreditCard,      "4 4 4 4 3",    90, 99, payment_card},
    {Kind::CreditCard,      "4-4-4-4-3",    90, 99, payment_card},
    {Kind::Imei,            "15",           10, 90, imei},
    {Kind::Imei,            "2-6-6-1",      60, 95, imei},
    {Kind::UsSsn,           "3-2-4",        85, 98, us_ssn},
    {Kind::UsSsn,           "3 2 4",        60, 95, us_ssn},
    {Kind::UsSsn,           "3.2.4",        55, 95, us_ssn},
    {Kind::UsSsn,           "9",            30, 85, us_ssn},
    {Kind::UsItin,          "3-2-4",        85, 98, us_itin},
    {Kind::UsItin,          "3 2 4",        60, 95, us_itin},
    {Kind::UsItin,          "9",            30, 85, us_itin},
    {Kind::UsPassport,      "9",            5,  70, any_digits},
    {Kind::UsDriverLicense, "7",            1,  60, any_digits},
    {Kind::UsDriverLicense, "8",            1,  60, any_digits},
    {Kind::UsDriverLicense, "9",            1,  60, any_digits},
    {Kind::UsBankRouting,   "9",            15, 85, aba_routing},
    {Kind::CaSin,           "3 3 3",        60, 95, ca_sin},
    {Kind::CaSin,           "3-3-3",        70, 95, ca_sin},
    {Kind::CaSin,           "9",            20, 85, ca_sin},
    {Kind::BrCpf,           "3.3.3-2",      98, 99, br_cpf},
    {Kind::BrCpf,           "11",           55, 95, br_cpf},
    {Kind::BrCpf,           "9-2",          75, 95, br_cpf},
    {Kind::BrCnpj,          "2.3.3/4-2",    98, 99, br_cnpj},
    {Kind::BrCnpj,          "14",           60, 95, br_cnpj},
    {Kind::BrCnpj,          "8/4-2",        80, 95, br_cnpj},
    {Kind::UkNhs,           "3 3 4",        60, 95, uk_nhs},
    {Kind::UkNhs,           "3-3-4",        40, 90, uk_nhs},
    {Kind::UkNhs,           "10",           25, 85, uk_nhs},
    {Kind::PtNif,           "9",            20, 85, pt_nif},
    {Kind::PtNif,           "3 3 3",        45, 90, pt_nif},
    {Kind::FrNir,           "15",           85, 98, fr_nir},
    {Kind::FrNir,           "13 2",         90, 98, fr_nir},
    {Kind::FrNir,           "1 2 2 2 3 3 2", 98, 99, fr_nir},
    {Kind::DeTaxId,         "11",           55, 95, de_tax_id},
    {Kind::DeTaxId,         "2 3 3 3",      85, 98, de_tax_id},
    {Kind::NlBsn,           "9",            20, 85, nl_bsn},
    {Kind::NlBsn,           "4.2.3",        70, 95, nl_bsn},
    {Kind::NlBsn,           "3 3 3",        30, 85, nl_bsn},
    {Kind::BeNational,      "2.2.2-3.2",    98, 99, be_national},
    {Kind::BeNational,      "11",           55, 95, be_national},
    {Kind::BeNational,      "6-3-2",        85, 95, be_national},
    {Kind::ChAhv,           "3.4.4.2",      98, 99, ch_ahv},
    {Kind::ChAhv,           "3 4 4 2",      90, 98, ch_ahv},
    {Kind::ChAhv,           "13",           75, 95, ch_ahv},
    {Kind::PlPesel,         "11",           60, 95, pl_pesel},
    {Kind::SePersonnummer,  "6-4",          75, 95, se_personnummer},
    {Kind::SePersonnummer,  "8-4",          90, 98, se_personnummer},
    {Kind::SePersonnummer,  "12",           65, 95, se_personnummer},
    {Kind::SePersonnummer,  "10",           35, 90, se_personnummer},
    {Kind::NoFodselsnummer, "11",           70, 95, no_fodselsnummer},
    {Kind::NoFodselsnummer, "6 5",          85, 98, no_fodselsnummer},
    {Kind::DkCpr,           "6-4",          45, 90, dk_cpr},
    {Kind::DkCpr,           "10",           10, 80, dk_cpr},
    {Kind::TrNationalId,    "11",           55, 95, tr_national_id},
    {Kind::ZaId,            "13",           65, 95, za_id},
    {Kind::ZaId,            "6 4 3",        75, 95, za_id},
    {Kind::KrRrn,           "6-7",          90, 98, kr_rrn},
    {Kind::KrRrn,           "13",           45, 90, kr_rrn},
    {Kind::JpMyNumber,      "12",           25, 85, jp_my_number},
    {Kind::JpMyNumber,      "4 4 4",        45, 90, jp_my_number},
    {Kind::JpMyNumber,      "4-4-4",        45, 90, jp_my_number},
    {Kind::ThTnin,          "1-4-5-2-1",    98, 99, th_tnin},
    {Kind::ThTnin,          "1 4 5 2 1",    95, 99, th_tnin},
    {Kind::ThTnin,          "13",           40, 90, th_tnin},
    {Kind::InAadhaar,       "4 4 4",        65, 95, in_aadhaar},
    {Kind::InAadhaar,       "4-4-4",        65, 95, in_aadhaar},
    {Kind::InAadhaar,       "12",           30, 90, in_aadhaar},
    {Kind::AuTfn,           "3 3 3",        45, 90, au_tfn},
    {Kind::AuTfn,           "9",            20, 85, au_tfn},
    {Kind::AuMedicare,      "4 5 1",        80, 95, au_medicare},
    {Kind::AuMedicare,      "10",           20, 85, au_medicare},
    {Kind::DateOfBirth,     "4-2-2",        20, 90, date_ymd},
    {Kind::DateOfBirth,     "4/2/2",        20, 90, date_ymd},
    {Kind::DateOfBirth,     "4.2.2",        20, 90, date_ymd},
    {Kind::DateOfBirth,     "2/2/4",        20, 90, date_dmy},
    {Kind::DateOfBirth,     "2-2-4",        20, 90, date_dmy},
    {Kind::DateOfBirth,     "2.2.4",        20, 90, date_dmy},
    {Kind::DateOfBirth,     "8",            5,  70, date_ymd},
    {Kind::PhoneNumber,     "3-3-4",        65, 90, any_digits},
    {Kind::PhoneNumber,     "3.3.4",        60, 90, any_digits},
    {Kind::PhoneNumber,     "3 3 4",        45, 85, any_digits},
    {Kind::PhoneNumber,     "1-3-3-4",      70, 90, any_digits},
    {Kind::PhoneNumber,     "2 2 2 2 2",    45, 90, any_digits},
    {Kind::PhoneNumber,     "2.2.2.2.2",    45, 90, any_digits},
    {Kind::PhoneNumber,     "5 6",          30, 85, any_digits},
    {Kind::PhoneNumber,     "5 3 3",        30, 85, any_digits},
    {Kind::PhoneNumber,     "3 4 4",        30, 85, any_digits},
    {Kind::PhoneNumber,     "4 3 3",        30, 85, any_digits},
    {Kind::PhoneNumber,     "3 3 3",        20, 80, any_digits},
    {Kind::PhoneNumber,     "3-4",          15, 75, any_digits},
    {Kind::PhoneNumber,     "4/7",          30, 85, any_digits},
    {Kind::PhoneNumber,     "4 7",          30, 85, any_digits},
    {Kind::PhoneNumber,     "9",            5,  70, any_digits},
    {Kind::PhoneNumber,     "10",           10, 80, any_digits},
    {Kind::PhoneNumber,     "11",           10, 80, any_digits},
};

constexpr WordRule kWords[] = {
    {Kind::EsNif,           9,  9,  75, 98, es_nif},
    {Kind::EsNie,           9,  9,  80, 98, es_nie},
    {Kind::SgNric,          9,  9,  75, 98, sg_nric},
    {Kind::UkNino,          9,  9,  65, 95, uk_nino},
    {Kind::UsPassport,      9,  9,  5,  70, any_word},
    {Kind::UsDriverLicense, 8,  13, 1,  60, any_word},
    {Kind::IePps,           8,  9,  55, 95, ie_pps},
    {Kind::InPan,           10, 10, 65, 95, in_pan},
    {Kind::FrNir,           15, 15, 90, 98, fr_nir_corsica},
    {Kind::ItFiscalCode,    16, 16, 95, 99, it_fiscal_code},
    {Kind::MxCurp,          18, 18, 95, 99, mx_curp},
    {Kind::CnResidentId,    18, 18, 90, 99, cn_resident_id},
    {Kind::IbanCode,        15, 33, 98, 99, iban},
    {Kind::Crypto,          26, 62, 95, 99, bitcoin},
    {Kind::Crypto,          42, 42, 75, 95, ethereum},
};

constexpr PrefixRule kPrefixes[] = {
    {Kind::AwsAccessKey,     "AKIA",            kUpper | kDigit, 16, 16},
    {Kind::AwsAccessKey,     "ASIA",            kUpper | kDigit, 16, 16},
    {Kind::AwsAccessKey,     "ABIA",            kUpper | kDigit, 16, 16},
    {Kind::AwsAccessKey,     "ACCA",            kUpper | kDigit, 16, 16},
    {Kind::GcpApiKey,        "AIza",            kUrl64, 35, 35},
    {Kind::GcpOauthToken,    "ya29.",           kUrl64 | kDot, 20, 2048},
    {Kind::GithubToken,      "ghp_",            kAlnum, 36, 251},
    {Kind::GithubToken,      "gho_",            kAlnum, 36, 251},
    {Kind::GithubToken,      "ghu_",            kAlnum, 36, 251},
    {Kind::GithubToken,      "ghs_",            kAlnum, 36, 251},
    {Kind::GithubToken,      "ghr_",            kAlnum, 36, 251},
    {Kind::GithubToken,      "github_pat_",     kAlnum | kUnderscore, 50, 244},
    {Kind::GitlabToken,      "glpat-",          kUrl64 | kDot, 20, 300},
    {Kind::GitlabToken,      "gldt-",           kUrl64, 20, 64},
    {Kind::GitlabToken,      "glrt-",           kUrl64 | kDot, 20, 300},
    {Kind::GitlabToken,      "glptt-",          kUrl64, 20, 64},
    {Kind::SlackToken,       "xoxb-",           kAlnum | kDash, 10, 250},
    {Kind::SlackToken,       "xoxp-",           kAlnum | kDash, 10, 250},
    {Kind::SlackToken,       "xoxa-",           kAlnum | kDash, 10, 250},
    {Kind::SlackToken,       "xoxr-",           kAlnum | kDash, 10, 250},
    {Kind::SlackToken,       "xoxs-",           kAlnum | kDash, 10, 250},
    {Kind::SlackToken,       "xoxe-",           kAlnum | kDash, 10, 250},
    {Kind::SlackToken,       "xapp-",           kAlnum | kDash, 10, 250},
    {Kind::StripeKey,        "sk_live_",        kAlnum, 16, 247},
    {Kind::StripeKey,        "sk_test_",        kAlnum, 16, 247},
    {Kind::StripeKey,        "rk_live_",        kAlnum, 16, 247},
    {Kind::StripeKey,        "rk_test_",        kAlnum, 16, 247},
    {Kind::StripeKey,        "whsec_",          kAlnum | kPlusSlash, 24, 128},
    {Kind::AnthropicKey,     "sk-ant-",         kUrl64, 24, 256},
    {Kind::OpenaiKey,        "sk-proj-",        kUrl64, 32, 256},
    {Kind::OpenaiKey,        "sk-svcacct-",     kUrl64, 32, 256},
    {Kind::OpenaiKey,        "sk-admin-",       kUrl64, 32, 256},
    {Kind::OpenaiKey,        "sk-",             kAlnum, 32, 128},
    {Kind::HuggingfaceToken, "hf_",             kAlnum, 30, 64},
    {Kind::NpmToken,         "npm_",            kAlnum, 36, 64},
    {Kind::PypiToken,        "pypi-AgE",        kUrl64, 50, 512},
    {Kind::SendgridKey,      "SG.",             kUrl64 | kDot, 60, 80},
    {Kind::TwilioKey,        "SK",              kHex, 32, 32},
    {Kind::TwilioKey,        "AC",              kHex, 32, 32},
    {Kind::DigitaloceanToken,"dop_v1_",         kHex, 64, 64},
    {Kind::DigitaloceanToken,"doo_v1_",         kHex, 64, 64},
    {Kind::DigitaloceanToken,"dor_v1_",         kHex, 64, 64},
    {Kind::ShopifyToken,     "shpat_",          kHex, 32, 32},
    {Kind::ShopifyToken,     "shpss_",          kHex, 32, 32},
    {Kind::ShopifyToken,     "shpca_",          kHex, 32, 32},
    {Kind::ShopifyToken,     "shppa_",          kHex, 32, 32},
    {Kind::DatabricksToken,  "dapi",            kHex | kDash, 32, 36},
    {Kind::VaultToken,       "hvs.",            kUrl64, 24, 256},
    {Kind::VaultToken,       "hvb.",            kUrl64, 24, 512},
    {Kind::VaultToken,       "hvr.",            kUrl64, 24, 256},
    {Kind::GrafanaToken,     "glsa_",           kAlnum | kUnderscore, 41, 64},
    {Kind::GrafanaToken,     "glc_",            kBase64, 32, 400},
    {Kind::DockerToken,      "dckr_pat_",       kUrl64, 27, 64},
    {Kind::DockerToken,      "dckr_oat_",       kUrl64, 27, 64},
    {Kind::AtlassianToken,   "ATATT3",          kUrl64, 60, 300},
    {Kind::LinearKey,        "lin_api_",        kAlnum, 40, 64},
    {Kind::AgeSecretKey,     "AGE-SECRET-KEY-1",kUpper | kDigit, 58, 58},
    {Kind::MailgunKey,       "key-",            kHex, 32, 32},
    {Kind::NewRelicKey,      "NRAK-",           kUpper | kDigit, 27, 27},
};
// clang-format on

}  // namespace

constinit const std::array<std::uint8_t, 256> kClasses = classes();

std::span<const NumberRule> number_rules() noexcept {
    return kNumbers;
}
std::span<const WordRule> word_rules() noexcept {
    return kWords;
}
std::span<const PrefixRule> prefix_rules() noexcept {
    return kPrefixes;
}

}  // namespace chaperone::detect
