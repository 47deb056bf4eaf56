// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/findings.h"

#include "policy/yaml/text.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace chaperone::policy::bundle {
namespace {

std::string_view line_around(std::string_view content, std::size_t at) {
    at = std::min(at, content.size());
    const std::size_t before = at == 0 ? std::string_view::npos : content.rfind('\n', at - 1);
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    std::string_view line = content.substr(begin, content.find('\n', at) - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string_view line_number(std::string_view content, std::uint32_t line) {
    std::size_t begin = 0;
    for (std::uint32_t i = 1; i < line; ++i) {
        const std::size_t end = content.find('\n', begin);
        if (end == std::string_view::npos) return {};
        begin = end + 1;
    }
    return line_around(content, begin);
}

std::uint32_t length_in_line(std::string_view content, const Mark& at) {
    if (at.end <= at.begin || at.end > content.size()) return 1;
    std::string_view text = content.substr(at.begin, at.end - at.begin);
    text = text.substr(0, text.find('\n'));
    while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
    return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(yaml::code_points(text)));
}

// Follows a scalar's value through the text that it was written as. Only white space is folded and
// only a backslash or a doubled quote stands for something else, so that each character of the
// value is found in order.
class Aligned {
public:
    // `raw` is without the quotes, and without the header of a block scalar.
    Aligned(std::string_view raw, Style style) : raw_(raw), style_(style) {}

    // Where the value's next byte was written.
    std::size_t step(char byte) {
        if (pending_ != 0) {  // further bytes of an escaped code point
            --pending_;
            return escape_at_;
        }
        const bool space = byte == ' ' || byte == '\n' || byte == '\t';
        if (space) return step_space(byte);
        while (at_ < raw_.size() && is_space(raw_[at_])) ++at_;
        if (style_ == Style::DoubleQuoted && at_ < raw_.size() && raw_[at_] == '\\')
            return step_escape();
        const std::size_t here = at_;
        if (at_ < raw_.size()) ++at_;
        if (style_ == Style::SingleQuoted && byte == '\'' && at_ < raw_.size()) ++at_;
        return here;
    }

private:
    static bool is_space(char byte) noexcept {
        return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
    }

    std::size_t step_space(char byte) {
        if (style_ == Style::DoubleQuoted && at_ < raw_.size() && raw_[at_] == '\\')
            return step_escape();
        const std::size_t here = at_;
        if (at_ < raw_.size() && raw_[at_] == byte) ++at_;
        return here;
    }

    std::size_t step_escape() {
        escape_at_ = at_;
        const char kind = at_ + 1 < raw_.size() ? raw_[at_ + 1] : '\0';
        if (kind == '\n' || kind == '\r') {  // an escaped line break stands for nothing
            at_ += 2;
            while (at_ < raw_.size() && is_space(raw_[at_])) ++at_;
            const std::size_t here = at_;
            if (at_ < raw_.size()) ++at_;
            return here;
        }
        const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
        if (digits != 0) {
            char32_t value = 0;
            for (std::size_t i = 0; i != digits && at_ + 2 + i < raw_.size(); ++i)
                value = value * 16 + hex(raw_[at_ + 2 + i]);
            pending_ = value < 0x80 ? 0 : value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
        }
        at_ = std::min(raw_.size(), at_ + 2 + digits);
        return escape_at_;
    }

    static char32_t hex(char digit) noexcept {
        if (digit >= '0' && digit <= '9') return static_cast<char32_t>(digit - '0');
        return static_cast<char32_t>((digit | 0x20) - 'a' + 10) & 0xfU;
    }

    std::string_view raw_;
    Style style_;
    std::size_t at_ = 0;
    std::size_t pending_ = 0;
    std::size_t escape_at_ = 0;
};

std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            const std::size_t change = diagonal + ((a[i - 1] | 0x20) == (b[j - 1] | 0x20) ? 0 : 1);
            row[j] = std::min({change, above + 1, row[j - 1] + 1});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

Issue make_issue(const std::vector<SourceFile>& files, Severity severity, const Mark& at,
                 std::string message, std::string suggestion) {
    Issue issue{.severity = severity, .message = std::move(message)};
    issue.suggestion = std::move(suggestion);
    if (at.file >= files.size()) return issue;
    const SourceFile& file = files[at.file];
    issue.file = file.path;
    issue.line = at.line;
    issue.column = at.column;
    if (at.line == 0) return issue;
    issue.length = length_in_line(file.content, at);
    issue.source_line = at.end > at.begin ? line_around(file.content, at.begin)
                                          : line_number(file.content, at.line);
    return issue;
}

Mark inside_scalar(const std::vector<SourceFile>& files, const Mark& scalar, std::string_view value,
                   std::size_t offset, std::size_t length) {
    if (scalar.file >= files.size()) return scalar;
    const std::string_view content = files[scalar.file].content;
    if (scalar.end > content.size() || scalar.begin > scalar.end) return scalar;
    Aligned aligned{content.substr(scalar.begin, scalar.end - scalar.begin), scalar.style};
    std::size_t where = 0;
    for (std::size_t i = 0; i <= offset; ++i)
        where = aligned.step(i < value.size() ? value[i] : '\x01');
    Mark at = scalar;
    at.begin = static_cast<std::uint32_t>(std::min<std::size_t>(scalar.begin + where, scalar.end));
    const std::string_view before = content.substr(0, at.begin);
    const auto lines = std::ranges::count(before.substr(scalar.begin), '\n');
    at.line = scalar.line + static_cast<std::uint32_t>(lines);
    const std::size_t start = before.rfind('\n');
    const std::size_t begin = start == std::string_view::npos ? 0 : start + 1;
    at.column = static_cast<std::uint32_t>(yaml::code_points(before.substr(begin))) + 1;
    std::size_t end = at.begin;
    for (std::size_t i = 0; i < std::max<std::size_t>(length, 1) && end < content.size(); ++i) {
        const auto size = yaml::first_code_point(content.substr(end)).size;
        if (size == 0 || content[end] == '\n') break;
        end += size;
    }
    at.end = static_cast<std::uint32_t>(end);
    return at;
}

void Findings::error(const Mark& at, std::string message, std::string suggestion) {
    ++errors_;
    add(make_issue(files_, Severity::Error, at, std::move(message), std::move(suggestion)));
}

void Findings::warning(const Mark& at, std::string id, std::string message,
                       std::string suggestion) {
    Issue issue =
        make_issue(files_, Severity::Warning, at, std::move(message), std::move(suggestion));
    issue.id = std::move(id);
    add(std::move(issue));
}

void Findings::add(Issue issue) {
    if (issues_.size() < kMost) issues_.push_back(std::move(issue));
}

std::vector<Issue> Findings::take() {
    std::ranges::sort(issues_, [](const Issue& a, const Issue& b) {
        return std::tie(a.file, a.line, a.column, a.message) <
               std::tie(b.file, b.line, b.column, b.message);
    });
    return std::exchange(issues_, {});
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string_view>& names) {
    if (wrong.size() > 64) return {};
    std::string_view best;
    std::size_t least = std::max<std::size_t>(1, wrong.size() / 3) + 1;
    for (const std::string_view name : names) {
        const std::size_t far = distance(wrong, name);
        if (far < least) {
            least = far;
            best = name;
        }
    }
    return best.empty() ? std::string{} : "did you mean \"" + std::string{best} + "\"?";
}

}  // namespace chaperone::policy::bundle
