// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/plan.h"

namespace chaperone::detect {

Shape read_shape(std::string_view text) {
    Shape shape;
    char separator = 0;
    while (!text.empty()) {
        std::uint8_t length = 0;
        while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
            length = static_cast<std::uint8_t>(length * 10 + (text.front() - '0'));
            text.remove_prefix(1);
        }
        shape.separators[shape.groups] = separator;
        shape.lengths[shape.groups++] = length;
        shape.digits += length;
        if (text.empty()) break;
        separator = text.front();
        text.remove_prefix(1);
    }
    return shape;
}

Builtins plan_builtins(std::bitset<256> wanted) {
    Builtins plan{.wanted = wanted};
    const auto need = [&](unsigned anchors) {
        plan.anchors = static_cast<std::uint8_t>(plan.anchors | anchors);
    };
    for (const NumberRule& rule : number_rules()) {
        if (!plan.wants(rule.kind)) continue;
        const Shape shape = read_shape(rule.shape);
        plan.numbers[shape.digits].push_back({shape, &rule});
        plan.least_digits = std::min(plan.least_digits, shape.digits);
        need(kAnchorDigit);
    }
    for (const WordRule& rule : word_rules()) {
        if (!plan.wants(rule.kind)) continue;
        for (std::size_t length = rule.least; length <= rule.most; ++length)
            plan.words[length].push_back(&rule);
        need(kAnchorDigit);
    }
    for (const PrefixRule& rule : prefix_rules()) {
        if (!plan.wants(rule.kind)) continue;
        plan.prefixes[static_cast<unsigned char>(rule.prefix.front())].push_back(&rule);
        need(kAnchorDigit | kAnchorDash | kAnchorUnderscore | kAnchorUpper);
    }
    for (const Kind kind :
         {Kind::PhoneNumber, Kind::IpAddress, Kind::MacAddress, Kind::Jwt, Kind::FiIdentityCode,
          Kind::AwsSecretKey, Kind::AzureStorageKey, Kind::AzureClientSecret, Kind::TelegramToken,
          Kind::IbanCode, Kind::UkNino})
        if (plan.wants(kind)) need(kAnchorDigit);
    if (plan.wants(Kind::EmailAddress)) need(kAnchorAt);
    for (const Kind kind : {Kind::IpAddress, Kind::MacAddress, Kind::UrlCredentials, Kind::Password,
                            Kind::SlackWebhook})
        if (plan.wants(kind)) need(kAnchorColon);
    if (plan.wants(Kind::MacAddress) || plan.wants(Kind::PrivateKey)) need(kAnchorDash);
    if (plan.wants(Kind::Password) || plan.wants(Kind::AzureStorageKey)) need(kAnchorEquals);
    if (plan.wants(Kind::SwiftBic)) need(kAnchorUpper);
    return plan;
}

}  // namespace chaperone::detect
