# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: requests that are too large, or come one byte at a time. Prints, one JSON object
a line, the status that came back. Argument: the port of a server."""
import json
import sys

from smuggling import ask

HEAD = b"Host: 127.0.0.1\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = {
    "one-field": b"GET /echo HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "one-name": b"GET /echo HTTP/1.1\r\n" + HEAD + b"x" * (1 << 20) + b": a\r\n\r\n",
    "many-fields": b"GET /echo HTTP/1.1\r\n" + HEAD + b"X: a\r\n" * 10_000 + b"\r\n",
    "target": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "query": b"GET /?" + b"a=b&" * (1 << 18) + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "method": b"G" * (1 << 20) + b" / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "trailer": CHUNKED + b"1\r\na\r\n0\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "trailers": CHUNKED + b"1\r\na\r\n0\r\n" + b"X: a\r\n" * 10_000 + b"\r\n",
    "chunk-size": CHUNKED + b"0" * (1 << 20) + b"1\r\na\r\n0\r\n\r\n",
}
SLOW = {
    "head": b"GET /echo HTTP/1.1\r\n" + HEAD + b"X: abc\r\n\r\n",
    "body": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: 20\r\n\r\n" + b"a" * 20,
    "chunks": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "read": b"POST /upload/json HTTP/1.1\r\n" + HEAD + b"Content-Length: 12\r\n\r\n{\"secret\":1}",
}


if __name__ == "__main__":
    for name, request in LARGE.items():
        print(json.dumps({"name": name, "status": ask(int(sys.argv[1]), request)}),
              flush=True)
    for name, request in SLOW.items():
        print(json.dumps({"name": "slow-" + name, "status": ask(int(sys.argv[1]), request, 1)}),
              flush=True)
