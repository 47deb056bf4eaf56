// SPDX-License-Identifier: Apache-2.0
// Timestamps and durations: their texts, constructors and parts.
#include "policy/cel/functions/library.h"
#include "policy/cel/functions/zone.h"

#include <charconv>
#include <chrono>
#include <cstdio>

namespace chaperone::cel {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::weekday;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kFirst = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr std::int64_t kLast = 253'402'300'799;   // 9999-12-31T23:59:59Z

Value bad_timestamp() {
    return Value::error("the text is no RFC 3339 timestamp");
}
Value bad_duration() {
    return Value::error("the text is no duration");
}

// Reads digits of fixed width.
class Digits {
public:
    explicit Digits(std::string_view text) : text_(text) {}
    int take(std::size_t count) {
        if (text_.size() < count) return fail();
        int value = 0;
        for (std::size_t i = 0; i != count; ++i) {
            if (text_[i] < '0' || text_[i] > '9') return fail();
            value = value * 10 + (text_[i] - '0');
        }
        text_.remove_prefix(count);
        return value;
    }
    bool take_if(char c) {
        if (!text_.starts_with(c)) return false;
        text_.remove_prefix(1);
        return true;
    }
    void expect(char upper) {
        if (!take_if(upper) && !take_if(static_cast<char>(upper | 32))) failed_ = true;
    }
    // ".5" as 500000000; digits beyond the ninth are cut.
    std::int32_t fraction() {
        std::int32_t nanos = 0;
        std::int32_t scale = 100'000'000;
        if (text_.empty() || text_[0] < '0' || text_[0] > '9') failed_ = true;
        for (; !text_.empty() && text_[0] >= '0' && text_[0] <= '9'; text_.remove_prefix(1)) {
            nanos += scale * (text_[0] - '0');
            scale /= 10;
        }
        return nanos;
    }
    bool complete() const { return text_.empty() && !failed_; }

private:
    int fail() {
        failed_ = true;
        return 0;
    }
    std::string_view text_;
    bool failed_ = false;
};

std::string fraction_text(std::int32_t nanos) {
    if (nanos == 0) return {};
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, ".%09d", nanos);
    std::string text = buffer;
    while (text.back() == '0') text.pop_back();
    return text;
}

Value timestamp_from_text(Call&, Arguments a) {
    return parse_timestamp(a[0].as_text());
}
Value timestamp_from_int(Call&, Arguments a) {
    return checked_timestamp(static_cast<__int128>(a[0].as_int()) * kSecond);
}
Value duration_from_text(Call&, Arguments a) {
    return parse_duration_text(a[0].as_text());
}
Value duration_from_int(Call&, Arguments a) {
    return checked_duration(static_cast<__int128>(a[0].as_int()) * kSecond);
}
Value same(Call&, Arguments a) {
    return a[0];
}

struct Local {
    sys_days day;
    year_month_day date;
    std::int64_t second_of_day = 0;
};

// A part of the local time, in UTC or in the zone that the second argument names.
template <std::int64_t (*Part)(const Local&)>
Value part(Call&, Arguments a) {
    std::int64_t offset = 0;
    if (a.size() == 2) {
        const auto found = zone_offset(a[1].as_text(), a[0].seconds());
        if (!found) return Value::error("unknown time zone");
        offset = *found;
    }
    const sys_seconds local{seconds{a[0].seconds() + offset}};
    const sys_days day = floor<days>(local);
    return Value::integer(Part({day, year_month_day{day}, (local - day).count()}));
}
std::int64_t full_year(const Local& t) {
    return static_cast<int>(t.date.year());
}
std::int64_t month(const Local& t) {
    return static_cast<unsigned>(t.date.month()) - 1;
}
std::int64_t date(const Local& t) {
    return static_cast<unsigned>(t.date.day());
}
std::int64_t day_of_month(const Local& t) {
    return date(t) - 1;
}
std::int64_t day_of_week(const Local& t) {
    return weekday{t.day}.c_encoding();
}
std::int64_t day_of_year(const Local& t) {
    return (t.day - sys_days{t.date.year() / std::chrono::January / 1}).count();
}
std::int64_t hours(const Local& t) {
    return t.second_of_day / 3600;
}
std::int64_t minutes(const Local& t) {
    return t.second_of_day / 60 % 60;
}
std::int64_t second(const Local& t) {
    return t.second_of_day % 60;
}
Value milliseconds(Call&, Arguments a) {
    if (a.size() == 2 && !zone_offset(a[1].as_text(), 0)) return Value::error("unknown time zone");
    return Value::integer(a[0].nanos() / 1'000'000);
}

template <std::int64_t Unit>
Value whole_units(Call&, Arguments a) {
    return Value::integer(a[0].seconds() / Unit);
}

void add_part(Environment::Builder& to, const std::string& name, const Function& run) {
    const std::string signature = "google.protobuf.Timestamp." + name;
    to.function(signature + "() -> int", run).function(signature + "(string) -> int", run);
}

}  // namespace

__int128 nanoseconds(const Value& time) {
    return static_cast<__int128>(time.seconds()) * kSecond + time.nanos();
}

Value checked_timestamp(__int128 total) {
    auto whole = static_cast<std::int64_t>(total / kSecond);
    auto nanos = static_cast<std::int32_t>(total % kSecond);
    if (nanos < 0) {
        nanos += kSecond;
        --whole;
    }
    if (total / kSecond > kLast || total / kSecond < kFirst - 1 || whole < kFirst || whole > kLast)
        return Value::error("range error: the timestamp is outside the years 1 to 9999");
    return Value::timestamp(whole, nanos);
}

Value checked_duration(__int128 total) {
    if (total > INT64_MAX || total < INT64_MIN)
        return Value::error("range error: the duration is too long");
    return Value::duration(static_cast<std::int64_t>(total / kSecond),
                           static_cast<std::int32_t>(total % kSecond));
}

std::string duration_text(const Value& duration) {
    const bool negative = duration.seconds() < 0 || duration.nanos() < 0;
    return (negative ? "-" : "") + std::to_string(std::abs(duration.seconds())) +
           fraction_text(std::abs(duration.nanos())) + "s";
}

std::string timestamp_text(const Value& timestamp) {
    const sys_seconds time{seconds{timestamp.seconds()}};
    const sys_days day = floor<days>(time);
    const year_month_day date{day};
    const auto rest = (time - day).count();
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%04d-%02u-%02uT%02d:%02d:%02d",
                  static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), static_cast<int>(rest / 3600),
                  static_cast<int>(rest / 60 % 60), static_cast<int>(rest % 60));
    return buffer + fraction_text(timestamp.nanos()) + "Z";
}

Value parse_timestamp(std::string_view text) {
    Digits in{text};
    const int years = in.take(4);
    in.expect('-');
    const int months = in.take(2);
    in.expect('-');
    const int day = in.take(2);
    in.expect('T');
    const int hour = in.take(2);
    in.expect(':');
    const int minute = in.take(2);
    in.expect(':');
    const int sec = in.take(2);
    const std::int32_t nanos = in.take_if('.') ? in.fraction() : 0;
    std::int64_t offset = 0;
    if (!in.take_if('Z') && !in.take_if('z')) {
        const bool negative = in.take_if('-');
        if (!negative) in.expect('+');
        const int offset_hours = in.take(2);
        in.expect(':');
        const int offset_minutes = in.take(2);
        if (offset_hours > 23 || offset_minutes > 59) return bad_timestamp();
        offset = (offset_hours * 60 + offset_minutes) * 60;
        if (negative) offset = -offset;
    }
    const year_month_day date{year{years}, std::chrono::month(static_cast<unsigned>(months)),
                              std::chrono::day(static_cast<unsigned>(day))};
    if (!in.complete() || !date.ok() || hour > 23 || minute > 59 || sec > 59)
        return bad_timestamp();
    const std::int64_t total = sys_days{date}.time_since_epoch().count() * std::int64_t{86400} +
                               hour * 3600 + minute * 60 + sec - offset;
    return checked_timestamp(static_cast<__int128>(total) * kSecond + nanos);
}

// A sequence of decimal numbers with units, "1h30m", "-1.5s", "100ms", or "0".
Value parse_duration_text(std::string_view text) {
    constexpr std::pair<std::string_view, std::int64_t> kUnits[]{
        {"ns", 1},         {"us", 1000},   {"\xC2\xB5s", 1000}, {"\xCE\xBCs", 1000},
        {"ms", 1'000'000}, {"s", kSecond}, {"m", 60 * kSecond}, {"h", 3600 * kSecond}};
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text == "0") return Value::duration(0, 0);
    if (text.empty()) return bad_duration();
    __int128 total = 0;
    while (!text.empty()) {
        std::uint64_t whole = 0;
        const auto got = std::from_chars(text.data(), text.data() + text.size(), whole);
        const auto digits = static_cast<std::size_t>(got.ptr - text.data());
        if (got.ec == std::errc::result_out_of_range)
            return Value::error("range error: the duration is too long");
        text.remove_prefix(digits);
        std::string_view fraction;
        if (text.starts_with('.')) {
            const std::size_t end = std::min(text.find_first_not_of("0123456789", 1), text.size());
            fraction = text.substr(1, end - 1);
            text.remove_prefix(end);
        }
        if (digits == 0 && fraction.empty()) return bad_duration();
        std::int64_t unit = 0;
        for (const auto& [name, value] : kUnits) {
            // "m" is also the beginning of "ms".
            if (!text.starts_with(name) || (name == "m" && text.starts_with("ms"))) continue;
            unit = value;
            text.remove_prefix(name.size());
            break;
        }
        if (unit == 0) return bad_duration();
        total += static_cast<__int128>(whole) * unit;
        std::int64_t scale = unit;
        for (const char digit : fraction) {
            scale /= 10;
            total += scale * (digit - '0');
        }
        if (total > static_cast<__int128>(INT64_MAX) + 1)
            return Value::error("range error: the duration is too long");
    }
    return checked_duration(negative ? -total : total);
}

void add_time(Environment::Builder& to) {
    to.function("timestamp(string) -> google.protobuf.Timestamp", timestamp_from_text)
        .function("timestamp(int) -> google.protobuf.Timestamp", timestamp_from_int)
        .function("timestamp(google.protobuf.Timestamp) -> google.protobuf.Timestamp", same)
        .function("duration(string) -> google.protobuf.Duration", duration_from_text)
        .function("duration(int) -> google.protobuf.Duration", duration_from_int)
        .function("duration(google.protobuf.Duration) -> google.protobuf.Duration", same);
    add_part(to, "getFullYear", part<full_year>);
    add_part(to, "getMonth", part<month>);
    add_part(to, "getDate", part<date>);
    add_part(to, "getDayOfMonth", part<day_of_month>);
    add_part(to, "getDayOfWeek", part<day_of_week>);
    add_part(to, "getDayOfYear", part<day_of_year>);
    add_part(to, "getHours", part<hours>);
    add_part(to, "getMinutes", part<minutes>);
    add_part(to, "getSeconds", part<second>);
    add_part(to, "getMilliseconds", milliseconds);
    to.function("google.protobuf.Duration.getHours() -> int", whole_units<3600>)
        .function("google.protobuf.Duration.getMinutes() -> int", whole_units<60>)
        .function("google.protobuf.Duration.getSeconds() -> int", whole_units<1>)
        .function("google.protobuf.Duration.getMilliseconds() -> int", milliseconds);
}

}  // namespace chaperone::cel
