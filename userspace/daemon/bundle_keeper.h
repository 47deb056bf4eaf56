// SPDX-License-Identifier: Apache-2.0
// The bundle in force, and how it is replaced: as a whole, after it has been checked, or not at
// all. Thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace chaperone::daemon {

class BundleKeeper {
public:
    using BundlePtr = std::shared_ptr<const policy::bundle::Bundle>;

    // Invalid: the detail is the whole list of findings.
    static Result<std::unique_ptr<BundleKeeper>> open(std::filesystem::path directory);

    BundlePtr bundle() const;
    // Reads the directory again. Invalid: it does not check, the old one stays.
    Result<BundlePtr> reload();
    // Checks these files and, where they are fine, makes them the directory's content. Readers of
    // the directory see the old files or the new ones.
    Result<BundlePtr> apply(std::vector<policy::bundle::SourceFile> files);

    struct State {
        Time loaded{};
        std::string error{};  // why the latest change was refused; empty: it was not
        Time error_time{};
    };
    State state() const;

private:
    BundleKeeper(std::filesystem::path directory, BundlePtr bundle)
        : directory_(std::move(directory)), bundle_(std::move(bundle)) {
        state_.loaded = now();
    }
    Result<BundlePtr> take(policy::bundle::Loaded loaded);

    const std::filesystem::path directory_;
    std::mutex changing_;  // one change at a time
    mutable std::mutex mutex_;
    BundlePtr bundle_;
    State state_;
};

}  // namespace chaperone::daemon
