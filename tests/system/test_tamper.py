# SPDX-License-Identifier: Apache-2.0
"""An agent turns on what governs it: the daemon, its files, its API, its programs in the kernel. As an
ordinary user and as root, started by `chaperone run`, and as an ordinary user of an adopted cgroup
who makes itself root of an own user namespace. Nothing may succeed, and the daemon goes on."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BIN, Chaperone, run, wait_until
from test_restart import Agent
from test_workloads import Cgroup

# Tries everything, and prints what it could do. Arguments: the daemon's pid and root, the cgroup
# mount, the pins, and how: "harmless" tries what changes nothing, "namespace" becomes root of a user
# namespace first.
PROBE = r"""
import ctypes, os, signal, socket, stat, struct, sys
pid, root, tree, pins, how = int(sys.argv[1]), *sys.argv[2:]
libc = ctypes.CDLL(None, use_errno=True)
could = []
if how == "namespace":
    uid = os.getuid()
    # CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP
    if libc.unshare(0x10000000 | 0x20000 | 0x02000000) == 0:
        open("/proc/self/setgroups", "w").write("deny")
        open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
harmless = ("read", "its memory", "its env", "its desc", "its root", "the pins", "the API", "bpf 11")
def tried(what, call):
    if how == "harmless" and not what.startswith(harmless):
        return
    try:
        result = call()
    except (OSError, PermissionError):
        return
    if result is not False and result != -1:
        could.append(what)
def reads(path):
    return lambda: len(open(path, "rb").read(1)) > 0
def writes(path):  # /dev/null stands in the place of what is hidden
    return lambda: not stat.S_ISCHR(os.stat(path).st_mode) and \
        os.close(os.open(path, os.O_WRONLY)) is None
# Its process.
for name in ("TERM", "STOP", "KILL"):
    tried("signal " + name, lambda: os.kill(pid, getattr(signal, "SIG" + name)) is None)
tried("ptrace", lambda: libc.ptrace(16, pid, 0, 0))
tried("its memory", lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)) is None)
tried("its environment", reads(f"/proc/{pid}/environ"))
tried("its descriptors", lambda: os.close(os.open(f"/proc/{pid}/fd/0", os.O_RDONLY)) is None)
tried("its root", lambda: bool(os.listdir(f"/proc/{pid}/root/")))
tried("its priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19) is None)
tried("its limits", lambda: libc.prlimit(pid, 7, struct.pack("QQ", 3, 3), None))
tried("its processors", lambda: os.sched_setaffinity(pid, {0}) is None)
tried("its network namespace", lambda: libc.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), 0))
tried("its cgroup", writes(f"{tree}/{open(f'/proc/{pid}/cgroup').read().split('::')[1].strip()}/cgroup.kill"))
# Its files. Public on purpose: certificates and the journal's public key.
public = (".pem", ".crt", ".pub", ".0", ".jks", "port", ".yaml", ".json")
for folder, _, files in os.walk(root + "/var/lib/chaperone"):
    for name in files:
        path = os.path.join(folder, name)
        if not name.endswith(public):
            tried("read " + path, reads(path))
        tried("write " + path, writes(path))
    tried("make a file in " + folder, lambda: open(folder + "/made", "w"))
for path in ("journal.key", "journal.pub", "secrets", "ca/ca.key", "index.db", "port"):
    tried("take away " + path, lambda: os.rename(f"{root}/var/lib/chaperone/{path}", root + "/taken") is None)
for folder, _, files in os.walk(root + "/etc/chaperone"):
    for name in files:
        tried("write " + name, writes(os.path.join(folder, name)))
# What is in the kernel.
tried("the pins", lambda: bool(os.listdir(pins)))
for command in (0, 6, 7, 9, 11, 12, 13, 14, 30, 31):  # maps, pins, attachments, ids, links
    tried(f"bpf {command}", lambda: libc.syscall(321, command, (ctypes.c_char * 128)(), 128))
# The cgroup tree.
own = open("/proc/self/cgroup").read().split("::")[1].strip()
for above in (tree, tree + os.path.dirname(own)):
    tried("leave to " + above, writes(above + "/cgroup.procs"))
    tried("make a cgroup in " + above, lambda: os.mkdir(above + "/made") is None)
# The API.
def ask():
    s = socket.socket(socket.AF_UNIX)
    s.connect(root + "/run/chaperone/api.sock")
    s.sendall(b"GET /v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n")
    return b" 200 " in s.recv(4096)
tried("the API", ask)
print("could:", could, "as", os.getuid())
"""


class Tamper(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "probe.py").write_text(PROBE)
        self.chaperone = Chaperone(self.folder)
        self.chaperone.secrets = {"orders": "the-secret-of-the-house"}
        self.chaperone.__enter__()
        self.addCleanup(lambda: self.chaperone.__exit__(None, None, None))
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        self.tree = next(m[1] for m in mounts if m[2] == "cgroup2")

    def command(self, how="all"):
        pins = max((*Path("/sys/fs/bpf").glob("chaperone-*"), *Path("/run").glob("chaperone-*/bpf")),
                   key=lambda path: path.stat().st_ctime)
        return ["/usr/bin/python3", str(self.folder / "probe.py"),
                str(self.chaperone.daemon.process.pid), str(self.chaperone.root), self.tree,
                str(pins), how]

    def test_is_possible_for_those_who_may(self):
        """The trials are real ones."""
        said = run(self.command("harmless")).stdout
        for what in ("its memory", "its environment", "its descriptors", "the pins", "the API",
                     "bpf 11", "journal.key", "ca/ca.key", "secrets/"):
            self.assertIn(what, said)

    def assert_untouched(self):
        self.assertIsNone(self.chaperone.daemon.process.poll())
        status = Path(f"/proc/{self.chaperone.daemon.process.pid}/status").read_text()
        self.assertNotIn("State:\tT", status)
        self.chaperone.ok("status")
        self.chaperone.ok("journal", "verify")

    def events(self, kind):
        lines = self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()
        events = [json.loads(line).get("event", {}) for line in lines]
        return [event for event in events if event.get("kind") == kind]

    def test_by_launched_agents(self):
        for user in ("nobody", "root"):
            done = run([BIN / "chaperone", "run", "--workload", "billing-agent", "--user", user,
                        "--", *self.command()], env=self.chaperone.env, cwd="/")
            self.assertIn("could: [] as", done.stdout, done.stderr)
            self.assert_untouched()
            uid = 0 if user == "root" else 65534
            calls = {e["facts"]["call"]: e for e in self.events("call")
                     if e["process"].get("uid", 0) == uid}
            for call in ("ptrace", "bpf", "prlimit64"):
                self.assertIn(call, calls)
                self.assertEqual(calls[call]["workload"], "billing-agent")
                self.assertEqual(calls[call]["outcome"], "blocked")
                self.assertEqual(calls[call]["facts"]["error"], "EPERM")
                self.assertEqual(calls[call]["process"]["comm"], "python3")

    def test_files_that_the_daemon_replaces_stay_closed(self):
        """By another of the same name, also to root's agent who was there before; what he is to trust
        he sees as it is now."""
        state = self.chaperone.root / "var/lib/chaperone"
        agent = Agent(self.chaperone, user="root")
        self.addCleanup(agent.stop)
        look = (f"(for f in ca/ca.key journal.key names secrets.key new; do cat {state}/$f; done; "
                f"ls {state}; echo x > {state}/journal.key)")

        def assert_closed():
            said = agent.says(look)
            self.assertEqual((len(said.splitlines()), said.lower().count("permission denied")),
                             (7, 7), said)
        assert_closed()
        self.chaperone.ok("ca", "rotate")
        for name in ("names", "new", "journal.key"):  # as a former version of it may have been
            old = state / name
            new = state / "another"
            new.write_bytes(old.read_bytes() if old.exists() else b"fresh")
            os.rename(new, old)
        os.chmod(state / "journal.key", 0o600)
        assert_closed()
        authorities = agent.says("cat $NODE_EXTRA_CA_CERTS")
        self.assertEqual(authorities.count("BEGIN CERTIFICATE"), 2, authorities)
        self.assertEqual(authorities, Path(self.chaperone.json("ca", "show")["bundlePath"]).read_text())
        self.assert_untouched()

    def test_a_stopped_or_killed_launcher_keeps_no_call_waiting(self):
        tries = "import ctypes; c = ctypes.CDLL(None, use_errno=True); " \
                "print(c.syscall(321, 0, 0, 0), ctypes.get_errno())"
        agent = Agent(self.chaperone)
        attempt = f"timeout 5 /usr/bin/python3 -c '{tries}'"
        agent.says("true")  # it has started
        os.kill(agent.process.pid, signal.SIGSTOP)
        self.assertEqual(agent.says(attempt), "-1 1\n")
        os.kill(agent.process.pid, signal.SIGCONT)
        agent.process.kill()
        agent.process.wait()
        self.assertEqual(agent.says(attempt), "-1 1\n")
        wait_until(lambda: sum(int(e["count"]) for e in self.events("call")
                               if e["facts"]["call"] == "bpf") == 2, "both are recorded")
        agent.process.stdin.close()

    def test_at_the_api_is_recorded(self):
        tries = ("import socket, sys\n"
                 "for _ in range(20):\n"
                 "    s = socket.socket(socket.AF_UNIX)\n"
                 "    s.connect(sys.argv[1])\n"
                 "    s.sendall(b'GET /v1/secrets HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
                 "    print(s.recv(4096)[9:12].decode())\n")
        # Even where policy opens the socket, what is behind it is not for agents.
        socket = f"{self.chaperone.root}/run/chaperone/api.sock"
        self.chaperone.documents["resources.yaml"] = (
            "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: api}\n"
            f"spec: {{protocol: unix, hosts: ['{socket}']}}\n")
        before = self.chaperone.json("status")["bundle"]
        self.chaperone.write_bundle()
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.chaperone.json("status")["bundle"] != before, "it is in force")
        (self.folder / "tries.py").write_text(tries)
        with Cgroup() as cgroup:
            self.chaperone.ok("workload", "add", "billing-agent", "--cgroup", cgroup.path)
            said = cgroup.says(f"python3 {self.folder}/tries.py {socket} 2>&1")
        self.assertEqual(set(said.split()), {"403"})
        one = wait_until(lambda: self.events("api"), "the attempt is recorded")[0]
        self.assertEqual((one["detail"], one["workload"], one["outcome"]),
                         ("GET /v1/secrets", "billing-agent", "blocked"))
        self.assertEqual(one["process"]["comm"], "python3")
        self.assertLess(len(self.events("api")), 5, "those that are alike are counted")

    def test_of_a_flood_of_refused_calls_each_is_counted(self):
        tries = "import ctypes\nc = ctypes.CDLL(None)\nfor _ in range(5000): c.syscall(321, 0, 0, 0)"
        self.chaperone.agent(["/usr/bin/python3", "-c", tries])
        counted = [int(e["count"]) for e in self.events("call") if e["facts"]["call"] == "bpf"]
        self.assertEqual(sum(counted), 5000)
        self.assertLess(len(counted), 10)

    def test_what_is_reported_is_of_root_alone_and_not_of_agents(self):
        report = ["curl", "-sS", "--unix-socket", str(self.chaperone.root / "run/chaperone/api.sock"),
                  "-d", '{"cgroup": "/x", "attempts": [{"call": "forged", "count": 1}]}',
                  "http://x/v1/workloads/billing-agent:report"]
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.assertIn("denied", run([*nobody, *report]).stdout.lower())
        self.assertNotEqual(self.chaperone.agent(report, check=False).returncode, 0)
        self.assertEqual([e for e in self.events("call") if "forged" in e["detail"]], [])

    def test_the_api_is_refused_and_the_attempt_recorded(self):
        self.chaperone.agent(self.command())
        wait_until(lambda: [e for e in self.events("unix-socket") + self.events("api")
                            if "api.sock" in e["detail"] and e["workload"] == "billing-agent"],
                   "the attempt is in the journal")

    def test_by_an_adopted_user_who_becomes_root_of_a_namespace(self):
        with Cgroup() as tree:
            self.chaperone.ok("workload", "add", "billing-agent", "--cgroup", str(tree.path))
            try:
                words = " ".join(self.command("namespace"))
                said = tree.says("setpriv --reuid=65534 --regid=65534 --clear-groups " + words)
                self.assertIn("could: [] as 0", said)
                self.assert_untouched()
            finally:
                self.chaperone.ok("workload", "remove", "billing-agent")


if __name__ == "__main__":
    unittest.main()
