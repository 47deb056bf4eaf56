// SPDX-License-Identifier: Apache-2.0
// The process of a token's module, as `chaperoned` is with an argument; for tests without a daemon.
#include "userspace/authority/token_module.h"

int main() {
    chaperone::authority::serve_token(3);
}
