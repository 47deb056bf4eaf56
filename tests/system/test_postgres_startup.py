# SPDX-License-Identifier: Apache-2.0
"""Ways to begin that newer clients take: TLS from the first byte, encryption asked for twice over,
protocol 3.2, and a cancel within TLS."""
import json
import unittest

from harness import World

PROGRAM = r"""
import json, socket, ssl, struct, sys
port = int(sys.argv[1])

def dial(): return socket.create_connection(("127.0.0.1", port), 20)
def exactly(line, size):
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece: return data
        data += piece
    return data
def secure(line, alpn=()):
    context = ssl.create_default_context()
    if alpn: context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(line, server_hostname="127.0.0.1")
def ask(code): return struct.pack("!ii", 8, code)
def start(line, minor, **more):
    words = {"user": "agent", "database": "shop", **more}
    body = struct.pack("!HH", 3, minor)
    body += b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in words.items()) + b"\0"
    line.sendall(struct.pack("!i", len(body) + 4) + body)
    return until_ready(line)
def until_ready(line):
    got = []
    while not got or got[-1][0] not in "Z":
        head = exactly(line, 5)
        if len(head) < 5: return got + [("closed", "")]
        body = exactly(line, struct.unpack("!i", head[1:])[0] - 4)
        got.append((head[:1].decode(), body.hex()))
    return got
def query(line, sql):
    body = sql.encode() + b"\0"
    line.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
def tags(messages): return "".join(tag for tag, _ in messages if tag not in "SN")
SSL, GSS, CANCEL = 80877103, 80877104, 80877102
out = {}

line = secure(dial(), ["postgresql"])
out["direct"] = [line.selected_alpn_protocol(), tags(start(line, 0))]
line = dial()
line.sendall(ask(GSS)); answers = exactly(line, 1)
line.sendall(ask(SSL)); answers += exactly(line, 1)
out["gss, then tls"] = [answers.decode(), tags(start(secure(line), 0))]
line = dial()
line.sendall(ask(SSL)); exactly(line, 1)
line = secure(line)
line.sendall(ask(GSS))
out["gss within tls"] = exactly(line, 1).decode()
out["versions"] = [tags(start(dial(), minor)) for minor in (0, 1, 2, 3)]

line = dial()
key = next(body for tag, body in start(line, 2) if tag == "K")
query(line, "SELECT pg_sleep(60)")
other = secure(dial(), ["postgresql"])
while True:  # until it runs
    seen = dial(); start(seen, 0)
    query(seen, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'")
    if ("D", "00010000000131") in until_ready(seen): break
secret = bytes.fromhex(key)
other.sendall(struct.pack("!ii", 8 + len(secret), CANCEL) + secret)
out["end of the cancel"] = other.recv(1).decode()
out["cancelled"] = [tags(m := until_ready(line)), b"57014" in b"".join(bytes.fromhex(b) for _, b in m)]
print(json.dumps(out))
"""


class Startup(unittest.TestCase):
    def test_newer_clients(self):
        with World() as world:
            done = world.chaperone.agent(["/usr/bin/python3", "-c", PROGRAM, world.db.port],
                                         timeout=100)
            self.assertEqual(done.returncode, 0, done.stderr)
            got = json.loads(done.stdout)
        self.assertEqual(got["direct"], ["postgresql", "RKZ"])
        self.assertEqual(got["gss, then tls"], ["NS", "RKZ"])
        self.assertEqual(got["gss within tls"], "E")
        self.assertEqual(got["versions"], ["RKZ", "vRKZ", "RKZ", "vRKZ"])
        self.assertEqual(got["end of the cancel"], "")
        self.assertEqual(got["cancelled"], ["TEZ", True])


if __name__ == "__main__":
    unittest.main()
