# SPDX-License-Identifier: Apache-2.0
"""Where names, connections and answers meet: domain fronting, certificates for addresses, sessions
taken up again at the server, MCP answers under masks."""
import json
import unittest

from harness import Chaperone, folder_of, free_port, make_ca
from http_servers import http_resource
from tls_servers import Nginx, Recorder

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: edges}
spec:
  rules:
  - {id: cdn, when: 'http.fronted && http.host == "allowed.internal"', allow: {}}
  - id: clients
    when: 'mcp.tool == "query" && mcp.arguments.table == "clients"'
    mask: [{detect: [EMAIL_ADDRESS], with: redact}]
  - {id: rest, allow: {}}
"""


class Edges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        make_ca(cls.folder)
        cls.port, cls.old_port = free_port(), free_port()
        keys = (f"ssl_certificate {cls.folder}/server.pem; "
                f"ssl_certificate_key {cls.folder}/server.key;")
        cls.nginx = cls.enterClassContext(Nginx(cls.folder, (
            "log_format all '$ssl_protocol $ssl_session_reused $http_host $request_uri';\n"
            f"server {{ listen 127.0.0.1:{cls.port} ssl http2; listen [::1]:{cls.port} ssl http2; "
            f"{keys} ssl_protocols TLSv1.3; ssl_session_cache shared:all:1m; access_log {cls.folder}/log all; "
            "keepalive_timeout 0; }\n"
            f"server {{ listen 127.0.0.1:{cls.old_port} ssl; {keys} ssl_protocols TLSv1.2; "
            f"ssl_session_cache shared:old:1m; access_log {cls.folder}/log all; "
            "keepalive_timeout 0; }\n")))
        cls.mcp = cls.enterClassContext(Recorder(cls.folder, tls=False, answer=cls.answer))
        resources = http_resource("web", f"{cls.port}, {cls.old_port}").replace(
            "hosts: [127.0.0.1]", "hosts: [localhost, 127.0.0.1, '::1']").replace(
            "---\n", "  upstream: {tls: {ca: ca.pem}}\n---\n")
        made = Chaperone(cls.folder / "case", POLICY,
                         resources + http_resource("mcp", cls.mcp.port).removesuffix("---\n"))
        made.documents["ca.pem"] = (cls.folder / "ca.pem").read_text()
        cls.chaperone = cls.enterClassContext(made)

    @staticmethod
    def answer(method, path, fields, body):
        asked = json.loads(body)
        result = {"content": [{"type": "text", "text": "ann@shop.example"}],
                  "structuredContent": {"mail": "ann@shop.example"}}
        text = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result})
        if path == "/events":
            return (200, {"Content-Type": "text/event-stream"},
                    f"event: message\ndata: {text}\n\n".encode())
        return 200, {"Content-Type": "application/json"}, text.encode()

    def curl(self, *args):
        done = self.chaperone.agent(["curl", "-sS", "-m", "30", "-i", *args])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def log(self):
        return (self.folder / "log").read_text().splitlines()

    def test_another_host_than_the_connection_is_for_is_refused(self):
        url = f"https://localhost:{self.port}/hello"
        for version in ("--http1.1", "--http2"):
            with self.subTest(version):
                text = self.curl(version, "-H", "Host: other.internal", url)
                self.assertRegex(text.split("\n")[0], "^HTTP/[0-9.]+ (403|421)")
                self.assertIn("host-mismatch", text)
                self.assertIn("200", self.curl(version, url).split("\n")[0])
                text = self.curl(version, "-H", "Host: allowed.internal", url)
                self.assertIn("200", text.split("\n")[0], "a rule says so")
        hosts = [line.split()[2] for line in self.log()]
        self.assertNotIn("other.internal", hosts)
        self.assertIn("allowed.internal", hosts)
        journal = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn('"fronted"', journal)

    def test_addresses_that_were_dialled_have_certificates_too(self):
        for host in ("127.0.0.1", "[::1]"):
            with self.subTest(host):
                done = self.chaperone.agent(["curl", "-sSv", "-m", "30",
                                             f"https://{host}:{self.port}/hello"])
                self.assertEqual(done.stdout, "hello\n", done.stderr)
                self.assertIn("issuer: O=Chaperone", done.stderr)

    def test_sessions_with_servers_are_taken_up_again(self):
        for version, port in (("TLSv1.3", self.port), ("TLSv1.2", self.old_port)):
            with self.subTest(version):
                path = f"/hello?{version}"
                for _ in range(4):
                    self.curl("--http1.1", "-4", f"https://localhost:{port}{path}")
                lines = [line.split() for line in self.log() if line.endswith(path)]
                self.assertEqual([line[0] for line in lines], [version] * 4)
                self.assertIn("r", [line[1] for line in lines])

    def call(self, path, table):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "query", "arguments": {"table": table}}}
        return self.curl("-H", "Content-Type: application/json", "-H",
                         "Accept: application/json, text/event-stream", "-d", json.dumps(body),
                         f"http://127.0.0.1:{self.mcp.port}{path}")

    def test_results_of_tools_are_masked_by_rules_over_their_arguments(self):
        for path in ("/json", "/events"):
            with self.subTest(path):
                text = self.call(path, "clients")
                self.assertNotIn("ann@", text)
                self.assertEqual(text.count("<EMAIL_ADDRESS>"), 2, text)
                self.assertEqual(self.call(path, "orders").count("ann@shop.example"), 2)


if __name__ == "__main__":
    unittest.main()
