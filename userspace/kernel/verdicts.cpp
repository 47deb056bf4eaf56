// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/verdicts.h"

#include "bpf/shared/abi.h"
#include "userspace/kernel/kernel_error.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>

namespace chaperone::kernel {

namespace {

constexpr unsigned kAddressBits = 128;
// Of the key before the address: protocol and port.
constexpr unsigned kBitsBefore =
    8 * (sizeof(chap_prefix) - sizeof(chap_prefix::length)) - kAddressBits;

Result<UniqueFd> make_trie(const char* name, std::size_t key_size, std::size_t entries) {
    bpf_map_create_opts options{};
    options.sz = sizeof(options);
    options.map_flags = BPF_F_NO_PREALLOC;
    const auto room = static_cast<std::uint32_t>(std::max<std::size_t>(entries, 1));
    UniqueFd table{bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, name, static_cast<std::uint32_t>(key_size),
                                  sizeof(chap_verdict), room, &options)};
    if (!table) return kernel_error("make a table of verdicts", errno);
    return table;
}

// An abstract name is written with "@" for the NUL that it begins with.
Result<chap_door> key_of(const Door& door) {
    const std::string& name = door.name;
    const bool path = name.starts_with('/');
    if ((!path && !name.starts_with('@')) || name.size() > CHAP_DOOR_NAME ||
        (path && name.find('\0') != name.npos))
        return fail(Errc::Invalid, "no name of a Unix socket: " + name);
    chap_door key{};
    key.kind = path ? CHAP_DOOR_PATH : CHAP_DOOR_ABSTRACT;
    name.copy(key.name, name.size());
    std::size_t compared = name.size();
    if (!path) {
        key.name[0] = 0;
        if (!door.beginning) {
            key.kind = CHAP_DOOR_ABSTRACT_EXACT;
            key.size = static_cast<std::uint8_t>(name.size());
        }
    } else if (!door.beginning && compared < CHAP_DOOR_NAME) {
        ++compared;  // the NUL that ends it
    }
    key.length = static_cast<std::uint32_t>(8 * (2 + compared));
    return key;
}

static_assert(int(Verdict::Action::Ask) == CHAP_ASK && int(Verdict::Action::Let) == CHAP_LET &&
              int(Verdict::Action::Refuse) == CHAP_REFUSE);

}  // namespace

Result<UniqueFd> make_verdict_table(std::span<const Verdict> verdicts) {
    auto table = make_trie("chap_verdicts", sizeof(chap_prefix), verdicts.size());
    if (!table) return table;
    for (const Verdict& verdict : verdicts) {
        if (verdict.prefix > kAddressBits) return fail(Errc::Invalid, "a prefix has 128 bits");
        chap_prefix key{};
        key.length = kBitsBefore + verdict.prefix;
        key.protocol = static_cast<std::uint8_t>(verdict.protocol);
        key.port = htons(verdict.network.port);
        std::memcpy(key.ip, verdict.network.ip.data(), sizeof(key.ip));
        if (verdict.workload != 0) {
            key.kind = CHAP_BY_WORKLOAD;
            key.length = kBitsBefore + kAddressBits;
            std::memset(key.ip, 0, sizeof(key.ip));
            key.ip[0] = static_cast<std::uint32_t>(verdict.workload);
            key.ip[1] = static_cast<std::uint32_t>(verdict.workload >> 32);
        }
        const chap_verdict value{.action = static_cast<std::uint32_t>(verdict.action),
                                 .tag = verdict.tag};
        if (bpf_map_update_elem(table->get(), &key, &value, BPF_ANY) != 0)
            return kernel_error("fill a table of verdicts", errno);
    }
    return table;
}

Result<UniqueFd> make_door_table(std::span<const Door> doors) {
    auto table = make_trie("chap_doors", sizeof(chap_door), doors.size());
    if (!table) return table;
    for (const Door& door : doors) {
        const auto key = key_of(door);
        if (!key) return fail(key.error());
        const chap_verdict value{.action = door.action == Verdict::Action::Let
                                               ? std::uint32_t{CHAP_LET}
                                               : std::uint32_t{CHAP_REFUSE},
                                 .tag = 0};
        if (bpf_map_update_elem(table->get(), &*key, &value, BPF_ANY) != 0)
            return kernel_error("fill a table of doors", errno);
    }
    return table;
}

}  // namespace chaperone::kernel
