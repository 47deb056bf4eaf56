// SPDX-License-Identifier: Apache-2.0
// Errors that travel as values. Exceptions are for bugs and for start-up; the data path returns
// Result. A code says what kind of thing went wrong (callers may branch on it); detail says which
// one (people read it). detail must never hold bytes of the session: it goes to the log.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace chaperone {

enum class Errc {
    Truncated = 1,      // input ends inside a field
    Malformed,          // input breaks the protocol's or the format's grammar
    TooLarge,           // input is over a configured limit
    UnexpectedMessage,  // well formed, not allowed in this state
    Unsupported,        // well formed, and we do not do it
    NotFound,
    Exists,       // the name is taken
    Denied,       // the caller may not do this
    Expired,      // was valid once
    Invalid,      // a value that a person wrote cannot be used
    Unavailable,  // a peer or a file that we need cannot be reached now
    Corrupt,      // stored data is not what was stored
    Kernel,       // a BPF or cgroup call failed
    System,       // another system call failed
};

// What the code means, as the start of a sentence: "input ends inside a field".
std::string_view describe(Errc code) noexcept;

struct Error {
    Errc code{};
    std::string detail{};

    // "input ends inside a field: Bind"
    std::string message() const;
};

// Use neither and_then nor transform: libstdc++ 12 does not have them.
template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, std::string detail) {
    return std::unexpected{Error{code, std::move(detail)}};
}

inline std::unexpected<Error> fail(Error error) {
    return std::unexpected{std::move(error)};
}

// For a failed system call: "open /etc/x: Permission denied".
std::unexpected<Error> system_error(std::string_view what, int error_number);

}  // namespace chaperone
