// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/paths.h"

#include "userspace/control/tag.h"

#include <sys/stat.h>

#include <cerrno>

namespace chaperone::daemon {

Result<Paths> paths_of(const std::filesystem::path& root) {
    std::error_code error;
    const auto canonical = std::filesystem::canonical(root, error);
    if (error) return fail(Errc::NotFound, "root " + root.string() + ": " + error.message());
    if (!std::filesystem::is_directory(canonical, error))
        return fail(Errc::Invalid, "root " + root.string() + " is not a directory");
    Paths paths{.root = canonical,
                .config = canonical / "etc/chaperone/chaperone.yaml",
                .bundle = canonical / "etc/chaperone/bundle",
                .state = canonical / "var/lib/chaperone",
                .run = canonical / "run/chaperone",
                .socket = canonical / "run/chaperone/api.sock",
                .ca = canonical / "var/lib/chaperone/ca",
                .trust = canonical / "run/chaperone/trust.pem",
                .trust_ours = canonical / "run/chaperone/ca-bundle.pem",
                .trust_java = canonical / "run/chaperone/trust.jks",
                .trust_folder = canonical / "run/chaperone/certs",
                .tag = control::tag_of(canonical)};
    return paths;
}

Result<> make_directories(const Paths& paths) {
    struct Wanted {
        std::filesystem::path path;
        mode_t mode;
    };
    for (const auto& [path, mode] : {Wanted{paths.state, 0711}, Wanted{paths.run, 0755}}) {
        std::error_code error;
        std::filesystem::create_directories(path, error);
        if (error) return fail(Errc::System, "make " + path.string() + ": " + error.message());
        if (::chmod(path.c_str(), mode) != 0) return system_error("chmod " + path.string(), errno);
    }
    return {};
}

}  // namespace chaperone::daemon
