// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/trust.h"

#include <glob.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace chaperone::launch {
namespace {

namespace fs = std::filesystem;

// A host with more Pythons than this has some that keep their own idea of whom to trust.
constexpr std::size_t kMostBinds = 256;

// Variables that name a file with all authorities.
constexpr const char* kFileVariables[] = {
    "SSL_CERT_FILE",                       // OpenSSL, Go, Python, Ruby, Rust's native roots, uv
    "REQUESTS_CA_BUNDLE",                  // Python's requests
    "CURL_CA_BUNDLE",                      // curl, and requests after the one above
    "GIT_SSL_CAINFO",                      // git
    "AWS_CA_BUNDLE",                       // AWS's command line and SDKs
    "PIP_CERT",                            // pip, which brings its own store
    "HTTPLIB2_CA_CERTS",                   // Python's httplib2, Google's clients
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",    // gRPC, which has its own compiled in
    "CARGO_HTTP_CAINFO",                   // cargo
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",  // gcloud
    "NIX_SSL_CERT_FILE",                   // what Nix has built
    "PERL_LWP_SSL_CA_FILE",                // Perl's LWP
    "BUNDLE_SSL_CA_CERT",                  // Ruby's bundler
    "COMPOSER_CAFILE",                     // PHP's composer
    "HEX_CACERTS_PATH",                    // Elixir's mix
    "PGSSLROOTCERT",                       // libpq
};
// Those that name authorities beside the runtime's own.
constexpr const char* kExtraVariables[] = {"NODE_EXTRA_CA_CERTS", "DENO_CERT"};

// Where distributions keep a file with all authorities.
constexpr const char* kSystemFiles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/ssl/cert.pem",
                                        "/etc/ssl/ca-bundle.pem",
                                        "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/pki/tls/cert.pem",
                                        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                        "/var/lib/ca-certificates/ca-bundle.pem"};
constexpr const char* kSystemFolder = "/etc/ssl/certs";

// Below a Python's or a virtual environment's prefix.
constexpr const char* kCertifi[] = {
    "/lib/python3*/site-packages/certifi/cacert.pem",
    "/lib/python3*/dist-packages/certifi/cacert.pem",
    "/lib/python3/dist-packages/certifi/cacert.pem",
    "/lib/python3*/site-packages/pip/_vendor/certifi/cacert.pem",
    "/lib/python3*/site-packages/botocore/cacert.pem",
};
constexpr const char* kJavaStores[] = {"/lib/security/cacerts", "/jre/lib/security/cacerts"};

class Finder {
public:
    Finder(const TrustStores& stores, const std::map<std::string, std::string>& environment,
           const fs::path& home)
        : stores_(stores), environment_(environment), home_(home.string()) {}

    Trust run() {
        variables();
        if (!stores_.folder.empty() && fs::is_directory(kSystemFolder, ignored_))
            cover(stores_.folder, kSystemFolder);
        for (const char* file : kSystemFiles) cover_file(stores_.file, file);
        pythons();
        if (!stores_.java.empty()) javas();
        return std::move(found_);
    }

private:
    void variables() {
        for (const char* name : kFileVariables)
            found_.environment.emplace_back(name, stores_.file.string());
        for (const char* name : kExtraVariables)
            found_.environment.emplace_back(name, stores_.bundle.string());
        found_.environment.emplace_back("DENO_TLS_CA_STORE", "system,mozilla");
        found_.environment.emplace_back("UV_NATIVE_TLS", "true");
    }

    std::string variable(const char* name) const {
        const auto found = environment_.find(name);
        return found == environment_.end() ? std::string{} : found->second;
    }

    void pythons() {
        std::vector<std::string> prefixes{"/usr", "/usr/local", "/opt/*", "/opt/*/envs/*"};
        for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
            if (auto prefix = variable(name); prefix.starts_with('/'))
                prefixes.push_back(literal(prefix));
        if (!home_.empty()) {
            const std::string home = literal(home_);
            for (const char* below :
                 {"/.local", "/.pyenv/versions/*", "/.local/share/uv/python/*",
                  "/.local/share/uv/tools/*", "/.local/pipx/venvs/*", "/miniconda*", "/anaconda*"})
                prefixes.push_back(home + below);
        }
        for (const std::string& prefix : prefixes) {
            for (const char* below : kCertifi) cover_all(stores_.file, prefix + below);
            if (prefix.contains("conda")) cover_all(stores_.file, prefix + "/ssl/cacert.pem");
        }
    }

    void javas() {
        std::vector<std::string> prefixes{"/usr/lib/jvm/*", "/usr/java/*", "/opt/*"};
        if (auto prefix = variable("JAVA_HOME"); prefix.starts_with('/'))
            prefixes.push_back(literal(prefix));
        if (!home_.empty())
            for (const char* below : {"/.sdkman/candidates/java/*", "/.jdks/*"})
                prefixes.push_back(literal(home_) + below);
        bool any = cover_file(stores_.java, "/etc/pki/ca-trust/extracted/java/cacerts") ||
                   cover_file(stores_.java, "/etc/ssl/certs/java/cacerts");
        for (const std::string& prefix : prefixes)
            for (const char* below : kJavaStores) any |= cover_all(stores_.java, prefix + below);
        // A Java that is elsewhere says on standard error that it has read this: only where there
        // is no other way to reach it.
        if (any && variable("JAVA_HOME").empty()) return;
        if (any && is_covered(variable("JAVA_HOME") + kJavaStores[0])) return;
        if (variable("JAVA_HOME").empty()) return;
        std::string options = variable("JAVA_TOOL_OPTIONS");
        if (options.contains("javax.net.ssl.trustStore")) return;
        if (!options.empty()) options += ' ';
        found_.environment.emplace_back(
            "JAVA_TOOL_OPTIONS", options + "-Djavax.net.ssl.trustStore=" + stores_.java.string() +
                                     " -Djavax.net.ssl.trustStorePassword=changeit");
    }

    static std::string literal(std::string_view path) {
        std::string out;
        for (const char c : path) {
            if (std::string_view{"*?[\\"}.contains(c)) out += '\\';
            out += c;
        }
        return out;
    }

    bool cover_all(const fs::path& with, const std::string& pattern) {
        glob_t matches{};
        bool any = false;
        if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches) == 0)
            for (std::size_t i = 0; i != matches.gl_pathc; ++i)
                any |= cover_file(with, matches.gl_pathv[i]);
        ::globfree(&matches);
        return any;
    }

    // What a link leads to is covered, once.
    bool cover_file(const fs::path& with, const fs::path& file) {
        const fs::path real = fs::canonical(file, ignored_);
        if (ignored_ || !fs::is_regular_file(real, ignored_)) return false;
        // The system's folder is covered whole; what is in ours must not be bound over itself.
        if (in_folder(real) || real == fs::canonical(with, ignored_)) return true;
        return cover(with, real);
    }

    bool in_folder(const fs::path& file) const {
        return !stores_.folder.empty() &&
               file.string().starts_with(std::string{kSystemFolder} + "/");
    }

    bool is_covered(const fs::path& file) {
        const fs::path real = fs::canonical(file, ignored_);
        return !ignored_ && (covered_.contains(real) || in_folder(real));
    }

    bool cover(const fs::path& with, const fs::path& what) {
        if (covered_.contains(what)) return true;
        if (covered_.size() == kMostBinds) return false;
        covered_.insert(what);
        found_.binds.push_back({with, what});
        return true;
    }

    const TrustStores& stores_;
    const std::map<std::string, std::string>& environment_;
    std::string home_;
    std::error_code ignored_;
    std::set<fs::path> covered_;
    Trust found_;
};

}  // namespace

Trust find_trust(const TrustStores& stores, const std::map<std::string, std::string>& environment,
                 const fs::path& home) {
    return Finder{stores, environment, home}.run();
}

}  // namespace chaperone::launch
