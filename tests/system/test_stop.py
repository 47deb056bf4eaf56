# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends the daemon within a bound: whatever its clients and its operators do, and however busy
the machine is while the index is far behind."""
import os
import signal
import subprocess
import sys
import time
import unittest

from harness import World, wait_until

DRAIN = 3.0
# Beyond it: what a loaded machine takes for the rest.
REST = 6.0
# Each goes before the index, whose thread is as nice as can be.
BUSY = 4 * (os.cpu_count() or 1)

CONFIG = f"limits: {{drain: {DRAIN:.0f}s}}\n"


def psql(port, sql):
    return ("PGCONNECT_TIMEOUT=20 PGPASSWORD=x PGSSLMODE=disable psql -X -A -t -h 127.0.0.1 "
            f"-p {port} -U agent -d shop -c \"{sql}\"")


class Stop(unittest.TestCase):
    def setUp(self):
        self.world = World(config=CONFIG)
        self.world.__enter__()
        self.addCleanup(self.world.__exit__, None, None, None)
        self.chaperone = self.world.chaperone

    def background(self, process):
        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)

    def agent(self, command):
        """One that goes on until its input ends, which `cat` waits for."""
        agent = self.chaperone.popen_agent(["bash", "-c", "exec 9<&0; " + command],
                                           stdin=subprocess.PIPE)
        self.addCleanup(agent.communicate, timeout=30)

    def load(self):
        for _ in range(BUSY):
            self.background(subprocess.Popen([sys.executable, "-c", "while True: pass"]))

    def stop(self):
        daemon = self.chaperone.daemon
        begin = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        code = daemon.process.wait(60)
        took = time.monotonic() - begin
        print(f"\nit took {took:.1f} s")
        daemon.log.close()
        self.assertEqual(code, 0, self.chaperone.log()[-3000:])
        return took

    def statements(self, count):
        """That many, quickly: the index is behind."""
        path = self.world.folder / "statements"
        path.write_text("".join(f"SELECT 'a statement of words for the index', {i};\n"
                                for i in range(count)))
        done = self.chaperone.agent(["sh", "-c", psql(self.world.db.port, "SELECT 1").replace(
            '-c "SELECT 1"', f"-q -o /dev/null -f {path}")])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_with_sessions_of_all_kinds_open(self):
        port = self.world.db.port
        self.agent("cat <&9 | " + psql(port, "SELECT 1").split(" -c")[0])
        self.agent(psql(port, "SELECT pg_sleep(60)"))
        # Takes nothing of what it asked for.
        self.agent(psql(port, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) "
                              "TO STDOUT") + " | (cat <&9; :)")
        self.agent(f"exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&9")
        self.background(subprocess.Popen([self.chaperone.run_command([])[0], "session", "follow"],
                                         env=self.chaperone.env, stdout=subprocess.DEVNULL))
        wait_until(lambda: self.world.db.admin(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'") == "2",
            "they are under way")
        wait_until(lambda: len(self.chaperone.json("session", "list", "--state", "open")[
            "sessions"]) >= 4, "all are open")
        self.assertLess(self.stop(), DRAIN + REST)
        self.chaperone.start()
        sessions = self.chaperone.json("session", "list")["sessions"]
        self.assertEqual({one["state"] for one in sessions}, {"closed"})
        self.chaperone.ok("journal", "verify")

    def test_while_the_index_is_behind_on_a_busy_machine(self):
        self.statements(3000)
        self.load()
        self.assertLess(self.stop(), DRAIN + REST)
        self.chaperone.start()
        begin = time.monotonic()
        [one] = self.chaperone.json("session", "list")["sessions"]
        print(f"\nthe index caught up for an answer in {time.monotonic() - begin:.1f} s")
        self.assertGreaterEqual(int(one["requests"]), 3000)


if __name__ == "__main__":
    unittest.main()
