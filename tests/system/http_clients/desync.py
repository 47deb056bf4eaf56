# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: requests that are in order, but whose bodies a server may leave unread and take
for the next request (CL.0, TE.0, 0.CL by Expect, bodies that come behind the answer). Each on a
connection of its own, a second request behind it. Prints, one JSON object a line, the answers that
came. Arguments: port, and the paths to ask for."""
import itertools
import json
import select
import socket
import sys

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND")


def body_of(name):
    return f"GET /smuggled/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def framings(name):
    """How the head frames the body, the body's bytes, and whether the answer is waited for first."""
    body = body_of(name)
    length = f"Content-Length: {len(body)}\r\n"
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    return {
        "cl": (length, body, False),
        "cl-late": (length, body, True),
        "cl-zeros": (f"Content-Length: 000{len(body)}\r\n", body, False),
        "te": ("Transfer-Encoding: chunked\r\n", chunked, False),
        "te-late": ("Transfer-Encoding: chunked\r\n", chunked, True),
        "expect": (length + "Expect: 100-continue\r\n", body, False),
        "expect-late": (length + "Expect: 100-continue\r\n", body, True),
        "upgrade": (length + "Connection: Upgrade\r\nUpgrade: h2c\r\n", body, False),
        "close": (length + "Connection: close\r\n", body, False),
        "none": ("Content-Length: 0\r\n", b"", False),
    }


class Peer:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.data = b""
        self.open = True

    def more(self, wait=20):
        if not self.open or not select.select([self.socket], [], [], wait)[0]:
            return False
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            piece = b""
        self.open = bool(piece)
        self.data += piece
        return self.open

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.open = False

    def answer(self, method):
        """Of the next final answer its status and which target it says it is for; None: none."""
        while True:
            while b"\r\n\r\n" not in self.data:
                if not self.more():
                    return None
            head, self.data = self.data.split(b"\r\n\r\n", 1)
            lines = head.decode("latin1").split("\r\n")
            fields = {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:])}
            status = int(lines[0].split()[1])
            if status >= 200:
                break
        size = int(fields.get("content-length", 0))
        if method == "HEAD" or status in (204, 304):
            size = 0
        if "chunked" in fields.get("transfer-encoding", "") and method != "HEAD":
            while b"0\r\n\r\n" not in self.data and self.more():
                pass
            self.data = self.data.split(b"0\r\n\r\n", 1)[-1]
        while len(self.data) < size and self.more():
            pass
        self.data = self.data[size:]
        return [status, fields.get("x-target", "")]


def run(port, name, method, path, framing):
    fields, body, late = framing
    head = f"{method} {path}?{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode()
    after = f"GET /after/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    peer = Peer(port)
    with peer.socket:
        peer.send(head if late else head + body + after)
        if late:
            peer.more(0.2)
            peer.send(body + after)
        answers = [peer.answer(method)]
        if answers[0]:
            answers.append(peer.answer("GET"))
        return [one for one in answers if one]


if __name__ == "__main__":
    for where, verb in itertools.product(sys.argv[2:], METHODS):
        for kind in framings("x"):
            case = f"{verb}-{kind}-{where.strip('/').replace('/', '-') or 'root'}"
            print(json.dumps({"name": case, "target": f"{where}?{case}", "answers": run(
                int(sys.argv[1]), case, verb, where, framings(case)[kind])}), flush=True)
