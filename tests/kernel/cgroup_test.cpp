// SPDX-License-Identifier: Apache-2.0
// Finding cgroups: from the texts of /proc, and by id on the real hierarchy.
#include "userspace/kernel/cgroup.h"

#include "tests/kernel/support.h"

#include <thread>

#include <linux/capability.h>
#include <sys/syscall.h>

namespace chaperone::kernel::testing {

namespace {

struct MountCase {
    const char* text;
    const char* expected;  // a path, or the error's code
};

std::string mount_of(std::string_view text) {
    const auto path = parse_cgroup2_mount(text);
    if (path) return path->string();
    return path.error().code == Errc::NotFound ? "none" : "unsupported";
}

TEST(CgroupText, FindsTheMount) {
    const MountCase cases[] = {
        {"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
         "/sys/fs/cgroup/unified"},
        {"31 23 0:28 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw\n"
         "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"
         "35 31 0:38 / /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup2 rw\n",
         "/sys/fs/cgroup"},
        {"35 31 0:38 /a /mnt rw - cgroup2 x rw\n36 31 0:38 / /with\\040blank rw - cgroup2 x rw",
         "/with blank"},
        {"35 31 0:38 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "unsupported"},
        {"", "none"},
        {"35 31 0:38 / /sys/fs/cgroup rw", "none"},
        {" - cgroup2", "none"},
        {"35 31 0:38 / - cgroup2 cgroup2 rw", "none"},
        {"35 31 0:38 / /x\\04 rw - cgroup2 c rw", "/x\\04"},
        {"35 31 0:38 / /x\\999\\ rw - cgroup2 c rw", "/x\\999\\"},
        {"35 31 0:38 / /cgroup2 rw - ext4 cgroup2 rw", "none"},
    };
    for (const MountCase& each : cases) EXPECT_EQ(mount_of(each.text), each.expected) << each.text;
}

TEST(CgroupText, EveryCutOfAMountinfoIsSafe) {
    const std::string whole = "41 31 0:38 / /sys/fs/cg\\040roup rw shared:1 - cgroup2 cgroup2 rw\n";
    for (std::size_t size = 0; size <= whole.size(); ++size)
        (void)parse_cgroup2_mount(std::string{whole, 0, size});
    EXPECT_EQ(mount_of(whole), "/sys/fs/cg roup");
}

TEST(CgroupText, FindsTheLineOfVersion2) {
    EXPECT_EQ(parse_cgroup_line("9:name=systemd:/\n8:pids:/\n0::/a/b\n").value(), "/a/b");
    EXPECT_EQ(parse_cgroup_line("0::/").value(), "/");
    EXPECT_EQ(parse_cgroup_line("0::/x:y").value(), "/x:y");
    EXPECT_EQ(parse_cgroup_line("1:cpu:/\n").error().code, Errc::NotFound);
    EXPECT_EQ(parse_cgroup_line("").error().code, Errc::NotFound);
    EXPECT_EQ(parse_cgroup_line("0::/../x\n").error().code, Errc::Unsupported);
    EXPECT_EQ(parse_cgroup_line("0::/x (deleted)\n").error().code, Errc::Unsupported);
    EXPECT_EQ(parse_cgroup_line("0::\n").error().code, Errc::Unsupported);
}

using Cgroups = KernelTest;

TEST_F(Cgroups, AreFoundById) {
    const auto path = make_cgroup("found");
    const auto id = cgroup_id(path);
    ASSERT_TRUE(id);
    auto fd = open_cgroup_by_id(*id);
    ASSERT_TRUE(fd) << fd.error().message();
    EXPECT_EQ(*cgroup_path(fd->get()), path);
    fd->reset();
    ASSERT_EQ(::rmdir(path.c_str()), 0);
    EXPECT_EQ(open_cgroup_by_id(*id).error().code, Errc::NotFound);
}

// As the packaged service: without the capability to open files by handle.
TEST_F(Cgroups, AreFoundByIdWithoutTheCapability) {
    const auto inner = make_cgroup("outer/inner");
    const auto id = cgroup_id(inner);
    ASSERT_TRUE(id);
    std::thread{[&] {  // capabilities are a thread's own
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
        ASSERT_EQ(::syscall(SYS_capget, &header, data), 0);
        data[0].effective &= ~(1U << CAP_DAC_READ_SEARCH);
        ASSERT_EQ(::syscall(SYS_capset, &header, data), 0);
        for (int again = 0; again != 2; ++again) {  // the second time from what is remembered
            auto fd = open_cgroup_by_id(*id);
            ASSERT_TRUE(fd) << fd.error().message();
            EXPECT_EQ(*cgroup_path(fd->get()), inner);
        }
        ASSERT_EQ(::rmdir(inner.c_str()), 0);
        EXPECT_EQ(open_cgroup_by_id(*id).error().code, Errc::NotFound);
    }}
        .join();
}

TEST_F(Cgroups, TheCoreIsWhereThisProcessIs) {
    const auto own = cgroup_of(0);
    ASSERT_TRUE(own);
    EXPECT_EQ(*own, "/chaperone-" + tag + "/core");
    EXPECT_EQ(*cgroup_of(::getpid()), *own);
    EXPECT_EQ(prepare_core_cgroup("a/b").error().code, Errc::Invalid);
    EXPECT_EQ(open_cgroup("/tmp").error().code, Errc::Invalid);
    EXPECT_EQ(prepare_agents_cgroup(tag)->filename(), "agents");
}

}  // namespace

}  // namespace chaperone::kernel::testing
