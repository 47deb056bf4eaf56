// SPDX-License-Identifier: Apache-2.0
// What the filter refuses: the table, how attempts are counted, and what the launcher is told.
#include "userspace/launch/attempts.h"
#include "userspace/launch/report.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>

namespace chaperone::launch {
namespace {

using namespace std::chrono_literals;

struct Row {
    const char* name;
    seccomp_data call;
    int error;
};

seccomp_data call_of(long number, std::uint64_t first = 0, std::uint64_t second = 0,
                     std::uint64_t third = 0) {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.args[0] = first;
    data.args[1] = second;
    data.args[2] = third;
    return data;
}

class Table : public testing::TestWithParam<Row> {};

TEST_P(Table, GivesTheErrorOfTheFirstRefusalThatApplies) {
    const auto table = refusals();
    ASSERT_TRUE(table) << table.error().message();
    EXPECT_EQ(error_for(*table, GetParam().call), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, Table,
    testing::Values(Row{"bpf", call_of(SYS_bpf), EPERM},
                    Row{"io_uring", call_of(SYS_io_uring_setup), ENOSYS},
                    Row{"clone3", call_of(SYS_clone3), ENOSYS},
                    Row{"packet", call_of(SYS_socket, AF_PACKET), EAFNOSUPPORT},
                    Row{"upper_bits", call_of(SYS_socket, 0x1'0000'0000), EAFNOSUPPORT},
                    Row{"vsock_pair", call_of(SYS_socketpair, AF_VSOCK), EAFNOSUPPORT},
                    Row{"netlink", call_of(SYS_socket, AF_NETLINK, SOCK_RAW, 9), EAFNOSUPPORT},
                    Row{"mptcp", call_of(SYS_socket, AF_INET, SOCK_STREAM, 262), EPROTONOSUPPORT},
                    Row{"sctp", call_of(SYS_socket, AF_INET6, SOCK_STREAM, 132), EPROTONOSUPPORT},
                    Row{"unshare", call_of(SYS_unshare, CLONE_FILES | CLONE_NEWNET), EPERM},
                    Row{"limits", call_of(SYS_prlimit64, 1), EPERM},
                    Row{"not_in_the_table", call_of(SYS_getpid), EPERM}),
    [](const auto& info) { return std::string{info.param.name}; });

Attempt attempt(std::string call, std::string comm = "agent", std::uint64_t count = 1) {
    return {.call = std::move(call),
            .error = "EPERM",
            .pid = 7,
            .uid = 1000,
            .comm = std::move(comm),
            .count = count};
}

TEST(AttemptCounts, TellsTheFirstAtOnceAndCountsThoseLikeIt) {
    AttemptCounts counts;
    const AttemptCounts::Clock::time_point start{1h};
    counts.add(attempt("bpf"), start);
    auto due = counts.due(start, false);
    ASSERT_EQ(due.size(), 1u);
    EXPECT_EQ(due[0].count, 1u);
    EXPECT_EQ(due[0].comm, "agent");
    counts.told(due, start);
    for (int i = 0; i < 5; ++i) counts.add(attempt("bpf"), start + 1s);
    EXPECT_TRUE(counts.due(start + 9s, false).empty());
    due = counts.due(start + 10s, false);
    ASSERT_EQ(due.size(), 1u);
    EXPECT_EQ(due[0].count, 5u);
    counts.told(due, start + 10s);
    EXPECT_TRUE(counts.due(start + 30s, true).empty());
}

TEST(AttemptCounts, WhatWasNotTakenIsToldAgainWithWhatCameSince) {
    AttemptCounts counts;
    const AttemptCounts::Clock::time_point start{1h};
    counts.add(attempt("bpf"), start);
    EXPECT_EQ(counts.due(start, false).size(), 1u);
    counts.add(attempt("bpf"), start);
    const auto due = counts.due(start, false);
    ASSERT_EQ(due.size(), 1u);
    EXPECT_EQ(due[0].count, 2u);
    counts.add(attempt("bpf"), start);  // while they are being told
    counts.told(due, start);
    EXPECT_EQ(counts.due(start, true).at(0).count, 1u);
}

TEST(AttemptCounts, OfTooManyOnlyTheCallsAreKeptApart) {
    AttemptCounts counts;
    const AttemptCounts::Clock::time_point start{1h};
    for (int i = 0; i < 1000; ++i) counts.add(attempt("bpf", "name" + std::to_string(i)), start);
    for (int i = 0; i < 1000; ++i) counts.add(attempt("mount", "name" + std::to_string(i)), start);
    const auto due = counts.due(start, false);
    EXPECT_EQ(due.size(), AttemptCounts::kMostApart + 2);
    std::uint64_t sum = 0;
    for (const Attempt& one : due) sum += one.count;
    EXPECT_EQ(sum, 2000u);
}

TEST(Report, CarriesTheListenerAndTheReason) {
    auto ends = make_report_ends();
    ASSERT_TRUE(ends);
    UniqueFd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    ASSERT_TRUE(send_report(ends->write.get(), {.listener = std::move(file)}));
    ends->write.reset();
    const Report got = read_report(ends->read.get());
    EXPECT_EQ(got.error, "");
    EXPECT_EQ(got.why_not, "");
    ASSERT_TRUE(got.listener);
    EXPECT_NE(::fcntl(got.listener.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Report, SaysWhyNot) {
    for (const bool failed : {true, false}) {
        auto ends = make_report_ends();
        const std::string text(5000, 'x');
        ASSERT_TRUE(send_report(ends->write.get(),
                                {.error = failed ? text : "", .why_not = failed ? "" : text}));
        ends->write.reset();
        const Report got = read_report(ends->read.get());
        EXPECT_EQ(got.error.empty(), !failed);
        EXPECT_EQ(got.why_not.empty(), failed);
        EXPECT_FALSE(got.listener);
    }
}

TEST(Report, AnEndWithoutAWordIsAnError) {
    auto ends = make_report_ends();
    ends->write.reset();
    EXPECT_NE(read_report(ends->read.get()).error, "");
}

}  // namespace
}  // namespace chaperone::launch
