// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/secret_store.h"

#include "userspace/base/file.h"
#include "userspace/credential/sealed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <thread>

namespace chaperone::credential {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class SecretStoreTest : public testing::Test {
protected:
    SecretStoreTest() {
        std::string name = (fs::temp_directory_path() / "secrets.XXXXXX").string();
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
    }
    ~SecretStoreTest() override { fs::remove_all(folder); }

    SecretStore store() const { return SecretStore{folder / "state"}; }
    fs::path file(std::string_view name) const {
        return folder / "state" / "secrets" / (std::string{name} + ".sealed");
    }
    static mode_t mode_of(const fs::path& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_mode & 0777;
    }
    static void put(const SecretStore& store, std::string_view name, std::string_view value) {
        const auto done = store.set(name, Secret{std::string{value}});
        ASSERT_TRUE(done) << done.error().message();
    }
    static std::string value_of(const SecretStore& store, std::string_view name) {
        const auto got = store.get(name);
        return got ? std::string{got->expose()} : "error: " + got.error().message();
    }

    fs::path folder;
};

TEST_F(SecretStoreTest, GivesBackWhatWasPut) {
    using namespace std::string_literals;
    for (const std::string& value :
         {"hunter2"s, "x"s, "a\0b\n"s, std::string(60, 'a'), std::string(61, 'a'),
          std::string(SecretStore::kMaxSecret, 'z')}) {
        put(store(), "orders", value);
        EXPECT_EQ(value_of(store(), "orders"), value);
    }
}

TEST_F(SecretStoreTest, KeepsItPrivateAndUnreadable) {
    put(store(), "orders", "correct horse battery staple");
    const auto raw = read_file(file("orders"));
    ASSERT_TRUE(raw);
    EXPECT_EQ(raw->find("horse"), std::string::npos);
    EXPECT_EQ(mode_of(file("orders")), 0600U);
    EXPECT_EQ(mode_of(folder / "state" / "secrets.key"), 0600U);
    EXPECT_EQ(mode_of(folder / "state" / "secrets"), 0700U);
}

TEST_F(SecretStoreTest, DoesNotTellLengthsOrEquality) {
    put(store(), "a", "1");
    put(store(), "b", std::string(60, '1'));
    put(store(), "c", "1");
    EXPECT_EQ(fs::file_size(file("a")), fs::file_size(file("b")));
    EXPECT_NE(*read_file(file("a")), *read_file(file("c")));
}

TEST_F(SecretStoreTest, ListsNamesAndRemoves) {
    const SecretStore secrets = store();
    EXPECT_THAT(*secrets.list(), ElementsAre());
    put(secrets, "orders", "x");
    put(secrets, "billing.ro", "y");
    ASSERT_TRUE(write_file(file("orders").string() + ".a1B2c3", "a torn temporary"));
    EXPECT_THAT(*secrets.list(), ElementsAre("billing.ro", "orders"));
    ASSERT_TRUE(secrets.remove("orders"));
    EXPECT_THAT(*secrets.list(), ElementsAre("billing.ro"));
    EXPECT_EQ(secrets.get("orders").error().code, Errc::NotFound);
    EXPECT_EQ(secrets.remove("orders").error().code, Errc::NotFound);
}

TEST_F(SecretStoreTest, RefusesNames) {
    const std::string too_long(SecretStore::kMaxName + 1, 'a');
    for (const std::string_view name :
         {std::string_view{""}, std::string_view{".."}, std::string_view{"../x"},
          std::string_view{"a/b"}, std::string_view{"A"}, std::string_view{".hidden"},
          std::string_view{"-x"}, std::string_view{"a b"}, std::string_view{"a\0b", 3},
          std::string_view{"ä"}, std::string_view{too_long}}) {
        EXPECT_FALSE(is_secret_name(name)) << name;
        EXPECT_EQ(store().set(name, Secret{"x"}).error().code, Errc::Invalid) << name;
        EXPECT_EQ(store().get(name).error().code, Errc::Invalid) << name;
        EXPECT_EQ(store().remove(name).error().code, Errc::Invalid) << name;
    }
    EXPECT_TRUE(is_secret_name("orders-db_ro.2"));
    EXPECT_TRUE(is_secret_name(std::string(SecretStore::kMaxName, 'a')));
}

TEST_F(SecretStoreTest, RefusesEmptyAndHugeValues) {
    EXPECT_EQ(store().set("a", Secret{}).error().code, Errc::Invalid);
    EXPECT_EQ(store().set("a", Secret{std::string(SecretStore::kMaxSecret + 1, 'x')}).error().code,
              Errc::TooLarge);
    EXPECT_THAT(*store().list(), ElementsAre());
}

TEST_F(SecretStoreTest, SeesEveryAlteredOctet) {
    put(store(), "orders", "hunter2");
    const std::string good = *read_file(file("orders"));
    for (std::size_t i = 0; i != good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        ASSERT_TRUE(write_file(file("orders"), bad));
        EXPECT_EQ(store().get("orders").error().code, Errc::Corrupt) << i;
    }
    for (std::size_t cut = 0; cut != good.size(); ++cut) {
        ASSERT_TRUE(write_file(file("orders"), good.substr(0, cut)));
        EXPECT_EQ(store().get("orders").error().code, Errc::Corrupt) << cut;
    }
    ASSERT_TRUE(write_file(file("orders"), good + "x"));
    EXPECT_EQ(store().get("orders").error().code, Errc::Corrupt);
    ASSERT_TRUE(write_file(file("orders"), good));
    EXPECT_EQ(value_of(store(), "orders"), "hunter2");
}

TEST_F(SecretStoreTest, SeesFilesExchanged) {
    put(store(), "test", "t");
    put(store(), "prod", "p");
    fs::rename(file("test"), file("prod"));
    EXPECT_EQ(store().get("prod").error().code, Errc::Corrupt);
}

TEST_F(SecretStoreTest, SeesAKeyThatIsGoneOtherOrOpen) {
    put(store(), "orders", "x");
    const fs::path key = folder / "state" / "secrets.key";
    const std::string good = *read_file(key);
    fs::permissions(key, fs::perms{0640});
    EXPECT_EQ(store().get("orders").error().code, Errc::Corrupt);
    for (const std::string& bad : {std::string(32, 'k'), std::string(31, 'k'), std::string{}}) {
        ASSERT_TRUE(write_file(key, bad, 0600));
        EXPECT_EQ(store().get("orders").error().code, Errc::Corrupt);
    }
    ASSERT_TRUE(write_file(key, std::string(33, 'k'), 0600));
    EXPECT_EQ(store().get("orders").error().code, Errc::TooLarge);
    fs::remove(key);
    EXPECT_EQ(store().get("orders").error().code, Errc::Corrupt);
    ASSERT_TRUE(write_file(key, good, 0600));
    EXPECT_EQ(value_of(store(), "orders"), "x");
}

TEST_F(SecretStoreTest, SystemdsCredentialWins) {
    const fs::path credentials = folder / "credentials";
    fs::create_directory(credentials);
    ASSERT_TRUE(write_file(credentials / "orders", "from systemd\n"));
    ASSERT_TRUE(write_file(credentials / "Other Thing", "not one of ours"));
    ASSERT_TRUE(write_file(credentials / "empty", ""));
    const SecretStore secrets{folder / "state", credentials};
    put(secrets, "orders", "stored");
    put(secrets, "billing", "stored");
    EXPECT_EQ(value_of(secrets, "orders"), "from systemd");
    EXPECT_EQ(value_of(secrets, "billing"), "stored");
    EXPECT_EQ(secrets.get("empty").error().code, Errc::Invalid);
    EXPECT_THAT(*secrets.list(), ElementsAre("billing", "empty", "orders"));
    EXPECT_EQ(value_of(store(), "orders"), "stored");
}

TEST_F(SecretStoreTest, FindsTheCredentialsDirectoryInTheEnvironment) {
    ASSERT_TRUE(write_file(folder / "orders", "given"));
    ::setenv("CREDENTIALS_DIRECTORY", folder.c_str(), 1);
    EXPECT_EQ(value_of(SecretStore::from_environment(folder / "state"), "orders"), "given");
    ::setenv("CREDENTIALS_DIRECTORY", "relative", 1);
    EXPECT_FALSE(SecretStore::from_environment(folder / "state").get("orders"));
    ::unsetenv("CREDENTIALS_DIRECTORY");
    EXPECT_FALSE(SecretStore::from_environment(folder / "state").get("orders"));
}

// The first use by many at once: they agree on one key, and nobody reads a half-written secret.
TEST_F(SecretStoreTest, ServesManyThreadsFromTheFirstMoment) {
    std::atomic<int> bad = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t != 8; ++t)
        threads.emplace_back([&, t] {
            const std::string name = "s" + std::to_string(t % 4);
            for (int i = 0; i != 20; ++i) {
                bad += !store().set(name, Secret{std::string(100, 'x')});
                const auto got = store().get(name);
                bad += !got || got->expose() != std::string(100, 'x');
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(bad, 0);
}

TEST(Sealed, WantsAWholeKey) {
    EXPECT_EQ(seal("short", "a", "x").error().code, Errc::Corrupt);
    EXPECT_EQ(unseal("short", "a", "x").error().code, Errc::Corrupt);
}

}  // namespace
}  // namespace chaperone::credential
