// SPDX-License-Identifier: Apache-2.0
// One question to a resolver and its answer, as pure steps: what an agent sent becomes a question
// for policy or is answered at once; what a resolver said becomes what the agent is told and what
// is learned from it. No I/O, no clock, no state.
#pragma once

#include "policy/request.h"
#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/wire/dns/record.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session::dns {

// The largest datagram that we answer with: loopback carries it whole.
constexpr std::size_t kMostDatagram = 4096;
// Of an answer, in seconds: an agent must not know an address longer than we do.
constexpr std::uint32_t kMostTtl = 24 * 60 * 60;

struct Query {
    wire::dns::Message message{};  // has one question, of class IN
    policy::DnsFacts facts{};      // name, type and class; the rest is its owner's to fill in
    std::size_t most{};            // bytes that its sender takes
};

// Neither: it is nothing that is answered.
struct Taken {
    std::optional<Query> query{};
    Buffer reply{};
};

// `stream`: it came over TCP, without its length.
Taken take(Bytes message, bool stream);

// REFUSED, with an extended error where the sender knows those (RFC 8914).
Buffer refused(const Query& query, std::string_view text);
// NXDOMAIN: the name is one that a search list made, and the list must be tried to its end.
Buffer absent(const Query& query, std::string_view text);
// SERVFAIL: nobody could be asked; `ede` says why.
Buffer failed(const Query& query, std::uint16_t ede, std::string_view text);

// The name has this IPv4 address ("192.0.2.1"), and nothing else; nobody was asked.
Buffer local(const Query& query, std::string_view address);

// What a resolver is asked. Nothing of the agent's message is in it but the question and the
// DNSSEC bits: options, padding and other sections carry data out.
wire::dns::Message to_resolver(const Query& query, std::uint16_t id);

// Whether this is the answer to that; anything else was not sent by the one who was asked.
bool answers(const wire::dns::Message& asked, const wire::dns::Message& got);

struct Learned {
    std::string address{};  // "10.1.2.3", "fd00::7"
    Duration ttl{};
};

struct Answer {
    Buffer reply{};
    std::string code{};     // "NOERROR"
    std::string summary{};  // "10.1.2.3 10.1.2.4", at most a few
    std::size_t records{};
    std::vector<Learned> learned{};
};

// Addresses are learned for the name that was asked for, along aliases, and from hints of service
// bindings; from nothing else that a message may hold.
Answer answer(const Query& query, wire::dns::Message got);

}  // namespace chaperone::session::dns
