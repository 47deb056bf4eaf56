// SPDX-License-Identifier: Apache-2.0
// A labelled corpus, made from a fixed seed: records with values of known kinds between numbers and
// words that resemble them. Prints precision and recall, and keeps them from falling.
#include "policy/detect/checks.h"
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

}  // namespace
}  // namespace chaperone::detect
