# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: requests whose bodies come late, or not before the server has given up waiting
for them, and look like another request (pause-based desync). All at once, each on a connection of
its own. Prints, one JSON object a line, the statuses that came and whether the connection was
closed. Arguments: port, seconds of the pause, and the paths to ask for."""
import json
import socket
import sys
import threading
import time

from desync import body_of, framings

results = []
KINDS = ("cl-late", "te-late", "expect-late")


def statuses(data):
    return [line.split()[1].decode() for line in data.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def run(port, pause, path, method, kind):
    name = f"pause-{int(pause)}-{method}-{path.strip('/')}-{kind}"
    fields, body, _ = framings(name)[kind]
    peer = socket.create_connection(("127.0.0.1", port), timeout=pause)
    peer.sendall(f"{method} {path}?{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())
    data, ended, until = b"", False, time.monotonic() + pause
    while not ended and (left := until - time.monotonic()) > 0:
        peer.settimeout(left)
        try:
            piece = peer.recv(65536)
        except TimeoutError:
            break
        except ConnectionError:
            piece = b""
        data, ended = data + piece, not piece
    before = statuses(data)
    try:
        peer.sendall(body)
        peer.sendall(body_of("after-" + name))
        peer.settimeout(3)
        while piece := peer.recv(65536):
            data += piece
        ended = True
    except OSError as error:
        ended = ended or not isinstance(error, TimeoutError)
    results.append({"name": name, "before": before, "all": statuses(data), "ended": ended})


def main():
    port, pause, paths = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    threads = [threading.Thread(target=run, args=(port, pause, path, method, kind))
               for path in paths for method in ("GET", "POST", "PUT") for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        print(json.dumps(result))


main()
