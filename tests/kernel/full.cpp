// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/full.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace chaperone::kernel::testing {

namespace {

// Less than any storage takes, more than the kernel's own part of a program.
constexpr long kSpare = 128;

bpf_insn instruction(__u8 code, __s32 value) {
    bpf_insn made{};
    made.code = code;
    made.imm = value;
    return made;
}

// So long that what the kernel keeps of it beside the socket leaves less than kSpare.
UniqueFd long_filter() {
    long most = 0;
    std::ifstream{"/proc/sys/net/core/optmem_max"} >> most;
    std::vector<bpf_insn> program(std::size_t(most - kSpare) / sizeof(bpf_insn) - 1,
                                  instruction(BPF_ALU64 | BPF_MOV | BPF_K, -1));
    program.push_back(instruction(BPF_JMP | BPF_EXIT, 0));
    return UniqueFd{bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "takes_all", "GPL", program.data(),
                                  program.size(), nullptr)};
}

}  // namespace

void row(const std::string& map, const std::string& result, const std::string& counted) {
    if (!::testing::Test::HasFailure())
        std::cout << "full|" << map << '|' << result << '|' << counted << std::endl;
}

void crowd(int socket) {
    const UniqueFd filter = long_filter();
    const int fd = filter.get();
    if (!filter || ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)) != 0)
        throw std::runtime_error{"the socket is not crowded: " + error_name(errno)};
}

void relieve(int socket) {
    const int none = 0;
    if (::setsockopt(socket, SOL_SOCKET, SO_DETACH_BPF, &none, sizeof(none)) != 0)
        throw std::runtime_error{"the socket stays crowded: " + error_name(errno)};
}

}  // namespace chaperone::kernel::testing
