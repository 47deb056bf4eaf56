// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/encoder.h"

#include "userspace/record/merkle.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/segment.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace chaperone::record {
namespace {

// What protobuf makes of the same fields.
std::string by_protobuf(const RequestFields& f, std::span<const ParameterFields> parameters) {
    Entry entry;
    entry.set_time(f.time);
    RequestEntry& request = *entry.mutable_request();
    request.set_session(std::string{f.session});
    request.set_number(f.number);
    request.set_kind(std::string{f.kind});
    request.set_statement(std::string{f.statement});
    request.set_statement_digest(std::string{as_text(f.statement_digest)});
    request.set_statement_truncated(f.statement_truncated);
    for (const ParameterFields& p : parameters) {
        Parameter& parameter = *request.add_parameters();
        parameter.set_form(p.absent ? Parameter::ABSENT : Parameter::TEXT);
        parameter.set_text(std::string{p.text});
        parameter.set_type_oid(p.type_oid);
        parameter.set_truncated(p.truncated);
    }
    request.set_database(std::string{f.database});
    request.set_user(std::string{f.user});
    EXPECT_TRUE(request.mutable_decision()->ParseFromString(std::string{as_text(f.decision)}));
    request.set_approval(std::string{f.approval});
    EXPECT_TRUE(request.MergeFromString(std::string{as_text(f.more)}));
    return entry.SerializeAsString();
}

std::string by_protobuf(const ResultFields& f) {
    Entry entry;
    entry.set_time(f.time);
    ResultEntry& result = *entry.mutable_result();
    result.set_session(std::string{f.session});
    result.set_request(f.request);
    result.set_status(std::string{f.status});
    result.set_code(std::string{f.code});
    result.set_command_tag(std::string{f.command_tag});
    result.set_rows(f.rows);
    result.set_bytes_up(f.bytes_up);
    result.set_bytes_down(f.bytes_down);
    result.set_duration(f.duration);
    return entry.SerializeAsString();
}

void fill(Address& address, const AddressFields& f) {
    address.set_address(std::string{f.address});
    address.set_port(f.port);
    address.set_name(std::string{f.name});
}

std::string by_protobuf(const StartFields& f) {
    Entry entry;
    entry.set_time(f.time);
    SessionStart& start = *entry.mutable_session_start();
    start.set_session(std::string{f.session});
    start.set_workload(std::string{f.workload});
    start.mutable_identity()->set_subject(std::string{f.subject});
    start.mutable_identity()->set_issuer(std::string{f.issuer});
    for (const std::string& group : f.groups) start.mutable_identity()->add_groups(group);
    for (const std::string& actor : f.actors)
        start.mutable_identity()->add_on_behalf_of()->set_subject(actor);
    start.set_resource(std::string{f.resource});
    start.set_protocol(std::string{f.protocol});
    fill(*start.mutable_destination(), f.destination);
    fill(*start.mutable_client(), f.client);
    start.mutable_process()->set_pid(f.pid);
    start.mutable_process()->set_uid(f.uid);
    start.mutable_process()->set_comm(std::string{f.comm});
    start.mutable_process()->set_cgroup(f.cgroup);
    start.set_bundle(std::string{f.bundle});
    start.set_refused(f.refused);
    start.set_reason(std::string{f.reason});
    start.set_peer(std::string{f.peer});
    return entry.SerializeAsString();
}

std::string by_protobuf(const EndFields& f) {
    Entry entry;
    entry.set_time(f.time);
    SessionEnd& end = *entry.mutable_session_end();
    end.set_session(std::string{f.session});
    end.set_reason(std::string{f.reason});
    end.set_requests(f.requests);
    end.set_rows(f.rows);
    end.set_bytes_up(f.bytes_up);
    end.set_bytes_down(f.bytes_down);
    end.set_duration(f.duration);
    if (!f.upstream.address.empty()) {
        fill(*end.mutable_upstream(), f.upstream);
        end.set_upstream_reused(f.upstream_reused);
    }
    return entry.SerializeAsString();
}

TEST(Encoder, MakesOfARequestWhatProtobufMakes) {
    Decision decision;
    decision.set_effect("allow");
    decision.set_rule("hundred/rest");
    decision.add_rules("hundred/rest");
    decision.set_bundle(std::string(64, 'b'));
    const std::string decided = decision.SerializeAsString();
    RequestEntry facts;
    (*facts.mutable_facts())["method"] = "GET";
    const std::string more = facts.SerializeAsString();
    const std::string long_text(300, 'x'), longer(70'000, '\0');
    const std::byte digest[32] = {};
    const ParameterFields parameters[] = {
        {},
        {.text = "42", .type_oid = 23},
        {.absent = true},
        {.text = longer, .type_oid = 4'294'967'295U, .truncated = true}};
    const RequestFields cases[] = {
        {},
        {.time = 1, .number = 127},
        {.time = -1, .number = 128, .decision = as_bytes(decided)},
        {.time = std::numeric_limits<std::int64_t>::max(),
         .session = "s",
         .number = std::numeric_limits<std::uint64_t>::max(),
         .kind = "bind",
         .statement = long_text,
         .statement_digest = digest,
         .statement_truncated = true,
         .database = "shop",
         .user = "app",
         .decision = as_bytes(decided),
         .approval = "a-1",
         .more = as_bytes(more)},
        {.statement = longer},
    };
    for (const RequestFields& fields : cases)
        for (const std::span<const ParameterFields> given :
             {{}, std::span<const ParameterFields>{parameters}}) {
            Buffer out = copy(as_bytes("before"));
            encode_request(out, fields, given);
            EXPECT_EQ(as_text(Bytes{out}.subspan(6)), by_protobuf(fields, given));
        }
}

TEST(Encoder, MakesOfAResultWhatProtobufMakes) {
    const std::string tag(200, 't');
    const ResultFields cases[] = {
        {},
        {.time = 5, .session = "s", .request = 1, .status = "ok"},
        {.time = std::numeric_limits<std::int64_t>::min(),
         .session = "session",
         .request = 1'000'000,
         .status = "error",
         .code = "42501",
         .command_tag = tag,
         .rows = std::numeric_limits<std::uint64_t>::max(),
         .bytes_up = 127,
         .bytes_down = 16'384,
         .duration = -7},
    };
    for (const ResultFields& fields : cases) {
        Buffer out;
        encode_result(out, fields);
        EXPECT_EQ(as_text(out), by_protobuf(fields));
    }
}

TEST(Encoder, MakesOfASessionsStartWhatProtobufMakes) {
    const std::string groups[] = {"admins", "", std::string(200, 'g')};
    const std::string actors[] = {"ann", std::string(130, 'a')};
    const StartFields cases[] = {
        {},
        {.time = -1, .session = "s", .groups = groups},
        {.time = std::numeric_limits<std::int64_t>::max(),
         .session = "session",
         .workload = "agent",
         .subject = "agent@example",
         .issuer = "https://issuer.example",
         .groups = groups,
         .actors = actors,
         .resource = "orders",
         .protocol = "http",
         .destination = {.address = "192.0.2.7", .port = 65'535, .name = "db.example"},
         .client = {.address = "127.0.0.1", .port = 1},
         .pid = std::numeric_limits<std::uint32_t>::max(),
         .uid = 1000,
         .comm = "curl",
         .cgroup = std::numeric_limits<std::uint64_t>::max(),
         .bundle = "sha256:0",
         .refused = true,
         .reason = "no resource claims it",
         .peer = "another"},
    };
    for (const StartFields& fields : cases) {
        Buffer out;
        encode_start(out, fields);
        EXPECT_EQ(as_text(out), by_protobuf(fields));
    }
}

TEST(Encoder, MakesOfASessionsEndWhatProtobufMakes) {
    const EndFields cases[] = {
        {},
        {.time = 1, .session = "s", .duration = -1, .upstream_reused = true},
        {.time = 2,
         .session = "session",
         .reason = "the client closed the connection",
         .requests = 1,
         .rows = 300,
         .bytes_up = 70'000,
         .bytes_down = std::numeric_limits<std::uint64_t>::max(),
         .duration = std::numeric_limits<std::int64_t>::max(),
         .upstream = {.address = "fd00::7", .port = 443},
         .upstream_reused = true},
    };
    for (const EndFields& fields : cases) {
        Buffer out;
        encode_end(out, fields);
        EXPECT_EQ(as_text(out), by_protobuf(fields));
    }
}

TEST(Encoder, AddsFactsToARequest) {
    const std::string path(300, '/');
    Buffer more;
    encode_fact(more, "path", path);
    encode_fact(more, "host", "");
    encode_fact(more, "method", "GET");
    Buffer out;
    encode_request(out, {.session = "s", .more = more}, {});
    Entry entry;
    ASSERT_TRUE(entry.ParseFromArray(out.data(), static_cast<int>(out.size())));
    const auto& facts = entry.request().facts();
    EXPECT_EQ(facts.size(), 3U);
    EXPECT_EQ(facts.at("path"), path);
    EXPECT_EQ(facts.at("host"), "");
    EXPECT_EQ(facts.at("method"), "GET");
}

TEST(Encoder, FramesAreWhatTheReaderReads) {
    Frames frames;
    EXPECT_TRUE(frames.empty());
    Entry entry;
    entry.set_time(7);
    for (int round = 0; round != 2; ++round) {
        frames.clear();
        frames.add(RequestFields{.session = "s", .statement = "SELECT 1"}, {});
        frames.add(ResultFields{.session = "s", .rows = 1});
        frames.add(entry);
        ASSERT_TRUE(frames.fit());
        ASSERT_EQ(frames.size(), 3u);
        Bytes rest = frames.bytes();
        for (std::size_t i = 0; i != 3; ++i) {
            const auto frame = decode_frame(rest);
            ASSERT_TRUE(frame && *frame);
            EXPECT_EQ((*frame)->leaf, frames.leaves()[i]);
            rest = rest.subspan((*frame)->size);
        }
        EXPECT_TRUE(rest.empty());
    }
}

TEST(Encoder, FramesSayWhatMayNotBeWritten) {
    Frames frames;
    frames.add(Entry{});
    EXPECT_EQ(frames.fit().error().code, Errc::Invalid);
    frames.clear();
    EXPECT_TRUE(frames.fit());
    const std::string large(kMaxEntry, 'x');
    frames.add(RequestFields{.statement = large}, {});
    EXPECT_EQ(frames.fit().error().code, Errc::TooLarge);
}

}  // namespace
}  // namespace chaperone::record
