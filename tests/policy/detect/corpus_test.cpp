// SPDX-License-Identifier: Apache-2.0
// A labelled corpus, made from a fixed seed: records with values of known kinds between numbers and
// words that resemble them. Prints precision and recall, and keeps them from falling.
#include "policy/detect/checks.h"
#include "policy/detect/plan.h"
#include "tests/policy/detect/support.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <random>

namespace chaperone::detect {
namespace {

class Maker {
public:
    std::string digits(std::size_t n) {
        std::string text;
        for (std::size_t i = 0; i != n; ++i) text += static_cast<char>('0' + random_() % 10);
        return text;
    }
    // Digits behind `prefix` that the rule takes.
    std::string checked(const std::string& prefix, std::size_t n, bool (*rule)(Digits)) {
        for (;;) {
            const std::string text = prefix + digits(n - prefix.size());
            std::vector<std::uint8_t> values;
            for (const char c : text) values.push_back(static_cast<std::uint8_t>(c - '0'));
            if (rule(values)) return text;
        }
    }
    std::string word() {
        static constexpr const char* kWords[] = {"invoice", "shipped",  "order",  "pending",
                                                 "Monday",  "customer", "refund", "warehouse"};
        return kWords[random_() % std::size(kWords)];
    }
    // A number of the rule's shape that the rule takes; empty: none was met by chance.
    std::string number(const NumberRule& rule) {
        const Shape shape = read_shape(rule.shape);
        for (int tries = 0; tries != 400'000; ++tries) {
            std::vector<std::uint8_t> values(shape.digits);
            for (auto& value : values) value = static_cast<std::uint8_t>(random_() % 10);
            if (!rule.check(values)) continue;
            std::string text;
            std::size_t at = 0;
            for (std::size_t group = 0; group != shape.groups; ++group) {
                if (group != 0) text += shape.separators[group];
                for (int i = 0; i != shape.lengths[group]; ++i)
                    text += static_cast<char>('0' + values[at++]);
            }
            return text;
        }
        return {};
    }
    std::string token(const PrefixRule& rule) {
        std::string body;
        for (std::size_t i = 0; i != rule.least;) {
            const auto c = static_cast<char>(random_() % 128);
            // Marks of a token's body do not end it.
            if (!is(c, rule.classes) || !is(c, kAlnum)) continue;
            body += c;
            ++i;
        }
        return std::string{rule.prefix} + body;
    }
    // What is no personal data but has digits, marks or capitals.
    std::string noise() {
        switch (random_() % 8) {
        case 0: return "order " + digits(6);
        case 1: return digits(3) + "." + digits(2);
        case 2: return "2026-0" + digits(1) + "-1" + digits(1) + "T10:" + digits(2) + ":00Z";
        case 3: return "v1." + digits(1) + "." + digits(2);
        case 4: return "SKU-" + digits(8);
        case 5: return "total=" + digits(4);
        case 6: return "@" + word() + " #" + digits(4);
        default: return "batch " + digits(13);
        }
    }

private:
    std::mt19937 random_{20261121};
};

struct Counts {
    int right = 0, missed = 0, wrong = 0;
};

TEST(Corpus, PrecisionAndRecall) {
    const Detector detector = detector_of(all_kinds());
    Maker make;
    std::map<std::string, Counts> counts;
    Counts total;
    std::vector<Match> matches;
    for (int i = 0; i != 400; ++i) {
        const std::string card = make.checked("4", 16, payment_card);
        const std::string ssn = make.checked("", 9, us_ssn), cpf = make.checked("", 11, br_cpf);
        const std::vector<std::pair<std::string, std::string>> values{
            {"EMAIL_ADDRESS", make.word() + "." + make.word() + "@example.com"},
            {"CREDIT_CARD", card},
            {"CREDIT_CARD", card.substr(0, 4) + " " + card.substr(4, 4) + " " + card.substr(8, 4) +
                                " " + card.substr(12)},
            {"US_SSN", ssn.substr(0, 3) + "-" + ssn.substr(3, 2) + "-" + ssn.substr(5)},
            {"PHONE_NUMBER", "+1 415 555 " + make.digits(4)},
            {"BR_CPF", cpf.substr(0, 3) + "." + cpf.substr(3, 3) + "." + cpf.substr(6, 3) + "-" +
                           cpf.substr(9)},
            {"IP_ADDRESS", "10.1" + make.digits(1) + ".2.1" + make.digits(1)},
            {"AWS_ACCESS_KEY", "AKIA" + token_body(16, "A1B2C3D4E5F6G7")},
        };
        for (const auto& [kind, value] : values) {
            const std::string before = make.noise() + ", " + make.word() + ": ";
            const std::string text = before + value + "; " + make.noise();
            detector.find(text, matches);
            bool hit = false;
            for (const Match& match : matches) {
                const bool right = detector.name(match.kind) == kind &&
                                   match.begin == before.size() &&
                                   match.end == before.size() + value.size();
                hit |= right;
                total.wrong += !right;
                counts[std::string{detector.name(match.kind)}].wrong += !right;
            }
            (hit ? counts[kind].right : counts[kind].missed) += 1;
            (hit ? total.right : total.missed) += 1;
        }
    }
    for (const auto& [kind, n] : counts)
        std::printf("%-26s found %4d  missed %3d  wrong %3d\n", kind.c_str(), n.right, n.missed,
                    n.wrong);
    const double precision = static_cast<double>(total.right) / (total.right + total.wrong);
    const double recall = static_cast<double>(total.right) / (total.right + total.missed);
    std::printf("precision %.4f  recall %.4f\n", precision, recall);
    EXPECT_GE(recall, 0.99);
    EXPECT_GE(precision, 0.95);
}

// Every rule of the tables, with a word near it where it needs one. Numbers of several countries
// have the same shape, and a number may be right for two: that it is found counts as found, and
// under which name is told apart.
TEST(Corpus, EveryRule) {
    const Detector detector = detector_of(all_kinds());
    Maker make;
    struct Seen {
        int found = 0, missed = 0, otherwise = 0;
    };
    std::map<std::string, Seen> seen;
    int wrong = 0;
    std::vector<Match> matches;
    const auto put = [&](Kind kind, const std::string& near, const std::string& value) {
        const std::string text = make.noise() + "; " + near + value + "; " + make.noise();
        const std::size_t begin = text.find("; " + near + value) + 2 + near.size();
        detector.find(text, matches);
        bool covered = false, named = false;
        for (const Match& match : matches) {
            const bool here = match.begin <= begin && match.end >= begin + value.size();
            covered |= here;
            named |= here && match.kind == id_of(kind);
            wrong += match.end <= begin || match.begin >= begin + value.size();
        }
        Seen& of = seen[std::string{builtin_kinds()[id_of(kind)].name}];
        (covered ? of.found : of.missed) += 1;
        of.otherwise += covered && !named;
    };
    for (const NumberRule& rule : number_rules()) {
        const std::string_view words = context_of(rule.kind);
        const std::string word{words.substr(0, words.find('|'))};
        for (int i = 0; i != 12; ++i) {
            const std::string value = make.number(rule);
            ASSERT_FALSE(value.empty()) << rule.shape;
            if (rule.alone >= 50) put(rule.kind, "", value);
            put(rule.kind, word + " ", value);
        }
    }
    for (const PrefixRule& rule : prefix_rules())
        for (int i = 0; i != 12; ++i) put(rule.kind, "key ", make.token(rule));
    Seen total;
    for (const auto& [kind, n] : seen) {
        std::printf("%-26s found %4d  missed %3d  named otherwise %3d\n", kind.c_str(), n.found,
                    n.missed, n.otherwise);
        total.found += n.found, total.missed += n.missed, total.otherwise += n.otherwise;
    }
    const double recall = static_cast<double>(total.found) / (total.found + total.missed);
    const double precision = static_cast<double>(total.found) / (total.found + wrong);
    const double named = 1 - static_cast<double>(total.otherwise) / total.found;
    std::printf("kinds %zu  precision %.4f  recall %.4f  rightly named %.4f\n", seen.size(),
                precision, recall, named);
    EXPECT_GE(seen.size(), 55U);
    EXPECT_GE(recall, 0.99);
    EXPECT_GE(precision, 0.97);
    EXPECT_GE(named, 0.95);
}

}  // namespace
}  // namespace chaperone::detect
