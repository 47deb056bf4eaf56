# SPDX-License-Identifier: Apache-2.0
"""More at once than the kernel has room to tell of, while the daemon is stopped: every refusal and the
end of every connection is accounted for all the same, and nobody has to look for it in vain."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import Chaperone, run, wait_until
from test_kernel_verdicts import POLICY, RESOURCE

CONNECTIONS = 7000  # the ring holds some 6200 ends
REFUSALS = 8000  # the other some 4500

# Opens as many as it is told, and says so, until it is told nothing more.
OPENER = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
all = []
for line in sys.stdin:
    all += [socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) for _ in range(int(line))]
    print("open", flush=True)
"""
REFUSED = """
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[1])):
    try:
        s.sendto(b"x", ("192.0.2.9", 9))
        sys.exit("passed")
    except PermissionError:
        pass
print("all refused", flush=True)
"""


class KernelLosses(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # The kernel's backlog takes them all; nobody needs to accept.
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(CONNECTIONS + 100)
        self.addCleanup(self.server.close)
        self.somaxconn = Path("/proc/sys/net/core/somaxconn")
        before = self.somaxconn.read_text()
        self.somaxconn.write_text(str(CONNECTIONS + 100))
        self.addCleanup(self.somaxconn.write_text, before)
        self.server.listen(CONNECTIONS + 100)
        self.port = self.server.getsockname()[1]
        self.chaperone = Chaperone(
            self.folder, POLICY, RESOURCE.format(name="line", kind="line", port=self.port))
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))

    def metric(self, name):
        socket_path = str(self.chaperone.root / "run/chaperone/api.sock")
        text = run(["curl", "-sS", "--unix-socket", socket_path, "http://localhost/metrics"]).stdout
        for line in text.splitlines():
            if line.startswith(f"chaperone_{name} "):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def events(self, kind):
        lines = self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()
        events = [json.loads(line).get("event", {}) for line in lines]
        return [event for event in events if event.get("kind") == kind]

    def doctor(self):
        report = json.loads(self.chaperone.cli("doctor", "-o", "json").stdout)
        return next(one for one in report["checks"] if one["name"] == "kernel tables")

    def test_ends_of_connections(self):
        self.assertEqual(self.doctor()["result"], "ok", self.doctor())
        agent = self.chaperone.popen_agent(
            ["/usr/bin/python3", "-c", OPENER, str(self.port)], stdin=subprocess.PIPE)
        self.addCleanup(agent.kill)
        daemon = self.chaperone.daemon.process
        for opened in range(0, CONNECTIONS, 1000):
            agent.stdin.write("1000\n")
            agent.stdin.flush()
            self.assertEqual(agent.stdout.readline().strip(), "open")
            wait_until(lambda: self.open() == opened + 1000, "all are known to be open")
        daemon.send_signal(signal.SIGSTOP)
        try:
            agent.stdin.close()
            # It cannot end while the daemon is stopped, but its connections are closed.
            wait_until(lambda: not self.established(), "all are closed")
        finally:
            daemon.send_signal(signal.SIGCONT)
        agent.wait(60)
        self.server.close()  # its ends, too, or the kernel keeps the agent's for a minute
        wait_until(lambda: self.open() == 0, "none is taken for open", 90)
        lost = self.metric("kernel_lost_ends_total")
        self.assertGreater(lost, 0)
        self.assertEqual(self.doctor()["result"], "warn", self.doctor())
        lines = self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()
        ends = [entry["sessionEnd"] for entry in map(json.loads, lines) if "sessionEnd" in entry]
        self.assertEqual(len(ends), CONNECTIONS)
        self.assertEqual(len({end["session"] for end in ends}), CONNECTIONS)
        # Some sockets linger for longer than their cgroup: nobody could tell of those either.
        self.assertGreaterEqual(len([e for e in ends if "could not tell" in e["reason"]]), lost)
        self.chaperone.ok("journal", "verify")

    def open(self):
        return int(self.metric("kernel_sessions_open"))

    def established(self):
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return [one for one in map(str.split, lines)
                if one[2] == f"0100007F:{self.port:04X}" and one[3] in ("01", "02", "08")]

    def test_refusals(self):
        daemon = self.chaperone.daemon.process
        agent = self.chaperone.popen_agent(
            ["/bin/sh", "-c",
             f"echo runs; read go; exec /usr/bin/python3 -c '{REFUSED}' {REFUSALS}"],
            stdin=subprocess.PIPE)
        self.assertEqual(agent.stdout.readline().strip(), "runs")
        daemon.send_signal(signal.SIGSTOP)
        try:
            agent.stdin.write("go\n")
            agent.stdin.flush()
            self.assertEqual(agent.stdout.readline().strip(), "all refused")
        finally:
            daemon.send_signal(signal.SIGCONT)
        agent.communicate(timeout=60)
        untold = self.metric("kernel_untold_total")
        self.assertGreater(untold, 0)

        def counted():
            return sum(int(e["count"]) for kind in ("datagram", "untold")
                       for e in self.events(kind))
        wait_until(lambda: counted() >= REFUSALS, "each is in a count", 30)
        self.assertEqual(counted(), REFUSALS)
        self.assertEqual(sum(int(e["count"]) for e in self.events("untold")), untold)
        self.assertEqual(self.doctor()["result"], "warn", self.doctor())


if __name__ == "__main__":
    unittest.main()
