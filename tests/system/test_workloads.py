# SPDX-License-Identifier: Apache-2.0
"""`chaperone run` and `chaperone workload`: who is governed, as whom, and who is not."""
import fcntl
import os
import pty
import pwd
import select
import signal
import socket
import subprocess
import termios
import threading
import unittest
from pathlib import Path

from harness import BIN, World, cgroup2, run, wait_until

WORKLOADS = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent, labels: {team: payments}}
spec:
  identity: {subject: 'agent:billing', groups: [agents, billing]}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: report-agent}
spec:
  identity: {subject: 'agent:reports', groups: [agents]}
"""

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: reports}
spec:
  rules:
  - id: reports-read-no-secrets
    when: identity.subject == "agent:reports" && sql.text.contains("secret")
    deny: {reason: "not for reports"}
  - {id: all, allow: {unknown: true}}
"""


class Cgroup:
    """A cgroup of our own with a shell in it that runs what it is told, a line at a time."""

    def __enter__(self):
        self.path = cgroup2() / f"chaperone-test-{os.getpid()}"
        self.path.mkdir()
        self.shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
        (self.path / "cgroup.procs").write_text(str(self.shell.pid))
        return self

    def says(self, command):
        self.shell.stdin.write(command + " 2>&1; echo end-of-answer\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.endswith("end-of-answer\n"):
                return "".join(lines) + line[:-len("end-of-answer\n")]
            lines.append(line)
        raise AssertionError("the shell ended: " + "".join(lines))

    def __exit__(self, *_):
        self.shell.stdin.close()
        self.shell.wait(10)
        self.shell.stdout.close()
        self.path.rmdir()


class Workloads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, workload=WORKLOADS)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone

    def who(self, **filters):
        words = [w for k, v in filters.items() for w in ("--" + k, v)]
        return self.chaperone.json("session", "list", *words)["sessions"]

    # chaperone run

    def test_passes_the_exit_status_on(self):
        for command, status in ((["true"], 0), (["sh", "-c", "exit 37"], 37),
                                (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
                                (["no-such-program"], 127), (["/etc/passwd"], 126)):
            done = self.chaperone.agent(command)
            self.assertEqual(done.returncode, status, f"{command}: {done.stderr}")

    def test_passes_signals_on(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            agent = self.chaperone.popen_agent(
                ["sh", "-c", f"trap 'echo got it; exit 9' {int(number)}; echo ready; "
                 "while :; do sleep 0.05; done"])
            self.assertEqual(agent.stdout.readline(), "ready\n")
            agent.send_signal(number)
            out, err = agent.communicate(timeout=20)
            self.assertIn("got it", out, err)
            self.assertEqual(agent.returncode, 9, number)

    def test_passes_streams_through(self):
        data = "".join(f"line {i}\n" for i in range(20000))
        done = self.chaperone.agent(["sh", "-c", "cat; echo to-stderr >&2"], input=data)
        self.assertEqual(done.stdout, data)
        self.assertEqual(done.stderr, "to-stderr\n")

    def test_gives_its_terminal(self):
        master, slave = pty.openpty()
        agent = subprocess.Popen(
            [str(w) for w in self.chaperone.run_command(
                ["sh", "-c", "test -t 0 && test -t 1 && tty && read x && echo read:$x"])],
            env=self.chaperone.env, cwd="/", stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        seen, typed = b"", False
        while True:
            ready, _, _ = select.select([master], [], [], 20)
            self.assertTrue(ready, seen)
            try:
                part = os.read(master, 4096)
            except OSError:
                break
            if not part:
                break
            seen += part
            if b"/dev/pts/" in seen and not typed:
                os.write(master, b"typed\n")
                typed = True
        os.close(master)
        self.assertEqual(agent.wait(20), 0, seen)
        self.assertIn(b"read:typed", seen)

    def test_environment_is_the_callers_and_ours(self):
        done = self.chaperone.agent(["env"], env={"MINE": "kept"})
        names = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        self.assertEqual(names["MINE"], "kept")
        self.assertNotIn("CHAPERONE_ROOT", names)
        self.assertTrue(Path(names["SSL_CERT_FILE"]).is_file())
        self.assertEqual(names["USER"], "nobody")

    def test_user_and_capabilities(self):
        status = self.chaperone.agent(["cat", "/proc/self/status"]).stdout
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        nobody = str(pwd.getpwnam("nobody").pw_uid)
        self.assertEqual(set(fields["Uid"].split()), {nobody})
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(fields[name], 16), 0, name)
        self.assertEqual(fields["NoNewPrivs"], "1")

    def test_runs_as_who_called_sudo(self):
        daemon = pwd.getpwnam("daemon")
        command = [BIN / "chaperone", "run", "--workload", "billing-agent", "--", "id", "-u"]
        done = run(command, cwd="/", env=dict(self.chaperone.env, SUDO_UID=str(daemon.pw_uid)))
        self.assertEqual(done.stdout.strip(), str(daemon.pw_uid), done.stderr)

    def test_root_agent_has_no_capabilities_and_sees_no_secrets(self):
        state = self.chaperone.root / "var/lib/chaperone"
        done = run([BIN / "chaperone", "run", "--workload", "billing-agent", "--user", "root", "--",
                    "sh", "-c", f"grep CapEff /proc/self/status; cat {state}/journal.key; "
                    f"find {state}/journal {state}/secrets -type f; cat {state}/ca/ca.key"],
                   cwd="/", env=self.chaperone.env)
        self.assertIn("CapEff:\t0000000000000000", done.stdout)
        self.assertEqual(done.stdout.count("\n"), 1, done.stdout)

    def test_unknown_names(self):
        self.assertEqual(self.chaperone.agent(["true"], workload="nobody-knows").returncode, 1)
        done = run([BIN / "chaperone", "run", "--workload", "billing-agent", "--user", "no-such",
                    "--", "true"], env=self.chaperone.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such", done.stderr)

    def test_is_of_no_use_to_a_governed_process(self):
        sock = self.chaperone.root / "run/chaperone/api.sock"
        for user in ("nobody", "root"):
            for verb in (["session", "list"], ["approval", "list"], ["secret", "list"],
                         ["workload", "remove", "billing-agent"]):
                done = run([BIN / "chaperone", "run", "--workload", "billing-agent", "--user", user,
                            "--", "env", f"CHAPERONE_ROOT={self.chaperone.root}",
                            BIN / "chaperone", *verb], cwd="/", env=self.chaperone.env)
                self.assertNotEqual(done.returncode, 0, f"{user} {verb}: {done.stdout}")
                self.assertNotIn('"sessions"', done.stdout)
        self.assertTrue(sock.is_socket())

    # workload add, list, show, remove

    def test_governs_what_already_runs(self):
        connect = (f"PGPASSWORD=x PGSSLMODE=disable psql -X -A -t -h 127.0.0.1 -p "
                   f"{self.world.db.port} -U agent -d shop -c 'SELECT current_user' </dev/null")
        with Cgroup() as tree:
            self.assertIn("FATAL", tree.says(connect))  # the database knows no user agent
            below = tree.path / "below"
            below.mkdir()
            try:
                self.chaperone.ok("workload", "add", "report-agent", "--cgroup", str(tree.path))
                self.assertEqual(tree.says(connect), "app\n")
                inner = run(["sh", "-c", f"echo $$ > {below}/cgroup.procs; {connect}"])
                self.assertEqual(inner.stdout, "app\n", inner.stderr)
                mine = self.who(workload="report-agent")
                self.assertEqual({s["subject"] for s in mine}, {"agent:reports"})
                shown = self.chaperone.json("workload", "show", "report-agent")
                self.assertEqual(shown["cgroups"], [str(tree.path)])
                self.assertEqual(shown["state"], "governed")
                # Another workload cannot take it.
                taken = self.chaperone.cli("workload", "add", "billing-agent", "--cgroup",
                                           str(tree.path))
                self.assertEqual(taken.returncode, 1)
                self.assertIn("report-agent", taken.stderr)
                self.chaperone.ok("workload", "remove", "report-agent")
                self.assertIn("FATAL", tree.says(connect))
                self.assertEqual(self.chaperone.json("workload", "show", "report-agent")["cgroups"],
                                 [])
            finally:
                wait_until(lambda: not (below / "cgroup.procs").read_text(), "the inner ended")
                below.rmdir()

    def test_lists(self):
        listed = {w["name"]: w for w in self.chaperone.json("workload", "list")["workloads"]}
        self.assertEqual(set(listed), {"billing-agent", "report-agent"})
        self.assertEqual(listed["billing-agent"]["labels"], {"team": "payments"})
        self.assertEqual(listed["billing-agent"]["groups"], ["agents", "billing"])
        self.assertIn("agent:reports", self.chaperone.ok("workload", "list"))
        gone = self.chaperone.cli("workload", "show", "nothing")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("nothing", gone.stderr)

    def test_each_workload_has_its_own_identity(self):
        sql = "SELECT 'secret' AS x"
        self.assertEqual(self.world.psql(sql).stdout, "secret\n")
        refused = self.world.psql(sql, workload="report-agent")
        self.assertIn("not for reports", refused.stderr)
        self.assertNotIn("secret\n", refused.stdout)

    # what is not governed, and what no resource claims

    def test_ungoverned_processes_notice_nothing(self):
        self.assertEqual(self.world.db.admin("SELECT inet_server_port()"), str(self.world.db.port))
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                peer, address = server.accept()
                self.assertEqual(address, client.getsockname())
                peer.close()

    def test_an_unclaimed_postgresql_port_is_refused_in_its_own_words(self):
        done = self.chaperone.agent(
            ["psql", "-X", "-h", "127.0.0.2", "-p", "5432", "-U", "agent", "-d", "shop", "-c",
             "SELECT 1"], env={"PGSSLMODE": "disable", "PGPASSWORD": "x"})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("FATAL", done.stderr)
        self.assertIn("no resource", done.stderr)
        self.assertIn("127.0.0.2", done.stderr)
        seen = [s for s in self.who(effect="deny") if s["destination"]["address"] == "127.0.0.2"]
        self.assertEqual(len(seen), 1)
        self.assertEqual(seen[0]["destination"]["port"], 5432)
        self.assertEqual(seen[0]["state"], "closed")

    def test_an_unclaimed_other_port_is_reset(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            reached = []

            def accept():
                try:
                    reached.append(server.accept())
                except OSError:
                    pass
            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            done = self.chaperone.agent(
                ["python3", "-c", "import socket,sys\n"
                 f"try:\n s=socket.create_connection(('127.0.0.1',{port}),10)\n"
                 " s.sendall(b'hello'); print(s.recv(10))\n"
                 "except ConnectionResetError: print('reset')\n"])
            self.assertIn("reset", done.stdout, done.stderr)
            self.assertEqual(reached, [])
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
        seen = [s for s in self.who(effect="deny") if s["destination"]["port"] == port]
        self.assertEqual(len(seen), 1)


if __name__ == "__main__":
    unittest.main()
