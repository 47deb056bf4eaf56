// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/entry_view.h"

#include "userspace/record/places.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/summary.h"

#include <gtest/gtest.h>

#include <limits>

namespace chaperone::record {
namespace {

using Kind = EntryView::Kind;

EntryView view(const std::string& bytes) {
    const auto seen = view_entry(as_bytes(bytes));
    EXPECT_TRUE(seen) << seen.error().message();
    return seen.value_or(EntryView{});
}

// Each field that the index shows, and one of each kind that it does not.
Entry start() {
    Entry made;
    made.set_time(-5);
    SessionStart& it = *made.mutable_session_start();
    it.set_session("s1");
    it.set_workload("billing");
    it.mutable_identity()->set_subject("agent:billing");
    it.mutable_identity()->add_groups("dba");
    it.mutable_identity()->add_on_behalf_of()->set_subject("somebody else");
    it.set_resource("orders");
    it.set_protocol("http");
    it.mutable_destination()->set_address("10.0.0.7");
    it.mutable_destination()->set_port(443);
    it.mutable_destination()->set_name("shop.test");
    it.mutable_client()->set_address("10.0.0.9");
    it.mutable_client()->set_port(999);
    it.mutable_process()->set_pid(4'000'000'000);
    it.mutable_process()->set_uid(7);
    it.mutable_process()->set_comm("curl");
    it.mutable_process()->set_cgroup_path("/agents/one");
    it.set_bundle(std::string(32, '\0'));
    it.set_refused(true);
    it.set_reason("no rule");
    it.set_peer("shop");
    return made;
}

TEST(EntryView, SeesAStart) {
    const Entry entry = start();
    const std::string bytes = entry.SerializeAsString();
    const EntryView seen = view(bytes);
    const SessionStart& it = entry.session_start();
    EXPECT_EQ(seen.kind, Kind::Start);
    EXPECT_EQ(seen.time, entry.time());
    EXPECT_EQ(seen.session, it.session());
    EXPECT_EQ(seen.peer, it.peer());
    EXPECT_EQ(seen.start.workload, it.workload());
    EXPECT_EQ(seen.start.subject, it.identity().subject());
    EXPECT_EQ(seen.start.resource, it.resource());
    EXPECT_EQ(seen.start.protocol, it.protocol());
    EXPECT_EQ(seen.start.address, it.destination().address());
    EXPECT_EQ(seen.start.port, it.destination().port());
    EXPECT_EQ(seen.start.name, it.destination().name());
    EXPECT_EQ(seen.start.pid, it.process().pid());
    EXPECT_EQ(seen.start.uid, it.process().uid());
    EXPECT_EQ(seen.start.comm, it.process().comm());
    EXPECT_TRUE(seen.start.refused);
}

TEST(EntryView, SeesARequest) {
    Entry entry;
    RequestEntry& it = *entry.mutable_request();
    it.set_session("s1");
    it.set_number(std::numeric_limits<std::uint64_t>::max());
    it.set_kind("http");
    it.set_statement("GET /\xff\x00");
    it.set_approval("a1");
    it.mutable_decision()->set_effect("approve");
    it.mutable_decision()->set_rule("p/r");
    it.mutable_decision()->set_reason("ask");
    it.add_parameters()->set_text("p");
    (*it.mutable_facts())["method"] = "GET";
    std::string bytes = entry.SerializeAsString();
    EntryView seen = view(bytes);
    EXPECT_EQ(seen.kind, Kind::Request);
    EXPECT_EQ(seen.session, "s1");
    EXPECT_EQ(seen.number, it.number());
    EXPECT_EQ(seen.request.kind, "http");
    EXPECT_EQ(seen.request.statement, it.statement());
    EXPECT_EQ(seen.request.approval, "a1");
    EXPECT_EQ(seen.request.effect, "approve");
    EXPECT_EQ(seen.request.rule, "p/r");
    EXPECT_FALSE(seen.request.masks);
    EXPECT_FALSE(seen.request.shadow);
    it.mutable_decision()->add_masks("a.b");
    it.mutable_decision()->add_shadow("deny p/s");
    bytes = entry.SerializeAsString();
    seen = view(bytes);
    EXPECT_TRUE(seen.request.masks);
    EXPECT_TRUE(seen.request.shadow);
}

TEST(EntryView, SeesAResultAndAnEnd) {
    Entry entry;
    ResultEntry& result = *entry.mutable_result();
    result.set_session("s1");
    result.set_request(3);
    result.set_status("ok");
    result.set_code("200");
    result.set_rows(4);
    result.set_bytes_up(5);
    result.set_bytes_down(6);
    result.set_duration(-7);
    result.set_masked(8);
    std::string bytes = entry.SerializeAsString();
    EntryView seen = view(bytes);
    EXPECT_EQ(seen.kind, Kind::Outcome);
    EXPECT_EQ(seen.session, "s1");
    EXPECT_EQ(seen.number, 3U);
    EXPECT_EQ(seen.result.status, "ok");
    EXPECT_EQ(seen.result.code, "200");
    EXPECT_EQ(seen.rows, 4U);
    EXPECT_EQ(seen.bytes_up, 5U);
    EXPECT_EQ(seen.bytes_down, 6U);
    EXPECT_EQ(seen.result.duration, -7);

    SessionEnd& end = *entry.mutable_session_end();
    end.set_session("s2");
    end.set_reason("closed");
    end.set_requests(1);
    end.set_rows(2);
    end.set_bytes_up(3);
    end.set_bytes_down(4);
    end.set_peer("shop");
    end.mutable_upstream()->set_address("10.0.0.7");
    bytes = entry.SerializeAsString();
    seen = view(bytes);
    EXPECT_EQ(seen.kind, Kind::End);
    EXPECT_EQ(seen.session, "s2");
    EXPECT_EQ(seen.reason, "closed");
    EXPECT_EQ(seen.requests, 1U);
    EXPECT_EQ(seen.rows, 2U);
    EXPECT_EQ(seen.bytes_up, 3U);
    EXPECT_EQ(seen.bytes_down, 4U);
    EXPECT_EQ(seen.peer, "shop");
}

TEST(EntryView, KnowsWhoseTheOthersAre) {
    Entry entry;
    entry.mutable_approval()->set_session("s1");
    std::string bytes = entry.SerializeAsString();
    EXPECT_EQ(view(bytes).session, "s1");
    entry.mutable_stream()->set_session("s2");
    bytes = entry.SerializeAsString();
    EXPECT_EQ(view(bytes).session, "s2");
    EXPECT_EQ(view(bytes).kind, Kind::Other);
    entry.mutable_admin()->set_action(AdminEntry::DAEMON_STOP);
    bytes = entry.SerializeAsString();
    EXPECT_EQ(view(bytes).kind, Kind::Other);
    EXPECT_EQ(view(bytes).session, "");
    entry.mutable_admin()->set_action(AdminEntry::DAEMON_START);
    bytes = entry.SerializeAsString();
    EXPECT_EQ(view(bytes).kind, Kind::DaemonStart);
    entry.mutable_recovery()->set_detail("x");
    bytes = entry.SerializeAsString();
    EXPECT_EQ(view(bytes).kind, Kind::Other);
    entry.mutable_event()->set_kind("x");
    bytes = entry.SerializeAsString();
    EXPECT_EQ(view(bytes).kind, Kind::Other);
    EXPECT_EQ(view("").kind, Kind::Other);
}

// Cut anywhere, it is an entry where a parser says so, and else none.
TEST(EntryView, AgreesWithAParserOnEveryCut) {
    const std::string whole = start().SerializeAsString();
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const std::string bytes = whole.substr(0, size);
        Entry entry;
        const bool parsed = entry.ParseFromString(bytes);
        const auto seen = view_entry(as_bytes(bytes));
        EXPECT_EQ(parsed, seen.has_value()) << size;
        if (parsed && seen) EXPECT_EQ(seen->session, session_of(entry));
    }
    for (const char* bad : {"\x0a", "\x5a\xff\xff\xff\xff\x7f", "\x5a\x02\x0a\x05", "\x00"})
        EXPECT_FALSE(view_entry(as_bytes(bad[0] == 0 ? std::string_view{"\0", 1} : bad)));
}

TEST(Places, ComeBackAsTheyWere) {
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    const std::vector<Place> all{{0, 0, 64},        {1, 0, 300},        {200, 3, 64},
                                 {201, 3, 1 << 20}, {1ULL << 40, 4, 7}, {kMost, 9, 0}};
    std::vector<Place> found{{7, 7, 7}};
    ASSERT_TRUE(unpack(pack(all), found));
    found.erase(found.begin());
    EXPECT_EQ(found, all);
    EXPECT_TRUE(pack({}).empty());
    Buffer cut = pack(all);
    cut.pop_back();
    EXPECT_FALSE(unpack(cut, found));
}

}  // namespace
}  // namespace chaperone::record
