// SPDX-License-Identifier: Apache-2.0
// A bundle: all documents of one directory, checked as a whole and compiled. Immutable, shared by
// threads; its owner swaps the shared_ptr. Everything a session was told by a bundle stays valid as
// long as it keeps the pointer.
#pragma once

#include "policy/bundle/documents.h"
#include "policy/bundle/issue.h"
#include "policy/detect/detector.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::engine {
class Engine;
}

namespace chaperone::policy::bundle {

// A file of the bundle, kept for messages about it.
struct SourceFile {
    std::string path{};  // relative to the bundle's directory, '/' between parts
    std::string content{};
};

struct Documents {
    std::vector<Policy> policies{};
    std::vector<Resource> resources{};
    std::vector<Workload> workloads{};
    std::vector<IdentityProvider> providers{};
    std::vector<Approvers> approvers{};
    std::vector<PolicyTest> tests{};
    std::vector<detect::CustomRecognizer> recognizers{};
};

class HostIndex;

enum class Transport : std::uint8_t { Tcp, Udp };

class Bundle {
public:
    // Bounds of a directory; beyond one of them it is refused.
    struct Limits {
        std::size_t files = 4'096;
        std::size_t file_size = std::size_t{8} << 20;
        std::size_t total_size = std::size_t{64} << 20;
        std::size_t rules = 100'000;
    };

    // "sha256:" and 64 hex digits, over the sorted paths and contents of all files.
    const std::string& digest() const noexcept { return digest_; }
    // Which change of policy it came with; 0 and empty where nobody said.
    struct Provenance {
        std::uint64_t generation = 0;
        std::string commit{};
    };
    const Provenance& provenance() const noexcept { return provenance_; }
    // For whoever loaded it, before it is shared.
    static void stamp(const Bundle& loaded, Provenance provenance);

    const std::filesystem::path& directory() const noexcept { return directory_; }
    // Those with documents.
    const std::vector<SourceFile>& files() const noexcept { return files_; }
    // Those that documents name, such as certificates. With files() they are the whole bundle.
    const std::vector<SourceFile>& attachments() const noexcept { return attachments_; }

    const std::vector<Policy>& policies() const noexcept { return documents_.policies; }
    const std::vector<Resource>& resources() const noexcept { return documents_.resources; }
    const std::vector<Workload>& workloads() const noexcept { return documents_.workloads; }
    const std::vector<IdentityProvider>& providers() const noexcept { return documents_.providers; }
    const std::vector<Approvers>& approvers() const noexcept { return documents_.approvers; }
    const std::vector<PolicyTest>& tests() const noexcept { return documents_.tests; }
    const std::vector<detect::CustomRecognizer>& recognizers() const noexcept {
        return documents_.recognizers;
    }

    // By name; null if there is none.
    const Resource* resource(std::string_view name) const noexcept;
    const Workload* workload(std::string_view name) const noexcept;
    const IdentityProvider* provider(std::string_view name) const noexcept;

    // The resource that the agent dialled: by name first, where one is known, then by address. The
    // most specific host wins: exact name, then the longer wildcard, exact address, longer prefix.
    // Null: no resource claims it, and nothing may pass. A name is what the agent said (SNI) or
    // what our resolver answered for that address; give only names that are bound to the
    // connection.
    // Resources of protocol udp are found for Transport::Udp only, all others for Tcp only.
    const Resource* resource_for(const Destination& destination,
                                 Transport transport = Transport::Tcp) const;

    // The same where several names may be meant, the likeliest first: those that our resolver
    // answered with this address. Names that nobody claims do not hinder.
    struct Claim {
        const Resource* resource = nullptr;
        std::string name{};      // the one by which it was found; empty: by its address
        bool ambiguous = false;  // two resources claim it alike by name: none is meant for certain
    };
    Claim resource_for(const Destination& destination, std::span<const std::string> names,
                       Transport transport = Transport::Tcp) const;

    // All resources that claim a name or an address ("10.1.2.3"), whatever the port.
    std::vector<const Resource*> resources_named(std::string_view name) const;
    std::vector<const Resource*> resources_at(std::string_view address) const;

    // The compiled rules; what policy/engine/session_policy.h works with.
    const engine::Engine& engine() const noexcept { return *engine_; }

    // An Issue at this mark.
    Issue issue(Severity severity, const Mark& at, std::string message,
                std::string suggestion = {}) const;

    ~Bundle();
    Bundle(const Bundle&) = delete;
    Bundle& operator=(const Bundle&) = delete;

private:
    friend class Loader;
    Bundle();

    std::filesystem::path directory_{};
    std::string digest_{};
    Provenance provenance_{};
    using Index = std::map<std::string, std::size_t, std::less<>>;

    std::vector<SourceFile> files_{};
    std::vector<SourceFile> attachments_{};
    Documents documents_{};
    Index resources_{};
    Index workloads_{};
    Index providers_{};
    std::unique_ptr<const HostIndex> hosts_;
    std::unique_ptr<const engine::Engine> engine_;
};

struct Loaded {
    std::shared_ptr<const Bundle> bundle{};  // null if there is an error among the issues
    std::vector<Issue> issues{};             // all of them, in the order of files and lines
};

// Reads every *.yaml and *.yml below the directory (hidden ones and symbolic links out of it are
// not followed), decodes, compiles and checks. Never throws; what cannot be read is an issue.
Loaded load(const std::filesystem::path& directory, const Bundle::Limits& limits = {});

// The same from memory, for tests and for bundles that come over the network. Paths are relative.
Loaded load(std::vector<SourceFile> files, const Bundle::Limits& limits = {});

}  // namespace chaperone::policy::bundle
