// SPDX-License-Identifier: Apache-2.0
// Many connects at once, from two workloads and three address families. Each carries in its
// destination, and again in its first bytes, who made it: not one may be taken for another.
#include "tests/kernel/support.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <shared_mutex>
#include <thread>

namespace chaperone::kernel::testing {

namespace {

constexpr unsigned kWorkloads = 2;
constexpr unsigned kThreads = 32;  // of each workload

struct Hello {
    std::uint32_t workload;
    std::uint32_t thread;
    std::uint32_t number;
};

// The destination says who, and which.
Target destination_of(const Hello& hello) {
    const auto port = std::uint16_t(1024 + hello.number);
    const std::string tail = std::to_string(hello.workload) + "." + std::to_string(hello.thread);
    switch (hello.number % 3) {
    case 0: return target("10." + tail + ".1", port);
    case 1: return target("::ffff:10." + tail + ".2", port);
    default:
        return target(
            "2001:db8::" + std::to_string(hello.workload) + ":" + std::to_string(hello.thread),
            port);
    }
}

// One connect, which the proxy ends with a reset: no port stays in TIME_WAIT.
bool one_connect(const Hello& hello) {
    const Target to = destination_of(hello);
    const UniqueFd fd = stream(to.address.ss_family);
    if (connect_to(fd.get(), to) != "ok") return false;
    if (::send(fd.get(), &hello, sizeof(hello), MSG_NOSIGNAL) != ssize_t(sizeof(hello)))
        return false;
    char end;
    return ::recv(fd.get(), &end, 1, 0) <= 0;
}

std::string run_agent(unsigned workload, unsigned connects) {
    std::atomic<unsigned> failed{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (unsigned n = 0; n < connects; ++n)
                if (!one_connect({workload, t, n})) ++failed;
        });
    for (std::thread& thread : threads) thread.join();
    return std::to_string(failed) + " failed";
}

// The proxy's side: counts what came, and checks each against what its client said.
class Tally {
public:
    explicit Tally(unsigned connects) : connects_(connects) {
        seen_ =
            std::vector<std::atomic<unsigned char>>(std::size_t{kWorkloads} * kThreads * connects);
    }

    void check(int fd, const Result<Origin>& origin) {
        Hello hello{};
        if (::recv(fd, &hello, sizeof(hello), MSG_WAITALL) != ssize_t(sizeof(hello))) return;
        const linger reset{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        if (!origin) {
            ++missed;
            return;
        }
        const bool right = origin->destination == *from_sockaddr(destination_of(hello).address) &&
                           origin->workload.name == "agent" + std::to_string(hello.workload);
        if (!right) ++misattributed;
        ++seen_[(hello.workload * kThreads + hello.thread) * connects_ + hello.number];
    }

    unsigned not_seen_once() const {
        unsigned count = 0;
        for (const auto& times : seen_) count += times != 1;
        return count;
    }

    std::atomic<unsigned> missed{0};
    std::atomic<unsigned> misattributed{0};

private:
    unsigned connects_;
    std::vector<std::atomic<unsigned char>> seen_;
};

class Stress : public KernelTest {
protected:
    // Runs the agents against acceptors; during() is called once they are under way.
    void storm(unsigned connects, const std::function<void(const std::atomic<bool>&)>& during) {
        std::vector<std::filesystem::path> agents;
        for (unsigned w = 0; w < kWorkloads; ++w)
            agents.push_back(make_agent("agent" + std::to_string(w)));
        std::vector<Child> children;
        for (unsigned w = 0; w < kWorkloads; ++w)
            children.emplace_back(agents[w], [=] { return run_agent(w, connects); });

        Tally tally{connects};
        std::vector<std::thread> acceptors;
        for (const Listener* listener : {&proxy4, &proxy4, &proxy6})
            acceptors.emplace_back([&, listener] { accept_all(*listener, tally); });
        std::atomic<bool> over{false};
        std::thread beside{[&] { during(over); }};
        for (Child& child : children) EXPECT_EQ(child.result(), "0 failed");
        over = true;
        beside.join();
        ::shutdown(proxy4.fd.get(), SHUT_RDWR);
        ::shutdown(proxy6.fd.get(), SHUT_RDWR);
        for (std::thread& acceptor : acceptors) acceptor.join();

        EXPECT_EQ(tally.missed, 0U);
        EXPECT_EQ(tally.misattributed, 0U);
        EXPECT_EQ(tally.not_seen_once(), 0U);
        EXPECT_EQ(*redirector->flows_count(), 0U) << "flows leaked";
        const auto counters = redirector->counters();
        ASSERT_TRUE(counters);
        EXPECT_EQ(counters->orphans, 0U);
        EXPECT_EQ(counters->unclaimed, 0U);
    }

    std::shared_mutex swapping;  // held shared by who asks for an origin

private:
    void accept_all(const Listener& listener, Tally& tally) {
        for (;;) {
            const UniqueFd fd{::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            if (!fd) return;
            const auto origin = [&] {
                const std::shared_lock lock{swapping};
                return redirector->origin(fd.get());
            }();
            tally.check(fd.get(), origin);
        }
    }
};

// Fewer under emulation, where each takes twenty times as long.
unsigned connects_of_a_thread() {
    const char* fewer = std::getenv("CHAPERONE_STRESS_CONNECTS");
    return fewer != nullptr ? unsigned(std::atoi(fewer)) : 1563;
}

TEST_F(Stress, AHundredThousandConnectsBySixtyFourThreads) {
    const unsigned connects = connects_of_a_thread();
    storm(connects, [](const std::atomic<bool>&) {});
    EXPECT_GE(redirector->counters()->handovers, kWorkloads * kThreads * connects);
}

// Loading takes seconds where the kernel is emulated, and nobody is answered meanwhile.
constexpr unsigned kMostSwaps = 20;

TEST_F(Stress, ProgramsAreSwappedUnderLoad) {
    unsigned swaps = 0;
    storm(std::min(150U, connects_of_a_thread()), [&](const std::atomic<bool>& over) {
        do {
            const std::unique_lock lock{swapping};
            reopen();
            if (HasFatalFailure()) ::abort();  // nothing to ask origins of
            ++swaps;
        } while (!over && swaps < kMostSwaps);
    });
    EXPECT_GE(swaps, 2U);
    EXPECT_EQ(redirector->verify()->size(), 0U);
}

}  // namespace

}  // namespace chaperone::kernel::testing
