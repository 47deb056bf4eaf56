# SPDX-License-Identifier: Apache-2.0
"""What the kernel decides by itself, with the real daemon: straight there or EPERM, recorded, at the
line's speed; over changes of the bundle, and when the daemon is killed."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from harness import Chaperone, wait_until

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: lines}
spec:
  rules:
  - {id: lines, when: 'resource.labels.kind == "line"', allow: {}}
  - {id: closed, when: 'resource.labels.kind == "closed"', deny: {reason: "closed line"}}
"""

RESOURCE = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: {name}, labels: {{kind: {kind}}}}}
spec: {{protocol: tcp, hosts: [127.0.0.1, "::1"], ports: [{port}], inspect: false}}
---
"""

# Prints what the server said, or the error's name.
CLIENT = """
import errno, socket, sys
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    peer = s.getpeername()[1]
    s.sendall(b"hello")
    s.shutdown(socket.SHUT_WR)
    print(b"".join(iter(lambda: s.recv(65536), b"")).decode(), peer)
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""


class Echo:
    """Answers each connection with who it is to it, and what it said."""

    def __init__(self, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.seen = 0
        self.resets = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.seen += 1
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(b"echo:" + data)
            except ConnectionResetError:
                self.resets += 1
            except OSError:
                pass

    def close(self):
        self.listener.close()


class KernelVerdicts(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.line, self.closed = Echo(), Echo()
        self.addCleanup(self.line.close)
        self.addCleanup(self.closed.close)
        self.chaperone = Chaperone(self.folder, POLICY, self.resources("line"))
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))

    def resources(self, kind):
        return (RESOURCE.format(name="line", kind=kind, port=self.line.port) +
                RESOURCE.format(name="closed", kind="closed", port=self.closed.port))

    def apply(self, kind):
        (self.chaperone.root / "etc/chaperone/bundle/resources.yaml").write_text(
            self.resources(kind))
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)

    def client(self, port, host="127.0.0.1"):
        done = self.chaperone.agent(["/usr/bin/python3", "-c", CLIENT, host, str(port)])
        return done.stdout.strip() or done.stderr

    def session(self, condition):
        def find():
            for one in self.chaperone.json("session", "list").get("sessions", []):
                if condition(one):
                    return one
            return None
        return wait_until(find, "the session is listed")

    def test_allowed_goes_straight_and_is_recorded(self):
        # The table is there a moment after the cgroup: what comes before goes to the proxy.
        wait_until(lambda: self.client(self.line.port) == f"echo:hello {self.line.port}",
                   "the line answers")
        found = self.session(lambda s: s["resource"] == "line" and s["state"] == "closed")
        self.assertEqual(found["workload"], "billing-agent")
        self.assertEqual(found["subject"], "agent:billing")
        self.assertEqual(found["effect"], "allow")
        self.assertEqual((int(found["bytesUp"]), int(found["bytesDown"])), (5, 10))
        self.assertIn('"decided"', self.chaperone.ok("journal", "export", "--format", "jsonl"))
        self.chaperone.ok("journal", "verify")

    def test_refused_fails_in_connect_and_is_recorded(self):
        wait_until(lambda: self.client(self.closed.port) == "EPERM", "EPERM in connect()")
        self.assertEqual(self.closed.seen, 0)
        wait_until(lambda: '"blocked"' in self.chaperone.ok("journal", "export", "--format",
                                                            "jsonl"), "the attempt is recorded")

    def test_a_new_bundle_cuts_what_the_old_one_let(self):
        script = ("import socket, sys\n"
                  "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)\n"
                  "for line in sys.stdin:\n"
                  "    s.settimeout(3)\n"
                  "    try: s.sendall(b'x'); print(s.recv(9), flush=True)\n"
                  "    except OSError as e: print('cut', type(e).__name__, flush=True)\n")
        agent = self.chaperone.popen_agent(["/usr/bin/python3", "-u", "-c", script,
                                            str(self.line.port)], stdin=subprocess.PIPE)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.stdin.close)
        def ask():
            agent.stdin.write("\n")
            agent.stdin.flush()
            return agent.stdout.readline()
        self.assertIn("echo", ask())
        self.apply("closed")
        wait_until(lambda: self.client(self.line.port) == "EPERM", "the new bundle is in force")
        self.assertIn("cut", ask())
        agent.stdout.close()
        agent.stderr.close()

    def test_a_new_bundle_tells_those_whom_it_cuts(self):
        """Who waits for the other end sees an error at once, not silence."""
        wait_until(lambda: self.client(self.line.port) == f"echo:hello {self.line.port}",
                   "the line answers")
        script = ("import errno, socket, sys, time\n"
                  "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30)\n"
                  "s.sendall(b'x'); print(s.recv(9), flush=True)\n"
                  "try: print('got', s.recv(9), flush=True)\n"
                  "except OSError as e: print(errno.errorcode.get(e.errno, e), flush=True)\n")
        agent = self.chaperone.popen_agent(["/usr/bin/python3", "-u", "-c", script,
                                            str(self.line.port)])
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        self.assertIn("echo", agent.stdout.readline())
        self.session(lambda s: s["resource"] == "line" and s["state"] == "open")
        self.apply("closed")
        self.assertEqual(agent.stdout.readline().strip(), "ECONNABORTED")
        self.session(lambda s: s["resource"] == "line" and
                     "policy changed" in s.get("endReason", ""))
        wait_until(lambda: self.line.resets == 1, "the server hears so, too")
        agent.stdout.close()
        agent.stderr.close()

    def test_what_goes_straight_outlives_the_daemon(self):
        """A former daemon's connections are shown, and cut by a new bundle with the reason."""
        wait_until(lambda: self.client(self.line.port) == f"echo:hello {self.line.port}",
                   "the line answers")
        script = ("import errno, socket, sys\n"
                  "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 60)\n"
                  "s.sendall(b'x'); print(s.recv(9), flush=True)\n"
                  "try: print('got', s.recv(9), flush=True)\n"
                  "except OSError as e: print(errno.errorcode.get(e.errno, e), flush=True)\n")
        agent = self.chaperone.popen_agent(["/usr/bin/python3", "-u", "-c", script,
                                            str(self.line.port)])
        self.addCleanup(agent.communicate)
        self.addCleanup(agent.kill)
        self.assertIn("echo", agent.stdout.readline())
        one = self.session(lambda s: s["resource"] == "line" and s["state"] == "open")
        for how in (signal.SIGKILL, signal.SIGTERM):
            self.chaperone.daemon.process.send_signal(how)
            self.chaperone.daemon.process.wait(30)
            self.chaperone.start()
            self.session(lambda s: s["id"] == one["id"] and s["state"] == "open")
        self.apply("closed")
        self.assertEqual(agent.stdout.readline().strip(), "ECONNABORTED")
        self.session(lambda s: s["id"] == one["id"] and
                     "policy changed" in s.get("endReason", ""))

    def test_a_killed_daemon_lets_nothing_unseen(self):
        wait_until(lambda: self.client(self.line.port) == f"echo:hello {self.line.port}",
                   "the line answers")
        script = ("import socket, sys, time\n"
                  "end, refused = time.time() + 40, 0\n"
                  "while time.time() < end and refused < 5:\n"
                  "    try:\n"
                  "        s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)\n"
                  "        print('ok', flush=True); s.close()\n"
                  "    except OSError as e:\n"
                  "        print(e.errno, flush=True); refused += e.errno == 111\n"
                  "    time.sleep(0.02)\n")
        agent = self.chaperone.popen_agent(["/usr/bin/python3", "-u", "-c", script,
                                            str(self.line.port)])
        self.addCleanup(agent.stderr.close)
        for _ in range(5):
            agent.stdout.readline()
        self.chaperone.daemon.process.kill()
        self.chaperone.daemon.process.wait()
        said = agent.communicate(timeout=60)[0].split()
        # Some more connect on the lease; then all are refused at once: ECONNREFUSED.
        self.assertEqual(said[-5:], ["111"] * 5)
        seen = self.line.seen
        self.chaperone.daemon.log.close()
        self.chaperone.start()
        def recorded():
            sessions = self.chaperone.json("session", "list", "--limit", "10000")
            return len([s for s in sessions.get("sessions", []) if s["resource"] == "line"])
        wait_until(lambda: recorded() == seen, f"all {seen} connections are in the journal")
        self.chaperone.ok("journal", "verify")


if __name__ == "__main__":
    unittest.main()
