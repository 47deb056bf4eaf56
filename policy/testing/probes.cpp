// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/probes.h"

#include "policy/bundle/hosts.h"
#include "policy/cel/reason.h"
#include "policy/engine/engine.h"
#include "policy/sql/facts.h"
#include "policy/testing/run_tests.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace chaperone::policy::testing {
namespace {

constexpr std::size_t kMost = 48;  // of each sort of name: more make every answer slower

bool is_identifier(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }) && (text.front() < '0' || text.front() > '9');
}

void keep(std::set<std::string>& names, std::string name) {
    if (names.size() < kMost) names.insert(std::move(name));
}

// What can be sent without naming a table.
constexpr std::array<std::string_view, 18> kPlain{"SELECT 1",
                                                  "BEGIN",
                                                  "SET work_mem = '1MB'",
                                                  "SET ROLE probe",
                                                  "LISTEN probe",
                                                  "NOTIFY probe",
                                                  "VACUUM",
                                                  "CREATE SCHEMA probe",
                                                  "CREATE ROLE probe",
                                                  "DROP ROLE probe",
                                                  "SELECT pg_sleep(1)",
                                                  "SELECT pg_read_file('probe')",
                                                  "CALL probe()",
                                                  "COPY (SELECT 1) TO PROGRAM 'true'",
                                                  "COPY (SELECT 1) TO STDOUT",
                                                  "DO $$ BEGIN EXECUTE 'SELECT 1'; END $$",
                                                  "CREATE EXTENSION probe",
                                                  "SELEC 1"};

// % is the table.
constexpr std::array<std::string_view, 16> kOnTable{
    "SELECT * FROM %",
    "SELECT count(*) FROM %",
    "INSERT INTO % (id) VALUES (1)",
    "UPDATE % SET id = 1 WHERE id = 2",
    "DELETE FROM % WHERE id = 1",
    "TRUNCATE %",
    "CREATE TABLE % (id int)",
    "ALTER TABLE % ADD COLUMN probe int",
    "DROP TABLE %",
    "GRANT SELECT ON % TO probe",
    "LOCK TABLE %",
    "COPY % TO STDOUT",
    "COPY % FROM STDIN",
    "COPY % TO '/tmp/probe'",
    "WITH gone AS (DELETE FROM % RETURNING *) SELECT * FROM gone",
    "EXPLAIN SELECT * FROM %"};

std::string on(std::string_view pattern, std::string_view table) {
    const std::size_t at = pattern.find('%');
    return std::string{pattern.substr(0, at)}.append(table).append(pattern.substr(at + 1));
}

}  // namespace

// A literal may be a table's name, a function's, a path, or a part of one.
void Probes::name(const std::string& text) {
    if (text.starts_with('/') && text.size() < 200 &&
        std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; })) {
        keep(paths_, text);
        if (text.ends_with('/')) keep(paths_, text + "probe");
        return;
    }
    std::string_view rest = text;
    if (rest.ends_with('.')) {
        if (is_identifier(rest.substr(0, rest.size() - 1))) keep(tables_, text + "probe");
        return;
    }
    const std::size_t dot = rest.find('.');
    if (dot == rest.npos) {
        if (!is_identifier(rest) || sql::effect_kind(rest)) return;
        keep(tables_, "public." + text);
        keep(functions_, text);
        return;
    }
    const std::string_view first = rest.substr(0, dot);
    rest.remove_prefix(dot + 1);
    const std::string_view second = rest.substr(0, rest.find('.'));
    if (!is_identifier(first) || !is_identifier(second)) return;
    keep(tables_, std::string{first} + "." + std::string{second});
    if (second.size() == rest.size()) keep(functions_, text);
    if (second.size() == rest.size()) return;
    const std::string_view column = rest.substr(second.size() + 1);
    if (is_identifier(column)) keep(columns_, text);
}

void Probes::add(const bundle::Bundle& bundle) {
    keep(tables_, "public.probe");
    keep(paths_, "/");
    keep(paths_, "/probe");
    for (const cel::Program& scope : bundle.engine().scopes())
        for (const std::string& text : cel::text_literals(scope)) name(text);
    for (const engine::CompiledRule& rule : bundle.engine().rules()) {
        if (rule.when)
            for (const std::string& text : cel::text_literals(*rule.when)) name(text);
        for (const bundle::Mask& mask : rule.source->mask)
            for (const std::string& pattern : mask.columns) name(pattern);
    }
    for (const bundle::PolicyTest& test : bundle.tests())
        for (const bundle::TestCase& one : test.cases) tests_.push_back(question_of(one, bundle));
}

void Probes::add_http(const bundle::Resource& resource, Question question,
                      std::vector<Question>& all) const {
    std::string host = resource.hosts.empty() ? "" : resource.hosts.front();
    if (host.starts_with("*.")) host.replace(0, 1, "probe");
    const auto pattern = bundle::HostPattern::parse(host);
    if (!pattern || pattern->kind != bundle::HostPattern::Kind::Exact) return;
    for (const std::string& path : paths_)
        for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
            question.http = HttpQuestion{.method = method, .url = "https://" + host + path};
            all.push_back(question);
        }
}

std::vector<Question> Probes::of(const bundle::Workload& workload,
                                 const bundle::Resource& resource) const {
    std::vector<Question> all;
    Question question{.workload = workload.metadata.name, .resource = resource.metadata.name};
    question.now = kTestTime;
    all.push_back(question);
    if (!resource.inspect) return all;
    if (resource.protocol == "http") add_http(resource, question, all);
    if (resource.protocol != "postgresql") return all;
    const auto add = [&](std::string statement) {
        question.statement = std::move(statement);
        all.push_back(question);
    };
    for (const std::string_view statement : kPlain) add(std::string{statement});
    for (const std::string& table : tables_)
        for (const std::string_view pattern : kOnTable) add(on(pattern, table));
    for (const std::string& column : columns_) {
        const std::string table = column.substr(0, column.rfind('.'));
        const std::string name = column.substr(table.size() + 1);
        add("SELECT " + name + " FROM " + table);
        add("SELECT id FROM " + table + " WHERE " + name + " = 'x'");
        add("INSERT INTO public.probe (id) SELECT " + name + " FROM " + table);
    }
    for (const std::string& function : functions_) add("SELECT " + function + "(1)");
    return all;
}

}  // namespace chaperone::policy::testing
