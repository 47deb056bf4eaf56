// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/pg_settings.h"

#include <algorithm>
#include <array>

namespace chaperone::session {
namespace {

constexpr std::array<std::string_view, 9> kRefused{"role",
                                                   "session_authorization",
                                                   "session_replication_role",
                                                   "local_preload_libraries",
                                                   "session_preload_libraries",
                                                   "shared_preload_libraries",
                                                   "dynamic_library_path",
                                                   "allow_system_table_mods",
                                                   "is_superuser"};

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
    return out;
}

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// pg_split_opts: words by white space, a backslash takes the next character as it is.
std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < text.size();) {
        if (is_space(text[i])) {
            ++i;
            continue;
        }
        std::string word;
        for (; i < text.size() && !is_space(text[i]); ++i) {
            if (text[i] == '\\' && i + 1 < text.size()) ++i;
            word += text[i];
        }
        out.push_back(std::move(word));
    }
    return out;
}

}  // namespace

bool may_set_at_startup(std::string_view name) {
    return std::ranges::find(kRefused, lower(name)) == kRefused.end();
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_options(
    std::string_view options) {
    std::vector<std::pair<std::string, std::string>> out;
    const std::vector<std::string> list = words(options);
    for (std::size_t i = 0; i != list.size(); ++i) {
        std::string_view word = list[i];
        if (word == "-c" || word == "--") {
            if (word == "--" || i + 1 == list.size()) return std::nullopt;
            word = list[++i];
        } else if (word.starts_with("-c") || word.starts_with("--")) {
            word.remove_prefix(2);
        } else {
            return std::nullopt;  // other switches change the server's ways (-d, -f, -O, -P …)
        }
        const auto equals = word.find('=');
        if (equals == std::string_view::npos || equals == 0) return std::nullopt;
        std::string name = lower(word.substr(0, equals));
        std::ranges::replace(name, '-', '_');
        out.emplace_back(std::move(name), word.substr(equals + 1));
    }
    return out;
}

std::optional<std::vector<std::string>> split_identifiers(std::string_view text,
                                                          std::string_view user) {
    std::vector<std::string> out;
    std::size_t i = 0;
    const auto blanks = [&] {
        while (i < text.size() && is_space(text[i])) ++i;
    };
    blanks();
    if (i == text.size()) return out;
    for (;;) {
        std::string name;
        if (i < text.size() && text[i] == '"') {
            for (++i;; ++i) {
                if (i == text.size()) return std::nullopt;
                if (text[i] == '"' && (i + 1 == text.size() || text[i + 1] != '"')) break;
                if (text[i] == '"') ++i;
                name += text[i];
            }
            ++i;
        } else {
            while (i < text.size() && text[i] != ',' && !is_space(text[i]))
                name += lower(text[i++]);
            if (name.empty()) return std::nullopt;
        }
        // An empty name is a schema that cannot exist: SET search_path = ''.
        if (!name.empty()) out.push_back(name == "$user" ? std::string{user} : std::move(name));
        blanks();
        if (i == text.size()) return out;
        if (text[i++] != ',') return std::nullopt;
        blanks();
    }
}

bool is_false(std::string_view value) {
    const std::string text = lower(value);
    const auto begins = [&](std::string_view word, std::size_t least) {
        return text.size() >= least && word.starts_with(text);
    };
    return text == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2);
}

}  // namespace chaperone::session
