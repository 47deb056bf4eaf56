// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/http.h"

#include <gtest/gtest.h>

namespace chaperone::http {
namespace {

TEST(Trailers, NoneThatCouldDecideAboutTheMessage) {
    for (const std::string_view name :
         {"Content-Length", "transfer-encoding", "Host", "COOKIE", "authorization", "X-Api-Key",
          "X-HTTP-Method-Override", "x-forwarded-for", "X-Forwarded-Host", "x-original-url",
          "X-Rewrite-URL", "Forwarded", "te"})
        EXPECT_FALSE(may_trail(name)) << name;
    for (const std::string_view name : {"grpc-status", "grpc-message", "Server-Timing", "ETag",
                                        "Digest", "Proxy-Status", "X-Checksum", "x-forwarded", "x"})
        EXPECT_TRUE(may_trail(name)) << name;
}

}  // namespace
}  // namespace chaperone::http
