// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/kernel_error.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include <bpf/libbpf.h>

namespace chaperone::kernel {

namespace {

// Long enough for what libbpf says of one failure, short of a whole verifier log.
constexpr std::size_t kMaxWarnings = 2048;

thread_local std::string warnings;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN) return 0;
    std::array<char, 512> line{};  // libbpf's lines are shorter, but for the verifier's log
    const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
    if (length <= 0) return 0;
    if (warnings.size() >= kMaxWarnings) return 0;
    warnings.append(line.data(), std::min<std::size_t>(length, line.size() - 1));
    std::ranges::replace(warnings, '\n', ' ');
    return 0;
}

}  // namespace

std::unexpected<Error> kernel_error(std::string_view what, int error_number) {
    return fail(Errc::Kernel, std::string{what} + ": " +
                                  std::error_code{error_number, std::generic_category()}.message());
}

void silence_libbpf() {
    static std::once_flag once;
    std::call_once(once, [] { libbpf_set_print(keep_warning); });
}

std::string take_libbpf_warnings() {
    return std::exchange(warnings, {});
}

}  // namespace chaperone::kernel
