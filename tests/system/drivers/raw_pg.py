# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL protocol by hand: runs programs of messages and prints what came back, as JSON.

Usage: raw_pg.py HOST PORT USER DATABASE PASSWORD, with programs on standard input: a list of lists
of steps. Each program has a connection of its own and each step is an object:
  {"send": [message …]}   in one write; a message is a list, its first item its tag (see encode)
  {"ready": n}            reads up to the n-th ReadyForQuery
  {"until": "G"}          reads up to the first message of that tag
  {"closed": true}        reads until the server ends the connection
  {"cancel": true}        sends a CancelRequest for this connection on another one
  {"hangup": true}        closes the connection at once
A step that reads gives a list of [tag, body in hex]; a program gives the list of these.
"""
import hashlib
import json
import socket
import struct
import sys


def frame(tag, body=b""):
    return tag.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def encode(message):
    tag, *rest = message
    if tag == "Q":
        return frame("Q", text(rest[0]))
    if tag == "big":  # a Query of this many bytes of comment, then this text
        return frame("Q", b"/*" + b"x" * rest[0] + b"*/ " + text(rest[1]))
    if tag == "P":
        return frame("P", text(rest[0]) + text(rest[1]) + b"\0\0")
    if tag == "B":  # portal, statement, parameters as texts, format of all results
        portal, statement, parameters, result = rest + [[], 0][len(rest) - 2:]
        body = text(portal) + text(statement) + struct.pack("!HH", 0, len(parameters))
        for value in parameters:
            if value is None:
                body += struct.pack("!i", -1)
            else:
                body += struct.pack("!i", len(value.encode())) + value.encode()
        return frame("B", body + struct.pack("!HH", 1, result))
    if tag in ("D", "C"):
        return frame(tag, rest[0].encode() + text(rest[1]))
    if tag == "E":
        return frame("E", text(rest[0]) + struct.pack("!I", rest[1] if len(rest) > 1 else 0))
    if tag in ("S", "H", "c", "X"):
        return frame(tag)
    if tag == "d":
        return frame("d", rest[0].encode())
    if tag == "f":
        return frame("f", text(rest[0]))
    if tag == "F":  # a function by its oid, without arguments
        return frame("F", struct.pack("!IHHH", rest[0], 0, 0, 0))
    if tag == "raw":
        return bytes.fromhex(rest[0])
    raise ValueError(message)


class Line:
    def __init__(self, host, port, user, database, password, extra=()):
        self.address = (host, int(port))
        self.socket = socket.create_connection(self.address, timeout=60)
        self.buffer = b""
        self.key = b""
        body = struct.pack("!I", 3 << 16)
        for pair in (("user", user), ("database", database), *extra):
            body += text(pair[0]) + text(pair[1])
        body += b"\0"
        self.socket.sendall(struct.pack("!I", len(body) + 4) + body)
        self.greeting = self.login(user, password)

    def login(self, user, password):
        said = []
        while True:
            got = self.message()
            if got is None:
                return said
            tag, body = got
            said.append([tag, body.hex()])
            if tag == "R" and body[:4] == b"\0\0\0\3":
                self.socket.sendall(frame("p", text(password)))
            elif tag == "R" and body[:4] == b"\0\0\0\5":
                inner = hashlib.md5((password + user).encode()).hexdigest()
                outer = hashlib.md5(inner.encode() + body[4:8]).hexdigest()
                self.socket.sendall(frame("p", text("md5" + outer)))
            elif tag == "K":
                self.key = body
            elif tag == "Z":
                return said

    def message(self):
        while True:
            if len(self.buffer) >= 5:
                size = 1 + struct.unpack("!I", self.buffer[1:5])[0]
                if len(self.buffer) >= size:
                    one, self.buffer = self.buffer[:size], self.buffer[size:]
                    return chr(one[0]), one[5:]
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more

    def read(self, enough):
        got = []
        while True:
            one = self.message()
            if one is None:
                got.append(["closed", ""])
                return got
            got.append([one[0], one[1].hex()])
            if enough(one[0]):
                return got

    def step(self, step):
        if "send" in step:
            self.socket.sendall(b"".join(encode(message) for message in step["send"]))
        if "cancel" in step:
            with socket.create_connection(self.address, timeout=60) as other:
                body = struct.pack("!I", 80877102) + self.key
                other.sendall(struct.pack("!I", len(body) + 4) + body)
                other.recv(1)
        if "hangup" in step:
            self.socket.close()
        if "ready" in step:
            left = [step["ready"]]

            def enough(tag):
                left[0] -= tag == "Z"
                return left[0] == 0
            return self.read(enough)
        if "until" in step:
            return self.read(lambda tag: tag in (step["until"], "Z"))
        if "closed" in step:
            return self.read(lambda tag: False)
        return None


def main():
    results = []
    for program in json.load(sys.stdin):
        line = Line(*sys.argv[1:6])
        if not line.key:
            results.append([line.greeting])
            continue
        results.append([got for got in map(line.step, program) if got is not None])
        line.socket.close()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
