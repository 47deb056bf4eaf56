// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/talks.h"

#include "userspace/kernel/directs.h"
#include "userspace/kernel/origin.h"

#include <cstring>

#include <arpa/inet.h>

namespace chaperone::kernel {

namespace {

Talk talk_from(const Programs& programs, const chap_talk& counted) {
    const std::uint64_t times = counted.hooks == 0 ? 1 : counted.hooks;
    chap_direct flow{};
    flow.socket = counted.socket;
    flow.time_ns = counted.last_ns;
    flow.kind = CHAP_FLOW_CLOSED;
    flow.bytes_up = counted.bytes_up / times;
    flow.bytes_down = counted.bytes_down / times;
    flow.local_port = counted.local_port;
    flow.established = 1;
    return {.direct = direct_from(programs, flow),
            .packets_up = counted.packets_up / times,
            .packets_down = counted.packets_down / times,
            .answers = (counted.socket.flags & CHAP_INBOUND) != 0 && counted.socket.peer != 0};
}

chap_talk_key key_of(const Talk& talk) {
    const Address& peer = talk.direct.origin.destination;
    chap_talk_key key{};
    key.cookie = talk.direct.origin.socket;
    std::memcpy(key.ip, peer.ip.data(), sizeof(key.ip));
    key.port = htons(peer.port);
    return key;
}

}  // namespace

std::vector<Talk> read_talks(const Programs& programs) {
    std::vector<Talk> all;
    const auto map = programs.talks();
    map.each_key(std::size_t{2} * CHAP_MAX_TALKS, [&](const chap_talk_key& key) {
        if (const auto counted = map.get(key)) all.push_back(talk_from(programs, *counted));
    });
    return all;
}

Result<Talk> take_talk(const Programs& programs, const Talk& talk) {
    auto map = programs.talks();
    const auto counted = map.take(key_of(talk));
    if (!counted) return fail(counted.error());
    return talk_from(programs, *counted);
}

}  // namespace chaperone::kernel
