# SPDX-License-Identifier: Apache-2.0
"""Datagrams of governed agents: straight to peers that policy lets, recorded; EPERM to all others."""
import json
import signal
import subprocess
import unittest

from lab import Lab, LabChaperone

from harness import Process, free_port, wait_until

RESOURCES = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: metrics}
spec: {protocol: udp, hosts: [127.0.0.1, "::1"], ports: [%(port)d]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: forbidden}
spec: {protocol: udp, hosts: [127.0.0.1], ports: [%(forbidden)d]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: orders}
spec: {protocol: udp, hosts: [db.internal, "*.orders.internal", other.internal], ports: [%(named)d]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: web}
spec: {protocol: udp, hosts: [web.internal], ports: [%(named)d]}
"""

WORKLOADS = "---\n".join("""apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: %s}
spec: {identity: {subject: 'agent:%s'}}
""" % (name, name) for name in ("billing-agent", "one", "two", "three", "four", "five", "six", "seven"))

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: datagrams}
spec:
  rules:
  - {id: metrics, when: 'resource.name == "metrics"', allow: {}}
  - {id: orders, when: 'resource.name == "orders"', allow: {}}
  - {id: web-resolves, when: 'dns.name == "web.internal"', allow: {}}
"""

ECHO = """import socket, sys, threading
def serve(family, host):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, int(sys.argv[1])))
    while True:
        data, peer = s.recvfrom(65535)
        s.sendto(data.upper(), peer)
threading.Thread(target=serve, args=(socket.AF_INET6, "::1"), daemon=True).start()
serve(socket.AF_INET, "127.0.0.1")
"""

SAY = """import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
try:
    s.sendto(b"hello", (host, port))
    data, peer = s.recvfrom(100)
    print(data.decode(), peer[0], peer[1])
except OSError as e:
    print("errno", e.errno)
"""

# Resolves each name that is not an address, then says hello, connected or not.
SAY_BY_NAME = """import socket, sys
how, port = sys.argv[1], int(sys.argv[2])
for name in sys.argv[3:]:
    family, _, _, _, to = socket.getaddrinfo(name, port, 0, socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        try:
            if how == "connected":
                s.connect(to)
                s.send(b"hello")
            else:
                s.sendto(b"hello", to)
            print(name, s.recvfrom(100)[0].decode(), s.getpeername()[0] if how == "connected" else "")
        except OSError as e:
            print(name, "errno", e.errno)
"""

# Resolves once, and from then on says hello to the address for each line that it reads.
HOLDS = """import socket, sys
to = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), socket.AF_INET, socket.SOCK_DGRAM)[0][4]
for line in sys.stdin:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        try:
            s.sendto(b"hello", to)
            print(s.recv(100).decode())
        except OSError as e:
            print("errno", e.errno)
"""

# Says hello connected, and then waits for more.
WAITS = """import errno, socket, sys
to = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), socket.AF_INET, socket.SOCK_DGRAM)[0][4]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.connect(to)
s.send(b"hello")
print(s.recv(100).decode(), flush=True)
try:
    print("got", s.recv(100), flush=True)
except OSError as e:
    print(errno.errorcode.get(e.errno, e), flush=True)
"""


class Datagrams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.port, cls.forbidden, cls.named = free_port(), free_port(), free_port()
        for port in (cls.port, cls.forbidden, cls.named):
            echo = Process(cls.lab.inside("python3", "-c", ECHO, str(port)),
                           cls.lab.folder / f"echo-{port}.log")
            cls.addClassCleanup(echo.stop)
        cls.chaperone = LabChaperone(
            cls.lab, policy=POLICY, workload=WORKLOADS,
            resources=RESOURCES % {"port": cls.port, "forbidden": cls.forbidden,
                                   "named": cls.named})
        cls.chaperone.__enter__()
        cls.addClassCleanup(cls.chaperone.__exit__, None, None, None)

    def say(self, host, port):
        return self.chaperone.python(SAY, host, str(port)).stdout.strip()

    def test_go_where_policy_lets_and_are_recorded(self):
        for host in ("127.0.0.1", "::1"):
            with self.subTest(host=host):
                self.assertEqual(self.say(host, self.port), f"HELLO {host} {self.port}")
        def recorded():
            sessions = self.sessions("billing-agent")
            return len(sessions) >= 2 and all(s["resource"] == "metrics" for s in sessions)
        wait_until(recorded, "both talks are sessions")

    def test_nowhere_else(self):
        self.assertEqual(self.say("127.0.0.1", self.forbidden), "errno 1")
        self.assertEqual(self.say("198.51.100.9", self.port), "errno 1")
        self.assertEqual(self.say("9.9.9.9", 443), "errno 1")

    # ---- by name

    def by_name(self, how, *names, workload):
        done = self.chaperone.python(SAY_BY_NAME, how, str(self.named), *names, workload=workload)
        return done.stdout.splitlines() or [done.stderr]

    def sessions(self, workload):
        return [s for s in self.chaperone.json("session", "list")["sessions"]
                if s["protocol"] == "udp" and s["workload"] == workload]

    def events(self, workload):
        entries = [json.loads(line) for line in
                   self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()]
        return [e["event"] for e in entries if e.get("event", {}).get("workload") == workload]

    def test_go_to_a_name_only_after_it_was_resolved(self):
        said = self.by_name("sent", "127.0.0.1", "x.orders.internal", "127.0.0.1", workload="one")
        self.assertEqual(said, ["127.0.0.1 errno 1", "x.orders.internal HELLO ", "127.0.0.1 HELLO "])
        said = self.by_name("connected", "127.0.0.1", "x.orders.internal", workload="one")
        self.assertEqual(said, ["127.0.0.1 HELLO 127.0.0.1", "x.orders.internal HELLO 127.0.0.1"])
        # Neither another workload nor another address.
        said = self.by_name("sent", "127.0.0.1", "::1", "127.0.0.9", workload="two")
        self.assertEqual(said, ["127.0.0.1 errno 1", "::1 errno 1", "127.0.0.9 errno 1"])
        said = self.by_name("sent", "::1", "127.0.0.9", workload="one")
        self.assertEqual(said, ["::1 errno 1", "127.0.0.9 errno 1"])
        wait_until(lambda: len(self.sessions("one")) >= 4, "the talks are sessions")
        for session in self.sessions("one"):
            self.assertEqual((session["resource"], session["destination"]["name"]),
                             ("orders", "x.orders.internal"))
        self.assertEqual(self.sessions("two"), [])
        wait_until(lambda: any(e["kind"] == "datagram" for e in self.events("two")),
                   "the refusals are recorded")

    def test_go_to_a_name_over_ipv6(self):
        for how in ("sent", "connected"):
            said = self.by_name(how, "y.orders.internal", workload="three")
            self.assertIn("y.orders.internal HELLO", said[0])
        wait_until(lambda: len(self.sessions("three")) == 2, "the talks are sessions")
        self.assertEqual({s["destination"]["address"] for s in self.sessions("three")}, {"::1"})

    def test_do_not_go_to_a_name_that_policy_denies(self):
        said = self.by_name("sent", "web.internal", workload="four")
        self.assertEqual(said, ["web.internal errno 1"])
        wait_until(lambda: any(e["kind"] == "datagram" and e["destination"].get("name") ==
                               "web.internal" for e in self.events("four")),
                   "the refusal is recorded with the name")
        # The address is known by two names, which different resources have alike.
        said = self.by_name("sent", "db.internal", "127.0.0.1", workload="four")
        self.assertEqual(said[1], "127.0.0.1 errno 1")

    def reload(self, policy):
        before = self.chaperone.json("status")["bundle"]
        self.chaperone.documents["policy.yaml"] = policy
        self.chaperone.write_bundle()
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.chaperone.json("status")["bundle"] != before,
                   "the bundle is in force")

    def test_a_new_bundle_tells_those_whom_it_cuts(self):
        agent = self.chaperone.popen_agent(
            ["python3", "-u", "-c", WAITS, "x.orders.internal", str(self.named)], workload="seven")
        self.addCleanup(agent.communicate)
        self.assertEqual(agent.stdout.readline().strip(), "HELLO")
        wait_until(lambda: self.sessions("seven"), "it is a session")
        self.addCleanup(self.reload, POLICY)
        self.reload(POLICY.replace('"orders"', '"nothing"') + "# seven\n")
        self.assertEqual(agent.stdout.readline().strip(), "ECONNABORTED")
        ended = wait_until(lambda: [s for s in self.sessions("seven") if s["state"] == "closed"],
                           "it has ended")
        self.assertIn("policy changed", ended[0]["endReason"])

    def test_a_name_holds_over_reloads_and_restarts(self):
        agent = self.chaperone.popen_agent(
            ["python3", "-u", "-c", HOLDS, "x.orders.internal", str(self.named)],
            workload="five", stdin=subprocess.PIPE)
        self.addCleanup(agent.communicate)

        def ask():
            agent.stdin.write("\n")
            agent.stdin.flush()
            return agent.stdout.readline().strip()

        self.assertEqual(ask(), "HELLO")
        self.reload(POLICY + "  - {id: more, when: 'resource.name == \"forbidden\"', deny: {}}\n")
        self.assertEqual(ask(), "HELLO")
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how):
                self.chaperone.daemon.process.send_signal(how)
                self.chaperone.daemon.process.wait(30)
                self.chaperone.start()
                self.assertEqual(ask(), "HELLO")
        # The bundle is shown a moment before the kernel's tables follow.
        self.addCleanup(self.reload, POLICY)
        self.reload(POLICY.replace('"orders"', '"nothing"'))
        wait_until(lambda: ask() == "errno 1", "the name is not let any more")
        self.reload(POLICY + "# again\n")
        wait_until(lambda: ask() == "HELLO", "the name is let again")
        self.assertEqual(self.by_name("sent", "127.0.0.1", workload="six"), ["127.0.0.1 errno 1"])


if __name__ == "__main__":
    unittest.main()
