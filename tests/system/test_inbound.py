# SPDX-License-Identifier: Apache-2.0
"""Who reaches governed agents that listen: real servers and clients, the real daemon. Nobody from
outside by default; by policy those who are named; and what one agent says to another is a session
that names both."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import Chaperone, free_port, run, wait_until

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: peers}
spec:
  rules:
  - {id: web, when: 'resource.name == "web" && session.peer == "server"', allow: {}}
  - {id: lines, when: 'resource.name == "line"', allow: {}}
"""

WORKLOADS = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent}
spec: {identity: {subject: "agent:billing"}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: server}
spec:
  identity: {subject: "agent:server"}
  inbound: [%s]
"""

RESOURCES = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: web}
spec: {protocol: http, hosts: [127.0.0.1, "::1"], ports: [%(web)d], upstream: {tls: {mode: disable}}}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: line}
spec: {protocol: tcp, hosts: [127.0.0.1, "::1"], ports: [%(line)d], inspect: false}
"""

# A dual-stack server, on two ports.
SERVER = """
import http.server, socket, sys, threading
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"served")
    def log_message(self, *_): pass
class Dual(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
servers = [Dual(("::", int(port)), Quiet) for port in sys.argv[1:]]
for one in servers[1:]: threading.Thread(target=one.serve_forever, daemon=True).start()
print("listening", flush=True)
servers[0].serve_forever()
"""


class Inbound(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.web, self.line = free_port(), free_port()
        self.chaperone = Chaperone(self.folder, POLICY,
                                   RESOURCES % {"web": self.web, "line": self.line},
                                   workload=WORKLOADS % "")
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))
        self.server = self.chaperone.popen_agent(
            ["/usr/bin/python3", "-c", SERVER, str(self.web), str(self.line)], workload="server")
        self.addCleanup(self.end_server)
        self.assertEqual(self.server.stdout.readline().strip(), "listening",
                         self.chaperone.log()[-1000:])

    def end_server(self):
        self.server.terminate()
        self.server.communicate(timeout=15)

    def take(self, inbound):
        before = self.chaperone.json("policy", "status").get("digest")
        (self.chaperone.root / "etc/chaperone/bundle/workloads.yaml").write_text(
            WORKLOADS % inbound)
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.chaperone.json("policy", "status").get("digest") != before,
                   "the new bundle is in force")

    @staticmethod
    def curl(host, port):
        return ["curl", "-sS", "-g", "--max-time", "10", "-w", " %{http_code}",
                f"http://{host}:{port}/"]

    def from_host(self, port, host="127.0.0.1"):
        done = run(self.curl(host, port))
        return done.stdout if done.returncode == 0 else f"curl {done.returncode}"

    def from_agent(self, port, host="127.0.0.1"):
        done = self.chaperone.agent(self.curl(host, port))
        return done.stdout if done.returncode == 0 else f"curl {done.returncode}"

    def sessions(self, **wanted):
        return [one for one in self.chaperone.json("session", "list").get("sessions", [])
                if all(one.get(key) == value for key, value in wanted.items())]

    def events(self, kind):
        lines = self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()
        found = [json.loads(line) for line in lines]
        return [one for one in found if one.get("event", {}).get("kind") == kind]

    def metrics(self):
        return run(["curl", "-s", "--unix-socket",
                    self.chaperone.root / "run/chaperone/api.sock",
                    "http://localhost/metrics"]).stdout

    def test_nobody_from_outside_reaches_it_by_default(self):
        for host in ("127.0.0.1", "[::1]"):
            said = self.from_host(self.web, host)
            self.assertIn(said, ("curl 7", "curl 56"), "refused, and at once")
        wait_until(lambda: len(self.events("inbound")) >= 2, "the attempts are recorded")
        self.assertIn("server", json.dumps(self.events("inbound")[0]))
        self.assertEqual(self.sessions(peer="server"), [])
        self.assertRegex(self.metrics(), r'refused[^\n]*inbound[^\n]* [1-9]')

    def test_whom_policy_names_reaches_it_and_is_recorded(self):
        self.take(f"{{ports: [{self.web}], hosts: [127.0.0.1]}}")
        wait_until(lambda: self.from_host(self.web) == "served 200", "the named caller is let in")
        self.assertEqual(self.from_host(self.web, "[::1]")[:4], "curl")
        self.assertEqual(self.from_host(self.line)[:4], "curl", "another port")
        one = wait_until(lambda: self.sessions(peer="server", state="closed"), "it is recorded")[0]
        self.assertEqual(one.get("workload", ""), "")
        self.assertEqual(one["destination"]["port"], self.web)
        self.assertEqual(one["destination"]["address"], "127.0.0.1")
        self.assertGreater(one["bytesUp"], 50)
        self.assertGreater(one["bytesDown"], 6)
        listed = self.chaperone.json("session", "list", "--workload", "server")["sessions"]
        self.assertIn(one["id"], [session["id"] for session in listed])
        # An agent is judged as a workload, wherever it calls from.
        self.assertNotIn("served", self.from_agent(self.web))

    def test_another_agent_reaches_it_through_the_proxy_only_by_name(self):
        said = self.from_agent(self.web)
        self.assertIn("403", said)
        refused = wait_until(lambda: self.sessions(workload="billing-agent", effect="deny"),
                             "the refusal is recorded")[0]
        self.assertEqual(refused["peer"], "server")
        self.take(f"{{ports: [{self.web}], workloads: [billing-agent]}}")
        for host in ("127.0.0.1", "[::1]"):
            self.assertEqual(self.from_agent(self.web, host), "served 200",
                             self.chaperone.log()[-2000:])
        one = wait_until(lambda: self.sessions(workload="billing-agent", effect="allow"),
                         "it is recorded")[0]
        self.assertEqual((one["peer"], one["resource"]), ("server", "web"))
        shown = self.chaperone.ok("session", "show", one["id"])
        self.assertRegex(shown, r"peer\s+server")
        self.assertRegex(shown, r"workload\s+billing-agent")
        self.assertIn("server", self.chaperone.ok("session", "replay", one["id"]))
        self.assertEqual(self.from_host(self.web)[:4], "curl", "and nobody else")

    def test_another_agent_reaches_it_directly_only_by_name(self):
        said = self.from_agent(self.line)
        self.assertEqual(said[:4], "curl")
        wait_until(lambda: [event for event in self.events("inbound")
                            if "billing-agent" in json.dumps(event)], "the attempt is recorded")
        self.take(f"{{ports: [{self.line}], workloads: ['*']}}")
        wait_until(lambda: self.from_agent(self.line) == "served 200", "the agent is let in")
        one = wait_until(lambda: self.sessions(workload="billing-agent", peer="server",
                                               resource="line", state="closed"),
                         "it is recorded with both names")[0]
        self.assertGreater(one["bytesUp"], 50)

    def test_a_new_bundle_cuts_whom_the_old_one_took(self):
        """Both ends hear so at once, and the journal says why."""
        self.take(f"{{ports: [{self.line}], hosts: ['*']}}, "
                  f"{{ports: [{self.line}], workloads: ['*']}}")
        script = ("import socket, sys\n"
                  "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)\n"
                  "print('open', flush=True)\n"
                  "try: print('end', s.recv(1))\n"
                  "except OSError as e: print('cut', e.errno)\n")
        command = ["/usr/bin/python3", "-u", "-c", script, str(self.line)]
        wait_until(lambda: self.from_host(self.line) == "served 200", "the bundle is in force")
        clients = {"billing-agent": self.chaperone.popen_agent(command),
                   "": subprocess.Popen(command, stdout=subprocess.PIPE, text=True)}
        for client in clients.values():
            self.assertEqual(client.stdout.readline().strip(), "open")
        ids = {}
        for workload in clients:
            ids[workload] = wait_until(
                lambda: [s for s in self.sessions(state="open", peer="server")
                         if s.get("workload", "") == workload], "it is open")[0]["id"]
        self.take("")
        for workload, client in clients.items():
            with self.subTest(workload=workload):
                self.assertIn("cut", client.communicate(timeout=5)[0])
                ended = wait_until(lambda: self.sessions(id=ids[workload], state="closed"),
                                   "it has ended")
                self.assertIn("policy changed", ended[0]["endReason"])

    def test_an_ended_session_is_cut(self):
        self.take(f"{{ports: [{self.line}], hosts: ['*']}}, "
                  f"{{ports: [{self.line}], workloads: ['*']}}")
        script = ("import socket, sys\n"
                  "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)\n"
                  "print('open', flush=True)\n"
                  "try: print('end', s.recv(1))\n"
                  "except OSError as e: print('cut', e.errno)\n")
        command = ["/usr/bin/python3", "-u", "-c", script, str(self.line)]
        for client, wanted in ((self.chaperone.popen_agent(command), "billing-agent"),
                               (subprocess.Popen(command, stdout=subprocess.PIPE, text=True), "")):
            self.assertEqual(client.stdout.readline().strip(), "open")
            one = wait_until(lambda: [s for s in self.sessions(state="open", peer="server")
                                      if s.get("workload", "") == wanted], "it is open")[0]
            self.chaperone.ok("session", "kill", one["id"])
            self.assertRegex(client.communicate(timeout=15)[0], "cut|end b''")
            ended = wait_until(lambda: self.sessions(id=one["id"], state="closed"), "it has ended")
            self.assertEqual(ended[0]["endReason"], "ended by an operator")


if __name__ == "__main__":
    unittest.main()
