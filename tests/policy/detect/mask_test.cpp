// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/mask.h"

#include "policy/detect/stream_masker.h"
#include "tests/policy/detect/support.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace chaperone::detect {
namespace {

Masker masker(std::string_view scope = "orders") {
    return Masker{as_bytes("an installation's key"), scope};
}

KindId kind(std::string_view name) {
    return *builtin_kind(name);
}

TEST(With, IsOrderedByStrength) {
    EXPECT_EQ(stronger(With::Partial, With::Null), With::Null);
    EXPECT_EQ(stronger(With::Redact, With::Hash), With::Redact);
    for (const std::string_view name : {"partial", "pseudonym", "hash", "redact", "null"})
        EXPECT_EQ(name_of(*with_named(name)), name);
    EXPECT_FALSE(with_named("Redact"));
}

TEST(Masker, GivesEachForm) {
    const Masker mask = masker();
    const KindId email = kind("EMAIL_ADDRESS"), card = kind("CREDIT_CARD");
    EXPECT_EQ(mask.value("jane@example.com", With::Redact, email), "<EMAIL_ADDRESS>");
    EXPECT_EQ(mask.value("x", With::Redact), "[REDACTED]");
    EXPECT_EQ(mask.value("x", With::Null), std::nullopt);
    EXPECT_EQ(mask.value("jane@example.com", With::Partial, email), "j***@example.com");
    EXPECT_EQ(mask.value("jo@example.com", With::Partial, email), "***@example.com");
    EXPECT_EQ(mask.value("4111-1111-1111-1234", With::Partial, card), "****-****-****-1234");
    EXPECT_EQ(mask.value("abc", With::Partial), "***");
    EXPECT_EQ(mask.value("J\xc3\xbcrgen M\xc3\xbcller", With::Partial), "****** ***\x6c\x65r");
    EXPECT_EQ(mask.value("x", With::Hash)->size(), 16U);
}

TEST(Masker, PartialShowsAtMostAQuarter) {
    for (std::size_t n = 0; n != 40; ++n) {
        const std::string value = token_body(n);
        const std::string shown = *masker().value(value, With::Partial);
        EXPECT_EQ(shown.size(), n);
        EXPECT_LE(n - static_cast<std::size_t>(std::ranges::count(shown, '*')),
                  std::min<std::size_t>(n / 4, 4));
    }
}

TEST(Masker, JoinsWithinAScopeOnly) {
    for (const With with : {With::Hash, With::Pseudonym}) {
        const auto once = masker().value("Jane Doe", with);
        EXPECT_EQ(masker().value("Jane Doe", with), once);
        EXPECT_NE(masker().value("Jane Dof", with), once);
        EXPECT_NE(masker("other").value("Jane Doe", with), once);
        EXPECT_NE(Masker(as_bytes("other key"), "orders").value("Jane Doe", with), once);
    }
}

// A pseudonym is one of the same kind: what looks for the kind still finds it.
TEST(Masker, PseudonymsAreValid) {
    const std::vector<std::pair<std::string, std::string>> values{
        {"CREDIT_CARD", "4111 1111 1111 1111"},
        {"CREDIT_CARD", "378282246310005"},
        {"IBAN_CODE", "DE89370400440532013000"},
        {"EMAIL_ADDRESS", "jane@example.com"},
        {"IP_ADDRESS", "10.1.2.3"},
        {"IP_ADDRESS", "fd00::1"},
        {"DATE_OF_BIRTH", "1985-04-12"},
        {"DATE_OF_BIRTH", "31/12/1985"},
        {"PHONE_NUMBER", "+49 30 1234567"},
        {"IBAN_CODE", "GB82 WEST 1234 5698 7654 32"}};
    for (const auto& [name, value] : values) {
        const std::string made = *masker().value(value, With::Pseudonym, kind(name));
        EXPECT_NE(made, value);
        EXPECT_EQ(found_in(detector_of({name}), made, "born phone"), name + ":" + made);
    }
    const std::string ssn = *masker().value("536-90-4399", With::Pseudonym, kind("US_SSN"));
    EXPECT_EQ(ssn.size(), 11U);
    EXPECT_EQ(ssn.front(), '9');
    EXPECT_EQ(ssn[3], '-');
}

TEST(Masker, FitsTheColumn) {
    EXPECT_EQ(masker().value("x", With::Redact, kNoKind, 4), "[RED");
    EXPECT_EQ(masker().value("J\xc3\xbcrgen J\xc3\xbcrgen J\xc3\xbcrgen\xc3\xbc", With::Partial,
                             kNoKind, 0),
              "");
    const std::string high =
        *masker().value("aaaaaaaaaaaa\xc3\xbc\xc3\xbc\xc3\xbc", With::Partial, kNoKind, 13);
    EXPECT_EQ(high, std::string(12, '*'));  // no half a character
}

TEST(Masker, ReplacesSpans) {
    const Detector detector =
        detector_of({"EMAIL_ADDRESS", "BADGE"}, {{.name = "BADGE", .pattern = "B-[0-9]+"}});
    const std::string text = "to a@b.com, badge B-77.";
    std::vector<Match> matches;
    detector.find(text, matches);
    EXPECT_EQ(masker().spans(text, matches, With::Redact, detector),
              "to <EMAIL_ADDRESS>, badge <BADGE>.");
    EXPECT_EQ(masker().spans(text, matches, With::Null, detector), "to , badge .");
    EXPECT_EQ(masker().spans(text, matches, With::Redact, detector, 6), "to <EM");
    EXPECT_EQ(masker().spans(text, {}, With::Redact, detector), text);
}

std::string streamed(const Detector& detector, const Masker& mask, std::string_view text,
                     std::size_t piece, StreamMasker::Pace pace = StreamMasker::Pace::Bulk) {
    StreamMasker stream{detector, mask, With::Redact, pace};
    std::string out;
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
        stream.feed(text.substr(0, piece), out);
    stream.finish(out);
    return out;
}

TEST(StreamMasker, CutsChangeNothing) {
    const Detector detector = detector_of(all_kinds());
    const Masker mask = masker();
    const std::string filler = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ";
    std::string text, want;
    const auto add = [&](const std::string& value, const std::string& masked) {
        for (int i = 0; i != 7; ++i) text += filler, want += filler;
        text += value, want += masked;
    };
    add("jane.doe@example.com ", "<EMAIL_ADDRESS> ");
    add(" 4111 1111 1111 1111 ", " <CREDIT_CARD> ");
    add(" SSN 536904399 ", " SSN <US_SSN> ");
    add("eyJhbGciOiJIUzI1NiJ9." + token_body(900) + "." + token_body(600) + " ", "<JWT> ");
    add("-----BEGIN PRIVATE KEY-----\n" + token_body(3000) + "\n-----END PRIVATE KEY-----\n",
        "<PRIVATE_KEY>\n");
    add("ghp_" + token_body(36), "<GITHUB_TOKEN>");
    for (const std::size_t piece :
         {1UL, 2UL, 3UL, 7UL, 64UL, 255UL, 256UL, 257UL, 1000UL, 100000UL}) {
        EXPECT_EQ(streamed(detector, mask, text, piece), want) << piece;
        EXPECT_EQ(streamed(detector, mask, text, piece, StreamMasker::Pace::Prompt), want) << piece;
    }
}

TEST(StreamMasker, PromptlyFindsWhatTheWholeHas) {
    const Detector detector = detector_of(all_kinds());
    const Masker mask = masker();
    for (const std::string value :
         {"4111 1111 1111 1111", "card 4111-1111-1111-1111.", "DE89 3704 0044 0532 0130 00",
          "nino AB 12 34 56 C", "ssn 536 90 4399", "call +49 30 1234567", "(212) 555-0123",
          "password: \"my pass phrase\"", "Password = hunter22", "ann.b@shop.example",
          "https://user:pw@host/x", "sk-ant-api03-0123456789abcdefghijABCDEFGHIJ", "2001:db8::1",
          "\xe8\xaf\xb7\xe8\x81\x94\xe7\xb3\xbb ann@shop.example \xe8\xaf\xb7", "born 1980-02-03",
          "AKIAIOSFODNN7EXAMPLE", "swift DEUTDEFF", "00:1a:2b:3c:4d:5e"}) {
        const std::string text = "Here is " + value + " and some more, I think. The end";
        const std::string want = streamed(detector, mask, text, text.size());
        ASSERT_NE(want, text);
        for (std::size_t piece = 1; piece != text.size(); ++piece)
            EXPECT_EQ(streamed(detector, mask, text, piece, StreamMasker::Pace::Prompt), want)
                << piece;
    }
}

TEST(StreamMasker, PromptlyHoldsOnlyWhatMayBeginAValue) {
    const Detector detector = detector_of(all_kinds());
    const Masker mask = masker();
    const auto out_of = [&](std::string_view text, const Detector& with) {
        StreamMasker stream{with, mask, With::Redact, StreamMasker::Pace::Prompt};
        std::string out;
        stream.feed(text, out);
        return out;
    };
    EXPECT_EQ(out_of("It is what I've well-known, s\xc3\xbc\xc3\x9f", detector),
              "It is what I've well-known, ");
    EXPECT_EQ(out_of("It is done. ", detector), "It is done. ");
    EXPECT_EQ(out_of("Pay with 4111 1111 ", detector), "Pay with ");
    EXPECT_EQ(out_of("Pay with 4111 1111 or", detector), "Pay with ");
    EXPECT_EQ(out_of("Pay with 4111 1111 or so ", detector), "Pay with 4111 1111 or so ");
    EXPECT_EQ(out_of("\xe8\xaf\xb7\xe8\x81\x94\xe7\xb3\xbb", detector),
              "\xe8\xaf\xb7\xe8\x81\x94\xe7\xb3\xbb");
    EXPECT_EQ(out_of("x -----BEGIN RSA PRIVATE KEY-----\nabc", detector), "x ");
    const Detector own = detector_of({"CODE"}, {{.name = "CODE", .pattern = "secret plan [a-z]+"}});
    EXPECT_EQ(out_of("the secret plan is", own), "");
    EXPECT_EQ(streamed(own, mask, "the secret plan b or so", 4, StreamMasker::Pace::Prompt),
              "the <CODE> or so");
}

TEST(StreamMasker, IsBoundedAndMasksBlindBeyond) {
    const Detector detector = detector_of(all_kinds());
    const Masker mask = masker();
    const std::string key = "-----BEGIN PRIVATE KEY-----\n" + token_body(100000);
    EXPECT_EQ(streamed(detector, mask, key, 4096), "<PRIVATE_KEY>");
    EXPECT_EQ(streamed(detector, mask, key + "\n-----END PRIVATE KEY-----\nafter", 4096),
              "<PRIVATE_KEY>\nafter");
    const std::string blob(100000, 'x');  // a token that is none
    EXPECT_EQ(streamed(detector, mask, blob, 4096), blob);
}

TEST(StreamMasker, PassesWhatIsClean) {
    const Detector detector = detector_of(all_kinds());
    const Masker mask = masker();
    const std::string text = "A line of words.\n";
    EXPECT_EQ(streamed(detector, mask, text, 3), text);
    EXPECT_EQ(streamed(detector, mask, "", 3), "");
}

}  // namespace
}  // namespace chaperone::detect
