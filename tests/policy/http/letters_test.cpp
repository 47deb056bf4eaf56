// SPDX-License-Identifier: Apache-2.0
#include "policy/http/letters.h"

#include <gtest/gtest.h>

namespace chaperone::policy::http {
namespace {

TEST(PlainLetters, AreWhatSomeReaderTakesThemFor) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"", ""},
        {"/admin", "/admin"},
        {"\uff0f\uff41\uff24min", "/aDmin"},
        {"adm\u0131n \u0130", "admin I"},
        {"pa\u017f\u017f\u212a", "passK"},
        {"a\u00a0\u200b\u00ad\u2028\u3000\ufeff\u0085z", "az"},
        {"\u2025\u2215\u2024\u2026", "../...."},
        {"\u24d0\u24cf", "aZ"},
        {"caf\u00e9 \u0430 \u6f22 \U0001f600", "caf\u00e9 \u0430 \u6f22 \U0001f600"},
    };
    for (const auto& [text, plain] : cases) EXPECT_EQ(plain_letters(text), plain) << text;
}

TEST(PlainLetters, LeaveWhatIsNoUtf8) {
    for (const std::string_view text :
         {"\xc0\xaf", "\xc1\xa1", "\xa0", "a\xff", "\xe2\x80", "\xc2", "\xef\xbd", "\xe2\x28\xa1"})
        EXPECT_EQ(plain_letters(text), text);
}

TEST(PlainLetters, AreCutAnywhere) {
    const std::string_view text = "/\uff41\u00a0\u2025\u0131\U0001f600";
    for (std::size_t cut = 0; cut != text.size(); ++cut)
        EXPECT_LE(plain_letters(text.substr(0, cut)).size(), cut);
}

}  // namespace
}  // namespace chaperone::policy::http
