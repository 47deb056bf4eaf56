// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/trust_store.h"

#include "userspace/authority/authority.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace chaperone::authority {
namespace {

class TrustStore : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "trustXXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        auto made = Authority::load_or_create(folder_ / "ca", now());
        ASSERT_TRUE(made);
        ASSERT_TRUE((*made)->rotate(now()));
        bundle_ = (*made)->bundle_pem();
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path write(const std::string& name, std::string_view text) {
        std::ofstream{folder_ / name, std::ios::binary} << text;
        return folder_ / name;
    }
    static std::string output_of(const std::string& command) {
        std::string out;
        FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
        std::array<char, 4096> piece{};
        while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), pipe))
            out.append(piece.data(), n);
        out += "status " + std::to_string(::pclose(pipe));
        return out;
    }

    std::filesystem::path folder_;
    std::string bundle_;
};

TEST_F(TrustStore, IsReadByJava) {
    const auto store = java_store("# a comment\n" + bundle_, now());
    ASSERT_TRUE(store);
    const auto file = write("cacerts", *store);
    const auto listed =
        output_of("keytool -list -keystore " + file.string() + " -storepass changeit");
    EXPECT_NE(listed.find("contains 2 entries"), std::string::npos) << listed;
    EXPECT_NE(listed.find("status 0"), std::string::npos) << listed;
}

TEST_F(TrustStore, HasTheNamesThatOpenSslLooksFor) {
    const auto names = hashed_names(bundle_);
    ASSERT_TRUE(names);
    ASSERT_EQ(names->size(), 2U);
    for (const auto& [hash, pem] : *names) {
        const auto file = write("one.pem", pem);
        EXPECT_EQ(output_of("openssl x509 -noout -subject_hash -in " + file.string()),
                  hash + "\nstatus 0");
    }
}

TEST_F(TrustStore, OfNothingIsNone) {
    EXPECT_EQ(java_store("no certificate", now()).error().code, Errc::Corrupt);
    EXPECT_EQ(
        hashed_names("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").error().code,
        Errc::Corrupt);
}

}  // namespace
}  // namespace chaperone::authority
