// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/metrics.h"

#include <array>
#include <charconv>

namespace chaperone::daemon {

MetricsText& MetricsText::family(std::string_view name, std::string_view help,
                                 std::string_view type) {
    name_ = "chaperone_" + std::string{name};
    text_.append("# HELP ").append(name_).append(" ").append(help).append("\n");
    text_.append("# TYPE ").append(name_).append(" ").append(type).append("\n");
    return *this;
}

MetricsText& MetricsText::counter(std::string_view name, std::string_view help) {
    return family(name, help, "counter");
}

MetricsText& MetricsText::gauge(std::string_view name, std::string_view help) {
    return family(name, help, "gauge");
}

MetricsText& MetricsText::sample(double value, Labels labels) {
    text_ += name_;
    char separator = '{';
    for (const auto& [key, label] : labels) {
        text_.append(1, separator).append(key).append("=\"");
        for (const char c : label) {
            if (c == '\\' || c == '"') text_ += '\\';
            if (c == '\n')
                text_ += "\\n";
            else
                text_ += c;
        }
        text_ += '"';
        separator = ',';
    }
    if (labels.size() != 0) text_ += '}';
    std::array<char, 32> digits{};
    const auto [end, error] = std::to_chars(digits.begin(), digits.end(), value);
    text_.append(" ").append(digits.begin(), error == std::errc{} ? end : digits.begin());
    text_ += '\n';
    return *this;
}

}  // namespace chaperone::daemon
