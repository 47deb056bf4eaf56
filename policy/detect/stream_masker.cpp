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

}  // namespace

void StreamMasker::feed(std::string_view piece, std::string& out) {
    held_ += piece;
    if (held_.size() - seen_ >= 2 * kTail) release(false, out);
}

void StreamMasker::finish(std::string& out) {
    release(true, out);
    held_.clear();
    seen_ = 0;
    swallowing_ = false;
}

void StreamMasker::release(bool last, std::string& out) {
    if (swallowing_) swallow();
    if (swallowing_) return;
    detector_.find(held_, matches_);
    std::erase_if(matches_, [&](const Match& m) { return m.end <= seen_; });
    const std::size_t waiting = held_.size() - seen_;
    std::size_t cut = last ? held_.size() : held_.size() - std::min(waiting, kTail);
    // A token that crosses the border may only show what it is when more of it has come.
    if (!last)
        while (cut > seen_ && is_token(held_[cut - 1]) && is_token(held_[cut])) --cut;
    for (const Match& match : matches_)
        if (!last && match.end > cut) cut = std::min(cut, std::max(match.begin, seen_));
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
