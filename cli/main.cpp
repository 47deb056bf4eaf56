// SPDX-License-Identifier: Apache-2.0
#include "cli/verb.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
    const char* root = std::getenv("CHAPERONE_ROOT");
    chaperone::cli::Context context{.in = std::cin,
                                    .out = std::cout,
                                    .err = std::cerr,
                                    .root = root != nullptr && *root != '\0' ? root : "/",
                                    .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                                    .err_is_terminal = ::isatty(STDERR_FILENO) == 1};
    const int status = chaperone::cli::run({argv + 1, argv + argc}, context);
    std::cout.flush();
    return std::cout ? status : 1;  // a full disk behind `> file` must not pass for success
}
