// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/pg_parameters.h"

#include "userspace/base/encoding.h"
#include "userspace/session/pg_types.h"
#include "userspace/wire/reader.h"

#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>

namespace chaperone::session {
namespace {

using wire::Reader;

std::string hex(Bytes value) {
    return "\\x" + to_hex(value);
}

template <class Signed, class Unsigned>
std::optional<std::string> integer(Bytes value) {
    Reader reader{value};
    const auto raw = reader.big_endian<Unsigned>();
    if (!reader.complete()) return std::nullopt;
    return std::to_string(static_cast<Signed>(raw));
}

template <class Float, class Unsigned>
std::optional<std::string> floating(Bytes value) {
    Reader reader{value};
    const auto raw = reader.big_endian<Unsigned>();
    if (!reader.complete()) return std::nullopt;
    std::array<char, 64> text{};
    const auto [end, error] =
        std::to_chars(text.data(), text.data() + text.size(), std::bit_cast<Float>(raw));
    return std::string(text.data(), end);
}

// numeric.c, numeric_send: digits of base 10,000, weight of the first, sign, scale.
std::optional<std::string> numeric(Bytes value) {
    Reader reader{value};
    const auto count = reader.big_endian<std::uint16_t>();
    const auto weight = static_cast<std::int16_t>(reader.big_endian<std::uint16_t>());
    const auto sign = reader.big_endian<std::uint16_t>();
    const auto scale = reader.big_endian<std::uint16_t>();
    if (sign == 0xC000) return "NaN";
    if (sign == 0xD000) return "Infinity";
    if (sign == 0xF000) return "-Infinity";
    // Bounded: a weight or scale that no stored number has would be written out as zeros.
    if (!reader.ok() || (sign != 0 && sign != 0x4000) || weight > 4'096 || scale > 16'384)
        return std::nullopt;
    std::vector<std::uint16_t> digits;
    for (int i = 0; i < count && reader.ok(); ++i)
        digits.push_back(reader.big_endian<std::uint16_t>());
    if (!reader.complete()) return std::nullopt;
    const auto digit = [&](int at) {
        return at >= 0 && at < static_cast<int>(digits.size())
                   ? digits[static_cast<std::size_t>(at)]
                   : std::uint16_t{};
    };
    std::string text = sign == 0x4000 ? "-" : "";
    std::array<char, 8> group{};
    if (weight < 0) text += '0';
    for (int i = 0; i <= weight; ++i) {
        std::snprintf(group.data(), group.size(), i == 0 ? "%u" : "%04u", digit(i) % 10'000u);
        text += group.data();
    }
    std::string fraction;
    for (int i = weight + 1; fraction.size() < scale; ++i) {
        std::snprintf(group.data(), group.size(), "%04u", digit(i) % 10'000u);
        fraction += group.data();
    }
    fraction.resize(scale);
    return scale == 0 ? text : text + "." + fraction;
}

std::optional<std::string> uuid(Bytes value) {
    if (value.size() != 16) return std::nullopt;
    std::string text = to_hex(value);
    for (const std::size_t at : {20, 16, 12, 8}) text.insert(at, 1, '-');
    return text;
}

std::string day_text(std::chrono::sys_days day) {
    const std::chrono::year_month_day ymd{day};
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(ymd.year()),
                  static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()));
    return text.data();
}

constexpr std::chrono::sys_days kEpoch{std::chrono::year{2000} / 1 / 1};

std::optional<std::string> date(Bytes value) {
    Reader reader{value};
    const auto days = static_cast<std::int32_t>(reader.big_endian<std::uint32_t>());
    // Beyond what chrono's years hold; ±infinity is there too.
    if (!reader.complete() || days > 11'000'000 || days < -11'000'000) return std::nullopt;
    return day_text(kEpoch + std::chrono::days{days});
}

std::optional<std::string> timestamp(Bytes value, std::string_view zone) {
    Reader reader{value};
    const auto raw = static_cast<std::int64_t>(reader.big_endian<std::uint64_t>());
    constexpr std::int64_t kDay = 86'400'000'000;
    if (!reader.complete() || raw > 11'000'000 * kDay || raw < -11'000'000 * kDay)
        return std::nullopt;
    const std::int64_t days = raw >= 0 ? raw / kDay : -((-raw + kDay - 1) / kDay);
    const std::int64_t rest = raw - days * kDay;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), " %02d:%02d:%02d",
                  static_cast<int>(rest / 3'600'000'000), static_cast<int>(rest / 60'000'000 % 60),
                  static_cast<int>(rest / 1'000'000 % 60));
    std::string out = day_text(kEpoch + std::chrono::days{days}) + text.data();
    if (rest % 1'000'000 != 0) {
        std::snprintf(text.data(), text.size(), ".%06d", static_cast<int>(rest % 1'000'000));
        out += text.data();
    }
    return out += zone;
}

std::optional<std::string> known_binary(std::uint32_t type, Bytes value) {
    switch (type) {
    case oid::kBool:
        if (value.size() != 1) return std::nullopt;
        return value.front() == std::byte{} ? "false" : "true";
    case oid::kInt2: return integer<std::int16_t, std::uint16_t>(value);
    case oid::kInt4: return integer<std::int32_t, std::uint32_t>(value);
    case oid::kInt8: return integer<std::int64_t, std::uint64_t>(value);
    case oid::kOid: return integer<std::uint32_t, std::uint32_t>(value);
    case oid::kFloat4: return floating<float, std::uint32_t>(value);
    case oid::kFloat8: return floating<double, std::uint64_t>(value);
    case oid::kNumeric: return numeric(value);
    case oid::kUuid: return uuid(value);
    case oid::kDate: return date(value);
    case oid::kTimestamp: return timestamp(value, "");
    case oid::kTimestamptz: return timestamp(value, "+00");
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kUnknown:
    case oid::kXml:
    case oid::kJson: return std::string{as_text(value)};
    case oid::kJsonb:
        if (value.empty() || value.front() != std::byte{1}) return std::nullopt;
        return std::string{as_text(value.subspan(1))};
    default: return std::nullopt;
    }
}

}  // namespace

std::string binary_as_text(std::uint32_t type, Bytes value) {
    if (auto text = known_binary(type, value)) return *std::move(text);
    return hex(value);
}

void read_parameters(const wire::pg::Bind& bind, std::span<const std::uint32_t> types,
                     std::size_t max_text, std::vector<policy::Parameter>& into) {
    into.clear();
    into.reserve(bind.values.size());
    for (std::size_t i = 0; i != bind.values.size(); ++i) {
        policy::Parameter& parameter = into.emplace_back();
        parameter.type = i < types.size() ? types[i] : 0;
        const auto& value = bind.values[i];
        if (!value) {
            parameter.null = true;
            continue;
        }
        // Only the beginning is converted, so that a large value costs no more than a small one.
        const Bytes shown = value->first(std::min(value->size(), max_text));
        parameter.truncated = shown.size() < value->size();
        parameter.text = bind.format(i) == 0 ? std::string{as_text(shown)}
                                             : binary_as_text(parameter.type, shown);
        if (parameter.text.size() > max_text) {
            parameter.text.resize(max_text);
            parameter.truncated = true;
        }
        if (parameter.truncated) parameter.whole = as_text(*value);
    }
}

}  // namespace chaperone::session
