// SPDX-License-Identifier: Apache-2.0
// How verbs print: a table for people, JSON or YAML for programs; and how they fail.
#pragma once

#include "cli/verb.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Message;
class Timestamp;
}  // namespace google::protobuf

namespace chaperone::cli {

class Table {
public:
    explicit Table(std::vector<std::string> heads) : rows_{std::move(heads)} {}
    Table& row(std::vector<std::string> cells);
    void print(std::ostream& out) const;
    bool empty() const { return rows_.size() == 1; }

private:
    std::vector<std::vector<std::string>> rows_;
};

// Prints a message in the wanted form; `table` prints it for people.
void print(Context& context, const google::protobuf::Message& message,
           const std::function<void(std::ostream&)>& table);
// The same for JSON that somebody else made.
void print_json(Context& context, std::string_view json,
                const std::function<void(std::ostream&)>& table);

// JSON as YAML: block style, strings quoted where YAML would read something else.
std::string yaml_of(std::string_view json);

// "chaperone: WHAT: message", the hint; the exit status that fits.
int fail_with(Context& context, std::string_view what, const control::Failure& failure);
int fail_with(Context& context, std::string_view what, const Error& error,
              std::string_view hint = {});

// Text of a session made fit for a terminal: control characters are shown, not sent.
std::string shown(std::string_view text, std::size_t most = std::string::npos);
// "2026-11-21 10:40:12", local; empty for none.
std::string local_time(const google::protobuf::Timestamp& time);
std::string bytes_text(double bytes);                     // "1.2 MiB"
std::string to_text(const v1::Destination& destination);  // "10.0.0.7 port 5432 db.internal"

}  // namespace chaperone::cli
