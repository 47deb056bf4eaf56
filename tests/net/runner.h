// SPDX-License-Identifier: Apache-2.0
// A session runner with a journal, approvals and a bundle of three rules; the agent's end is given.
#pragma once

#include "policy/bundle/bundle.h"
#include "tests/net/wires.h"
#include "userspace/net/approvals.h"
#include "userspace/net/catalogs.h"
#include "userspace/net/protocols.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/shared.h"
#include "userspace/net/target.h"
#include "userspace/net/tokens.h"
#include "userspace/record/writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace chaperone::net {

inline constexpr std::string_view kBundle = R"(
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: lines}
spec: {protocol: postgresql, hosts: [192.0.2.1], credential: {user: u}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: agent}
spec: {identity: {subject: "agent:one"}}
---
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
  - {id: ask, when: 'identity.subject == "agent:held"', approve: {by: ["group:dba"], within: 1m, scope: session}}
  - {id: no, when: 'identity.subject == "agent:bad"', deny: {reason: "not you"}}
  - {id: rest, allow: {}}
)";

class Runner : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "runnerXXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        auto journal = record::Writer::open({.state = folder_});
        ASSERT_TRUE(journal) << journal.error().message();
        journal_ = std::move(*journal);
        approvals_ = std::make_unique<Approvals>(*journal_);
        shared_.services.journal = journal_.get();
        shared_.services.approvals = approvals_.get();
        auto loaded = policy::bundle::load({{"b.yaml", std::string{kBundle}}});
        ASSERT_TRUE(loaded.bundle) << loaded.issues.front().message;
        shared_.set_bundle(loaded.bundle);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // A session of this subject over a fresh connection; its agent's end is returned.
    template <class Make>
    Stream begin(const std::string& subject, const Make& make,
                 std::shared_ptr<const Target> target = std::make_shared<Target>()) {
        Wire wire = connected(context_);
        auto facts = std::make_shared<policy::SessionFacts>();
        facts->id = "session-" + subject;
        facts->identity.subject = subject;
        facts->workload = "agent";
        facts->resource = "lines";
        facts->protocol = "postgresql";
        facts->uid = 4711;
        const Opening opening{facts, std::move(target), {}};
        auto slot = std::make_shared<std::weak_ptr<SessionRunner>>();
        auto live = std::make_shared<LiveSession>(
            facts->id,
            [slot, this](std::function<void(SessionRunner&)> call) {
                asio::post(context_, [slot, call = std::move(call)] {
                    if (const auto runner = slot->lock()) call(*runner);
                });
            },
            facts);
        live_ = live;
        auto runner =
            std::make_shared<SessionRunner>(ServerPool::of(context_), shared_,
                                            std::move(wire.theirs), live, opening, CancelKey{1, 2});
        *slot = runner;
        shared_.registry.add(live);
        EXPECT_TRUE(runner->start(make(facts)));
        return std::move(wire.ours);
    }

    void play(asio::awaitable<void> script) {
        spawn(context_, std::move(script));
        context_.run();  // returns only if every coroutine has finished: nothing is left hanging
    }

    bool grant(std::string_view id) {
        approval::Approver person;
        person.name = "ann";
        person.uid = 1000;
        person.groups = {"dba"};
        return approvals_
            ->with([&](approval::ApprovalBook& book) { return book.grant(id, person, "", now()); })
            .has_value();
    }

    static asio::awaitable<std::string> line(Stream& from) {
        std::string text;
        while (text.empty() || text.back() != '\n') {
            const Buffer one = co_await read_up_to(from, 1);
            if (one.empty()) break;
            text += as_text(one);
        }
        co_return text;
    }

    std::filesystem::path folder_;
    std::unique_ptr<record::Writer> journal_;
    std::unique_ptr<Approvals> approvals_;
    Shared shared_;
    asio::io_context context_{1};
    LivePtr live_;
};

}  // namespace chaperone::net
