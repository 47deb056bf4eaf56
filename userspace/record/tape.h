// SPDX-License-Identifier: Apache-2.0
// The segment that is being written, mapped: to append is a copy into the page cache, without a
// system call, and survives kill -9 as a write(2) does. Room is set aside before it is used, so
// that a full disk is an error and no signal; FORMAT.md says what the room looks like to readers.
// One thread at a time, but for sync().
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <cstdint>
#include <filesystem>
#include <span>

namespace chaperone::record {

class Tape {
public:
    Tape() = default;
    Tape(Tape&&) noexcept;
    Tape& operator=(Tape&&) noexcept;
    ~Tape();  // leaves the room; see finish()

    // `end` is where the next frame begins; nothing but room may follow it, and is cut off.
    static Result<Tape> open(const std::filesystem::path& path, std::uint64_t end);

    // Whole frames; a reader sees none of them or, in their order, some. An error: end() is as it
    // was, and what may be behind it is to be cut off before anything else is appended.
    Result<> append(Bytes frames);
    int sync() const;  // fdatasync; 0 or the error's number
    // Cuts the room off. It may be appended to again.
    Result<> finish();
    // Lets the file go until the next append, which begins at `end`.
    void release();

    std::uint64_t end() const { return end_; }
    std::uint64_t size() const { return size_; }  // of the file: end() and the room
    int fd() const { return fd_.get(); }

private:
    Result<> make_room(std::size_t size);
    Result<> map(std::size_t size);
    void prepare(std::size_t size);

    UniqueFd fd_;
    std::uint64_t end_ = 0;
    std::uint64_t size_ = 0;
    std::span<std::byte> window_;    // what is mapped
    std::uint64_t window_from_ = 0;  // its offset in the file
    std::size_t prepared_ = 0;       // bytes of the window that are in memory, or were
};

}  // namespace chaperone::record
