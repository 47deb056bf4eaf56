// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/poller.h"

#include "userspace/base/steady.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <system_error>

namespace chaperone::net {

asio::execution_context::id Poller::id;

Poller::Poller(asio::execution_context& context)
    : asio::execution_context::service(context),
      context_(static_cast<asio::io_context&>(context)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      waiting_(context_) {
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
    return add(fd, std::move(listener), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

// Not edge by edge: what one thread leaves is there for the next.
Result<std::unique_ptr<Poller::Slot>> Poller::add_shared(int fd,
                                                         std::shared_ptr<Listener> listener) {
    return add(fd, std::move(listener), EPOLLIN | EPOLLEXCLUSIVE);
}

Result<std::unique_ptr<Poller::Slot>> Poller::add(int fd, std::shared_ptr<Listener> listener,
                                                  std::uint32_t events) {
    std::unique_ptr<Slot> slot{new Slot{*this, fd, std::move(listener)}};
    epoll_event event{.events = events, .data = {.ptr = slot.get()}};
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

// Looks for a while, and lets others run meanwhile.
int Poller::look(std::span<epoll_event> events) {
    for (unsigned left = look_out_.looks(); left != 0 && !asked_; --left) {
        const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
        if (n != 0) return n;
        ::sched_yield();
    }
    return 0;
}

int Poller::wait(std::span<epoll_event> events, int most) {
    const auto since = std::chrono::steady_clock::now();
    if (most != 0)
        if (const int n = look(events); n > 0) {
            look_out_.found();
            return n;
        }
    sleeping_ = true;
    // What was posted before this was seen did not ring.
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                               asked_ ? 0 : most);
    sleeping_ = false;
    if (most != 0) look_out_.slept(std::chrono::steady_clock::now() - since);
    return n;
}

void Poller::turns() {
    std::array<epoll_event, kEvents> events;
    armed_ = false;
    turning_ = true;
    bool more = true;  // there may be
    int most = 0;
    for (const auto until = about_now() + kShift; !(slots_.empty() && later_.empty());
         most = patience()) {
        const int n = wait(events, most);
        more = n > 0 || !later_.empty();
        if (!more) break;
        dispatch(std::span{events}.first(static_cast<std::size_t>(std::max(n, 0))));
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
