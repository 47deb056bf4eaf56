// SPDX-License-Identifier: Apache-2.0
// A domain name (RFC 1035, 3.1): labels of 1 to 63 bytes, at most 255 bytes in all. Any byte may
// stand in a label (RFC 2181, 11); letters match in either case (RFC 4343). A plain value.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace chaperone::wire::dns {

class Name {
public:
    static constexpr std::size_t kMost = 255;  // bytes in wire form
    static constexpr std::size_t kMostLabel = 63;

    Name() : wire_(1, '\0') {}  // the root

    // "db.internal", with or without the dot at the end; "\046" is a byte, "\." a dot inside a
    // label. Invalid: no name.
    static Result<Name> from_text(std::string_view text);

    // Reads the name at `at` of a whole message and moves `at` behind it. Pointers are followed
    // only to what stands before them, so that none can form a loop.
    static Result<Name> read(Bytes message, std::size_t& at);

    // In lower case and without the dot at the end; "." is the root. Bytes that are no letter,
    // digit, hyphen or underscore are "\DDD", so that the text's dots are the name's.
    std::string text() const;
    // Length-prefixed labels and the root's, in the letters that were sent.
    std::string_view wire() const noexcept { return wire_; }

    // Nothing but letters, digits, hyphens and underscores: what a host or a service is named.
    bool is_plain() const noexcept;
    bool is_root() const noexcept { return wire_.size() == 1; }

    friend bool operator==(const Name& a, const Name& b) noexcept;

private:
    explicit Name(std::string wire) : wire_(std::move(wire)) {}

    std::string wire_;
};

}  // namespace chaperone::wire::dns
