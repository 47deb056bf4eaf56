# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: for each line of standard input (JSON: path, method) sends that request and a
second one behind it (not if it is "alone") on a connection of its own, and prints all bytes that came back, in hex, one a
line. Argument: the port."""
import json
import socket
import sys

PORT = int(sys.argv[1])


def talk(case):
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as peer:
        head = f"Host: 127.0.0.1:{PORT}\r\n" + case.get("fields", "")
        behind = f"GET /behind HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nConnection: close\r\n\r\n"
        peer.sendall((f"{case.get('method', 'GET')} {case['path']} HTTP/1.1\r\n{head}\r\n" +
                      ("" if case.get("alone") else behind)).encode())
        got = b""
        try:
            while data := peer.recv(65536):
                got += data
        except ConnectionError:
            pass
        return got


for line in sys.stdin:
    print(talk(json.loads(line)).hex(), flush=True)
