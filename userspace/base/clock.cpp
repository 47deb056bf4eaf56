// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/clock.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace chaperone {
namespace {

using namespace std::chrono;

struct Unit {
    std::string_view name;
    std::int64_t nanoseconds;
};

constexpr std::array kUnits{
    Unit{"d", 86'400'000'000'000},
    Unit{"h", 3'600'000'000'000},
    Unit{"m", 60'000'000'000},
    Unit{"s", 1'000'000'000},
    Unit{"ms", 1'000'000},
    Unit{"us", 1'000},
    Unit{"ns", 1},
};

bool digits(std::string_view text, int& value) {
    for (const char c : text)
        if (c < '0' || c > '9') return false;
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
}

}  // namespace

std::string to_rfc3339(Time time) {
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{floor<nanoseconds>(time - day)};
    std::array<char, 40> text;
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%09d",
                  static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()),
                  static_cast<int>(clock.subseconds().count()));
    std::string result{text.data()};
    result.erase(result.find_last_not_of('0') + 1);
    if (result.back() == '.') result.pop_back();
    return result + "Z";
}

Result<Time> parse_rfc3339(std::string_view text) {
    const auto bad = [] { return fail(Errc::Malformed, "time is not RFC 3339"); };
    int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
    if (text.size() < 20 || text[4] != '-' || text[7] != '-' ||
        (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':')
        return bad();
    if (!digits(text.substr(0, 4), y) || !digits(text.substr(5, 2), mo) ||
        !digits(text.substr(8, 2), d) || !digits(text.substr(11, 2), h) ||
        !digits(text.substr(14, 2), mi) || !digits(text.substr(17, 2), s))
        return bad();
    const year_month_day date{year{y}, month{static_cast<unsigned>(mo)},
                              day{static_cast<unsigned>(d)}};
    if (!date.ok() || h > 23 || mi > 59 || s > 59) return bad();
    text.remove_prefix(19);

    std::int64_t fraction = 0;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        std::size_t count = 0;
        for (; count != text.size() && text[count] >= '0' && text[count] <= '9'; ++count)
            if (count < 9) fraction = fraction * 10 + (text[count] - '0');
        if (count == 0) return bad();
        for (std::size_t i = count; i < 9; ++i) fraction *= 10;
        text.remove_prefix(count);
    }

    minutes offset{0};
    if (text != "Z" && text != "z") {
        int oh = 0, om = 0;
        if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' ||
            !digits(text.substr(1, 2), oh) || !digits(text.substr(4, 2), om) || oh > 23 || om > 59)
            return bad();
        offset = hours{oh} + minutes{om};
        if (text[0] == '-') offset = -offset;
    }
    // sys_time of nanoseconds ends in 2262.
    if (y < 1678 || y > 2261) return fail(Errc::Invalid, "time is outside the years 1678 to 2261");
    return Time{sys_days{date}} + hours{h} + minutes{mi} + seconds{s} + nanoseconds{fraction} -
           offset;
}

Result<Duration> parse_duration(std::string_view text) {
    const auto bad = [] { return fail(Errc::Invalid, "a duration is like 90s, 10m or 1h30m"); };
    if (text.empty()) return bad();
    std::int64_t total = 0;
    std::size_t next_unit = 0;
    while (!text.empty()) {
        std::int64_t count = 0;
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (ec != std::errc{} || count < 0) return bad();
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const auto name = text.substr(0, text.find_first_of("0123456789"));
        std::size_t unit = next_unit;
        while (unit != kUnits.size() && kUnits[unit].name != name) ++unit;
        if (unit == kUnits.size()) return bad();
        std::int64_t part = 0;
        if (__builtin_mul_overflow(count, kUnits[unit].nanoseconds, &part) ||
            __builtin_add_overflow(total, part, &total))
            return bad();
        next_unit = unit + 1;
        text.remove_prefix(name.size());
    }
    return Duration{total};
}

std::string to_text(Duration duration) {
    std::int64_t left = duration.count();
    if (left == 0) return "0s";
    std::string text = left < 0 ? "-" : "";
    if (left < 0)
        left = left == std::numeric_limits<std::int64_t>::min()
                   ? std::numeric_limits<std::int64_t>::max()
                   : -left;
    for (const Unit& unit : kUnits) {
        if (left / unit.nanoseconds == 0) continue;
        text += std::to_string(left / unit.nanoseconds);
        text += unit.name;
        left %= unit.nanoseconds;
    }
    return text;
}

}  // namespace chaperone
