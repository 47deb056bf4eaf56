// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/outside.h"

#include "userspace/base/file.h"
#include "userspace/kernel/cgroup.h"

#include <fstream>
#include <map>
#include <set>

namespace chaperone::daemon {
namespace fs = std::filesystem;
namespace {

struct Tree {
    std::vector<pid_t> processes{};
    std::set<std::uint64_t> cgroups{};
};

void read_tree(const fs::path& top, Tree& tree) {
    const auto read = [&](const fs::path& cgroup) {
        if (const auto id = kernel::cgroup_id(cgroup)) tree.cgroups.insert(*id);
        std::ifstream processes{cgroup / "cgroup.procs"};
        for (pid_t pid = 0; processes >> pid;)
            if (pid != 0) tree.processes.push_back(pid);
    };
    read(top);
    std::error_code error;
    fs::recursive_directory_iterator entry{top, error};
    for (; !error && entry != fs::recursive_directory_iterator{}; entry.increment(error)) {
        std::error_code ignored;
        if (entry->is_directory(ignored)) read(entry->path());
    }
}

std::string comm_of(pid_t pid) {
    auto text = read_file("/proc/" + std::to_string(pid) + "/comm", 64).value_or("");
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

}  // namespace

Result<Outside> find_outside(const std::vector<fs::path>& cgroups, Which which) {
    Tree tree;
    for (const fs::path& cgroup : cgroups) read_tree(cgroup, tree);
    auto sockets = kernel::list_connected_sockets();
    if (!sockets) return fail(sockets.error());
    std::map<std::uint32_t, const kernel::OpenSocket*> by_inode;
    for (const kernel::OpenSocket& socket : *sockets)
        if (which == Which::All || !tree.cgroups.contains(socket.cgroup_id))
            by_inode[socket.inode] = &socket;
    Outside outside;
    for (const pid_t pid : tree.processes) {
        const auto inodes = kernel::socket_inodes_of(pid);
        if (!inodes) {
            if (fs::exists("/proc/" + std::to_string(pid))) ++outside.unknown;
            continue;
        }
        for (const std::uint32_t inode : *inodes)
            if (const auto found = by_inode.find(inode); found != by_inode.end())
                outside.connections.push_back(
                    {.socket = *found->second, .pid = pid, .comm = comm_of(pid)});
    }
    return outside;
}

Result<std::size_t> end_outside(const Outside& outside) {
    std::size_t ended = 0;
    for (const OutsideConnection& connection : outside.connections) {
        const auto done = kernel::destroy_socket(connection.socket);
        if (!done && done.error().code != Errc::NotFound) return fail(done.error());
        ++ended;
    }
    return ended;
}

}  // namespace chaperone::daemon
