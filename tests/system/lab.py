# SPDX-License-Identifier: Apache-2.0
"""A host of its own for tests of names and datagrams: a network namespace with loopback and a
wire that leads nowhere, a mount namespace with a resolv.conf, a real DNS server (Knot) behind it, and the
daemon and its agents inside. All of it goes when the `with` block ends."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import BIN, Chaperone, Process, run, wait_until

ZONE = """$ORIGIN internal.
$TTL 60
@       SOA ns hostmaster 1 3600 600 86400 30
        NS ns
ns      A 127.0.0.53
db      A 127.0.0.1
        AAAA ::1
alias   CNAME db
two     CNAME alias
x.orders A 127.0.0.1
y.orders AAAA ::1
web     A 127.0.0.1
        HTTPS 1 . alpn=h2 ipv4hint=127.0.0.1 ech=AEX+DQBB
svc     SVCB 1 web mandatory=alpn,ech alpn=h2 ech=AEX+DQBB
_pg._tcp SRV 1 2 5432 db
big     TXT "%s" "%s" "%s" "%s" "%s" "%s" "%s" "%s"
other   A 127.0.0.9
""" % tuple(c * 250 for c in "abcdefgh")

EVIL = """$ORIGIN evil.example.
$TTL 60
@       SOA ns hostmaster 1 3600 600 86400 30
        NS ns
ns      A 127.0.0.53
@       A 127.0.0.1
www     A 127.0.0.1
rebind  CNAME db.internal.
"""

REVERSE = """$ORIGIN 0.0.127.in-addr.arpa.
$TTL 60
@       SOA ns.internal. hostmaster.internal. 1 3600 600 86400 30
        NS ns.internal.
1       PTR db.internal.
"""


class Lab:
    """The namespaces, and a Knot that answers on 127.0.0.53 and [::1]."""

    def __init__(self, search="corp.example internal"):
        self.search = search

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-lab-"))
        os.chmod(self.folder, 0o755)
        self.knot = self.holder = None
        try:
            self.holder = subprocess.Popen(
                ["unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity"],
                stdin=subprocess.DEVNULL)
            wait_until(self.is_apart, "the namespaces are there")
            self.set_up()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def is_apart(self):
        mine = os.readlink("/proc/self/ns/net")
        return os.readlink(f"/proc/{self.holder.pid}/ns/net") != mine and \
            os.readlink(f"/proc/{self.holder.pid}/exe").endswith("sleep")

    def inside(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "--net", "--mount", "--", *command]

    def do(self, *command):
        done = run(self.inside(*command))
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def set_up(self):
        self.do("ip", "link", "set", "lo", "up")
        self.do("ip", "link", "add", "out0", "type", "veth", "peer", "name", "wire0")
        self.do("ip", "addr", "add", "198.51.100.1/24", "dev", "out0")
        self.do("ip", "-6", "addr", "add", "2001:db8::1/64", "dev", "out0", "nodad")
        self.do("ip", "link", "set", "wire0", "up")
        self.do("ip", "link", "set", "out0", "up")
        self.do("ip", "route", "add", "default", "via", "198.51.100.254")
        self.do("ip", "-6", "route", "add", "default", "via", "2001:db8::fe")
        resolv = self.folder / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.53\n"
                          f"search {self.search}\noptions timeout:3 attempts:1\n")
        self.do("mount", "--bind", str(resolv), "/etc/resolv.conf")
        self.start_knot()

    def start_knot(self):
        folder = self.folder / "knot"
        folder.mkdir()
        zones = {"internal": ZONE, "evil.example": EVIL, "0.0.127.in-addr.arpa": REVERSE}
        conf = (f'server:\n  rundir: "{folder}"\n  listen: [127.0.0.53@53, "::1@53"]\n'
                "  udp-max-payload: 1232\n  automatic-acl: off\n"
                "log:\n  - target: stderr\n    any: warning\n"
                f'database:\n  storage: "{folder}"\nzone:\n')
        for name, text in zones.items():
            (folder / f"{name}.zone").write_text(text)
            conf += f'  - domain: {name}\n    storage: "{folder}"\n    file: {name}.zone\n'
        (folder / "knot.conf").write_text(conf)
        self.knot = Process(self.inside("knotd", "-c", str(folder / "knot.conf")),
                            self.folder / "knot.log")
        wait_until(lambda: "127.0.0.1" in run(
            self.inside("dig", "+short", "+time=1", "+tries=1", "@127.0.0.53", "db.internal")
        ).stdout, "Knot answers")

    def __exit__(self, *error):
        if self.knot is not None:
            self.knot.stop()
            if error[0] is not None:
                sys.stderr.write("--- knot\n" + self.knot.log_path.read_text()[-2000:])
        if self.holder is not None:
            self.holder.send_signal(signal.SIGKILL)
            self.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class LabChaperone(Chaperone):
    """Chaperone whose daemon, CLI and agents are inside of a Lab."""

    def __init__(self, lab, **kwargs):
        super().__init__(lab.folder, **kwargs)
        self.lab = lab

    def start(self):
        self.daemon = Process(self.lab.inside(str(BIN / "chaperoned"), "--root", str(self.root)),
                              self.root.parent / "chaperoned.log")
        def ready():
            assert self.daemon.process.poll() is None, "chaperoned ended:\n" + self.log()
            return self.cli("status").returncode == 0
        wait_until(ready, "chaperoned answers")

    def cli(self, *args, **kwargs):
        return run(self.lab.inside(str(BIN / "chaperone"), *map(str, args)), env=self.env, **kwargs)

    def run_command(self, command, workload="billing-agent", user="nobody"):
        return self.lab.inside(*map(str, super().run_command(command, workload, user)))

    def detach(self):
        run(self.lab.inside(str(BIN / "chaperoned"), "--root", str(self.root), "--detach"))

    def dig(self, *args, workload="billing-agent"):
        """dig as an agent: (status, answers as text, the whole output)."""
        done = self.agent(["dig", "+time=5", "+tries=1", *args], workload)
        status = re.search(r"status: (\w+)", done.stdout)
        answer = re.search(r";; ANSWER SECTION:\n(.*?)\n\n", done.stdout, re.S)
        return (status.group(1) if status else None,
                answer.group(1) if answer else "", done.stdout + done.stderr)

    def python(self, code, *args, workload="billing-agent", **kwargs):
        return self.agent(["python3", "-c", code, *args], workload, **kwargs)

    def questions(self):
        """The questions in the journal: (statement, effect)."""
        entries = [json.loads(line) for line in
                   self.ok("journal", "export", "--format", "jsonl").splitlines()]
        return [(e["request"]["statement"], e["request"]["decision"]["effect"])
                for e in entries if e.get("request", {}).get("kind") == "dns"]
