# SPDX-License-Identifier: Apache-2.0
"""What one agent can make the daemon keep or compute: bombs in codings, bodies, heads, held requests,
connections that are open for nothing. Memory is bounded, and another agent goes on meanwhile."""
import json
import shutil
import socket
import subprocess
import threading
import time
import unittest
import zlib
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, wait_until
from http_servers import Nginx, answers, http_resource
from ws_rig.server import Server

HERE = Path(__file__).parent
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: read, when: 'http.path == "/read" && http.body.json.secret == 1', deny: {}}
  - {id: ask, when: 'http.path.startsWith("/held/")', approve: {by: ["group:root"], within: 5m}}
  - {id: watched, when: 'http.path == "/chat" && ws.text == "x"', deny: {}}
  - id: masked
    when: 'http.path.startsWith("/bomb/")'
    mask:
    - {detect: [EMAIL_ADDRESS], with: redact}
    - {detect: [EMAIL_ADDRESS], with: redact, in: request}
  - {id: rest, allow: {}}
"""
WORKLOADS = "".join(f"""apiVersion: chaperone.dev/v1
kind: Workload
metadata: {{name: {name}}}
spec:
  identity: {{subject: 'agent:{name}'}}
---
""" for name in ("billing-agent", "other-agent")).removesuffix("---\n")
MEBIBYTE = 1 << 20


def gzip_bomb(mebibytes, inner=b"a" * MEBIBYTE):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(inner) for _ in range(mebibytes)) + packer.flush()


def tool_bomb(tool, mebibytes):
    return subprocess.run([*tool, "-c"], input=b"a" * (mebibytes * MEBIBYTE), stdout=subprocess.PIPE,
                          check=True).stdout


class Bombs:
    """Answers each request with a body whose coding its path names, or with few words."""

    def __init__(self):
        nested = gzip_bomb(1, gzip_bomb(100))
        self.bodies = {
            "gzip": gzip_bomb(100), "br": tool_bomb(("brotli", "-q", "5"), 100),
            "zstd": tool_bomb(("zstd", "-19"), 100), "gzip,gzip": nested,
            "gzip,gzip,gzip": gzip_bomb(1, nested), "deflate": zlib.compress(b"a" * (100 * MEBIBYTE)),
        }

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with peer:
            data = b""
            try:
                while b"\r\n\r\n" not in data:
                    piece = peer.recv(65536)
                    if not piece:
                        return
                    data += piece
                coding = data.split(b" ")[1].decode().rsplit("/", 1)[1]
                body = self.bodies.get(coding, b"fine")
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n" +
                             (f"Content-Encoding: {coding}\r\n" if body != b"fine" else "").encode() +
                             f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                while peer.recv(65536):
                    pass
            except OSError:
                pass

    def __exit__(self, *error):
        self.listener.close()


class Exhaustion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.scripts = cls.folder / "scripts"
        shutil.copytree(HERE / "http_clients", cls.scripts)
        for name in ("attacks.py", "recorder.mjs"):
            shutil.copy(HERE / "http2" / name, cls.scripts)
        cls.nginx = cls.enterClassContext(Nginx(cls.folder))
        cls.bombs = cls.enterClassContext(Bombs())
        cls.websockets = cls.enterClassContext(Server())
        h2 = free_port()
        server = Process(["node", cls.scripts / "recorder.mjs", h2, cls.folder / "seen"],
                         cls.folder / "recorder.log")
        cls.addClassCleanup(server.stop)
        wait_until(lambda: answers(h2), "the HTTP/2 server accepts connections")
        cls.ports = {"web": cls.nginx.port, "bombs": cls.bombs.port, "chat": cls.websockets.port,
                     "h2": h2}

    def setUp(self):
        # A daemon of its own: the memory that one test has used is no room for the next.
        resources = "".join(http_resource(name, port) for name, port in self.ports.items())
        self.chaperone = self.enterContext(Chaperone(
            self.folder / self._testMethodName, POLICY, resources.removesuffix("---\n"),
            workload=WORKLOADS))

    def resident(self):
        status = Path(f"/proc/{self.chaperone.daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def other(self, path="/echo"):
        """How long another agent's new connection takes."""
        begun = time.monotonic()
        done = self.chaperone.agent(["curl", "-sS", "-m", "30", "-o", "/dev/null", "-w",
                                     "%{http_code}", f"http://127.0.0.1:{self.nginx.port}{path}"],
                                    workload="other-agent")
        self.assertEqual(done.stdout, "200", done.stderr)
        return time.monotonic() - begun

    def exhaust(self, kind, count, port, growth, patience=10):
        """What the connections were answered, and how much memory they took."""
        self.other()
        before = self.resident()
        agent = self.chaperone.popen_agent(["/usr/bin/python3", self.scripts / "exhaust.py", kind,
                                            count, port], stdin=subprocess.PIPE)
        self.addCleanup(agent.communicate)
        opened = json.loads(agent.stdout.readline() or "{}")
        self.assertEqual(opened.get("opened"), count, self.chaperone.log()[-2000:])
        slowest = max(self.other() for _ in range(3))
        most = self.resident()
        agent.stdin.write("\n")
        agent.stdin.flush()
        statuses = json.loads(agent.stdout.readline())
        print(f"{kind}: {count}, {statuses}, {before} to {most} MiB, slowest {slowest:.1f} s",
              flush=True)
        self.assertLess(most - before, growth)
        self.assertLess(slowest, patience)
        self.during(kind)
        agent.communicate()
        self.assertLess(self.other(), patience)
        return statuses

    def during(self, kind):
        if kind != "held":
            return
        # Another agent's question is put to people all the same.
        asking = self.chaperone.popen_agent(["curl", "-sS", "-m", "60", "-H", "Prefer: wait=40",
                                             f"http://127.0.0.1:{self.nginx.port}/held/other"],
                                            workload="other-agent")
        self.addCleanup(asking.communicate)
        mine = lambda: [one for one in self.chaperone.json(
            "approval", "list", "--workload", "other-agent")["approvals"]
            if one["workload"] == "other-agent"]
        wait_until(mine, "the other agent's request is held")
        asking.kill()

    def test_held_requests(self):
        statuses = self.exhaust("held", 1300, self.ports["bombs"], growth=220)
        self.assertEqual(statuses, {"503": 300}, "the others wait")

    def test_large_heads_of_held_requests(self):
        self.exhaust("fields", 600, self.ports["bombs"], growth=260)

    def test_bodies_that_a_rule_wants_to_see(self):
        statuses = self.exhaust("body", 500, self.ports["bombs"], growth=420)
        self.assertGreater(statuses.get("413", 0), 200, "no more of them are kept")

    def test_slow_bodies(self):
        self.exhaust("slow", 400, self.ports["bombs"], growth=96)

    def test_idle_websockets(self):
        self.assertEqual(self.exhaust("websocket", 1000, self.ports["chat"], growth=160),
                         {"101": 1000})

    def test_idle_streams_of_http2(self):
        self.exhaust("streams", 30, self.ports["h2"], growth=160)

    def fetch(self, *args):
        return self.chaperone.popen_agent(["curl", "-sS", "-m", "90", "-o", "/dev/null", "-w",
                                           "%{http_code} %{size_download}", *args])

    def whole(self, agent, what):
        """The other agent meanwhile; memory is bounded."""
        before, most, slowest = self.resident(), 0, 0.0
        while agent.poll() is None:
            slowest = max(slowest, self.other())
            most = max(most, self.resident())
        out = agent.communicate()[0]
        print(f"{what}: {out}, {before} to {most} MiB, slowest {slowest:.1f} s", flush=True)
        self.assertLess(most - before, 96, what)
        self.assertLess(slowest, 20, what)
        return out

    def test_bombs_in_answers(self):
        self.other()
        for coding in self.bombs.bodies:
            self.whole(self.fetch(f"http://127.0.0.1:{self.ports['bombs']}/bomb/{coding}"), coding)

    def test_bombs_in_requests(self):
        self.other()
        for coding, data in self.bombs.bodies.items():
            name = self.folder / "bomb"
            name.write_bytes(data)
            name.chmod(0o644)
            for where in ("bombs/bomb/x", "web/read"):
                host, path = where.split("/", 1)
                out = self.whole(self.fetch(
                    "-H", f"Content-Encoding: {coding}", "-H", "Content-Type: text/plain",
                    "--data-binary", f"@{name}", f"http://127.0.0.1:{self.ports[host]}/{path}"),
                    f"{coding} to /{path}")
                if path == "read":
                    self.assertTrue(out.startswith("403"), out)


if __name__ == "__main__":
    unittest.main()
