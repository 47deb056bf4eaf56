// SPDX-License-Identifier: Apache-2.0
// The authority with its key in a real token (SoftHSM), and with modules that crash and hang.
#include "userspace/authority/token_key.h"

#include "userspace/authority/authority.h"
#include "userspace/authority/certificate.h"
#include "userspace/base/encoding.h"
#include "userspace/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

namespace chaperone::authority {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr Time kNow{std::chrono::seconds{1'800'000'000}};
constexpr const char* kSoftHsm = "/usr/lib/softhsm/libsofthsm2.so";
constexpr const char* kBroken = CHAPERONE_BINARY_DIR "/tests/libbroken_token_module.so";

class TokenKeyTest : public testing::Test {
protected:
    TokenKeyTest() {
        std::string name = (fs::temp_directory_path() / "token.XXXXXX").string();
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        root = name;
        fs::create_directories(root / "tokens");
        fs::create_directories(root / "ca");
        write("conf", "directories.tokendir = " + (root / "tokens").string() + "\n");
        ::setenv("SOFTHSM2_CONF", (root / "conf").c_str(), 1);
        write("pin", "1234\n");
    }
    ~TokenKeyTest() override { fs::remove_all(root); }

    void write(const char* name, std::string_view text, int mode = 0600) const {
        ASSERT_TRUE(write_file(root / name, text, mode));
    }
    void tool(const std::string& arguments) const {
        const std::string line = "softhsm2-util " + arguments + " >/dev/null";
        ASSERT_EQ(std::system(line.c_str()), 0) << line;
    }
    // A token with this key, and ca.pem.
    void put(EVP_PKEY& key) const {
        tool("--init-token --free --label hsm --pin 1234 --so-pin 12345678");
        import(key, "agents", "01");
        const auto certificate = make_ca(key, kNow - 1h, kNow + 24h * 90);
        ASSERT_TRUE(certificate);
        write("ca/ca.pem", to_pem(**certificate), 0644);
    }
    void import(EVP_PKEY& key, const std::string& label, const std::string& id) const {
        write("key.pem", *to_pem(key));
        tool("--import " + (root / "key.pem").string() + " --token hsm --pin 1234 --label " +
             label + " --id " + id);
        fs::remove(root / "key.pem");
    }

    TokenOptions options(const std::string& uri, std::string module = kSoftHsm) const {
        auto read = read_token_uri(uri + "?pin-source=" + (root / "pin").string());
        EXPECT_TRUE(read);
        read->module = std::move(module);
        return {
            .uri = *read, .timeout = 20s, .helper = {CHAPERONE_BINARY_DIR "/tests/token_helper"}};
    }
    Result<std::shared_ptr<TokenKey>> open(const std::string& uri =
                                               "pkcs11:token=hsm;"
                                               "object=agents") const {
        return TokenKey::open(options(uri));
    }
    Error refusal(const std::string& uri) const {
        const auto opened = open(uri);
        EXPECT_FALSE(opened);
        return opened ? Error{} : opened.error();
    }

    void signs(EVP_PKEY& key) {
        put(key);
        auto token = open();
        ASSERT_TRUE(token) << token.error().message();
        auto authority = Authority::load_or_create(root / "ca", kNow, *token);
        ASSERT_TRUE(authority) << authority.error().message();
        EXPECT_TRUE((*authority)->blocks());
        EXPECT_FALSE((*authority)->key_extractable());
        const std::vector<std::string> names{"db.internal"};
        EXPECT_EQ((*authority)->cached(names, kNow), nullptr);
        const auto leaf = (*authority)->leaf(names, kNow);
        ASSERT_TRUE(leaf) << leaf.error().message();
        EXPECT_EQ(X509_verify((*leaf)->certificate(), &key), 1);
        EXPECT_EQ((*authority)->cached(names, kNow), *leaf);
        EXPECT_FALSE(fs::exists(root / "ca/ca.key"));
        // What is in the cache needs no token.
        EXPECT_EQ(*(*authority)->leaf(names, kNow + 1h), *leaf);
        const auto rotated = (*authority)->rotate(kNow);
        ASSERT_FALSE(rotated);
        EXPECT_THAT(rotated.error().detail, HasSubstr("token"));
    }

    fs::path root;
};

TEST_F(TokenKeyTest, SignsWithAnEcKey) {
    for (const char* curve : {"P-256", "P-384"}) {
        const Key key{EVP_EC_gen(curve)};
        signs(*key);
        fs::remove_all(root / "tokens");
        fs::create_directories(root / "tokens");
    }
}

TEST_F(TokenKeyTest, SignsWithAnRsaKey) {
    const Key key{EVP_RSA_gen(2048)};
    signs(*key);
}

TEST_F(TokenKeyTest, FindsAKeyByItsId) {
    const Key key{EVP_EC_gen("P-256")}, other{EVP_EC_gen("P-256")};
    put(*key);
    import(*other, "agents", "02");
    EXPECT_THAT(refusal("pkcs11:token=hsm;object=agents").detail, HasSubstr("several keys"));
    EXPECT_TRUE(open("pkcs11:token=hsm;id=%01"));
    // The wrong one is found out before a certificate is made with it.
    auto wrong = open("pkcs11:token=hsm;id=%02");
    ASSERT_TRUE(wrong);
    const auto authority = Authority::load_or_create(root / "ca", kNow, *wrong);
    ASSERT_FALSE(authority);
    EXPECT_EQ(authority.error().code, Errc::Corrupt);
    EXPECT_THAT(authority.error().detail, HasSubstr("not the key of ca.pem"));
}

TEST_F(TokenKeyTest, SaysWhatIsMissing) {
    const Key key{EVP_EC_gen("P-256")};
    put(*key);
    Error why = refusal("pkcs11:token=other;object=agents");
    EXPECT_EQ(why.code, Errc::NotFound);
    EXPECT_THAT(why.detail, HasSubstr("token \"other\" is not there; there is \"hsm\""));
    why = refusal("pkcs11:token=hsm;object=nobody");
    EXPECT_EQ(why.code, Errc::NotFound);
    EXPECT_THAT(why.detail, HasSubstr("no key \"nobody\" in token \"hsm\""));
    write("pin", "9999\n");
    why = refusal("pkcs11:token=hsm;object=agents");
    EXPECT_EQ(why.code, Errc::Denied);
    EXPECT_THAT(why.detail, HasSubstr("the PIN is not correct"));
    write("pin", "1234\n", 0644);
    EXPECT_THAT(refusal("pkcs11:token=hsm;object=agents").detail, HasSubstr("chmod"));
    write("pin", "\n");
    EXPECT_THAT(refusal("pkcs11:token=hsm;object=agents").detail, HasSubstr("is empty"));
    fs::remove(root / "pin");
    EXPECT_THAT(refusal("pkcs11:token=hsm;object=agents").detail, HasSubstr("cannot be read"));
}

TEST_F(TokenKeyTest, WantsAModule) {
    auto asked = options("pkcs11:object=a", (root / "none.so").string());
    EXPECT_THAT(TokenKey::open(asked).error().detail, HasSubstr("cannot be loaded"));
    asked.uri.module = "/usr/lib/x86_64-linux-gnu/libz.so.1";
    EXPECT_THAT(TokenKey::open(asked).error().detail, HasSubstr("not a PKCS#11 module"));
    asked.helper = {(root / "none").string()};
    EXPECT_EQ(TokenKey::open(asked).error().code, Errc::System);
}

TEST_F(TokenKeyTest, AKeyFileBesideATokenIsAMistake) {
    const Key key{EVP_EC_gen("P-256")};
    put(*key);
    write("ca/ca.key", *to_pem(*key));
    const auto authority = Authority::load_or_create(root / "ca", kNow, *open());
    ASSERT_FALSE(authority);
    EXPECT_THAT(authority.error().detail, HasSubstr("take the file away"));
}

TEST_F(TokenKeyTest, OutlivesACrashAndAHang) {
    ::setenv("FAKE_TOKEN", "crash", 1);
    auto asked = options("pkcs11:token=fragile;object=a", kBroken);
    auto opened = TokenKey::open(asked);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::Unavailable);
    EXPECT_THAT(opened.error().detail, HasSubstr("crashed (signal 11, Segmentation fault)"));
    ::setenv("FAKE_TOKEN", "hang", 1);
    asked.timeout = 100ms;
    opened = TokenKey::open(asked);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().detail, HasSubstr("did not answer within 100ms"));
}

TEST_F(TokenKeyTest, IsNotWhatLocksTheToken) {
    ::setenv("FAKE_TOKEN", "final-try", 1);
    const auto opened = TokenKey::open(options("pkcs11:token=fragile;object=a", kBroken));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::Denied) << opened.error().detail;
    EXPECT_THAT(opened.error().detail, HasSubstr("one more try"));
}

// The token goes and comes while the authority lives.
TEST_F(TokenKeyTest, GoesOnWhenTheTokenIsBack) {
    const Key key{EVP_EC_gen("P-256")};
    put(*key);
    auto token = open();
    ASSERT_TRUE(token);
    const auto authority = Authority::load_or_create(root / "ca", kNow, *token);
    ASSERT_TRUE(authority);
    ASSERT_TRUE((*authority)->leaf("a.internal", kNow));
    fs::rename(root / "tokens", root / "away");
    fs::create_directories(root / "tokens");
    EXPECT_TRUE((*authority)->leaf("a.internal", kNow)) << "of the cache";
    const auto gone = (*authority)->leaf("b.internal", kNow);
    ASSERT_FALSE(gone);
    EXPECT_THAT(gone.error().detail, HasSubstr("hsm"));
    EXPECT_FALSE((*authority)->prove());
    fs::remove_all(root / "tokens");
    fs::rename(root / "away", root / "tokens");
    std::this_thread::sleep_for(TokenKey::kPause);
    const auto back = (*authority)->leaf("b.internal", kNow);
    EXPECT_TRUE(back) << back.error().message();
}

}  // namespace
}  // namespace chaperone::authority
