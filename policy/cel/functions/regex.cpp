// SPDX-License-Identifier: Apache-2.0
// matches() and the regex extension, on RE2: time linear in the text, memory bounded.
#include "policy/cel/functions/library.h"

#include <re2/re2.h>

#include <memory>
#include <mutex>
#include <unordered_map>

namespace chaperone::cel {
namespace {

constexpr std::int64_t kMaxMemory = 1 << 20;  // of one compiled pattern
constexpr std::size_t kMaxPattern = 4096;     // bytes of a pattern
constexpr std::size_t kCompileSteps = 200;    // what compiling costs an evaluation
constexpr std::size_t kMaxCached = 1000;      // patterns that are kept compiled

using Pattern = std::shared_ptr<const re2::RE2>;

// Patterns of programs are few and constant, so they are compiled once per process.
class Cache {
public:
    Pattern find(std::string_view pattern) {
        const std::scoped_lock lock{mutex_};
        const auto known = patterns_.find(std::string{pattern});
        return known == patterns_.end() ? nullptr : known->second;
    }
    void keep(std::string_view pattern, Pattern compiled) {
        const std::scoped_lock lock{mutex_};
        if (patterns_.size() >= kMaxCached) patterns_.clear();
        patterns_.insert_or_assign(std::string{pattern}, std::move(compiled));
    }

private:
    std::mutex mutex_;
    std::unordered_map<std::string, Pattern> patterns_;
};

Pattern compiled(Call& call, std::string_view pattern, Value& failure) {
    // The last one of this thread, found without a lock: a loop uses one pattern again and again.
    static thread_local std::string last_text;
    static thread_local Pattern last;
    if (last && last_text == pattern) return last;
    static Cache cache;
    Pattern made = cache.find(pattern);
    if (!made) {
        if (pattern.size() > kMaxPattern) {
            failure = Value::error("the regular expression is too long");
            return nullptr;
        }
        if (!call.spend(kCompileSteps + pattern.size())) {
            failure = steps_used_up();
            return nullptr;
        }
        re2::RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(kMaxMemory);
        made = std::make_shared<const re2::RE2>(re2::StringPiece{pattern.data(), pattern.size()},
                                                options);
        if (!made->ok()) {
            failure = Value::own_error("invalid regular expression: " + made->error());
            return nullptr;
        }
        cache.keep(pattern, made);
    }
    last_text = pattern;
    last = made;
    return made;
}

re2::StringPiece piece(const Value& value) {
    return {value.as_text().data(), value.as_text().size()};
}
bool afford(Call& call, const Value& text) {
    return call.spend(1 + text.as_text().size() / 32);
}

Value matches(Call& call, Arguments a) {
    Value failure;
    if (!afford(call, a[0])) return steps_used_up();
    const Pattern pattern = compiled(call, a[1].as_text(), failure);
    if (!pattern) return failure;
    return Value::boolean(re2::RE2::PartialMatch(piece(a[0]), *pattern));
}

// The text of the only group, or of the whole match if there is none.
Value found_text(const re2::StringPiece (&match)[2], int groups) {
    const re2::StringPiece& part = groups == 0 ? match[0] : match[1];
    return Value::own_text({part.data(), part.size()});
}
constexpr std::string_view kGroups = "the regular expression has more than one capturing group";

Value extract(Call& call, Arguments a) {
    Value failure;
    if (!afford(call, a[0])) return steps_used_up();
    const Pattern pattern = compiled(call, a[1].as_text(), failure);
    if (!pattern) return failure;
    const int groups = pattern->NumberOfCapturingGroups();
    if (groups > 1) return Value::error(kGroups);
    re2::StringPiece match[2];
    const auto text = piece(a[0]);
    if (!pattern->Match(text, 0, text.size(), re2::RE2::UNANCHORED, match, groups + 1))
        return Value::none();
    if (groups == 1 && match[1].data() == nullptr) return Value::none();
    return Value::some(found_text(match, groups));
}

// Calls each(match) for every match from the left; an empty one moves on by a byte.
template <class Each>
bool each_match(Call& call, const re2::RE2& pattern, re2::StringPiece text, int groups,
                re2::StringPiece* match, Each each) {
    for (std::size_t at = 0; at <= text.size();) {
        if (!call.spend(1 + (text.size() - at) / 256)) return false;
        if (!pattern.Match(text, at, text.size(), re2::RE2::UNANCHORED, match, groups)) break;
        const auto begin = static_cast<std::size_t>(match[0].data() - text.data());
        if (!each(begin)) break;
        at = begin + match[0].size();
        if (!match[0].empty()) continue;
        ++at;
        while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    }
    return true;
}

Value extract_all(Call& call, Arguments a) {
    Value failure;
    const Pattern pattern = compiled(call, a[1].as_text(), failure);
    if (!pattern) return failure;
    const int groups = pattern->NumberOfCapturingGroups();
    if (groups > 1) return Value::error(kGroups);
    std::vector<Value> all;
    re2::StringPiece match[2];
    if (!each_match(call, *pattern, piece(a[0]), groups + 1, match, [&](std::size_t) {
            if (groups == 0 || match[1].data() != nullptr) all.push_back(found_text(match, groups));
            return true;
        }))
        return steps_used_up();
    return made_list(call, std::move(all));
}

// "\1" to "\9" are groups, "\\" is a backslash; anything else after a backslash is an error.
bool expand(std::string& out, std::string_view rewrite, const re2::StringPiece* match, int groups) {
    for (std::size_t i = 0; i != rewrite.size(); ++i) {
        if (rewrite[i] != '\\') {
            out += rewrite[i];
            continue;
        }
        if (++i == rewrite.size()) return false;
        if (rewrite[i] == '\\') {
            out += '\\';
        } else {
            const int group = rewrite[i] - '0';
            if (group < 0 || group > 9 || group > groups) return false;
            if (match[group].data() != nullptr)
                out.append(match[group].data(), match[group].size());
        }
    }
    return true;
}

Value replace(Call& call, Arguments a) {
    Value failure;
    const Pattern pattern = compiled(call, a[1].as_text(), failure);
    if (!pattern) return failure;
    const int groups = pattern->NumberOfCapturingGroups();
    std::int64_t left = a.size() == 4 ? a[3].as_int() : -1;
    constexpr int kMost = 10;
    re2::StringPiece match[kMost];
    const auto text = piece(a[0]);
    std::string out;
    std::size_t copied = 0;
    bool valid = true;
    const bool complete =
        left == 0 ||
        each_match(call, *pattern, text, std::min(groups + 1, kMost), match,
                   [&](std::size_t begin) {
                       out.append(text.data() + copied, begin - copied);
                       valid = expand(out, a[2].as_text(), match, std::min(groups, kMost - 1));
                       copied = begin + match[0].size();
                       return valid && --left != 0 && out.size() <= call.limits().value_size;
                   });
    if (!complete) return steps_used_up();
    if (!valid) return Value::error("invalid replacement of a regular expression");
    out.append(text.data() + copied, text.size() - copied);
    return made_text(call, out);
}

}  // namespace

void add_regex(Environment::Builder& to) {
    to.function("matches(string, string) -> bool", matches)
        .function("string.matches(string) -> bool", matches)
        .function("regex.extract(string, string) -> optional_type(string)", extract)
        .function("regex.extractAll(string, string) -> list(string)", extract_all)
        .function("regex.replace(string, string, string) -> string", replace)
        .function("regex.replace(string, string, string, int) -> string", replace);
}

}  // namespace chaperone::cel
