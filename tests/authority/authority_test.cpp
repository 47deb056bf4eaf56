// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/authority.h"

#include "userspace/authority/certificate.h"
#include "userspace/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

namespace chaperone::authority {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::StartsWith;

constexpr Time kNow{std::chrono::seconds{1'800'000'000}};

using Store = std::unique_ptr<X509_STORE, Delete<X509_STORE_free>>;
using Verification = std::unique_ptr<X509_STORE_CTX, Delete<X509_STORE_CTX_free>>;

Store trusting(const std::string& pem) {
    Store store{X509_STORE_new()};
    const auto roots = certificates_in(pem);
    EXPECT_TRUE(roots);
    for (const Certificate& root : *roots) X509_STORE_add_cert(store.get(), root.get());
    return store;
}

// What a strict client finds: X509_V_OK or the reason why not.
int verify(const Leaf& leaf, const std::string& trusted, const char* host, Time at = kNow) {
    const Store store = trusting(trusted);
    const Verification context{X509_STORE_CTX_new()};
    X509_STORE_CTX_init(context.get(), store.get(), leaf.certificate(), leaf.chain());
    X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(
        rules, std::chrono::system_clock::to_time_t(
                   std::chrono::time_point_cast<std::chrono::system_clock::duration>(at)));
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_auth_level(rules, 2);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host) != 1) {
        X509_VERIFY_PARAM_set1_host(rules, host, 0);
        X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    }
    X509_verify_cert(context.get());
    return X509_STORE_CTX_get_error(context.get());
}

class AuthorityTest : public testing::Test {
protected:
    AuthorityTest() {
        std::string name = (fs::temp_directory_path() / "authority.XXXXXX").string();
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        root = name;
        folder = root / "state" / "ca";
    }
    ~AuthorityTest() override { fs::remove_all(root); }

    std::unique_ptr<Authority> open(Time now = kNow) const {
        auto made = Authority::load_or_create(folder, now);
        EXPECT_TRUE(made) << made.error().message();
        return made ? std::move(*made) : nullptr;
    }
    Errc open_error() const {
        const auto made = Authority::load_or_create(folder, kNow);
        return made ? Errc{} : made.error().code;
    }
    std::shared_ptr<const Leaf> leaf(Authority& from, std::string_view name, Time at = kNow) const {
        auto made = from.leaf(name, at);
        EXPECT_TRUE(made) << made.error().message();
        return made ? *made : nullptr;
    }
    std::string text(const char* file) const { return read_file(folder / file).value_or("none"); }
    static mode_t mode_of(const fs::path& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_mode & 0777;
    }

    fs::path root, folder;
};

TEST_F(AuthorityTest, IsMadeOnceAndFoundAgain) {
    const auto first = open();
    EXPECT_THAT(first->certificate_pem(), StartsWith("-----BEGIN CERTIFICATE-----"));
    EXPECT_EQ(first->fingerprint().size(), 64U);
    EXPECT_EQ(first->certificate_pem(), text("ca.pem"));
    EXPECT_EQ(first->bundle_pem(), text("ca-bundle.pem"));
    const auto again = open(kNow + 24h);
    EXPECT_EQ(again->fingerprint(), first->fingerprint());
    EXPECT_EQ(again->subject(), first->subject());
}

TEST_F(AuthorityTest, OnlyTheKeyIsPrivate) {
    const mode_t before = ::umask(0077);
    open();
    ::umask(before);
    EXPECT_EQ(mode_of(folder / "ca.key"), 0600U);
    EXPECT_EQ(mode_of(folder / "ca.pem"), 0644U);
    EXPECT_EQ(mode_of(folder / "ca-bundle.pem"), 0644U);
    EXPECT_EQ(mode_of(folder), 0755U);
    EXPECT_EQ(text("ca.pem").find("PRIVATE"), std::string::npos);
    EXPECT_EQ(text("ca-bundle.pem").find("PRIVATE"), std::string::npos);
}

TEST_F(AuthorityTest, TheCaIsConstrained) {
    const auto authority = open();
    const auto found = certificates_in(authority->certificate_pem());
    ASSERT_TRUE(found);
    X509& ca = *found->front();
    EXPECT_EQ(X509_check_ca(&ca), 1);
    EXPECT_EQ(X509_get_pathlen(&ca), 1);  // for the next one, at a rotation
    EXPECT_EQ(X509_get_key_usage(&ca), static_cast<std::uint32_t>(KU_KEY_CERT_SIGN | KU_CRL_SIGN));
    EXPECT_EQ(X509_get_extended_key_usage(&ca), static_cast<std::uint32_t>(XKU_SSL_SERVER));
    EXPECT_EQ(authority->not_after(), kNow + Authority::kCaValidity);
    EXPECT_TRUE(is_self_signed(ca));
}

struct Name {
    const char* asked;
    const char* right;
    const char* wrong;
};

class LeafName : public AuthorityTest, public testing::WithParamInterface<Name> {};

TEST_P(LeafName, VerifiesForItAndForNoOther) {
    const auto authority = open();
    const auto made = leaf(*authority, GetParam().asked);
    const std::string trusted = authority->bundle_pem();
    EXPECT_EQ(verify(*made, trusted, GetParam().right), X509_V_OK);
    EXPECT_NE(verify(*made, trusted, GetParam().wrong), X509_V_OK);
    EXPECT_EQ(verify(*made, trusted, GetParam().right, kNow - Authority::kBackdate + 1s),
              X509_V_OK);
    EXPECT_EQ(verify(*made, trusted, GetParam().right, kNow + Authority::kLeafValidity + 1s),
              X509_V_ERR_CERT_HAS_EXPIRED);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, LeafName,
    testing::Values(
        Name{"db.internal",      "db.internal",     "x.db.internal"},
        Name{"DB.Internal.",     "db.internal",     "internal"},
        Name{"a_b.internal",     "a_b.internal",    "ab.internal"},
        Name{"10.1.2.3",         "10.1.2.3",        "10.1.2.4"},
        Name{"::ffff:10.1.2.3",  "10.1.2.3",        "::ffff:10.1.2.3"},
        Name{"fd00::1",          "fd00:0:0::1",     "fd00::2"},
        Name{"very-long-label-of-a-service-in-some-cluster.namespace.svc.cluster.local.example.com",
             "very-long-label-of-a-service-in-some-cluster.namespace.svc.cluster.local.example.com",
             "example.com"}));
// clang-format on

// Whichever way the clock was set, what is served is valid now.
TEST_F(AuthorityTest, ALeafIsMadeAnewWhenTheClockWasSet) {
    const auto authority = open();
    const std::vector<std::string> names{"db.internal"};
    ASSERT_TRUE(authority->leaf(names, kNow));
    EXPECT_TRUE(authority->cached(names, kNow));
    for (const Time time : {kNow - 1h, kNow + 24h * 365}) {
        EXPECT_FALSE(authority->cached(names, time)) << to_rfc3339(time);
        const auto made = authority->leaf(names, time);
        ASSERT_TRUE(made);
        EXPECT_LE((*made)->not_before(), time);
        EXPECT_GT((*made)->not_after(), time);
        EXPECT_TRUE(authority->cached(names, time));
    }
    EXPECT_EQ(authority->leaf(names, kNow + Authority::kCaValidity).error().code, Errc::Expired);
}

TEST_F(AuthorityTest, ALeafMayHaveSeveralNames) {
    const auto authority = open();
    const std::vector<std::string> names{"db.internal", "10.1.2.3", "::1"};
    const auto made = authority->leaf(names, kNow);
    ASSERT_TRUE(made);
    for (const std::string& name : names)
        EXPECT_EQ(verify(**made, authority->bundle_pem(), name.c_str()), X509_V_OK) << name;
    EXPECT_EQ(authority->leaf(std::span<const std::string>{}, kNow).error().code, Errc::Invalid);
    const std::vector<std::string> many(Authority::kMaxNames + 1, "a");
    EXPECT_EQ(authority->leaf(many, kNow).error().code, Errc::Invalid);
}

TEST_F(AuthorityTest, RefusesNamesThatAreNone) {
    const auto authority = open();
    for (const std::string_view bad : {std::string_view{"*.internal"}, std::string_view{""},
                                       std::string_view{"a\0b", 3}, std::string_view{"a b"}})
        EXPECT_EQ(authority->leaf(bad, kNow).error().code, Errc::Invalid);
}

TEST_F(AuthorityTest, AnotherCaDoesNotVerifyIt) {
    const auto authority = open();
    const auto made = leaf(*authority, "db.internal");
    folder = root / "other";
    EXPECT_NE(verify(*made, open()->bundle_pem(), "db.internal"), X509_V_OK);
}

TEST_F(AuthorityTest, CachesALeafUntilItsLastDay) {
    const auto authority = open();
    const auto first = leaf(*authority, "db.internal");
    EXPECT_EQ(leaf(*authority, "DB.internal.", kNow + 23h), first);
    EXPECT_NE(leaf(*authority, "other.internal"), first);
    const auto later = leaf(*authority, "db.internal", kNow + 24h);
    EXPECT_NE(later, first);
    EXPECT_EQ(leaf(*authority, "db.internal", kNow + 24h), later);
    EXPECT_EQ(first->not_after(), kNow + Authority::kLeafValidity);
}

TEST_F(AuthorityTest, TheCacheIsBoundedAndKeepsWhatIsUsed) {
    const auto authority = open();
    const auto used = leaf(*authority, "used.internal");
    const auto unused = leaf(*authority, "unused.internal");
    for (std::size_t i = 0; i != Authority::kMaxCached - 1; ++i) {
        ASSERT_TRUE(leaf(*authority, "h" + std::to_string(i)));
        if (i % 100 == 0) {
            EXPECT_EQ(leaf(*authority, "used.internal"), used);
        }
    }
    EXPECT_EQ(leaf(*authority, "used.internal"), used);
    EXPECT_NE(leaf(*authority, "unused.internal"), unused);
}

TEST_F(AuthorityTest, SerialsDiffer) {
    const auto authority = open();
    std::set<std::string> serials;
    for (int i = 0; i != 50; ++i) {
        const auto made = leaf(*authority, "h" + std::to_string(i));
        const ASN1_INTEGER* serial = X509_get0_serialNumber(made->certificate());
        EXPECT_EQ(ASN1_STRING_length(serial), 16);
        EXPECT_EQ(ASN1_STRING_type(serial), V_ASN1_INTEGER);  // not negative
        serials.emplace(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)), 16);
    }
    EXPECT_EQ(serials.size(), 50U);
}

TEST_F(AuthorityTest, RotationKeepsTheOldCaTrusted) {
    const auto authority = open();
    const std::string old_ca = authority->certificate_pem(), old_print = authority->fingerprint();
    const auto old_leaf = leaf(*authority, "db.internal");
    ASSERT_TRUE(authority->rotate(kNow + 1h));
    EXPECT_NE(authority->fingerprint(), old_print);
    const auto new_leaf = leaf(*authority, "db.internal", kNow + 1h);
    EXPECT_NE(new_leaf, old_leaf);
    const std::string bundle = text("ca-bundle.pem");
    EXPECT_EQ(bundle, authority->bundle_pem());
    EXPECT_EQ(verify(*old_leaf, bundle, "db.internal", kNow + 1h), X509_V_OK);
    EXPECT_EQ(verify(*new_leaf, bundle, "db.internal", kNow + 1h), X509_V_OK);
    // Who has read its trust before goes on; two rotations later it must have read it again.
    EXPECT_EQ(verify(*new_leaf, old_ca, "db.internal", kNow + 1h), X509_V_OK);
    EXPECT_EQ(verify(*new_leaf, authority->certificate_pem(), "db.internal", kNow + 1h), X509_V_OK);
    const auto again = open(kNow + 2h);
    EXPECT_EQ(again->fingerprint(), authority->fingerprint());
    EXPECT_EQ(again->bundle_pem(), bundle);
    EXPECT_EQ(text("ca.pem"), authority->certificate_pem());
    EXPECT_EQ(verify(*leaf(*again, "db.internal", kNow + 2h), old_ca, "db.internal", kNow + 2h),
              X509_V_OK);
    ASSERT_TRUE(authority->rotate(kNow + 3h));
    const auto third = leaf(*authority, "db.internal", kNow + 3h);
    EXPECT_NE(verify(*third, old_ca, "db.internal", kNow + 3h), X509_V_OK);
}

TEST_F(AuthorityTest, RotationsAreBoundedInTheBundle) {
    const auto authority = open();
    for (int i = 0; i != 8; ++i) ASSERT_TRUE(authority->rotate(kNow + i * 1h));
    EXPECT_EQ(certificates_in(authority->bundle_pem())->size(), Authority::kMaxPrevious + 1);
    EXPECT_EQ(open(kNow + 9h)->bundle_pem(), authority->bundle_pem());
}

TEST_F(AuthorityTest, SurvivesARotationThatWasInterrupted) {
    const auto authority = open();
    // previous.pem and ca-bundle.pem were written, ca.key was not.
    ASSERT_TRUE(write_file(folder / "previous.pem", authority->certificate_pem()));
    ASSERT_TRUE(write_file(folder / "ca-bundle.pem", "torn"));
    const auto again = open();
    EXPECT_EQ(again->fingerprint(), authority->fingerprint());
    EXPECT_EQ(again->bundle_pem(), authority->certificate_pem());
    EXPECT_EQ(text("ca-bundle.pem"), authority->certificate_pem());
}

TEST_F(AuthorityTest, ReloadSeesARotationByAnotherProcess) {
    const auto daemon = open(), command = open();
    const auto before = leaf(*daemon, "db.internal");
    ASSERT_TRUE(daemon->reload(kNow));
    EXPECT_EQ(leaf(*daemon, "db.internal"), before);
    ASSERT_TRUE(command->rotate(kNow));
    ASSERT_TRUE(daemon->reload(kNow));
    EXPECT_EQ(daemon->fingerprint(), command->fingerprint());
    EXPECT_NE(leaf(*daemon, "db.internal"), before);
    ASSERT_TRUE(write_file(folder / "ca.key", "torn", 0600));
    EXPECT_FALSE(daemon->reload(kNow));
    EXPECT_EQ(daemon->fingerprint(), command->fingerprint());
}

TEST_F(AuthorityTest, AnExpiredCaSignsNothing) {
    const auto authority = open();
    EXPECT_EQ(authority->leaf("a", kNow + Authority::kCaValidity).error().code, Errc::Expired);
    // And no leaf outlives its CA.
    const auto last = leaf(*authority, "a", kNow + Authority::kCaValidity - 1h);
    EXPECT_EQ(last->not_after(), kNow + Authority::kCaValidity);
}

TEST_F(AuthorityTest, RefusesFilesThatCannotBeRight) {
    open();
    const std::string key = text("ca.key"), pem = text("ca.pem");
    fs::permissions(folder / "ca.key", fs::perms{0640});
    EXPECT_EQ(open_error(), Errc::Corrupt);
    for (const std::string& bad :
         {std::string{}, std::string{"garbage"}, pem, key.substr(0, key.size() / 2),
          key.substr(0, key.find("-----BEGIN CERT") + 100)}) {
        ASSERT_TRUE(write_file(folder / "ca.key", bad, 0600));
        EXPECT_EQ(open_error(), Errc::Corrupt) << bad.size();
    }
    fs::remove(folder / "ca.key");
    EXPECT_EQ(open_error(), Errc::Corrupt) << "a certificate whose key is gone";
    ASSERT_TRUE(write_file(folder / "ca.key", key, 0600));
    EXPECT_EQ(open_error(), Errc{});
}

TEST_F(AuthorityTest, RefusesAKeyOfAnotherCertificate) {
    const std::string other_ca = open()->certificate_pem();
    fs::remove_all(folder);
    open();
    const auto key = to_pem(**key_in(text("ca.key")));
    ASSERT_TRUE(write_file(folder / "ca.key", *key + other_ca, 0600));
    EXPECT_EQ(open_error(), Errc::Corrupt);
}

// An operator's root signs an intermediate whose key is ours to use.
class OperatorCa : public AuthorityTest {
protected:
    OperatorCa() {
        key = std::move(*make_key());
        Key root_key = std::move(*make_key());
        root_ca = std::move(*make_ca(*root_key, kNow - 1h, kNow + 24h * 365));
        intermediate = std::move(*make_ca(*key, kNow - 1h, kNow + 24h * 300));
        // make_ca() allows no CA below it; a root must.
        X509_set_issuer_name(intermediate.get(), X509_get_subject_name(root_ca.get()));
        X509_EXTENSION* old = X509_delete_ext(
            root_ca.get(), X509_get_ext_by_NID(root_ca.get(), NID_basic_constraints, -1));
        X509_EXTENSION_free(old);
        X509_EXTENSION* any =
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(root_ca.get(), any, -1);
        X509_EXTENSION_free(any);
        X509_sign(root_ca.get(), root_key.get(), EVP_sha256());
        X509V3_CTX context;
        X509V3_set_ctx(&context, root_ca.get(), intermediate.get(), nullptr, nullptr, 0);
        X509_EXTENSION* akid =
            X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid");
        X509_add_ext(intermediate.get(), akid, -1);
        X509_EXTENSION_free(akid);
        X509_sign(intermediate.get(), root_key.get(), EVP_sha256());
        fs::create_directories(folder);
    }
    void place() {
        ASSERT_TRUE(write_file(folder / "ca.key", *to_pem(*key), 0600));
        ASSERT_TRUE(write_file(folder / "ca.pem", to_pem(*intermediate) + to_pem(*root_ca)));
    }

    Key key;
    Certificate root_ca, intermediate;
};

TEST_F(OperatorCa, SignsWithTheIntermediateAndSendsIt) {
    place();
    const auto authority = open();
    const auto made = leaf(*authority, "db.internal");
    EXPECT_EQ(verify(*made, to_pem(*root_ca), "db.internal"), X509_V_OK);
    EXPECT_EQ(certificates_in(made->chain_pem())->size(), 2U);  // not the root
    EXPECT_EQ(authority->rotate(kNow).error().code, Errc::Unsupported);
    EXPECT_EQ(text("ca.pem"), to_pem(*intermediate) + to_pem(*root_ca));
}

TEST_F(OperatorCa, RefusesWhatMayNotSign) {
    const auto own = open();  // no files yet: makes one of our own
    const auto made = leaf(*own, "a");
    ASSERT_TRUE(write_file(folder / "ca.key", *to_pem(*made->key()), 0600));
    ASSERT_TRUE(write_file(folder / "ca.pem", to_pem(*made->certificate())));
    EXPECT_EQ(open_error(), Errc::Corrupt);
    fs::remove(folder / "ca.pem");
    EXPECT_EQ(open_error(), Errc::Corrupt);
}

// One client and one server over memory: what an agent's OpenSSL does when it dials a name.
bool handshake(const Leaf& leaf, const std::string& trusted, const char* host) {
    using Context = std::unique_ptr<SSL_CTX, Delete<SSL_CTX_free>>;
    using Tls = std::unique_ptr<SSL, Delete<SSL_free>>;
    const Context server_context{SSL_CTX_new(TLS_server_method())},
        client_context{SSL_CTX_new(TLS_client_method())};
    Store store = trusting(trusted);
    SSL_CTX_set_cert_store(client_context.get(), store.release());
    SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
    const Tls server{SSL_new(server_context.get())}, client{SSL_new(client_context.get())};
    EXPECT_EQ(SSL_use_cert_and_key(server.get(), leaf.certificate(), leaf.key(), leaf.chain(), 1),
              1);
    X509_VERIFY_PARAM* rules = SSL_get0_param(client.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host) != 1) SSL_set1_host(client.get(), host);
    BIO *left = nullptr, *right = nullptr;
    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(server.get(), left, left);
    SSL_set_bio(client.get(), right, right);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    int from_client = 0, from_server = 0;
    for (int i = 0; i != 10 && (from_client != 1 || from_server != 1); ++i) {
        from_client = SSL_do_handshake(client.get());
        from_server = SSL_do_handshake(server.get());
    }
    return from_client == 1 && from_server == 1 && SSL_get_verify_result(client.get()) == X509_V_OK;
}

TEST_F(AuthorityTest, AClientThatTrustsItTalksTls) {
    const Time today = now();
    const auto authority = open(today);
    const std::string trusted = authority->bundle_pem();
    for (const char* host : {"db.internal", "127.0.0.1", "::1"}) {
        const auto made = leaf(*authority, host, today);
        EXPECT_TRUE(handshake(*made, trusted, host)) << host;
        EXPECT_FALSE(handshake(*made, trusted, "other.internal")) << host;
    }
    const auto made = leaf(*authority, "db.internal", today);
    folder = root / "other";
    EXPECT_FALSE(handshake(*made, open(today)->bundle_pem(), "db.internal"));
}

TEST_F(AuthorityTest, ServesThreadsDuringARotation) {
    const auto authority = open();
    std::atomic<int> bad = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t != 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i != 100; ++i) {
                const auto made = authority->leaf("h" + std::to_string(i % 10), kNow);
                bad += !made || (*made)->chain_pem().empty();
            }
        });
    for (int i = 0; i != 3; ++i) EXPECT_TRUE(authority->rotate(kNow));
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace chaperone::authority
