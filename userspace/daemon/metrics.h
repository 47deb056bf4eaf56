// SPDX-License-Identifier: Apache-2.0
// Writes the Prometheus text format 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). One thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace chaperone::daemon {

class MetricsText {
public:
    using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

    // Begins a family; its samples follow.
    MetricsText& counter(std::string_view name, std::string_view help);
    MetricsText& gauge(std::string_view name, std::string_view help);
    MetricsText& sample(double value, Labels labels = {});

    std::string take() { return std::move(text_); }

private:
    MetricsText& family(std::string_view name, std::string_view help, std::string_view type);

    std::string text_;
    std::string name_;
};

}  // namespace chaperone::daemon
