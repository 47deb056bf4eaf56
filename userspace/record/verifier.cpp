// SPDX-License-Identifier: Apache-2.0
// Walks segments and checkpoints side by side. After each entry that a checkpoint names as its size
// the roots are compared; the first that differ end the walk, and diagnose.cpp says why.
#include "userspace/record/verifier.h"

#include "userspace/base/file.h"
#include "userspace/base/unique_fd.h"
#include "userspace/record/diagnose.h"
#include "userspace/record/record.pb.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>

namespace chaperone::record {
namespace {

constexpr std::size_t kMaxFile = std::size_t{4} << 30;

struct Signed {
    Checkpoint checkpoint{};
    std::uint32_t file = 0;
};

class Walk {
public:
    Walk(std::filesystem::path journal, const VerifierKey& key, const VerifyOptions& options)
        : journal_(std::move(journal)), key_(key), options_(options) {}

    Result<Verification> run();

private:
    Result<> find_files();
    Result<> read_checkpoints(std::uint32_t number);
    Result<> read_anchor();
    Result<> read_pruned();
    Result<bool> walk_segment(std::uint32_t number, bool last);
    bool begin_segment(Bytes content, std::uint32_t number);
    bool take_entry(const Frame& frame, Bytes content, Location where);
    bool compare_roots(Bytes content);
    bool end_of_segment(Bytes content, std::uint64_t at, bool last, std::string why);
    void check_leaf_file(std::uint32_t number);
    void check_torn_file(const Recovery& recovery, Location where);
    void find_orphans();
    void finish();
    void find(Finding finding) { result_.findings.push_back(std::move(finding)); }
    void progress(std::uint64_t bytes);

    std::filesystem::path journal_;
    const VerifierKey& key_;
    const VerifyOptions& options_;
    Verification result_{};
    std::vector<std::uint32_t> segments_;
    std::deque<Signed> ahead_;            // checkpoints whose size is not reached yet
    std::optional<Checkpoint> previous_;  // the last whose root was compared
    std::optional<Checkpoint> anchor_;
    std::optional<Checkpoint> read_;  // the last one read
    bool closed_ = false;             // `previous_` says so
    CompactRange tree_{};
    std::vector<Digest> leaves_;  // of the segment
    std::uint64_t segment_first_ = 0;
    std::uint32_t segment_ = 0;
    std::uint64_t done_ = 0;
    std::uint64_t all_ = 0;
    std::chrono::steady_clock::time_point told_{};
};

void Walk::progress(std::uint64_t bytes) {
    done_ += bytes;
    const auto time = std::chrono::steady_clock::now();
    if (!options_.progress || time - told_ < std::chrono::milliseconds{200}) return;
    told_ = time;
    options_.progress(done_, all_);
}

Result<> Walk::find_files() {
    auto segments = list_segments(journal_);
    if (!segments) return fail(segments.error());
    segments_ = *std::move(segments);
    for (const auto number : segments_) {
        std::error_code error;
        const auto size = std::filesystem::file_size(journal_ / segment_name(number), error);
        if (!error) all_ += size;
    }
    // Whether a writer is at it: it holds the lock exclusively.
    const UniqueFd lock{::open((journal_ / "lock").c_str(), O_RDONLY | O_CLOEXEC)};
    result_.live = lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0;
    return {};
}

// Those made while the segment was the last. A bad one is a finding and is not used.
Result<> Walk::read_checkpoints(std::uint32_t number) {
    const auto path = journal_ / checkpoints_name(number);
    const auto text = read_file(path, kMaxFile);
    if (!text && text.error().code != Errc::NotFound) return fail(text.error());
    if (!text) {
        find({.problem = Problem::MissingCheckpoint,
              .where = {number, 0},
              .detail = path.filename().string() + " is missing"});
        return {};
    }
    const auto notes = split_notes(*text);
    if (!notes) return fail(notes.error());
    for (const std::string_view note : notes->notes) {
        const Location where{number, static_cast<std::uint64_t>(note.data() - text->data())};
        const auto bad = [&](std::string detail) {
            find({.problem = Problem::BadCheckpoint, .where = where, .detail = std::move(detail)});
        };
        const auto body = open_note(note, key_);
        if (!body) {
            bad(body.error().message());
            continue;
        }
        const auto checkpoint = parse_checkpoint(*body);
        if (!checkpoint) {
            bad(checkpoint.error().message());
            continue;
        }
        if (checkpoint->origin != key_.name()) bad("it is of another journal");
        const std::uint64_t expected = read_ ? read_->number + 1 : 0;
        const bool first_after_pruning = !read_ && result_.pruned != 0;
        if (checkpoint->number != expected && !first_after_pruning)
            find({.problem = Problem::MissingCheckpoint,
                  .where = where,
                  .detail = "number " + std::to_string(expected) + " is missing; this is " +
                            std::to_string(checkpoint->number)});
        if (read_ && checkpoint->size < read_->size) {
            bad("it covers less than the one before");
            continue;
        }
        read_ = *checkpoint;
        ++result_.checkpoints;
        ahead_.push_back({*checkpoint, number});
    }
    if (!notes->torn.empty() && !result_.live)
        find({.problem = Problem::BadCheckpoint,
              .where = {number, text->size() - notes->torn.size()},
              .detail = "the last one is not whole"});
    return {};
}

Result<> Walk::read_anchor() {
    if (!options_.at_least) return {};
    const auto body = open_note(*options_.at_least, key_);
    if (!body)
        return fail(Errc::Invalid, "the checkpoint to compare with: " + body.error().message());
    auto checkpoint = parse_checkpoint(*body);
    if (!checkpoint)
        return fail(Errc::Invalid,
                    "the checkpoint to compare with: " + checkpoint.error().message());
    anchor_ = *std::move(checkpoint);
    return {};
}

// The note of pruning, if there was one: what the first kept segment must begin with.
Result<> Walk::read_pruned() {
    const auto note = read_file(journal_ / "pruned");
    const bool starts_late = !segments_.empty() && segments_.front() != 0;
    if (!note && note.error().code != Errc::NotFound) return fail(note.error());
    if (!note) {
        if (starts_late)
            find({.problem = Problem::MissingSegment,
                  .index = 0,
                  .where = {0, 0},
                  .detail = "segments before " + segment_name(segments_.front()) +
                            " are missing, and no signed note says that they were pruned"});
        return {};
    }
    const auto pruned = open_pruned(*note, key_);
    if (!pruned) {
        find({.problem = Problem::BadPruning, .detail = pruned.error().message()});
        return {};
    }
    if (segments_.empty() || pruned->segment > segments_.front())
        segments_.erase(segments_.begin(), std::ranges::lower_bound(segments_, pruned->segment));
    if (segments_.empty() || segments_.front() != pruned->segment) {
        find({.problem = Problem::MissingSegment,
              .index = pruned->size,
              .where = {pruned->segment, 0},
              .detail = "the first one that was kept is missing"});
        return {};
    }
    result_.pruned = pruned->size;
    const auto content = read_file(journal_ / segment_name(pruned->segment), kMaxFile);
    if (!content) return fail(content.error());
    const auto header = decode_header(as_bytes(*content));
    if (!header || !header->has_value() || (*header)->header.first != pruned->size ||
        (*header)->header.before.root() != pruned->root) {
        find({.problem = Problem::BadPruning,
              .index = pruned->size,
              .where = {pruned->segment, 0},
              .detail = "the first segment does not begin where pruning ended"});
        return {};
    }
    tree_ = (*header)->header.before;
    return {};
}

Result<Verification> Walk::run() {
    if (auto done = find_files(); !done) return fail(done.error());
    if (auto done = read_anchor(); !done) return fail(done.error());
    if (auto done = read_pruned(); !done) return fail(done.error());
    // Checkpoints before entries: what is written meanwhile is then merely unsigned.
    for (const auto number : segments_)
        if (auto done = read_checkpoints(number); !done) return fail(done.error());
    result_.last = read_;
    result_.signed_to = read_ ? read_->size : 0;
    while (!ahead_.empty() && ahead_.front().checkpoint.size < tree_.size()) ahead_.pop_front();

    result_.entries = tree_.size();
    for (std::size_t i = 0; i != segments_.size(); ++i) {
        const std::uint32_t expected = i == 0 ? segments_[0] : segments_[i - 1] + 1;
        if (segments_[i] != expected) {
            find({.problem = Problem::MissingSegment,
                  .index = tree_.size(),
                  .where = {expected, 0},
                  .detail = segment_name(expected) + " is missing"});
            return result_;
        }
        const auto go_on = walk_segment(segments_[i], i + 1 == segments_.size());
        if (!go_on) return fail(go_on.error());
        if (!*go_on) return result_;
    }
    finish();
    if (options_.progress) options_.progress(all_, all_);
    return result_;
}

bool Walk::begin_segment(Bytes content, std::uint32_t number) {
    const auto header = decode_header(content);
    std::string why;
    if (!header)
        why = header.error().message();
    else if (!header->has_value())
        why = "it is cut off";
    else if ((*header)->header.number != number)
        why = "it is another segment's";
    else if ((*header)->header.first != tree_.size() || (*header)->header.before != tree_)
        why = "it does not continue the segment before it";
    if (!why.empty()) {
        find({.problem = Problem::BadHeader,
              .index = tree_.size(),
              .where = {number, 0},
              .detail = why});
        return false;
    }
    segment_ = number;
    segment_first_ = tree_.size();
    leaves_.clear();
    return true;
}

// True: go on with the next segment.
Result<bool> Walk::walk_segment(std::uint32_t number, bool last) {
    const auto text = read_file(journal_ / segment_name(number), kMaxFile);
    if (!text) return fail(text.error());
    const Bytes content = as_bytes(*text);
    if (!begin_segment(content, number)) return false;
    std::size_t at =
        encode_header({.number = number, .first = tree_.size(), .before = tree_}).size();
    if (!compare_roots(content)) return false;
    progress(at);
    for (;;) {
        const auto frame = decode_frame(content.subspan(at));
        if (!frame) return end_of_segment(content, at, last, frame.error().message());
        const auto& whole = *frame;
        if (!whole.has_value()) return end_of_segment(content, at, last, "it is cut off");
        if (!take_entry(*whole, content, {number, at})) return false;
        at += whole->size;
        progress(whole->size);
    }
}

bool Walk::take_entry(const Frame& frame, Bytes content, Location where) {
    Entry entry;
    const bool parsed =
        entry.ParseFromArray(frame.entry.data(), static_cast<int>(frame.entry.size()));
    if (parsed && entry.has_recovery()) check_torn_file(entry.recovery(), where);
    if (closed_ && !(parsed && entry.has_recovery()))
        find({.problem = Problem::AfterClose,
              .index = tree_.size(),
              .where = where,
              .detail = "the journal had been closed before it"});
    closed_ = false;
    tree_.push(frame.leaf);
    leaves_.push_back(frame.leaf);
    result_.entries = tree_.size();
    return compare_roots(content);
}

bool Walk::compare_roots(Bytes content) {
    while (!ahead_.empty() && ahead_.front().checkpoint.size == tree_.size()) {
        const Checkpoint& checkpoint = ahead_.front().checkpoint;
        if (checkpoint.root != tree_.root()) {
            find(diagnose({.journal = journal_,
                           .segment = segment_,
                           .first = segment_first_,
                           .from = previous_ ? previous_->size : result_.pruned,
                           .leaves = leaves_,
                           .content = content,
                           .checkpoint = checkpoint}));
            return false;
        }
        closed_ = checkpoint.state == WriterState::Closed;
        previous_ = checkpoint;
        ahead_.pop_front();
    }
    if (anchor_ && anchor_->size == tree_.size()) {
        if (anchor_->root != tree_.root())
            find({.problem = Problem::Behind,
                  .index = previous_ ? previous_->size : 0,
                  .detail = "the checkpoint kept elsewhere is of another history"});
        anchor_.reset();
    }
    return true;
}

// Where no further whole frame is. True if that is how a segment may end.
bool Walk::end_of_segment(Bytes content, std::uint64_t at, bool last, std::string why) {
    check_leaf_file(segment_);
    const Location where{segment_, at};
    const Bytes tail = content.subspan(at);
    const std::uint64_t left = last ? without_room(tail).size() : tail.size();
    const bool is_signed = !ahead_.empty() || !last;
    if (left == 0) {
        if (!ahead_.empty() && last)
            find({.problem = Problem::MissingEntry,
                  .index = tree_.size(),
                  .where = where,
                  .detail = "entries up to " + std::to_string(ahead_.back().checkpoint.size) +
                            " were signed"});
        return ahead_.empty() || !last;
    }
    if (!is_signed && result_.live) {
        result_.in_flight = left;
        return true;
    }
    find({.problem = is_signed ? Problem::UnreadableEntry : Problem::TornTail,
          .index = tree_.size(),
          .where = where,
          .detail = std::to_string(left) + " bytes from there on: " + why});
    return false;
}

void Walk::check_leaf_file(std::uint32_t number) {
    const auto path = journal_ / leaf_name(number);
    const auto text = read_file(path, kMaxFile);
    const Bytes stored = text ? as_bytes(*text) : Bytes{};
    // Only leaves that a checkpoint covers must be there.
    const std::uint64_t signed_here =
        previous_ && previous_->size > segment_first_ ? previous_->size - segment_first_ : 0;
    for (std::size_t i = 0; i != leaves_.size() && i < signed_here; ++i) {
        const std::size_t at = i * sizeof(Digest);
        if (stored.size() >= at + sizeof(Digest) &&
            std::ranges::equal(stored.subspan(at, sizeof(Digest)), leaves_[i]))
            continue;
        find({.problem = Problem::BadLeaf,
              .index = segment_first_ + i,
              .where = {number, at},
              .detail = path.filename().string() + " is not what was signed; the entry is"});
        return;
    }
}

void Walk::check_torn_file(const Recovery& recovery, Location where) {
    if (recovery.discarded_file().empty()) return;
    const std::filesystem::path name{recovery.discarded_file()};
    const auto bad = [&](std::string detail) {
        find({.problem = Problem::MissingEntry,
              .index = tree_.size(),
              .where = where,
              .detail = std::move(detail)});
    };
    if (name.has_parent_path()) return bad("a recovery entry names a file elsewhere");
    const auto text = read_file(journal_ / name, kMaxFile);
    if (!text) return bad("what recovery cut off is gone: " + text.error().message());
    if (!std::ranges::equal(Bytes{sha256(as_bytes(*text))}, as_bytes(recovery.discarded_digest())))
        bad(name.string() + " is not what recovery cut off");
}

// Checkpoints or leaves whose segment is gone.
void Walk::find_orphans() {
    std::error_code error;
    for (const auto& item : std::filesystem::directory_iterator{journal_, error}) {
        const auto kind = item.path().extension();
        if (kind != ".checkpoints" && kind != ".leaf") continue;
        const std::string stem = item.path().stem().string();
        const auto number = static_cast<std::uint32_t>(std::strtoul(stem.c_str(), nullptr, 10));
        if (std::ranges::find(segments_, number) != segments_.end()) continue;
        if (result_.pruned != 0 && !segments_.empty() && number < segments_.front()) continue;
        find({.problem = Problem::MissingSegment,
              .index = tree_.size(),
              .where = {number, 0},
              .detail =
                  segment_name(number) + " is missing, " + stem + kind.string() + " is there"});
        return;
    }
}

void Walk::finish() {
    find_orphans();
    if (segments_.empty() && result_.findings.empty())
        find({.problem = Problem::MissingSegment, .index = 0, .detail = "there are no segments"});
    if (result_.checkpoints == 0 && !segments_.empty())
        find({.problem = Problem::MissingCheckpoint, .detail = "nothing is signed"});
    if (anchor_)
        find({.problem = Problem::Behind,
              .index = tree_.size(),
              .detail = "the checkpoint kept elsewhere covers " + std::to_string(anchor_->size) +
                        " entries"});
}

}  // namespace

std::string_view describe(Problem problem) noexcept {
    switch (problem) {
    case Problem::AlteredEntry: return "an entry was altered";
    case Problem::MissingEntry: return "an entry is missing";
    case Problem::ReorderedEntry: return "entries are in another order";
    case Problem::InsertedEntry: return "an entry was inserted";
    case Problem::UnreadableEntry: return "an entry cannot be read";
    case Problem::MissingSegment: return "a segment is missing";
    case Problem::BadHeader: return "a segment's header is wrong";
    case Problem::BadLeaf: return "a stored leaf hash is wrong";
    case Problem::BadCheckpoint: return "a checkpoint is wrong";
    case Problem::MissingCheckpoint: return "a checkpoint is missing";
    case Problem::AfterClose: return "an entry was appended after the journal was closed";
    case Problem::TornTail: return "the journal ends in bytes that are no entry";
    case Problem::BadPruning: return "the note about pruned segments is wrong";
    case Problem::Behind: return "the journal does not contain a checkpoint kept elsewhere";
    }
    return "unknown";
}

std::string Finding::message() const {
    std::string text{describe(problem)};
    if (index) text += until ? ": between entries " : ": entry ";
    if (index) text += std::to_string(*index);
    if (until) text += " and " + std::to_string(*until - 1);
    text += ", segment " + std::to_string(where.segment) + ", byte " + std::to_string(where.offset);
    return detail.empty() ? text : text + " (" + detail + ")";
}

Result<Verification> verify(const std::filesystem::path& journal, const VerifierKey& key,
                            const VerifyOptions& options) {
    return Walk{journal, key, options}.run();
}

}  // namespace chaperone::record
