# SPDX-License-Identifier: Apache-2.0
"""The daemon dies, comes back, reloads, drains and runs out of disk; agents never pass unseen."""
import shutil
import signal
import subprocess
import time
import unittest

from harness import ALLOW_ALL, World, run, wait_until

BOUND = 5.0  # seconds in which a governed connect must have failed

DENY_LATER = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: later}
spec:
  rules:
  - {id: never, when: 'sql.text.contains("later")', deny: {reason: "since the reload"}}
  - {id: all, allow: {unknown: true}}
"""


class Agent:
    """An agent that stays: a governed shell that runs what it is told, a line at a time."""

    def __init__(self, chaperone, **kwargs):
        self.process = chaperone.popen_agent(["sh"], stdin=subprocess.PIPE, **kwargs)

    def says(self, command):
        self.process.stdin.write(command + " 2>&1 </dev/null; echo end-of-answer\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "end-of-answer\n":
                return "".join(lines)
            lines.append(line)
        raise AssertionError("the agent ended: " + "".join(lines) + self.process.stderr.read())

    def stop(self):
        self.process.communicate(timeout=20)


def psql(port, sql="SELECT 1"):
    return ("PGCONNECT_TIMEOUT=20 PGPASSWORD=x PGSSLMODE=disable psql -X -A -t -h 127.0.0.1 "
            f"-p {port} -U agent -d shop -c \"{sql}\"")


class Restart(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.world.__enter__()
        self.addCleanup(self.world.__exit__, None, None, None)
        self.chaperone = self.world.chaperone

    def kill(self):
        daemon = self.chaperone.daemon
        daemon.process.kill()
        daemon.process.wait()
        daemon.log.close()

    def test_comes_back_after_kill_9(self):
        agent = Agent(self.chaperone)
        self.addCleanup(agent.stop)
        ask = psql(self.world.db.port)
        self.assertEqual(agent.says(ask), "1\n")
        long = self.chaperone.popen_agent(
            ["sh", "-c", psql(self.world.db.port, "SELECT pg_sleep(60)")])
        wait_until(lambda: self.world.db.admin(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' "
            "AND pid <> pg_backend_pid()") == "1", "a session is busy")
        before = self.chaperone.json("workload", "list")["workloads"]
        self.kill()
        self.assertNotEqual(long.wait(20), 0)
        long.communicate()

        begin = time.monotonic()
        refused = agent.says(ask)
        self.assertLess(time.monotonic() - begin, BOUND)
        self.assertIn("connection", refused)
        self.assertNotIn("1\n", refused.splitlines())
        self.assertEqual(self.world.db.admin("SELECT 1"), "1")
        self.assertEqual(self.chaperone.cli("status").returncode, 3)

        self.chaperone.start()
        self.assertEqual(agent.says(ask), "1\n")
        after = self.chaperone.json("workload", "list")["workloads"]
        self.assertEqual({w["name"]: set(w["cgroups"]) for w in after if w["state"] == "governed"}
                         .keys(), {"billing-agent"})
        self.assertTrue(set(after[0]["cgroups"]) <= set(before[0]["cgroups"]))
        ended = self.chaperone.json("session", "list", "--text", "pg_sleep")["sessions"]
        self.assertEqual([s["state"] for s in ended], ["closed"])
        self.assertIn("daemon", ended[0]["endReason"])
        self.assertEqual(self.chaperone.json("session", "list", "--state", "open")["sessions"], [])
        self.chaperone.ok("journal", "verify")

    def test_torn_tail_is_reported_and_closed(self):
        self.assertEqual(self.world.psql("SELECT 1").stdout, "1\n")
        self.kill()
        journal = self.chaperone.root / "var/lib/chaperone/journal"
        with open(max(journal.glob("*.seg")), "ab") as segment:
            segment.write(b"\x00\x00\x01\x00torn")
        self.chaperone.start()
        self.assertEqual(self.world.psql("SELECT 2").stdout, "2\n")
        self.chaperone.ok("journal", "verify")
        lines = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn("recovery", lines)

    def test_reloads_a_good_bundle_and_keeps_it_from_a_bad_one(self):
        self.assertEqual(self.world.psql("SELECT 'later'").stdout, "later\n")
        before = self.chaperone.json("policy", "status")["digest"]
        self.chaperone.documents["policy.yaml"] = DENY_LATER
        self.chaperone.write_bundle()
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        good = wait_until(lambda: (lambda s: s["digest"] != before and s)(
            self.chaperone.json("policy", "status")), "the bundle is in force")
        self.assertIn("since the reload", self.world.psql("SELECT 'later'").stderr)

        self.chaperone.documents["policy.yaml"] = DENY_LATER.replace("sql.text", "sql.txet")
        self.chaperone.write_bundle()
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)

        def refused():
            done = self.chaperone.cli("policy", "status", "-o", "json")
            return done.returncode == 1 and done.stdout
        self.assertIn("txet", wait_until(refused, "the bundle is refused"))
        self.assertIn(good["digest"], refused())
        self.assertIn("the bundle is refused", self.chaperone.log())
        self.assertIn("since the reload", self.world.psql("SELECT 'later'").stderr)
        # An open session takes the new rules with its next request, too.
        self.chaperone.documents["policy.yaml"] = ALLOW_ALL
        self.chaperone.write_bundle()
        self.chaperone.ok("policy", "apply", str(self.chaperone.root / "etc/chaperone/bundle"))
        self.assertEqual(self.world.psql("SELECT 'later'").stdout, "later\n")

    def test_sigterm_drains(self):
        agent = self.chaperone.popen_agent(
            ["sh", "-c", "(echo 'SELECT 1;'; sleep 60) | " + psql(self.world.db.port).split(" -c")[0]
             + " -v VERBOSITY=verbose"])
        self.assertEqual(agent.stdout.readline(), "1\n")
        self.chaperone.daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.chaperone.daemon.stop(), 0, self.chaperone.log()[-3000:])
        agent.send_signal(signal.SIGTERM)
        agent.communicate(timeout=20)
        self.chaperone.start()
        ended = self.chaperone.json("session", "list")["sessions"]
        self.assertEqual([s["state"] for s in ended], ["closed"])
        self.chaperone.ok("journal", "verify")

    def test_sigterm_tells_an_idle_client_57P01(self):
        script = (
            "import socket,struct,sys\n"
            f"s=socket.create_connection(('127.0.0.1',{self.world.db.port}),20)\n"
            "b=struct.pack('!I',196608)+b'user\\0agent\\0database\\0shop\\0\\0'\n"
            "s.sendall(struct.pack('!I',len(b)+4)+b)\n"
            "f=s.makefile('rb')\n"
            "while True:\n"
            " h=f.read(5)\n"
            " if len(h)<5: print('closed',flush=True); break\n"
            " body=f.read(struct.unpack('!I',h[1:])[0]-4)\n"
            " if h[:1]==b'R' and body[:4]==b'\\0\\0\\0\\3': s.sendall(b'p'+struct.pack('!I',6)+b'x\\0')\n"
            " if h[:1]==b'Z': print('ready',flush=True)\n"
            " if h[:1]==b'E': print(body,flush=True)\n")
        agent = self.chaperone.popen_agent(["python3", "-c", script])
        self.assertEqual(agent.stdout.readline(), "ready\n")
        self.chaperone.daemon.process.send_signal(signal.SIGTERM)
        out, err = agent.communicate(timeout=25)
        self.assertIn("57P01", out, err)
        self.assertEqual(self.chaperone.daemon.stop(), 0)
        self.chaperone.start()


class FullDisk(unittest.TestCase):
    def test_stops_the_traffic_until_there_is_space(self):
        def on_tmpfs(root):
            folder = root / "var/lib/chaperone"
            folder.mkdir(parents=True)
            done = run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0755", "tmpfs", folder])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.addCleanup(shutil.rmtree, root.parent, True)  # what stays while it is mounted
            self.addCleanup(run, ["umount", "-l", folder])

        world = World(prepare=on_tmpfs)
        world.__enter__()
        self.addCleanup(world.__exit__, None, None, None)
        self.assertEqual(world.psql("SELECT 1").stdout, "1\n")
        filler = world.chaperone.root / "var/lib/chaperone/filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

        def is_refused():
            done = world.psql("SELECT repeat('x', 9000), 'unrecorded'")
            return "unrecorded" not in done.stdout and done
        refused = wait_until(is_refused, "requests are refused")
        self.assertNotEqual(refused.returncode, 0)
        status = world.chaperone.cli("status", "-o", "json")
        self.assertEqual(status.returncode, 1, status.stdout)
        filler.unlink()
        wait_until(lambda: world.psql("SELECT 2").stdout == "2\n", "traffic is back")
        world.chaperone.ok("journal", "verify")
        self.assertIn("WRITE_FAILED", world.chaperone.ok("journal", "export").upper().replace(
            "-", "_"))


if __name__ == "__main__":
    unittest.main()
