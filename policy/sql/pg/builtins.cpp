// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/pg/builtins.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

#include "policy/sql/pg/builtin_names.inc"

using enum EffectKind;
constexpr std::string_view kLarge = "pg_catalog.pg_largeobject";

// Every volatile function of pg_catalog that does more than compute is here or, by default, a Call;
// so are the stable ones that run a text or show other people's values.
// clang-format off
constexpr Behaviour kBehaviours[] = {
    // Files of the server.
    {"pg_read_file", File, ObjectOf::First, {}, Runs::Nothing, true},
    {"pg_read_file_old", File, ObjectOf::First, {}, Runs::Nothing, true},
    {"pg_read_binary_file", File, ObjectOf::First, {}, Runs::Nothing, true},
    {"pg_stat_file", File, ObjectOf::First},
    {"pg_ls_dir", File, ObjectOf::First},
    {"pg_ls_logdir", File, ObjectOf::Name}, {"pg_ls_waldir", File, ObjectOf::Name},
    {"pg_ls_tmpdir", File, ObjectOf::Name}, {"pg_ls_archive_statusdir", File, ObjectOf::Name},
    {"pg_ls_logicalmapdir", File, ObjectOf::Name}, {"pg_ls_logicalsnapdir", File, ObjectOf::Name},
    {"pg_ls_replslotdir", File, ObjectOf::First}, {"pg_hba_file_rules", File, ObjectOf::Name},
    {"pg_ident_file_mappings", File, ObjectOf::Name},
    {"pg_show_all_file_settings", File, ObjectOf::Name},
    {"pg_current_logfile", File, ObjectOf::Name}, {"pg_rotate_logfile", File, ObjectOf::Name},
    {"lo_import", File, ObjectOf::First}, {"lo_export", File, ObjectOf::Second},
    // Large objects.
    {"lo_creat", Create, ObjectOf::Fixed, kLarge}, {"lo_create", Create, ObjectOf::Fixed, kLarge},
    {"lo_from_bytea", Create, ObjectOf::Fixed, kLarge}, {"lo_put", Update, ObjectOf::Fixed, kLarge},
    {"lowrite", Update, ObjectOf::Fixed, kLarge}, {"lo_truncate", Update, ObjectOf::Fixed, kLarge},
    {"lo_truncate64", Update, ObjectOf::Fixed, kLarge},
    {"lo_unlink", Delete, ObjectOf::Fixed, kLarge},
    {"lo_get", Read, ObjectOf::Fixed, kLarge, Runs::Nothing, true},
    {"loread", Read, ObjectOf::Fixed, kLarge, Runs::Nothing, true},
    {"lo_open", Read, ObjectOf::Fixed, kLarge},
    // Sequences, settings, messages, locks.
    {"nextval", Update, ObjectOf::Relation}, {"setval", Update, ObjectOf::Relation},
    {"currval", Read, ObjectOf::Relation}, {"lastval", Read, ObjectOf::Name},
    {"set_config", Session, ObjectOf::First}, {"pg_notify", Notify, ObjectOf::First},
    {"pg_advisory_lock", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_advisory_lock_shared", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_advisory_unlock", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_advisory_unlock_all", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_advisory_unlock_shared", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_advisory_xact_lock", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_advisory_xact_lock_shared", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_try_advisory_lock", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_try_advisory_lock_shared", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_try_advisory_xact_lock", Lock, ObjectOf::Fixed, "advisory"},
    {"pg_try_advisory_xact_lock_shared", Lock, ObjectOf::Fixed, "advisory"},
    // They run a text, or read a relation, that an argument names.
    {"query_to_xml", Call, ObjectOf::Name, {}, Runs::Query, true},
    {"query_to_xmlschema", Call, ObjectOf::Name, {}, Runs::Query, true},
    {"query_to_xml_and_xmlschema", Call, ObjectOf::Name, {}, Runs::Query, true},
    {"ts_stat", Call, ObjectOf::Name, {}, Runs::Query, true},
    {"ts_rewrite", Call, ObjectOf::Name, {}, Runs::Query, true},
    {"table_to_xml", Call, ObjectOf::Name, {}, Runs::Table, true},
    {"table_to_xmlschema", Call, ObjectOf::Name, {}, Runs::Table, true},
    {"table_to_xml_and_xmlschema", Call, ObjectOf::Name, {}, Runs::Table, true},
    {"schema_to_xml", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"schema_to_xmlschema", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"schema_to_xml_and_xmlschema", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"database_to_xml", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"database_to_xmlschema", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"database_to_xml_and_xmlschema", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"cursor_to_xml", Call, ObjectOf::Name, {}, Runs::Other, true},
    {"cursor_to_xmlschema", Call, ObjectOf::Name, {}, Runs::Other, true},
    // Decoded changes, statistics and other sessions' texts.
    {"pg_logical_slot_get_changes", Call, ObjectOf::Name, {}, Runs::Nothing, true},
    {"pg_logical_slot_peek_changes", Call, ObjectOf::Name, {}, Runs::Nothing, true},
    {"pg_logical_slot_get_binary_changes", Call, ObjectOf::Name, {}, Runs::Nothing, true},
    {"pg_logical_slot_peek_binary_changes", Call, ObjectOf::Name, {}, Runs::Nothing, true},
    {"pg_stat_get_activity", Read, ObjectOf::Fixed, "pg_catalog.pg_stat_activity", Runs::Nothing, true},
    {"pg_stat_get_backend_activity", Read, ObjectOf::Fixed, "pg_catalog.pg_stat_activity", Runs::Nothing, true},
    {"pg_mcv_list_items", Read, ObjectOf::Fixed, "pg_catalog.pg_statistic_ext_data", Runs::Nothing, true},
};

// Volatile, yet they only tell something.
constexpr std::string_view kHarmless[] = {
    "clock_timestamp", "current_query", "gen_random_uuid", "pg_blocking_pids",
    "pg_collation_actual_version", "pg_control_checkpoint", "pg_control_init",
    "pg_control_recovery", "pg_control_system", "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn", "pg_current_wal_lsn", "pg_database_collation_actual_version",
    "pg_database_size", "pg_get_backend_memory_contexts", "pg_get_shmem_allocations",
    "pg_get_wal_replay_pause_state", "pg_get_wal_resource_managers", "pg_indexes_size",
    "pg_is_in_recovery", "pg_is_wal_replay_paused", "pg_jit_available", "pg_last_committed_xact",
    "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp",
    "pg_lock_status", "pg_notification_queue_usage", "pg_partition_ancestors", "pg_partition_tree",
    "pg_prepared_xact", "pg_relation_size", "pg_replication_origin_progress",
    "pg_replication_origin_session_is_setup", "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value", "pg_show_replication_origin_status",
    "pg_stat_get_recovery_prefetch", "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit", "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_function_self_time", "pg_stat_get_xact_function_total_time",
    "pg_stat_get_xact_numscans", "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched", "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_inserted", "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated", "pg_stat_have_stats", "pg_table_size", "pg_tablespace_size",
    "pg_total_relation_size", "pg_xact_commit_timestamp", "pg_xact_commit_timestamp_origin",
    "pg_xact_status", "random", "setseed", "timeofday", "txid_status",
};

// Relations of pg_catalog or of a well known extension, and their telling columns.
constexpr std::pair<std::string_view, std::string_view> kLeaks[] = {
    {"pg_stats", "most_common_vals"}, {"pg_stats", "histogram_bounds"},
    {"pg_stats", "most_common_elems"}, {"pg_statistic", "stavalues1"},
    {"pg_statistic", "stavalues2"}, {"pg_statistic", "stavalues3"},
    {"pg_statistic", "stavalues4"}, {"pg_statistic", "stavalues5"},
    {"pg_stats_ext", "most_common_vals"}, {"pg_stats_ext_exprs", "most_common_vals"},
    {"pg_stats_ext_exprs", "histogram_bounds"}, {"pg_stats_ext_exprs", "most_common_elems"},
    {"pg_statistic_ext_data", "stxdmcv"}, {"pg_statistic_ext_data", "stxdexpr"},
    {"pg_stat_activity", "query"}, {"pg_largeobject", "data"},
    {"pg_attribute", "attmissingval"}, {"pg_stat_statements", "query"},
};
// clang-format on

constexpr auto kByName = [] {
    auto copy = std::to_array(kBehaviours);
    std::ranges::sort(copy, {}, &Behaviour::name);
    return copy;
}();

constexpr Behaviour kPlainCall{};

template <class Range>
bool has(const Range& names, std::string_view name) noexcept {
    return std::ranges::binary_search(names, name);
}

}  // namespace

bool is_builtin_function(std::string_view name) noexcept {
    return has(kFunctions, name);
}

bool is_builtin_relation(std::string_view name) noexcept {
    return has(kRelations, name);
}

bool is_builtin_operator(std::string_view name) noexcept {
    return has(kOperators, name) || name == "<>" || name == "!=";
}

std::string_view row_columns(std::string_view function) noexcept {
    const auto found = std::ranges::lower_bound(
        kRowFunctions, function, {}, &std::pair<std::string_view, std::string_view>::first);
    if (found == std::end(kRowFunctions) || found->first != function) return {};
    return found->second;
}

bool gives_open_rows(std::string_view function) noexcept {
    return has(kOpenFunctions, function);
}

const Behaviour* behaviour(std::string_view function) noexcept {
    const auto found = std::ranges::lower_bound(kByName, function, {}, &Behaviour::name);
    if (found != kByName.end() && found->name == function) return &*found;
    if (has(kVolatile, function) && !has(kHarmless, function)) return &kPlainCall;
    return nullptr;
}

bool leaks(std::string_view schema, std::string_view relation, std::string_view column) noexcept {
    if (schema != "pg_catalog" && relation != "pg_stat_statements") return false;
    return std::ranges::any_of(kLeaks, [&](const auto& leak) {
        return leak.first == relation && (column == "*" || leak.second == column);
    });
}

}  // namespace chaperone::policy::sql::pg
