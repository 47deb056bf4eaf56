# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 within TLS, negotiated by ALPN, from runtimes as they come: Go, Java, Python's httpx and
curl. Each has many streams on one connection, some of them refused."""
import os
import shutil
import unittest
from pathlib import Path

from harness import BIN, Chaperone, Process, folder_of, free_port, make_ca, run, wait_until
from http_servers import answers

HERE = Path(__file__).parent / "http2_tls"
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-admin, when: 'http.path.startsWith("/admin")', deny: {reason: "not for agents"}}
  - {id: rest, allow: {}}
"""


class Http2Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        make_ca(cls.folder)
        cls.programs = cls.folder / "programs"
        shutil.copytree(HERE, cls.programs)
        cls.port = free_port()
        server = Process(["node", HERE / "server.mjs", cls.port, cls.folder / "server.key",
                          cls.folder / "server.pem"], cls.folder / "server.log")
        cls.addClassCleanup(server.stop)
        wait_until(lambda: answers(cls.port), "the server accepts connections")
        cls.chaperone = Chaperone(
            cls.folder, POLICY, "apiVersion: chaperone.dev/v1\nkind: Resource\n"
            "metadata: {name: web}\nspec:\n  protocol: http\n  hosts: [localhost, 127.0.0.1]\n"
            f"  ports: [{cls.port}]\n  upstream: {{tls: {{ca: ca.pem}}}}\n")
        cls.chaperone.documents["ca.pem"] = (cls.folder / "ca.pem").read_text()
        cls.enterClassContext(cls.chaperone)
        cls.url = f"https://localhost:{cls.port}"

    def fine(self, *command):
        done = self.chaperone.agent(command, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-3000:] +
                         self.chaperone.log()[-2000:])
        self.assertIn("fine", done.stdout)
        self.chaperone.ok("journal", "verify")

    def test_go(self):
        program = self.folder / "with_go"
        built = run(["go", "build", "-o", program, self.programs / "with_go.go"], timeout=400,
                    env=dict(os.environ, GOCACHE=str(BIN / "go-cache"), GO111MODULE="off"))
        self.assertEqual(built.returncode, 0, built.stderr)
        self.fine(program, self.url)

    def test_java(self):
        self.fine("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
                  self.programs / "WithJava.java", self.url)

    def test_httpx(self):
        self.fine("/usr/bin/python3", self.programs / "with_httpx.py", self.url)

    def test_curl_in_parallel(self):
        urls = [f"{self.url}/item/{i}" for i in range(30)]
        done = self.chaperone.agent(["curl", "-sS", "--http2", "--parallel", "-w",
                                     "%{http_version} %{http_code}\\n", "-o", "/dev/null",
                                     *[word for url in urls for word in ("-o", "/dev/null", url)][2:]])
        self.assertEqual(done.stdout.splitlines(), ["2 200"] * 30, done.stderr)

    def test_h2load(self):
        done = self.chaperone.agent(["h2load", "-n", "3000", "-c", "4", "-m", "50",
                                     f"{self.url}/item"], timeout=120)
        self.assertIn("3000 succeeded, 0 failed, 0 errored", done.stdout, done.stderr)
        self.assertIn("Application protocol: h2", done.stdout)


if __name__ == "__main__":
    unittest.main()
