# SPDX-License-Identifier: Apache-2.0
"""Governed processes in network namespaces of their own: governed the same, as namespaces come and
go, and nothing of them is left behind in the daemon. The first connect in a new one waits for the
daemon to listen there."""
import os
import threading
import unittest
from pathlib import Path

from harness import World, run, wait_until
from test_workloads import Cgroup

SECRET = "PGPASSWORD=x PGSSLMODE=disable PGCONNECT_TIMEOUT=10"


class Namespaces(unittest.TestCase):
    TURNS = 200  # namespaces that come and go

    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone
        cls.cgroup = Cgroup()
        cls.cgroup.__enter__()
        cls.cgroup.says("cd /")
        cls.addClassCleanup(cls.cgroup.__exit__)
        cls.chaperone.ok("workload", "add", "billing-agent", "--cgroup", cls.cgroup.path)

    def psql(self, sql, host="127.0.0.1"):
        return (f"{SECRET} psql -X -A -t -h {host} -p {self.world.db.port} -U agent -d shop "
                f"-c '{sql}'")

    def script(self, sql, host="127.0.0.1"):
        path = self.world.folder / "ask"
        path.write_text(self.psql(sql, host) + " 2>&1\n")
        path.chmod(0o755)
        return f"sh {path}"

    def make_netns(self, name):
        self.assertEqual(run(["ip", "netns", "add", name]).returncode, 0)
        self.addCleanup(run, ["ip", "netns", "del", name])
        run(["ip", "-n", name, "link", "set", "lo", "up"])
        return f"nsenter --net=/run/netns/{name} "

    def daemon_files(self):
        pid = self.chaperone.daemon.process.pid
        return (len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))

    def test_a_named_one(self):
        inside = self.make_netns(f"chap-{os.getpid()}")
        for host in ("127.0.0.1", "::1", "192.0.2.1"):
            said = self.cgroup.says(inside + self.script("select 40+2", host))
            if host == "192.0.2.1":  # no resource claims it: refused in PostgreSQL's words
                self.assertIn("no resource", said)
            else:
                self.assertEqual(said.strip(), "42", self.chaperone.log()[-2000:])
        sessions = self.chaperone.json("session", "list")["sessions"]
        self.assertTrue(all(s["workload"] == "billing-agent" for s in sessions))

    def test_one_made_on_the_spot(self):
        said = self.cgroup.says("unshare -n sh -c 'ip link set lo up; " +
                                self.script("select 1") + "'")
        self.assertEqual(said.strip(), "1", self.chaperone.log()[-2000:])

    def test_that_of_an_ordinary_user(self):
        said = self.cgroup.says("setpriv --reuid=nobody --regid=nogroup --clear-groups "
                                "unshare -rn sh -c 'ip link set lo up; " +
                                self.script("select 2") + "'")
        self.assertEqual(said.strip(), "2", self.chaperone.log()[-2000:])

    def test_a_container_in_a_cgroup_below(self):
        script = self.world.folder / "container"
        script.write_text(f"mkdir -p {self.cgroup.path}/container\n"
                          f"echo $$ > {self.cgroup.path}/container/cgroup.procs\n"
                          "exec unshare --net --pid --mount --uts --ipc --cgroup --fork "
                          f"sh -c 'ip link set lo up; {self.script('select 3')}'\n")
        said = self.cgroup.says(f"sh {script}")
        self.assertEqual(said.strip(), "3", self.chaperone.log()[-2000:])
        wait_until(lambda: not (self.cgroup.path / "container/cgroup.procs").read_text(),
                   "the container has ended")
        (self.cgroup.path / "container").rmdir()

    def test_without_a_loopback_device_nothing_gets_out(self):
        said = self.cgroup.says("unshare -n sh -c \"" + self.psql("select 1") + "\"")
        self.assertNotEqual(said.strip(), "1")

    def test_they_come_and_go_without_a_trace(self):
        def settled():
            # Listeners of namespaces that nobody is left in are closed some seconds later.
            wait_until(lambda: "listening in 0 besides" in self.chaperone.cli("doctor").stdout,
                       "no namespace is held")
            wait_until(lambda: not [s for s in self.chaperone.json("session", "list").get(
                "sessions", []) if s["state"] != "closed"], "sessions are closed")
            return self.daemon_files()

        ask = "unshare -n sh -c 'ip link set lo up; " + self.script("select 1") + "'"
        self.assertEqual(self.cgroup.says(f"for i in 1 2 3; do {ask}; done").split(), ["1"] * 3)
        before = settled()
        for _ in range(10):
            said = self.cgroup.says(f"for i in $(seq {self.TURNS // 10}); do {ask}; done")
            self.assertEqual(said.split(), ["1"] * (self.TURNS // 10))
        now = settled()
        self.assertLessEqual(now[0], before[0] + 2)
        self.assertLessEqual(now[1], before[1])

    def test_those_that_are_there_at_a_restart(self):
        inside = self.make_netns(f"chap-r-{os.getpid()}")
        self.cgroup.says(inside + "sleep 1000 & echo")
        self.addCleanup(self.cgroup.says, "kill $!")
        self.chaperone.daemon.stop()
        self.chaperone.start()
        said = self.cgroup.says(inside + self.script("select 7"))
        self.assertEqual(said.strip(), "7", self.chaperone.log()[-2000:])

    def test_a_first_connect_waits_while_the_daemon_starts_again(self):
        inside = self.make_netns(f"chap-w-{os.getpid()}")
        self.chaperone.daemon.stop()
        asked = f"{self.world.folder}/asked"
        said = []
        asker = threading.Thread(target=lambda: said.append(self.cgroup.says(
            f"touch {asked}; " + inside + self.script("select 8"))))
        asker.start()
        self.addCleanup(asker.join)
        wait_until(lambda: Path(asked).exists(), "it is about to ask")
        # It is in connect() by now or soon; it must not have been refused when the daemon is back.
        wait_until(lambda: run(["ip", "netns", "pids", inside.split("/")[-1].strip()]).stdout,
                   "it is in its namespace")
        self.chaperone.start()
        asker.join(30)
        self.assertEqual([one.strip() for one in said], ["8"], self.chaperone.log()[-2000:])


if __name__ == "__main__":
    unittest.main()
