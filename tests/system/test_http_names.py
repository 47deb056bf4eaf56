# SPDX-License-Identifier: Apache-2.0
"""Which host a request is for: rules, resources and a server that reads names in every way agree, or
it is refused."""
import json
import shutil
import unittest
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, make_ca, wait_until
from http_servers import answers, http_resource

HERE = Path(__file__).parent
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: names}
spec:
  rules:
  - {id: no-inner, when: 'http.host == "127.0.0.9" || (RULE)', deny: {}}
  - {id: rest, allow: {}}
"""
INNER = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: inner}}
spec:
  protocol: http
  hosts: [inner.internal]
  ports: [{ports}]
---
"""


class Names(unittest.TestCase):
    def serve(self, rule, resources=""):
        self.folder = folder_of(self)
        make_ca(self.folder)
        shutil.copytree(HERE / "http_clients", self.folder / "http_clients")
        shutil.copy(HERE / "http2/attacks.py", self.folder / "http_clients")
        self.ports = [free_port() for _ in range(3)]
        server = Process(["node", self.folder / "http_clients/hosts.mjs", *self.ports,
                          self.folder / "server.key", self.folder / "server.pem"],
                         self.folder / "hosts.log")
        self.addCleanup(server.stop)
        wait_until(lambda: all(map(answers, self.ports)), "the server accepts connections")
        joined = ", ".join(map(str, self.ports))
        outer = http_resource("outer", joined, "  upstream: {tls: {ca: ca.pem}}\n").replace(
            "[127.0.0.1]", "[127.0.0.1, localhost]")
        made = Chaperone(self.folder / "case", POLICY.replace("RULE", rule),
                         resources.format(ports=joined) + outer.removesuffix("---\n"))
        made.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
        self.chaperone = self.enterContext(made)

    def results(self):
        done = self.chaperone.agent(["/usr/bin/python3", self.folder / "http_clients/hosts.py",
                                     *self.ports], timeout=400)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:] + self.chaperone.log()[-2000:])
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check(self, results):
        self.assertGreater(len(results), 1500)
        good = {one["place"]: one["page"] for one in results if one["host"] == "127.0.0.1"}
        for place in ("host", "absolute", "second", "authority", "host-in-http2"):
            self.assertEqual(good[place], "another", good)
        inner = [one for one in results if one["page"] == "inner"]
        self.assertFalse(inner[:10], f"{len(inner)} in all")
        # Each is answered, or its connection ended: nothing hangs, and nothing ends the daemon.
        self.assertLess(sum(one["status"] == 0 for one in results), len(results) // 3)
        self.assertEqual(self.chaperone.cli("status").returncode, 0)

    def test_no_spelling_of_a_host_passes_a_rule_about_it(self):
        self.serve('http.host == "inner.internal"')
        self.check(self.results())

    def test_no_place_of_a_request_names_the_host_of_another_resource(self):
        self.serve('resource.name == "inner"', INNER)
        self.check(self.results())


if __name__ == "__main__":
    unittest.main()
