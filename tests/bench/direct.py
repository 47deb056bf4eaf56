# SPDX-License-Identifier: Apache-2.0
"""What the kernel lets through by itself: connect() and a bulk stream, governed vs not."""
import json
import os
import shutil
import socket
import statistics
import tempfile
import threading
from pathlib import Path

from contenders import progress
from harness import Chaperone, run

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: lines}
spec: {rules: [{id: lines, allow: {}}]}
"""
RESOURCE = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: line}}
spec: {{protocol: tcp, hosts: [127.0.0.1], ports: [{port}], inspect: {inspect}}}
"""

# Prints the median time of connect() in microseconds, and the stream's rate in MB/s.
CLIENT = """
import json, socket, statistics, sys, time
port, connects, size = map(int, sys.argv[1:])
took = []
for _ in range(connects):
    s = socket.socket()
    began = time.perf_counter()
    s.connect(("127.0.0.1", port))
    took.append(time.perf_counter() - began)
    s.sendall(b"0" * 16)
    s.close()
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"%16d" % size)
buffer, got, began = bytearray(1 << 20), 0, time.perf_counter()
while got < size:
    n = s.recv_into(buffer)
    if n == 0: raise SystemExit("the stream ended early")
    got += n
print(json.dumps([statistics.median(took) * 1e6, got / (time.perf_counter() - began) / 1e6]))
"""


def listen():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    return listener, listener.getsockname()[1]


def serve(listener):
    block = bytes(1 << 20)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                left = int(connection.recv(16, socket.MSG_WAITALL) or b"0")
                while left > 0:
                    left -= connection.send(block[:min(left, len(block))])
            except OSError:
                pass


def main(options):
    folder = Path(tempfile.mkdtemp(prefix="chaperone-bench-"))
    os.chmod(folder, 0o755)
    listener, port = listen()
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    command = ["/usr/bin/python3", "-c", CLIENT, str(port), "1000", str(2 << 30)]
    measured = {"direct": [], "governed": []}
    try:
        with Chaperone(folder, POLICY, RESOURCE.format(port=port, inspect="false")) as chaperone:
            for turn in range(options.rounds):
                for name in measured:
                    progress(f"{name} {turn + 1}/{options.rounds}")
                    done = (chaperone.agent(command, timeout=300) if name == "governed"
                            else run(command, timeout=300, cwd="/"))
                    assert done.returncode == 0, done.stderr
                    measured[name].append(json.loads(done.stdout))
    finally:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)
    progress("")

    def middle(name, what):
        return statistics.median(one[what] for one in measured[name])
    return [{"what": "connect()", "direct us": round(middle("direct", 0), 1),
             "governed/direct": round(middle("governed", 0) / middle("direct", 0), 3)},
            {"what": "2 GB stream", "direct MB/s": round(middle("direct", 1)),
             "governed/direct": round(middle("governed", 1) / middle("direct", 1), 3)}]
