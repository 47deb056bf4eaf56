// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/poller.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace chaperone::net {

namespace {

// Where several sessions take turns there is always somebody who needs the processor more than a
// look-out does: it is left out for so many waits.
constexpr unsigned kOthersTurn = 32;

// To a tick of the kernel, at next to no cost.
std::chrono::nanoseconds about_now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

}  // namespace

asio::execution_context::id Poller::id;

Poller::Poller(asio::execution_context& context)
    : asio::execution_context::service(context),
      context_(static_cast<asio::io_context&>(context)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      waiting_(context_),
      worth_it_(std::thread::hardware_concurrency() > 1) {
    epoll_event bell{.events = EPOLLIN, .data = {.ptr = nullptr}};
    if (!epoll_ || !bell_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell_.get(), &bell) != 0)
        throw std::system_error(errno, std::system_category(), "make a poller");
    waiting_.assign(epoll_.get());
}

// The context ends: what sessions hold is let go while this object still stands.
void Poller::shutdown() {
    std::vector<std::shared_ptr<Listener>> last = std::move(later_);
    later_.clear();
    for (Slot* slot : slots_) last.push_back(std::move(slot->listener_));
    boost::system::error_code ignored;
    waiting_.cancel(ignored);
    waiting_.release();  // closed by its owner, epoll_
    last.clear();
}

Result<std::unique_ptr<Poller::Slot>> Poller::add(int fd, std::shared_ptr<Listener> listener) {
    std::unique_ptr<Slot> slot{new Slot{*this, fd, std::move(listener)}};
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                      .data = {.ptr = slot.get()}};
    slot->at_ = slots_.size();
    slots_.push_back(slot.get());
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return system_error("watch a connection", errno);
    arm();
    return slot;
}

Poller::Slot::~Slot() {
    poller_.remove(*this);
}

void Poller::remove(Slot& slot) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, slot.fd_, nullptr);
    slots_.back()->at_ = slot.at_;
    slots_[slot.at_] = slots_.back();
    slots_.pop_back();
    for (epoll_event& event : batch_)
        if (event.data.ptr == &slot) event.data.ptr = nullptr;
    // A context in which nothing is left to wait for may end.
    boost::system::error_code ignored;
    if (slots_.empty() && waiting_.is_open()) waiting_.cancel(ignored);
}

void Poller::later(const std::shared_ptr<Listener>& listener) {
    later_.push_back(listener);
    arm();
}

void Poller::wake() {
    asked_ = true;
    if (!sleeping_) return;
    const std::uint64_t one = 1;
    (void)!::write(bell_.get(), &one, sizeof one);  // full: it is ringing already
}

// Waits together with everything else of the io_context.
void Poller::arm() {
    if (armed_ || turning_) return;
    armed_ = true;
    if (!later_.empty()) {
        asio::post(context_, [this] { turns(); });
        return;
    }
    waiting_.async_wait(asio::posix::stream_descriptor::wait_read,
                        [this](boost::system::error_code) { turns(); });
}

int Poller::patience() {
    return outside_ != 0 || !later_.empty() || asked_ ? 0 : kPatience;
}

// Events that come while the thread is awake cost nobody a wake-up, and nobody's time.
int Poller::look_out(std::span<epoll_event> events) {
    if (!worth_it_) return 0;
    if (leave_out_ != 0) {
        --leave_out_;
        return 0;
    }
    const auto until = std::chrono::steady_clock::now() + kLookOut;
    do {
        const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
        if (n == 0 && !asked_) continue;
        left_out_ = 0;
        return n;
    } while (std::chrono::steady_clock::now() < until);
    leave_out_ = left_out_ = std::min(2 * left_out_ + 1, kMostLeftOut);
    return 0;
}

int Poller::wait(std::span<epoll_event> events, int most) {
    if (most != 0)
        if (const int n = look_out(events); n != 0) return n;
    sleeping_ = true;
    // What was posted before this was seen did not ring.
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                               asked_ ? 0 : most);
    sleeping_ = false;
    return n;
}

void Poller::turns() {
    std::array<epoll_event, kEvents> events;
    armed_ = false;
    turning_ = true;
    bool more = true;  // there may be
    int most = 0;
    const Listener* last = nullptr;
    for (const auto until = about_now() + kShift; !(slots_.empty() && later_.empty());
         most = patience()) {
        const int n = wait(events, most);
        more = n > 0 || !later_.empty();
        if (!more) break;
        const auto told = std::span{events}.first(static_cast<std::size_t>(std::max(n, 0)));
        for (const epoll_event& event : told) {
            const auto* const slot = static_cast<const Slot*>(event.data.ptr);
            if (slot == nullptr || slot->listener_.get() == last) continue;
            if (last != nullptr) leave_out_ = std::max(leave_out_, kOthersTurn);
            last = slot->listener_.get();
        }
        dispatch(told);
        if (asked_ || about_now() >= until) break;
    }
    turning_ = false;
    asked_ = false;
    if (slots_.empty() && later_.empty()) return;
    if (more) {
        armed_ = true;
        asio::post(context_, [this] { turns(); });
    } else {
        arm();
    }
}

void Poller::dispatch(std::span<epoll_event> events) {
    const std::vector<std::shared_ptr<Listener>> again = std::exchange(later_, {});
    batch_ = events;
    while (!batch_.empty()) {
        const epoll_event event = batch_.front();
        batch_ = batch_.subspan(1);
        auto* const slot = static_cast<Slot*>(event.data.ptr);
        if (slot == nullptr) {  // the bell, or a socket that was given up meanwhile
            std::uint64_t rung = 0;
            (void)!::read(bell_.get(), &rung, sizeof rung);
            continue;
        }
        if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) slot->readable = true;
        if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) slot->hangup = true;
        const std::shared_ptr<Listener> listener = slot->listener_;
        listener->ready();
    }
    for (const auto& listener : again) listener->ready();
}

}  // namespace chaperone::net
