// SPDX-License-Identifier: Apache-2.0
// Asks the resolvers that the operator trusts: over UDP from a port and with an identifier of
// chance, over TCP where the answer says that it was cut. On the caller's thread.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/wire/dns/message.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::net {

namespace asio = boost::asio;

using DnsServers = std::vector<asio::ip::udp::endpoint>;

// "10.0.0.2", "10.0.0.2:5353", "fd00::53", "[fd00::53]:5353".
Result<asio::ip::udp::endpoint> parse_dns_server(std::string_view text);

// What a resolv.conf(5) says, as far as it concerns us: at most three servers, as libc has it.
struct ResolvConf {
    DnsServers servers{};
    std::vector<std::string> search{};  // lower case, without dots at the ends
};
ResolvConf parse_resolv_conf(std::string_view text);

// The first usable answer. The `first` of the servers is asked first, then the others, each twice
// at most, all within `timeout`. NotFound: nobody answered; Unavailable: nobody could be reached;
// Malformed: what they said is no answer.
asio::awaitable<Result<wire::dns::Message>> ask_resolvers(asio::io_context& context,
                                                          DnsServers servers, std::size_t first,
                                                          wire::dns::Message query,
                                                          Duration timeout);

std::uint16_t random_dns_id();

}  // namespace chaperone::net
