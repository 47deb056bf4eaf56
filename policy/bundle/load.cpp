// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/bundle.h"
#include "policy/bundle/decode.h"
#include "policy/bundle/findings.h"
#include "policy/bundle/hosts.h"
#include "policy/detect/kind.h"
#include "policy/engine/engine.h"
#include "policy/yaml/parser.h"
#include "userspace/base/encoding.h"
#include "userspace/base/file.h"
#include "userspace/base/sha256.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace chaperone::policy::bundle {

namespace fs = std::filesystem;

namespace {

std::string number(std::size_t value) {
    return std::to_string(value);
}

bool is_yaml(const fs::path& path) {
    return path.extension() == ".yaml" || path.extension() == ".yml";
}

}  // namespace

class Loader {
public:
    explicit Loader(const Bundle::Limits& limits)
        : limits_(limits), bundle_(new Bundle), findings_(bundle_->files_) {}

    Loaded from_directory(const fs::path& directory) {
        std::error_code error;
        root_ = fs::canonical(directory, error);
        if (error || !fs::is_directory(root_, error)) {
            bundle_->files_.push_back({directory.string(), {}});
            findings_.error({}, "there is no such directory");
            return result();
        }
        bundle_->directory_ = root_;
        collect();
        return finish();
    }

    Loaded from_memory(std::vector<SourceFile> files) {
        for (SourceFile& file : files) {
            if (is_yaml(file.path))
                bundle_->files_.push_back(std::move(file));
            else
                others_.emplace(std::move(file.path), std::move(file.content));
        }
        return finish();
    }

private:
    Loaded finish() {
        std::ranges::sort(bundle_->files_, {}, &SourceFile::path);
        if (!within_limits()) return result();
        decode();
        check_names();
        check_hosts();
        check_kinds();
        compile();
        if (bundle_->files_.empty())
            findings_.warning({.file = Findings::kNoFile}, "empty", "there are no documents");
        digest();
        return result();
    }

    Loaded result() {
        Loaded loaded{.issues = findings_.take()};
        if (!findings_.has_errors()) loaded.bundle = std::move(bundle_);
        return loaded;
    }

    void trouble(const std::string& path, std::string message) {
        unreadable_.push_back({path, std::move(message)});
    }

    // Whatever may not be read is an error: a policy that is silently left out is a hole.
    void collect() {
        std::error_code error;
        fs::recursive_directory_iterator it{root_, error};
        for (; !error && it != fs::recursive_directory_iterator{}; it.increment(error)) {
            const std::string name = it->path().filename().string();
            std::error_code ignored;
            if (name.starts_with('.')) {
                if (it->is_directory(ignored)) it.disable_recursion_pending();
                continue;
            }
            if (!is_yaml(it->path()) || it->is_directory(ignored)) continue;
            if (bundle_->files_.size() + unreadable_.size() >= limits_.files) {
                trouble({}, "more than " + number(limits_.files) + " files");
                return;
            }
            collect_file(it->path());
        }
        if (error) trouble({}, "the directory cannot be read: " + error.message());
    }

    void collect_file(const fs::path& path) {
        const std::string name = path.lexically_relative(root_).generic_string();
        if (!inside(path)) return trouble(name, "is a link that leaves the bundle's directory");
        auto content = read_file(path, limits_.file_size);
        if (!content) return trouble(name, content.error().message());
        bundle_->files_.push_back({name, std::move(*content)});
    }

    bool inside(const fs::path& path) const {
        std::error_code error;
        const fs::path real = fs::canonical(path, error);
        if (error) return false;
        const fs::path relative = real.lexically_relative(root_);
        return !relative.empty() && *relative.begin() != "..";
    }

    bool within_limits() {
        std::size_t total = 0;
        for (const SourceFile& file : bundle_->files_) {
            total += file.content.size();
            if (file.content.size() > limits_.file_size)
                trouble(file.path, "is larger than " + number(limits_.file_size) + " bytes");
        }
        if (total > limits_.total_size)
            trouble({}, "is larger than " + number(limits_.total_size) + " bytes together");
        if (bundle_->files_.size() > limits_.files)
            trouble({}, "more than " + number(limits_.files) + " files");
        const bool whole = unreadable_.empty();
        for (auto& [path, message] : unreadable_) {
            if (path.empty()) {
                findings_.error({.file = Findings::kNoFile}, message);
                continue;
            }
            const auto file = std::ranges::find(bundle_->files_, path, &SourceFile::path);
            const auto index = static_cast<std::uint32_t>(file - bundle_->files_.begin());
            if (file == bundle_->files_.end()) bundle_->files_.push_back({path, {}});
            findings_.error({.file = index}, message);
        }
        return whole;
    }

    // A file that a document names: read once, part of the digest.
    std::optional<std::string> named_file(const Mark& at, const std::string& path) {
        if (const auto known = others_.find(path); known != others_.end()) return known->second;
        if (root_.empty() || !fs::exists(root_ / path)) {
            findings_.error(at, "there is no file \"" + path + "\" in the bundle");
            return std::nullopt;
        }
        if (!inside(root_ / path)) {
            findings_.error(at, "\"" + path + "\" is a link that leaves the bundle's directory");
            return std::nullopt;
        }
        auto content = read_file(root_ / path, limits_.file_size);
        if (!content) {
            findings_.error(at, content.error().message());
            return std::nullopt;
        }
        return others_.emplace(path, std::move(*content)).first->second;
    }

    std::optional<std::string> attachment(const Mark& at, const std::string& path) {
        auto content = named_file(at, path);
        if (content) used_.insert(path);
        return content;
    }

    void decode() {
        DecodeContext context{findings_, [this](const Mark& at, const std::string& path) {
                                  return attachment(at, path);
                              }};
        for (std::uint32_t i = 0; i != bundle_->files_.size(); ++i)
            for (const yaml::Node& node : yaml::parse(i, findings_))
                decode_document(node, context, bundle_->documents_, names_);
        std::size_t rules = 0;
        for (const Policy& policy : bundle_->documents_.policies) rules += policy.rules.size();
        if (rules > limits_.rules)
            findings_.error({.file = Findings::kNoFile},
                            "more than " + number(limits_.rules) + " rules");
    }

    template <class T>
    static std::vector<std::string_view> index(const std::vector<T>& all, Bundle::Index& to) {
        std::vector<std::string_view> names;
        for (std::size_t i = 0; i != all.size(); ++i) {
            to.try_emplace(all[i].metadata.name, i);
            names.push_back(all[i].metadata.name);
        }
        return names;
    }

    void reference(const Bundle::Index& index, const std::vector<std::string_view>& names,
                   std::string_view kind, const std::string& name, const Mark& at) {
        if (name.empty() || index.contains(name)) return;
        findings_.error(at, "there is no " + std::string{kind} + " \"" + name + "\"",
                        did_you_mean(name, names));
    }

    void check_names() {
        const Documents& all = bundle_->documents_;
        const auto resources = index(all.resources, bundle_->resources_);
        const auto workloads = index(all.workloads, bundle_->workloads_);
        const auto providers = index(all.providers, bundle_->providers_);
        for (const Workload& workload : all.workloads)
            if (workload.oidc)
                reference(bundle_->providers_, providers, "IdentityProvider",
                          workload.oidc->provider, workload.oidc->provider_at);
        for (const Workload& workload : all.workloads)
            for (const Inbound& inbound : workload.inbound)
                for (std::size_t i = 0; i != inbound.workloads.size(); ++i)
                    if (inbound.workloads[i] != "*")
                        reference(bundle_->workloads_, workloads, "Workload", inbound.workloads[i],
                                  inbound.workload_marks[i]);
        for (const PolicyTest& test : all.tests)
            for (const TestCase& one : test.cases) {
                reference(bundle_->workloads_, workloads, "Workload", one.workload,
                          one.workload_at);
                if (!one.resource.empty())
                    reference(bundle_->resources_, resources, "Resource", one.resource,
                              one.resource_at);
            }
        check_matches();
    }

    // One process cannot be two workloads.
    void check_matches() {
        std::map<std::string, const Workload*> seen;
        for (const Workload& workload : bundle_->documents_.workloads) {
            const std::string& match = workload.unit.empty() ? workload.cgroup : workload.unit;
            if (match.empty()) continue;
            const auto [first, added] = seen.try_emplace(match, &workload);
            if (!added)
                findings_.error(workload.metadata.at, "workload \"" + first->second->metadata.name +
                                                          "\" matches " + match + " already");
        }
    }

    void check_hosts() {
        auto hosts = std::make_unique<HostIndex>();
        const std::vector<Resource>& all = bundle_->documents_.resources;
        for (std::size_t i = 0; i != all.size(); ++i)
            for (std::size_t h = 0; h != all[i].hosts.size(); ++h) add_host(*hosts, i, h);
        hosts->finish();
        bundle_->hosts_ = std::move(hosts);
    }

    void add_host(HostIndex& hosts, std::size_t resource, std::size_t host) {
        const std::vector<Resource>& all = bundle_->documents_.resources;
        const auto pattern = HostPattern::parse(all[resource].hosts[host]);
        if (!pattern) return;  // reported when it was read
        const bool udp = all[resource].protocol == "udp";
        for (const std::uint16_t port : all[resource].ports) {
            const std::size_t other = hosts.add(*pattern, port, udp, resource);
            if (other == HostIndex::kNone || other == resource) continue;
            const Mark at = host < all[resource].host_marks.size() ? all[resource].host_marks[host]
                                                                   : all[resource].metadata.at;
            findings_.error(at, "resource \"" + all[other].metadata.name + "\" claims " +
                                    pattern->text() + " on port " + std::to_string(port) +
                                    " already");
            return;
        }
    }

    void check_kinds() {
        std::vector<std::string_view> names;
        for (const detect::KindInfo& kind : detect::builtin_kinds()) names.push_back(kind.name);
        for (const auto& recognizer : bundle_->documents_.recognizers)
            names.push_back(recognizer.name);
        const std::set<std::string_view> known{names.begin(), names.end()};
        for (const Policy& policy : bundle_->documents_.policies)
            for (const Rule& rule : policy.rules)
                for (const Mask& mask : rule.mask)
                    for (std::size_t i = 0; i != mask.detect.size(); ++i) {
                        if (known.contains(mask.detect[i]) || mask.detect[i].empty()) continue;
                        const Mark at =
                            i < mask.detect_marks.size() ? mask.detect_marks[i] : mask.at;
                        findings_.error(at, "there is no recogniser \"" + mask.detect[i] + "\"",
                                        did_you_mean(mask.detect[i], names));
                    }
    }

    void compile() {
        bundle_->engine_ = engine::Engine::compile(bundle_->documents_.policies, findings_);
    }

    void digest() {
        std::map<std::string_view, std::string_view> all;
        for (const SourceFile& file : bundle_->files_) all.emplace(file.path, file.content);
        for (const std::string& path : used_)
            bundle_->attachments_.push_back({path, others_.at(path)});
        for (const SourceFile& file : bundle_->attachments_) all.emplace(file.path, file.content);
        Sha256 hash;
        // Lengths go in front, so that no two sets of files read alike.
        const auto add = [&](std::string_view text) {
            hash.add(as_bytes(number(text.size()) + ":")).add(as_bytes(text));
        };
        for (const auto& [path, content] : all) {
            add(path);
            add(content);
        }
        const Digest sum = hash.finish();
        bundle_->digest_ = "sha256:" + to_hex(sum);
    }

    Bundle::Limits limits_;
    std::shared_ptr<Bundle> bundle_;
    Findings findings_;
    fs::path root_;
    std::map<std::string, std::string, std::less<>> others_;
    std::set<std::string> used_;
    std::vector<std::pair<std::string, std::string>> unreadable_;
    Names names_;
};

Loaded load(const fs::path& directory, const Bundle::Limits& limits) {
    return Loader{limits}.from_directory(directory);
}

Loaded load(std::vector<SourceFile> files, const Bundle::Limits& limits) {
    return Loader{limits}.from_memory(std::move(files));
}

}  // namespace chaperone::policy::bundle
