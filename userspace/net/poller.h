// SPDX-License-Identifier: Apache-2.0
// Readiness of the sockets of one thread without a system call for each wait: every socket is
// registered once, edge-triggered, in an epoll instance of our own. While sockets are busy the
// thread waits here, and the rest of its io_context (timers, dials, handshakes) gets its turn at
// once where something of it is under way, and otherwise within kShift and kPatience.
// A service of the io_context, and used on its thread, but for post() and wake().
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"
#include "userspace/net/look_out.h"

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace chaperone::net {

namespace asio = boost::asio;

class Poller final : public asio::execution_context::service {
public:
    static asio::execution_context::id id;  // as every service has it

    // Who is told that a socket may have become readable or writable, or was closed by its peer.
    class Listener {
    public:
        virtual ~Listener() = default;
        virtual void ready() noexcept = 0;
    };

    // A registered socket. Its destruction ends the registration; the descriptor is the owner's.
    class Slot {
    public:
        ~Slot();
        Slot(const Slot&) = delete;
        Slot& operator=(const Slot&) = delete;

        bool readable = true;  // false: all that was there is read; the owner says so
        bool hangup = false;   // the end follows: a short read has not taken all

        Poller& poller() const { return poller_; }
        const std::shared_ptr<Listener>& listener() const { return listener_; }
        // From now on another one is told.
        void hand_over(std::shared_ptr<Listener> listener) { listener_ = std::move(listener); }

    private:
        friend class Poller;
        Slot(Poller& poller, int fd, std::shared_ptr<Listener> listener)
            : poller_(poller), fd_(fd), listener_(std::move(listener)) {}
        Poller& poller_;
        int fd_;
        std::size_t at_ = 0;  // in Poller::slots_
        std::shared_ptr<Listener> listener_;
    };

    // While one lives, the io_context is not kept waiting.
    class Outside {
    public:
        explicit Outside(Poller& poller) : poller_(&poller) { ++poller_->outside_; }
        Outside(Outside&& other) noexcept : poller_(std::exchange(other.poller_, nullptr)) {}
        Outside& operator=(Outside&&) = delete;
        ~Outside() {
            if (poller_ != nullptr) --poller_->outside_;
        }

    private:
        Poller* poller_;
    };

    explicit Poller(asio::execution_context& context);
    static Poller& of(asio::io_context& context) { return asio::use_service<Poller>(context); }

    // The listener is kept alive by the slot, and is first told soon after this.
    Result<std::unique_ptr<Slot>> add(int fd, std::shared_ptr<Listener> listener);
    // The same for a socket that other threads watch, too: one of those that wait is told, as long
    // as there is something to read.
    Result<std::unique_ptr<Slot>> add_shared(int fd, std::shared_ptr<Listener> listener);
    // The listener is told again in the next turn, behind what else is ready then.
    void later(const std::shared_ptr<Listener>& listener);

    // As asio::post, and the thread does not sleep over it. Any thread may call it.
    template <class Function>
    void post(Function function) {
        asio::post(context_, std::move(function));
        wake();
    }
    void wake();

private:
    void shutdown() override;
    void arm();
    void turns();
    void dispatch(std::span<epoll_event> events);
    Result<std::unique_ptr<Slot>> add(int fd, std::shared_ptr<Listener> listener,
                                      std::uint32_t events);
    void remove(Slot& slot);
    int patience();
    int wait(std::span<epoll_event> events, int most);
    int look(std::span<epoll_event> events);

    // How long a wait lasts that the io_context does not notice. Longer than the kernel's own tick:
    // a timer that is next to go off must be programmed and taken back for each wait, at the price
    // of a system call or two on a virtual machine.
    static constexpr int kPatience = 20;  // ms
    // How long turns follow each other without it.
    static constexpr auto kShift = std::chrono::milliseconds{20};
    static constexpr std::size_t kEvents = 128;

    asio::io_context& context_;
    UniqueFd epoll_;
    UniqueFd bell_;  // rung by wake()
    asio::posix::stream_descriptor waiting_;
    std::vector<Slot*> slots_;
    std::vector<std::shared_ptr<Listener>> later_;
    std::span<epoll_event> batch_;  // events that are still to be told
    std::size_t outside_ = 0;
    LookOut look_out_;
    bool armed_ = false;              // the io_context will call turns()
    bool turning_ = false;            // it does
    std::atomic<bool> asked_{false};  // something was posted
    std::atomic<bool> sleeping_{false};
};

}  // namespace chaperone::net
