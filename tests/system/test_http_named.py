# SPDX-License-Identifier: Apache-2.0
"""Clients by their names, unchanged: gRPC's C++ client, the ws package, undici in a pipeline, curl
with a WebSocket, git that clones and pushes over HTTPS."""
import json
import os
import shutil
import unittest
from pathlib import Path

from harness import BIN, Chaperone, Process, folder_of, free_port, make_ca, run, wait_until
from http_servers import Nginx, answers, http_resource

HERE = Path(__file__).parent
MODULES = run(["npm", "root", "-g"]).stdout.strip()
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: named}
spec:
  rules:
  - {id: no-admin, when: 'http.path.startsWith("/admin")', deny: {}}
  - {id: no-drop, when: 'grpc.service == "shop.v1.Orders" && grpc.method == "Drop"', deny: {}}
  - {id: ask, when: 'grpc.method == "Held"', approve: {by: ["group:root"], within: 5m}}
  - {id: no-secrets, when: 'http.path == "/chat" && ws.opcode == "text" && ws.text.contains("secret")', deny: {}}
  - id: masked
    when: 'http.path == "/masked" || http.path == "/greet"'
    mask: [{detect: [EMAIL_ADDRESS], with: redact, in: both}]
  - id: no-push
    when: 'http.path == "/locked.git/git-receive-pack"'
    deny: {reason: "this one is read only", hint: "open a merge request"}
  - {id: rest, allow: {}}
"""


class Named(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        make_ca(cls.folder)
        for name in ("http2", "http_named"):  # where agents, who are nobody, may read them
            shutil.copytree(HERE / name, cls.folder / name)
        cls.nginx = cls.enterClassContext(Nginx(cls.folder))
        cls.log = cls.folder / "messages"
        cls.repositories = cls.folder / "repositories"
        cls.repositories.mkdir()
        cls.ports = {"nginx": cls.nginx.port}
        named = cls.folder / "http_named"
        cls.serve("grpc", "/usr/bin/python3", cls.folder / "http2/grpc_server.py", "PORT")
        cls.serve("ws", "node", named / "ws_server.cjs", MODULES, "PORT", cls.log)
        cls.serve("trailers", "node", named / "trailers.mjs", "PORT")
        cls.serve("git", "/usr/bin/python3", named / "git_server.py", "PORT", cls.repositories,
                  cls.folder)
        resources = "".join(http_resource(name, port) for name, port in cls.ports.items())
        resources = resources.replace(
            f"hosts: [127.0.0.1]\n  ports: [{cls.ports['git']}]\n",
            f"hosts: [localhost]\n  ports: [{cls.ports['git']}]\n  upstream: {{tls: {{ca: ca.pem}}}}\n")
        made = Chaperone(cls.folder / "case", POLICY, resources.removesuffix("---\n"))
        made.documents["ca.pem"] = (cls.folder / "ca.pem").read_text()
        cls.chaperone = cls.enterClassContext(made)

    @classmethod
    def serve(cls, name, *command):
        port = cls.ports[name] = free_port()
        server = Process([port if word == "PORT" else word for word in command],
                         cls.folder / f"{name}.log")
        cls.addClassCleanup(server.stop)
        wait_until(lambda: answers(port), f"{name} accepts connections")

    def fine(self, *command, **kwargs):
        done = self.chaperone.agent(command, timeout=kwargs.pop("timeout", 120), **kwargs)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n"
                                             f"{self.chaperone.log()[-1500:]}")
        return done.stdout

    def test_grpc_in_cpp(self):
        program = self.folder / "with_grpc"
        flags = run(["pkg-config", "--cflags", "--libs", "grpc++"]).stdout.split()
        built = run(["clang++-19", "-std=c++17", "-O0", "-o", program,
                     self.folder / "http_named/with_grpc.cpp", *flags], timeout=400)
        self.assertEqual(built.returncode, 0, built.stderr)
        self.assertIn("fine", self.fine(program, f"127.0.0.1:{self.ports['grpc']}"))

    def test_ws(self):
        self.assertIn("fine", self.fine("node", self.folder / "http_named/with_ws.cjs", MODULES,
                                        f"ws://127.0.0.1:{self.ports['ws']}"))
        told = [json.loads(line) for line in self.log.read_text().splitlines()]
        self.assertEqual({one["deflate"] for one in told}, {True, False})
        self.assertNotIn("secret", json.dumps(told))
        self.assertEqual({one["text"] for one in told if one["path"] == "/masked"},
                         {"write to <EMAIL_ADDRESS>"})

    def test_undici_in_a_pipeline(self):
        self.assertIn("fine", self.fine(
            "node", self.folder / "http_named/with_undici.mjs", MODULES,
            f"http://127.0.0.1:{self.nginx.port}", self.ports["trailers"]))
        asked = [line for line in self.nginx.requests() if "n=" in line]
        self.assertEqual(asked, [f"GET /echo?n={i} HTTP/1.1" for i in range(200) if i % 5],
                         "in the order in which they were asked")

    def websocket(self, path):
        done = self.chaperone.agent(
            ["curl", "-sSiN", "-m", "30", "--http1.1", "-H", "Connection: Upgrade", "-H",
             "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
             f"http://127.0.0.1:{self.ports['ws']}{path}"], text=False)
        return done.stdout.partition(b"\r\n\r\n")

    def test_curl_opens_a_websocket(self):
        head, _, frames = self.websocket("/greet")
        self.assertIn(b"101 Switching Protocols", head)
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
        text = b"good day, <EMAIL_ADDRESS>"
        end = (1000).to_bytes(2, "big")  # its reason is a text that no mask has seen
        self.assertEqual(frames, bytes([0x81, len(text)]) + text + bytes([0x88, len(end)]) + end)
        head, _, body = self.websocket("/admin")
        self.assertIn(b"403 Forbidden", head)
        self.assertEqual(json.loads(body)["rule"], "no-admin")

    def repository(self, name):
        """A bare one with a commit, of which the agent has a clone of its own."""
        bare, clone = self.repositories / f"{name}.git", self.folder / f"of-the-agent-{name}/clone"
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        work = self.folder / f"work-{name}"
        for command in (["init", "-q", "--bare", "-b", "main", bare], ["init", "-q", "-b", "main", work]):
            self.assertEqual(run(["git", *command]).returncode, 0)
        (work / "large").write_bytes(os.urandom(3 << 20))
        for command in (["add", "large"], [*who, "commit", "-q", "-m", "one"],
                        ["push", "-q", bare, "main"]):
            done = run(["git", "-C", work, *command])
            self.assertEqual(done.returncode, 0, done.stderr)
        place = clone.parent
        place.mkdir()
        os.chmod(place, 0o777)
        self.fine("git", "clone", "-q", f"https://localhost:{self.ports['git']}/{name}.git", clone,
                  env={"GIT_TERMINAL_PROMPT": "0"})
        self.assertEqual((clone / "large").read_bytes(), (work / "large").read_bytes())
        script = f"""set -e; cd {clone}; head -c 3000000 /dev/urandom > more; git add more
            git -c user.name=a -c user.email=a@b commit -q -m two; git push -q origin main"""
        push = self.chaperone.agent(["bash", "-c", script], timeout=120,
                                    env={"HOME": str(place), "GIT_TERMINAL_PROMPT": "0"})
        said = run(["git", "-C", bare, "log", "--format=%s", "main"]).stdout.split()
        return push, said

    def test_git_clones_and_pushes(self):
        push, said = self.repository("open")
        self.assertEqual(push.returncode, 0, push.stderr)
        self.assertEqual(said, ["two", "one"])

    def test_git_is_told_that_it_may_not_push(self):
        push, said = self.repository("locked")
        self.assertNotEqual(push.returncode, 0)
        self.assertIn("403", push.stderr)
        self.assertEqual(said, ["one"])
        journal = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn("/locked.git/git-receive-pack", journal)


if __name__ == "__main__":
    unittest.main()
