// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/file.h"

#include "userspace/base/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

namespace chaperone {

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd) {
        if (errno == ENOENT) return fail(Errc::NotFound, path.string());
        return system_error("open " + path.string(), errno);
    }
    std::string content;
    for (;;) {
        char piece[64 * 1024];
        const ssize_t n = ::read(fd.get(), piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error("read " + path.string(), errno);
        if (n == 0) return content;
        if (static_cast<std::size_t>(n) > limit - content.size())
            return fail(Errc::TooLarge, path.string());
        content.append(piece, static_cast<std::size_t>(n));
    }
}

Result<> write_file(const std::filesystem::path& path, std::string_view content, int mode) {
    std::string temporary = path.string() + ".XXXXXX";
    UniqueFd fd{::mkostemp(temporary.data(), O_CLOEXEC)};
    if (!fd) return system_error("create a file beside " + path.string(), errno);
    const auto give_up = [&](std::string_view what) {
        const int error = errno;
        ::unlink(temporary.c_str());
        return system_error(what, error);
    };
    while (!content.empty()) {
        const ssize_t n = ::write(fd.get(), content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return give_up("write " + path.string());
        content.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0)
        return give_up("chmod " + path.string());
    if (::fsync(fd.get()) != 0) return give_up("fsync " + path.string());
    fd.reset();
    if (::rename(temporary.c_str(), path.c_str()) != 0)
        return give_up("rename to " + path.string());
    const UniqueFd folder{::open(path.parent_path().empty() ? "." : path.parent_path().c_str(),
                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (folder) ::fsync(folder.get());
    return {};
}

}  // namespace chaperone
