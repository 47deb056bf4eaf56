# SPDX-License-Identifier: Apache-2.0
"""What is too large, too slow or never ends: clear errors, entries in the journal, bounded memory."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import wait_until
from http_servers import HttpWorld

HERE = Path(__file__).parent / "http_clients"
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-secrets, when: 'http.path == "/upload/json" && http.body.json.secret == 1', deny: {}}
  - {id: rest, allow: {}}
"""
# Many heads that do not end. Says so when all are sent, and waits for its own end of input.
STALLED = """
import socket, sys
peers = []
for _ in range(int(sys.argv[2])):
    peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    peer.sendall(b'GET /echo HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nX: ' + b'a' * 60000)
    peers.append(peer)
print('sent', flush=True)
sys.stdin.read()
"""


class Limits(unittest.TestCase):
    # RFC 9110 section 15.5, RFC 6585 section 5. A trailer comes when the head is with the server:
    # the connection ends, and the server must not take it for a whole request.
    WANTED = {
        "one-field": {431}, "one-name": {431}, "many-fields": {431}, "target": {414}, "query": {414},
        "method": {400, 414, 431}, "trailer": {0, 400, 431}, "trailers": {0, 400, 431},
        "chunk-size": {0, 400}, "slow-head": {200}, "slow-body": {200}, "slow-chunks": {200},
        "slow-read": {403},
    }

    @classmethod
    def setUpClass(cls):
        cls.world = HttpWorld(POLICY)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone

    def resident(self):
        status = Path(f"/proc/{self.chaperone.daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def test_each_is_told_and_recorded(self):
        programs = Path(tempfile.mkdtemp(dir=self.world.folder))
        os.chmod(programs, 0o755)
        for name in ("limits.py", "smuggling.py"):
            shutil.copy(HERE / name, programs)
        before = self.resident()
        done = self.world.agent("/usr/bin/python3", programs / "limits.py", self.world.nginx.port,
                                timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        results = {r["name"]: r["status"] for r in map(json.loads, done.stdout.splitlines())}
        self.assertEqual(set(results), set(self.WANTED))
        wrong = {n: s for n, s in results.items() if s not in self.WANTED[n]}
        self.assertEqual(wrong, {})
        self.assertLess(self.resident() - before, 32)
        journal = self.chaperone.ok("journal", "export", "--format", "jsonl")
        for word in ("the head is too large", "there are too many fields", "the target is too long"):
            self.assertIn(word, journal)

    def test_heads_that_never_end_cost_no_more_than_they_are(self):
        count = 200
        before = self.resident()
        agent = self.chaperone.popen_agent(["/usr/bin/python3", "-c", STALLED,
                                            str(self.world.nginx.port), str(count)],
                                           stdin=subprocess.PIPE)
        self.addCleanup(agent.communicate)
        self.assertEqual(agent.stdout.readline().strip(), "sent", self.chaperone.log()[-2000:])
        open_sessions = lambda: [s for s in self.chaperone.json("session", "list", "--limit", "1000")["sessions"]
                                 if s.get("state") != "closed"]
        wait_until(lambda: len(open_sessions()) >= count, "all are there")
        self.assertLess(self.resident() - before, count * 60_000 * 3 // (1 << 20) + 32)
        # Others go on.
        done = self.world.agent("curl", "-sS", "-m", "20", self.world.url("/echo"))
        self.assertEqual(done.stdout, "GET /echo \n", done.stderr)


if __name__ == "__main__":
    unittest.main()
