# SPDX-License-Identifier: Apache-2.0
"""The wall clock of the daemon alone is set, an hour back and a year forward: nothing opens by it, no
wait ends by it or lasts for ever, and what was written stays verifiable."""
import os
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from harness import Chaperone, run, wait_until
from http_servers import Nginx
from test_kernel_verdicts import Echo

SOURCE = Path(__file__).with_name("shifted_clock.c")
HOUR, YEAR = 3600, 365 * 86400

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: clock}
spec:
  rules:
  - id: short
    when: 'resource.name == "short"'
    approve: {by: ["group:dba"], count: 1, within: 3s, scope: session}
  - id: long
    when: 'resource.name == "long"'
    approve: {by: ["group:dba"], count: 1, within: 1h, scope: 4s}
  - {id: rest, allow: {unknown: true}}
"""
RESOURCE = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: {name}}}
spec: {{protocol: tcp, hosts: [127.0.0.1], ports: [{port}]}}
---
"""
# Two requests over one connection; the second when the test says so.
KEPT_ALIVE = """
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
for turn in "12":
    c.request("GET", "/echo" + turn)
    print(c.getresponse().read().decode().split()[1], c.sock is not None, flush=True)
    sys.stdin.readline()
"""
CLIENT = """
import socket, sys
try:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
    s.sendall(b"hello")
    print(s.recv(65536).decode() or "closed")
except OSError as e:
    print("closed", e)
"""


class ShiftedChaperone(Chaperone):
    """Its daemon reads the wall clock with what is wrong out of a file; the clock that counts is the
    real one."""

    def start(self):
        folder = self.root.parent
        library = folder / "shifted_clock.so"
        built = run(["clang-19", "-shared", "-fPIC", "-O1", "-o", library, SOURCE])
        assert built.returncode == 0, built.stderr
        self.clock = folder / "clock"
        self.clock.write_bytes(struct.pack("q", 0))
        plain = self.env
        self.env = dict(plain, LD_PRELOAD=str(library), SHIFTED_CLOCK=str(self.clock))
        try:
            super().start()
        finally:
            self.env = plain

    def set_clock(self, seconds):
        """By so much from what is right."""
        with open(self.clock, "r+b", buffering=0) as clock:
            clock.write(struct.pack("q", seconds))


class Clock(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.short, self.long = Echo(), Echo()
        for server in (self.short, self.long):
            self.addCleanup(server.close)
        self.web = Nginx(self.folder).__enter__()
        self.addCleanup(self.web.__exit__, None)
        self.chaperone = ShiftedChaperone(
            self.folder, POLICY, RESOURCE.format(name="short", port=self.short.port) +
            RESOURCE.format(name="long", port=self.long.port) +
            RESOURCE.format(name="web", port=self.web.port).replace("tcp", "http"))
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))

    def connect(self, server):
        return self.chaperone.popen_agent(["/usr/bin/python3", "-c", CLIENT, str(server.port)])

    def said(self, agent):
        return agent.communicate(timeout=40)[0].strip()

    def pending(self):
        return self.chaperone.json("approval", "list", "--state", "pending")["approvals"]

    def held(self):
        return wait_until(self.pending, "it is held")[0]

    def test_a_wait_ends_when_its_time_is_over_whatever_the_clock_says(self):
        agent = self.connect(self.short)
        self.held()
        self.chaperone.set_clock(-HOUR)
        begin = time.monotonic()
        self.assertIn("closed", self.said(agent))
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(self.short.seen, 0)

    def test_a_wait_goes_on_when_the_clock_leaps(self):
        agent = self.connect(self.long)
        one = self.held()
        self.chaperone.set_clock(YEAR)
        time.sleep(1)  # the book is looked through four times a second
        self.assertEqual(self.chaperone.json("approval", "show", one["id"])["state"], "pending")
        self.chaperone.ok("approval", "grant", one["id"])
        self.assertEqual(self.said(agent), "echo:hello")

    def test_a_connection_at_rest_stays_when_the_clock_leaps(self):
        agent = self.chaperone.popen_agent(
            ["/usr/bin/python3", "-c", KEPT_ALIVE, str(self.web.port)], stdin=subprocess.PIPE)
        self.assertEqual(agent.stdout.readline(), "/echo1 True\n")
        time.sleep(2)  # connections at rest are looked through every second
        self.chaperone.set_clock(YEAR)
        time.sleep(2)
        out, error = agent.communicate("\n\n", timeout=40)
        self.assertEqual(out, "/echo2 True\n", error)

    def test_a_window_is_not_prolonged(self):
        agent = self.connect(self.long)
        self.chaperone.ok("approval", "grant", self.held()["id"])
        granted = time.monotonic()
        self.assertEqual(self.said(agent), "echo:hello")
        self.chaperone.set_clock(-HOUR)
        # Until its four seconds are over, others like it may pass.
        while time.monotonic() - granted < 4.5:
            time.sleep(0.1)
        seen = self.long.seen
        agent = self.connect(self.long)
        again = self.held()
        self.assertEqual(self.long.seen, seen)
        self.chaperone.ok("approval", "refuse", again["id"], "--reason", "enough")
        self.assertIn("closed", self.said(agent))

    def test_the_journal_stays_verifiable_and_sessions_are_found(self):
        for jump in (0, -HOUR, YEAR, 0):
            self.chaperone.set_clock(jump)
            agent = self.connect(self.long)
            self.chaperone.ok("approval", "grant", self.held()["id"])
            self.assertEqual(self.said(agent), "echo:hello")
            time.sleep(4.5)  # the window
        self.chaperone.ok("journal", "verify")
        sessions = self.chaperone.json("session", "list")["sessions"]
        self.assertEqual(len([s for s in sessions if s["resource"] == "long"]), 4)


if __name__ == "__main__":
    unittest.main()
