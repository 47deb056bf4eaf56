// SPDX-License-Identifier: Apache-2.0
// The standard library and the extensions, by subject; each file declares its functions by their
// signatures. An argument has the kind that the signature says; elements of lists may be anything.
#pragma once

#include "policy/cel/environment.h"

#include <string>
#include <string_view>

namespace chaperone::cel {

void add_standard_functions(Environment::Builder& to);

void add_arithmetic(Environment::Builder& to);
void add_comparison(Environment::Builder& to);
void add_conversions(Environment::Builder& to);
void add_strings(Environment::Builder& to);
void add_string_format(Environment::Builder& to);
void add_math(Environment::Builder& to);
void add_lists(Environment::Builder& to);
void add_sets(Environment::Builder& to);
void add_time(Environment::Builder& to);
void add_network(Environment::Builder& to);
void add_optionals(Environment::Builder& to);
void add_regex(Environment::Builder& to);
void add_encoders(Environment::Builder& to);

inline Value steps_used_up() {
    return Value::error("the evaluation takes too many steps");
}

// Made text, charged by its length, if it is not too large.
Value made_text(Call& call, std::string_view text);
Value made_list(Call& call, std::vector<Value> elements);

// --- shared by files ---

// The shortest decimal text that reads back to the same double: "1", "0.1", "1e+20", "NaN".
std::string double_text(double value);
std::string duration_text(const Value& duration);    // "-1.5s"
std::string timestamp_text(const Value& timestamp);  // RFC 3339 in UTC
Value parse_timestamp(std::string_view text);        // an error value if malformed or out of range
Value parse_duration_text(std::string_view text);
// Timestamps are of the years 1 to 9999, durations of at most 2^63 ns; an error otherwise.
Value checked_timestamp(__int128 nanoseconds);
Value checked_duration(__int128 nanoseconds);
__int128 nanoseconds(const Value& time);

}  // namespace chaperone::cel
