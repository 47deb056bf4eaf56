// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/tape.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

namespace chaperone::record {
namespace {

// Set aside at a time: some thousand entries, and little enough to be had on a small disk.
constexpr std::uint64_t kRoom = std::uint64_t{1} << 20;
constexpr std::uint64_t kPage = 4096;  // at least; windows begin at a multiple of kRoom
// Brought into memory at a time: one call for many pages costs far less than a fault for each.
constexpr std::size_t kPrepared = std::size_t{64} << 10;
constexpr std::size_t kLength = 4;  // of a frame, at its front

// Somebody may cut the file, or its disk may fail, under the mapping: the kernel says so by SIGBUS
// to the thread that writes, which then sees an error of append() like any other.
thread_local sigjmp_buf* t_copying = nullptr;

void on_bus_error(int signal) {
    if (t_copying != nullptr) siglongjmp(*t_copying, 1);
    ::signal(signal, SIG_DFL);  // not ours: end as ever
    ::raise(signal);
}

void handle_bus_errors() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action{};
        action.sa_handler = on_bus_error;
        action.sa_flags = SA_NODEFER;
        ::sigaction(SIGBUS, &action, nullptr);
    });
}

// The length goes last: what has no length is not there.
bool copy_frames(std::byte* to, Bytes frames) noexcept {
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) {
        t_copying = nullptr;
        return false;
    }
    t_copying = &here;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(to + kLength, frames.data() + kLength, frames.size() - kLength);
    std::atomic_thread_fence(std::memory_order_release);
    std::memcpy(to, frames.data(), kLength);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_copying = nullptr;
    return true;
}

}  // namespace

Tape::Tape(Tape&& other) noexcept
    : fd_(std::move(other.fd_)),
      end_(other.end_),
      size_(other.size_),
      window_(std::exchange(other.window_, {})),
      window_from_(other.window_from_),
      prepared_(other.prepared_) {}

Tape& Tape::operator=(Tape&& other) noexcept {
    if (this == &other) return *this;
    release();
    fd_ = std::move(other.fd_);
    end_ = other.end_;
    size_ = other.size_;
    window_ = std::exchange(other.window_, {});
    window_from_ = other.window_from_;
    prepared_ = other.prepared_;
    return *this;
}

Tape::~Tape() {
    release();
}

Result<Tape> Tape::open(const std::filesystem::path& path, std::uint64_t end) {
    handle_bus_errors();
    Tape tape;
    tape.fd_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!tape.fd_) return system_error("open " + path.string(), errno);
    struct stat status{};
    if (::fstat(tape.fd_.get(), &status) != 0) return system_error("stat " + path.string(), errno);
    tape.end_ = end;
    tape.size_ = static_cast<std::uint64_t>(status.st_size);
    if (auto done = tape.finish(); !done) return fail(done.error());
    return tape;
}

void Tape::release() {
    if (!window_.empty()) ::munmap(window_.data(), window_.size());
    window_ = {};
}

Result<> Tape::finish() {
    release();
    if (size_ == end_) return {};
    if (::ftruncate(fd_.get(), static_cast<off_t>(end_)) != 0)
        return system_error("cut the journal's segment", errno);
    size_ = end_;
    return {};
}

// Where a disk has no place for the usual room, what is needed may still fit.
Result<> Tape::make_room(std::size_t size) {
    // Somebody may have cut or lengthened it.
    struct stat status{};
    if (::fstat(fd_.get(), &status) != 0) return system_error("stat the journal's segment", errno);
    size_ = static_cast<std::uint64_t>(status.st_size);
    if (size_ < end_) return fail(Errc::Corrupt, "the journal's segment was cut by somebody else");
    if (size_ - end_ >= size) return {};
    int error = 0;
    for (const std::uint64_t unit : {kRoom, kPage}) {
        const std::uint64_t wanted = (end_ + size + unit - 1) / unit * unit;
        error = ::posix_fallocate(fd_.get(), static_cast<off_t>(size_),
                                  static_cast<off_t>(wanted - size_));
        if (error != 0) continue;
        size_ = wanted;
        return {};
    }
    return system_error("set aside room for the journal", error);
}

Result<> Tape::map(std::size_t size) {
    release();
    window_from_ = end_ / kRoom * kRoom;
    const std::uint64_t to = std::max(size_, end_ + size);
    void* const at = ::mmap(nullptr, to - window_from_, PROT_READ | PROT_WRITE, MAP_SHARED,
                            fd_.get(), static_cast<off_t>(window_from_));
    if (at == MAP_FAILED) return system_error("map the journal's segment", errno);
    window_ = {static_cast<std::byte*>(at), static_cast<std::size_t>(to - window_from_)};
    prepared_ = static_cast<std::size_t>(end_ - window_from_) / kPage * kPage;
    return {};
}

// Where it cannot be done (before Linux 5.14; a file that was cut) the copy itself finds out.
void Tape::prepare(std::size_t size) {
    const std::size_t wanted = static_cast<std::size_t>(end_ - window_from_) + size;
    if (wanted <= prepared_) return;
    const std::size_t to =
        std::min((wanted + kPrepared - 1) / kPrepared * kPrepared, window_.size());
    (void)::madvise(window_.data() + prepared_, to - prepared_, MADV_POPULATE_WRITE);
    prepared_ = to;
}

Result<> Tape::append(Bytes frames) {
    if (frames.size() < kLength) return fail(Errc::Invalid, "no frame");
    if (window_.empty() || window_.size() - (end_ - window_from_) < frames.size()) {
        if (auto done = make_room(frames.size()); !done) return done;
        if (auto done = map(frames.size()); !done) return done;
    }
    prepare(frames.size());
    if (!copy_frames(window_.data() + (end_ - window_from_), frames)) {
        release();
        return fail(Errc::Corrupt, "the journal's segment was cut, or its disk has failed");
    }
    end_ += frames.size();
    return {};
}

int Tape::sync() const {
    return ::fdatasync(fd_.get()) == 0 ? 0 : errno;
}

}  // namespace chaperone::record
