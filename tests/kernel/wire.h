// SPDX-License-Identifier: Apache-2.0
// A network namespace of its own with one wire out of it, whose far end is listened to; and what
// trials of ways out send over it.
#pragma once

#include "tests/kernel/support.h"

#include <sched.h>

#include <string>
#include <string_view>
#include <thread>

namespace chaperone::kernel::testing {

constexpr std::string_view kPayload = "the secret of the house";

// "wire" is up in it, with default routes out over it and no neighbour discovery: frames leave
// without anybody answering at the far end.
class Wire {
public:
    Wire();

    // Runs in the namespace, in a thread of its own.
    template <class Function>
    void inside(Function&& run) const {
        std::thread{[&] {
            ASSERT_EQ(::setns(netns_.get(), CLONE_NEWNET), 0);
            run();
        }}.join();
    }

    // Of the calling process, for good.
    void enter() const;

    // Whether the payload went over the wire since the last call.
    bool saw_payload() const;

private:
    void set_up();

    UniqueFd netns_;
    UniqueFd tap_;
};

UniqueFd datagram(int family);
// How sendto() with the payload ended.
std::string send_to(int fd, const Target& to, int flags = 0);
std::string send_on(int fd, int flags = 0);  // of a connected socket
void bind_to_wire(int fd);
// RFC 8754: packets go to the segment first, whatever their sender calls the destination.
void route_through(int fd, const char* segment);
// Names of errors, of a call that returns less than zero.
std::string outcome(long result);

}  // namespace chaperone::kernel::testing
