// SPDX-License-Identifier: Apache-2.0
// Signatures as the real ssh-keygen makes them, and what a git checkout says of itself.
#include "policy/bundle/signature.h"
#include "policy/bundle/provenance.h"
#include "userspace/base/file.h"

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace chaperone::policy::bundle {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDigest =
    "sha256:0000000000000000000000000000000000000000000000000000000000000001";

class Signed : public ::testing::Test {
protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "signXXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        shell("ssh-keygen -q -t ed25519 -N '' -C '' -f key");
        shell("ssh-keygen -q -t ed25519 -N '' -C '' -f other");
        signature_ = sign(kDigest, "chaperone-bundle", "key");
    }
    void TearDown() override { fs::remove_all(folder_); }

    void shell(const std::string& command) const {
        const std::string whole = "cd '" + folder_.string() + "' && " + command;
        ASSERT_EQ(std::system(whole.c_str()), 0) << command;
    }
    std::string sign(std::string_view digest, const std::string& space, const std::string& key) {
        std::ofstream{folder_ / "digest"} << digest << '\n';
        fs::remove(folder_ / "digest.sig");
        shell("ssh-keygen -q -Y sign -n " + space + " -f " + key + " digest 2>/dev/null");
        return read_file(folder_ / "digest.sig").value_or("");
    }
    std::string public_key(const std::string& key) const {
        std::string line = read_file(folder_ / (key + ".pub")).value_or("");
        while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
        return line;
    }
    std::string verify(const std::string& signers, std::string_view signature,
                       std::string_view digest = kDigest,
                       Time at = Time{std::chrono::seconds{1'767'268'800}}) const {
        const auto parsed = Signers::parse(signers);
        if (!parsed) return "no signers: " + parsed.error().detail;
        const auto signer = parsed->verify(signature, digest, at);
        return signer ? *signer : "refused: " + signer.error().detail;
    }

    fs::path folder_;
    std::string signature_;
};

TEST_F(Signed, ByWhoMay) {
    EXPECT_EQ(verify("ann@corp,bob " + public_key("key"), signature_), "ann@corp");
    EXPECT_EQ(
        verify("# team\n\nzoe " + public_key("other") + "\nann namespaces=\"file,chaperone-*\" " +
                   public_key("key") + " comment\n",
               signature_),
        "ann");
    // One good signature among several is enough.
    const std::string other = sign(kDigest, "chaperone-bundle", "other");
    EXPECT_EQ(verify("ann " + public_key("key"), other + signature_), "ann");
}

TEST_F(Signed, RefusesWhatIsNot) {
    const std::string ann = "ann " + public_key("key");
    EXPECT_EQ(verify(ann, signature_, "sha256:ff"),
              "refused: the bundle's signature is refused: it is not of this bundle");
    EXPECT_NE(verify("ann " + public_key("other"), signature_).find("may not sign"),
              std::string::npos);
    EXPECT_NE(verify(ann, sign(kDigest, "file", "key")).find("namespace"), std::string::npos);
    EXPECT_NE(verify("ann namespaces=\"file\" " + public_key("key"), signature_).find("may not"),
              std::string::npos);
    EXPECT_NE(verify(ann, "").find("no SSH signature"), std::string::npos);
    // 2026-01-01T12:00:00Z
    EXPECT_EQ(
        verify("ann valid-after=\"20260101\",valid-before=\"202601011201Z\" " + public_key("key"),
               signature_),
        "ann");
    for (const char* option : {"valid-before=\"20260101120000Z\"", "valid-after=\"20260102\""})
        EXPECT_NE(verify("ann " + std::string{option} + " " + public_key("key"), signature_)
                      .find("may not sign"),
                  std::string::npos)
            << option;
}

// Cut anywhere, or with any character changed, it is refused (or is the same signature still).
TEST_F(Signed, EveryCutAndChange) {
    const auto signers = Signers::parse("ann " + public_key("key"));
    ASSERT_TRUE(signers);
    const auto good = [&](const std::string& text) {
        return signers->verify(text, kDigest, Time{}).has_value();
    };
    ASSERT_TRUE(good(signature_));
    const std::size_t whole = signature_.rfind("-----") + 5;
    for (std::size_t size = 0; size != whole; ++size)
        EXPECT_FALSE(good(signature_.substr(0, size))) << size;
    const std::size_t first = signature_.find('\n') + 1;
    const std::size_t last = signature_.rfind("\n-----END");
    for (std::size_t at = first; at != last; ++at) {
        std::string changed = signature_;
        if (changed[at] == '\n') continue;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(good(changed)) << at;
    }
}

TEST(AllowedSigners, LinesThatAreRefused) {
    for (const char* text :
         {"", "# nobody\n", "ann", "ann ssh-ed25519", "ann ssh-ed25519 AAAA", "ann ssh-rsa AAAA",
          "ann cert-authority ssh-ed25519 AAAA", "ann namespaces=\"x ssh-ed25519 AAAA",
          "ann valid-before=\"20261301\" ssh-ed25519 AAAA", "ann namespaces=\"\" ssh-ed25519 AAAA",
          "ann ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= x"})
        EXPECT_FALSE(Signers::parse(text)) << text;
}

TEST_F(Signed, CommitOfACheckout) {
    EXPECT_EQ(checked_out_commit(folder_ / "missing"), "");
    const std::string git =
        "git -c user.name=t -c user.email=t@t -c init.defaultBranch=main -c commit.gpgsign=false ";
    shell(git + "init -q repo && mkdir -p repo/policies/a && touch repo/policies/a/x");
    EXPECT_EQ(checked_out_commit(folder_ / "repo"), "");  // nothing is committed yet
    shell("cd repo && " + git + "add -A && " + git + "commit -q -m one && " + git +
          "rev-parse HEAD > ../head");
    std::string head = read_file(folder_ / "head").value_or("");
    head.resize(head.size() - 1);
    EXPECT_EQ(head.size(), 40U);
    EXPECT_EQ(checked_out_commit(folder_ / "repo"), head);
    EXPECT_EQ(checked_out_commit(folder_ / "repo/policies/a"), head);
    shell("cd repo && " + git + "pack-refs --all && " + git + "worktree add -q ../side -b side");
    EXPECT_EQ(checked_out_commit(folder_ / "repo"), head);
    EXPECT_EQ(checked_out_commit(folder_ / "side/policies"), head);
    shell("cd repo && " + git + "checkout -q --detach");
    EXPECT_EQ(checked_out_commit(folder_ / "repo"), head);
    std::ofstream{folder_ / "repo/.git/HEAD"} << "ref: refs/../../../../etc/passwd\n";
    EXPECT_EQ(checked_out_commit(folder_ / "repo"), "");
}

}  // namespace
}  // namespace chaperone::policy::bundle
