// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/names_file.h"

#include "userspace/base/encoding.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/sha256.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <span>
#include <utility>

namespace chaperone::net {
namespace {

constexpr std::string_view kHeader = "chaperone names 1 ";
constexpr std::size_t kSum = 8;  // bytes: against damage, not against a writer
// A last line, longer than any may be, and half a file more that a crash left behind.
constexpr std::size_t kMostRead = 2 * NamesFile::kMost;

std::string sum_of(std::string_view text) {
    const Digest digest = sha256(as_bytes(text));
    return to_hex(std::span{digest}.first<kSum>());
}

bool is_writable(std::string_view field) {
    return !field.empty() && std::ranges::none_of(field, [](unsigned char c) { return c < ' '; });
}

}  // namespace

std::string names_line(const Names::Known& known) {
    if (!is_writable(known.workload) || !is_writable(known.address) || !is_writable(known.name))
        return {};
    std::string line = std::to_string(known.until.time_since_epoch().count());
    for (const std::string* field : {&known.workload, &known.address, &known.name})
        line.append("\t").append(*field);
    return line + '\t' + sum_of(line) + '\n';
}

Result<Names::Known> parse_names_line(std::string_view line) {
    const auto damaged = [] { return fail(Errc::Corrupt, "a damaged line"); };
    const std::size_t last = line.rfind('\t');
    if (last == line.npos || sum_of(line.substr(0, last)) != line.substr(last + 1))
        return damaged();
    std::array<std::string_view, 4> fields;
    std::string_view rest = line.substr(0, last);
    for (std::size_t i = 0; i != fields.size(); ++i) {
        const std::size_t end = rest.find('\t');
        if ((end == rest.npos) != (i + 1 == fields.size())) return damaged();
        fields[i] = rest.substr(0, end);
        if (!is_writable(fields[i])) return damaged();
        if (end != rest.npos) rest.remove_prefix(end + 1);
    }
    Names::Clock::rep until = 0;
    const auto [end, error] =
        std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), until);
    if (error != std::errc{} || end != fields[0].data() + fields[0].size()) return damaged();
    Names::Known known{std::string{fields[1]}, std::string{fields[2]}, std::string{fields[3]},
                       Names::Moment{Names::Clock::duration{until}}};
    if (names_line(known) != std::string{line} + '\n') return damaged();  // "007"
    return known;
}

std::string boot_id() {
    auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
    if (!text) return {};
    while (text->ends_with('\n')) text->pop_back();
    return *std::move(text);
}

NamesFile::NamesFile(std::filesystem::path path, std::string boot, Names& names)
    : path_(std::move(path)), boot_(std::move(boot)), names_(names) {}

// A last line without an end is what a crash leaves of it; whatever else is odd is damage.
Result<std::vector<Names::Known>> NamesFile::read() const {
    std::vector<Names::Known> all;
    const auto text = read_file(path_, kMostRead);
    if (!text && text.error().code == Errc::NotFound) return all;
    if (!text) return fail(text.error());
    std::string_view rest = *text;
    bool first = true;
    for (std::size_t end = 0; (end = rest.find('\n')) != rest.npos; first = false) {
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        if (first && !line.starts_with(kHeader)) return fail(Errc::Corrupt, "it is not of names");
        if (first && line.substr(kHeader.size()) != boot_) return all;
        if (first) continue;
        auto known = parse_names_line(line);
        if (!known) return fail(known.error());
        all.push_back(*std::move(known));
    }
    if (first && !rest.empty()) return fail(Errc::Corrupt, "it has no beginning");
    return all;
}

Result<> NamesFile::load(Names::Moment now) {
    if (boot_.empty()) return fail(Errc::Unavailable, "this boot of the machine has no id");
    const auto all = read();
    if (all)
        for (const Names::Known& known : *all) names_.restore(known, now);
    if (auto written = write_anew(now); !written) return written;
    if (!all) return fail(all.error());
    return {};
}

Result<> NamesFile::write_anew(Names::Moment now) {
    std::string text = std::string{kHeader} + boot_ + '\n';
    for (const Names::Known& known : names_.all(now)) {
        const std::string line = names_line(known);
        if (text.size() + line.size() > kMost / 2) break;  // room for what comes
        text += line;
    }
    file_.reset();
    if (auto written = write_file(path_, text, 0600); !written) return written;
    file_.reset(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (!file_) return system_error("open " + path_.string(), errno);
    size_ = text.size();
    return {};
}

void NamesFile::note(const Names::Known& known, Names::Moment now) {
    if (!file_) return;
    const std::string line = names_line(known);
    if (size_ + line.size() > kMost) {
        if (auto written = write_anew(now); !written)
            log::warning("names are not kept over a restart", {{"error", written.error().detail}});
        return;  // it was learnt before it is noted
    }
    const ssize_t done = ::write(file_.get(), line.data(), line.size());
    if (done == static_cast<ssize_t>(line.size())) {
        size_ += line.size();
        failed_ = false;
        return;
    }
    const int why = done < 0 ? errno : ENOSPC;
    // Half a line would make the next one damage.
    if (done > 0) (void)::ftruncate(file_.get(), static_cast<off_t>(size_));
    if (!std::exchange(failed_, true))
        log::warning("names are not kept over a restart",
                     {{"error", system_error("write " + path_.string(), why).error().detail}});
}

}  // namespace chaperone::net
