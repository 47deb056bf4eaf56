// SPDX-License-Identifier: Apache-2.0
// Lambdas as one visitor: std::visit(overloaded{[](A) {…}, [](B) {…}}, variant).
#pragma once

namespace chaperone {

template <class... Functions>
struct overloaded : Functions... {
    using Functions::operator()...;
};

}  // namespace chaperone
