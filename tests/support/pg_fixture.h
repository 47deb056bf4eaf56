// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL session up to the point where the agent may ask, with an analyser of its own: a text
// means what the test says it means.
#pragma once

#include "policy/sql/analyzer.h"
#include "tests/support/pg_bytes.h"
#include "tests/support/session_script.h"
#include "userspace/session/pg_session.h"

#include <map>

namespace chaperone::session::test {

class TableAnalyzer final : public policy::sql::Analyzer {
public:
    std::string_view dialect() const noexcept override { return "postgresql"; }
    std::shared_ptr<const policy::sql::Facts> analyze(
        std::string_view text, const policy::sql::Context& context) const override {
        ++calls;
        changed = context.session->changed.size();
        all_changed = context.session->all_changed;
        made = context.session->made.size();
        if (const auto it = context.session->prepared.find("p");
            it != context.session->prepared.end())
            prepared_known =
                std::ranges::all_of(it->second, [](const auto& facts) { return facts->parsed; });
        if (!context.standard_conforming_strings) return policy::sql::unparsed("quotes");
        if (const auto it = known.find(text); it != known.end()) return it->second;
        policy::sql::Facts facts;
        facts.parsed = true;
        facts.statements.push_back({.command = "SELECT", .returns_rows = true});
        facts.uses_session = true;  // so that no cache keeps it
        facts.stale = changed != 0;
        return std::make_shared<const policy::sql::Facts>(std::move(facts));
    }

    std::map<std::string, std::shared_ptr<const policy::sql::Facts>, std::less<>> known;
    mutable std::size_t calls = 0;
    mutable bool prepared_known = false;  // what the statement "p" of the session does
    mutable bool all_changed = false;
    mutable std::size_t made = 0;  // tables of the session's own whose lineage is known
    mutable std::size_t changed = 0;  // names whose lineage was unknown at the last analysis
};

inline policy::DecisionPtr allow(policy::MaskSet masks = {}) {
    return std::make_shared<const policy::Decision>(
        policy::Decision{.effect = policy::Effect::Allow, .masks = std::move(masks)});
}
inline Answer allowed(std::uint64_t request = 1, policy::MaskSet masks = {}) {
    return {.verdict = Verdict::Allowed, .decision = allow(std::move(masks)), .request = request};
}
inline Answer denied(std::uint64_t request = 1) {
    return {.verdict = Verdict::Denied,
            .decision = std::make_shared<const policy::Decision>(
                policy::Decision{.rule = "guard/no-ddl", .reason = "no DDL", .hint = "ask"}),
            .request = request};
}

struct PgFixture {
    explicit PgFixture(std::size_t piece = SIZE_MAX) : machine(make()), script(*machine, piece) {}

    std::unique_ptr<Machine> make() {
        PgSessionConfig config;
        config.facts.id = "S1";
        config.pid = 77;
        config.cancel_secret = copy(as_bytes("abcd"));
        config.server_tls = false;
        config.user = "app";
        config.password = Secret{std::string{"pw"}};
        config.nonce = "nonce";
        config.mask_key = copy(as_bytes("key"));
        config.analyzer = &analyzer;
        config.limits.statement = 2'048;
        config.limits.bind = 4'096;
        config.limits.row = 4'096;
        return make_pg_session(std::move(config));
    }

    // Through the login; what was said meanwhile is forgotten.
    SessionScript& open(std::shared_ptr<const policy::sql::Catalog> catalog = nullptr) {
        script.client_sends(startup({"user", "bob", "database", "shop"}));
        if (script.asked.size() == 1) script.decided(allowed(0));
        script.connected();
        script.server_sends(msg('R', be32(0)) + msg('S', "client_encoding\0UTF8\0"s) +
                            msg('S', "standard_conforming_strings\0on\0"s) +
                            msg('K', be32(9) + "zzzz") + ready());
        script.server_sends(row_description({{"a"}, {"b"}, {"c"}}) +
                            row({"public", "public", "app"}) + complete("SELECT 1") + ready());
        script.catalog(std::move(catalog));
        return script.forget();
    }

    TableAnalyzer analyzer;
    std::unique_ptr<Machine> machine;
    SessionScript script;
};

}  // namespace chaperone::session::test
