// SPDX-License-Identifier: Apache-2.0
// Structured log: a constant message and fields. Keys are those of LOGGING.md. Values hold no
// session bytes and no secrets. Thread-safe. The sink is set once by a program's main; before that
// warnings and errors go to standard error.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace chaperone::log {

enum class Level { Debug, Info, Warning, Error };

struct Field {
    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    Field(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}

    std::string_view key;
    std::string value;
};

using Fields = std::initializer_list<Field>;
using Sink = std::function<void(Level, std::string_view message, Fields fields)>;

void set_sink(Sink sink);
void set_level(Level least);
void write(Level level, std::string_view message, Fields fields);

inline void debug(std::string_view message, Fields fields = {}) {
    write(Level::Debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
    write(Level::Info, message, fields);
}
inline void warning(std::string_view message, Fields fields = {}) {
    write(Level::Warning, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
    write(Level::Error, message, fields);
}

}  // namespace chaperone::log
