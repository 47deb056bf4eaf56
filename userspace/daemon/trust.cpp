// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/trust.h"

#include "userspace/base/file.h"

namespace chaperone::daemon {
namespace {

// Where distributions keep their bundle; the first that is there is it.
constexpr const char* kSystemBundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

}  // namespace

Result<> write_trust(const Paths& paths, const authority::Authority& authority) {
    std::string text;
    for (const char* file : kSystemBundles)
        if (auto found = read_file(file)) {
            text = *std::move(found);
            break;
        }
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    return write_file(paths.trust, text + authority.bundle_pem(), 0644);
}

}  // namespace chaperone::daemon
