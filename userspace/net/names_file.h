// SPDX-License-Identifier: Apache-2.0
// Names over a restart of the daemon: agents go on with the addresses that they were told. A line
// for each that is learnt, written at once, so that it outlives a kill. Of this boot alone, as
// agents are; a file that is damaged or of another boot is not taken over: connections are then to
// bare addresses. Not thread-safe: for the resolver's thread.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"
#include "userspace/net/names.h"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace chaperone::net {

class NamesFile {
public:
    // Beyond it the file is written anew, with what holds.
    static constexpr std::size_t kMost = std::size_t{8} << 20;

    NamesFile(std::filesystem::path path, std::string boot, Names& names);

    // Takes over what holds and begins the file anew with it. Corrupt: it was damaged, and nothing
    // of it was taken over. Without a first load() nothing is noted.
    Result<> load(Names::Moment now);
    // What cannot be written is not known to the next process.
    void note(const Names::Known& known, Names::Moment now);

private:
    Result<std::vector<Names::Known>> read() const;
    Result<> write_anew(Names::Moment now);

    const std::filesystem::path path_;
    const std::string boot_;
    Names& names_;
    UniqueFd file_;
    std::size_t size_ = 0;
    bool failed_ = false;  // and it was told
};

// A line of the file, with its end. Empty where a field has a byte that a line cannot hold.
std::string names_line(const Names::Known& known);
// Corrupt: not one that names_line() made. Without the line's end.
Result<Names::Known> parse_names_line(std::string_view line);

// This boot of the machine; empty: not known.
std::string boot_id();

}  // namespace chaperone::net
