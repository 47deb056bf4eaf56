// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/logging.h"

#include "userspace/base/clock.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION  // it would always be this file
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace chaperone::daemon {
namespace {

std::string_view name_of(log::Level level) {
    switch (level) {
    case log::Level::Debug: return "debug";
    case log::Level::Info: return "info";
    case log::Level::Warning: return "warning";
    case log::Level::Error: return "error";
    }
    return "error";
}

int priority_of(log::Level level) {  // syslog(3)
    switch (level) {
    case log::Level::Debug: return 7;
    case log::Level::Info: return 6;
    case log::Level::Warning: return 4;
    case log::Level::Error: return 3;
    }
    return 3;
}

log::Level level_of(LogLevel level) {
    switch (level) {
    case LogLevel::Debug: return log::Level::Debug;
    case LogLevel::Info: return log::Level::Info;
    case LogLevel::Warning: return log::Level::Warning;
    case LogLevel::Error: return log::Level::Error;
    }
    return log::Level::Info;
}

// A JSON string, quotes included; also how text lines quote what is not one plain word.
std::string in_quotes(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (c == '\n') {
            out += "\\n";
        } else if (byte < 0x20 || byte == 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", byte);
            out += escape;
        } else {
            out += c;
        }
    }
    return out += '"';
}

bool is_plain(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7f || c == '"' || c == '=' || c == '\\') return false;
    }
    return !text.empty();
}

// systemd sets JOURNAL_STREAM to device:inode of what it gave us as standard error (systemd.exec).
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status{};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
    return stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

void send_to_journal(log::Level level, std::string_view message, log::Fields fields) {
    std::vector<std::string> entry = journal_entry(level, message, fields);
    std::vector<iovec> parts;
    for (std::string& part : entry) parts.push_back({part.data(), part.size()});
    (void)::sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

}  // namespace

std::string text_line(Time time, log::Level level, std::string_view message, log::Fields fields) {
    std::string out = to_rfc3339(time);
    out.append(" ").append(name_of(level)).append(": ").append(message);
    for (const log::Field& field : fields) {
        out.append(" ").append(field.key).append("=");
        out.append(is_plain(field.value) ? field.value : in_quotes(field.value));
    }
    return out;
}

std::string json_line(Time time, log::Level level, std::string_view message, log::Fields fields) {
    std::string out = R"({"time":)" + in_quotes(to_rfc3339(time));
    out.append(R"(,"level":)").append(in_quotes(name_of(level)));
    out.append(R"(,"msg":)").append(in_quotes(message));
    for (const log::Field& field : fields)
        out.append(",").append(in_quotes(field.key)).append(":").append(in_quotes(field.value));
    return out += '}';
}

std::vector<std::string> journal_entry(log::Level level, std::string_view message,
                                       log::Fields fields) {
    std::vector<std::string> out{"MESSAGE=" + std::string{message},
                                 "PRIORITY=" + std::to_string(priority_of(level)),
                                 "SYSLOG_IDENTIFIER=chaperoned"};
    for (const log::Field& field : fields) {
        std::string name = "CHAPERONE_";
        for (const char c : field.key)
            name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        out.push_back(name + "=" + field.value);
        // journalctl shows MESSAGE alone: what happened to which object must be in it.
        out[0].append(" ").append(field.key).append("=").append(
            is_plain(field.value) ? field.value : in_quotes(field.value));
    }
    return out;
}

void start_logging(const LogConfig& config) {
    log::set_level(level_of(config.level));
    LogFormat format = config.format;
    if (format == LogFormat::Auto)
        format = stderr_is_journal() ? LogFormat::Journal : LogFormat::Text;
    if (format == LogFormat::Journal) {
        log::set_sink(send_to_journal);
        return;
    }
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto logger = std::make_shared<spdlog::logger>("chaperoned", std::move(sink));
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::trace);
    const auto line = format == LogFormat::Json ? json_line : text_line;
    log::set_sink([logger, line](log::Level level, std::string_view message, log::Fields fields) {
        logger->info(line(now(), level, message, fields));
    });
}

}  // namespace chaperone::daemon
