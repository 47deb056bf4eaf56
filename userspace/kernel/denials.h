// SPDX-License-Identifier: Apache-2.0
// Reads what the hooks tell of refusals, from a ring buffer that is pinned: what was told while no
// daemon ran is read by the next. Owns its mapping. Not thread-safe; the Redirector locks.
#pragma once

#include "userspace/kernel/programs.h"
#include "userspace/kernel/redirector.h"

#include <memory>
#include <vector>

struct ring_buffer;

namespace chaperone::kernel {

// The path of a file: the name that was asked, and the folders where it begins. "…" for what is not
// known of it.
std::string path_of(const chap_file_event& event);

class Denials {
public:
    static Result<Denials> open(const Programs& programs);

    Result<std::vector<Denial>> take(const Programs& programs, std::size_t limit);
    int fd() const;

private:
    struct Free {
        void operator()(ring_buffer* ring) const noexcept;
    };
    // One event of whichever size.
    struct Told {
        chap_event head{};
        std::string name{};  // of a door or a file
    };
    // What one reading has collected: the address is given to libbpf, so it does not move.
    struct Taken {
        std::vector<Told> events;
        std::size_t limit = 0;
    };
    static Denial denial_from(const Programs& programs, Told told);
    static int collect(void* taken, void* data, std::size_t size);

    Denials(std::unique_ptr<ring_buffer, Free> ring, std::unique_ptr<Taken> taken)
        : taken_(std::move(taken)), ring_(std::move(ring)) {}

    std::unique_ptr<Taken> taken_;
    std::unique_ptr<ring_buffer, Free> ring_;
};

}  // namespace chaperone::kernel
