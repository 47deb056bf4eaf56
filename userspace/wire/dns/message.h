// SPDX-License-Identifier: Apache-2.0
// DNS messages: RFC 1035, with EDNS(0) (6891), extended errors (8914) and service bindings (9460).
// Decoding is strict; names inside record data are written out in full, so that a record can be
// put into another message. Values own what they hold. No I/O, no clock.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/wire/dns/name.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::wire::dns {

constexpr std::size_t kMostUdp = 512;        // without EDNS (RFC 1035, 4.2.1)
constexpr std::size_t kMostMessage = 65535;  // over TCP

enum Type : std::uint16_t {
    kA = 1,
    kNs = 2,
    kCname = 5,
    kSoa = 6,
    kPtr = 12,
    kMx = 15,
    kTxt = 16,
    kAaaa = 28,
    kSrv = 33,
    kOpt = 41,
    kSvcb = 64,
    kHttps = 65,
    kTkey = 249,
    kTsig = 250,
    kIxfr = 251,
    kAxfr = 252,
    kMailb = 253,
    kMaila = 254,
    kAny = 255,
};
// "A", "HTTPS"; "TYPE65534" (RFC 3597) for what has no name here.
std::string type_text(std::uint16_t type);
std::string class_text(std::uint16_t value);  // "IN", "CH", "CLASS7"

constexpr std::uint16_t kIn = 1;
constexpr std::uint8_t kQuery = 0;  // the opcode

enum Rcode : std::uint16_t {
    kNoError = 0,
    kFormErr = 1,
    kServFail = 2,
    kNxDomain = 3,
    kNotImp = 4,
    kRefused = 5,
    kBadVers = 16,
};
std::string rcode_text(std::uint16_t rcode);  // "NOERROR", "REFUSED", "RCODE23"

// RFC 8914
enum Ede : std::uint16_t {
    kEdeOther = 0,
    kEdeBlocked = 15,
    kEdeNoReachableAuthority = 22,
    kEdeNetworkError = 23,
    kEdeInvalidData = 24,
};
constexpr std::uint16_t kOptionEde = 15;  // the EDNS option that carries one

struct Question {
    Name name{};
    std::uint16_t type{};
    std::uint16_t class_{};
    friend bool operator==(const Question&, const Question&) = default;
};

struct Record {
    Name name{};
    std::uint16_t type{};
    std::uint16_t class_{};
    std::uint32_t ttl{};  // seconds; the high bit reads as 0 (RFC 2181, 8)
    Buffer data{};
};

struct Option {
    std::uint16_t code{};
    Buffer data{};
};

struct Edns {
    std::uint16_t size = 1232;  // the largest datagram that its sender takes
    std::uint8_t version{};
    bool dnssec_ok{};
    std::vector<Option> options{};

    void add_error(std::uint16_t code, std::string_view text);
};

struct Message {
    std::uint16_t id{};
    bool response{};
    std::uint8_t opcode = kQuery;
    bool authoritative{};
    bool truncated{};
    bool recursion_desired{};
    bool recursion_available{};
    bool authentic_data{};
    bool checking_disabled{};
    std::uint16_t rcode{};  // with the high bits of EDNS
    std::vector<Question> questions{};
    std::vector<Record> answers{};
    std::vector<Record> authorities{};
    std::vector<Record> additionals{};  // without OPT
    std::optional<Edns> edns{};
};

// One whole message; nothing may follow it.
Result<Message> decode(Bytes message);

// The identifier and flags at the front of a message that could not be decoded, so that it can be
// answered with FORMERR. Truncated: not even those are there.
Result<Message> decode_header(Bytes message);

// At most `most` bytes. Where answers do not fit there are none, and the message says that it is
// truncated; authorities and additionals are left out without a word (RFC 2181, 9).
Buffer encode(const Message& message, std::size_t most);

}  // namespace chaperone::wire::dns
