// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/mounts.h"

#include "userspace/base/file.h"

namespace chaperone::launch {
namespace {

std::string_view take_word(std::string_view& line) {
    const auto end = line.find(' ');
    const auto word = line.substr(0, end);
    line.remove_prefix(end == line.npos ? line.size() : end + 1);
    return word;
}

// The kernel writes space, tab, newline and backslash as \ and three octal digits.
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i != text.size(); ++i) {
        const auto digit = [&](std::size_t at) {
            return at < text.size() && text[at] >= '0' && text[at] <= '7' ? text[at] - '0' : -1;
        };
        if (text[i] == '\\' && digit(i + 1) >= 0 && digit(i + 2) >= 0 && digit(i + 3) >= 0) {
            plain += static_cast<char>(digit(i + 1) * 64 + digit(i + 2) * 8 + digit(i + 3));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

}  // namespace

Result<std::vector<Mount>> parse_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    while (!mountinfo.empty()) {
        const auto end = mountinfo.find('\n');
        std::string_view line = mountinfo.substr(0, end);
        mountinfo.remove_prefix(end == mountinfo.npos ? mountinfo.size() : end + 1);
        for (int skipped = 0; skipped != 4; ++skipped) take_word(line);  // id parent device root
        Mount mount{.point = unescape(take_word(line))};
        while (!line.empty() && take_word(line) != "-") {
        }
        mount.type = take_word(line);
        if (mount.point.empty() || mount.type.empty())
            return fail(Errc::Malformed, "a line of mountinfo");
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

Result<std::vector<Mount>> read_mounts() {
    const auto text = read_file("/proc/self/mountinfo");
    if (!text) return fail(text.error());
    return parse_mounts(*text);
}

Result<std::filesystem::path> find_cgroup2(const std::vector<Mount>& mounts) {
    for (const Mount& mount : mounts)
        if (mount.type == "cgroup2") return mount.point;
    return fail(Errc::NotFound, "no cgroup2 file system is mounted");
}

}  // namespace chaperone::launch
