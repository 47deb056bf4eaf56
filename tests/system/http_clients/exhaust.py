# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: opens as much of something as it may, says how it went (one JSON object), and
keeps it until its input ends. Arguments: what, how many, the port."""
import json
import resource
import select
import socket
import sys

from attacks import DATA, HEADERS, PREFACE, SETTINGS, frame
from hpack import Encoder

WEBSOCKET = (b"GET /chat?%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
STREAMS = 100


def held(number):
    return b"GET /held/%d?" % number + b"a" * 12_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def body(_):
    """Nearly all of a body that a rule wants to see."""
    return (b"POST /read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n" +
            b"a" * 999_999)


def slow(_):
    return b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\na"


def fields(number):
    """A head as large as one may be."""
    lines = b"".join(b"X-%d: " % i + b"a" * 390 + b"\r\n" for i in range(150))
    return b"GET /held/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n" % number + lines + b"\r\n"


def streams(_):
    """Requests of HTTP/2 whose bodies never end."""
    block = Encoder().encode([(":method", "POST"), (":scheme", "http"),
                              (":authority", "127.0.0.1"), (":path", "/x")])
    made = PREFACE + frame(SETTINGS, 0, 0)
    for stream in range(1, 2 * STREAMS, 2):
        made += frame(HEADERS, 4, stream, block) + frame(DATA, 0, stream, b"a")
        block = Encoder().encode([(":method", "POST"), (":scheme", "http"),
                                  (":authority", "127.0.0.1"), (":path", "/x")])
    return made


KINDS = {"held": held, "body": body, "slow": slow, "fields": fields, "streams": streams,
         "websocket": lambda number: WEBSOCKET % number}


def main(kind, count, port):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    poll = select.poll()
    peers, statuses = {}, {}

    def look(patience):
        ready = poll.poll(patience)
        for number, _ in ready:
            data = peers[number].recv(4096) if peers[number] else b""
            status = data[9:12].decode("latin1") if data.startswith(b"HTTP/1.1 ") else \
                "frames" if data else "closed"
            statuses[status] = statuses.get(status, 0) + 1
            poll.unregister(number)
        return ready

    for number in range(count):
        peer = socket.create_connection(("127.0.0.1", port), timeout=60)
        peers[peer.fileno()] = peer
        try:
            peer.sendall(KINDS[kind](number))
        except OSError:
            pass  # it was told before it had said all
        poll.register(peer, select.POLLIN)
        look(0)
    print(json.dumps({"opened": len(peers)}), flush=True)
    sys.stdin.readline()
    while look(3000):
        pass
    print(json.dumps(statuses), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
