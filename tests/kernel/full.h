// SPDX-License-Identifier: Apache-2.0
// Instances whose maps are so small that they fill at once, and the rows that tests of them add to
// the table in bpf/README.md (matrix.py makes and checks it).
#pragma once

#include "tests/kernel/support.h"

#include <map>
#include <string>

namespace chaperone::kernel::testing {

// One line of that table: what comes of an attempt when this map has no room, and what counts it.
void row(const std::string& map, const std::string& result, const std::string& counted);

// A socket that has no room for storage of programs: a filter takes all that the kernel grants it.
// `relieve` gives it back.
void crowd(int socket);
void relieve(int socket);

class Full : public KernelTest {
protected:
    void SetUp() override {}  // start() does

    // With these maps of so many entries; of rings bytes.
    void start(std::map<std::string, std::uint32_t> sizes) {
        room = std::move(sizes);
        KernelTest::SetUp();
    }
    std::string connects(const std::filesystem::path& cgroup, const std::string& host,
                         std::uint16_t port) const {
        return run_in(cgroup, [&] { return try_connect(host, port); });
    }
    Counters counted() const { return redirector->counters().value(); }
};

}  // namespace chaperone::kernel::testing
