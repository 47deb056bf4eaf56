// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/detector.h"

#include "tests/policy/detect/support.h"

#include <gtest/gtest.h>

#include <cctype>

namespace chaperone::detect {
namespace {

using namespace std::string_literals;

struct Sample {
    const char* kind;
    std::string value;
    std::string context{};  // words that it needs before it
};

std::vector<Sample> samples() {
    const std::string hex = "0123456789abcdef";
    // clang-format off
    return {
        {"EMAIL_ADDRESS", "jane.doe+news@mail.example.co.uk"},
        {"EMAIL_ADDRESS", "j\xc3\xbcrgen@b\xc3\xbc" "cher.example"},
        {"CREDIT_CARD", "4111111111111111"}, {"CREDIT_CARD", "5555 5555 5555 4444"},
        {"CREDIT_CARD", "3782-822463-10005"}, {"CREDIT_CARD", "30569309025904"},
        {"CREDIT_CARD", "6011111111111117"}, {"CREDIT_CARD", "3530-1113-3330-0000"},
        {"IBAN_CODE", "DE89370400440532013000"}, {"IBAN_CODE", "GB82 WEST 1234 5698 7654 32"},
        {"IBAN_CODE", "FR1420041010050500013M02606"},
        {"PHONE_NUMBER", "+14155552671"}, {"PHONE_NUMBER", "+49 30 1234567"},
        {"PHONE_NUMBER", "(415) 555-2671"}, {"PHONE_NUMBER", "415-555-2671"},
        {"PHONE_NUMBER", "4155552671", "mobile: "},
        {"IP_ADDRESS", "192.168.17.4"}, {"IP_ADDRESS", "2001:db8::8a2e:370:7334"},
        {"IP_ADDRESS", "::ffff:10.0.0.1"}, {"IP_ADDRESS", "fe80::1"},
        {"MAC_ADDRESS", "00:1a:2B:3c:4d:5e"}, {"MAC_ADDRESS", "aa-bb-cc-dd-ee-ff"},
        {"CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
        {"CRYPTO", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"},
        {"CRYPTO", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"},
        {"CRYPTO", "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"},
        {"CRYPTO", "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe"},
        {"SWIFT_BIC", "DEUTDEFF", "BIC "}, {"SWIFT_BIC", "DEUTDEFF500", "swift code: "},
        {"DATE_OF_BIRTH", "1985-04-12", "born on "}, {"DATE_OF_BIRTH", "12.04.1985", "DOB: "},
        {"DATE_OF_BIRTH", "04/12/1985", "\"birthdate\":\""},
        {"IMEI", "490154203237518", "IMEI "},
        {"US_SSN", "536-90-4399"}, {"US_SSN", "536904399", "SSN "},
        {"US_ITIN", "912-70-1234"},
        {"US_PASSPORT", "C12345678", "passport no. "},
        {"US_DRIVER_LICENSE", "D1234567", "driver's license "},
        {"US_BANK_ROUTING", "021000021", "routing number "},
        {"CA_SIN", "130-692-544"}, {"CA_SIN", "130692544", "SIN: "},
        {"MX_CURP", "BOXW310820HNERXN09"},
        {"BR_CPF", "111.444.777-35"}, {"BR_CPF", "11144477735"},
        {"BR_CNPJ", "16.727.230/0001-97"}, {"BR_CNPJ", "16727230000197"},
        {"UK_NHS", "943 476 5919"}, {"UK_NHS", "9434765919", "NHS no "},
        {"UK_NINO", "AB123456C"}, {"UK_NINO", "AB 12 34 56 C"},
        {"IE_PPS", "6433435F"}, {"ES_NIF", "12345678Z"}, {"ES_NIE", "X1234567L"},
        {"PT_NIF", "501964843", "NIF "},
        {"FR_NIR", "295109912611193"}, {"FR_NIR", "2 95 10 99 126 111 93"},
        {"IT_FISCAL_CODE", "RCCMNL83S18D969H"},
        {"DE_TAX_ID", "36574261809"}, {"DE_TAX_ID", "36 574 261 809"},
        {"NL_BSN", "111222333", "BSN "}, {"NL_BSN", "1112.22.333"},
        {"BE_NATIONAL_NUMBER", "85.07.30-033.28"}, {"BE_NATIONAL_NUMBER", "85073003328"},
        {"CH_AHV", "756.9217.0769.85"}, {"CH_AHV", "7569217076985"},
        {"PL_PESEL", "44051401359"},
        {"SE_PERSONNUMMER", "880320-0016"}, {"SE_PERSONNUMMER", "19880320-0016"},
        {"FI_PERSONAL_IDENTITY_CODE", "131052-308T"},
        {"NO_FODSELSNUMMER", "15108695088"},
        {"DK_CPR", "211062-5629", "CPR "},
        {"TR_NATIONAL_ID", "17291716060"}, {"ZA_ID", "7503305044089"},
        {"CN_RESIDENT_ID", "11010519491231002X"},
        {"KR_RRN", "971013-9019902"}, {"JP_MY_NUMBER", "123456789018", "My Number: "},
        {"TH_TNIN", "1-2345-45678-78-1"},
        {"SG_NRIC_FIN", "S1234567D"}, {"SG_NRIC_FIN", "G1234567X"}, {"SG_NRIC_FIN", "F1234567N"},
        {"IN_AADHAAR", "2341 2341 2346"}, {"IN_AADHAAR", "234123412346", "Aadhaar "},
        {"IN_PAN", "ACUPA7085R"},
        {"AU_TFN", "123 456 782", "TFN "}, {"AU_MEDICARE", "2123 45670 1"},
        {"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"},
        {"PRIVATE_KEY", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"},
        {"AWS_ACCESS_KEY", "AKIA"s + "IOSFODNN7EXAMPLE"},
        {"AWS_SECRET_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"s + "EXAMPLEKEY", "aws secret "},
        {"GCP_API_KEY", "AIza" + token_body(35)}, {"GCP_OAUTH_TOKEN", "ya29." + token_body(40)},
        {"AZURE_STORAGE_KEY", token_body(86) + "=="},
        {"AZURE_CLIENT_SECRET", "abc8Q~" + token_body(34)},
        {"GITHUB_TOKEN", "ghp_" + token_body(36)}, {"GITHUB_TOKEN", "github_pat_" + token_body(82)},
        {"GITLAB_TOKEN", "glpat-" + token_body(20)},
        {"SLACK_TOKEN", "xoxb-" + token_body(40)},
        {"STRIPE_KEY", "sk_live_" + token_body(24)}, {"STRIPE_KEY", "whsec_" + token_body(32)},
        {"OPENAI_KEY", "sk-proj-" + token_body(60)}, {"OPENAI_KEY", "sk-" + token_body(48)},
        {"ANTHROPIC_KEY", "sk-ant-api03-" + token_body(80)},
        {"HUGGINGFACE_TOKEN", "hf_" + token_body(34)}, {"NPM_TOKEN", "npm_" + token_body(36)},
        {"PYPI_TOKEN", "pypi-AgE" + token_body(60)},
        {"SENDGRID_KEY", "SG." + token_body(22) + "." + token_body(43)},
        {"TWILIO_KEY", "SK" + token_body(32, hex)},
        {"DIGITALOCEAN_TOKEN", "dop_v1_" + token_body(64, hex)},
        {"SHOPIFY_TOKEN", "shpat_" + token_body(32, hex)},
        {"DATABRICKS_TOKEN", "dapi" + token_body(32, hex)},
        {"VAULT_TOKEN", "hvs." + token_body(24)},
        {"TELEGRAM_TOKEN", "123456789:" + token_body(35)},
        {"GRAFANA_TOKEN", "glsa_" + token_body(32) + "_" + token_body(8, hex)},
        {"DOCKER_TOKEN", "dckr_pat_" + token_body(27)},
        {"ATLASSIAN_TOKEN", "ATATT3" + token_body(80)},
        {"LINEAR_KEY", "lin_api_" + token_body(40)},
        {"AGE_SECRET_KEY", "AGE-SECRET-KEY-1" + token_body(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")},
        {"MAILGUN_KEY", "key-" + token_body(32, hex)},
        {"NEW_RELIC_KEY", "NRAK-" + token_body(27, "A1B2C3D4E5")},
    };
    // clang-format on
}

TEST(Detector, FindsEachSampleWhereverItStands) {
    for (const Sample& sample : samples()) {
        const Detector detector = detector_of({sample.kind});
        const std::string want = std::string{sample.kind} + ":" + sample.value;
        for (const auto& [before, after] :
             std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                              {"text ", " text"},
                                                              {"\"", "\""},
                                                              {"(", ")."},
                                                              {"a,", ",b"},
                                                              {"\\n", "\\n"},
                                                              {"line\n", "\nline"},
                                                              {std::string(100, ' '), "!"}}) {
            const std::string text = before + sample.context + sample.value + after;
            EXPECT_EQ(found_in(detector, text), want) << text;
            EXPECT_TRUE(detector.contains(text)) << text;
        }
        // What belongs to a longer word is something else.
        if (std::isalnum(static_cast<unsigned char>(sample.value.back())) != 0 &&
            std::string_view{sample.kind} != "EMAIL_ADDRESS" && sample.context.empty()) {
            EXPECT_NE(found_in(detector, sample.value + "Qz"), want) << sample.value;
        }
    }
}

TEST(Detector, HasASampleOfEveryKind) {
    std::vector<std::string> kinds = all_kinds();
    EXPECT_GE(kinds.size(), 40U);
    for (const Sample& sample : samples()) std::erase(kinds, sample.kind);
    EXPECT_EQ(kinds, (std::vector<std::string>{"URL_CREDENTIALS", "PASSWORD",
                                               "SLACK_WEBHOOK"}));  // tests below
}

TEST(Detector, UsesAColumnsNameAsContext) {
    for (const Sample& sample : samples()) {
        if (sample.context.empty()) continue;
        EXPECT_EQ(found_in(detector_of({sample.kind}), sample.value), "") << sample.value;
        EXPECT_EQ(found_in(detector_of({sample.kind}), sample.value, sample.context),
                  std::string{sample.kind} + ":" + sample.value);
    }
    EXPECT_NE(found_in(detector_of({"US_SSN"}), "536904399", "customerSsn"), "");
    EXPECT_NE(found_in(detector_of({"US_SSN"}), "536904399", "user_ssn"), "");
    EXPECT_EQ(found_in(detector_of({"US_SSN"}), "536904399", "classname"), "");
}

struct Miss {
    const char* kind;
    std::string text;
};

// One digit or character away from being one.
TEST(Detector, PassesNearMisses) {
    // clang-format off
    for (const Miss& miss : std::vector<Miss>{
             {"CREDIT_CARD", "4111111111111112"}, {"CREDIT_CARD", "0.4111111111111111"},
             {"CREDIT_CARD", "9111111111111111"}, {"CREDIT_CARD", "4111 1111 1111 111"},
             {"CREDIT_CARD", "x4111111111111111"}, {"CREDIT_CARD", "41111111111111111111111"},
             {"CREDIT_CARD", "4444444444444444"},
             {"IBAN_CODE", "DE89370400440532013001"}, {"IBAN_CODE", "XX89370400440532013000"},
             {"IBAN_CODE", "DE8937040044053201300"},
             {"EMAIL_ADDRESS", "jane@localhost"}, {"EMAIL_ADDRESS", "@example.com"},
             {"EMAIL_ADDRESS", "a @ b.com"}, {"EMAIL_ADDRESS", "x@1.2"}, {"EMAIL_ADDRESS", "a@.com"},
             {"PHONE_NUMBER", "+1234"}, {"PHONE_NUMBER", "2026-11-21"}, {"PHONE_NUMBER", "(12) 34"},
             {"IP_ADDRESS", "1.2.3"}, {"IP_ADDRESS", "256.1.1.1"}, {"IP_ADDRESS", "1.2.3.4.5"},
             {"IP_ADDRESS", "std::string"}, {"IP_ADDRESS", "12:34:56"}, {"IP_ADDRESS", "a::b"},
             {"MAC_ADDRESS", "00:1a:2b:3c:4d"}, {"MAC_ADDRESS", "00:1a:2b:3c:4d:5e:6f"},
             {"MAC_ADDRESS", "00:1a-2b:3c:4d:5e"},
             {"US_SSN", "000-12-3456"}, {"US_SSN", "666-12-3456"}, {"US_SSN", "900-12-3456"},
             {"US_SSN", "536-00-4399"}, {"US_SSN", "536-90-0000"}, {"US_SSN", "1536-90-4399"},
             {"US_SSN", "536-90-43990"}, {"US_SSN", "078-05-1120"}, {"US_SSN", "2-536-90-4399"},
             {"UK_NHS", "943 476 5918"}, {"UK_NINO", "QQ123456C"}, {"UK_NINO", "AB123456E"},
             {"ES_NIF", "12345678A"}, {"ES_NIE", "X1234567A"}, {"FR_NIR", "295109912611194"},
             {"IT_FISCAL_CODE", "RCCMNL83S18D969A"}, {"DE_TAX_ID", "36574261808"},
             {"NL_BSN", "1112.22.334"}, {"BE_NATIONAL_NUMBER", "85.07.30-033.29"},
             {"CH_AHV", "756.9217.0769.84"}, {"PL_PESEL", "44051401358"}, {"PL_PESEL", "44991401359"},
             {"SE_PERSONNUMMER", "880320-0017"}, {"FI_PERSONAL_IDENTITY_CODE", "131052-308U"},
             {"NO_FODSELSNUMMER", "15108695089"}, {"TR_NATIONAL_ID", "17291716061"},
             {"ZA_ID", "7503305044088"}, {"CN_RESIDENT_ID", "110105194912310021"},
             {"KR_RRN", "971013-9019903"}, {"TH_TNIN", "1-2345-45678-78-2"},
             {"SG_NRIC_FIN", "S1234567E"}, {"IN_AADHAAR", "2341 2341 2347"},
             {"IN_PAN", "ACUZA7085R"}, {"MX_CURP", "BOXW310820HNERXN08"},
             {"BR_CPF", "111.444.777-36"}, {"BR_CPF", "111.111.111-11"},
             {"BR_CNPJ", "16.727.230/0001-98"}, {"AU_MEDICARE", "2123 45671 1"},
             {"CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"},
             {"CRYPTO", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp"},
             {"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0"},
             {"PRIVATE_KEY", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
             {"AWS_ACCESS_KEY", "AKIA" + token_body(15)}, {"GITHUB_TOKEN", "ghp_short"},
             {"DATE_OF_BIRTH", "born 1985-13-12"}, {"DATE_OF_BIRTH", "sent 1985-04-12"},
             {"SWIFT_BIC", "BIC deutdeff"}, {"URL_CREDENTIALS", "https://example.com/a@b"},
             {"URL_CREDENTIALS", "postgres://app@db/x"}, {"PASSWORD", "password=****"},
             {"PASSWORD", "password: ${DB_PASSWORD}"}, {"PASSWORD", "passwords are bad"}}) {
        EXPECT_EQ(found_in(detector_of({miss.kind}), miss.text), "") << miss.kind;
    }
    // clang-format on
}

TEST(Detector, FindsPasswordsWhereTheyAreGiven) {
    const Detector detector = detector_of({"URL_CREDENTIALS", "PASSWORD"});
    EXPECT_EQ(found_in(detector, "postgres://app:s3cret@db:5432/x"), "URL_CREDENTIALS:app:s3cret");
    EXPECT_EQ(found_in(detector, "redis://:s3cret@cache"), "URL_CREDENTIALS::s3cret");
    EXPECT_EQ(found_in(detector, "Server=db;Uid=a;Pwd=s3cret;x=1"), "PASSWORD:s3cret");
    EXPECT_EQ(found_in(detector, R"({"password": "s3 \"cret"})"), R"(PASSWORD:s3 \"cret)");
    EXPECT_EQ(found_in(detector, "DB_PASSWORD='a b c d'"), "PASSWORD:a b c d");
    EXPECT_EQ(found_in(detector, "client_secret: abcdef\nx"), "PASSWORD:abcdef");
    EXPECT_EQ(found_in(detector, R"({\"api_key\":\"abcdef\"})"), "PASSWORD:abcdef");
    EXPECT_EQ(found_in(detector_of({"SLACK_WEBHOOK"}), "https://hooks.slack.com/services/T0/B0/x."),
              "SLACK_WEBHOOK:hooks.slack.com/services/T0/B0/x");
    EXPECT_EQ(found_in(detector, "--password=hunter2 --x"), "PASSWORD:hunter2");
}

TEST(Detector, FindsManyInOneText) {
    const Detector detector = detector_of({"EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN"});
    EXPECT_EQ(found_in(detector, "a@b.com,4111111111111111,536-90-4399;c@d.org 5555555555554444"),
              "EMAIL_ADDRESS:a@b.com CREDIT_CARD:4111111111111111 US_SSN:536-90-4399 "
              "EMAIL_ADDRESS:c@d.org CREDIT_CARD:5555555555554444");
    // Numbers beside a number do not hide it.
    EXPECT_EQ(found_in(detector, "12 4111 1111 1111 1111 12/27 123"),
              "CREDIT_CARD:4111 1111 1111 1111");
    EXPECT_EQ(found_in(detector, "4111111111111111.00"), "CREDIT_CARD:4111111111111111");
    EXPECT_EQ(found_in(detector, R"({"t":"\n536-90-4399\ta@b.com"})"),
              "US_SSN:536-90-4399 EMAIL_ADDRESS:a@b.com");
}

// Short numbers are passed over quickly; what stands next to them is not.
TEST(Detector, ShortNumbersHideNothing) {
    const Detector detector = detector_of(all_kinds());
    // clang-format off
    for (const auto& [text, want] : std::vector<std::pair<std::string, std::string>>{
             {"7,10.30.0.9", "IP_ADDRESS:10.30.0.9"}, {"v=1.2.3.4", "IP_ADDRESS:1.2.3.4"},
             {"{\"n\":12,\"ip\":\"9.8.7.6\"}", "IP_ADDRESS:9.8.7.6"},
             {"\":9.8.7.6}", "IP_ADDRESS:9.8.7.6"}, {"12 2001:db8::1", "IP_ADDRESS:2001:db8::1"},
             {"1:2:3:4:5:6:7:8", "IP_ADDRESS:1:2:3:4:5:6:7:8"}, {"1::2", "IP_ADDRESS:1::2"},
             {"10:30 00:1a:2b:3c:4d:5e", "MAC_ADDRESS:00:1a:2b:3c:4d:5e"},
             {"\":\"00:11:22:33:44:55", "MAC_ADDRESS:00:11:22:33:44:55"},
             {"3 4111 1111 1111 1111 5", "CREDIT_CARD:4111 1111 1111 1111"},
             {"12/27 4111111111111111", "CREDIT_CARD:4111111111111111"},
             {"9,536-90-4399", "US_SSN:536-90-4399"}, {"(415) 555-2671", "PHONE_NUMBER:(415) 555-2671"},
             {"5 +1 415 555 2671", "PHONE_NUMBER:+1 415 555 2671"},
             {"AB 12 34 56 C", "UK_NINO:AB 12 34 56 C"}, {"10:30=password=12345", "PASSWORD:12345"},
             {"password:1234", "PASSWORD:1234"}, {"\"pwd\":1234", "PASSWORD:1234"},
             {"131052+308T", "FI_PERSONAL_IDENTITY_CODE:131052+308T"},
             {"1.5,abc8Q~" + token_body(34), "AZURE_CLIENT_SECRET:abc8Q~" + token_body(34)},
             {"DE89 3704 0044 0532 0130 00", "IBAN_CODE:DE89 3704 0044 0532 0130 00"},
             {"1@2.com", "EMAIL_ADDRESS:1@2.com"}, {"10:30:59 12.5 3/4 7-8 \"a\":17,1234", ""}})
        EXPECT_EQ(found_in(detector, text), want) << text;
    // clang-format on
}

TEST(Detector, AllKindsTogetherNameTheMoreConfident) {
    const Detector detector = detector_of(all_kinds());
    EXPECT_EQ(found_in(detector, "4111 1111 1111 1111"), "CREDIT_CARD:4111 1111 1111 1111");
    EXPECT_EQ(found_in(detector, "postgres://u:p@a.example.com"),
              "URL_CREDENTIALS:u:p@a.example.com");  // overlaps are one, over all of both
    EXPECT_EQ(found_in(detector, "The quick brown fox jumps over 13 lazy dogs at 10:30."), "");
}

TEST(Detector, RunsRecognisersOfTheBundle) {
    const std::vector<CustomRecognizer> custom{
        {.name = "EMPLOYEE_ID", .pattern = R"(\bE-\d{6}\b)"},
        {.name = "ROOM", .pattern = R"(\d{3})", .context = {"Room"}, .confidence = 80}};
    const Detector detector = detector_of({"EMPLOYEE_ID", "ROOM", "EMAIL_ADDRESS"}, custom);
    EXPECT_EQ(found_in(detector, "E-123456, room 101 and x@y.com"),
              "EMPLOYEE_ID:E-123456 ROOM:101 EMAIL_ADDRESS:x@y.com");
    EXPECT_EQ(found_in(detector, "the 101 ways"), "");
    EXPECT_EQ(found_in(detector, "101", "room_number"), "ROOM:101");
    EXPECT_TRUE(detector.contains("E-123456"));
    EXPECT_FALSE(detector.contains("nothing"));
}

TEST(Detector, RefusesWhatCannotWork) {
    const auto refused = [](std::vector<std::string> kinds,
                            std::vector<CustomRecognizer> custom = {}) {
        const auto made = Detector::make(kinds, custom);
        return made ? Errc{} : made.error().code;
    };
    EXPECT_EQ(refused({"NO_SUCH_KIND"}), Errc::Invalid);
    EXPECT_EQ(refused({"email_address"}), Errc::Invalid);
    EXPECT_EQ(refused({"US_SSN", "US_SSN"}), Errc::Invalid);
    EXPECT_EQ(refused({"A"}, {{.name = "A", .pattern = "("}}), Errc::Invalid);
    EXPECT_EQ(refused({"A"}, {{.name = "A", .pattern = "x*"}}), Errc::Invalid);
    EXPECT_EQ(refused({"A"}, {{.name = "A", .pattern = ""}}), Errc::Invalid);
    EXPECT_EQ(refused({"a"}, {{.name = "a", .pattern = "x"}}), Errc::Invalid);
    EXPECT_EQ(refused({"A", "A"}, {{.name = "A", .pattern = "x"}}), Errc::Invalid);
    EXPECT_EQ(refused({"A"}, {{.name = "A", .pattern = "x", .confidence = 0}}), Errc::Invalid);
    EXPECT_EQ(refused({"A"}, {{.name = "A", .pattern = "(?=x)"}}), Errc::Invalid);
    EXPECT_EQ(refused({}, std::vector<CustomRecognizer>(Detector::kMaxCustom + 1)), Errc::TooLarge);
}

// More matches than are kept: what follows is matched whole.
TEST(Detector, NothingPassesBehindTheLastMatch) {
    std::string text;
    for (std::size_t i = 0; i != Detector::kMaxMatches + 10; ++i) text += "a@b.co ";
    std::vector<Match> matches;
    detector_of({"EMAIL_ADDRESS"}).find(text, matches);
    ASSERT_EQ(matches.size(), Detector::kMaxMatches);
    EXPECT_EQ(matches.back().end, text.size());
}

}  // namespace
}  // namespace chaperone::detect
