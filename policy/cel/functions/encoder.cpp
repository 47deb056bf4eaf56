// SPDX-License-Identifier: Apache-2.0
// The encoders extension: base64 (RFC 4648). Decoding accepts text without its padding.
#include "policy/cel/functions/library.h"
#include "userspace/base/encoding.h"

namespace chaperone::cel {
namespace {

Value encode(Call& call, Arguments a) {
    if (!call.spend(a[0].as_text().size() / 16)) return steps_used_up();
    return made_text(call, to_base64(as_bytes(a[0].as_text())));
}

Value decode(Call& call, Arguments a) {
    std::string text{a[0].as_text()};
    if (!call.spend(text.size() / 16)) return steps_used_up();
    while (text.size() % 4 != 0 && text.size() % 4 != 1 && !text.ends_with('=')) {
        text += '=';
        if (text.size() % 4 == 3) text += '=';
    }
    const auto decoded = from_base64(text);
    if (!decoded) return Value::error("the text is not base64");
    return Value::own_bytes(as_text(*decoded));
}

}  // namespace

void add_encoders(Environment::Builder& to) {
    to.function("base64.encode(bytes) -> string", encode)
        .function("base64.decode(string) -> bytes", decode);
}

}  // namespace chaperone::cel
