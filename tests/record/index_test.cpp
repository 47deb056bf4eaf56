// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/index.h"

#include "tests/record/support.h"
#include "userspace/record/export.h"
#include "userspace/record/prune.h"
#include "userspace/record/replay.h"
#include "userspace/record/sqlite.h"
#include "userspace/record/text.h"

#include <gmock/gmock.h>
#include <boost/json.hpp>

#include <sched.h>

#include <thread>

namespace chaperone::record {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kStart = 1'700'000'000'000'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

class IndexTest : public JournalTest {
protected:
    // A session as the daemon records it: a read, a refused DROP, a result and an end.
    std::vector<Entry> session(const std::string& id, const std::string& workload,
                               std::int64_t at) {
        std::vector<Entry> all(6);
        for (std::size_t i = 0; i != all.size(); ++i)
            all[i].set_time(kStart + (at + static_cast<std::int64_t>(i)) * kSecond);
        SessionStart& start = *all[0].mutable_session_start();
        start.set_session(id);
        start.set_workload(workload);
        start.mutable_identity()->set_subject("agent:" + workload);
        start.set_resource("orders");
        start.set_protocol("postgresql");
        start.mutable_destination()->set_address("10.0.0.7");
        start.mutable_destination()->set_port(5432);
        start.mutable_destination()->set_name("db.internal");
        start.mutable_process()->set_pid(42);
        start.mutable_process()->set_comm("psql");
        all[1] = request(id, 1, "SELECT email FROM customers", "allow", all[1].time());
        all[1].mutable_request()->mutable_decision()->add_masks("customers.email");
        ResultEntry& result = *all[2].mutable_result();
        result.set_session(id);
        result.set_request(1);
        result.set_status("ok");
        result.set_rows(3);
        result.set_bytes_down(100);
        result.set_duration(1'500'000);
        all[3] = request(id, 2, "DROP TABLE customers", "deny", all[3].time());
        all[3].mutable_request()->mutable_decision()->set_rule("guardrails/no-ddl");
        all[4].mutable_result()->set_session(id);
        all[4].mutable_result()->set_request(2);
        all[4].mutable_result()->set_status("refused");
        all[4].mutable_result()->set_code("42501");
        all[5].mutable_session_end()->set_session(id);
        all[5].mutable_session_end()->set_reason("closed by the client");
        all[5].mutable_session_end()->set_requests(2);
        all[5].mutable_session_end()->set_bytes_down(400);
        return all;
    }
    static Entry request(const std::string& session, std::uint64_t number, const std::string& sql,
                         const std::string& effect, std::int64_t time) {
        Entry made = entry(sql, session);
        made.set_time(time);
        made.mutable_request()->set_number(number);
        made.mutable_request()->mutable_decision()->set_effect(effect);
        return made;
    }
    void fill() {
        const auto writer = open();
        ASSERT_TRUE(writer->append(session("aaa1", "billing", 0)));
        ASSERT_TRUE(writer->append(session("bbb2", "support", 100)));
        auto third = session("bbb3", "billing", 200);
        third.resize(2);  // still open
        ASSERT_TRUE(writer->append(third));
    }
    std::unique_ptr<Index> index() {
        auto opened = Index::open(state_ / "index.sqlite");
        EXPECT_TRUE(opened) << opened.error().message();
        const auto done = (*opened)->catch_up(journal());
        EXPECT_TRUE(done) << done.error().message();
        return *std::move(opened);
    }
    static std::string ids(const Result<std::vector<SessionSummary>>& found) {
        EXPECT_TRUE(found) << found.error().message();
        std::string all;
        if (found)
            for (const auto& one : *found) all += one.id + " ";
        return all;
    }
    std::vector<Stored> entries(const std::string& id) {
        return index()->entries_of(id, journal()).value_or(std::vector<Stored>{});
    }
};

TEST_F(IndexTest, SummarizesASession) {
    fill();
    const auto found = index()->session("aaa1");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->workload, "billing");
    EXPECT_EQ(found->subject, "agent:billing");
    EXPECT_EQ(found->address, "10.0.0.7");
    EXPECT_EQ(found->port, 5432u);
    EXPECT_EQ(found->comm, "psql");
    EXPECT_EQ(found->state, "closed");
    EXPECT_EQ(found->requests, 2u);
    EXPECT_EQ(found->rows, 3u);
    EXPECT_EQ(found->bytes_down, 400u);
    EXPECT_EQ(found->effect, "deny");
    EXPECT_EQ(found->start_time, Time{Duration{kStart}});
    EXPECT_EQ(found->end_time, Time{Duration{kStart + 5 * kSecond}});
}

TEST_F(IndexTest, Filters) {
    fill();
    const auto made = index();
    const auto at = [](std::int64_t seconds) { return Time{Duration{kStart + seconds * kSecond}}; };
    EXPECT_EQ(ids(made->sessions({})), "bbb3 bbb2 aaa1 ");
    EXPECT_EQ(ids(made->sessions({.workload = "billing"})), "bbb3 aaa1 ");
    EXPECT_EQ(ids(made->sessions({.subject = "agent:support"})), "bbb2 ");
    EXPECT_EQ(ids(made->sessions({.resource = "other"})), "");
    EXPECT_EQ(ids(made->sessions({.effect = "mask"})), "bbb3 ");
    EXPECT_EQ(ids(made->sessions({.state = "open"})), "bbb3 ");
    EXPECT_EQ(ids(made->sessions({.text = "drop customers"})), "bbb2 aaa1 ");
    EXPECT_EQ(ids(made->sessions({.text = "\" OR statement:*"})), "");
    EXPECT_EQ(ids(made->sessions({.since = at(50), .until = at(150)})), "bbb2 ");
    EXPECT_EQ(ids(made->sessions({.limit = 1, .offset = 1})), "bbb2 ");
    EXPECT_FALSE(made->sessions({.state = "half-open"}));
    const auto denied = made->requests({.workload = "billing", .effect = "deny"});
    ASSERT_EQ(denied->size(), 1u);
    EXPECT_EQ(denied->front().statement, "DROP TABLE customers");
    EXPECT_EQ(denied->front().rule, "guardrails/no-ddl");
    EXPECT_EQ(denied->front().status, "refused");
    EXPECT_EQ(denied->front().code, "42501");
}

TEST_F(IndexTest, FindsBySinglePrefixOnly) {
    fill();
    EXPECT_EQ(index()->session("a")->id, "aaa1");
    EXPECT_EQ(index()->session("bbb").error().code, Errc::Invalid);
    EXPECT_EQ(index()->session("c").error().code, Errc::NotFound);
    EXPECT_EQ(index()->session("%").error().code, Errc::NotFound);
}

TEST_F(IndexTest, IsRebuiltWhenLostDamagedOrOfAnotherJournal) {
    fill();
    const auto before = ids(index()->sessions({}));
    replace(state_ / "index.sqlite", "no database at all, and long enough to be looked at");
    std::filesystem::remove(state_ / "index.sqlite-wal");
    EXPECT_EQ(ids(index()->sessions({})), before);
    std::filesystem::rename(journal(), state_ / "old");
    open()->append(entry("SELECT 1"));
    const auto made = index();
    EXPECT_EQ(ids(made->sessions({})), "");
    EXPECT_EQ(made->next(), 1u);
}

TEST_F(IndexTest, ItsFilesOutliveIt) {
    fill();
    EXPECT_NE(ids(index()->sessions({})), "");  // closed again behind this
    EXPECT_TRUE(std::filesystem::exists(state_ / "index.sqlite-wal"))
        << "a new one would not be closed to agents that run already";
}

TEST_F(IndexTest, ThatIsStoppedGivesUpAndLosesNothing) {
    fill();
    {
        const auto stopped = *Index::open(state_ / "index.sqlite");
        ASSERT_TRUE(stopped->catch_up_some(journal(), 5));
        stopped->stop();
        EXPECT_EQ(stopped->catch_up_some(journal(), 5).error().code, Errc::Unavailable);
        EXPECT_EQ(stopped->catch_up(journal()).error().code, Errc::Unavailable);
        EXPECT_EQ(stopped->next(), 5U);
    }
    EXPECT_EQ(ids(index()->sessions({})), "bbb3 bbb2 aaa1 ");
}

// However many entries are put together before they are written, the rows are the same.
TEST_F(IndexTest, InBatchesOfAnySizeIsTheSame) {
    {
        const auto writer = open();
        ASSERT_TRUE(writer->append(session("aaa1", "billing", 0)));
        auto one = session("bbb2", "support", 10);
        auto other = session("ccc3", "billing", 11);
        for (std::size_t i = 0; i != one.size(); ++i)  // side by side
            for (const Entry& entry : {one[i], other[i]}) ASSERT_TRUE(writer->append(entry));
        auto odd = session("aaa1", "support", 30);
        ASSERT_TRUE(writer->append(odd[4]));  // an outcome behind the end
        std::swap(odd[0], odd[1]);            // and a start that is none
        odd.resize(3);
        ASSERT_TRUE(writer->append(odd));
        Entry start;
        start.set_time(kStart + 900 * kSecond);
        start.mutable_admin()->set_action(AdminEntry::DAEMON_START);
        ASSERT_TRUE(writer->append(start));
        ASSERT_TRUE(writer->append(session("ddd4", "billing", 1000)));
    }
    const auto shown = [this](std::size_t most) {
        for (const char* suffix : {"", "-wal", "-shm"})
            std::filesystem::remove(state_ / ("index.sqlite" + std::string{suffix}));
        const auto made = *Index::open(state_ / "index.sqlite");
        for (Result<bool> more = true; more && *more;) more = made->catch_up_some(journal(), most);
        std::string all;
        const auto add = [&all](const auto&... fields) {
            ((all += testing::PrintToString(fields) + " "), ...);
            all += '\n';
        };
        const auto nanoseconds = [](const auto& time) {
            return time ? time->time_since_epoch().count() : 0;
        };
        for (const SessionSummary& s : *made->sessions({}))
            add(s.id, s.workload, s.state, s.requests, s.rows, s.bytes_up, s.bytes_down, s.effect,
                s.end_reason, nanoseconds(s.end_time), made->entries_of(s.id, journal())->size());
        for (const RequestSummary& r : *made->requests({}))
            add(r.index, r.session, r.number, r.statement, r.effect, r.status, r.code, r.rows,
                r.duration.value_or(Duration{-1}).count());
        return all;
    };
    const std::string singly = shown(1);
    EXPECT_THAT(singly, HasSubstr("the daemon ended"));
    for (const std::size_t most : {2, 3, 5, 7, 11, 1000}) EXPECT_EQ(shown(most), singly) << most;
}

// What passed has no row of its own; what it said is found, said once or a thousand times.
TEST_F(IndexTest, KeepsWhatWasSaidOnceForEachSession) {
    const auto writer = open();
    for (const std::string id : {"aaa1", "bbb2"})
        for (std::uint64_t i = 1; i != 101; ++i)
            ASSERT_TRUE(writer->append(
                request(id, i, i % 2 == 0 ? "GET /same" : "GET /odd", "allow", kStart)));
    auto first = session("ccc3", "billing", 1);
    ASSERT_TRUE(writer->append(first));
    for (const std::size_t most : {3, 1000}) {
        for (const char* suffix : {"", "-wal", "-shm"})
            std::filesystem::remove(state_ / ("index.sqlite" + std::string{suffix}));
        const auto made = *Index::open(state_ / "index.sqlite");
        for (Result<bool> more = true; more && *more;) more = made->catch_up_some(journal(), most);
        EXPECT_EQ(ids(made->sessions({.text = "drop"})), "ccc3 ");
        EXPECT_EQ(made->requests({})->size(), 1U);
        EXPECT_EQ(made->requests({})->front().statement, "DROP TABLE customers");
        sqlite3* beside = nullptr;
        ASSERT_EQ(sqlite3_open((state_ / "index.sqlite").c_str(), &beside), SQLITE_OK);
        {
            Statement pairs{beside, "SELECT count(*), count(DISTINCT statement) FROM spoken"};
            ASSERT_TRUE(pairs.step());
            EXPECT_EQ(pairs.number(), 2 * 2 + 2) << most;
            EXPECT_EQ(pairs.number(), 2 + 2) << most;
        }
        sqlite3_close(beside);
    }
}

// Who opens it anew does not know what was said before, and finds it all the same.
TEST_F(IndexTest, FindsWhatWasSaidBeforeItWasOpened) {
    const auto writer = open();
    ASSERT_TRUE(writer->append(session("aaa1", "billing", 0)));
    (void)index();
    ASSERT_TRUE(writer->append(session("bbb2", "billing", 10)));
    EXPECT_EQ(ids(index()->sessions({.text = "drop customers"})), "bbb2 aaa1 ");
}

TEST_F(IndexTest, CatchesUpWithASegmentThatIsStillWritten) {
    const auto writer = open({.segment_size = 2000});
    const auto made = *Index::open(state_ / "index.sqlite");
    for (int i = 0; i != 20; ++i) {
        ASSERT_TRUE(writer->append(session("s" + std::to_string(i), "w", i * 10)));
        while (*made->catch_up_some(journal(), 4)) {
        }
        EXPECT_EQ(made->next(), writer->position().size);
        EXPECT_EQ(made->entries_of("s" + std::to_string(i), journal())->size(), 6u);
    }
}

// In idle time until somebody asks; the thread is given back as it was.
TEST_F(IndexTest, CatchesUpInIdleTimeWhileOthersAsk) {
    const auto writer = open();
    for (int i = 0; i != 200; ++i)
        ASSERT_TRUE(writer->append(session("s" + std::to_string(i), "w", i * 10)));
    const auto made = *Index::open(state_ / "index.sqlite");
    std::thread worker{[&] {
        for (Result<bool> more = true; more && *more;) {
            more = made->catch_up_some(journal(), 4, Index::Pace::Idle);
            EXPECT_TRUE(more);
            EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
        }
    }};
    std::uint64_t before = 0;
    while (made->next() != writer->position().size) {
        EXPECT_GE(made->next(), before);
        before = made->next();
        EXPECT_TRUE(made->sessions({.workload = "w", .limit = 1}));
    }
    worker.join();
    EXPECT_EQ(made->sessions({.limit = 1000})->size(), 200U);
}

TEST_F(IndexTest, AStartOfTheDaemonEndsWhatWasOpen) {
    fill();
    Entry start;
    start.set_time(kStart + 900 * kSecond);
    start.mutable_admin()->set_action(AdminEntry::DAEMON_START);
    open()->append(start);
    EXPECT_EQ(index()->session("bbb3")->end_reason, "the daemon ended");
}

TEST_F(IndexTest, GivesASessionsEntriesFromTheJournal) {
    fill();
    const auto found = entries("bbb2");
    ASSERT_EQ(found.size(), 6u);
    EXPECT_EQ(found[3].entry.request().statement(), "DROP TABLE customers");
    EXPECT_EQ(found[3].index, 9u);
}

TEST_F(IndexTest, ReplaysASessionForPeople) {
    fill();
    const std::string text = transcript(entries("aaa1"));
    EXPECT_THAT(text, HasSubstr("2023-11-14T22:13:20Z  session aaa1\n"));
    EXPECT_THAT(text,
                HasSubstr("SELECT email FROM customers\n   -> allow; masked: customers.email"));
    EXPECT_THAT(text, HasSubstr("-> deny by guardrails/no-ddl"));
    EXPECT_THAT(text, HasSubstr("<- #2 refused 42501"));
    EXPECT_THAT(text, HasSubstr("session ended: closed by the client; 2 requests"));
}

TEST_F(IndexTest, AReplayedSessionCannotActOnTheTerminal) {
    Stored stored{.entry = entry("SELECT '\x1b]0;owned\x07\x9b' \xe2\x80\xae\nline two\r")};
    const std::string text = transcript(std::span{&stored, 1});
    EXPECT_THAT(text, HasSubstr("\\x1b]0;owned\\x07\\x9b"));
    EXPECT_THAT(text, HasSubstr("\\xe2\\x80\\xae\n      line two\\r"));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST_F(IndexTest, MakesAnAsciicast) {
    fill();
    const std::string cast = asciicast(entries("aaa1"));
    const auto header = boost::json::parse(cast.substr(0, cast.find('\n')));
    EXPECT_EQ(header.at("version").as_int64(), 2);
    std::size_t lines = 0;
    for (std::size_t at = cast.find('\n') + 1, end; (end = cast.find('\n', at)) != cast.npos;
         at = end + 1, ++lines) {
        const auto event = boost::json::parse(cast.substr(at, end - at)).as_array();
        EXPECT_EQ(event.at(1).as_string(), "o");
        EXPECT_DOUBLE_EQ(event.at(0).to_number<double>(), static_cast<double>(lines));
    }
    EXPECT_EQ(lines, 6u);
}

TEST_F(IndexTest, PruningKeepsTheRestVerifiable) {
    {
        const auto writer = open({.segment_size = 2000});
        for (int i = 0; i != 40; ++i)
            ASSERT_TRUE(writer->append(session("s" + std::to_string(i), "w", i * 10)));
    }
    const auto now = Time{Duration{kStart + 500 * kSecond}};
    const auto pruned = prune(state_, Time{Duration{kStart + 200 * kSecond}}, now);
    ASSERT_TRUE(pruned) << pruned.error().message();
    EXPECT_GT(pruned->segments, 1u);
    const auto result = verified();
    EXPECT_TRUE(result.ok()) << result.findings.front().message();
    EXPECT_EQ(result.pruned, pruned->first_kept);
    EXPECT_EQ(result.entries, 240u);
    EXPECT_EQ(Reader::open(journal())->first(), pruned->first_kept);
    EXPECT_FALSE(ids(index()->sessions({})).empty());
    ASSERT_TRUE(open()->append(entry("goes on")));
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
    EXPECT_EQ(prune(state_, Time{Duration{kStart}}, now)->segments, 0u);

    const auto first = list_segments(journal())->front();
    const std::string note = *read_file(journal() / "pruned");
    std::filesystem::remove(journal() / "pruned");
    EXPECT_FALSE(verified().ok()) << "segments are gone, and no note says so";
    replace(journal() / "pruned", note);
    std::filesystem::remove(segment(first));
    EXPECT_FALSE(verified().ok()) << "one more is gone than was pruned";
}

class ExportTest : public IndexTest {
protected:
    std::vector<std::string> lines(Format format) {
        fill();
        Exporter exporter{format, "host one", "0.1.0"};
        std::vector<std::string> all;
        auto reader = Reader::open(journal());
        for (auto next = reader->next(); next->has_value(); next = reader->next())
            if (auto line = exporter.line(**next)) all.push_back(*line);
        return all;
    }
    // Text that tries to end its field, its line and its encoding.
    static Stored hostile() {
        Stored stored{.index = 7, .entry = entry("a\nb|c=d\\e\"f]g\r\x01\xff")};
        stored.entry.mutable_request()->mutable_decision()->set_effect("deny");
        return stored;
    }
};

TEST_F(ExportTest, Jsonl) {
    const auto all = lines(Format::Jsonl);
    ASSERT_EQ(all.size(), 14u);
    const auto denied = boost::json::parse(all[3]);
    EXPECT_EQ(denied.at("index").as_int64(), 3);
    EXPECT_EQ(denied.at("time").as_string(), "2023-11-14T22:13:23Z");
    EXPECT_EQ(denied.at("request").at("statement").as_string(), "DROP TABLE customers");
    EXPECT_EQ(denied.at("request").at("decision").at("effect").as_string(), "deny");
}

TEST_F(ExportTest, Ocsf) {
    const auto all = lines(Format::Ocsf);
    ASSERT_EQ(all.size(), 14u);
    const auto opened = boost::json::parse(all[0]);
    EXPECT_EQ(opened.at("type_uid").as_int64(), 600503);
    const auto masked = boost::json::parse(all[1]);
    EXPECT_EQ(masked.at("action_id").as_int64(), 4);
    const auto denied = boost::json::parse(all[3]);
    EXPECT_EQ(denied.at("class_uid").as_int64(), 6005);
    EXPECT_EQ(denied.at("activity_id").as_int64(), 4);
    EXPECT_EQ(denied.at("action_id").as_int64(), 2);
    EXPECT_EQ(denied.at("disposition_id").as_int64(), 2);
    EXPECT_EQ(denied.at("actor").at("user").at("name").as_string(), "agent:billing");
    EXPECT_EQ(denied.at("query_info").at("query_string").as_string(), "DROP TABLE customers");
    EXPECT_EQ(denied.at("dst_endpoint").at("port").as_int64(), 5432);
    for (const auto& line : all)  // what every class of the schema demands
        for (const char* key : {"activity_id", "category_uid", "class_uid", "metadata",
                                "severity_id", "time", "type_uid"})
            EXPECT_NE(boost::json::parse(line).as_object().if_contains(key), nullptr) << key;
}

TEST_F(ExportTest, CefAndSyslog) {
    const auto cef = lines(Format::Cef);
    EXPECT_THAT(cef[3],
                testing::StartsWith("CEF:0|Chaperone|chaperone|0.1.0|CR02W|request.denied|7|"
                                    "rt=1700000003000 dvchost=host one externalId=3 "));
    EXPECT_THAT(cef[3], HasSubstr(" workload=billing "));
    Exporter exporter{Format::Syslog, "host one", "0.1.0"};
    const auto line = exporter.line(hostile());
    EXPECT_THAT(*line, testing::StartsWith("<108>1 2023-11-14T22:13:20Z host_one chaperone - CR02W "
                                           "[chaperone@32473 index=\"7\" "));
    EXPECT_THAT(*line, HasSubstr("statement=\"a\\nb|c=d\\\\e\\\"f\\]g\\r \xef\xbf\xbd\""));
}

TEST_F(ExportTest, HostileTextStaysInItsLineAndField) {
    for (const auto format : {Format::Jsonl, Format::Ocsf, Format::Cef, Format::Syslog}) {
        Exporter exporter{format, "h", "v"};
        const auto line = exporter.line(hostile());
        EXPECT_EQ(line->find('\n'), std::string::npos);
        EXPECT_EQ(to_utf8(*line), *line);
    }
    Exporter cef{Format::Cef, "h", "v"};
    EXPECT_THAT(*cef.line(hostile()), HasSubstr("statement=a\\nb|c\\=d\\\\e\"f]g\\r "));
}

TEST(Text, RepairsUtf8) {
    EXPECT_EQ(to_utf8("plain \xc3\xa4 \xf0\x9f\x98\x80"), "plain \xc3\xa4 \xf0\x9f\x98\x80");
    const std::string bad = "\xef\xbf\xbd";
    EXPECT_EQ(to_utf8("\xff"), bad);
    EXPECT_EQ(to_utf8("\xc3"), bad);
    EXPECT_EQ(to_utf8("\xc0\x80"), bad + bad) << "overlong";
    EXPECT_EQ(to_utf8("\xed\xa0\x80"), bad + bad + bad) << "surrogate";
    EXPECT_EQ(to_utf8("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "over the last";
}

}  // namespace
}  // namespace chaperone::record
