// SPDX-License-Identifier: Apache-2.0
// Two locks. `mutex` guards the tape and is held for a copy of some frames at most, or while room
// is set aside; whoever has slow work to do (a new segment, recovery) says so in `busy` and does it
// without the lock, and the others wait. `tree_mutex` guards tree, leaves and checkpoints, and is
// taken before `mutex`, never after it.
#include "userspace/record/writer.h"

#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/unique_fd.h"
#include "userspace/record/append_file.h"
#include "userspace/record/checkpoint.h"
#include "userspace/record/merkle.h"
#include "userspace/record/recovery.h"
#include "userspace/record/tape.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace chaperone::record {

struct Writer::State {
    explicit State(WriterOptions given, SigningKey signing_key)
        : options(std::move(given)),
          journal(options.state / "journal"),
          key(std::move(signing_key)) {}

    WriterOptions options;
    std::filesystem::path journal;
    SigningKey key;
    UniqueFd lock_file;

    mutable std::mutex mutex;
    std::condition_variable settled;  // `busy`, `syncing` or `synced` has changed
    mutable std::condition_variable grown;
    std::condition_variable keeper_due;
    Tape tape;                   // the last segment
    std::vector<Digest> leaves;  // written, not yet in the tree
    std::uint64_t written = 0;   // entries
    std::uint64_t synced = 0;    // of them, for Sync::Always
    std::uint32_t segment = 0;
    std::uint64_t end = 0;  // of its good part
    bool busy = false;
    bool syncing = false;
    bool closed = false;
    bool stop = false;
    bool permanent = false;  // the failure is one that no retry heals
    std::optional<Error> failed;
    std::atomic<bool> writable{true};

    std::mutex tree_mutex;
    CompactRange tree;
    Buffer unwritten_leaves;
    AppendFile leaf_file;
    AppendFile checkpoints;
    std::uint64_t next_checkpoint = 0;
    std::thread keeper;

    Result<> start();
    Result<std::uint64_t> append(Bytes frames, std::span<const Digest> added);
    Result<> admit(std::unique_lock<std::mutex>& lock);
    Result<> sync_to(std::uint64_t mine, std::unique_lock<std::mutex>& lock);
    Result<> rotate();
    Result<> open_files(const Recovered& found);
    Result<> checkpoint(WriterState state);
    Result<> checkpoint_locked(WriterState state);
    Result<> sign(WriterState state);
    void note_failure(const Error& error, bool forever);
    Result<> recover();
    Result<> write_recovery();
    Result<> close();
    void keep();
};

Result<> Writer::State::open_files(const Recovered& found) {
    auto its_tape = Tape::open(journal / segment_name(found.segment), found.end);
    if (!its_tape) return fail(its_tape.error());
    AppendFile its_leaves;
    AppendFile its_checkpoints;
    if (auto done = its_leaves.open(journal / leaf_name(found.segment), found.leaf_end); !done)
        return done;
    if (auto done =
            its_checkpoints.open(journal / checkpoints_name(found.segment), found.checkpoints_end);
        !done)
        return done;
    tape = std::move(*its_tape);  // all three or none
    leaf_file = std::move(its_leaves);
    checkpoints = std::move(its_checkpoints);
    return {};
}

Result<> Writer::State::start() {
    std::error_code error;
    std::filesystem::create_directories(journal, error);
    if (error) return system_error("create " + journal.string(), error.value());
    if (::chmod(journal.c_str(), 0700) != 0)
        return system_error("chmod " + journal.string(), errno);
    const auto path = journal / "lock";
    lock_file.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_file) return system_error("open " + path.string(), errno);
    if (::flock(lock_file.get(), LOCK_EX | LOCK_NB) != 0)
        return fail(Errc::Unavailable, "another daemon writes the journal " + journal.string());

    auto found = recover_journal(journal, key.public_key());
    if (!found) return fail(found.error());
    if (auto done = open_files(*found); !done) return done;
    segment = found->segment;
    end = tape.end();
    synced = written = found->tree.size();
    tree = std::move(found->tree);
    for (const Digest& leaf : found->leaves) chaperone::append(unwritten_leaves, Bytes{leaf});
    next_checkpoint = found->last ? found->last->number + 1 : 0;
    if (found->entry) {
        log::warning("the journal did not end in order",
                     {{"entries", found->entry->size()},
                      {"discarded", found->entry->discarded()},
                      {"unsigned", found->entry->unsigned_entries()}});
        Entry entry;
        entry.set_time(options.clock().time_since_epoch().count());
        *entry.mutable_recovery() = *found->entry;
        Frames frames;
        frames.add(entry);
        if (auto index = append(frames.bytes(), frames.leaves()); !index)
            return fail(index.error());
    }
    if (auto done = checkpoint(WriterState::Open); !done) return done;
    keeper = std::thread{[this] { keep(); }};
    return {};
}

// The append path -----------------------------------------------------------------------------

// Waits until frames may be appended to the tape, and makes it so.
Result<> Writer::State::admit(std::unique_lock<std::mutex>& lock) {
    for (;;) {
        settled.wait(lock, [this] { return !busy; });
        if (failed)
            return fail(Errc::Unavailable, "the journal cannot be written: " + failed->message());
        if (closed) return fail(Errc::Unavailable, "the journal is closed");
        if (tape.end() < options.segment_size) return {};
        busy = true;
        settled.wait(lock, [this] { return !syncing; });
        lock.unlock();
        auto done = rotate();
        lock.lock();
        busy = false;
        if (!done) note_failure(done.error(), false);
        settled.notify_all();
    }
}

Result<std::uint64_t> Writer::State::append(Bytes frames, std::span<const Digest> added) {
    std::unique_lock lock{mutex};
    if (auto admitted = admit(lock); !admitted) return fail(admitted.error());
    if (auto done = tape.append(frames); !done) {
        note_failure(done.error(), false);
        return fail(Errc::Unavailable, "the journal could not be written");
    }
    const std::uint64_t first = written;
    written += added.size();
    end = tape.end();
    const std::size_t unsigned_before = leaves.size();
    leaves.insert(leaves.end(), added.begin(), added.end());
    if (unsigned_before < options.checkpoint_entries && leaves.size() >= options.checkpoint_entries)
        keeper_due.notify_one();
    if (options.sync == Sync::Always)
        if (auto done = sync_to(first + added.size(), lock); !done) return fail(done.error());
    grown.notify_all();
    return first;
}

// One of those that wait syncs for all.
Result<> Writer::State::sync_to(std::uint64_t mine, std::unique_lock<std::mutex>& lock) {
    while (synced < mine) {
        if (failed) return fail(Errc::Unavailable, "the journal could not be written");
        if (busy || syncing) {
            settled.wait(lock);
            continue;
        }
        syncing = true;
        const std::uint64_t upto = written;
        lock.unlock();
        const int error = tape.sync();
        lock.lock();
        syncing = false;
        if (error == 0)
            synced = std::max(synced, upto);
        else
            note_failure(system_error("fdatasync the journal's segment", error).error(),
                         error != ENOSPC && error != EDQUOT);
        settled.notify_all();
    }
    return {};
}

// While `busy`, without `mutex`.
Result<> Writer::State::rotate() {
    const std::lock_guard tree_lock{tree_mutex};
    if (auto done = tape.finish(); !done) return done;
    if (auto done = checkpoint_locked(WriterState::Running); !done) return done;
    const SegmentHeader header{.number = segment + 1, .first = tree.size(), .before = tree};
    const auto size = create_segment(journal, header);
    if (!size) return fail(size.error());
    if (auto done = open_files({.segment = header.number, .end = *size}); !done) return done;
    const std::lock_guard lock{mutex};
    segment = header.number;
    end = *size;
    synced = written;
    return {};
}

// Checkpoints ---------------------------------------------------------------------------------

Result<> Writer::State::checkpoint(WriterState state) {
    const std::lock_guard tree_lock{tree_mutex};
    return checkpoint_locked(state);
}

Result<> Writer::State::checkpoint_locked(WriterState state) {
    std::vector<Digest> added;
    {
        const std::lock_guard lock{mutex};
        if (failed) return fail(*failed);
        struct stat status{};
        if (!busy && (::fstat(tape.fd(), &status) != 0 ||
                      static_cast<std::uint64_t>(status.st_size) != tape.size())) {
            const Error error{Errc::Corrupt,
                              "somebody else has changed the journal's last segment"};
            note_failure(error, static_cast<std::uint64_t>(status.st_size) < tape.end());
            return fail(error);
        }
        added = std::move(leaves);
        leaves = {};
    }
    for (const Digest& leaf : added) {
        tree.push(leaf);
        chaperone::append(unwritten_leaves, Bytes{leaf});
    }
    if (unwritten_leaves.empty() && state == WriterState::Running) return {};
    if (auto done = sign(state); !done) {
        const std::lock_guard lock{mutex};
        note_failure(done.error(), permanent);
        return done;
    }
    return {};
}

Result<> Writer::State::sign(WriterState state) {
    const auto sync = [this](int file, const char* what) -> Result<> {
        if (::fdatasync(file) == 0) return {};
        const int error = errno;
        // After it the kernel may have dropped the pages: a second try would succeed and lie.
        const std::lock_guard lock{mutex};
        permanent = permanent || (error != ENOSPC && error != EDQUOT);
        return system_error(std::string{"fdatasync the journal's "} + what, error);
    };
    if (auto done = sync(tape.fd(), "segment"); !done) return done;
    if (auto done = leaf_file.append(unwritten_leaves, "leaves"); !done) return done;
    unwritten_leaves.clear();
    const Checkpoint next{.origin = key.public_key().name(),
                          .size = tree.size(),
                          .root = tree.root(),
                          .number = next_checkpoint,
                          .time = options.clock(),
                          .state = state};
    const std::string note = key.sign(to_text(next)) + "\n";
    if (auto done = checkpoints.append(as_bytes(note), "checkpoints"); !done) return done;
    ++next_checkpoint;
    if (auto done = sync(leaf_file.fd.get(), "leaves"); !done) return done;
    return sync(checkpoints.fd.get(), "checkpoints");
}

// Failure and recovery ------------------------------------------------------------------------

// With `mutex` held.
void Writer::State::note_failure(const Error& error, bool forever) {
    permanent = permanent || forever;
    if (failed) return;
    log::error("the journal cannot be written: traffic is refused", {{"error", error.message()}});
    failed = error;
    writable = false;
}

Result<> Writer::State::recover() {
    {
        std::unique_lock lock{mutex};
        settled.wait(lock, [this] { return !busy && !syncing; });
        if (!failed) return {};
        if (permanent || closed) return fail(*failed);
        busy = true;
    }
    auto done = write_recovery();
    {
        const std::lock_guard lock{mutex};
        busy = false;
        if (done) {
            failed.reset();
            writable = true;
            log::info("the journal is written again", {{"entries", written}});
        }
        settled.notify_all();
        grown.notify_all();
    }
    if (!done) return done;
    return checkpoint(WriterState::Running);
}

// While `busy`. What was half-written was refused to whoever asked for it.
Result<> Writer::State::write_recovery() {
    Entry entry;
    entry.set_time(options.clock().time_since_epoch().count());
    Recovery& recovery = *entry.mutable_recovery();
    recovery.set_cause(Recovery::WRITE_FAILED);
    recovery.set_size(written);
    recovery.set_detail(failed->message());
    tape.release();
    if (auto done = cut_tail(journal, segment, tape.end(), false, recovery); !done) return done;
    Frames frames;
    frames.add(entry);
    if (auto done = tape.append(frames.bytes()); !done) return done;
    const std::lock_guard lock{mutex};
    ++written;
    end = tape.end();
    leaves.push_back(frames.leaves().front());
    return {};
}

void Writer::State::keep() {
    ::pthread_setname_np(::pthread_self(), "journal");
    std::unique_lock lock{mutex};
    while (!stop) {
        keeper_due.wait_for(lock, options.checkpoint_interval, [this] {
            return stop || (!failed && leaves.size() >= options.checkpoint_entries);
        });
        if (stop) return;
        const bool broken = failed.has_value();
        const bool due = !leaves.empty();
        lock.unlock();
        // Failures are kept in `failed` and logged; this thread has nobody else to tell.
        if (broken)
            (void)recover();
        else if (due)
            (void)checkpoint(WriterState::Running);
        lock.lock();
    }
}

Result<> Writer::State::close() {
    {
        std::unique_lock lock{mutex};
        if (closed) return {};
        closed = true;  // no new appends; those under way are finished first
        settled.wait(lock, [this] { return !busy && !syncing; });
        stop = true;
        keeper_due.notify_all();
        grown.notify_all();
    }
    if (keeper.joinable()) keeper.join();
    Result<> cut{};
    {
        const std::scoped_lock locks{tree_mutex, mutex};
        cut = tape.finish();
    }
    auto done = checkpoint(WriterState::Closed);
    if (done) done = cut;
    lock_file.reset();
    return done;
}

// The outside ---------------------------------------------------------------------------------

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Writer::~Writer() {
    if (auto done = state_->close(); !done)
        log::error("the journal could not be closed", {{"error", done.error().message()}});
}

namespace {

// A key made anew in its place would take the public half of what was signed before, too.
Result<> check_key_is_there(const std::filesystem::path& state) {
    std::error_code error;
    if (std::filesystem::exists(state / "journal.key", error)) return {};
    if (error) return system_error("look for the journal's key", error.value());
    if (!std::filesystem::exists(state / "journal", error)) return {};
    const auto segments = list_segments(state / "journal");
    if (!segments) return fail(segments.error());
    if (segments->empty()) return {};
    return fail(Errc::Corrupt, (state / "journal.key").string() +
                                   " is missing, and a journal that it signed is there: put it "
                                   "back, or move journal and journal.pub away together");
}

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(WriterOptions options) {
    std::error_code error;
    std::filesystem::create_directories(options.state, error);
    if (error) return system_error("create " + options.state.string(), error.value());
    if (auto lost = check_key_is_there(options.state); !lost) return fail(lost.error());
    auto key =
        SigningKey::load_or_make(options.state / "journal.key", options.state / "journal.pub");
    if (!key) return fail(key.error());
    auto state = std::make_unique<State>(std::move(options), *std::move(key));
    if (auto done = state->start(); !done) return fail(done.error());
    return std::unique_ptr<Writer>{new Writer{std::move(state)}};
}

Result<std::uint64_t> Writer::append(const Entry& entry) {
    return append(std::span{&entry, 1});
}

Result<std::uint64_t> Writer::append(std::span<const Entry> entries) {
    thread_local Frames frames;
    frames.clear();
    for (const Entry& entry : entries) frames.add(entry);
    return append(frames);
}

Result<std::uint64_t> Writer::append(const Frames& frames) {
    if (frames.empty()) return fail(Errc::Invalid, "no entry to record");
    if (auto fit = frames.fit(); !fit) return fail(fit.error());
    return state_->append(frames.bytes(), frames.leaves());
}

bool Writer::waits_for_disk() const noexcept {
    return state_->options.sync == Sync::Always;
}

bool Writer::writable() const noexcept {
    return state_->writable.load(std::memory_order_relaxed);
}

Result<> Writer::recover() {
    return state_->recover();
}

Result<> Writer::checkpoint() {
    return state_->checkpoint(WriterState::Running);
}

Result<> Writer::close() {
    return state_->close();
}

Position Writer::position() const {
    const std::lock_guard lock{state_->mutex};
    return {state_->written, {state_->segment, state_->end}};
}

Position Writer::wait_beyond(std::uint64_t size, Duration most) const {
    std::unique_lock lock{state_->mutex};
    state_->grown.wait_for(lock, most, [&] { return state_->written > size || state_->closed; });
    return {state_->written, {state_->segment, state_->end}};
}

VerifierKey Writer::public_key() const {
    return state_->key.public_key();
}

const std::filesystem::path& Writer::journal() const noexcept {
    return state_->journal;
}

}  // namespace chaperone::record
