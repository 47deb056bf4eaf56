// SPDX-License-Identifier: Apache-2.0
// What an operator may set in chaperone.yaml. Every key has a default; config.cpp documents each
// and checks them, packaging/etc/chaperone.yaml shows them. Plain data, immutable once read.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::daemon {

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error };
enum class LogFormat : std::uint8_t { Auto, Text, Json, Journal };
enum class JournalSync : std::uint8_t { Never, Interval, Always };
enum class Dns : std::uint8_t { Deny, Direct, Resolve };

struct ListenConfig {
    std::uint16_t port = 0;  // 0: one is picked at the first start and kept
    unsigned threads = 0;    // 0: one per core
};
struct LogConfig {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Auto;
};
struct JournalConfig {
    JournalSync sync = JournalSync::Interval;
    Duration interval = std::chrono::seconds{1};
    std::uint64_t segment_size = std::uint64_t{64} << 20;
    std::uint64_t checkpoint_entries = 4096;
};
struct LimitsConfig {
    std::uint64_t max_sessions = 65'536;
    std::uint64_t max_sessions_per_workload = 16'384;
    std::uint64_t max_statement = 32 * 1024 * 1024;
    std::uint64_t max_message = std::uint64_t{64} << 20;
    Duration connect_timeout = std::chrono::seconds{10};
    Duration login_timeout = std::chrono::seconds{30};
    Duration http_idle_timeout = std::chrono::minutes{10};
    Duration http_reuse_idle = std::chrono::seconds{4};
    Duration drain = std::chrono::seconds{10};
};
struct AgentsConfig {
    Dns dns = Dns::Resolve;
};
struct ResolverConfig {
    std::vector<std::string> servers{};  // none: those of /etc/resolv.conf
    Duration timeout = std::chrono::seconds{4};
};
struct OperatorsConfig {
    std::string group = "chaperone";
};

struct BundleConfig {
    std::string signers{};  // path, relative to the configuration's folder; empty: no signatures
};

struct CaConfig {
    std::string key{};     // a PKCS#11 URI; empty: in the CA's folder
    std::string module{};  // the library that speaks for the token; empty: what the URI says
    Duration timeout = std::chrono::seconds{5};
};

struct Config {
    ListenConfig listen{};
    LogConfig log{};
    JournalConfig journal{};
    LimitsConfig limits{};
    AgentsConfig agents{};
    ResolverConfig resolver{};
    OperatorsConfig operators{};
    BundleConfig bundle{};
    CaConfig ca{};
};

// Reads the file; one that does not exist is all defaults. Invalid: the detail is the whole list of
// findings, each as file:line:column with the line and a caret.
Result<Config> read_config(const std::filesystem::path& path);
// The same from text; `name` is the file's in messages.
Result<Config> parse_config(std::string_view name, std::string text);

}  // namespace chaperone::daemon
