// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/trust.h"

#include "userspace/authority/trust_store.h"
#include "userspace/base/file.h"

#include <set>

namespace chaperone::daemon {
namespace {

namespace fs = std::filesystem;

// Where distributions keep their bundle; the first that is there is it.
constexpr const char* kSystemBundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
constexpr const char* kSystemFolder = "/etc/ssl/certs";
constexpr std::size_t kMaxCertificate = 1 << 20;

std::string system_bundle() {
    for (const char* file : kSystemBundles)
        if (auto found = read_file(file)) {
            if (!found->ends_with('\n')) *found += '\n';
            return *std::move(found);
        }
    return {};
}

// A folder that stands where the system's stood: its entries, and ours.
class Folder {
public:
    explicit Folder(fs::path at) : at_(std::move(at)) {}

    Result<> begin() {
        std::error_code error;
        fs::create_directories(at_ / "java", error);
        if (!error) fs::permissions(at_, fs::perms{0755}, error);
        if (!error) fs::permissions(at_ / "java", fs::perms{0755}, error);
        if (error) return system_error("make " + at_.string(), error.value());
        kept_.insert("java");
        return {};
    }

    // Links as they are: they are read where the system's folder was.
    void copy_system() {
        std::error_code error;
        for (const auto& entry : fs::directory_iterator{kSystemFolder, error}) {
            const std::string name = entry.path().filename();
            if (entry.is_symlink(error)) {
                link(name, fs::read_symlink(entry.path(), error));
            } else if (entry.is_regular_file(error)) {
                if (auto text = read_file(entry.path(), kMaxCertificate)) (void)file(name, *text);
            }
        }
    }

    Result<> file(const std::string& name, std::string_view text) {
        kept_.insert(fs::path{name}.begin()->string());
        const auto there = read_file(at_ / name);
        if (there && *there == text) return {};
        return write_file(at_ / name, text, 0644);
    }

    void link(const std::string& name, const fs::path& to) {
        std::error_code error;
        kept_.insert(name);
        if (fs::is_symlink(at_ / name, error) && fs::read_symlink(at_ / name, error) == to) return;
        fs::remove(at_ / name, error);
        fs::create_symlink(to, at_ / name, error);
    }

    std::string free_name(const std::string& hash) const {
        for (int i = 0;; ++i)
            if (std::string name = hash + "." + std::to_string(i); !kept_.contains(name))
                return name;
    }

    void remove_others() {
        std::error_code error;
        for (const auto& entry : fs::directory_iterator{at_, error})
            if (!kept_.contains(entry.path().filename().string())) fs::remove(entry.path(), error);
    }

private:
    fs::path at_;
    std::set<std::string> kept_;
};

Result<> write_folder(const Paths& paths, const std::string& all, const std::string& ours,
                      const std::string& java) {
    Folder folder{paths.trust_folder};
    if (auto begun = folder.begin(); !begun) return begun;
    folder.copy_system();
    const auto hashed = authority::hashed_names(ours);
    if (!hashed) return fail(hashed.error());
    int number = 0;
    for (const auto& [hash, pem] : *hashed) {
        const std::string name = "chaperone-" + std::to_string(++number) + ".pem";
        if (auto put = folder.file(name, pem); !put) return put;
        folder.link(folder.free_name(hash), name);
    }
    if (auto put = folder.file("ca-certificates.crt", all); !put) return put;
    if (auto put = folder.file("java/cacerts", java); !put) return put;
    folder.remove_others();
    return {};
}

}  // namespace

Result<> write_trust(const Paths& paths, const authority::Authority& authority) {
    const std::string ours = authority.bundle_pem(), all = system_bundle() + ours;
    if (auto put = write_file(paths.trust, all, 0644); !put) return put;
    if (auto put = write_file(paths.trust_ours, ours, 0644); !put) return put;
    const auto java = authority::java_store(all, now());
    if (!java) return fail(java.error());
    if (auto put = write_file(paths.trust_java, *java, 0644); !put) return put;
    return write_folder(paths, all, ours, *java);
}

}  // namespace chaperone::daemon
