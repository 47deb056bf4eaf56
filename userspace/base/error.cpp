// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/error.h"

#include <system_error>

namespace chaperone {

std::string_view describe(Errc code) noexcept {
    switch (code) {  // no default: the compiler lists what is missing
    case Errc::Truncated: return "input ends inside a field";
    case Errc::Malformed: return "input breaks the grammar";
    case Errc::TooLarge: return "input is over a configured limit";
    case Errc::UnexpectedMessage: return "message is not allowed in this state";
    case Errc::Unsupported: return "not supported";
    case Errc::NotFound: return "not found";
    case Errc::Exists: return "exists already";
    case Errc::Denied: return "not permitted";
    case Errc::Expired: return "expired";
    case Errc::Invalid: return "invalid value";
    case Errc::Unavailable: return "unavailable";
    case Errc::Corrupt: return "stored data is damaged";
    case Errc::Kernel: return "kernel call failed";
    case Errc::System: return "system call failed";
    }
    return "unknown error";
}

std::string Error::message() const {
    std::string text{describe(code)};
    if (!detail.empty()) text += ": " + detail;
    return text;
}

std::unexpected<Error> system_error(std::string_view what, int error_number) {
    const std::string why = std::generic_category().message(error_number);
    return fail(Errc::System, std::string{what} + ": " + why);
}

}  // namespace chaperone
