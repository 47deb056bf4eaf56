// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/host_name.h"

#include "userspace/base/ip_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace chaperone::authority {
namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_label(std::string_view label) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
    };
    return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
           label.back() != '-' && std::ranges::all_of(label, allowed);
}

HostName of_address(Bytes octets) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(octets.data());
    return {ip_text({first, octets.size()}), copy(octets)};
}

}  // namespace

Result<HostName> read_host_name(std::string_view text) {
    const auto invalid = [] { return fail(Errc::Invalid, "not a host name or address"); };
    if (text.empty() || text.size() > kMaxName + 1 || text.contains('\0')) return invalid();
    HostName name{.text = std::string{text}};
    std::array<std::byte, 16> octets{};
    if (inet_pton(AF_INET, name.text.c_str(), octets.data()) == 1)
        return of_address(Bytes{octets}.first(4));
    if (inet_pton(AF_INET6, name.text.c_str(), octets.data()) == 1) {
        constexpr std::array<std::byte, 12> kMapped{
            {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{0xff}, std::byte{0xff}}};
        if (std::ranges::equal(Bytes{octets}.first(12), kMapped))
            return of_address(Bytes{octets}.subspan(12));
        return of_address(octets);
    }
    if (name.text.ends_with('.')) name.text.pop_back();
    if (name.text.size() > kMaxName) return invalid();
    for (char& c : name.text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    std::string_view rest = name.text, label;
    for (bool more = true; more;) {
        const auto dot = rest.find('.');
        label = rest.substr(0, dot);
        if (!is_label(label)) return invalid();
        more = dot != std::string_view::npos;
        if (more) rest.remove_prefix(dot + 1);
    }
    if (std::ranges::all_of(label, is_digit) || label.starts_with("0x")) return invalid();
    return name;
}

}  // namespace chaperone::authority
