# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed at random moments while two workloads connect 200 times a second: no byte
reaches a server unseen, none is taken for another's, and traffic is back within a second of each
restart. CHAPERONE_CHAOS_SECONDS: how long; CHAPERONE_CHAOS_SEED: which moments.

Each connect has a destination of its own, which says who made it and which it is. The same stands
in its payload, in the address that the server was reached at, and in the journal; all must agree.
"""
import asyncio
import datetime
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from harness import BIN, Chaperone, Process, wait_until

SECONDS = float(os.environ.get("CHAPERONE_CHAOS_SECONDS", "25"))
SEED = int(os.environ.get("CHAPERONE_CHAOS_SEED", str(time.time_ns())))
RATE = 50  # connects a second of each line

# The second byte of the address: who may call it, and how it goes.
LINES = {1: ("first", True), 2: ("second", True), 3: ("first", False), 4: ("second", False)}

RESOURCES = "---\n".join(f"""apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{{{name: line{line}}}}}
spec: {{{{protocol: tcp, hosts: [127.{line}.0.0/16], ports: [{{port}}], inspect: {str(inspect).lower()}}}}}
""" for line, (_, inspect) in LINES.items())

WORKLOADS = "---\n".join(f"""apiVersion: chaperone.dev/v1
kind: Workload
metadata: {{name: {name}}}
spec: {{identity: {{subject: 'agent:{name}', groups: [agents]}}}}
""" for name in ("first", "second"))

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: lines}
spec:
  rules:
  - {id: all, allow: {}}
"""

# One process of an agent: a thread a line, and in it a connect each 1/RATE s, by threads of its own
# that wait for the answers. Writes "TIME LINE NUMBER OUTCOME DURATION" until its input ends.
CLIENT = """
import errno, queue, socket, sys, threading, time
port, rate, out = int(sys.argv[1]), float(sys.argv[2]), open(sys.argv[3], "w", buffering=1)
over = threading.Event()
def one(line, number):
    begin, host = time.time(), f"127.{line}.{number >> 8 & 255}.{number & 255}"
    try:
        with socket.create_connection((host, port), 10) as s:
            s.sendall(f"{line} {number} the secret of the house".encode())
            s.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: s.recv(4096), b""))
            how = "ok" if said else "closed"
    except OSError as e:
        how = errno.errorcode.get(e.errno, "timeout")
    out.write(f"{begin:.4f} {line} {number} {how} {time.time() - begin:.4f}\\n")
def work(todo):
    while (item := todo.get()) is not None:
        one(*item)
def line(which):
    todo = queue.Queue()
    workers = [threading.Thread(target=work, args=(todo,)) for _ in range(16)]
    for worker in workers: worker.start()
    number, due = 0, time.monotonic()
    while not over.is_set() and number < 65536:
        if todo.qsize() < 64:  # do not pile up what the machine cannot do
            todo.put((which, number))
            number += 1
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
    for _ in workers: todo.put(None)
    for worker in workers: worker.join()
threads = [threading.Thread(target=line, args=(int(which),)) for which in sys.argv[4:]]
for thread in threads: thread.start()
sys.stdin.read()
over.set()
for thread in threads: thread.join()
"""


class Server:
    """Notes what each connection said and at which address; answers; ends with a reset, so that no
    port stays in TIME_WAIT."""

    def __init__(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        listener.bind(("0.0.0.0", 0))
        listener.listen(1024)
        self.port = listener.getsockname()[1]
        self.said = []  # (address, payload)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, args=(listener,), daemon=True)
        self.thread.start()

    def run(self, listener):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.answer, sock=listener))
        self.loop.run_forever()

    async def answer(self, reader, writer):
        address = writer.get_extra_info("sockname")[0]
        try:
            said = await reader.read()
            if said:
                self.said.append((address, said.decode()))
                writer.write(b"heard")
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            writer.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Chaos(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = Server()
        self.addCleanup(self.server.close)
        self.chaperone = Chaperone(self.folder, POLICY, RESOURCES.format(port=self.server.port),
                                   workload=WORKLOADS)
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))
        (self.folder / "client.py").write_text(CLIENT)

    def start_agents(self):
        agents = {}
        for name in ("first", "second"):
            out = self.folder / f"{name}.out"
            out.touch()
            os.chmod(out, 0o666)
            lines = [str(line) for line, (who, _) in LINES.items() if who == name]
            agents[name] = self.chaperone.popen_agent(
                ["/usr/bin/python3", self.folder / "client.py", str(self.server.port), str(RATE),
                 out, *lines], workload=name, stdin=subprocess.PIPE)
        return agents

    def outcomes(self, name):
        rows = []
        for row in (self.folder / f"{name}.out").read_text().splitlines():
            begin, line, number, how, took = row.split()
            rows.append((float(begin), int(line), int(number), how, float(took)))
        return rows

    def kill(self):
        daemon = self.chaperone.daemon
        daemon.process.kill()
        daemon.process.wait()
        daemon.log.close()

    def start(self):
        """Without waiting for its answer: it may be killed before."""
        self.chaperone.daemon = Process([BIN / "chaperoned", "--root", self.chaperone.root],
                                        self.folder / "chaperoned.log", env=self.chaperone.env)

    def ready_times(self):
        """When each daemon said that it is ready."""
        return [datetime.datetime.fromisoformat(stamp[:26]).replace(
            tzinfo=datetime.timezone.utc).timestamp()
            for stamp in re.findall(r"(\S+)Z info: ready", self.chaperone.log())]

    def recorded(self):
        """Address to workload, of all sessions in the journal."""
        found = {}
        for line in self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines():
            start = json.loads(line).get("sessionStart")
            if start:
                found[start["destination"]["address"]] = start["workload"]
        return found

    def test_nothing_is_unseen_or_mistaken(self):
        chance = random.Random(SEED)
        agents = self.start_agents()
        wait_until(lambda: len(self.server.said) > 100, "the agents are under way")
        end, kills = time.monotonic() + SECONDS, []
        while time.monotonic() < end:
            # The moments of starting up are as good as all others.
            time.sleep(chance.choice((chance.uniform(0, 0.4), chance.uniform(0, 4))))
            self.kill()
            kills.append(time.time())
            time.sleep(chance.choice((0, chance.uniform(0, 1), chance.uniform(0, 3))))
            self.start()
        wait_until(lambda: self.chaperone.cli("status").returncode == 0, "chaperoned answers")
        settled = len(self.server.said)
        wait_until(lambda: len(self.server.said) > settled + 100, "traffic is back")
        for agent in agents.values():
            agent.communicate("", timeout=60)

        rows = sorted(self.outcomes("first") + self.outcomes("second"))
        said = list(self.server.said)
        missing = []
        def all_recorded():
            recorded = self.recorded()
            missing[:] = [one for one in said if one[0] not in recorded]
            return not missing
        try:
            wait_until(all_recorded, "all is in the journal")
        except AssertionError:
            pass
        recorded = self.recorded()
        wrong = []
        for address, payload in said:
            line, number = (int(word) for word in payload.split()[:2])
            if address != f"127.{line}.{number >> 8 & 255}.{number & 255}" or \
                    recorded.get(address, LINES[line][0]) != LINES[line][0]:
                wrong.append((address, payload, recorded.get(address)))
        for address, workload in recorded.items():
            if LINES[int(address.split(".")[1])][0] != workload:
                wrong.append((address, workload))
        recoveries = self.recoveries(rows, kills)
        counts = {}
        for _, _, _, how, _ in rows:
            counts[how] = counts.get(how, 0) + 1
        slowest = max(took for *_, how, took in rows if how != "ok")
        print(f"\nchaos: seed {SEED}, {SECONDS:.0f} s, {len(kills)} kills, {len(rows)} connects "
              f"({len(rows) / SECONDS:.0f} a second): {counts}; {len(said)} reached the servers, "
              f"{len(missing)} unseen, {len(wrong)} mistaken; recovery after ready: "
              f"most {max(recoveries):.2f} s of {len(recoveries)}; slowest failure {slowest:.2f} s")
        self.assertEqual(missing, [])
        self.assertEqual(wrong, [])
        self.assertGreaterEqual(len(kills), SECONDS / 10)
        self.assertLess(max(recoveries), 1.0)
        self.assertGreater(counts["ok"], len(rows) / 10)
        self.assertLess(slowest, 5)
        self.chaperone.ok("journal", "verify")

    def recoveries(self, rows, kills):
        """From each "ready" that was not followed by a kill within a second, to the first connect
        through the proxy that went well."""
        well = sorted(begin + took for begin, line, _, how, took in rows
                      if how == "ok" and LINES[line][1])
        times = []
        for ready in self.ready_times():
            if any(ready <= kill < ready + 1 for kill in kills):
                continue
            first = next((t for t in well if t >= ready), None)
            if first is not None:
                times.append(first - ready)
        return times


if __name__ == "__main__":
    unittest.main()
