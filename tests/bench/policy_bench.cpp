// SPDX-License-Identifier: Apache-2.0
// What policy costs, as JSON for tests/bench/run: `policy_bench decide` measures decisions,
// `policy_bench journal DIR N` writes a journal of N requests for `chaperone policy simulate`.
#include "policy/bundle/bundle.h"
#include "policy/engine/session_policy.h"
#include "policy/explain.h"
#include "policy/sql/analyzer.h"
#include "userspace/record/writer.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::size_t allocations = 0;

}  // namespace

// Counted, so that the figures say how many a decision costs.
void* operator new(std::size_t size) {
    ++allocations;
    if (void* made = std::malloc(size)) return made;
    throw std::bad_alloc{};
}
void operator delete(void* what) noexcept {
    std::free(what);
}
void operator delete(void* what, std::size_t) noexcept {
    std::free(what);
}

namespace {

using namespace chaperone;
using Clock = std::chrono::steady_clock;

double nanoseconds(Clock::time_point since) {
    return std::chrono::duration<double, std::nano>(Clock::now() - since).count();
}

// Half of the rules are about other teams and fold away when a session opens; the rest look at the
// statement.
std::string rules(int count) {
    std::string text =
        "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: orders}\n"
        "spec: {protocol: postgresql, hosts: [db.internal]}\n---\n"
        "apiVersion: chaperone.dev/v1\nkind: Workload\nmetadata: {name: agent, labels: {team: a}}\n"
        "spec: {identity: {subject: agent, groups: [agents]}}\n---\n"
        "apiVersion: chaperone.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n"
        "  - {id: reads, when: 'sql.effects.all(e, e.kind == \"read\")', allow: {}}\n";
    for (int i = 1; i < count; ++i) {
        const std::string number = std::to_string(i);
        const std::string team = i % 2 == 0 ? "a" : "team-" + number;
        text += "  - {id: r" + number + ", when: 'workload.labels.team == \"" + team +
                "\" && sql.effects.exists(e, e.kind == \"drop\" && e.object == \"public.t" +
                number + "\")', deny: {}}\n";
    }
    return text;
}

double median(std::vector<double>& values) {
    std::ranges::nth_element(values,
                             values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

void decide(int count) {
    const auto began = Clock::now();
    const auto loaded = policy::bundle::load({{"p.yaml", rules(count)}});
    const double load = nanoseconds(began);
    if (!loaded.bundle) std::exit(1);
    policy::Question question{.workload = "agent", .resource = "orders"};
    question.statement = "SELECT id, total FROM orders WHERE id = $1";
    question.parameters.emplace(std::vector<std::string>{"7"});
    const auto asked = policy::ask(*loaded.bundle, question);
    if (!asked) std::exit(1);
    constexpr int kTimes = 2'000;
    std::vector<double> opened, first, again;
    std::size_t kept = 0;
    for (int i = 0; i != kTimes; ++i) {
        auto start = Clock::now();
        policy::SessionPolicy session{loaded.bundle, asked->request.session};
        opened.push_back(nanoseconds(start));
        start = Clock::now();
        (void)session.decide(asked->request);
        first.push_back(nanoseconds(start));
        const std::size_t before = allocations;
        start = Clock::now();
        (void)session.decide(asked->request);
        again.push_back(nanoseconds(start));
        kept = allocations - before;
    }
    std::printf(
        "{\"rules\": %d, \"load_ms\": %.1f, \"open_us\": %.2f, \"first_us\": %.2f, "
        "\"again_us\": %.3f, \"again_allocations\": %zu}\n",
        count, load / 1e6, median(opened) / 1e3, median(first) / 1e3, median(again) / 1e3, kept);
}

int write_journal(const char* folder, long count) {
    record::WriterOptions options{.state = folder};
    auto writer = record::Writer::open(options);
    if (!writer) {
        std::fprintf(stderr, "%s\n", writer.error().message().c_str());
        return 1;
    }
    const std::int64_t base = now().time_since_epoch().count();
    std::vector<record::Entry> batch;
    const auto flush = [&] {
        const bool good = batch.empty() || (*writer)->append(batch).has_value();
        batch.clear();
        return good;
    };
    for (long i = 0; i != count; ++i) {
        const std::string session = "session-" + std::to_string(i / 1'000);
        if (i % 1'000 == 0) {
            auto& start = *batch.emplace_back().mutable_session_start();
            batch.back().set_time(base + i);
            start.set_session(session);
            start.set_workload("agent");
            start.set_resource("orders");
            start.set_protocol("postgresql");
            start.mutable_identity()->set_subject("agent");
            start.mutable_identity()->add_groups("agents");
        }
        auto& entry = batch.emplace_back();
        entry.set_time(base + i);
        auto& request = *entry.mutable_request();
        request.set_session(session);
        request.set_number(static_cast<std::uint64_t>(i % 1'000 + 1));
        request.set_kind("statement");
        // One text in ten was not seen before.
        request.set_statement(
            i % 10 == 0 ? "SELECT note FROM log WHERE body = 'text " + std::to_string(i) + "'"
                        : "SELECT id, total FROM orders WHERE id = " + std::to_string(i % 5'000));
        request.mutable_decision()->set_effect("allow");
        request.mutable_decision()->set_rule("reads");
        auto& result = *batch.emplace_back().mutable_result();
        batch.back().set_time(base + i);
        result.set_session(session);
        result.set_request(request.number());
        result.set_status("ok");
        if (batch.size() > 4'000 && !flush()) return 1;
    }
    return flush() && (*writer)->close() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "decide") {
        for (const int count : {10, 100, 1'000, 10'000}) decide(count);
        return 0;
    }
    if (what == "rules" && argc == 3)
        return std::fputs(rules(std::atoi(argv[2])).c_str(), stdout) < 0;
    if (what == "journal" && argc == 4) return write_journal(argv[2], std::atol(argv[3]));
    std::fputs("policy_bench decide | rules N | journal DIR N\n", stderr);
    return 2;
}
