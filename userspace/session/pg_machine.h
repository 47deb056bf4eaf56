// SPDX-License-Identifier: Apache-2.0
// The state of a PostgreSQL session. Its parts, a file each: pg_machine.cpp (events, ends),
// pg_startup.cpp (until the agent may ask), pg_relay_login.cpp (the agent's own login),
// pg_client.cpp, pg_extended.cpp and pg_function_call.cpp (what the agent sends), pg_server.cpp
// (what the server answers), pg_rows.cpp (masking of answers), pg_analysis.cpp (what a text does,
// and what it leaves behind).
#pragma once

#include "userspace/session/masking/copy_masker.h"
#include "userspace/session/masking/diagnostics.h"
#include "userspace/session/masking/row_masker.h"
#include "userspace/session/pg_reply.h"
#include "userspace/session/pg_session.h"
#include "userspace/session/pg_upstream_login.h"
#include "userspace/wire/pg/decoder.h"

#include <optional>
#include <utility>

namespace chaperone::session {

class PgMachine final : public Machine {
public:
    explicit PgMachine(PgSessionConfig config);

    std::size_t on_received(Side from, Bytes data, Actions& out) override;
    void on_closed(Side by, Actions& out) override;
    void on_connected(Result<> connected, Actions& out) override;
    void on_tls_started(Side side, Result<TlsInfo> started, Actions& out) override;
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>> catalog,
                    Actions& out) override;
    void on_held(Tag tag, std::string_view approval, Time expires, Actions& out) override;
    void on_decided(const Answer& answer, Actions& out) override;
    void on_cancel(Actions& out) override;
    void on_terminate(std::string_view reason, Actions& out) override;
    void on_tick(Time now, Actions& out) override;
    bool wants(Side from) const override;

private:
    enum class Phase {
        Startup,    // untagged packets of the client
        ClientTls,  // a handshake with the client
        ConnectAsked,
        Connecting,   // the server is dialled
        Login,        // we log in
        RelayLogin,   // the client logs in through us
        Learning,     // our own query tells the name space
        Cataloguing,  // the first catalog is fetched
        Ready,
        Ended,
    };
    // What became of the frame at the front of the client's bytes.
    enum class Step { Taken, Wait };
    struct Question {
        bool open = false;
        bool answered = false;
        Answer answer{};
        std::shared_ptr<const policy::sql::Facts> facts{};
        std::uint64_t epoch = 0;  // when facts were made
    };
    // A message that nothing lets through, while it is being dropped. The texts are literals.
    struct Dropped {
        char tag = 0;
        bool unnamed = false;
        std::string_view sqlstate{};
        std::string_view why{};
    };
    // A range of the data at hand that goes to the other side as it is.
    struct Run {
        Side to{};
        Bytes data{};
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    using Facts = std::shared_ptr<const policy::sql::Facts>;

    // --- pg_machine.cpp
    void fatal(Actions& out, std::string_view sqlstate, std::string_view message,
               std::string_view hint = {});
    void finish(Actions& out, std::string_view reason);
    void flush(Actions& out);
    void pass(std::size_t size) { run_.end += size; }
    void skip(Actions& out, std::size_t size);
    void send_client(Actions& out, Bytes message);
    void report(Account& account, bool ok, std::string_view sqlstate, std::string_view tag,
                Actions& out);
    void withdraw(Actions& out);
    void report_portals(bool ok, Actions& out);

    // --- pg_startup.cpp
    std::size_t on_startup(Bytes data, Actions& out);
    void on_startup_message(const wire::pg::StartupMessage& message, Actions& out);
    bool check_settings(const wire::pg::StartupMessage& message, Actions& out);
    void on_connect_decided(const Answer& answer, Actions& out);
    std::size_t on_login_bytes(Bytes data, Actions& out);
    void on_login_step(UpstreamLogin::Step step, const Buffer& send, Actions& out);
    void begin_learning(Actions& out);
    std::size_t on_learning(Bytes data, Actions& out);
    bool on_learnt(const wire::pg::Row& row);
    void on_setting(std::string_view name, std::string_view value);
    void settle_search_path();
    void become_ready(Actions& out);

    // --- pg_relay_login.cpp
    std::size_t relay_from_server(Bytes data, Actions& out);
    std::size_t relay_from_client(Bytes data, Actions& out);
    void relay_mechanisms(Bytes data, Actions& out);

    // --- pg_client.cpp
    std::size_t on_client(Bytes data, Actions& out);
    Step on_client_message(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_query(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_unanswerable(wire::pg::Header header, Bytes rest, std::string_view sqlstate,
                         std::string_view why, Actions& out);
    Step on_copy_message(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_terminate_message(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_sync(wire::pg::Header header, Bytes rest, Actions& out);
    Step pass_whole(wire::pg::Header header, Bytes rest);
    Step ask(policy::Stage stage, std::string_view text, Facts facts,
             std::vector<policy::Parameter> parameters, Actions& out,
             std::string_view refused = {});
    bool outdated() const {
        return question_.answered && question_.answer.verdict == Verdict::Allowed &&
               question_.epoch != epoch_;
    }
    void ask_again(Facts facts, Actions& out);
    Question take_question() { return std::exchange(question_, Question{}); }
    void refuse_dropped(Actions& out);
    void allowed(const Question& question);
    bool ready_to_analyse();
    bool fresh_enough(const Facts& facts, Actions& out);
    bool whole(wire::pg::Header header, Bytes rest) const { return rest.size() >= header.size; }
    Owed& owe(Owed::Kind kind);
    void end_window();
    // Sends what stands for a refused message and owes the error that it will give.
    void substitute(char tag, bool unnamed, PgRefusal refusal, std::uint64_t request, Actions& out);

    // --- pg_extended.cpp
    Step on_parse(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_bind(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_describe(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_execute(wire::pg::Header header, Bytes rest, Actions& out);
    Step on_close(wire::pg::Header header, Bytes rest, Actions& out);
    Step ask_bind(NameTable<Prepared>::Answer found, Actions& out);
    Step ask_fetch(std::string_view portal, Actions& out);
    void pass_bind(std::size_t size, Question question);
    void pass_execute(std::size_t size, std::string_view name, std::shared_ptr<Portal> portal,
                      Actions& out);
    void note_named(std::string_view name, const Facts& facts);
    const Facts& facts_now(Prepared& prepared);

    // --- pg_function_call.cpp
    Step on_function_call(wire::pg::Header header, Bytes rest, Actions& out);
    void on_call_reply(Owed& head, char tag, Bytes raw, Actions& out);

    // --- pg_server.cpp
    std::size_t on_server(Bytes data, Actions& out);
    void on_server_message(char tag, Bytes body, Bytes raw, Actions& out);
    void on_reply(char tag, Bytes body, Bytes raw, Actions& out);
    void on_query_reply(Owed& head, char tag, Bytes body, Bytes raw, Actions& out);
    void on_execute_reply(Owed& head, char tag, Bytes body, Bytes raw, Actions& out);
    void on_describe_reply(Owed& head, char tag, Bytes body, Bytes raw, Actions& out);
    void on_copy_begin(Owed& head, char tag, Bytes body, Bytes raw, Actions& out);
    void on_error(Bytes body, Bytes raw, Actions& out);
    void on_ready(Bytes body, Bytes raw, Actions& out);
    void on_parameter(Bytes body);
    void pass_parameter(Bytes body, Bytes raw, Actions& out);
    void skip_to_sync(Actions& out);
    void drop_head(Actions& out);
    void unexpected(std::string_view what, Actions& out);
    void pass_reply(Bytes raw) { run_.end += raw.size(); }
    bool is_latest(const Owed& head) const;
    void complete(Owed& head, std::string_view tag, Actions& out);
    bool streams(char tag) const;

    // --- pg_rows.cpp
    const policy::MaskSet* masks_of(const Owed& head) const;
    const policy::sql::Statement* statement_of(const Owed& head) const;
    MaskContext mask_context(const policy::MaskSet& masks) const;
    bool plan_copy(Owed& head, const wire::pg::CopyResponse& response, Actions& out);
    bool plan_rows(Owed& head, const wire::pg::RowDescription& columns, Actions& out);
    void on_masked_row(Bytes body, Bytes raw, Actions& out);
    void on_masked_copy(Bytes body, Bytes raw, Actions& out);
    bool finish_masked_copy(Actions& out);
    void pass_diagnostic(Bytes body, Bytes raw, Actions& out);
    void pass_notification(Bytes body, Bytes raw, Actions& out);

    // --- pg_analysis.cpp
    Facts analyse(std::string_view text, bool read_before = false);
    bool readable(std::string_view text) const;
    void note_sent(const Facts& facts);
    void note_done(const policy::sql::Statement& statement, std::uint64_t epoch, bool latest);
    void note_settled();
    void note_ending(bool commits);
    void note_ready();
    void forget_bodies();
    Facts body_at(const Facts& facts, std::uint64_t epoch) const;
    bool hides_names(const policy::sql::Facts& facts) const;

    PgSessionConfig config_;
    std::shared_ptr<policy::SessionFacts> facts_;
    policy::sql::AnalysisCache own_cache_{64};
    Phase phase_ = Phase::Startup;
    Time now_{};
    Run run_{};
    Buffer scratch_;

    // Before the session.
    bool client_secure_ = false;
    bool server_secure_ = false;
    bool direct_tls_ = false;
    bool ssl_seen_ = false;
    wire::pg::Parameters startup_{};  // further parameters that go upstream
    Buffer greeting_;                 // for the client, when all is well
    std::optional<UpstreamLogin> login_;
    std::string database_;
    std::uint32_t backend_pid_ = 0;  // the server's: clients compare it, only the secret is ours
    bool plus_offered_ = false;
    bool relayed_ok_ = false;
    wire::pg::Parameters statuses_;
    std::vector<std::string> wanted_path_;     // search_path as it is set
    std::vector<std::string> effective_path_;  // of it, what exists and may be used

    // The client's side.
    Question question_;
    std::size_t client_pass_ = 0;  // bytes of a streamed message that are still to come
    std::size_t client_drop_ = 0;  // bytes of a message that is not passed on
    Dropped dropped_;
    bool stalled_ = false;  // until the server has answered all windows
    bool awaiting_catalog_ = false;
    bool skipping_ = false;  // the server skips everything up to Sync
    bool terminating_ = false;
    std::uint64_t window_ = 0;
    std::size_t windows_ = 0;  // Syncs and Queries that are not answered yet
    wire::pg::Parse parse_;
    wire::pg::Bind bind_;
    wire::pg::FunctionCall call_;
    NameTable<Prepared> statements_;
    NameTable<Portal> portals_;
    std::shared_ptr<std::size_t> statement_bytes_ = std::make_shared<std::size_t>(0);

    // The server's side.
    ReplyQueue owed_;
    std::size_t server_pass_ = 0;
    Buffer held_back_;  // a notice of ours that waits for the end of a message
    char transaction_ = 'I';
    bool copying_in_ = false;      // the server reads copy data and ignores Sync
    std::size_t loose_syncs_ = 0;  // Syncs that a failed copy may or may not have eaten
    std::size_t copy_syncs_ = 0;   // Syncs that the running copy ignores
    wire::pg::RowDescription columns_;
    RowMasker rows_;
    CopyMasker copy_;
    bool masking_rows_ = false;
    bool masking_copy_ = false;
    policy::DecisionPtr last_masks_;  // for notices that belong to no statement
    DetectorSource detectors_;
    std::shared_ptr<const detect::Masker> masker_;

    // What texts left behind.
    std::shared_ptr<const policy::sql::Catalog> catalog_;
    std::uint64_t serial_ = 0;  // counts the texts that may change what names stand for
    // Tables that the session has made, until ReadyForQuery tells that nothing undid them.
    struct {
        std::uint64_t serial = 0;  // nothing newer was sent
        std::vector<policy::sql::MadeTable> made{};
        std::map<std::string, policy::sql::SessionNames::Table, std::less<>> committing{};
    } pending_;
    bool catalog_stale_ = false;
    bool schema_unsure_ = false;   // code that may have run DDL has run since it was read
    bool catalog_missed_ = false;  // it could not be read when it was needed
    bool schema_touched_ = false;  // DDL ran and is not known to be committed
    policy::sql::NameSpace space_;
    policy::sql::SessionNames names_;
    std::uint64_t epoch_ = 1;         // counts changes of what a text means
    bool hidden_names_ = false;       // code of the server may have made names that we did not see
    bool private_relations_ = false;  // temporary ones may exist: no catalog of ours shows them
    bool plain_strings_ = true;       // standard_conforming_strings
    std::string encoding_ = "UTF8";
    std::string date_style_ = "ISO, MDY";
    bool dirty_window_ = false;   // this window changes what later texts mean
    bool dirty_earlier_ = false;  // an earlier one, not yet answered, does
    bool unsure_window_ = false;  // this window may change how texts are read
};

}  // namespace chaperone::session
