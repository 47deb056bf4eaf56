// SPDX-License-Identifier: Apache-2.0
// From a SQL text to Facts, by the database's own grammar. Analyzers are stateless and may be used
// from many threads at once; what they look at (Context) must live as long as the call.
#pragma once

#include "policy/sql/catalog.h"
#include "policy/sql/facts.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::policy::sql {

// Every limit fails closed: beyond it the text is unparsed, or the column unknown.
struct Limits {
    std::size_t text = 32 * 1024 * 1024;  // bytes
    std::size_t chain = 4'000;            // tokens that may nest in one another (LIBRARIES.md, F2)
    std::size_t depth = 600;              // of the expression and statement tree that we walk
    std::size_t outputs = 4'096;          // columns of one result; PostgreSQL's own limit is 1,664
    std::size_t sources = 20'000;  // stored columns named in one analysis, all lists together
};

// Where unqualified names are looked up: search_path with "$user" already replaced, pg_catalog and
// pg_temp only if it lists them. Not certain (the session may have changed it in ways we did not
// see): an unqualified name stands for every relation of that name, in any schema.
struct NameSpace {
    std::vector<std::string> search_path{"public"};
    bool certain = true;
    auto operator<=>(const NameSpace&) const = default;
};

// What earlier texts left behind in the session. SQL PREPARE and the named statements of the
// protocol share one name space, and so do cursors and portals. A name has several candidates when
// it cannot be known which PREPARE succeeded; all of them count.
struct SessionNames {
    using Candidates = std::vector<std::shared_ptr<const Facts>>;
    std::map<std::string, Candidates, std::less<>> prepared{};
    std::map<std::string, Candidates, std::less<>> portals{};
    // Bare names of relations that the session may have made or changed since the catalog was
    // read (temporary tables stand before all others): their lineage is unknown.
    std::set<std::string, std::less<>> changed{};
    bool all_changed = false;
    bool added =
        false;  // there may be more names than the catalog has; those it has are as it says
    // Tables among `changed` that are known all the same: the session has made them, that statement
    // has succeeded, and nothing since may have changed what the bare name stands for.
    struct Table {
        std::shared_ptr<const Relation> relation{};
        bool until_commit = false;
        bool committed = false;
    };
    std::map<std::string, Table, std::less<>> made{};
    // The schema in which each of `changed` was made or altered; empty: in several.
    std::map<std::string, std::string, std::less<>> changed_in{};
    // Code that no text shows has run, so that settings may hold what it has put there.
    bool settings_unsure = false;

    // Adds what a text that may have run leaves behind; it removes nothing, so that a text which
    // failed or was rolled back does no harm. Keep at most `limit` names of each kind: beyond it,
    // all_changed, and EXECUTE of a name that was not kept is Unknown.
    void note(const Facts& facts, std::size_t limit = 10'000);
    // A statement has succeeded that makes this, and nothing was sent after it that changes names.
    void keep(const MadeTable& table);
    // The transaction ends, one way or the other: takes out what was made in it, for again().
    std::map<std::string, Table, std::less<>> ending();
    void again(std::map<std::string, Table, std::less<>> tables);  // it was committed
    void committed();                                              // all that is there
    void seen(const Catalog& catalog);  // it is new: what it shows need not be known from here
};

struct Context {
    const Catalog* catalog = nullptr;  // null: names only, lineage of "*" is unknown
    NameSpace names{};
    const SessionNames* session = nullptr;    // null: every EXECUTE and FETCH is Unknown
    bool standard_conforming_strings = true;  // off: texts with backslashes are unparsed
    Limits limits{};
};

class Analyzer {
public:
    virtual ~Analyzer() = default;
    virtual std::string_view dialect() const noexcept = 0;  // "postgresql"
    // Never fails: what cannot be analysed comes back with parsed false. text holds one or more
    // statements in UTF-8. Call it on a stack of 1 MiB or more.
    virtual std::shared_ptr<const Facts> analyze(std::string_view text,
                                                 const Context& context) const = 0;
};

const Analyzer& postgresql() noexcept;

// postgresql().analyze().
std::shared_ptr<const Facts> analyze(std::string_view text, const Context& context);

// The last analyses by text, name space and catalog, so that a repeated text costs one look-up.
// Plain SELECT, INSERT, UPDATE and DELETE texts that differ only in numbers that are compared or
// assigned share their facts, whose Statement::length is then that of the first.
// Belongs to one thread. Texts that use or follow session state are not kept.
class AnalysisCache {
public:
    explicit AnalysisCache(std::size_t entries = 1'024, std::size_t bytes = 16 * 1024 * 1024);

    std::shared_ptr<const Facts> analyze(const Analyzer& analyzer, std::string_view text,
                                         const Context& context);
    std::size_t size() const noexcept { return order_.size(); }
    std::uint64_t hits() const noexcept { return hits_; }

private:
    struct Entry {
        std::string key;
        std::shared_ptr<const Facts> facts;
    };
    std::size_t max_entries_;
    std::size_t max_bytes_;
    std::size_t bytes_ = 0;
    std::uint64_t hits_ = 0;
    std::string key_;  // kept for its capacity
    std::list<Entry> order_;
    std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
};

// Runs work on a thread of its own with a stack of `bytes` and waits for it: for programs whose
// threads have small stacks. Returns false if the thread could not be made.
bool run_with_big_stack(const std::function<void()>& work, std::size_t bytes = 256 * 1024 * 1024);

}  // namespace chaperone::policy::sql
