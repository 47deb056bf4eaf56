// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/session_runner.h"

#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/net/protocols.h"
#include "userspace/net/shared.h"
#include "userspace/record/writer.h"

#include <cstring>
#include <utility>

namespace chaperone::net {

using session::Side;

namespace {

// One read's worth. Shared by the sessions of a thread: nothing suspends while it is in use.
constexpr std::size_t kScratch = 256 * 1024;
// A receiver that is this far behind stops the sender.
constexpr std::size_t kHighWater = 256 * 1024;
// One read that brings so much is of a stream that is worth a pipe.
constexpr std::size_t kBulk = 64 * 1024;
// What a client may send ahead while its question is open; read only to notice that it left.
constexpr std::size_t kLookAhead = 64 * 1024;
// Reads of a session in one turn.
constexpr int kTurns = 16;

std::span<std::byte> scratch() {
    static thread_local std::unique_ptr<std::byte[]> memory{new std::byte[kScratch]};
    return {memory.get(), kScratch};
}

Side other(Side side) {
    return side == Side::Client ? Side::Server : Side::Client;
}

}  // namespace

SessionRunner::SessionRunner(ServerPool& pool, Shared& shared, Stream client, LivePtr live,
                             const Opening& opening, CancelKey key,
                             std::shared_ptr<const void> held)
    : held_(std::move(held)),
      pool_(pool),
      context_(pool.context()),
      poller_(pool.poller()),
      shared_(shared),
      live_(std::move(live)),
      facts_(opening.facts),
      target_(opening.target),
      cancel_key_(key),
      generation_(opening.generation),
      gate_(shared, live_, facts_, opening.refusal,
            [live = live_](std::function<void(Waiting&)> call) {
                live->post([call = std::move(call)](SessionRunner& runner) { call(runner); });
            }) {
    leg(Side::Client).stream.emplace(std::move(client));
}

SessionRunner::~SessionRunner() {
    if (cancel_key_ != CancelKey{}) shared_.registry.forget_key(cancel_key_);
    unlist();
}

void SessionRunner::unlist() {
    if (std::exchange(listed_, false)) shared_.registry.remove(live_->id);
}

Result<> SessionRunner::start(std::unique_ptr<session::Machine> machine, Buffer early) {
    const auto login_timeout = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        shared_.options.login_timeout);
    login_deadline_ = about_now() + login_timeout;
    Stream& client = *leg(Side::Client).stream;
    auto opened = gate_.open(client.peer_host(), client.peer().port());
    if (!opened) ++shared_.tally.unrecordable;
    if (!opened || !machine) {
        client.reset();
        if (!opened) return fail(opened.error());
        gate_.close("nothing here speaks its protocol");
        return fail(Errc::Unsupported,
                    "a session of port " + std::to_string(facts_->destination.port));
    }
    machine_ = std::move(machine);
    leg(Side::Client).pending = std::move(early);
    if (!watch(Side::Client)) return fail(Errc::System, "out of memory for connections");
    machine_->on_opened(*this);
    resume();
    return {};
}

bool SessionRunner::watch(Side side) {
    auto watching = leg(side).stream->watch(poller_, shared_from_this());
    if (watching) return true;
    log::error("session failed", {{"session", live_->id}, {"error", watching.error().message()}});
    leg(side).stream->reset();
    return false;
}

void SessionRunner::give_up(const char* what) {
    log::error("session failed", {{"session", live_->id}, {"error", what}});
    end("internal error");
    settle();
}

void SessionRunner::ready() noexcept {
    try {
        for (const Side side : {Side::Client, Side::Server})
            if (leg(side).waiting_bytes() != 0) drain(side);
        move();
    } catch (const std::exception& error) {
        moving_ = false;
        give_up(error.what());
    }
}

// Whatever an event has made possible: reading one side may end what kept the other from it.
void SessionRunner::move() {
    again_ = true;
    if (moving_) return;
    moving_ = true;
    for (turns_ = 0; again_ && turns_ < kTurns;) {
        again_ = false;
        read(Side::Client);
        read(Side::Server);
    }
    moving_ = false;
    // Others of the thread have theirs first.
    if (turns_ == kTurns && !ended_) poller_.later(shared_from_this());
}

void SessionRunner::read(Side from) {
    Leg& mine = leg(from);
    while (!ended_ && !mine.closed && !mine.securing && mine.stream && turns_ < kTurns) {
        if (mine.tls_wanted) {
            mine.securing = true;
            return spawn(secure(from));
        }
        if (!mine.stream->may_have_more() || !may_read(from)) return;
        ++turns_;
        if (!take(from)) return;
    }
}

bool SessionRunner::may_read(Side from) {
    if (leg(Side::Client).waiting_bytes() > kHighWater) return false;
    if (leg(Side::Server).waiting_bytes() > kHighWater) return false;
    if (const Leg& its = leg(other(from)); its.pipe && its.waiting_bytes() != 0) return false;
    if (machine_->wants(from)) return true;
    return from == Side::Client && gate_.holding() != 0 && leg(from).pending.size() < kLookAhead;
}

// One read, and what follows from it. False: would block.
bool SessionRunner::take(Side from) {
    if (may_pass(from)) return pass(from);
    Leg& mine = leg(from);
    const std::span<std::byte> room = scratch();
    std::size_t kept = mine.pending.size();
    const bool in_place = kept < kScratch / 2;
    if (in_place) {
        if (kept != 0) std::memcpy(room.data(), mine.pending.data(), kept);
    } else {
        mine.pending.resize(kept + std::max(kept / 2, kScratch));
    }
    const std::span<std::byte> whole = in_place ? room : std::span{mine.pending};
    const Stream::Moved moved = mine.stream->read(whole.subspan(kept));
    if (!in_place) mine.pending.resize(kept + moved.bytes);
    if (moved.state == Stream::State::WouldBlock) return false;
    if (moved.state == Stream::State::Closed) {
        ended_by(from);
        return true;
    }
    if (!machine_->wants(from)) {  // looking ahead only
        if (in_place) append(mine.pending, room.subspan(kept, moved.bytes));
        return false;
    }
    // A read that left room has taken all that was there.
    const bool more = moved.bytes == whole.size() - kept || mine.stream->is_over();
    mine.bulk = mine.bulk || moved.bytes >= kBulk;
    present(from, whole.first(kept + moved.bytes));
    if (!leg(other(from)).pending.empty()) resume();
    return more;
}

void SessionRunner::ended_by(Side side) {
    Leg& mine = leg(side);
    mine.closed = true;
    if (!mine.stream->alert().empty()) machine_->on_alert(side, mine.stream->alert());
    if (const auto cut = mine.stream->cut()) machine_->on_cut(side, *cut);
    machine_->on_closed(side, *this);
    settle();
}

// A pipe is made for those only who send much: it costs descriptors.
bool SessionRunner::may_pass(Side from) {
    const Leg& mine = leg(from);
    Leg& its = leg(other(from));
    if (!mine.bulk || its.copied || !machine_->opaque() || !mine.pending.empty()) return false;
    if (!mine.stream->is_plain() || !its.stream || !its.stream->is_plain()) return false;
    if (its.waiting_bytes() != 0 || its.gone) return false;
    if (!its.pipe) its.pipe = Pipe::make();
    its.copied = !its.pipe;
    return !its.copied;
}

bool SessionRunner::pass(Side from) {
    const Side to = other(from);
    const Stream::Moved moved = leg(from).stream->read(*leg(to).pipe);
    if (moved.state == Stream::State::WouldBlock) return false;
    if (moved.state == Stream::State::Closed) {
        ended_by(from);
        return true;
    }
    machine_->on_passed(from, moved.bytes);
    drain(to);
    return true;
}

// Gives the machine all that it will take now, and keeps the rest.
void SessionRunner::present(Side from, Bytes data) {
    Leg& mine = leg(from);
    std::size_t used = 0;
    machine_->on_tick(steady_now(), *this);
    while (!ended_ && machine_->wants(from)) {
        const std::size_t n = machine_->on_received(from, data.subspan(used), *this);
        used += n;
        if (deliver()) continue;
        if (n == 0 || used == data.size() || mine.tls_wanted) break;
    }
    // What the server says behind its last answer is for nobody.
    if (from == Side::Server && used != data.size()) keep_server_ = false;
    settle();
    const Bytes rest = data.subspan(used);
    if (data.data() == mine.pending.data()) {
        mine.pending.erase(mine.pending.begin(),
                           mine.pending.begin() + static_cast<std::ptrdiff_t>(used));
        if (mine.pending.empty()) mine.pending = {};
    } else if (rest.empty()) {
        mine.pending = {};
    } else {
        mine.pending.assign(rest.begin(), rest.end());
    }
}

// The machine may ask again, or withdraw one that is still to come, while it is told.
bool SessionRunner::deliver() {
    bool any = false;
    while (!ended_) {
        if (!answers_.empty()) {
            const session::Answer answer = std::move(answers_.front());
            answers_.erase(answers_.begin());
            machine_->on_decided(answer, *this);
        } else if (!std::exchange(connect_wanted_, false) || !dial_now()) {
            break;
        }
        any = true;
    }
    return any;
}

void SessionRunner::settle() {
    deliver();
    flush(Side::Client);
    flush(Side::Server);
    notice_gone();
    again_ = true;
    changed();
    if (ended_ && !finishing_) {
        finishing_ = true;
        finish();
    }
}

void SessionRunner::notice_gone() {
    const Leg& client = leg(Side::Client);
    if (!client.gone || !client.closed || ended_) return;
    machine_->on_terminate("the client is gone", *this);
    ended_ = true;
}

void SessionRunner::flush(Side to) {
    Leg& its = leg(to);
    if (its.pieces.empty()) return finish_writing(to);
    static thread_local std::vector<iovec> vectors;
    vectors.clear();
    for (const Piece& piece : its.pieces) {
        const std::byte* at = piece.at != nullptr ? piece.at : its.own.data() + piece.offset;
        vectors.push_back({const_cast<std::byte*>(at), piece.size});
    }
    std::size_t written = 0;
    if (its.stream && its.waiting_bytes() == 0) {
        const Stream::Moved moved = its.stream->write(vectors, ends_behind(to));
        written = moved.bytes;
        // A peer that is gone is noticed by its own reader.
        if (moved.state == Stream::State::Closed) {
            written = SIZE_MAX;
            its.gone = true;
        }
    }
    for (const iovec& vector : vectors) {
        const std::size_t skip = std::min(written, vector.iov_len);
        if (written != SIZE_MAX) written -= skip;
        const auto* at = static_cast<const std::byte*>(vector.iov_base);
        append(its.backlog, Bytes{at, vector.iov_len}.subspan(skip));
    }
    its.pieces.clear();
    if (its.own.capacity() > 64 * 1024) its.own = {};
    its.own.clear();
    finish_writing(to);
}

// Whether nothing keeps the end of what is now written from following at once.
bool SessionRunner::ends_behind(Side to) const {
    const Leg& others = leg(other(to));
    if (leg(to).last) return true;
    return to == Side::Client && ended_ && !dropped_ && !cancelling_ && others.pieces.empty() &&
           others.waiting_bytes() == 0 && !shared_.services.journal->waits_for_disk();
}

void SessionRunner::finish_writing(Side to) {
    Leg& its = leg(to);
    if (!its.last || its.waiting_bytes() != 0 || !its.stream) return;
    its.last = false;
    its.stream->shutdown_write();
}

void SessionRunner::drain(Side to) {
    Leg& its = leg(to);
    Stream::Moved moved;
    if (its.pipe) moved = its.stream->write(*its.pipe);
    while (moved.state == Stream::State::Done && its.waiting_bytes() != 0) {
        const iovec rest{its.backlog.data() + its.backlog_from, its.waiting_bytes()};
        moved = its.stream->write({&rest, 1});
        its.backlog_from += moved.bytes;
    }
    if (moved.state == Stream::State::WouldBlock) return changed();
    // A peer that is gone is noticed by its own reader.
    its.gone = its.gone || moved.state == Stream::State::Closed;
    if (its.gone) its.pipe.reset();
    its.backlog = {};
    its.backlog_from = 0;
    finish_writing(to);
    notice_gone();
    if (ended_) settle();
    changed();
}

void SessionRunner::changed() {
    if (waiters_ != 0) changed_->cancel();
}

// What a side sent while it was not looked at: an event of another kind may have changed that.
bool SessionRunner::represent(Side from) {
    Leg& mine = leg(from);
    if (ended_ || mine.pending.empty() || mine.tls_wanted || !machine_->wants(from)) return false;
    const Buffer waiting = std::move(mine.pending);
    mine.pending = {};
    present(from, waiting);
    return mine.pending.size() != waiting.size();
}

void SessionRunner::resume() {
    settle();
    while (represent(Side::Client) || represent(Side::Server)) {
    }
    move();
}

void SessionRunner::flush_records() {
    gate_.flush();
}

void SessionRunner::tick(Time time) {
    if (ended_) return;
    if (std::string_view{live_->state} == "opening" &&
        std::chrono::steady_clock::now() > login_deadline_)
        machine_->on_terminate("the login took too long", *this);
    machine_->on_tick(time, *this);
    if (!ended_) machine_->on_quiet(time, *this);
    // Other protocols refuse each request for itself.
    if (!ended_ && facts_->protocol == "http")
        if (const auto why = gate_.left_out()) machine_->on_drain(*why, *this);
    if (!ended_) renew_catalog();
    resume();
}

void SessionRunner::cancel(LivePtr by) {
    canceller_ = std::move(by);
    if (!ended_) machine_->on_cancel(*this);
    // Otherwise the server is asked now, and tells.
    if (const LivePtr asked = std::exchange(canceller_, nullptr)) tell_cancelled(*asked);
    if (!ended_) resume();
}

void SessionRunner::cancelled() {
    cancelling_ = false;
    changed();
}

void SessionRunner::wake() {
    if (ended_) return;
    machine_->on_wake(*this);
    resume();
}

void SessionRunner::terminate(const std::string& reason) {
    if (ended_) return;
    cancel_server();  // what runs for nobody must not go on
    machine_->on_terminate(reason, *this);
    settle();
}

void SessionRunner::wind_down(const std::string& reason) {
    if (ended_) return;
    machine_->on_tick(steady_now(), *this);
    machine_->on_drain(reason, *this);
    resume();
}

}  // namespace chaperone::net
