# SPDX-License-Identifier: Apache-2.0
"""Datagrams of governed agents: straight to peers that policy lets, recorded; EPERM to all others."""
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
"""

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: datagrams}
spec:
  rules:
  - {id: metrics, when: 'resource.name == "metrics"', allow: {}}
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


class Datagrams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.port, cls.forbidden = free_port(), free_port()
        for port in (cls.port, cls.forbidden):
            echo = Process(cls.lab.inside("python3", "-c", ECHO, str(port)),
                           cls.lab.folder / f"echo-{port}.log")
            cls.addClassCleanup(echo.stop)
        cls.chaperone = LabChaperone(
            cls.lab, policy=POLICY,
            resources=RESOURCES % {"port": cls.port, "forbidden": cls.forbidden})
        cls.chaperone.__enter__()
        cls.addClassCleanup(cls.chaperone.__exit__, None, None, None)

    def say(self, host, port):
        return self.chaperone.python(SAY, host, str(port)).stdout.strip()

    def test_go_where_policy_lets_and_are_recorded(self):
        for host in ("127.0.0.1", "::1"):
            with self.subTest(host=host):
                self.assertEqual(self.say(host, self.port), f"HELLO {host} {self.port}")
        def recorded():
            sessions = [s for s in self.chaperone.json("session", "list")["sessions"]
                        if s["protocol"] == "udp"]
            return len(sessions) >= 2 and all(s["resource"] == "metrics" for s in sessions)
        wait_until(recorded, "both talks are sessions")

    def test_nowhere_else(self):
        self.assertEqual(self.say("127.0.0.1", self.forbidden), "errno 1")
        self.assertEqual(self.say("198.51.100.9", self.port), "errno 1")
        self.assertEqual(self.say("9.9.9.9", 443), "errno 1")


if __name__ == "__main__":
    unittest.main()
