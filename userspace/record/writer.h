// SPDX-License-Identifier: Apache-2.0
// Appends to the journal. One writer for a journal (flock); all functions are thread-safe. An
// append that has returned is with the kernel: it survives kill -9 of the daemon, and a crash of
// the host as Sync says. What cannot be written is refused, and so is everything after it until
// recovered.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/record/encoder.h"
#include "userspace/record/note.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/segment.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

namespace chaperone::record {

enum class Sync {
    Never,     // fdatasync only at checkpoints
    Interval,  // the same: checkpoints come at least every checkpoint_interval
    Always,    // before append returns; appends that wait together share one
};

struct WriterOptions {
    std::filesystem::path state{};  // the state directory; the journal is in state/journal
    Sync sync = Sync::Interval;
    std::uint64_t segment_size = std::uint64_t{64} << 20;  // bytes after which a new one begins
    std::uint64_t checkpoint_entries = 4096;
    Duration checkpoint_interval = std::chrono::seconds{1};
    std::function<Time()> clock = now;
};

// What is written so far. All of [0, size) can be read by a Reader.
struct Position {
    std::uint64_t size = 0;  // entries
    Location end{};          // where the next frame will begin
};

class Writer {
public:
    // Unavailable if another writer has it; Corrupt if signed entries are missing or altered.
    static Result<std::unique_ptr<Writer>> open(WriterOptions options);
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer();  // close()

    // The entry's index (of the first, for several; they get consecutive ones). Unavailable while
    // the journal cannot be written: the caller must refuse the traffic it wanted to record.
    Result<std::uint64_t> append(const Entry& entry);
    Result<std::uint64_t> append(std::span<const Entry> entries);
    Result<std::uint64_t> append(const Frames& frames);

    // Whether each append waits for the disk (Sync::Always).
    bool waits_for_disk() const noexcept;
    // False from the first failed write until recovery. Costs one atomic load: ask it early.
    bool writable() const noexcept;
    // Tries again after a failure: cuts off the half-written part and appends a Recovery entry. The
    // writer's own thread does so every second; call it to try at once.
    Result<> recover();

    // Signs all that is written by now.
    Result<> checkpoint();
    // Signs a last checkpoint with the state `closed`; later appends are refused.
    Result<> close();

    Position position() const;
    // Blocks until more than `size` entries are written, the time is over, or the writer is closed.
    Position wait_beyond(std::uint64_t size, Duration most) const;
    VerifierKey public_key() const;
    const std::filesystem::path& journal() const noexcept;

private:
    struct State;
    explicit Writer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::record
