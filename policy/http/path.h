// SPDX-License-Identifier: Apache-2.0
// Paths as servers read them. Servers do not agree on escaped slashes, empty segments, ";x=1",
// dot segments, double escapes and backslashes; what one of them may reach, a rule must have seen.
// So a path has readings: the canonical one, and every other that some server makes of it.
// RFC 3986, 6.2.2; RFC 9110, 4.2.3.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::http {

// The readings of a raw path ("/a/%62;v=1/../c", without query), all different, the canonical one
// first: escapes decoded once, an escaped slash among them; parameters of segments left out; empty
// segments merged; dot segments resolved. Almost every path has one only.
std::vector<std::string> path_readings(std::string_view raw);

// "/a//b" -> {"a", "", "b"}; "/" and "*" have none.
std::vector<std::string> segments_of(std::string_view path);

// Escapes of a path that no server can mean: not two hex digits, or a control character, also one
// that appears when what was decoded is decoded again.
bool has_bad_escape(std::string_view raw);

// One decoding of escapes, and of "+" as a space if `form`; what is no escape stays as it is.
std::string unescape(std::string_view text, bool form = false);

}  // namespace chaperone::policy::http
