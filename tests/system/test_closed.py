# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of the daemon, governed traffic stops with a prompt error, nothing passes unseen,
and it goes on by itself once there is a daemon that can record again."""
import os
import resource
import shutil
import signal
import socket
import tempfile
import threading
import time
import unittest
from pathlib import Path

from harness import BIN, Chaperone, run, wait_until
from test_kernel_verdicts import Echo
from test_restart import BOUND, Agent

RESOURCE = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: line}}
spec: {{protocol: tcp, hosts: [127.0.0.1], ports: [{port}]}}
"""

# Prints what the server said, or the error's name, and how long it took.
CLIENT = """
import errno, socket, sys, time
begin = time.monotonic()
try:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
    s.sendall(b"hello")
    s.shutdown(socket.SHUT_WR)
    said = b"".join(iter(lambda: s.recv(65536), b"")).decode() or "closed"
except OSError as e:
    said = errno.errorcode.get(e.errno, str(e))
print(said, time.monotonic() - begin)
"""

# Keeps many connections open, until one fails or there are enough.
CROWD = """
import socket, sys
held = []
try:
    while len(held) < 900:
        held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5))
        held[-1].sendall(b"hello")
except OSError:
    pass
print("over")
"""


class Closed(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = Echo()
        self.addCleanup(self.server.close)
        (self.folder / "client.py").write_text(CLIENT)
        (self.folder / "crowd.py").write_text(CROWD)
        self.chaperone = Chaperone(self.folder, resources=RESOURCE.format(port=self.server.port))
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))
        self.agent = Agent(self.chaperone)
        self.addCleanup(self.agent.stop)
        self.state = self.chaperone.root / "var/lib/chaperone"
        self.assertEqual(self.ask(), "echo:hello")

    def ask(self):
        said, took = self.agent.says(
            f"/usr/bin/python3 {self.folder}/client.py {self.server.port}").rsplit(maxsplit=1)
        self.took = float(took)
        return said

    def assert_stopped(self):
        """An attempt fails promptly, and its bytes do not arrive."""
        seen = self.server.seen
        said = self.ask()
        self.assertNotIn("echo", said)
        self.assertLess(self.took, BOUND, said)
        self.assertEqual(self.server.seen, seen, said)
        return said

    def assert_back(self):
        wait_until(lambda: self.ask() == "echo:hello", "traffic is back")

    def kill(self, how=signal.SIGKILL):
        daemon = self.chaperone.daemon
        daemon.process.send_signal(how)
        daemon.process.wait(30)
        daemon.log.close()

    def assert_does_not_start(self, says):
        done = run([BIN / "chaperoned", "--root", self.chaperone.root], env=self.chaperone.env)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(says, done.stderr)
        self.assertIn("what to do", done.stderr)
        self.assert_stopped()

    # The process

    def test_stopped(self):
        process = self.chaperone.daemon.process
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        seen = self.server.seen
        # Those that come at once are answered by the kernel and wait; soon they are refused.
        end = time.monotonic() + 2 * BOUND
        while self.agent.says(
                f"/usr/bin/timeout 1 /usr/bin/python3 {self.folder}/client.py {self.server.port}"
        ).split(" ")[0] != "ECONNREFUSED":
            self.assertLess(time.monotonic(), end, "connects are still answered")
        self.assertEqual(self.assert_stopped(), "ECONNREFUSED")
        self.assertLess(self.took, 1)
        self.assertEqual(self.server.seen, seen)
        process.send_signal(signal.SIGCONT)
        self.assert_back()
        # What was refused meanwhile is in the journal.
        wait_until(lambda: '"blocked"' in self.chaperone.ok("journal", "export", "--format",
                                                            "jsonl"), "the attempts are recorded")

    def test_without_descriptors(self):
        process = self.chaperone.daemon.process
        used = max(int(fd) for fd in os.listdir(f"/proc/{process.pid}/fd")) + 1
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used, before[1]))
        self.assert_stopped()
        for _ in range(3):
            self.assert_stopped()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
        self.assert_back()
        self.chaperone.ok("journal", "verify")

    def test_without_memory(self):
        process = self.chaperone.daemon.process
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        before = resource.prlimit(process.pid, resource.RLIMIT_AS)
        resource.prlimit(process.pid, resource.RLIMIT_AS,
                         (pages * resource.getpagesize(), before[1]))
        # Small allocations still succeed, so some may pass, recorded; what counts is that none
        # passes that is not, and that it ends.
        for _ in range(40):
            self.ask()
            self.assertLess(self.took, BOUND)
        if process.poll() is None:
            resource.prlimit(process.pid, resource.RLIMIT_AS, before)
        else:
            self.chaperone.daemon.log.close()
            self.chaperone.start()
        self.assert_back()
        self.assert_all_recorded()

    def test_killed_for_its_memory(self):
        with MemoryLimit(self.chaperone.daemon.process.pid) as limit:
            limit.set(1 << 20)
            # One session at a time may find what former ones have left.
            self.assertEqual(
                self.agent.says(f"/usr/bin/python3 {self.folder}/crowd.py {self.server.port}").strip(),
                "over")
            wait_until(lambda: self.chaperone.daemon.process.poll() is not None, "it is killed")
        self.chaperone.daemon.log.close()
        self.assertEqual(self.assert_stopped(), "ECONNREFUSED")
        self.chaperone.start()
        self.assert_back()
        self.assert_all_recorded()

    def assert_all_recorded(self):
        def recorded():
            sessions = self.chaperone.json("session", "list", "--limit", "10000")["sessions"]
            return len([s for s in sessions if s["resource"] == "line"])
        wait_until(lambda: recorded() >= self.server.seen,
                   f"all {self.server.seen} connections are in the journal")
        self.chaperone.ok("journal", "verify")

    # Its files, at the start

    def test_a_broken_bundle_at_the_start(self):
        rules = self.chaperone.root / "etc/chaperone/bundle/policy.yaml"
        good = rules.read_text()
        rules.write_text(good.replace("allow", "alow"))
        self.kill()
        self.assert_does_not_start("alow")
        rules.write_text(good)
        self.chaperone.start()
        self.assert_back()

    def test_a_missing_key_of_the_authority(self):
        key = self.state / "ca/ca.key"
        kept = key.read_bytes()
        key.unlink()
        self.kill()
        self.assert_does_not_start("certificate authority")
        key.write_bytes(kept[:len(kept) // 2])
        os.chmod(key, 0o600)
        self.assert_does_not_start("certificate authority")
        key.write_bytes(kept)
        self.chaperone.start()
        self.assert_back()

    def test_a_missing_key_of_the_journal(self):
        key = self.state / "journal.key"
        kept = key.read_bytes()
        key.unlink()
        self.kill()
        self.assert_does_not_start("journal")
        key.write_bytes(kept)
        os.chmod(key, 0o600)
        self.chaperone.start()
        self.assert_back()

    def test_a_broken_index_is_made_anew(self):
        for damage in (lambda path: path.write_bytes(b"no database" * 1000),
                       lambda path: path.write_bytes(path.read_bytes()[:5000]),
                       lambda path: path.write_bytes(b"")):
            self.kill()
            for rest in self.state.glob("index.db-*"):
                rest.unlink()
            damage(self.state / "index.db")
            self.chaperone.start()
            self.assert_back()
            self.assert_all_recorded()

    def test_rubbish_instead_of_the_port(self):
        self.kill()
        (self.state / "port").write_text("99999999 rubbish")
        self.chaperone.start()
        self.assert_back()

    def test_somebody_on_its_port(self):
        """Within the seconds for which a dead daemon is still believed in, it may be taken for it:
        listen.port below 1024 prevents that. Afterwards nothing goes there, but also not astray."""
        port = int((self.state / "port").read_text())
        self.kill()
        with socket.create_server(("127.0.0.1", port)) as squatter:
            threading.Thread(target=self.close_all, args=(squatter,), daemon=True).start()
            wait_until(lambda: self.ask() == "ECONNREFUSED", "nothing goes there any more")
            self.assert_stopped()
            self.chaperone.start()  # on another port
            self.assert_back()
        self.assertNotEqual(int((self.state / "port").read_text()), port)

    @staticmethod
    def close_all(listener):
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    def test_a_folder_that_cannot_be_written(self):
        self.kill()
        done = run(["mount", "--bind", "-o", "ro", self.state, self.state])
        self.assertEqual(done.returncode, 0, done.stderr)
        try:
            done = run(["mount", "-o", "remount,bind,ro", self.state])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assert_does_not_start("")
        finally:
            run(["umount", self.state])
        self.chaperone.start()
        self.assert_back()


class MemoryLimit:
    """A cgroup of the memory controller that holds one process, of whichever version."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        lines = Path(f"/proc/{self.pid}/cgroup").read_text().splitlines()
        own = [line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory"]
        if own:
            self.path = Path("/sys/fs/cgroup/memory" + own[0]) / f"chaperone-test-{os.getpid()}"
            self.path.mkdir()
            (self.path / "cgroup.procs").write_text(str(self.pid))
            self.file = "memory.limit_in_bytes"
            return self
        # Where there is but one tree, the daemon's own cgroup is limited.
        tree = Path("/sys/fs/cgroup")
        name = lines[-1].split("::")[1].lstrip("/")
        self.path, self.file = tree / name, "memory.max"
        for above in [tree, *reversed((tree / name).parents)]:
            if tree in above.parents or above == tree:
                (above / "cgroup.subtree_control").write_text("+memory")
        return self

    def set(self, most):
        try:
            (self.path / self.file).write_text(str(most))
        except OSError:
            pass  # what is in use already is more

    def __exit__(self, *_):
        if self.file == "memory.limit_in_bytes":
            wait_until(lambda: self.empty(), "its cgroup is empty")
            self.path.rmdir()

    def empty(self):
        return not (self.path / "cgroup.procs").read_text()


if __name__ == "__main__":
    unittest.main()
