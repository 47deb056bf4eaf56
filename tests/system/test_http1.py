# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through the daemon: unchanged clients and nginx, refusals, holds, smuggling, memory."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BIN, wait_until
from http_servers import HttpWorld

HERE = Path(__file__).parent / "http_clients"
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-delete, when: 'http.method == "DELETE"', deny: {reason: "nothing is deleted here", hint: "ask the owner"}}
  - {id: no-admin, when: 'http.path == "/admin" || http.path.startsWith("/admin/")', deny: {}}
  - {id: no-secrets, when: 'http.path == "/upload/json" && http.body.json.secret', deny: {}}
  - {id: ask, when: 'http.path == "/upload/held"', approve: {by: ["group:root"], within: 5m}}
  - {id: rest, allow: {}}
"""


class Http1(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = HttpWorld(POLICY)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.world.nginx.file("big", b"0123456789" * 100_000)
        cls.chaperone = cls.world.chaperone
        # Agents are another user, who may not be let into this checkout.
        cls.programs = cls.world.folder / "http"
        shutil.copytree(HERE, cls.programs)

    def fine(self, *command, **kwargs):
        done = self.world.agent(*command, **kwargs)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n"
                                             f"{self.chaperone.log()[-1500:]}")
        return done.stdout

    def curl(self, path, *flags):
        return self.fine("curl", "-sS", "--max-time", "30", *flags, self.world.url(path))

    def status(self, path, *flags):
        return self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", "--path-as-is", *flags)

    def test_curl(self):
        self.assertEqual(self.curl("/echo?a=b", "-H", "X-Probe: yes"), "GET /echo?a=b yes\n")
        self.assertEqual(self.curl("/echo", "--http1.0"), "GET /echo \n")
        self.assertEqual(self.status("/empty"), "204")
        self.assertEqual(self.status("/nothing-there"), "404")
        self.assertIn("200 OK", self.curl("/echo", "-I"))
        self.assertEqual(self.curl("/big", "-r", "5-9"), "56789")
        both = self.fine("curl", "-sS", "-v", self.world.url("/echo"), self.world.url("/echo"))
        self.assertEqual(both, "GET /echo \n" * 2)

    def test_uploads_with_and_without_expectation(self):
        for flags in (("-H", "Expect: 100-continue"), ("-H", "Expect:"),
                      ("-H", "Transfer-Encoding: chunked")):
            self.assertIn(self.status("/upload/curl", "-X", "PUT", "-d", "x" * 5000, *flags),
                          ("201", "204"))

    def test_a_refusal_says_why_and_the_connection_goes_on(self):
        text = self.fine("curl", "-sS", "-i", "-X", "DELETE", self.world.url("/upload/x"),
                         "--next", "-sS", "-w", "%{num_connects}", self.world.url("/echo"))
        self.assertIn("403 Forbidden", text)
        self.assertIn("application/problem+json", text)
        self.assertIn('"rule":"no-delete"', text)
        self.assertIn("ask the owner", text)
        self.assertTrue(text.endswith("GET /echo \n0"), "on the same connection")

    def test_paths_that_servers_read_as_the_forbidden_one(self):
        for path in ("/admin", "/admin/x", "//admin/x", "/ADMIN/x", "/a/../admin/x",
                     "/admin;x=1/x", "/%61dmin", "/a/%2e%2e/admin", "/.//admin", "/a%2f..%2fadmin",
                     "/%2561dmin", "/echo/..%5cadmin"):
            self.assertEqual(self.status(path), "403", path)
        self.assertFalse([line for line in self.world.nginx.requests() if "dmin" in line.lower()])

    def test_bodies_are_read_where_a_rule_asks(self):
        ask = lambda body: self.status("/upload/json", "-X", "PUT", "-d", body)
        self.assertIn(ask('{"secret": false}'), ("201", "204"))
        for bad in ('{"secret": true}', '{"secret": false, "secret": true}', "{}", "no json"):
            self.assertEqual(ask(bad), "403", bad)
        with tempfile.NamedTemporaryFile(dir=self.world.folder) as large:
            large.write(b'{"secret": false, "x": "' + b"x" * 3_000_000 + b'"}')
            large.flush()
            os.chmod(large.name, 0o644)
            self.assertEqual(self.status("/upload/json", "-T", large.name), "413")

    def test_a_held_request_is_granted_while_its_client_waits(self):
        agent = self.chaperone.popen_agent(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                                            "-X", "PUT", "-d", "x", self.world.url("/upload/held")])
        pending = wait_until(lambda: self.pending("/upload/held"), "the request is held")
        self.assertEqual(pending[0]["parameters"], ["x"], "an approver sees the body")
        self.chaperone.ok("approval", "grant", pending[0]["id"])
        out, err = agent.communicate(timeout=60)
        self.assertIn(out, ("201", "204"), err)

    def test_a_held_request_comes_again_and_only_that_one(self):
        flags = ("-X", "PUT", "-d", "y", "-H", "Prefer: respond-async")
        text = self.curl("/upload/held", "-i", *flags)
        self.assertIn("202 Accepted", text)
        self.assertIn("Location: ", text)
        pending = wait_until(lambda: self.pending("/upload/held"), "it waits")
        self.chaperone.ok("approval", "grant", pending[0]["id"])
        other = self.curl("/upload/held", "-i", "-X", "PUT", "-d", "z", "-H",
                          "Prefer: respond-async")
        self.assertIn("202 Accepted", other, "a grant is for one body")
        self.assertIn(self.status("/upload/held", *flags), ("201", "204"))
        self.assertEqual(self.status("/upload/held", *flags), "202", "and good once")
        for left in self.pending("/upload/held"):
            self.chaperone.cli("approval", "refuse", left["id"], "--reason", "no")

    def pending(self, path):
        approvals = self.chaperone.json("approval", "list")
        approvals = approvals if isinstance(approvals, list) else approvals.get("approvals", [])
        return [one for one in approvals if one["state"] == "pending" and path in one["statement"]]

    def test_what_was_asked_is_recorded(self):
        self.status("/echo?recorded=1")
        self.status("/admin?recorded=1")
        journal = [json.loads(line) for line in
                   self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()]
        text = json.dumps(journal)
        self.assertIn(f"GET {self.world.url('/echo?recorded=1')}", text)
        self.assertIn(f"GET {self.world.url('/admin?recorded=1')}", text)
        self.chaperone.ok("journal", "verify")

    def test_no_byte_of_a_smuggled_request_reaches_the_server(self):
        self.smuggle("heads")
        self.assertEqual(self.world.recorder.seen(), b"")

    def test_nothing_behind_a_broken_body_reaches_the_server(self):
        self.smuggle("bodies")
        seen = self.world.recorder.seen()
        self.assertNotIn(b"smuggled", seen)
        self.assertNotIn(b"0\r\n\r\n", seen, "no request is ever whole")

    def smuggle(self, which):
        self.world.recorder.clear()
        text = self.fine("/usr/bin/python3", self.programs / "smuggling.py", self.world.recorder.port, which,
                         timeout=300)
        results = [json.loads(line) for line in text.splitlines()]
        self.assertGreater(len(results), 60 if which == "heads" else 15)
        for result in results:
            if which == "heads" or result["status"]:
                self.assertIn(result["status"] // 100, (4, 5), result)

    def test_a_server_learns_that_its_client_went_away(self):
        for last in ("Connection: keep-alive", "Connection: close"):
            silent = self.world.silent
            silent.asked.clear()
            silent.ended.clear()
            with self.chaperone.popen_agent(["curl", "-s", "-H", last,
                                             f"http://127.0.0.1:{silent.port}/long"]) as curl:
                self.assertTrue(silent.asked.wait(30), "the request arrives")
                self.assertFalse(silent.ended.is_set(), "while the client waits, the server does")
                curl.terminate()
            self.assertTrue(silent.ended.wait(30), "the server hears of the client's end")

    def test_python(self):
        self.assertIn("fine", self.fine("/usr/bin/python3", self.programs / "with_python.py",
                                        self.world.url("")))

    def test_node(self):
        self.assertIn("fine", self.fine("node", self.programs / "with_node.mjs", self.world.url("")))

    def test_java(self):
        self.assertIn("fine", self.fine("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
                                        self.programs / "WithJava.java", self.world.url(""), timeout=240))

    def test_go(self):
        program = self.world.folder / "with_go"
        built = subprocess.run(["go", "build", "-o", program, HERE / "with_go.go"], timeout=400,
                               env=dict(os.environ, GOCACHE=str(BIN / "go-cache"),
                                        GO111MODULE="off"), capture_output=True, text=True)
        self.assertEqual(built.returncode, 0, built.stderr)
        self.assertIn("fine", self.fine(program, self.world.url("")))

    def resident(self):
        status = Path(f"/proc/{self.chaperone.daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def test_large_bodies_pass_in_flat_memory(self):
        with open(self.world.nginx.folder / "www/huge", "wb") as huge:
            huge.truncate(256 << 20)
        self.curl("/big", "-o", "/dev/null")
        before = self.resident()
        size = self.curl("/huge", "-o", "/dev/null", "-w", "%{size_download}", "--limit-rate",
                         "200M", "--max-time", "120")
        self.assertEqual(int(size), 256 << 20)
        self.fine("curl", "-sS", "-T", self.world.nginx.folder / "www/huge", "--max-time", "120",
                  self.world.url("/upload/huge"))
        self.assertEqual((self.world.nginx.folder / "upload/huge").stat().st_size, 256 << 20)
        self.assertLess(self.resident() - before, 32, "MiB")

    def test_a_slow_reader_slows_the_server_down(self):
        with open(self.world.nginx.folder / "www/slow", "wb") as slow:
            slow.truncate(64 << 20)
        before = self.resident()
        agent = self.chaperone.popen_agent(["curl", "-sS", "-o", "/dev/null", "--limit-rate", "1M",
                                            "--max-time", "4", self.world.url("/slow")])
        agent.communicate(timeout=60)
        self.assertLess(self.resident() - before, 16, "MiB")


if __name__ == "__main__":
    unittest.main()
