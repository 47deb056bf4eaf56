// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/bundle_history.h"

#include "userspace/base/file.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <charconv>

namespace chaperone::daemon {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr const char* kAbout = "generation.json";
constexpr const char* kFiles = "files";
constexpr std::size_t kLargestAbout = 64 * 1024;

std::string text_of(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains({name.data(), name.size()});
    return value != nullptr && value->is_string() ? std::string{value->get_string()}
                                                  : std::string{};
}

std::optional<Generation> read_generation(const fs::path& folder) {
    Generation made;
    const std::string name = folder.filename().string();
    const auto got = std::from_chars(name.data(), name.data() + name.size(), made.number);
    if (got.ec != std::errc{} || got.ptr != name.data() + name.size() || made.number == 0)
        return std::nullopt;
    const auto text = read_file(folder / kAbout, kLargestAbout);
    if (!text) return std::nullopt;
    boost::system::error_code error;
    const json::value parsed = json::parse(*text, error);
    if (error || !parsed.is_object()) return std::nullopt;
    const json::object& about = parsed.get_object();
    made.digest = text_of(about, "digest");
    made.commit = text_of(about, "commit");
    made.signer = text_of(about, "signer");
    const json::value* since = about.if_contains("since");
    if (since != nullptr && since->is_int64()) made.since = Time{Duration{since->get_int64()}};
    return made.digest.empty() ? std::nullopt : std::optional{made};
}

}  // namespace

BundleHistory::BundleHistory(fs::path directory) : directory_(std::move(directory)) {
    if (directory_.empty()) return;
    std::error_code error;
    for (fs::directory_iterator it{directory_, error}; !error && it != fs::directory_iterator{};
         it.increment(error))
        if (auto found = read_generation(it->path())) all_.push_back(*std::move(found));
    std::ranges::sort(all_, {}, &Generation::number);
}

fs::path BundleHistory::folder(std::uint64_t number) const {
    return directory_ / std::to_string(number);
}

Result<Generation> BundleHistory::add(Generation made,
                                      const std::vector<policy::bundle::SourceFile>& files) {
    if (!all_.empty() && all_.back().digest == made.digest && all_.back().commit == made.commit &&
        all_.back().signer == made.signer)
        return all_.back();
    made.number = all_.empty() ? 1 : all_.back().number + 1;
    if (directory_.empty()) {
        all_.push_back(made);
        return made;
    }
    // Under another name until it is whole.
    const fs::path next = directory_ / "next";
    std::error_code error;
    fs::remove_all(next, error);
    for (const auto& file : files) {
        const fs::path path = next / kFiles / file.path;
        fs::create_directories(path.parent_path(), error);
        if (error) return fail(Errc::System, "make " + path.string() + ": " + error.message());
        if (auto written = write_file(path, file.content, 0600); !written)
            return fail(written.error());
    }
    const json::object about{{"digest", made.digest},
                             {"commit", made.commit},
                             {"signer", made.signer},
                             {"since", made.since.time_since_epoch().count()}};
    fs::create_directories(next, error);
    if (auto written = write_file(next / kAbout, json::serialize(about) + "\n", 0600); !written)
        return fail(written.error());
    fs::remove_all(folder(made.number), error);
    fs::rename(next, folder(made.number), error);
    if (error)
        return fail(Errc::System, "keep " + folder(made.number).string() + ": " + error.message());
    all_.push_back(made);
    while (all_.size() > kKept) {
        fs::remove_all(folder(all_.front().number), error);
        all_.erase(all_.begin());
    }
    return made;
}

Result<std::vector<policy::bundle::SourceFile>> BundleHistory::files(std::uint64_t number) const {
    const auto found = std::ranges::find(all_, number, &Generation::number);
    if (found == all_.end() || directory_.empty())
        return fail(Errc::NotFound, "generation " + std::to_string(number) + " is not kept");
    std::vector<policy::bundle::SourceFile> files;
    const fs::path root = folder(number) / kFiles;
    std::error_code error;
    for (fs::recursive_directory_iterator it{root, error};
         !error && it != fs::recursive_directory_iterator{}; it.increment(error)) {
        if (!it->is_regular_file(error)) continue;
        auto content = read_file(it->path());
        if (!content) return fail(content.error());
        files.push_back(
            {it->path().lexically_relative(root).generic_string(), *std::move(content)});
    }
    if (error) return fail(Errc::System, "read " + root.string() + ": " + error.message());
    return files;
}

}  // namespace chaperone::daemon
