// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/blotter.h"

#include "userspace/base/percent.h"
#include "userspace/session/masking/body_masker.h"

#include <algorithm>
#include <cstring>

namespace chaperone::session {
namespace {

// Octets at the end of `text` that may be the beginning of `secret`.
std::size_t begun(std::string_view text, std::string_view secret) {
    for (std::size_t n = std::min(text.size(), secret.size() - 1); n != 0; --n)
        if (secret.starts_with(text.substr(text.size() - n))) return n;
    return 0;
}

struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
};

// Where any of them stands in the text; they may overlap.
std::vector<Match> matches(std::string_view text, const std::vector<std::string>& secrets) {
    std::vector<Match> found;
    for (const std::string& secret : secrets) {
        if (secret.empty()) continue;
        std::string_view rest = text;
        while (const void* at = ::memmem(rest.data(), rest.size(), secret.data(), secret.size())) {
            const auto begin = static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
            found.push_back({begin, begin + secret.size()});
            rest = text.substr(begin + 1);
        }
    }
    return found;
}

class Blotter final : public BodyFilter {
public:
    explicit Blotter(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {}
    ~Blotter() override {
        for (std::string& secret : secrets_) explicit_bzero(secret.data(), secret.size());
    }

    // What is held back stays as it came: a longer secret may still end in it, although a shorter
    // one was found.
    Result<> push(Bytes data, bool last, Buffer& out) override {
        held_ += as_text(data);
        std::size_t keep = 0;
        if (!last)
            for (const std::string& secret : secrets_) keep = std::max(keep, begun(held_, secret));
        const std::size_t goes = held_.size() - keep;
        const std::size_t begin = out.size();
        append(out, std::string_view{held_}.substr(0, goes));
        std::size_t covered = covered_;
        const auto blot_to = [&](std::size_t from, std::size_t to) {
            if (from < goes) std::memset(out.data() + begin + from, '*', std::min(to, goes) - from);
        };
        blot_to(0, covered_);
        for (const Match& match : matches(held_, secrets_)) {
            if (match.begin >= goes) continue;
            blot_to(match.begin, match.end);
            covered = std::max(covered, match.end);
            ++masked_;
        }
        covered_ = covered - std::min(covered, goes);
        held_.erase(0, goes);
        return {};
    }
    bool keeps_length() const override { return true; }
    std::optional<std::string> trailer(std::string_view, std::string_view value) override {
        std::string text{value};
        masked_ += blot(text, secrets_) ? 1 : 0;
        return text;
    }
    std::uint64_t masked() const override { return masked_; }

private:
    std::vector<std::string> secrets_;
    std::string held_;
    std::size_t covered_ = 0;  // octets of held_ that are of a secret which has begun before it
    std::uint64_t masked_ = 0;
};

// A blotter where text is decoded.
class Within final : public TextFilter {
public:
    explicit Within(std::unique_ptr<BodyFilter> blotter) : blotter_(std::move(blotter)) {}
    Result<> feed(std::string_view piece, std::string& out) override {
        return push(piece, false, out);
    }
    Result<> finish(std::string& out) override { return push({}, true, out); }
    std::uint64_t masked() const noexcept override { return blotter_->masked(); }

private:
    Result<> push(std::string_view piece, bool last, std::string& out) {
        room_.clear();
        auto done = blotter_->push(as_bytes(piece), last, room_);
        out += as_text(room_);
        return done;
    }

    std::unique_ptr<BodyFilter> blotter_;
    Buffer room_{};
};

class Coded final : public BodyFilter {
public:
    explicit Coded(std::unique_ptr<BodyMasker> masker) : masker_(std::move(masker)) {}
    Result<> push(Bytes data, bool last, Buffer& out) override {
        if (auto done = masker_->feed(data, out); !done || !last) return done;
        return masker_->finish(out);
    }
    std::uint64_t masked() const override { return masker_->masked(); }

private:
    std::unique_ptr<BodyMasker> masker_;
};

std::string in_json(std::string_view text, bool slashes) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\' || (slashes && c == '/')) out += '\\';
        out += c;
    }
    return out;
}

std::string in_html(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        default: out += c;
        }
    }
    return out;
}

}  // namespace

std::unique_ptr<BodyFilter> make_blotter(std::vector<std::string> secrets) {
    std::erase_if(secrets, [](const std::string& secret) { return secret.empty(); });
    if (secrets.empty()) return nullptr;
    return std::make_unique<Blotter>(std::move(secrets));
}

Result<std::unique_ptr<BodyFilter>> make_blotter(std::vector<std::string> secrets,
                                                 std::string_view codings) {
    auto blotter = make_blotter(std::move(secrets));
    if (!blotter) return std::unique_ptr<BodyFilter>{};
    auto coded = make_coded(codings, std::make_unique<Within>(std::move(blotter)));
    if (!coded) return fail(coded.error());
    return std::unique_ptr<BodyFilter>{std::make_unique<Coded>(*std::move(coded))};
}

bool blot(std::span<char> text, const std::vector<std::string>& secrets) {
    const auto found = matches({text.data(), text.size()}, secrets);
    for (const Match& match : found)
        std::memset(text.data() + match.begin, '*', match.end - match.begin);
    return !found.empty();
}

std::vector<std::string> spellings(std::string_view secret) {
    std::vector<std::string> all;
    const auto add = [&](std::string text) {
        if (std::ranges::find(all, text) == all.end()) all.push_back(std::move(text));
    };
    add(std::string{secret});
    const std::string escaped = percent_encoded(secret);
    add(escaped);
    add(percent_encoded(secret, "/"));
    std::string small = escaped;  // %2f
    for (std::size_t i = small.find('%'); i != small.npos; i = small.find('%', i + 1))
        for (std::size_t k = i + 1; k != i + 3; ++k)
            if (small[k] >= 'A' && small[k] <= 'F') small[k] = static_cast<char>(small[k] + 32);
    add(std::move(small));
    add(in_json(secret, false));
    add(in_json(secret, true));
    add(in_html(secret));
    return all;
}

}  // namespace chaperone::session
