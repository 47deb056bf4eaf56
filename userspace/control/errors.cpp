// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/errors.h"

#include "userspace/control/control.pb.h"
#include "userspace/control/json.h"

namespace chaperone::control {

std::string_view code_name(Errc code) noexcept {
    switch (code) {
    case Errc::Truncated: return "truncated";
    case Errc::Malformed: return "malformed";
    case Errc::TooLarge: return "too_large";
    case Errc::UnexpectedMessage: return "conflict";
    case Errc::Unsupported: return "unsupported";
    case Errc::NotFound: return "not_found";
    case Errc::Exists: return "exists";
    case Errc::Denied: return "denied";
    case Errc::Expired: return "expired";
    case Errc::Invalid: return "invalid";
    case Errc::Unavailable: return "unavailable";
    case Errc::Corrupt: return "corrupt";
    case Errc::Kernel: return "kernel";
    case Errc::System: return "system";
    }
    return "system";
}

Errc code_named(std::string_view name) noexcept {
    for (int code = static_cast<int>(Errc::Truncated); code < static_cast<int>(Errc::System);
         ++code)
        if (code_name(static_cast<Errc>(code)) == name) return static_cast<Errc>(code);
    return Errc::System;
}

int http_status(Errc code) noexcept {
    switch (code) {
    case Errc::Truncated:
    case Errc::Malformed:
    case Errc::Invalid: return 400;
    case Errc::Denied: return 403;
    case Errc::NotFound: return 404;
    case Errc::UnexpectedMessage:
    case Errc::Exists: return 409;
    case Errc::Expired: return 410;
    case Errc::TooLarge: return 413;
    case Errc::Unsupported: return 501;
    case Errc::Unavailable: return 503;
    case Errc::Corrupt:
    case Errc::Kernel:
    case Errc::System: return 500;
    }
    return 500;
}

std::string_view hint_for(Errc code) noexcept {
    switch (code) {
    case Errc::Unavailable: return "see `chaperone doctor` and the daemon's log";
    case Errc::Corrupt: return "see `chaperone journal verify` and the daemon's log";
    case Errc::Kernel:
    case Errc::System: return "see the daemon's log";
    case Errc::NotFound: return "list what there is with the noun's `list`";
    case Errc::Denied:
    case Errc::Truncated:
    case Errc::Malformed:
    case Errc::TooLarge:
    case Errc::UnexpectedMessage:
    case Errc::Unsupported:
    case Errc::Exists:
    case Errc::Expired:
    case Errc::Invalid: return "";
    }
    return "";
}

std::string error_json(const Error& error) {
    v1::ErrorResponse response;
    response.mutable_error()->set_code(std::string{code_name(error.code)});
    response.mutable_error()->set_message(error.detail.empty() ? std::string{describe(error.code)}
                                                               : error.detail);
    response.mutable_error()->set_hint(std::string{hint_for(error.code)});
    return to_json(response);
}

}  // namespace chaperone::control
