# SPDX-License-Identifier: Apache-2.0
"""A service manager keeps the listening sockets: over restarts and kills under load no new connect is
refused or loose. The manager is played by this test, with systemd's protocol (sd_notify(3), FDSTORE;
sd_listen_fds(3))."""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from harness import BIN, Chaperone, Process, wait_until
from test_chaos import CLIENT, Server
from test_workloads import Cgroup

RESOURCE = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: line}}
spec: {{protocol: tcp, hosts: [127.1.0.0/16], ports: [{port}]}}
"""
RATE = 60
MOST = 6  # seconds in which it ends, of the 10 that sessions are given
CLONE_NEWNET = 0x40000000
# What was on its way when a process was told to end may be cut: begun so long before, or while the
# signal was.
ON_ITS_WAY, SIGNAL = 1.5, 0.3


class Manager(Chaperone):
    """chaperoned as a unit with a store for descriptors."""

    def __init__(self, folder, *args, **kwargs):
        super().__init__(folder, *args, **kwargs)
        self.kept, self.told, self.lock = [], [], threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"{folder}/notify")
        self.env["NOTIFY_SOCKET"] = f"{folder}/notify"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                text, fds, _, _ = socket.recv_fds(self.socket, 4096, 16)
            except OSError:
                return
            lines = text.decode().splitlines()
            with self.lock:
                name = next((line[7:] for line in lines if line.startswith("FDNAME=")), "stored")
                if "FDSTOREREMOVE=1" in lines:
                    for fd, _ in [one for one in self.kept if one[1] == name]:
                        os.close(fd)
                    self.kept = [one for one in self.kept if one[1] != name]
                if "FDSTORE=1" in lines:
                    self.kept += [(fd, name) for fd in fds]
                self.told += lines

    def start(self, wait=True):
        with self.lock:
            kept = [os.dup(fd) for fd, _ in self.kept]
            names = ":".join(name for _, name in self.kept)
            self.told = []
        count = len(kept)
        def arrange():  # they are to be 3 and those after it
            moved = [os.dup2(fd, 100 + i) for i, fd in enumerate(kept)]
            for i, fd in enumerate(moved):
                os.dup2(fd, 3 + i)
        env = dict(self.env)
        if count:
            env["LISTEN_FDS"], env["LISTEN_FDNAMES"] = str(count), names
        self.daemon = Process(
            ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', BIN / "chaperoned", "--root",
             self.root], self.root.parent / "chaperoned.log", env=env, preexec_fn=arrange,
            pass_fds=[3 + i for i in range(count)])
        for fd in kept:
            os.close(fd)
        if wait:
            self.wait()

    def wait(self):
        def ready():
            assert self.daemon.process.poll() is None, "chaperoned ended:\n" + self.log()
            with self.lock:
                return "READY=1" in self.told
        wait_until(ready, "chaperoned is ready")

    def discard(self):
        with self.lock:
            for fd, _ in self.kept:
                os.close(fd)
            self.kept = []

    def close(self):
        self.socket.close()
        self.discard()


class Handover(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = Server()
        self.addCleanup(self.server.close)
        (self.folder / "client.py").write_text(CLIENT)
        self.chaperone = Manager(self.folder, resources=RESOURCE.format(port=self.server.port))
        self.addCleanup(self.chaperone.close)
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))
        wait_until(lambda: len(self.chaperone.kept) == 4, "the sockets are given to be kept")

    def end(self, how):
        daemon = self.chaperone.daemon
        moment = time.time()
        daemon.process.send_signal(how)
        code = daemon.process.wait(30)
        # Who is on his way at that moment does not hold it up.
        self.assertLess(time.time() - moment, MOST, self.chaperone.log()[-3000:])
        daemon.log.close()
        return moment, code

    def outcomes(self):
        rows = [row.split() for row in (self.folder / "out").read_text().splitlines()]
        return [(float(begin), int(number), how, float(took)) for begin, _, number, how, took in rows]

    def client(self):
        out = self.folder / "out"
        out.touch()
        os.chmod(out, 0o666)
        return ["/usr/bin/python3", self.folder / "client.py", str(self.server.port), str(RATE), out,
                "1"]

    def inodes(self):
        with self.chaperone.lock:
            return sorted(os.fstat(fd).st_ino for fd, _ in self.chaperone.kept)

    def over_restarts(self, how, times, agent=None):
        agent = agent or self.chaperone.popen_agent(self.client(), stdin=subprocess.PIPE)
        ends = []
        for _ in range(times):
            before = len(self.server.said)
            wait_until(lambda: len(self.server.said) > before + RATE, "it is under way")
            ends.append(self.end(how))
            self.chaperone.start()
        before = len(self.server.said)
        wait_until(lambda: len(self.server.said) > before + RATE, "it goes on")
        self.held = self.inodes()
        agent.communicate("", timeout=60)
        return ends

    def assert_kept(self, ends):
        rows = self.outcomes()
        self.assertGreater(len([row for row in rows if row[2] == "ok"]), RATE * len(ends))
        lost = []
        for begin, number, how, took in rows:
            cut = any(-SIGNAL < end - begin < ON_ITS_WAY and how in ("closed", "ECONNRESET")
                      for end, _ in ends)
            if how != "ok" and not cut:
                lost.append((begin, number, how, took))
        self.assertEqual(lost, [], f"ends: {ends}")
        # Nothing went past: each that reached the server is in the journal.
        def recorded():
            return len(self.chaperone.json("session", "list", "--limit", "10000")["sessions"])
        wait_until(lambda: recorded() >= len(self.server.said), "all is recorded")
        self.chaperone.ok("journal", "verify")

    def test_restarts_lose_no_connect(self):
        ends = self.over_restarts(signal.SIGTERM, 4)
        self.assertEqual({code for _, code in ends}, {0}, self.chaperone.log()[-3000:])
        self.assert_kept(ends)

    def test_kills_lose_no_new_connect(self):
        before = self.inodes()
        self.assert_kept(self.over_restarts(signal.SIGKILL, 4))
        self.assertEqual(self.held, before)

    def test_other_network_namespaces_are_kept_too(self):
        cgroup = Cgroup()
        cgroup.__enter__()
        self.addCleanup(cgroup.__exit__)
        self.chaperone.ok("workload", "add", "billing-agent", "--cgroup", cgroup.path)
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how):
                agent = subprocess.Popen(
                    ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$0" "$@"',
                     *map(str, self.client())], stdin=subprocess.PIPE,
                    preexec_fn=lambda: (cgroup.path / "cgroup.procs").write_text(str(os.getpid())))
                self.addCleanup(agent.kill)
                wait_until(lambda: len(self.chaperone.kept) == 8, "there are more to be kept")
                before = self.inodes()
                self.assert_kept(self.over_restarts(how, 3, agent))
                self.assertEqual(self.held, before)
                wait_until(lambda: len(self.chaperone.kept) == 4, "the namespace is let go")
                (self.folder / "out").unlink()
                self.server.said.clear()

    def test_what_nobody_comes_back_for_is_let_go(self):
        cgroup = Cgroup()
        cgroup.__enter__()
        self.addCleanup(cgroup.__exit__)
        self.chaperone.ok("workload", "add", "billing-agent", "--cgroup", cgroup.path)
        agent = subprocess.Popen(
            ["unshare", "-n", "sleep", "300"],
            preexec_fn=lambda: (cgroup.path / "cgroup.procs").write_text(str(os.getpid())))
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        wait_until(lambda: len(self.chaperone.kept) == 8, "there are more to be kept")
        self.end(signal.SIGKILL)
        agent.kill()
        agent.wait()
        self.chaperone.start()
        wait_until(lambda: len(self.chaperone.kept) == 4, "the namespace is let go")

    def test_sockets_of_others_are_not_taken(self):
        port = int((self.chaperone.root / "var/lib/chaperone/port").read_text())
        self.end(signal.SIGTERM)
        self.chaperone.discard()

        def offer():
            listener = socket.socket()
            # Connections of the cases before may still wait for their end there.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(16)
            return listener

        def offer_elsewhere():
            ctypes.CDLL(None).unshare(CLONE_NEWNET)  # of this thread alone
            offered.append(offer())
        offered = []
        for make in (lambda: offered.append(offer()), offer_elsewhere):
            thread = threading.Thread(target=make)
            thread.start()
            thread.join()
        mine, elsewhere = offered
        os.fchown(mine.fileno(), 65534, 65534)
        with self.chaperone.lock:
            self.chaperone.kept = [(elsewhere.detach(), "proxy"), (mine.detach(), "proxy")]
        self.chaperone.start()
        wait_until(lambda: len(self.chaperone.kept) == 4, "its own are given to be kept")
        self.assertNotEqual((self.chaperone.root / "var/lib/chaperone/port").read_text(), str(port))
        (self.folder / "out").touch()
        agent = self.chaperone.popen_agent(self.client(), stdin=subprocess.PIPE)
        wait_until(lambda: len(self.server.said) > RATE, "agents connect")
        agent.communicate("", timeout=60)

    def test_without_a_successor_connects_are_refused(self):
        probe = ("import errno, socket, sys, time\n"
                 "print('there', flush=True)\n"
                 "input()\n"
                 "end = time.time() + 20\n"
                 "while time.time() < end:\n"
                 "    try: socket.create_connection(('127.1.0.1', int(sys.argv[1])), 1).recv(1)\n"
                 "    except OSError as e:\n"
                 "        if e.errno == errno.ECONNREFUSED: print('refused'); break\n"
                 "        print(e, file=sys.stderr)\n")
        agent = self.chaperone.popen_agent(["/usr/bin/python3", "-c", probe,
                                            str(self.server.port)], stdin=subprocess.PIPE)
        self.assertEqual(agent.stdout.readline(), "there\n")
        self.end(signal.SIGKILL)
        said, others = agent.communicate("go\n", timeout=40)
        self.assertEqual(said, "refused\n", others)
        self.assertEqual(self.server.said, [])
        self.chaperone.start()


if __name__ == "__main__":
    unittest.main()
