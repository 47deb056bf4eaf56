# SPDX-License-Identifier: Apache-2.0
"""Resident memory of 10,000 idle sessions. Their server is PgBouncer in transaction mode, because
10,000 backends of PostgreSQL would not fit the machine."""
import resource
import subprocess
import sys

from contenders import Bench, PgBouncer
from harness import orders_resource

# Each takes two descriptors of the daemon's; fewer where the machine's hard limit says so.
SESSIONS = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1_000) // 2)

AGENT = """
import resource, socket, struct, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
def startup():
    body = struct.pack('!i', 196608) + b'user\\0app\\0database\\0shop\\0\\0'
    return struct.pack('!i', len(body) + 4) + body
held = []
for i in range(int(sys.argv[2])):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    s.sendall(startup())
    data = b''
    while not data.endswith(b'Z\\0\\0\\0\\5I'):
        piece = s.recv(65536)
        assert piece, data
        data += piece
    held.append(s)
print('ready', flush=True)
sys.stdin.readline()
"""


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def main(options):
    with Bench() as bench, PgBouncer(bench.folder, bench.db, mode="transaction", pool=20,
                                     most=SESSIONS + 100) as bouncer:
        path = bench.chaperone.root / "etc/chaperone/bundle/resources.yaml"
        resource_text = orders_resource(bench.db, "{mode: disable}").replace(
            f"ports: [{bench.db.port}]", f"ports: [{bouncer.port}]")
        path.write_text(resource_text)
        bench.chaperone.ok("policy", "apply", str(path.parent))
        daemon = bench.chaperone.daemon.process.pid
        before = resident(daemon)
        agent = subprocess.Popen(
            bench.governed(["/usr/bin/python3", "-c", AGENT, str(bouncer.port), str(SESSIONS)]),
            env=bench.environment(), cwd="/", text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=sys.stderr)
        assert agent.stdout.readline().strip() == "ready"
        after = resident(daemon)
        agent.communicate("\n", timeout=120)
    return [{"sessions": SESSIONS, "before MB": round(before), "with them MB": round(after),
             "KB each": round((after - before) * 1024 / SESSIONS, 1),
             "bound KB each": 30}]
