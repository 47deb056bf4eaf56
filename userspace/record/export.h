// SPDX-License-Identifier: Apache-2.0
// Entries as lines for other systems. Pure. Every function gives one line without a newline in it,
// for any entry; text of the session is escaped so that it cannot forge a second line or field.
#pragma once

#include "userspace/base/error.h"
#include "userspace/record/reader.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::record {

enum class Format { Jsonl, Ocsf, Cef, Syslog };
Result<Format> parse_format(std::string_view text);  // jsonl | ocsf | cef | syslog

// Requests and results do not repeat who asked. An Exporter sees the entries in order and remembers
// of each open session what its lines need. Not thread-safe.
class Exporter {
public:
    // `host` goes into the lines that name the device; `version` is the product's.
    Exporter(Format format, std::string host, std::string version)
        : format_(format), host_(std::move(host)), version_(std::move(version)) {}
    // nullopt: this format has nothing to say of such an entry (streams outside jsonl).
    std::optional<std::string> line(const Stored& stored);

private:
    Format format_;
    std::string host_;
    std::string version_;
    std::map<std::string, SessionStart, std::less<>> sessions_;
};

}  // namespace chaperone::record
