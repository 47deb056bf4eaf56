// SPDX-License-Identifier: Apache-2.0
// A connected stream socket with deadlines, closed when it ends. Blocking; one thread.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace chaperone::control {

class Connection {
public:
    explicit Connection(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    // Unavailable: nobody listens there, or we may not.
    static Result<Connection> open(const std::filesystem::path& socket);

    int fd() const noexcept { return fd_.get(); }
    // What has arrived, at most 64 KiB; empty at the end of the stream. Expired after `most`.
    Result<std::string> read(Duration most);
    // All of it. Expired if the peer makes no room for `most`.
    Result<> write(std::string_view data, Duration most);
    // The peer still reads, and there is nothing more from it.
    bool alive() const;

private:
    UniqueFd fd_;
};

}  // namespace chaperone::control
