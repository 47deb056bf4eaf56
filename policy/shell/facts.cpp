// SPDX-License-Identifier: Apache-2.0
#include "policy/shell/facts.h"

#include "policy/shell/doings.h"
#include "policy/shell/script.h"
#include "policy/yaml/text.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::shell {
namespace {

constexpr std::array<std::string_view, 12> kNames{"run",        "read",    "write",     "delete",
                                                  "permission", "network", "privilege", "signal",
                                                  "system",     "install", "other",     "unknown"};

std::shared_ptr<const Facts> unparsed(std::string error) {
    auto made = std::make_shared<Facts>();
    made->error = std::move(error);
    made->effects.push_back({EffectKind::Unknown, {}});
    return made;
}

bool is_odd(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
}

}  // namespace

std::string_view to_text(EffectKind kind) noexcept {
    return kNames[static_cast<std::size_t>(kind)];
}

bool Facts::does(EffectKind kind) const noexcept {
    return std::ranges::find(effects, kind, &Effect::kind) != effects.end();
}

std::shared_ptr<const Facts> analyze(std::string_view text) {
    if (text.size() > kMostBytes) return unparsed("a command too long to be analysed");
    if (!yaml::is_utf8(text)) return unparsed("a command that is not valid UTF-8");
    if (std::ranges::any_of(text, is_odd)) return unparsed("a command with control characters");
    auto made = std::make_shared<Facts>();
    Doings doings{*made};
    doings.add(text, 0);
    if (!made->error.empty()) return unparsed(made->error);
    made->parsed = true;
    const auto settle = [](auto& all) {
        std::ranges::sort(all);
        const auto rest = std::ranges::unique(all);
        all.erase(rest.begin(), rest.end());
    };
    for (const Command& one : made->commands)
        if (!one.name.empty()) made->names.push_back(one.name);
    settle(made->names);
    settle(made->effects);
    return made;
}

}  // namespace chaperone::policy::shell
