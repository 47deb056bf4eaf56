// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/export.h"

#include "userspace/base/clock.h"
#include "userspace/base/encoding.h"
#include "userspace/record/ocsf.h"
#include "userspace/record/summary.h"
#include "userspace/record/text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <boost/json.hpp>

#include <set>

namespace chaperone::record {
namespace {

namespace json = boost::json;
namespace pb = google::protobuf;

// Sessions that never end in what we are given must not fill memory.
constexpr std::size_t kMostSessions = 100'000;

Time time_of(const Entry& entry) {
    return Time{Duration{entry.time()}};
}

// Fields that hold bytes and not text.
bool is_binary(const std::string& name) {
    static const std::set<std::string> kBinary{"data", "statement_digest", "digest",
                                               "discarded_digest", "sealed"};
    return kBinary.contains(name);
}

json::value as_json(const pb::Message& message);

// Of one value of a field; `at` is its position if it is repeated, else -1.
json::value value_of(const pb::Message& message, const pb::FieldDescriptor& field, int at) {
    const pb::Reflection& r = *message.GetReflection();
    switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_UINT32: return r.GetUInt32(message, &field);
    case pb::FieldDescriptor::CPPTYPE_UINT64: return r.GetUInt64(message, &field);
    case pb::FieldDescriptor::CPPTYPE_INT64: return r.GetInt64(message, &field);
    case pb::FieldDescriptor::CPPTYPE_BOOL: return r.GetBool(message, &field);
    case pb::FieldDescriptor::CPPTYPE_ENUM: return json::value(r.GetEnum(message, &field)->name());
    case pb::FieldDescriptor::CPPTYPE_STRING: {
        const std::string text =
            at < 0 ? r.GetString(message, &field) : r.GetRepeatedString(message, &field, at);
        return json::value(is_binary(field.name()) ? to_base64(as_bytes(text)) : to_utf8(text));
    }
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
        return as_json(at < 0 ? r.GetMessage(message, &field)
                              : r.GetRepeatedMessage(message, &field, at));
    case pb::FieldDescriptor::CPPTYPE_INT32:
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
    case pb::FieldDescriptor::CPPTYPE_FLOAT: return {};  // record.proto has none
    }
    return {};
}

json::value as_json(const pb::Message& message) {
    json::object object;
    std::vector<const pb::FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const pb::FieldDescriptor* field : fields) {
        if (!field->is_repeated()) {
            object[field->json_name()] = value_of(message, *field, -1);
            continue;
        }
        json::array array;
        const int size = message.GetReflection()->FieldSize(message, field);
        for (int i = 0; i != size; ++i) array.push_back(value_of(message, *field, i));
        if (!field->is_map()) {
            object[field->json_name()] = std::move(array);
            continue;
        }
        json::object map;
        for (const json::value& pair : array) {
            const json::object& item = pair.as_object();
            const json::value* const key = item.if_contains("key");
            const json::value* const value = item.if_contains("value");
            map[key != nullptr ? key->as_string() : json::string{}] =
                value != nullptr ? *value : json::value("");
        }
        object[field->json_name()] = std::move(map);
    }
    return object;
}

std::string to_jsonl(const Stored& stored) {
    json::object object = as_json(stored.entry).as_object();
    object["index"] = stored.index;
    object["time"] = to_rfc3339(time_of(stored.entry));
    return json::serialize(object);
}

// Puts a backslash before each of `special`; line ends are written out.
std::string escape(std::string_view text, std::string_view special) {
    std::string out;
    for (const char c : to_utf8(text)) {
        if (special.find(c) != special.npos) out += '\\';
        if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            out += ' ';
        else
            out += c;
    }
    return out;
}

int cef_severity(Severity severity) {
    switch (severity) {
    case Severity::Info: return 2;
    case Severity::Notice: return 4;
    case Severity::Warning: return 7;
    case Severity::Error: return 9;
    }
    return 9;
}

// ArcSight Common Event Format, version 0.
std::string to_cef(const Stored& stored, const Summary& summary, const std::string& host,
                   const std::string& version) {
    std::string line = "CEF:0|Chaperone|chaperone|" + escape(version, "\\|") + "|" +
                       std::string{summary.code} + "|" + std::string{summary.name} + "|" +
                       std::to_string(cef_severity(summary.severity));
    const auto milliseconds = stored.entry.time() / 1'000'000;
    line += "|rt=" + std::to_string(milliseconds) + " dvchost=" + escape(host, "\\=") +
            " externalId=" + std::to_string(stored.index);
    for (const auto& [key, value] : summary.fields)
        line += " " + std::string{key} + "=" + escape(value, "\\=");
    return line;
}

int syslog_severity(Severity severity) {
    switch (severity) {
    case Severity::Info: return 6;
    case Severity::Notice: return 5;
    case Severity::Warning: return 4;
    case Severity::Error: return 3;
    }
    return 3;
}

// A header field of RFC 5424: printable ASCII without spaces, or "-".
std::string syslog_word(std::string_view text, std::size_t most) {
    std::string word;
    for (const char c : text.substr(0, most)) word += c > ' ' && c < '\x7f' ? c : '_';
    return word.empty() ? "-" : word;
}

// RFC 5424. Facility 13, log audit. The private enterprise number is the one for documentation
// (RFC 5612), as the project has none.
std::string to_syslog(const Stored& stored, const Summary& summary, const std::string& host) {
    constexpr int kFacility = 13;
    constexpr std::size_t kMostHost = 255;
    // Its grammar allows six digits of a second's fraction.
    const auto time =
        std::chrono::time_point_cast<std::chrono::microseconds>(time_of(stored.entry));
    std::string line = "<" + std::to_string(kFacility * 8 + syslog_severity(summary.severity)) +
                       ">1 " + to_rfc3339(time) + " " + syslog_word(host, kMostHost) +
                       " chaperone - " + std::string{summary.code} + " [chaperone@32473 index=\"" +
                       std::to_string(stored.index) + "\"";
    for (const auto& [key, value] : summary.fields)
        line += " " + std::string{key} + "=\"" + escape(value, "\\\"]") + "\"";
    return line + "] " + std::string{summary.name};
}

}  // namespace

Result<Format> parse_format(std::string_view text) {
    if (text == "jsonl") return Format::Jsonl;
    if (text == "ocsf") return Format::Ocsf;
    if (text == "cef") return Format::Cef;
    if (text == "syslog") return Format::Syslog;
    return fail(Errc::Invalid,
                "format '" + std::string{text} + "'; there are jsonl, ocsf, cef and syslog");
}

std::optional<std::string> Exporter::line(const Stored& stored) {
    const Entry& entry = stored.entry;
    if (entry.has_session_start() && sessions_.size() < kMostSessions)
        sessions_[entry.session_start().session()] = entry.session_start();
    if (entry.has_admin() && entry.admin().action() == AdminEntry::DAEMON_START) sessions_.clear();
    const auto found = sessions_.find(session_of(entry));
    const SessionStart* const session = found == sessions_.end() ? nullptr : &found->second;
    std::optional<std::string> line;
    if (format_ == Format::Jsonl)
        line = to_jsonl(stored);
    else if (!entry.has_stream()) {
        const Summary summary = summarize(entry, session);
        switch (format_) {
        case Format::Jsonl: break;
        case Format::Ocsf: line = to_ocsf(stored, session, summary, host_, version_); break;
        case Format::Cef: line = to_cef(stored, summary, host_, version_); break;
        case Format::Syslog: line = to_syslog(stored, summary, host_); break;
        }
    }
    if (entry.has_session_end() && found != sessions_.end()) sessions_.erase(found);
    return line;
}

}  // namespace chaperone::record
