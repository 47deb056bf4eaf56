// SPDX-License-Identifier: Apache-2.0
// One analysis of one text: scopes, lineage and effects. Made, used and thrown away by a single
// call; the tree it walks must outlive it. Its member functions are spread over the .cpp files of
// this folder by subject: names, query, from, expression, function, dml, copy, session, schema,
// procedure.
#pragma once

#include "policy/sql/analyzer.h"
#include "policy/sql/pg/builtins.h"
#include "policy/sql/pg/tree.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::sql::pg {

struct Range;

using SourceId = std::uint32_t;  // of Analysis::refs_

// Where a value comes from.
struct Lineage {
    std::vector<SourceId> sources{};  // sorted
    bool unknown = false;
    bool direct = false;
    bool own = false;  // with direct: of a table that the session has made
    const Range* row = nullptr;  // it is a whole row of this

    void add(const Lineage& other);
    bool empty() const noexcept { return sources.empty() && !unknown; }
};

// A relation that a name may stand for.
struct Target {
    std::string schema{};
    std::string name{};
    const Relation* relation = nullptr;  // null: not in the catalog
    bool doubt = false;                  // the catalog may not show it as it is: lineage is unknown
    std::string also{};                  // a schema in which the name stood while it was in doubt
    std::string object() const { return schema + "." + name; }
};

struct RangeColumn {
    std::string name{};
    Lineage lineage{};
};

// An entry of FROM, or what a CTE gives. A base range looks its columns up in its targets.
struct Range {
    std::string alias{};
    std::string schema{};           // of a base range without alias: s.t.column
    std::vector<Target> targets{};  // base range; else columns
    std::vector<std::string> column_aliases{};
    std::vector<RangeColumn> columns{};
    bool open = false;  // it may have columns that we do not know
    Lineage rest{};     // … which derive from this

    bool is_base() const noexcept { return !targets.empty(); }
};

// What a SELECT, VALUES or RETURNING gives.
struct Result {
    std::vector<RangeColumn> columns{};
    bool known = true;  // false: columns may be missing or out of place
};

struct Part {  // columns of a FROM item that are visible without a qualifier
    const Range* range = nullptr;
    std::vector<std::string> hidden{};  // merged by USING
};

struct Item {
    std::vector<const Range*> named{};
    std::vector<Part> parts{};
    bool natural_open = false;  // NATURAL over columns that we do not know
};

struct Cte {
    std::string name{};
    const Object* node = nullptr;
    struct Scope* scope = nullptr;  // where it was written
    const Range* range = nullptr;   // null: not analysed yet
    bool recursive = false;
    bool in_progress = false;
};

struct Scope {
    Scope* parent = nullptr;
    std::vector<Item> items{};
    std::deque<Cte> ctes{};
    bool items_hidden = false;  // inside a sub-query of FROM that is not LATERAL
};

// What is found, before it becomes Facts.
struct Collector {
    std::map<std::pair<EffectKind, std::string>, std::set<std::string>> effects{};
    std::set<std::string> functions{};
    std::set<std::string> through{};
    std::set<ColumnRef> filters{};
    std::set<Flow> flows{};
    bool uses_session = false;
    bool changes_schema = false;
    bool changes_names = false;
    bool stale = false;

    void add(const Collector& other);
    void add(const Facts& facts);
};

using ViewLookup = std::function<const Catalog::ViewLineage*(const Relation&)>;

class Analysis {
public:
    Analysis(std::string_view text, const Context& context, ViewLookup views);

    // Every statement of the tree; throws TooComplex (caught by the analyzer) beyond a limit.
    std::shared_ptr<Facts> run(const Value& tree);
    struct TooComplex {};

    // For views: the lineage of the first statement.
    Catalog::ViewLineage view_lineage(const Value& tree, const Relation& view);

private:
    class Deeper;

    // names.cpp
    std::vector<Target> resolve(const Object& range_var);
    std::vector<Target> resolve(std::string_view schema, std::string_view name);
    std::vector<Target> resolve_text(std::string_view text);  // as regclass reads it
    std::string object_of(const Array& name);                 // a list of String
    std::string object_of_range(const Object& range_var);
    bool changed(std::string_view name);
    bool named_changed(std::string_view name, bool or_all = false);
    bool elsewhere(const MadeTable& table) const;
    const Relation* made(std::string_view name) const;  // null: not one that is known for certain
    std::vector<Target> resolve_known(std::string_view name, const Relation* own);
    bool setting_is_free(std::string_view name);  // it may hold any text, of whatever origin
    SourceId intern(std::string_view schema, std::string_view relation, std::string_view column);
    Lineage column_of(const Target& target, std::string_view column);
    std::optional<Lineage> lookup(const Range& range, std::string_view column, bool& definite);
    Lineage whole(const Range& range);
    std::vector<RangeColumn> expand(const Range& range, bool& known);
    void mark(const Target& target, std::string_view column, EffectKind kind = EffectKind::Read);
    void effect(EffectKind kind, std::string object = {}, std::string_view column = {});
    void effect(EffectKind kind, const std::vector<Target>& targets, std::string_view column = {});
    void unknown(std::string object = {}) { effect(EffectKind::Unknown, std::move(object)); }
    void filter(const Lineage& lineage);
    void flow(const Lineage& lineage, const std::string& target, std::string_view column);
    std::vector<ColumnRef> refs(const Lineage& lineage) const;
    std::string_view keep(std::string text);

    // query.cpp
    Result query(Node node, Scope* parent);  // SELECT, VALUES, or DML with RETURNING
    Result select(const Object& select, Scope* parent);
    Result select_in(const Object& select, Scope& scope);
    Result values(const Object& select, Scope& scope);
    Result set_operation(const Object& select, Scope& scope);
    void sort_keys(const Array& keys, const Result& result, Scope& scope);
    void locking(const Object& select, Scope& scope);
    void group_keys(const Array& keys, const Result& result, Scope& scope);
    Result targets(const Array& list, Scope& scope);
    void star(const Array& fields, Scope& scope, Result& result);
    void fields_of(const Object& indirection, Scope& scope, Result& result);
    void with(const Object& statement, Scope& scope);
    const Range* cte_range(Cte& cte);
    Result recursive(Cte& cte, Node body, Range& range);
    Cte* find_cte(std::string_view name, Scope* scope);
    static void merge(Result& into, const Result& other);
    static Result renamed(Result result, const std::vector<std::string_view>& names);
    static void fill(Range& range, Result result);
    void search_and_cycle(const Object& cte, Range& range);

    // from.cpp
    Item from(const Value& value, Scope& scope);
    Item from_relation(const Object& range_var, Scope& scope);
    Item from_query(const Object& subselect, Scope& scope);
    Item from_function(const Object& function, Scope& scope);
    Item from_table_function(const Object& function, Scope& scope);
    Item from_join(const Object& join, Scope& scope);
    Range& function_columns(Range& range, const Object& call, Scope& scope, const Lineage& value);
    Range& new_range(const Object* alias, std::string_view default_name);
    Range& base_range(std::vector<Target> targets, const Object* alias, std::string_view name);
    static Item item_of(const Range& range);

    // expression.cpp
    Lineage expression(const Value& value, Scope& scope);
    Lineage expression(Node node, Scope& scope);
    Lineage field(const Object& in, std::string_view name, Scope& scope);
    Lineage all(const Array& values, Scope& scope);
    Lineage other_expression(Node node, Scope& scope);
    void filtered(const Object& in, std::string_view name, Scope& scope);
    void filtered(const Array& values, Scope& scope);
    Lineage column_ref(const Array& fields, Scope& scope);
    Lineage unqualified(std::string_view name, Scope& scope);
    Lineage qualified(const Range& range, std::string_view name);
    const Range* find_range(std::string_view schema, std::string_view name, Scope& scope);
    Lineage sublink(const Object& link, Scope& scope);
    Lineage indirection(const Object& in, Scope& scope);
    Lineage cast(const Object& cast, Scope& scope);
    bool cast_is_foreign(std::string_view type);
    Lineage operation(const Object& expr, Scope& scope);
    Lineage multi_assign(const Object& ref, Scope& scope);
    Lineage window(const Object& call, Scope& scope);
    void operator_name(const Array& name, Lineage& result);
    Lineage anything(const Value& value, Scope& scope);  // every expression somewhere below

    // function.cpp
    Lineage call(const Object& call, Scope& scope);
    std::string_view resolve_function(const Array& name, bool& builtin, Lineage& result);
    void apply(const Behaviour& behaviour, std::string_view name, const Array& args,
               Lineage& result);
    void run_text(std::string_view text);
    void changes_setting(const Array& args, const Lineage& value);

    // dml.cpp
    Result insert(const Object& statement, Scope* parent);
    Result update(const Object& statement, Scope* parent);
    Result remove(const Object& statement, Scope* parent);
    Result merge_into(const Object& statement, Scope* parent);
    void on_conflict(const Object& clause, const std::vector<Target>& targets, Scope& scope,
                     const Range& target, Range& excluded);
    void assign(const Array& list, const std::vector<Target>& targets, Scope& scope);
    void store(const Result& result, const std::vector<Target>& targets,
               const std::vector<std::string_view>& columns);
    void into(const Object& clause, const Result& result, bool with_data);
    Range& target_range(const Object& relation, std::vector<Target>& targets);
    static std::vector<std::string_view> column_names(const std::vector<Target>& targets);

    // statement.cpp
    void statement(Node node, Statement& out);
    bool data_statement(Node node, Statement& out);
    bool session_statement(Node node, Statement& out);
    bool channel_statement(Node node, Statement& out);
    void give(const Result& result, Statement& out);
    void explain(const Object& statement, Statement& out);
    void prepare(const Object& statement, Statement& out);
    void execute(const Object& statement, Statement& out);
    void declare_cursor(const Object& statement, Statement& out);
    void fetch(const Object& statement, Statement& out);
    void candidates(const SessionNames::Candidates& found, bool rows, Statement& out);
    void set_parameter(const Object& statement, Statement& out);
    void transaction(const Object& statement, Statement& out);
    void copy(const Object& statement, Statement& out);
    void copy_options(const Array& options, CopyFormat& format);
    std::shared_ptr<Facts> body_facts(Node body, const Statement& shape);
    SessionNames::Candidates named(bool portal, std::string_view name);
    void after(const Statement& done, const Collector& found);

    // schema.cpp
    bool schema_statement(Node node, Statement& out);
    static bool outside_catalogs(std::string_view command);
    void relatives_changed(const Object& alter_table);
    bool create_statement(Node node, Statement& out);
    bool drop_statement(Node node, Statement& out);
    bool alter_statement(Node node, Statement& out);
    bool grant_statement(Node node, Statement& out);
    bool maintain_statement(Node node, Statement& out);
    void object_effect(EffectKind kind, std::string_view type, const Value* object);
    void effect_on(EffectKind kind, const Array& name);
    void effect_on(EffectKind kind, const Object& range_var);
    void expressions_below(const Object& fields);

    // alter.cpp
    void alter_flows(const Object& alter_table);
    void rename_flows(const Object& statement, std::string_view type);
    void create_flows(const Object& create_table);
    void makes_table(const Object& create_table, Statement& out);
    std::string object_to_make(const Object& range_var);
    void generated(const Object& column_def, const std::vector<Target>& targets,
                   const std::vector<std::string_view>& columns);
    void flow_within(const Value& expression, const std::vector<Target>& targets,
                     std::string_view column, const std::vector<std::string_view>& columns);
    void moved(const std::vector<Target>& targets, const std::string& to);

    // procedure.cpp
    void procedure(const Object& statement, Statement& out);
    void procedure_node(const Value& value);
    void procedure_query(std::string_view query, bool expression);

    std::shared_ptr<Facts> finish(Collector&& collector);

    std::string_view text_;
    const Context& context_;
    ViewLookup views_;
    NameSpace names_;  // as the text's own SET search_path leave it
    std::vector<std::shared_ptr<const Relation>> relations_{};  // those that targets point to
    bool ended_ = false;     // a transaction ended earlier in the text
    bool unsure_ = false;    // code that no text shows ran earlier in the text
    bool creating_ = false;  // a name stands for what is to be, not for what is
    SessionNames local_;     // PREPARE, DECLARE and DDL earlier in the text
    Collector* found_ = nullptr;
    bool filtering_ = false;  // columns seen now only decide
    bool skip_star_ = false;  // EXISTS (SELECT * …) reads no column
    std::size_t depth_ = 0;
    std::size_t budget_ = 0;  // nodes that may still be walked
    int embedded_ = 0;        // texts within texts
    std::vector<ColumnRef> refs_;
    std::map<ColumnRef, SourceId> ref_ids_;
    std::deque<Range> ranges_;
    std::deque<std::string> kept_;
    std::vector<SessionChange> settings_;      // made by functions of the current statement
    std::deque<std::shared_ptr<void>> trees_;  // of embedded texts
};

// Runs the parser on a text that guard.h let through.
struct Parsed {
    std::shared_ptr<void> memory{};  // owns tree
    const Value* tree = nullptr;
    std::string error{};
};
Parsed parse(std::string_view text);
Parsed parse_procedure(std::string_view statement);

// Counts the depth of the walk, and what is left of the budget.
class Analysis::Deeper {
public:
    explicit Deeper(Analysis& analysis) : analysis_(analysis) {
        if (++analysis_.depth_ > analysis_.context_.limits.depth || analysis_.budget_-- == 0) {
            ++analysis_.budget_;
            --analysis_.depth_;
            throw TooComplex{};
        }
    }
    ~Deeper() { --analysis_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

private:
    Analysis& analysis_;
};

}  // namespace chaperone::policy::sql::pg
