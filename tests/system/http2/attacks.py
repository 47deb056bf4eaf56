# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: sends requests that HTTP/2 does not allow, or that would turn into others where
somebody writes them as HTTP/1.1, each on a connection of its own. Prints, one JSON object a line,
what came back: a status, the code of a reset or of a GOAWAY, or "closed". Argument: the port."""
import json
import socket
import struct
import sys

from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, DATA, RST, SETTINGS, GOAWAY = 1, 0, 3, 4, 7
INJECTED = "x\r\nContent-Length: 0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a"


def request(own, name, /, **changes):
    """The usual fields, changed: a value of None leaves one out, `extra` and `first` add some."""
    usual = {":method": "POST", ":scheme": "http", ":authority": own, ":path": "/x"}
    usual.update({":" + k: v for k, v in changes.items() if k not in ("extra", "first")})
    fields = [(k, v) for k, v in usual.items() if v is not None]
    return changes.get("first", []) + fields + [("x-case", name)] + changes.get("extra", [])


CASES = {
    "value-crlf": {"extra": [("x", INJECTED)]},
    "value-lf": {"extra": [("x", "a\nTransfer-Encoding: chunked")]},
    "value-cr": {"extra": [("x", "a\rb")]},
    "value-nul": {"extra": [("x", "a\0b")]},
    "name-crlf": {"extra": [("x: y\r\nz", "1")]},
    "name-colon": {"extra": [("transfer-encoding: chunked\r\nx", "1")]},
    "name-colon-only": {"extra": [("x:y", "1")]},
    "name-space": {"extra": [("x y", "1")]},
    "name-upper": {"extra": [("X-Upper", "1")]},
    "name-empty": {"extra": [("", "1")]},
    "name-8bit": {"extra": [("x\u00e9", "1")]},
    "transfer-encoding": {"extra": [("transfer-encoding", "chunked")]},
    "connection": {"extra": [("connection", "keep-alive")]},
    "connection-te": {"extra": [("connection", "transfer-encoding")]},
    "keep-alive": {"extra": [("keep-alive", "timeout=5")]},
    "proxy-connection": {"extra": [("proxy-connection", "close")]},
    "upgrade": {"extra": [("upgrade", "h2c")]},
    "te-gzip": {"extra": [("te", "gzip")]},
    "te-chunked": {"extra": [("te", "trailers, chunked")]},
    "cl-short": {"extra": [("content-length", "2")]},
    "cl-long": {"extra": [("content-length", "50")]},
    "cl-zero": {"extra": [("content-length", "0")]},
    "cl-two": {"extra": [("content-length", "5"), ("content-length", "5")]},
    "cl-list": {"extra": [("content-length", "5, 5")]},
    "cl-plus": {"extra": [("content-length", "+5")]},
    "cl-empty": {"extra": [("content-length", "")]},
    "path-space": {"path": "/x HTTP/1.1\r\nx: y"},
    "path-only-space": {"path": "/x y"},
    "path-lf": {"path": "/x\n"},
    "path-nul": {"path": "/x\0"},
    "path-empty": {"path": ""},
    "path-missing": {"path": None},
    "path-relative": {"path": "x"},
    "path-absolute": {"path": "http://other/x"},
    "path-double": {"extra": [], "first": [(":path", "/y")]},
    "path-star": {"path": "*"},
    "path-fragment": {"path": "/x#y"},
    "method-space": {"method": "GET /smuggled HTTP/1.1\r\nx:"},
    "method-words": {"method": "GET /smuggled"},
    "method-empty": {"method": ""},
    "method-missing": {"method": None},
    "method-colon": {"method": "GE:T"},
    "scheme-missing": {"scheme": None},
    "scheme-injected": {"scheme": "http://other/?"},
    "scheme-empty": {"scheme": ""},
    "scheme-other": {"scheme": "https"},
    "scheme-file": {"scheme": "file"},
    "authority-crlf": {"authority": "127.0.0.1\r\nx: y"},
    "authority-userinfo": {"authority": "other@127.0.0.1"},
    "authority-path": {"authority": "127.0.0.1/admin"},
    "authority-space": {"authority": "127.0.0.1 x"},
    "authority-other": {"extra": [("host", "other")]},
    "authority-missing": {"authority": None},
    "host-two": {"authority": None, "extra": [("host", "127.0.0.1"), ("host", "other")]},
    "pseudo-late": {"path": None, "extra": [(":path", "/x")]},
    "pseudo-unknown": {"first": [(":x", "1")]},
    "pseudo-status": {"first": [(":status", "200")]},
    "pseudo-protocol": {"first": [(":protocol", "websocket")]},
    "connect": {"method": "CONNECT", "scheme": None, "path": None},
    "connect-path": {"method": "CONNECT"},
}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def exactly(peer, size):
    got = b""
    while len(got) < size:
        piece = peer.recv(size - len(got))
        if not piece:
            raise ConnectionError
        got += piece
    return got


def outcome(port, fields, body=b"hello"):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        # Without the checks that its own client would make.
        block = Encoder().encode([(k.encode("latin1"), v.encode("latin1")) for k, v in fields])
        peer.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, block) +
                     frame(DATA, 1, 1, body))
        decoder = Decoder()
        try:
            while True:
                head = exactly(peer, 9)
                payload = exactly(peer, int.from_bytes(head[:3], "big"))
                if head[3] == HEADERS:
                    return dict(decoder.decode(payload))[":status"]
                if head[3] == RST:
                    return f"reset {int.from_bytes(payload, 'big')}"
                if head[3] == GOAWAY and payload[4:8] != b"\0\0\0\0":
                    return f"goaway {int.from_bytes(payload[4:8], 'big')}"
        except ConnectionError:
            return "closed"


if __name__ == "__main__":
    PORT = int(sys.argv[1])
    AUTHORITY = f"127.0.0.1:{PORT}"
    for case, changes in {"good": {}, **CASES}.items():
        print(json.dumps({"name": case, "outcome": outcome(
            PORT, request(AUTHORITY, case, **changes))}), flush=True)
