// SPDX-License-Identifier: Apache-2.0
// The bundle in force, and how it is replaced: as a whole, after it has been checked and, where
// that is asked for, its signature verified, or not at all. Thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/bundle/signature.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/daemon/bundle_history.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace chaperone::daemon {

class BundleKeeper {
public:
    using BundlePtr = std::shared_ptr<const policy::bundle::Bundle>;
    using Files = std::vector<policy::bundle::SourceFile>;

    struct Places {
        std::filesystem::path directory{};  // of the bundle
        std::filesystem::path history{};    // of earlier ones; empty: none are kept
        // Who may sign bundles; empty: signatures are not asked for. Read anew at each change.
        std::filesystem::path signers{};
    };

    // Invalid: the detail is the whole list of findings. Denied, Malformed, NotFound: it is not
    // signed as it must be.
    static Result<std::unique_ptr<BundleKeeper>> open(Places places);

    BundlePtr bundle() const;
    // From now on; an empty path: signatures are not asked for.
    void set_signers(std::filesystem::path signers);
    // Reads the directory again. Where that fails the old one stays.
    Result<BundlePtr> reload();
    // Checks these files and, where they are fine, makes them the directory's content. Readers of
    // the directory see the old files or the new ones.
    Result<BundlePtr> apply(Files files, std::string commit);
    // Applies the files of an earlier generation, as a new one; 0: of the one before.
    Result<BundlePtr> roll_back(std::uint64_t generation);

    struct State {
        Generation generation{};  // in force
        std::string error{};      // why the latest change was refused; empty: it was not
        Time error_time{};
        std::uint64_t refused = 0;  // changes, since the start
        std::vector<Generation> history{};
    };
    State state() const;

private:
    BundleKeeper(Places places) : places_(std::move(places)), history_(places_.history) {}
    Result<BundlePtr> take(policy::bundle::Loaded loaded, std::string_view signature,
                           std::string commit);
    Result<BundlePtr> refuse(Error error);
    Result<std::string> signer_of(const policy::bundle::Bundle& bundle,
                                  std::string_view signature) const;
    Result<BundlePtr> load_directory(std::string commit);

    Places places_;
    std::mutex changing_;  // one change at a time; guards places_ and history_ too
    BundleHistory history_;
    mutable std::mutex mutex_;
    BundlePtr bundle_;
    State state_;
};

// Where an instance keeps its bundles.
struct Paths;
struct Config;
BundleKeeper::Places bundle_places(const Paths& paths, const Config& config);

}  // namespace chaperone::daemon
