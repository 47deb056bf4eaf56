// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/bundle_keeper.h"

#include "userspace/base/file.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>

namespace chaperone::daemon {
namespace fs = std::filesystem;
namespace {

// A path below the bundle's directory that names a file of it and nothing else.
bool is_inside(const fs::path& path) {
    if (path.empty() || path.is_absolute()) return false;
    for (const auto& part : path) {
        const std::string text = part.string();
        if (text.empty() || text.starts_with('.') || text.find('\0') != std::string::npos)
            return false;
    }
    return true;
}

Result<> write_all(const fs::path& directory,
                   const std::vector<policy::bundle::SourceFile>& files) {
    std::error_code error;
    fs::remove_all(directory, error);
    if (error)  // folders that root made inside an earlier bundle
        return fail(Errc::System, directory.string() + " is in the way and cannot be removed (" +
                                      error.message() + "): remove it");
    if (!fs::create_directories(directory, error))
        return fail(Errc::System, "make " + directory.string() + ": " + error.message());
    for (const auto& file : files) {
        const fs::path path = directory / file.path;
        fs::create_directories(path.parent_path(), error);
        if (error) return fail(Errc::System, "make " + path.string() + ": " + error.message());
        if (auto written = write_file(path, file.content); !written) return written;
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<BundleKeeper>> BundleKeeper::open(fs::path directory) {
    auto loaded = policy::bundle::load(directory);
    if (!loaded.bundle) return fail(Errc::Invalid, policy::bundle::to_text(loaded.issues));
    return std::unique_ptr<BundleKeeper>{
        new BundleKeeper{std::move(directory), std::move(loaded.bundle)}};
}

BundleKeeper::BundlePtr BundleKeeper::bundle() const {
    const std::lock_guard lock{mutex_};
    return bundle_;
}

BundleKeeper::State BundleKeeper::state() const {
    const std::lock_guard lock{mutex_};
    return state_;
}

Result<BundleKeeper::BundlePtr> BundleKeeper::take(policy::bundle::Loaded loaded) {
    const std::lock_guard lock{mutex_};
    if (!loaded.bundle) {
        state_.error = policy::bundle::to_text(loaded.issues);
        state_.error_time = now();
        return fail(Errc::Invalid, state_.error);
    }
    bundle_ = std::move(loaded.bundle);
    state_ = {.loaded = now()};
    return bundle_;
}

Result<BundleKeeper::BundlePtr> BundleKeeper::reload() {
    const std::lock_guard changing{changing_};
    return take(policy::bundle::load(directory_));
}

Result<BundleKeeper::BundlePtr> BundleKeeper::apply(std::vector<policy::bundle::SourceFile> files) {
    for (const auto& file : files)
        if (!is_inside(file.path))
            return fail(Errc::Invalid, "a bundle has no file '" + file.path + "'");
    const std::lock_guard changing{changing_};
    if (auto checked = policy::bundle::load(files); !checked.bundle)
        return take(std::move(checked));

    const fs::path next = directory_.string() + ".next";
    if (auto written = write_all(next, files); !written) return fail(written.error());
    std::error_code error;
    fs::create_directories(directory_, error);
    // Both names change at once: there is no moment without a bundle, whenever we are stopped.
    if (::renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, directory_.c_str(), RENAME_EXCHANGE) != 0)
        return system_error("exchange " + directory_.string(), errno);
    fs::remove_all(next, error);
    return take(policy::bundle::load(directory_));
}

}  // namespace chaperone::daemon
