# SPDX-License-Identifier: Apache-2.0
"""Containers that podman and systemd-nspawn make in a governed cgroup, with a network namespace of
their own, as root and rootless: governed the same way, and nothing else gets out of them."""
import os
import unittest
from pathlib import Path

from harness import World, run, wait_until
from test_kernel_verdicts import Echo
from test_workloads import Cgroup

SECRET = "PGPASSWORD=x PGSSLMODE=disable PGCONNECT_TIMEOUT=10"
# The database by its own address, an address that no resource has, a server that no resource has, and
# a datagram to it. The container's own loopback device would be another one.
ASK = """
export {secret}
grep -o tap0 /proc/net/dev
psql -X -A -t -h 127.0.0.1 -p {port} -U agent -d shop -c 'select 40+2' 2>&1
psql -X -A -t -h 192.0.2.1 -p {port} -U agent -d shop -c 'select 1' 2>&1
/usr/bin/python3 -c '
import socket
came = 0
try:
    s = socket.create_connection(("{host}", {other}), 3)
    s.sendall(b"hello")
    came += s.recv(9) == b"echo:hell"
except OSError: pass
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"hello", ("{host}", {other}))
    came += 1
except OSError: pass
print("uncovered:", came)
'
"""


class Containers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone
        cls.cgroup = Cgroup()
        cls.cgroup.__enter__()
        cls.addClassCleanup(cls.cgroup.__exit__)
        cls.cgroup.says("cd /")
        cls.chaperone.ok("workload", "add", "billing-agent", "--cgroup", cls.cgroup.path)
        cls.addClassCleanup(cls.remove_cgroups)
        cls.outside = Echo()
        cls.addClassCleanup(cls.outside.close)
        cls.image, cls.work = cls.world.folder / "image", cls.world.folder / "work"
        cls.make_root(cls.image)
        cls.work.mkdir()
        (cls.work / "ask").write_text(ASK.format(secret=SECRET, port=cls.world.db.port,
                                                 host="10.0.2.2", other=cls.outside.port))
        for path in (cls.work, cls.work / "ask"):
            os.chmod(path, 0o755)

    @staticmethod
    def make_root(root):
        """No registry: the host's own programs, bound in."""
        for name in ("usr", "etc", "proc", "sys", "dev", "tmp", "run", "var", "root", "asked"):
            (root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/" + name).is_symlink():
                (root / name).symlink_to("usr/" + name)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/os-release").write_text("ID=test\n")
        (root / "etc/mtab").symlink_to("../proc/mounts")
        for name in ("etc/resolv.conf", "etc/hosts", "etc/hostname", "run/.containerenv"):
            (root / name).touch()
        for path in (root, *root.iterdir()):
            if not path.is_symlink():
                os.chmod(path, 0o755)

    @classmethod
    def remove_cgroups(cls):
        """Those that engines made below ours."""
        for path in sorted(cls.cgroup.path.glob("**/"), reverse=True):
            if path != cls.cgroup.path:
                wait_until(lambda: not (path / "cgroup.procs").read_text(), f"{path} is empty")
                path.rmdir()

    def in_container(self, words):
        """In the cgroup, with a view of the cgroup tree that begins there: engines refuse trees that
        are mixed of cgroup v1 and v2, and must not write outside of ours."""
        said = self.cgroup.says(self.command(words))
        lines = said.strip().splitlines()
        self.assertIn("42", lines, said + self.chaperone.log()[-2000:])
        self.assertIn("no resource", said)  # of 192.0.2.1: refused, in PostgreSQL's words
        self.assertIn("uncovered: 0", said)
        sessions = self.chaperone.json("session", "list")["sessions"]
        self.assertTrue(sessions)
        self.assertTrue(all(s["workload"] == "billing-agent" for s in sessions))
        return said

    def command(self, words):
        script = self.world.folder / "start"
        script.write_text("cd /\n"  # the checkout may be in a folder that ordinary users cannot enter
                          "mount -t cgroup2 none /sys/fs/cgroup\n"
                          "mount --make-rshared /\n"
                          # For slirp4netns of an ordinary user; some hosts give root alone the device.
                          "mount -t tmpfs -o mode=755 tun /dev/net\n"
                          "mknod -m 666 /dev/net/tun c 10 200\n" + words + "\n")
        return f"unshare --mount --cgroup --pid --fork --mount-proc sh {script} < /dev/null"

    def podman(self, name, network, user=None):
        folder = self.world.folder / name
        folder.mkdir()
        if user is not None:
            os.chown(folder, user, user)
        become = "" if user is None else f"setpriv --reuid={user} --regid={user} --clear-groups "
        # Not attached to: to call the socket of its monitor would take a resource of protocol unix.
        return (f"export HOME={folder} XDG_RUNTIME_DIR={folder}\n"
                f"podman() {{ {become}/usr/bin/podman --root {folder}/store --runroot {folder}/run "
                f"--tmpdir {folder}/tmp --runtime crun --cgroup-manager cgroupfs "
                "--events-backend none \"$@\"; }\n"
                "podman run --detach --name agent --cgroups=disabled --ulimit nofile=1024:1024 "
                f"--ulimit nproc=1000:1000 --network={network} -v /usr:/usr:ro "
                f"-v {self.work}:/asked:ro --rootfs {self.image} sh /asked/ask 2>&1\n"
                "podman wait agent 2>&1; podman logs agent 2>&1; podman rm agent 2>&1")

    def test_podman_of_root(self):
        self.in_container(self.podman("rootful", "none"))

    def test_podman_of_an_ordinary_user(self):
        self.in_container(self.podman("rootless", "none", user=65534))

    def test_podman_with_a_network_of_its_own(self):
        """Whose gateway leads to the host's own loopback: outside a governed cgroup it does."""
        network = "slirp4netns:allow_host_loopback=true"
        free = run(["sh", "-c", self.command(self.podman("free", network, user=65534))])
        self.assertIn("uncovered: 2", free.stdout)
        self.assertEqual(self.outside.seen, 1)
        said = self.in_container(self.podman("slirp", network, user=65534))
        self.assertIn("tap0", said)
        self.assertEqual(self.outside.seen, 1)

    def test_systemd_nspawn(self):
        self.in_container(f"systemd-nspawn -q -D {self.image} --register=no --keep-unit "
                          f"--private-network --bind-ro=/usr --bind-ro={self.work}:/asked --as-pid2 "
                          "sh /asked/ask 2>&1")


if __name__ == "__main__":
    unittest.main()
