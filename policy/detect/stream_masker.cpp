// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/stream_masker.h"

#include "policy/detect/builtin.h"
#include "policy/detect/context.h"
#include "policy/detect/rules.h"

#include <algorithm>

namespace chaperone::detect {
namespace {

constexpr std::string_view kEnd = "-----END ", kDashes = "-----";
constexpr std::size_t kMaxEndLine = 64;

bool is_token(char c) {
    return is(c, kUrl64 | kPlusSlash | kDot);
}

bool is_letter(char c) {
    return is(c, kLower | kUpper);
}

// Chinese, Japanese, Korean: written without spaces, and in no value that stands in a text of them.
bool is_ideograph(char c) {
    const auto lead = static_cast<unsigned char>(c);
    return lead >= 0xe3 && lead <= 0xed;
}

// A word of a sentence: no group of a number, no capitals, no sign before or in it. Only others
// stand in one value with what comes behind a space.
bool is_plain(std::string_view word) {
    while (!word.empty() && std::string_view{".,;!?"}.contains(word.back())) word.remove_suffix(1);
    if (word.size() < 2) return word.empty() || is(word.front(), kLower);
    const auto inner = [](char c) {
        return is(c, kLower) || c == '\'' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
    };
    return (is_letter(word.front()) || static_cast<unsigned char>(word.front()) >= 0x80) &&
           std::ranges::all_of(word.substr(1), inner);
}

// The bytes at the end of a text that may be the beginning of a built-in kind's value: the last
// word, while no space ends it, and words before that could stand in one value with it.
std::size_t open_tail(std::string_view text) {
    constexpr std::string_view kSpaces = " \t\r\n";
    std::size_t open = text.size(), end = text.size();
    while (end != 0 && text.size() - open <= StreamMasker::kTail) {
        std::size_t begin = end;
        while (begin != 0 && !kSpaces.contains(text[begin - 1])) {
            --begin;
            if (is_ideograph(text[begin])) {  // up to its end
                begin = std::min(begin + 3, end);
                break;
            }
        }
        const std::string_view word = text.substr(begin, end - begin);
        const bool unfinished = end == text.size() && !word.empty();
        if (!word.empty() && !unfinished && is_plain(word)) break;
        if (!word.empty()) open = begin;
        if (begin != 0 && !kSpaces.contains(text[begin - 1])) break;  // behind an ideograph
        end = begin;
        while (end != 0 && kSpaces.contains(text[end - 1])) --end;
    }
    return text.size() - open;
}

}  // namespace

void StreamMasker::feed(std::string_view piece, std::string& out) {
    held_ += piece;
    const std::size_t waiting = held_.size() - seen_;
    if (waiting >= 2 * kTail) return release(kTail, false, out);
    if (!prompt_) return;
    const std::size_t tail = open_tail(std::string_view{held_}.substr(seen_));
    if (tail < waiting) release(tail, false, out);
}

void StreamMasker::finish(std::string& out) {
    release(0, true, out);
    held_.clear();
    seen_ = 0;
    swallowing_ = false;
}

void StreamMasker::release(std::size_t tail, bool last, std::string& out) {
    if (swallowing_) swallow();
    if (swallowing_) return;
    detector_.find(held_, matches_);
    std::erase_if(matches_, [&](const Match& m) { return m.end <= seen_; });
    const std::size_t waiting = held_.size() - seen_;
    std::size_t cut = last ? held_.size() : held_.size() - std::min(waiting, tail);
    // A token that crosses the border may only show what it is when more of it has come.
    if (!last)
        while (cut > seen_ && is_token(held_[cut - 1]) && is_token(held_[cut])) --cut;
    for (const Match& match : matches_)
        if (!last && (match.end > cut || match.end == held_.size()))  // it may go on
            cut = std::min(cut, std::max(match.begin, seen_));
    if (cut == seen_ && waiting > kMaxHeld) {
        const bool known = !matches_.empty() && matches_.front().begin <= seen_;
        if (known) {
            swallowing_ = true;
            swallow_block_ = matches_.front().kind == id_of(Kind::PrivateKey);
            cut = matches_.front().end;
        } else {
            cut = held_.size() - kTail;
            for (const Match& match : matches_)
                if (match.end > cut) cut = std::min(cut, match.begin);
        }
    }
    std::erase_if(matches_, [&](const Match& m) { return m.end > cut; });
    for (Match& match : matches_) {
        match.begin = std::max(match.begin, seen_) - seen_;
        match.end -= seen_;
    }
    masked_ += matches_.size();
    out += masker_.spans(std::string_view{held_}.substr(seen_, cut - seen_), matches_, with_,
                         detector_);
    const std::size_t context = std::min(cut, kContextReach);
    held_.erase(0, cut - context);
    seen_ = context;
}

// Drops the rest of a value whose beginning was masked already.
void StreamMasker::swallow() {
    const std::string_view rest = std::string_view{held_}.substr(seen_);
    std::size_t end = 0;
    if (swallow_block_) {
        const auto line = rest.find(kEnd);
        const auto close =
            line == std::string_view::npos ? line : rest.find(kDashes, line + kEnd.size());
        swallowing_ = close == std::string_view::npos;
        end =
            swallowing_ ? rest.size() - std::min(rest.size(), kMaxEndLine) : close + kDashes.size();
    } else {
        while (end != rest.size() && is_token(rest[end])) ++end;
        swallowing_ = end == rest.size();
    }
    held_.erase(seen_, end);
}

}  // namespace chaperone::detect
