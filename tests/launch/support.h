// SPDX-License-Identifier: Apache-2.0
// Agents in cgroups of their own, started by the test as root: sh, or the test program itself as a
// probe (see probe.cpp), whose exit status says what happened to it.
#pragma once

#include "userspace/base/file.h"
#include "userspace/launch/launch.h"
#include "userspace/launch/mounts.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>
#include <utility>

namespace chaperone::launch::testing {

// What is told of attempts, by another process: kept in a file.
struct Told {
    std::filesystem::path file{};
    std::function<Result<>()> first{};

    void listen(LaunchOptions& options) {
        options.attempts = [this](const Cgroup&, const std::vector<Attempt>& attempts,
                                  const std::string& why) -> Result<> {
            if (!attempts.empty() && first)
                if (auto done = std::exchange(first, nullptr)(); !done) return done;
            std::ofstream out{file, std::ios::app};
            if (attempts.empty()) out << "ready " << why << '\n';
            for (const Attempt& one : attempts)
                out << one.call << ' ' << one.error << ' ' << one.pid << ' ' << one.count << ' '
                    << one.comm << '\n';
            return {};
        };
    }
    std::string why_not() const {
        std::ifstream in{file};
        std::string line;
        std::getline(in, line);
        return line.starts_with("ready ") ? line.substr(6) : "never told";
    }
    std::vector<Attempt> all() const {
        std::vector<Attempt> all;
        std::ifstream in{file};
        for (std::string line; std::getline(in, line);) {
            std::istringstream words{line};
            Attempt one;
            words >> one.call >> one.error >> one.pid >> one.count >> std::ws;
            std::getline(words, one.comm);
            if (one.call != "ready") all.push_back(one);
        }
        return all;
    }
    std::uint64_t total() const {
        std::uint64_t sum = 0;
        for (const Attempt& attempt : all()) sum += attempt.count;
        return sum;
    }
};

class LaunchTest : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(::geteuid(), 0u) << "these tests run as root";
        std::string name = (std::filesystem::temp_directory_path() / "launch-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        std::filesystem::permissions(folder_, std::filesystem::perms{0777});
        told_.file = folder_ / "told";
        options_.workload = "billing";
        options_.tag = "test" + std::to_string(::getpid());
        options_.environment = {{"OUT", (folder_ / "out").string()}};
        options_.bind = [this](const Cgroup& cgroup, pid_t pid) -> Result<> {
            cgroup_ = cgroup;
            pid_ = pid;
            return {};
        };
    }
    void TearDown() override {
        std::filesystem::remove_all(folder_);
        const auto top = *find_cgroup2(*read_mounts()) / ("chaperone-" + options_.tag);
        ::rmdir((top / "agents").c_str());
        ::rmdir(top.c_str());
        EXPECT_FALSE(std::filesystem::exists(top)) << "a cgroup was left behind";
    }

    int run(std::vector<std::string> command) {
        options_.command = std::move(command);
        const auto status = launch::run(options_);
        EXPECT_TRUE(status) << status.error().message();
        EXPECT_FALSE(std::filesystem::exists(cgroup_.path));
        return status ? *status : -1;
    }
    int shell(const std::string& script) { return run({"/bin/sh", "-c", script}); }
    // The errno that the probe met, 0 if it was let through.
    int probe(const std::string& name) {
        options_.environment.emplace_back("CHAPERONE_PROBE", name);
        return run({std::filesystem::read_symlink("/proc/self/exe").string()});
    }
    std::string output() const { return read_file(folder_ / "out").value_or("nothing"); }
    std::string error_of(std::vector<std::string> command) {
        options_.command = std::move(command);
        const auto status = launch::run(options_);
        EXPECT_FALSE(status);
        return status ? "" : status.error().message();
    }

    // The cgroup of an agent whose launcher was killed.
    void clear_after(pid_t agent) const {
        const auto path = *find_cgroup2(*read_mounts()) / ("chaperone-" + options_.tag) / "agents" /
                          ("billing-" + std::to_string(agent));
        std::ofstream{path / "cgroup.kill"} << "1";
        const auto populated = [&] {
            return read_file(path / "cgroup.events")->find("populated 1") != std::string::npos;
        };
        while (populated()) std::this_thread::yield();
        EXPECT_EQ(::rmdir(path.c_str()), 0);
    }

    std::filesystem::path folder_;
    LaunchOptions options_;
    Cgroup cgroup_;
    pid_t pid_ = 0;
    Told told_;
};

// Runs it in a process of its own, so that signals can be sent to the launcher.
class LauncherProcess {
public:
    explicit LauncherProcess(const LaunchOptions& options) : pid_(::fork()) {
        if (pid_ != 0) return;
        const auto status = launch::run(options);
        ::_exit(status ? *status : 99);
    }
    pid_t pid() const { return pid_; }
    int wait() const {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

private:
    pid_t pid_;
};

// A named pipe tells when the agent is so far.
inline std::string read_line(const std::filesystem::path& fifo) {
    std::ifstream in{fifo};
    std::string line;
    std::getline(in, line);
    return line;
}

}  // namespace chaperone::launch::testing
