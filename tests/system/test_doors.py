# SPDX-License-Identifier: Apache-2.0
"""Unix sockets of others: closed for agents but for what policy opens, and each attempt is recorded.
Connections that a process had before it was governed: listed, and ended by choice."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from harness import Chaperone, run, wait_until
from test_workloads import Cgroup

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: doors}
spec:
  rules:
  - {id: open, when: 'resource.labels.?open.orValue("") == "yes"', allow: {}}
"""

RESOURCES = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: printer, labels: {{open: "yes"}}}}
spec: {{protocol: unix, hosts: [{folder}/printer.sock, "@{tag}-open"]}}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: docker}}
spec: {{protocol: unix, hosts: [{folder}/docker.sock]}}
"""

CALL = """
import errno, socket, sys
name = sys.argv[1]
try:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("\\0" + name[1:] if name[0] == "@" else name)
    print(s.recv(10).decode())
except OSError as e:
    print(errno.errorcode[e.errno])
"""


class Bell:
    def __init__(self, name):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind("\0" + name[1:] if name[0] == "@" else name)
        if name[0] == "/":
            os.chmod(name, 0o777)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"hello")


class Doors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(cls.folder, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.tag = cls.folder.name
        for name in ("printer.sock", "docker.sock", "other.sock"):
            cls.addClassCleanup(Bell(str(cls.folder / name)).listener.close)
        for name in ("open", "shut"):
            cls.addClassCleanup(Bell(f"@{cls.tag}-{name}").listener.close)
        cls.chaperone = Chaperone(cls.folder, POLICY,
                                  RESOURCES.format(folder=cls.folder, tag=cls.tag))
        cls.chaperone.__enter__()
        cls.addClassCleanup(lambda: cls.chaperone.__exit__(None, None, None))

    def call(self, name):
        return self.chaperone.agent(["/usr/bin/python3", "-c", CALL, name]).stdout.strip()

    def test_those_that_policy_opens_answer(self):
        self.assertEqual(self.call(f"{self.folder}/printer.sock"), "hello")
        self.assertEqual(self.call(f"@{self.tag}-open"), "hello")

    def test_all_others_are_closed_and_attempts_recorded(self):
        for name in (f"{self.folder}/docker.sock", f"{self.folder}/other.sock",
                     f"@{self.tag}-shut"):
            # There is somebody who would answer.
            self.assertEqual(run([sys.executable, "-c", CALL, name]).stdout.strip(), "hello")
            self.assertEqual(self.call(name), "EPERM", name)
            wait_until(lambda: name in self.chaperone.ok("journal", "export", "--format", "jsonl"),
                       f"the attempt at {name} is recorded")

    def test_doctor_says_what_is_open(self):
        report = self.chaperone.cli("doctor").stdout
        self.assertIn("unix sockets", report)
        self.assertIn("guard", report)

    def test_connections_from_before_are_listed_and_ended(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        port = server.getsockname()[1]
        script = ("import socket, sys\n"
                  f"s = socket.create_connection(('127.0.0.1', {port}))\n"
                  "print('connected', flush=True)\n"
                  "try: print('got', s.recv(1), flush=True)\n"
                  "except OSError as e: print('ended', e.errno, flush=True)\n"
                  "sys.stdin.readline()\n")
        with Cgroup() as cgroup:
            # Made outside, and moved in with its connection: no hook on cgroups ever sees that.
            agent = subprocess.Popen([sys.executable, "-u", "-c", script], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual(agent.stdout.readline(), "connected\n")
                accepted, _ = server.accept()
                (cgroup.path / "cgroup.procs").write_text(str(agent.pid))
                added = json.loads(self.chaperone.ok("workload", "add", "billing-agent", "--cgroup",
                                                     cgroup.path, "-o", "json"))
                self.assertIn(str(port), [c["remote"].split(":")[-1]
                                          for c in added["outsideConnections"]])
                shown = self.chaperone.ok("workload", "show", "billing-agent")
                self.assertIn(f"127.0.0.1:{port}", shown)
                self.assertIn("gap", shown)
                ended = json.loads(self.chaperone.ok(
                    "workload", "add", "billing-agent", "--cgroup", cgroup.path,
                    "--end-connections", "-o", "json"))
                self.assertTrue(all(c["ended"] for c in ended["outsideConnections"]))
                self.assertEqual(agent.stdout.readline(), "ended 103\n")
                shown = self.chaperone.ok("workload", "show", "billing-agent")
                self.assertNotIn(f"127.0.0.1:{port}", shown)
                accepted.close()
            finally:
                agent.stdin.close()
                agent.wait(10)
                agent.stdout.close()
                self.chaperone.ok("workload", "remove", "billing-agent")


if __name__ == "__main__":
    unittest.main()
