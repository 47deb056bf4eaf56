// SPDX-License-Identifier: Apache-2.0
#include "policy/http/twins.h"

#include "userspace/base/http.h"

#include <algorithm>
#include <string>

namespace chaperone::policy::http {
namespace {

// Beside the letters of ASCII, two others fold to some of them: U+017F to s, U+212A to k.
std::string folded(std::string_view name) {
    std::string made;
    while (!name.empty()) {
        std::size_t size = 1;
        char c = chaperone::http::lower(name.front());
        if (name.starts_with("\xc5\xbf")) {
            size = 2;
            c = 's';
        } else if (name.starts_with("\xe2\x84\xaa")) {
            size = 3;
            c = 'k';
        }
        made += c;
        name.remove_prefix(size);
    }
    return made;
}

}  // namespace

bool has_twin(const cel::Value& object, std::span<const std::string_view> names) {
    if (!object.is(cel::Kind::Map)) return false;
    const cel::Map& map = object.as_map();
    for (std::size_t i = 0; i != map.size(); ++i) {
        const cel::Value key = map.key(i);
        if (!key.is(cel::Kind::String)) continue;
        const std::string_view name = key.as_text();
        const std::string meant = folded(name);
        if (meant != name && std::ranges::find(names, meant) != names.end()) return true;
    }
    return false;
}

}  // namespace chaperone::policy::http
