// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/diagnostics.h"

#include "userspace/wire/pg/encoder.h"

#include <algorithm>
#include <array>
#include <span>

namespace chaperone::session {
namespace {

constexpr std::string_view kRedacted = "[REDACTED]";

bool effect_touches(const policy::sql::Effect& effect, const MaskContext& context) {
    using policy::sql::EffectKind;
    if (effect.kind == EffectKind::Unknown || effect.kind == EffectKind::Call) return true;
    const auto dot = effect.object.find('.');
    if (dot == std::string::npos) return false;
    const policy::sql::OutputColumn output{
        .sources = {{effect.object.substr(0, dot), effect.object.substr(dot + 1), "*"}}};
    // By relation: a constraint's message may quote columns that the statement does not name.
    return mask_of(&output, context).has_value();
}

// "…" becomes "[REDACTED]": in data exceptions what stands between quotes is the value.
std::string without_quoted(std::string_view text) {
    std::string out;
    std::size_t at = 0;
    for (;;) {
        const auto open = text.find('"', at);
        out += text.substr(at, open == std::string_view::npos ? open : open - at);
        if (open == std::string_view::npos) return out;
        out += '"';
        out += kRedacted;
        out += '"';
        // Values are not escaped, so only the last quote is sure to end one.
        const auto close = text.rfind('"');
        if (close == open) return out;
        at = close + 1;
    }
}

// "Key (a, b)=(1, 2) already exists.", "Failing row contains (1, 2)."
std::string without_values(std::string_view text) {
    constexpr std::string_view kKey = ")=(";
    auto begin = text.find(kKey);
    if (text.starts_with("Key (") && begin != std::string_view::npos) {
        begin += kKey.size();
    } else {
        constexpr std::string_view kRow = "row contains (";
        begin = text.find(kRow);
        if (begin == std::string_view::npos) return std::string{kRedacted};
        begin += kRow.size();
    }
    const auto end = text.rfind(')');
    if (end == std::string_view::npos || end < begin) return std::string{kRedacted};
    return std::string{text.substr(0, begin)} + std::string{kRedacted} +
           std::string{text.substr(end)};
}

using Files = std::span<const std::string_view>;

bool is_in(Files files, std::string_view file) {
    return std::ranges::binary_search(files, file);
}

// Files of the server whose messages hold names of objects and its own words, never a value: of
// transactions, locks, privileges, prepared statements and the schema. Field F names the file, and
// neither RAISE nor a remote server's error can set it.
constexpr auto kNamesOnly = std::to_array<std::string_view>(
    {"aclchk.c",    "deadlock.c",    "dependency.c",    "dropcmds.c",  "extension.c",
     "heap.c",      "index.c",       "indexcmds.c",     "lock.c",      "lockcmds.c",
     "matview.c",   "nodeSubplan.c", "parse_utilcmd.c", "plancache.c", "portalcmds.c",
     "portalmem.c", "postgres.c",    "predicate.c",     "prepare.c",   "proc.c",
     "procarray.c", "schemacmds.c",  "sequence.c",      "snapmgr.c",   "tablecmds.c",
     "trigger.c",   "typecmds.c",    "utility.c",       "view.c",      "xact.c"});
// … whose messages name constraints, and quote keys and rows in DETAIL.
constexpr auto kConstraints = std::to_array<std::string_view>(
    {"execExprInterp.c", "execIndexing.c", "execMain.c", "execPartition.c", "nbtinsert.c",
     "ri_triggers.c", "tuplesort.c", "tuplesortvariants.c"});
// … that read and compute values, and quote them.
constexpr auto kValues = std::to_array<std::string_view>({"acl.c",           "array_userfuncs.c",
                                                          "arrayfuncs.c",    "arraysubs.c",
                                                          "arrayutils.c",    "bool.c",
                                                          "cash.c",          "char.c",
                                                          "date.c",          "datetime.c",
                                                          "domains.c",       "encode.c",
                                                          "enum.c",          "execExprInterp.c",
                                                          "float.c",         "formatting.c",
                                                          "genfile.c",       "geo_ops.c",
                                                          "guc.c",           "inet_net_pton.c",
                                                          "int.c",           "int8.c",
                                                          "json.c",          "jsonb.c",
                                                          "jsonb_util.c",    "jsonfuncs.c",
                                                          "jsonpath.c",      "jsonpath_exec.c",
                                                          "jsonpath_gram.y", "jsonpath_scan.l",
                                                          "jsonsubs.c",      "mac.c",
                                                          "mac8.c",          "mbutils.c",
                                                          "misc.c",          "multirangetypes.c",
                                                          "name.c",          "namespace.c",
                                                          "network.c",       "numeric.c",
                                                          "numutils.c",      "oid.c",
                                                          "oracle_compat.c", "pg_lsn.c",
                                                          "rangetypes.c",    "regexp.c",
                                                          "regproc.c",       "rowtypes.c",
                                                          "ruleutils.c",     "tid.c",
                                                          "timestamp.c",     "to_tsany.c",
                                                          "trigfuncs.c",     "tsquery.c",
                                                          "tsvector.c",      "tsvector_parser.c",
                                                          "uuid.c",          "varbit.c",
                                                          "varchar.c",       "varlena.c",
                                                          "wparser.c",       "xid.c",
                                                          "xid8funcs.c",     "xml.c"});
static_assert(std::ranges::is_sorted(kNamesOnly) && std::ranges::is_sorted(kConstraints) &&
              std::ranges::is_sorted(kValues));

// Not the server's own words: raised by code of a procedural language, by an extension that passes
// on what another server said, or by something that is not PostgreSQL.
bool is_foreign(std::string_view file) {
    if (file.size() < 3 || file == "dblink.c" || file == "connection.c") return true;
    const std::string_view suffix = file.substr(file.size() - 2);
    if (suffix != ".c" && suffix != ".y" && suffix != ".l") return true;
    return file.starts_with("pl") && !file.starts_with("plan");
}

// What of a message of the server stays where it may quote masked values.
enum class Keep { Everything, Constraint, Words, Nothing };

Keep what_to_keep(const wire::pg::Diagnostic& diagnostic) {
    const std::string_view file = diagnostic.field('F');
    const std::string_view code = diagnostic.field('C');
    if (is_foreign(file)) return Keep::Nothing;
    // A position in the statement: the parser said it of the text, before any row was read. Inside
    // functions it becomes an internal position.
    if (!diagnostic.field('P').empty()) return Keep::Everything;
    if (is_in(kNamesOnly, file)) return Keep::Everything;
    const bool integrity = code.starts_with("23") || code.starts_with("44") || code == "42501";
    if (integrity && is_in(kConstraints, file)) return Keep::Constraint;
    return is_in(kValues, file) ? Keep::Words : Keep::Nothing;
}

// The server's words, without what is between quotes, holds a digit, or stands behind a colon.
std::string words_of(std::string_view text) {
    std::string quoted = without_quoted(text);
    const auto colon = quoted.find(": ");
    const std::string tail = colon == std::string::npos ? "" : quoted.substr(colon + 2);
    if (!tail.empty() && tail != "\"" + std::string{kRedacted} + "\"")
        quoted = quoted.substr(0, colon + 2) + std::string{kRedacted};
    std::string out;
    std::size_t at = 0;
    while (at < quoted.size()) {
        const std::size_t end = std::min(quoted.find(' ', at), quoted.size());
        const std::string_view word = std::string_view{quoted}.substr(at, end - at);
        const bool number = word.find_first_of("0123456789") != std::string_view::npos;
        out += number ? kRedacted : word;
        if (end < quoted.size()) out += ' ';
        at = end + 1;
    }
    return out;
}

std::string redacted(char letter, std::string_view text, Keep keep) {
    const bool context = letter == 'W' || letter == 'q';  // may quote texts made of values
    if (keep == Keep::Everything && !context) return std::string{text};
    if (keep == Keep::Constraint && letter == 'M') return std::string{text};
    if (keep == Keep::Constraint && letter == 'D') return without_values(text);
    if (keep == Keep::Words && letter == 'M') return words_of(text);
    return std::string{kRedacted};
}

// Names of objects that a message is about. RAISE sets them to anything.
bool is_name(char letter) {
    return std::string_view{"stcdn"}.find(letter) != std::string_view::npos;
}

}  // namespace

bool touches_masked(const policy::sql::Facts* facts, const MaskContext& context) {
    if (context.masks->columns.empty()) return false;
    if (facts == nullptr || !facts->parsed || !facts->functions.empty()) return true;
    return std::ranges::any_of(facts->effects, [&](const policy::sql::Effect& effect) {
        return effect_touches(effect, context);
    });
}

void mask_diagnostic(char tag, const wire::pg::Diagnostic& diagnostic, bool sensitive,
                     const MaskContext& context, Buffer& out) {
    const TextScan scan{context};
    // Code that a statement does not name runs, too: of triggers, rules, operators and domains.
    if (!context.masks->columns.empty() &&
        (is_foreign(diagnostic.field('F')) || !diagnostic.field('W').empty()))
        sensitive = true;
    const Keep keep = sensitive ? what_to_keep(diagnostic) : Keep::Everything;
    std::vector<std::string> texts;
    texts.reserve(diagnostic.fields.size());
    std::vector<std::pair<char, std::string_view>> fields;
    for (const auto& [letter, text] : diagnostic.fields) {
        if (keep == Keep::Nothing && is_name(letter)) continue;
        const bool prose = std::string_view{"MDHWq"}.find(letter) != std::string_view::npos;
        std::string now{text};
        if (prose && sensitive) now = redacted(letter, text, keep);
        if (prose)
            if (auto found = scan.replace(now, detect::Masker::kUnlimited)) now = *std::move(found);
        fields.emplace_back(letter, texts.emplace_back(std::move(now)));
    }
    wire::pg::encode_diagnostic(out, tag, fields);
}

}  // namespace chaperone::session
