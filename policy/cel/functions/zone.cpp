// SPDX-License-Identifier: Apache-2.0
// Time zones from TZif files (RFC 8536) and the POSIX rule in their footer.
#include "policy/cel/functions/zone.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace chaperone::cel {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;  // the largest of them has 5 KiB
constexpr std::size_t kMaxZones = 1000;    // there are about 600
constexpr std::int64_t kDay = 86400;

// A change of a POSIX rule ("M3.2.0/2"): the second of the year's local time at which it happens.
struct Change {
    char form = 'M';  // M: month.week.day, J: day 1-365 without leap days, 0: day 0-365
    int month = 0;
    int week = 0;
    int day = 0;
    std::int64_t time = 7200;

    std::int64_t at(int year) const {
        using namespace std::chrono;
        const auto start = sys_days{std::chrono::year{year} / January / 1};
        const bool leap = std::chrono::year{year}.is_leap();
        sys_days date = start + days{day};
        if (form == 'J') date = start + days{day - 1 + (leap && day >= 60 ? 1 : 0)};
        if (form == 'M') {
            const auto which =
                std::chrono::year{year} / std::chrono::month(static_cast<unsigned>(month));
            const weekday wanted{static_cast<unsigned>(day)};
            date = week == 5 ? sys_days{which / wanted[last]}
                             : sys_days{which / wanted[static_cast<unsigned>(week)]};
        }
        return date.time_since_epoch().count() * kDay + time;
    }
};

// "EST5EDT,M3.2.0,M11.1.0" of the footer: what holds after the last transition.
class PosixRule {
public:
    static std::optional<PosixRule> parse(std::string_view text) {
        PosixRule rule;
        Reader reader{text};
        if (!reader.name() || !reader.offset(rule.standard_)) return std::nullopt;
        rule.standard_ = -rule.standard_;
        rule.daylight_ = rule.standard_ + 3600;
        if (reader.done()) return rule;
        rule.has_daylight_ = true;
        if (!reader.name()) return std::nullopt;
        if (!reader.at(',')) {
            if (!reader.offset(rule.daylight_)) return std::nullopt;
            rule.daylight_ = -rule.daylight_;
        }
        if (!reader.take(',') || !reader.change(rule.begin_) || !reader.take(',') ||
            !reader.change(rule.end_) || !reader.done())
            return std::nullopt;
        return rule;
    }

    std::int64_t offset(std::int64_t seconds) const {
        if (!has_daylight_) return standard_;
        using namespace std::chrono;
        const sys_seconds local{std::chrono::seconds{seconds + standard_}};
        const int year = static_cast<int>(year_month_day{floor<days>(local)}.year());
        const std::int64_t begin = begin_.at(year) - standard_;
        const std::int64_t end = end_.at(year) - daylight_;
        const bool daylight =
            begin < end ? seconds >= begin && seconds < end : seconds >= begin || seconds < end;
        return daylight ? daylight_ : standard_;
    }

private:
    class Reader {
    public:
        explicit Reader(std::string_view text) : text_(text) {}
        bool done() const { return text_.empty(); }
        bool at(char c) const { return text_.starts_with(c); }
        bool take(char c) {
            if (!at(c)) return false;
            text_.remove_prefix(1);
            return true;
        }
        bool name() {
            if (take('<')) {
                const auto end = text_.find('>');
                if (end == text_.npos) return false;
                text_.remove_prefix(end + 1);
                return true;
            }
            const auto letter = [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; };
            const auto end = std::ranges::find_if_not(text_, letter);
            const auto length = static_cast<std::size_t>(end - text_.begin());
            text_.remove_prefix(length);
            return length >= 3;
        }
        bool number(int& value) {
            const auto got = std::from_chars(text_.data(), text_.data() + text_.size(), value);
            if (got.ec != std::errc{} || value < 0 || value > 366) return false;
            text_.remove_prefix(static_cast<std::size_t>(got.ptr - text_.data()));
            return true;
        }
        bool offset(std::int64_t& seconds) {
            const bool negative = take('-');
            if (!negative) take('+');
            int part = 0;
            if (!number(part)) return false;
            seconds = part * 3600;
            for (const int unit : {60, 1}) {
                if (!take(':')) break;
                if (!number(part)) return false;
                seconds += part * unit;
            }
            if (negative) seconds = -seconds;
            return true;
        }
        bool change(Change& change) {
            if (take('M')) {
                if (!number(change.month) || !take('.') || !number(change.week) || !take('.') ||
                    !number(change.day) || change.month < 1 || change.month > 12 ||
                    change.week < 1 || change.week > 5 || change.day > 6)
                    return false;
            } else {
                change.form = take('J') ? 'J' : '0';
                if (!number(change.day)) return false;
            }
            return !take('/') || offset(change.time);
        }

    private:
        std::string_view text_;
    };

    std::int64_t standard_ = 0;
    std::int64_t daylight_ = 0;
    bool has_daylight_ = false;
    Change begin_;
    Change end_;
};

class Zone {
public:
    static std::shared_ptr<const Zone> parse(std::string_view file) {
        auto zone = std::make_shared<Zone>();
        Counts counts;
        std::string_view rest = file;
        if (!header(rest, counts)) return nullptr;
        if (file[4] >= '2') {  // the second block has 64-bit times
            if (rest.size() < counts.bytes(4)) return nullptr;
            rest.remove_prefix(counts.bytes(4));
            if (!header(rest, counts)) return nullptr;
        }
        const std::size_t width = file[4] >= '2' ? 8 : 4;
        if (rest.size() < counts.bytes(width)) return nullptr;
        if (!zone->read(rest, counts, width)) return nullptr;
        rest.remove_prefix(counts.bytes(width));
        if (rest.size() > 2 && rest.front() == '\n')
            zone->rule_ = PosixRule::parse(rest.substr(1, rest.find('\n', 1) - 1));
        return zone;
    }

    std::int64_t offset(std::int64_t seconds) const {
        if (times_.empty() || seconds < times_.front())
            return times_.empty() && rule_ ? rule_->offset(seconds) : first_;
        if (seconds >= times_.back() && rule_) return rule_->offset(seconds);
        const auto after = std::ranges::upper_bound(times_, seconds);
        return offsets_[static_cast<std::size_t>(after - times_.begin()) - 1];
    }

private:
    struct Counts {
        std::array<std::size_t, 6> of{};  // isutc isstd leap time type char
        std::size_t bytes(std::size_t width) const {
            return of[3] * (width + 1) + of[4] * 6 + of[5] + of[2] * (width + 4) + of[1] + of[0];
        }
    };

    static std::int64_t number(std::string_view bytes, std::size_t at, std::size_t width) {
        std::uint64_t value = (static_cast<unsigned char>(bytes[at]) & 0x80) != 0 ? ~0ULL : 0;
        for (std::size_t i = 0; i != width; ++i)
            value = (value << 8) | static_cast<unsigned char>(bytes[at + i]);
        return static_cast<std::int64_t>(value);
    }
    static bool header(std::string_view& rest, Counts& counts) {
        constexpr std::size_t kHeader = 44;
        if (rest.size() < kHeader || !rest.starts_with("TZif")) return false;
        for (std::size_t i = 0; i != 6; ++i) {
            const std::int64_t count = number(rest, 20 + 4 * i, 4);
            if (count < 0 || count > 100'000) return false;
            counts.of[i] = static_cast<std::size_t>(count);
        }
        rest.remove_prefix(kHeader);
        return counts.of[4] != 0;
    }
    bool read(std::string_view data, const Counts& counts, std::size_t width) {
        const std::size_t indices = counts.of[3] * width;
        const std::size_t types = indices + counts.of[3];
        const auto offset_of = [&](std::size_t type) { return number(data, types + 6 * type, 4); };
        first_ = offset_of(0);
        for (std::size_t i = 0; i != counts.of[3]; ++i) {
            const auto type = static_cast<unsigned char>(data[indices + i]);
            if (type >= counts.of[4]) return false;
            times_.push_back(number(data, i * width, width));
            offsets_.push_back(offset_of(type));
        }
        return std::ranges::is_sorted(times_);
    }

    std::int64_t first_ = 0;
    std::vector<std::int64_t> times_;
    std::vector<std::int64_t> offsets_;
    std::optional<PosixRule> rule_;
};

// Names that cannot leave the folder: letters, digits, _ + - and single slashes between them.
bool is_zone_name(std::string_view name) {
    constexpr std::size_t kLongest = 64;
    if (name.empty() || name.size() > kLongest || name.front() == '/' || name.back() == '/')
        return false;
    for (std::size_t i = 0; i != name.size(); ++i) {
        const char c = name[i];
        const bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '+' && c != '-' && (c != '/' || name[i - 1] == '/'))
            return false;
    }
    return true;
}

std::shared_ptr<const Zone> load(std::string_view name) {
    static std::mutex mutex;
    static std::map<std::string, std::shared_ptr<const Zone>, std::less<>> zones;
    const std::scoped_lock lock{mutex};
    if (const auto known = zones.find(name); known != zones.end()) return known->second;
    std::shared_ptr<const Zone> zone;
    std::ifstream in{"/usr/share/zoneinfo/" + std::string{name}, std::ios::binary};
    if (in) {
        std::string file(kMaxFile, '\0');
        in.read(file.data(), static_cast<std::streamsize>(file.size()));
        file.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
        zone = Zone::parse(file);
    }
    if (zones.size() >= kMaxZones) zones.clear();
    zones.emplace(name, zone);
    return zone;
}

// "+HH:MM", "-HH:MM" or "HH:MM".
std::optional<std::int64_t> fixed_offset(std::string_view name) {
    const bool negative = name.starts_with('-');
    if (negative || name.starts_with('+')) name.remove_prefix(1);
    if (name.size() != 5 || name[2] != ':') return std::nullopt;
    for (const std::size_t i : {0, 1, 3, 4})
        if (name[i] < '0' || name[i] > '9') return std::nullopt;
    const std::int64_t hours = (name[0] - '0') * 10 + (name[1] - '0');
    const std::int64_t minutes = (name[3] - '0') * 10 + (name[4] - '0');
    if (hours > 23 || minutes > 59) return std::nullopt;
    const std::int64_t seconds = hours * 3600 + minutes * 60;
    return negative ? -seconds : seconds;
}

}  // namespace

std::optional<std::int64_t> zone_offset(std::string_view name, std::int64_t unix_seconds) {
    if (name == "UTC" || name == "Z" || name.empty()) return 0;
    if (const auto fixed = fixed_offset(name)) return fixed;
    if (!is_zone_name(name)) return std::nullopt;
    const auto zone = load(name);
    if (!zone) return std::nullopt;
    return zone->offset(unix_seconds);
}

}  // namespace chaperone::cel
