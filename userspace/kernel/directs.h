// SPDX-License-Identifier: Apache-2.0
// Reads the beginnings and ends of connections that a verdict let through, from a ring that is
// pinned: what was told while no daemon ran is read by the next. Owns its mapping. Not thread-safe;
// the Redirector locks.
#pragma once

#include "userspace/kernel/programs.h"
#include "userspace/kernel/redirector.h"

#include <exception>
#include <functional>
#include <memory>
#include <vector>

struct ring_buffer;

namespace chaperone::kernel {

Direct direct_from(const Programs& programs, const chap_direct& flow);

// What was told of as opened, by this process or a former one, and not as closed.
std::vector<Direct> read_opens(const Programs& programs);
void forget_open(const Programs& programs, const Direct& direct);

class Directs {
public:
    static Result<Directs> open(const Programs& programs);

    // As Redirector::take_directs().
    Result<std::size_t> take(const Programs& programs,
                             const std::function<void(const Direct&)>& see);
    int fd() const;

private:
    struct Free {
        void operator()(ring_buffer* ring) const noexcept;
    };
    // Its address is given to libbpf, so it does not move.
    struct Reading {
        const Programs* programs = nullptr;
        const std::function<void(const Direct&)>* see = nullptr;
        std::exception_ptr thrown{};
    };
    static int tell(void* reading, void* data, std::size_t size);

    Directs(std::unique_ptr<ring_buffer, Free> ring, std::unique_ptr<Reading> reading)
        : reading_(std::move(reading)), ring_(std::move(ring)) {}

    std::unique_ptr<Reading> reading_;
    std::unique_ptr<ring_buffer, Free> ring_;
};

}  // namespace chaperone::kernel
