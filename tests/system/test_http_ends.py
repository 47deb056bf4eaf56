# SPDX-License-Identifier: Apache-2.0
"""How a server ends a connection is how its client sees it end, as on a direct line."""
import contextlib
import fcntl
import json
import shutil
import socket
import ssl
import struct
import termios
import threading
import time
import unittest
from pathlib import Path

from harness import Chaperone, folder_of, make_ca, run, wait_until
from http_servers import http_resource

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: masked, when: 'http.path.startsWith("/masked")',
     mask: [{detect: [EMAIL_ADDRESS], with: redact}]}
  - {id: held, when: 'http.path.startsWith("/held")', approve: {by: ["group:ops"], within: 5m}}
  - {id: rest, allow: {}}
"""
CLIENT = Path(__file__).parent / "drivers/http_ends.py"
OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"
ANSWERS = {"nothing": b"", "open": OPEN + b"part", "sized": SIZED + b"part",
           "chunked": CHUNKED + b"part", "whole": OPEN[:-2] + b"Content-Length: 4\r\n\r\npart"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: spdy/3.1\r\nConnection: Upgrade\r\n\r\nspdy"


class Server:
    """Answers /ANSWER/END with that answer, and ends as it says."""

    def __init__(self, context=None):
        self.context = context
        self.requests = []
        self.idle = None  # seconds that it waits for a request

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with contextlib.suppress(OSError), contextlib.ExitStack() as over:
            over.enter_context(peer)
            if self.context:
                peer = over.enter_context(self.context.wrap_socket(peer, server_side=True))
            peer.settimeout(self.idle)
            head = b""
            while b"\r\n\r\n" not in head:
                try:
                    piece = peer.recv(65536)
                except TimeoutError:
                    self.requests.append("none came")
                    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                                 b"Content-Length: 0\r\n\r\n")
                    return
                if not piece:
                    return
                head += piece
            path = head.split()[1].decode()
            self.requests.append(path)
            if path == "/upgrade":
                peer.sendall(SWITCH)
                return
            if path == "*":  # of HTTP/2's preface
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            *_, answer, end = path.split("/")
            peer.sendall(ANSWERS[answer])
            if end == "reset":
                while fcntl.ioctl(peer, termios.TIOCOUTQ, b"\0" * 4) != b"\0" * 4:
                    time.sleep(0.001)  # else it takes back what was not read
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif end == "told" and self.context:
                peer.unwrap()
            peer.close()

    def __exit__(self, *error):
        self.listener.close()


class Ends(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        make_ca(cls.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.folder / "server.pem", cls.folder / "server.key")
        cls.clear = cls.enterClassContext(Server())
        cls.tls = cls.enterClassContext(Server(context))
        shutil.copy(CLIENT, cls.folder / "client.py")
        resources = http_resource("clear", cls.clear.port) + http_resource(
            "tls", cls.tls.port).replace("---\n", "  upstream: {tls: {ca: ca.pem}}\n---\n")
        cls.chaperone = Chaperone(cls.folder / "case", POLICY, resources.removesuffix("---\n"))
        cls.chaperone.documents["ca.pem"] = (cls.folder / "ca.pem").read_text()
        cls.enterClassContext(cls.chaperone)

    def seen(self, server, paths, governed):
        """What the client reads for each path, and how that ends."""
        command = ["/usr/bin/python3", self.folder / "client.py", server.port,
                   "tls" if server.context else "clear", *paths]
        done = self.chaperone.agent(command) if governed else run(command)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_they_are_the_same_as_on_a_direct_line(self):
        for server, ends in ((self.clear, ("told", "reset")),
                             (self.tls, ("told", "untold", "reset"))):
            paths = [f"/{answer}/{end}" for answer in ANSWERS for end in ends
                     if (answer, end) != ("whole", "reset")]
            direct = self.seen(server, paths, False)
            self.assertEqual({how for _, how in direct}, {*ends} - {"told"} | {"end"}, direct)
            self.assertEqual(self.seen(server, paths, True), direct)

    def test_what_is_masked_is_not_whole_either(self):
        for server, end in ((self.clear, "reset"), (self.tls, "untold"), (self.tls, "reset")):
            with self.subTest(tls=bool(server.context), end=end):
                (text, how), = self.seen(server, [f"/masked/open/{end}"], True)
                self.assertFalse(text.endswith("0\r\n\r\n"), text)
                (text, how), = self.seen(server, ["/masked/open/told"], True)
                self.assertEqual((text[-5:], how), ("0\r\n\r\n", "end"))

    def test_a_server_is_no_less_patient_with_a_person(self):
        self.clear.idle = 0.5
        self.addCleanup(setattr, self.clear, "idle", None)
        before = len(self.clear.requests)
        agent = self.chaperone.popen_agent(
            ["/usr/bin/python3", self.folder / "client.py", self.clear.port, "clear",
             "/held/whole/told"])
        wait_until(lambda: "none came" in self.clear.requests[before:], "the server gives up")
        approval, = [one for one in self.chaperone.json("approval", "list")["approvals"]
                     if one["state"] == "pending"]
        self.chaperone.ok("approval", "grant", approval["id"])
        out, err = agent.communicate(timeout=60)
        self.assertIn("200 OK", out, err)
        self.assertEqual(self.clear.requests[before:], ["none came", "/held/whole/told"])

    def test_an_upgrade_that_is_not_spoken_here(self):
        for path, status in (("/whole/told", "200"), ("/upgrade", "502")):
            done = self.chaperone.agent(["curl", "-si", "-m", "30", "-H", "Connection: Upgrade",
                                         "-H", "Upgrade: spdy/3.1",
                                         f"http://127.0.0.1:{self.clear.port}{path}"])
            self.assertEqual(done.stdout.split()[1], status, done.stdout)
            self.assertNotIn("spdy", done.stdout.partition("\r\n\r\n")[0])

    def test_a_server_that_does_not_speak_http2(self):
        done = self.chaperone.agent(["curl", "-si", "-m", "30", "--http2-prior-knowledge",
                                     f"http://127.0.0.1:{self.clear.port}/"])
        self.assertEqual((done.returncode, done.stdout.split()[:2]), (0, ["HTTP/2", "502"]))
        self.assertIn("without a word of HTTP/2", done.stdout)


if __name__ == "__main__":
    unittest.main()
