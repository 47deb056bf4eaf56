// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace chaperone::record {
namespace {

Result<> write_all(int fd, Bytes bytes, const char* what) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error(std::string{"write the journal's "} + what, errno);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

}  // namespace

Result<> AppendFile::open(const std::filesystem::path& path, std::uint64_t good_end) {
    fd.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd) return system_error("open " + path.string(), errno);
    end = good_end;
    return {};
}

Result<> AppendFile::append(Bytes bytes, const char* what) {
    if (::ftruncate(fd.get(), static_cast<off_t>(end)) != 0)
        return system_error(std::string{"cut the journal's "} + what, errno);
    if (auto done = write_all(fd.get(), bytes, what); !done) return done;
    end += bytes.size();
    return {};
}

}  // namespace chaperone::record
