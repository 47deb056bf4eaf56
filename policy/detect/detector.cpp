// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/detector.h"

#include "policy/detect/context.h"
#include "policy/detect/scanner.h"

#include <re2/re2.h>

#include <algorithm>
#include <tuple>

namespace chaperone::detect {
namespace {

constexpr std::int64_t kPatternMemory = std::int64_t{4} << 20;

struct Custom {
    std::string name;
    std::unique_ptr<re2::RE2> pattern;
    std::string context;  // lower case, separated by '|'
    std::uint8_t confidence;
};

bool is_kind_name(std::string_view name) {
    const auto allowed = [](char c) { return is(c, kUpper | kDigit | kUnderscore); };
    return !name.empty() && name.size() <= 64 && is(name.front(), kUpper) &&
           std::ranges::all_of(name, allowed);
}

std::string joined_lower(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        if (!text.empty()) text += '|';
        for (const char c : word)
            text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return text;
}

Result<Custom> compile(const CustomRecognizer& source) {
    if (!is_kind_name(source.name) || builtin_kind(source.name))
        return fail(Errc::Invalid, "detector '" + source.name +
                                       "': the name must be of A-Z 0-9 _ "
                                       "and not a built-in's");
    if (source.pattern.empty() || source.pattern.size() > Detector::kMaxPattern)
        return fail(Errc::Invalid, "detector '" + source.name + "': pattern is empty or too long");
    if (source.confidence == 0 || source.confidence > 100)
        return fail(Errc::Invalid, "detector '" + source.name + "': confidence is 1 to 100");
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kPatternMemory);
    auto pattern = std::make_unique<re2::RE2>(source.pattern, options);
    if (!pattern->ok())
        return fail(Errc::Invalid, "detector '" + source.name + "': " + pattern->error());
    if (re2::RE2::FullMatch("", *pattern))
        return fail(Errc::Invalid, "detector '" + source.name + "': matches the empty text");
    return Custom{source.name, std::move(pattern), joined_lower(source.context), source.confidence};
}

void find_custom(const Custom& custom, KindId kind, std::uint8_t least, std::string_view text,
                 std::string_view hint, std::vector<Match>& out) {
    const re2::StringPiece whole{text.data(), text.size()};
    re2::StringPiece hit;
    for (std::size_t from = 0; from <= text.size();) {
        if (!custom.pattern->Match(whole, from, text.size(), re2::RE2::UNANCHORED, &hit, 1)) return;
        const auto begin = static_cast<std::size_t>(hit.data() - text.data());
        from = begin + std::max<std::size_t>(hit.size(), 1);
        if (hit.empty()) continue;
        const bool near = custom.context.empty() || context_before(custom.context, text, begin) ||
                          context_in(custom.context, hint);
        const auto confidence =
            static_cast<std::uint8_t>(near ? custom.confidence : custom.confidence / 2);
        if (confidence >= least) out.push_back({kind, begin, begin + hit.size(), confidence});
        if (out.size() < Detector::kMaxMatches) continue;
        out.back().end = text.size();
        return;
    }
}

// In order and without overlap. What overlaps becomes one match over all of it, so that no byte
// that anything matched is left; the more confident names it, then the longer.
void merge(std::vector<Match>& matches) {
    if (matches.size() < 2) return;
    std::ranges::sort(matches, {},
                      [](const Match& m) { return std::tuple{m.begin, m.end, m.kind}; });
    std::size_t kept = 0;
    for (std::size_t i = 1; i != matches.size(); ++i) {
        Match& last = matches[kept];
        const Match& next = matches[i];
        if (next.begin >= last.end) {
            matches[++kept] = next;
            continue;
        }
        const auto rank = [](const Match& m) { return std::pair{m.confidence, m.end - m.begin}; };
        const Match& better = rank(next) > rank(last) ? next : last;
        last = {better.kind, last.begin, std::max(last.end, next.end), better.confidence};
    }
    matches.resize(kept + 1);
}

}  // namespace

struct Detector::Plan {
    Builtins builtins{};
    std::vector<Custom> custom{};  // kind: the built-ins' count, and on
    Options options{};
};

Detector::Detector(std::unique_ptr<const Plan> plan) noexcept : plan_(std::move(plan)) {}
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;
Detector::~Detector() = default;

Result<Detector> Detector::make(std::span<const std::string> kinds,
                                std::span<const CustomRecognizer> custom, Options options) {
    if (custom.size() > kMaxCustom) return fail(Errc::TooLarge, "too many detectors");
    auto plan = std::make_unique<Plan>();
    plan->options = options;
    std::bitset<256> wanted;
    for (const std::string& name : kinds) {
        if (const auto kind = builtin_kind(name)) {
            if (wanted[*kind]) return fail(Errc::Invalid, "detector '" + name + "' is named twice");
            wanted.set(*kind);
            continue;
        }
        const auto source = std::ranges::find(custom, name, &CustomRecognizer::name);
        if (source == custom.end()) return fail(Errc::Invalid, "no detector '" + name + "'");
        if (std::ranges::find(plan->custom, name, &Custom::name) != plan->custom.end())
            return fail(Errc::Invalid, "detector '" + name + "' is named twice");
        auto compiled = compile(*source);
        if (!compiled) return fail(compiled.error());
        plan->custom.push_back(std::move(*compiled));
    }
    plan->builtins = plan_builtins(wanted);
    return Detector{std::move(plan)};
}

void Detector::find(std::string_view text, std::vector<Match>& out, std::string_view hint) const {
    out.clear();
    Scanner{plan_->builtins, plan_->options.least, text, hint, out}.run();
    auto kind = static_cast<KindId>(builtin_kinds().size());
    for (const Custom& custom : plan_->custom)
        find_custom(custom, kind++, plan_->options.least, text, hint, out);
    merge(out);
}

bool Detector::contains(std::string_view text, std::string_view hint) const {
    std::vector<Match> found;
    Scanner{plan_->builtins, plan_->options.least, text, hint, found}.run(true);
    if (!found.empty() || plan_->custom.empty()) return !found.empty();
    find(text, found, hint);
    return !found.empty();
}

bool Detector::only_built_in() const noexcept {
    return plan_->custom.empty();
}

std::string_view Detector::name(KindId kind) const noexcept {
    const auto builtins = builtin_kinds();
    if (kind < builtins.size()) return builtins[kind].name;
    const std::size_t at = kind - builtins.size();
    return at < plan_->custom.size() ? std::string_view{plan_->custom[at].name} : "";
}

}  // namespace chaperone::detect
