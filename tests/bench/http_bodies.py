# SPDX-License-Identifier: Apache-2.0
"""What happens to HTTP bodies on their way: masks on a large one, the delay of an event, memory."""
import json
import statistics
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contenders import progress
from cost import Meter
from harness import run
from http_contenders import World, resident

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: bodies}
spec:
  rules:
  - {id: people, when: 'http.path == "/people.json"', mask: [{json: ["$[*].email"], with: redact}]}
  - {id: rest, allow: {}}
"""
MIB = 1 << 20
EVENTS = 500

# Prints, for each event, how many nanoseconds after it was sent it was read.
READER = """
import http.client, json, sys, time
port = int(sys.argv[1])
peer = http.client.HTTPConnection("127.0.0.1", port)
peer.request("GET", "/events")
answer = peer.getresponse()
took = []
while line := answer.readline():
    if line.startswith(b"data: "):
        took.append(time.monotonic_ns() - int(line[6:]))
print(json.dumps(took))
"""


class Events(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(EVENTS):
            time.sleep(0.002)
            event = b"data: %d\n\n" % time.monotonic_ns()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")


def events_resource(port):
    return (f"---\napiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {{name: events}}\n"
            f"spec: {{protocol: http, hosts: [127.0.0.1], ports: [{port}]}}\n")


def fetch(world, path):
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
               f"http://127.0.0.1:{world.server.clear}{path}"]
    done = run(world.governed(command), env=world.chaperone.env, cwd="/", timeout=300)
    assert done.returncode == 0 and done.stdout.startswith("200 "), done.stdout + done.stderr
    return int(done.stdout.split()[1])


def masked(options, world):
    people = [{"id": i, "name": f"Person {i}", "email": f"person{i}@shop.example",
               "note": "tea, and a biscuit with it, every afternoon at four " * 2,
               "tags": ["a", "b"], "amount": i * 1.5} for i in range(50_000)]
    text = json.dumps(people).encode()
    (world.server.folder / "www/people.json").write_bytes(text)
    pid = world.chaperone.daemon.process.pid
    rates = []
    for turn in range(options.rounds):
        progress(f"masked {turn + 1}/{options.rounds}")
        with Meter(pid, "session-") as meter:
            fetch(world, "/people.json")
        rates.append(len(text) / meter.ns * 1000)
    return {"what": f"JSON of {len(text) / 1e6:.0f} MB, one value of each object masked",
            "measured": f"{max(rates):.0f} MB/s a core", "wanted": "300 or more"}


def events(options, world, port):
    direct, through = [], []
    command = ["/usr/bin/python3", "-c", READER, port]
    for turn in range(options.rounds):
        progress(f"events {turn + 1}/{options.rounds}")
        for took, line in ((direct, [str(c) for c in command]), (through, world.governed(command))):
            done = run(line, env=world.chaperone.env, cwd="/", timeout=60)
            assert done.returncode == 0, done.stderr
            took += json.loads(done.stdout)

    def late(values, part):
        return statistics.quantiles(values, n=100)[part - 1] / 1e6
    return {"what": "delay of an event, p50 and p99, beyond the direct line's",
            "measured": f"{late(through, 50) - late(direct, 50):.3f} ms, "
                        f"{late(through, 99) - late(direct, 99):.3f} ms (direct "
                        f"{late(direct, 99):.3f})",
            "wanted": "p99 below 1 ms"}


def memory(world):
    pid = world.chaperone.daemon.process.pid
    fetch(world, "/64k")
    before = most = resident(pid)
    done = threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.02):
            most = max(most, resident(pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        size = fetch(world, "/1g")
    finally:
        done.set()
        watcher.join()
    return {"what": "1 GB body, growth in memory",
            "measured": f"{(most - before) / 1024:.1f} MiB, at "
                        f"{size / MIB / (time.monotonic() - began):.0f} MiB/s",
            "wanted": "below 32 MiB"}


def main(options):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Events)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with World(POLICY, events_resource(server.server_port)) as world:
            made = [masked(options, world), events(options, world, server.server_port),
                    memory(world)]
    finally:
        server.shutdown()
        server.server_close()
    progress("")
    return made
