# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, gRPC and WebSockets through the daemon: unchanged clients and servers in clear text."""
import shutil
import unittest
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, wait_until
from http_servers import answers, http_resource

HERE = Path(__file__).parent / "http2"
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-delete, when: 'http.method == "DELETE"', deny: {reason: "nothing is deleted here"}}
  - {id: no-admin, when: 'http.path.startsWith("/admin")', deny: {}}
  - {id: no-drop, when: 'grpc.service == "shop.v1.Orders" && grpc.method == "Drop"', deny: {}}
  - {id: ask, when: 'grpc.method == "Held"', approve: {by: ["group:root"], within: 5m}}
  - {id: no-secrets, when: 'http.path == "/chat" && ws.opcode == "text" && ws.text.contains("secret")', deny: {}}
  - {id: rest, allow: {}}
"""


class Http2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        # Where agents, who are nobody, may read them.
        cls.scripts = cls.folder / "scripts"
        shutil.copytree(HERE, cls.scripts)
        (cls.folder / "www").mkdir()
        (cls.folder / "www/index.html").write_text("the page\n")
        (cls.folder / "www/big").write_bytes(b"0123456789" * 1_000_000)
        with open(cls.folder / "www/huge", "wb") as huge:
            huge.truncate(256 << 20)
        cls.log = cls.folder / "messages"
        cls.ports = {}
        cls.serve("nghttpd", lambda port: ["nghttpd", "--no-tls", "-d", cls.folder / "www",
                                           "--trailer", "x-end: yes", port])
        cls.serve("node", lambda port: ["node", cls.scripts / "h2_server.mjs", port])
        cls.serve("grpc", lambda port: ["/usr/bin/python3", cls.scripts / "grpc_server.py", port])
        cls.serve("ws", lambda port: ["/usr/bin/python3", cls.scripts / "ws_server.py", port, cls.log])
        resources = "".join(http_resource(name, port) for name, port in cls.ports.items())
        cls.chaperone = Chaperone(cls.folder, POLICY, resources.removesuffix("---\n"))
        cls.chaperone.__enter__()
        cls.addClassCleanup(cls.chaperone.__exit__, None, None, None)

    @classmethod
    def serve(cls, name, command):
        cls.ports[name] = free_port()
        server = Process(command(cls.ports[name]), cls.folder / f"{name}.log")
        cls.addClassCleanup(server.stop)
        wait_until(lambda: answers(cls.ports[name]), f"{name} accepts connections")

    def url(self, name, path="", scheme="http"):
        return f"{scheme}://127.0.0.1:{self.ports[name]}{path}"

    def fine(self, *command, **kwargs):
        done = self.chaperone.agent(command, **kwargs)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n"
                                             f"{self.chaperone.log()[-1500:]}")
        return done.stdout

    def curl(self, path, *flags):
        return self.fine("curl", "-sS", "--http2-prior-knowledge", "--max-time", "60", *flags,
                         self.url("nghttpd", path))

    def test_curl(self):
        self.assertEqual(self.curl("/"), "the page\n")
        text = self.curl("/", "-v", "-i")
        self.assertIn("HTTP/2 200", text)
        self.assertIn("HTTP/2 200", self.curl("/", "-I"))
        self.assertEqual(self.curl("/big", "-o", "/dev/null", "-w", "%{size_download}"), "10000000")
        refused = self.curl("/admin/x", "-i")
        self.assertIn("HTTP/2 403", refused)
        self.assertIn("application/problem+json", refused)
        self.assertIn('"rule":"no-admin"', refused)

    def test_an_upload_is_refused_in_words(self):
        text = self.curl("/x", "-X", "DELETE", "-d", "x" * 100_000, "-w", "%{http_code}")
        self.assertIn("nothing is deleted here", text)
        self.assertTrue(text.endswith("403"), text)

    def test_nghttp_sees_trailers(self):
        self.assertIn("x-end: yes", self.fine("nghttp", "-v", self.url("nghttpd", "/")))

    def test_h2load(self):
        text = self.fine("h2load", "-n", "5000", "-c", "4", "-m", "50", self.url("nghttpd", "/"),
                         timeout=120)
        self.assertIn("5000 succeeded, 0 failed, 0 errored", text)
        self.assertRegex(text, "5000 2xx, 0 3xx, 0 4xx, 0 5xx")

    def test_node(self):
        text = self.fine("node", self.scripts / "with_node_h2.mjs", self.url("node"), timeout=120)
        self.assertIn("fine", text)

    def test_grpc(self):
        text = self.fine("/usr/bin/python3", self.scripts / "with_grpc.py",
                         f"127.0.0.1:{self.ports['grpc']}", timeout=120)
        self.assertIn("fine", text)
        journal = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn("/shop.v1.Orders/Drop", journal)
        self.chaperone.ok("journal", "verify")

    def test_websockets(self):
        text = self.fine("/usr/bin/python3", self.scripts / "with_websockets.py",
                         self.url("ws", scheme="ws"), timeout=120)
        self.assertIn("fine", text)
        told = self.log.read_text(encoding="utf-8").splitlines()
        self.assertEqual([line for line in told if "secret" in line], ["'a secret of ours'"],
                         "the one of /plain, and none of /chat")

    def resident(self):
        status = Path(f"/proc/{self.chaperone.daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def test_large_bodies_pass_in_flat_memory(self):
        self.curl("/big", "-o", "/dev/null")
        before = self.resident()
        size = self.curl("/huge", "-o", "/dev/null", "-w", "%{size_download}")
        self.assertEqual(int(size), 256 << 20)
        self.assertLess(self.resident() - before, 32, "MiB")

    def test_slow_readers_slow_the_server_down(self):
        before = self.resident()
        agents = [self.chaperone.popen_agent(
            ["curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", "--limit-rate", "100k",
             "--max-time", "4", self.url("node", "/endless")]) for _ in range(4)]
        for agent in agents:
            agent.communicate(timeout=60)
        self.assertLess(self.resident() - before, 64, "MiB")


if __name__ == "__main__":
    unittest.main()
