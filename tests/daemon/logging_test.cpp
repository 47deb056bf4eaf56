// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/logging.h"

#include "userspace/base/clock.h"
#include "userspace/daemon/metrics.h"
#include "userspace/daemon/paths.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace chaperone::daemon {
namespace {

const Time kTime = *parse_rfc3339("2026-01-31T12:00:00Z");

TEST(TextLine, QuotesWhatIsNotOneWordAndNeverBreaks) {
    EXPECT_EQ(text_line(kTime, log::Level::Warning, "kept", {{"a", "b"}, {"c", "d e\n\x1b="}}),
              "2026-01-31T12:00:00Z warning: kept a=b c=\"d e\\n\\u001b=\"");
}

TEST(JsonLine, IsOneObject) {
    EXPECT_EQ(json_line(kTime, log::Level::Error, "m", {{"k", "v\"\\\n"}}),
              R"({"time":"2026-01-31T12:00:00Z","level":"error","msg":"m","k":"v\"\\\n"})");
}

TEST(JournalEntry, GivesEachFieldANameOfItsOwn) {
    const auto entry = journal_entry(log::Level::Info, "ready", {{"bundle_digest", "x"}});
    EXPECT_EQ(entry, (std::vector<std::string>{"MESSAGE=ready bundle_digest=x", "PRIORITY=6",
                                               "SYSLOG_IDENTIFIER=chaperoned",
                                               "CHAPERONE_BUNDLE_DIGEST=x"}));
}

TEST(Metrics, AreInThePrometheusTextFormat) {
    MetricsText text;
    text.counter("x_total", "What.").sample(1.5).sample(3, {{"a", "q\"\\\n"}, {"b", "c"}});
    EXPECT_EQ(text.take(),
              "# HELP chaperone_x_total What.\n"
              "# TYPE chaperone_x_total counter\n"
              "chaperone_x_total 1.5\n"
              "chaperone_x_total{a=\"q\\\"\\\\\\n\",b=\"c\"} 3\n");
}

TEST(Paths, AreBelowTheRootAndTaggedByIt) {
    const auto whole = paths_of("/");
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->tag, "");
    EXPECT_EQ(whole->socket, "/run/chaperone/api.sock");
    const auto temporary = paths_of("/tmp/.");
    ASSERT_TRUE(temporary);
    EXPECT_EQ(temporary->tag.size(), 8U);
    EXPECT_EQ(temporary->state, "/tmp/var/lib/chaperone");
    EXPECT_FALSE(paths_of("/nonexistent"));
}

}  // namespace
}  // namespace chaperone::daemon
