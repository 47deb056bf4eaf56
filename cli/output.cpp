// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include "userspace/control/json.h"

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <ostream>

namespace chaperone::cli {
namespace json = boost::json;
namespace {

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Plain scalars only where no reader of YAML 1.1 or 1.2 takes them for something else.
bool is_plain_yaml(std::string_view text) {
    static constexpr std::array<std::string_view, 12> kWords{
        "null", "Null", "true", "True", "false", "False", "yes", "no", "on", "off", "y", "n"};
    if (text.empty() || std::ranges::find(kWords, text) != kWords.end()) return false;
    const char first = text.front();
    if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z'))) return false;
    return std::ranges::all_of(text,
                               [](char c) {
                                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                          (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                                          c == '.' || c == '/' || c == ' ';
                               }) &&
           text.back() != ' ';
}

std::string yaml_scalar(const json::value& value) {
    if (const auto* text = value.if_string())
        if (is_plain_yaml({text->data(), text->size()})) return std::string{*text};
    return json::serialize(value);  // a JSON string is a YAML string
}

void write_yaml(std::string& out, const json::value& value, std::size_t depth) {
    const std::string indent(depth * 2, ' ');
    const auto child = [&](const json::value& inner, std::size_t below) {
        const bool block = (inner.is_object() && !inner.get_object().empty()) ||
                           (inner.is_array() && !inner.get_array().empty());
        if (!block) {
            out += inner.is_object() ? " {}" : inner.is_array() ? " []" : " " + yaml_scalar(inner);
            out += '\n';
            return;
        }
        out += '\n';
        write_yaml(out, inner, below);
    };
    if (const auto* object = value.if_object()) {
        for (const auto& [key, inner] : *object) {
            out += indent + yaml_scalar(json::string{key}) + ':';
            child(inner, depth + 1);
        }
    } else if (const auto* array = value.if_array()) {
        for (const json::value& inner : *array) {
            const std::size_t begin = out.size();
            out += indent + '-';
            child(inner, depth + 1);
            // A mapping's first key stands on the dash's line.
            if (const auto line = out.find('\n', begin);
                inner.is_object() && line == begin + indent.size() + 1)
                out.replace(line, 1 + indent.size() + 2, " ");
        }
    } else {
        out += yaml_scalar(value) + '\n';
    }
}

}  // namespace

Table& Table::row(std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = shown(cell);
    rows_.push_back(std::move(cells));
    return *this;
}

void Table::print(std::ostream& out) const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]) + 2, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    }
}

std::string yaml_of(std::string_view text) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error) return std::string{text};
    if (value.is_object() && value.get_object().empty()) return "{}\n";
    if (value.is_array() && value.get_array().empty()) return "[]\n";
    std::string out;
    write_yaml(out, value, 0);
    return out;
}

void print_json(Context& context, std::string_view text,
                const std::function<void(std::ostream&)>& table) {
    switch (context.output) {
    case Output::Table: table(context.out); return;
    case Output::Json: context.out << text << (text.ends_with('\n') ? "" : "\n"); return;
    case Output::Yaml: context.out << yaml_of(text); return;
    }
}

void print(Context& context, const google::protobuf::Message& message,
           const std::function<void(std::ostream&)>& table) {
    print_json(context, control::to_json(message), table);
}

int fail_with(Context& context, std::string_view what, const Error& error, std::string_view hint) {
    context.err << "chaperone: " << what << ": "
                << (error.detail.empty() ? std::string{describe(error.code)} : error.detail)
                << '\n';
    if (!hint.empty()) context.err << "  " << hint << '\n';
    return kFoundSomething;
}

int fail_with(Context& context, std::string_view what, const control::Failure& failure) {
    if (!failure.unreachable) return fail_with(context, what, failure.error, failure.hint);
    fail_with(context, "the daemon cannot be reached", failure.error, failure.hint);
    return kDaemonUnreachable;
}

std::string shown(std::string_view text, std::size_t most) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (out.size() >= most) return out + "…";
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool c1 =
            byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (byte == '\n' || byte == '\t' || byte == '\r') {
            out += ' ';
        } else if (byte < 0x20 || byte == 0x7f || c1) {
            out += '?';
            i += c1;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string local_time(const google::protobuf::Timestamp& time) {
    if (time.seconds() == 0) return "";
    const std::time_t seconds = time.seconds();
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
    return text.data();
}

std::string to_text(const v1::Destination& destination) {
    std::string text = destination.address();
    if (destination.port() != 0) text += " port " + std::to_string(destination.port());
    if (!destination.name().empty()) text += " " + destination.name();
    return text;
}

std::string bytes_text(double bytes) {
    static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
    return text.data();
}

}  // namespace chaperone::cli
