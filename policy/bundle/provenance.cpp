// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/provenance.h"

#include "userspace/base/file.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace chaperone::policy::bundle {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargest = std::size_t{16} << 20;  // packed-refs of large repositories
constexpr int kMostLinks = 5;                            // from one symbolic ref to the next

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.pop_back();
    return text;
}

std::optional<std::string> content(const fs::path& path) {
    auto text = read_file(path, kLargest);
    if (!text) return std::nullopt;
    return trimmed(*std::move(text));
}

bool is_commit(std::string_view text) {
    const bool hex = std::ranges::all_of(
        text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    return hex && (text.size() == 40 || text.size() == 64);
}

// The repository's own directory: ".git", or where a file of that name says (worktrees).
std::optional<fs::path> git_directory(const fs::path& at) {
    const fs::path dot = at / ".git";
    std::error_code error;
    if (fs::is_directory(dot, error)) return dot;
    const auto text = content(dot);
    if (!text || !text->starts_with("gitdir: ")) return std::nullopt;
    const fs::path named = text->substr(8);
    return named.is_absolute() ? named : at / named;
}

std::string packed(const fs::path& directory, const std::string& ref) {
    const std::string text = content(directory / "packed-refs").value_or("") + "\n";
    const std::size_t at = text.find(" " + ref + "\n");
    if (at == text.npos) return {};
    const std::size_t begin = text.rfind('\n', at);
    return text.substr(begin == text.npos ? 0 : begin + 1,
                       at - (begin == text.npos ? 0 : begin + 1));
}

std::string resolve(const fs::path& directory) {
    // A worktree keeps its HEAD, the branches are those of the repository that it belongs to.
    fs::path common = directory;
    if (const auto named = content(directory / "commondir"))
        common = fs::path{*named}.is_absolute() ? fs::path{*named} : directory / *named;
    std::string value = content(directory / "HEAD").value_or("");
    for (int i = 0; i != kMostLinks && value.starts_with("ref: "); ++i) {
        const std::string ref = value.substr(5);
        if (!ref.starts_with("refs/") || ref.contains("..")) return {};
        auto loose = content(common / ref);
        value = loose ? *std::move(loose) : packed(common, ref);
    }
    return is_commit(value) ? value : std::string{};
}

}  // namespace

std::string checked_out_commit(const fs::path& directory) {
    std::error_code error;
    fs::path at = fs::canonical(directory, error);
    if (error) return {};
    while (true) {
        if (const auto found = git_directory(at)) return resolve(*found);
        if (at == at.parent_path()) return {};
        at = at.parent_path();
    }
}

}  // namespace chaperone::policy::bundle
