// SPDX-License-Identifier: Apache-2.0
// What servers make of a path: the canonical reading, and the others that some server has.
#include "policy/http/path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace chaperone::policy::http {
namespace {

struct Canonical {
    std::string_view raw;
    std::string_view path;
};

class CanonicalPath : public testing::TestWithParam<Canonical> {};

TEST_P(CanonicalPath, IsTheFirstReading) {
    EXPECT_EQ(path_readings(GetParam().raw).front(), GetParam().path);
}

INSTANTIATE_TEST_SUITE_P(
    Paths, CanonicalPath,
    testing::Values(Canonical{"/", "/"}, Canonical{"/a/b", "/a/b"}, Canonical{"/a/b/", "/a/b/"},
                    Canonical{"*", "*"}, Canonical{"//admin//x", "/admin/x"},
                    Canonical{"/a/../admin/x", "/admin/x"}, Canonical{"/./a/./b/.", "/a/b/"},
                    Canonical{"/../../etc", "/etc"}, Canonical{"/a/b/..", "/a/"},
                    Canonical{"/%61dmin/%78", "/admin/x"}, Canonical{"/a/%2e%2e/admin", "/admin"},
                    Canonical{"/a/%2E./admin", "/admin"}, Canonical{"/a%2f..%2fadmin", "/admin"},
                    Canonical{"/admin;x=1/x", "/admin/x"}, Canonical{"/a/..;/admin", "/admin"},
                    Canonical{"/a/.;x=1/b", "/a/b"}, Canonical{"/%C3%A9", "/é"},
                    Canonical{"/a%20b", "/a b"}, Canonical{"/...", "/..."}, Canonical{"/.a", "/.a"},
                    Canonical{"/a;", "/a"}));

struct Reached {
    std::string_view raw;
    std::string_view path;  // by some server
};

class ReachedPath : public testing::TestWithParam<Reached> {};

TEST_P(ReachedPath, IsAmongTheReadings) {
    const auto all = path_readings(GetParam().raw);
    EXPECT_NE(std::ranges::find(all, GetParam().path), all.end());
}

INSTANTIATE_TEST_SUITE_P(
    Paths, ReachedPath,
    testing::Values(Reached{"//admin/x", "//admin/x"}, Reached{"/a/../admin", "/a/../admin"},
                    Reached{"/a%2fb", "/a%2Fb"}, Reached{"/a%2f..%2fadmin", "/a%2F..%2Fadmin"},
                    Reached{"/%2561dmin", "/admin"}, Reached{"/%252e%252e/admin", "/admin"},
                    Reached{"/a/%252e%252e%252fadmin", "/admin"},
                    Reached{"/%25252e%25252e/admin", "/admin"}, Reached{"/a\\..\\admin", "/admin"},
                    Reached{"/a%5c..%5cadmin", "/admin"}, Reached{"/admin;x=1/x", "/admin;x=1/x"},
                    Reached{"/..;/admin", "/..;/admin"}, Reached{"/a//../admin", "/admin"},
                    Reached{"/a//../admin", "/a/admin"}, Reached{"/%%32%66admin", "/admin"},
                    Reached{"/a;b/../admin", "/admin"}));

TEST(PathReadings, AreOneForWhatIsPlain) {
    for (const auto* raw : {"/", "/a/b.c/d-e_f~g", "/v1/orders/17", "/a%20b", "/a.b/..c", "/x%3A"})
        EXPECT_EQ(path_readings(raw).size(), 1u) << raw;
}

TEST(PathReadings, AreBounded) {
    std::string raw;
    for (int i = 0; i != 2000; ++i) raw += "/..;a/%2e%2f\\%252f";
    EXPECT_LE(path_readings(raw).size(), 64u);
}

TEST(PathEscapes, ThatMeanNothingAreSeen) {
    for (const auto* raw : {"/%", "/%z1", "/%1", "/%00", "/a%0d%0a", "/%7f", "/%u0061", "/a%2500",
                            "/%252500", "/a%25%30a"})
        EXPECT_TRUE(has_bad_escape(raw)) << raw;
    for (const auto* raw : {"/", "/%20", "/%ff", "/%C0%AF", "/%2541", "/100%25", "/%25zz"})
        EXPECT_FALSE(has_bad_escape(raw));
}

TEST(Unescape, DecodesOnceAndKeepsWhatIsNoEscape) {
    EXPECT_EQ(unescape("%2541%zz%4"), "%41%zz%4");
    EXPECT_EQ(unescape("a+b%2Bc", true), "a b+c");
    EXPECT_EQ(unescape("a+b"), "a+b");
}

TEST(Segments, AreTheNamesBetweenSlashes) {
    EXPECT_EQ(segments_of("/a/b"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(segments_of("/a//b/"), (std::vector<std::string>{"a", "", "b"}));
    EXPECT_TRUE(segments_of("/").empty());
    EXPECT_TRUE(segments_of("*").empty());
}

}  // namespace
}  // namespace chaperone::policy::http
