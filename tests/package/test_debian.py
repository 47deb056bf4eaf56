# SPDX-License-Identifier: Apache-2.0
"""The Debian package, from what was built: its contents, and its whole life on a host with systemd.

The tests are one story, in the order of their names; the first that fails ends it (-f).
"""
import json
import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

import container
from harness import BIN, PG_BIN, Postgres, make_ca, orders_resource, run, wait_until
from tls_servers import make_intermediate

SOURCE = Path(__file__).resolve().parents[2]
WORK = BIN / "package"
UNPACKED = WORK / "unpacked"
DEB = None  # made by setUpModule
MOST_EXPOSED = 3.0  # of systemd-analyze security, 0 to 10

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: reads}
spec:
  rules:
  - id: reads
    when: sql.effects.all(e, e.kind == "read")
    allow: {}
"""
WORKLOAD = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent}
spec:
  identity: {subject: "agent:billing"}
"""

FILES = {  # path: mode
    "/usr/bin/chaperone": "-rwxr-xr-x",
    "/usr/bin/chaperoned": "-rwxr-xr-x",
    "/usr/lib/chaperone/prepare-pins": "-rwxr-xr-x",
    "/lib/systemd/system/chaperoned.service": "-rw-r--r--",
    "/lib/systemd/system/chaperone-pins.service": "-rw-r--r--",
    "/lib/systemd/system/chaperone-core.slice": "-rw-r--r--",
    "/lib/systemd/system/chaperone-agents.slice": "-rw-r--r--",
    "/etc/chaperone/chaperone.yaml": "-rw-r--r--",
    "/etc/chaperone/bundle/default.yaml": "-rw-r--r--",
    "/usr/share/chaperone/schema.json": "-rw-r--r--",
    "/usr/share/chaperone/policies/database-guardrails/policy.yaml": "-rw-r--r--",
    "/usr/share/man/man1/chaperone.1.gz": "-rw-r--r--",
    "/usr/share/man/man5/chaperone.yaml.5.gz": "-rw-r--r--",
    "/usr/share/man/man5/chaperone-bundle.5.gz": "-rw-r--r--",
    "/usr/share/man/man8/chaperoned.8.gz": "-rw-r--r--",
    "/usr/share/bash-completion/completions/chaperone": "-rw-r--r--",
    "/usr/share/zsh/vendor-completions/_chaperone": "-rw-r--r--",
    "/usr/share/fish/vendor_completions.d/chaperone.fish": "-rw-r--r--",
    "/usr/share/doc/chaperone/copyright": "-rw-r--r--",
    "/usr/share/doc/chaperone/changelog.gz": "-rw-r--r--",
}


def checked(command, **kwargs):
    done = run(command, **kwargs)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build():
    """The package of the current build, and what it is unpacked."""
    shutil.rmtree(WORK / "deb", ignore_errors=True)
    checked(["cpack", "--config", BIN / "CPackConfig.cmake", "-G", "DEB", "-B", WORK / "deb"],
            cwd=BIN, timeout=600)
    [deb] = (WORK / "deb").glob("*.deb")
    shutil.rmtree(UNPACKED, ignore_errors=True)
    checked(["dpkg-deb", "-R", deb, UNPACKED])
    return deb


def next_version(deb):
    """The same, one version later, with another default configuration."""
    tree = WORK / "later"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(UNPACKED, tree, symlinks=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", r"\g<0>+later", control.read_text()))
    with open(tree / "etc/chaperone/chaperone.yaml", "a", encoding="utf-8") as config:
        config.write("# a key of the later version\n")
    later = WORK / "deb" / (deb.stem + "-later.deb")
    checked(["dpkg-deb", "--root-owner-group", "-b", tree, later])
    return later


def dependencies():
    """The packages that it depends on, by their own names where it names what they provide."""
    control = (UNPACKED / "DEBIAN/control").read_text()
    depends = re.search(r"(?m)^Depends: (.*)$", control).group(1)
    names = [re.split(r"[ (|]", one.strip())[0] for one in depends.split(",")]
    providers = {}
    for line in checked(["dpkg-query", "-W", "-f", "${Package}\t${Provides}\n"]).splitlines():
        package, provides = line.split("\t")
        for one in provides.split(","):
            providers[re.split(r"[ (]", one.strip())[0]] = package
    return [providers.get(name, name) for name in names]


class InContainer(Postgres):
    """The database in the network of the container, where agents reach it on 127.0.0.1."""

    def __init__(self, folder, box):
        super().__init__(folder)
        self.box = box

    def prefix(self):
        return ["nsenter", "-t", str(self.box.leader), "-n", "--"] + super().prefix()

    def ready(self):
        return run([PG_BIN / "pg_isready", "-q", "-h", self.folder, "-p", self.port]
                   ).returncode == 0

    def admin(self, sql, database="shop"):
        return checked(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder,
                        "-p", self.port, "-U", "postgres", "-d", database, "-c", sql]).strip()


class Agent:
    """An agent that lives on: each line that it reads it runs as SQL."""

    LOOP = ('while read -r sql; do psql -X -A -t -c "$sql" 2>&1; echo "exit $?"; done')

    RUN = ["chaperone", "run", "--workload", "billing-agent", "--user", "nobody", "--"]

    def __init__(self, box, port, before=(), run=RUN):
        self.process = box.popen(
            *before, "env", "PGHOST=127.0.0.1", f"PGPORT={port}", "PGUSER=agent", "PGDATABASE=shop",
            "PGPASSWORD=worthless", "PGSSLMODE=disable", "PGCONNECT_TIMEOUT=10",
            *run, "sh", "-c", self.LOOP)

    def ask(self, sql):
        """What psql printed, and its exit status."""
        self.process.stdin.write(sql + "\n")
        self.process.stdin.flush()
        lines = []
        while not (lines and re.fullmatch(r"exit \d+", lines[-1])):
            line = self.process.stdout.readline()
            assert line, "the agent ended: " + "\n".join(lines)
            lines.append(line.rstrip("\n"))
        return "\n".join(lines[:-1]), int(lines[-1].split()[1])

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def setUpModule():
    global DEB
    WORK.mkdir(exist_ok=True)
    DEB = build()


class Contents(unittest.TestCase):
    def test_11_holds_what_it_must(self):
        listed = {}
        for line in checked(["dpkg-deb", "-c", DEB]).splitlines():
            mode, owner, _, _, _, name = line.split(None, 5)
            listed[name[1:].rstrip("/")] = mode
            self.assertEqual(owner, "root/root", name)
            if mode.startswith("d"):
                self.assertEqual(mode, "drwxr-xr-x", name)
        for name, mode in FILES.items():
            self.assertEqual(listed.get(name), mode, name)
        self.assertEqual((UNPACKED / "DEBIAN/conffiles").read_text().split(),
                         ["/etc/chaperone/chaperone.yaml", "/etc/chaperone/bundle/default.yaml"])
        for needed in ("adduser", "libbpf1", "libc6", "init-system-helpers"):
            self.assertIn(needed, dependencies())

    def test_12_tells_nothing_of_where_it_was_built(self):
        for path in UNPACKED.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            content = path.read_bytes()
            for where in (SOURCE, BIN):
                self.assertEqual(content.find(str(where).encode() + b"/"), -1, path)

    def test_13_is_stripped(self):
        for name in ("chaperone", "chaperoned"):
            sections = checked(["readelf", "-S", "-W", UNPACKED / "usr/bin" / name])
            self.assertNotIn(".symtab", sections, name)
            self.assertNotIn(".debug_info", sections, name)

    def test_14_lintian_finds_no_error(self):
        done = run(["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0",
                    DEB], timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_15_documents_every_verb(self):
        page = (SOURCE / "packaging/man/chaperone.1.scd").read_text()
        words = run([BIN / "chaperone", "completion", "fish"]).stdout
        verbs = re.findall(r"(?m)^complete -c chaperone -f -n (\S+|'[^']*') -a (\S+)", words)
        self.assertGreater(len(verbs), 30)
        for seen, verb in verbs:
            noun = re.search(r"seen_subcommand_from (\w+);", seen)
            text = f"{noun.group(1)} {verb}" if noun else verb
            self.assertRegex(page, rf"\*{re.escape(text)}\b", text)
        for flag in set(re.findall(r"(?m)^complete -c chaperone -n '[^']*' -l ([a-z-]+)", words)):
            self.assertRegex(page, rf"--{flag}\b", flag)


class Life(unittest.TestCase):
    """Install, use, restart, upgrade, remove, purge."""

    @classmethod
    def setUpClass(cls):
        cls.box = container.Container(container.base(WORK, dependencies()))
        cls.box.__enter__()
        cls.addClassCleanup(cls.box.__exit__, None, None, None)
        cls.folder = Path(tempfile.mkdtemp(prefix="chaperone-package-db-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        os.chmod(cls.folder, 0o755)
        cls.database = InContainer(cls.folder, cls.box)
        cls.database.__enter__()
        cls.addClassCleanup(cls.database.__exit__, None, None, None)
        shutil.copy(DEB, cls.box.path("/root/chaperone.deb"))
        shutil.copy(next_version(DEB), cls.box.path("/root/later.deb"))
        cls.agent = None

    def json(self, *command):
        return json.loads(self.box.ok("chaperone", *command, "-o", "json"))

    def property(self, name, unit="chaperoned.service"):
        return self.box.systemctl("show", "-P", name, unit).stdout.strip()

    def pid(self):
        return int(self.property("MainPID"))

    def agents_cgroups(self):
        return self.json("workload", "show", "billing-agent").get("cgroups", [])

    def test_16_installs_and_starts(self):
        self.box.ok("dpkg", "-i", "/root/chaperone.deb")
        self.assertEqual(self.property("ActiveState"), "active", self.box.journal())
        self.assertEqual(self.box.systemctl("is-enabled", "chaperoned").stdout.strip(), "enabled")
        self.assertEqual(self.property("NRestarts"), "0", self.box.journal())

    def test_17_runs_as_a_user_of_its_own_with_few_capabilities(self):
        pid = self.pid()
        status = run(self.box.enter("cat", f"/proc/{pid}/status")).stdout
        uid = re.search(r"Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", status).groups()
        own = run(self.box.enter("id", "-u", "chaperone")).stdout.strip()
        self.assertEqual(set(uid), {own})
        self.assertNotEqual(own, "0")
        bpf, net_admin, perfmon, bind = 39, 12, 38, 10
        wanted = sum(1 << number for number in (bpf, net_admin, perfmon, bind))
        for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
            self.assertEqual(int(re.search(kind + r":\s+(\w+)", status).group(1), 16), wanted, kind)
        self.assertRegex(status, r"NoNewPrivs:\s+1")
        self.assertRegex(status, r"Seccomp:\s+2")

    def test_17_uses_idle_time_for_what_can_wait(self):
        self.assertEqual(self.property("LimitNICE"), "1")
        unit = self.box.path("/lib/systemd/system/chaperoned.service").read_text()
        filters = re.findall(r"^SystemCallFilter=.*", unit, re.MULTILINE)
        change = lambda lines: run(self.box.enter(
            "systemd-run", "--wait", "--quiet", *(f"--property={line}" for line in lines),
            "chrt", "--other", "0", "true")).returncode
        self.assertEqual((change(filters), change(filters[:2]) != 0), (0, True), filters)
        # Where the container may not have the limit itself, the daemon says what it lacks.
        limits = run(self.box.enter("cat", f"/proc/{self.pid()}/limits")).stdout
        limit = int(re.search(r"Max nice priority\s+(\d+)", limits).group(1))
        told = run(self.box.enter("journalctl", "--unit", "chaperoned", "--no-pager")).stdout
        self.assertEqual("may not use idle time" in told, limit < 1, told)

    def test_18_is_little_exposed(self):
        report = run(self.box.enter("systemd-analyze", "security", "--no-pager",
                                    "chaperoned.service")).stdout
        exposure = re.search(r"exposure level for chaperoned.service: ([\d.]+)", report)
        self.assertIsNotNone(exposure, report)
        self.assertLessEqual(float(exposure.group(1)), MOST_EXPOSED, report)

    def test_19_answers_and_finds_nothing_wrong(self):
        self.assertEqual(self.json("status")["state"], "running")
        done = self.box.run("chaperone", "doctor", "-o", "json")
        checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
        failed = [one for one in checks.values() if one["result"] == "fail"]
        self.assertEqual((done.returncode, failed), (0, []))
        for name in ("kernel", "cgroup v2", "bpffs", "capabilities", "hooks", "ca", "bundle",
                     "journal"):
            self.assertEqual(checks[name]["result"], "ok", checks[name])

    def test_20_takes_orders_from_operators_only(self):
        self.assertNotEqual(
            self.box.run("chaperone", "session", "list", user="nobody").returncode, 0)
        self.box.ok("adduser", "--quiet", "--disabled-password", "--gecos", "", "ops")
        self.box.ok("adduser", "--quiet", "ops", "chaperone")
        self.box.ok("chaperone", "session", "list", user="ops")

    def test_21_takes_a_bundle_and_a_secret(self):
        bundle = self.box.path("/root/bundle")
        bundle.mkdir()
        (bundle / "policy.yaml").write_text(POLICY)
        (bundle / "workloads.yaml").write_text(WORKLOAD)
        (bundle / "resources.yaml").write_text(orders_resource(self.database))
        (bundle / "ca.pem").write_text((self.database.folder / "ca.pem").read_text())
        self.box.ok("chaperone", "policy", "apply", "/root/bundle")
        self.box.ok("chaperone", "policy", "apply", "/root/bundle")  # over one that was applied
        self.box.ok("chaperone", "secret", "set", "orders", input=Postgres.PASSWORD)
        self.box.ok("systemctl", "reload", "chaperoned")
        self.assertEqual(self.json("policy", "status")["resources"], 1)

    def test_22_governs_an_agent_in_a_scope(self):
        type(self).agent = Agent(self.box, self.database.port)
        self.addClassCleanup(self.agent.end)
        # Any user, any password: the login upstream is the proxy's.
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0))
        said, status = self.agent.ask("DROP TABLE nothing")
        self.assertEqual(status, 1)
        self.assertIn("no rule allows it", said)
        [cgroup] = self.agents_cgroups()
        self.assertRegex(
            cgroup, r"chaperone-agents\.slice/chaperone-billing-agent-\d+\.scope$")
        scope = Path(cgroup).name
        self.assertEqual(self.box.systemctl("is-active", scope).stdout.strip(), "active")

    def test_23_leaves_others_alone(self):
        done = self.box.run("env", "PGPASSWORD=worthless", "psql", "-h", "127.0.0.1", "-p",
                            str(self.database.port), "-U", "agent", "-d", "shop", "-c", "SELECT 1")
        self.assertIn("password authentication failed", done.stderr)

    def test_24_records_it(self):
        sessions = self.json("session", "list", "--workload", "billing-agent")["sessions"]
        self.assertGreaterEqual(len(sessions), 2)
        self.assertEqual(sessions[0]["subject"], "agent:billing")
        self.box.ok("chaperone", "journal", "verify")

    def test_25_stops_the_agent_while_it_is_away(self):
        before = self.agents_cgroups()
        self.box.ok("systemctl", "stop", "chaperoned")
        said, status = self.agent.ask("SELECT 1")
        self.assertEqual(status, 2, said)
        self.assertIn("Connection refused", said)
        self.box.ok("systemctl", "start", "chaperoned")
        self.assertEqual(self.agents_cgroups(), before)
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0))

    def listening(self):
        """The inodes of the sockets on the proxy's port, in the container's network."""
        port = int(self.box.path("/var/lib/chaperone/port").read_text())
        found = set()
        for name in ("tcp", "tcp6", "udp", "udp6"):
            for row in Path(f"/proc/{self.box.leader}/net/{name}").read_text().splitlines()[1:]:
                words = row.split()
                if int(words[1].rsplit(":", 1)[1], 16) == port and words[3] in ("0A", "07"):
                    found.add(words[9])
        return found

    def test_26_comes_back_when_it_is_killed(self):
        pid, sockets = self.pid(), self.listening()
        self.assertEqual((len(sockets), self.property("NFileDescriptorStore")), (4, "4"))
        self.box.ok("systemctl", "kill", "-s", "KILL", "chaperoned")
        wait_until(lambda: self.property("ActiveState") == "active" and self.pid() not in (0, pid),
                   "it is started again")
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0))
        self.assertEqual(self.listening(), sockets)
        self.box.ok("systemctl", "restart", "chaperoned")
        self.assertEqual(self.listening(), sockets)
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0))

    def test_26_governs_other_network_namespaces_with_the_documented_drop_in(self):
        page = (SOURCE / "packaging/man/chaperoned.8.scd").read_text()
        text = re.search(r"NETWORK NAMESPACES.*?```\n(.*?)```", page, re.S).group(1)
        # An agent in a unit of its own, with a network of its own.
        agent = Agent(self.box, self.database.port, [
            "systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--unit=apart.service",
            "-p", "PrivateNetwork=yes", "-p", "User=nobody"], [])
        self.addCleanup(agent.end)
        self.assertEqual(agent.ask("SELECT 1")[1], 2)  # nobody is there, and so it has begun
        cgroup = self.property("ControlGroup", "apart.service")
        self.box.ok("chaperone", "workload", "add", "billing-agent", "--cgroup",
                    "/sys/fs/cgroup" + cgroup)
        said, status = agent.ask("SELECT current_user")
        self.assertEqual(status, 2, said)  # without it, such connections are refused
        folder = self.box.path("/etc/systemd/system/chaperoned.service.d")
        folder.mkdir()
        (folder / "namespaces.conf").write_text(text)
        self.box.ok("systemctl", "daemon-reload")
        self.box.ok("systemctl", "restart", "chaperoned")
        for _ in range(2):  # and over a restart: its sockets are kept as well
            self.assertEqual(agent.ask("SELECT current_user"), ("app", 0), self.box.journal())
            self.assertEqual(self.property("NFileDescriptorStore"), "8")
            self.box.ok("systemctl", "restart", "chaperoned")
        self.assertEqual(agent.ask("SELECT current_user"), ("app", 0), self.box.journal())
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0))
        shutil.rmtree(folder)
        self.box.ok("systemctl", "daemon-reload")
        self.box.ok("systemctl", "restart", "chaperoned")
        said, status = agent.ask("SELECT current_user")
        self.assertEqual(status, 2, said)

    def test_26_signs_with_a_token_s_key_with_the_documented_drop_in(self):
        page = (SOURCE / "packaging/man/chaperone.yaml.5.scd").read_text()
        text = re.search(r"for SoftHSM its folder.*?```\n(.*?)```", page, re.S).group(1)
        make_ca(self.folder)
        make_intermediate(self.folder)
        for name in ("mid.key", "mid.pem", "corp.pem", "server.key", "server.pem", "ca.pem"):
            shutil.copy(self.folder / name, self.box.path("/root"))
        etc = self.box.path("/etc/chaperone")
        before = (etc / "chaperone.yaml").read_text()
        (etc / "softhsm2.conf").write_text("directories.tokendir = /var/lib/softhsm/tokens\n")
        self.box.ok("sh", "-ec", """
            systemctl stop chaperoned
            install -m 0600 -o chaperone /root/mid.key /var/lib/softhsm/mid.key
            echo 4711 >/etc/chaperone/ca.pin
            mkdir -p /var/lib/softhsm/tokens
            chown -R chaperone /var/lib/softhsm /etc/chaperone/ca.pin
            chmod 0600 /etc/chaperone/ca.pin
            chmod 0644 /etc/chaperone/softhsm2.conf
            mv /var/lib/chaperone/ca /var/lib/chaperone/ca.before
            install -d -m 0755 -o chaperone -g chaperone /var/lib/chaperone/ca
            cat /root/mid.pem /root/corp.pem >/var/lib/chaperone/ca/ca.pem
            chown chaperone /var/lib/chaperone/ca/ca.pem
            install -m 0644 /root/ca.pem /etc/chaperone/bundle/web-ca.pem""")
        hsm = ["env", "SOFTHSM2_CONF=/etc/chaperone/softhsm2.conf", "softhsm2-util"]
        self.box.ok(*hsm, "--init-token", "--free", "--label", "hsm", "--pin", "4711", "--so-pin",
                    "12345678", user="chaperone")
        self.box.ok(*hsm, "--import", "/var/lib/softhsm/mid.key", "--token", "hsm", "--pin", "4711",
                    "--label", "agents", "--id", "01", user="chaperone")
        with open(etc / "chaperone.yaml", "a", encoding="utf-8") as config:
            config.write("ca:\n  key: 'pkcs11:token=hsm;object=agents?pin-source=file:"
                         "/etc/chaperone/ca.pin'\n  module: /usr/lib/softhsm/libsofthsm2.so\n")
        (etc / "bundle/web.yaml").write_text(
            "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: web}\nspec:\n"
            "  protocol: http\n  hosts: [localhost, 127.0.0.1]\n  ports: [4433]\n"
            "  upstream: {tls: {ca: web-ca.pem}}\n---\n"
            "apiVersion: chaperone.dev/v1\nkind: Policy\nmetadata: {name: web}\nspec:\n"
            "  rules: [{id: web, when: 'resource.name == \"web\"', allow: {}}]\n")
        os.chmod(etc / "bundle/web.yaml", 0o644)
        folder = self.box.path("/etc/systemd/system/chaperoned.service.d")
        folder.mkdir()
        (folder / "token.conf").write_text(text)
        self.box.ok("sh", "-ec", "systemctl daemon-reload; systemctl start chaperoned")
        self.box.ok("systemd-run", "--quiet", "--unit=web.service", "openssl", "s_server", "-accept",
                    "4433", "-key", "/root/server.key", "-cert", "/root/server.pem", "-www")
        said = self.box.ok(
            "sh", "-c", "cp /root/corp.pem /tmp/corp.pem; chmod 0644 /tmp/corp.pem; echo | "
            "chaperone run --workload billing-agent --user nobody -- openssl s_client -connect "
            "localhost:4433 -servername localhost -CAfile /tmp/corp.pem -verify_return_error "
            "-showcerts 2>&1")
        self.assertIn("CN = corp mid", said)
        self.assertIn("Verify return code: 0 (ok)", said)
        self.assertIn("corp mid", self.box.ok("chaperone", "ca", "show"))
        self.box.ok("sh", "-ec", """
            systemctl stop web chaperoned
            rm -r /var/lib/chaperone/ca /var/lib/softhsm/tokens /etc/chaperone/bundle/web*
            rm /etc/chaperone/ca.pin /etc/chaperone/softhsm2.conf
            mv /var/lib/chaperone/ca.before /var/lib/chaperone/ca""")
        shutil.rmtree(folder)
        (etc / "chaperone.yaml").write_text(before)
        self.box.ok("systemctl", "daemon-reload")
        self.box.ok("systemctl", "start", "chaperoned")
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0), self.box.journal())

    def test_27_keeps_state_and_edits_over_an_upgrade(self):
        config = self.box.path("/etc/chaperone/chaperone.yaml")
        config.write_text(config.read_text() + "log: {level: debug}\n")
        ca = self.json("ca", "show")["fingerprint"]
        digest = self.json("policy", "status")["digest"]
        pid, sockets = self.pid(), self.listening()
        self.box.ok("dpkg", "--force-confdef", "--force-confold", "-i", "/root/later.deb")
        self.assertEqual(self.property("ActiveState"), "active", self.box.journal())
        self.assertNotEqual(self.pid(), pid)
        self.assertEqual(self.listening(), sockets)
        self.assertIn("log: {level: debug}", config.read_text())
        self.assertIn("a key of the later version",
                      self.box.path("/etc/chaperone/chaperone.yaml.dpkg-dist").read_text())
        self.assertEqual(self.json("ca", "show")["fingerprint"], ca)
        self.assertEqual(self.json("policy", "status")["digest"], digest)
        self.assertEqual([one["name"] for one in self.json("secret", "list")["secrets"]],
                         ["orders"])
        self.box.ok("chaperone", "journal", "verify")
        self.assertEqual(self.agent.ask("SELECT current_user"), ("app", 0))

    def test_28_remove_stops_and_detaches(self):
        done = self.box.run("dpkg", "-r", "chaperone")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not governed any more", done.stderr + done.stdout)
        self.assertNotEqual(self.property("ActiveState"), "active")
        said, _ = self.agent.ask("SELECT 1")
        self.assertIn("password authentication failed", said)  # of the database itself
        self.assertEqual(run(self.box.enter("ls", "/sys/fs/bpf/chaperone")).returncode, 2)
        self.assertTrue(self.box.path("/var/lib/chaperone/journal").is_dir())
        self.assertIn("log: {level: debug}",
                      self.box.path("/etc/chaperone/chaperone.yaml").read_text())

    def test_29_comes_back_as_it_was(self):
        self.box.ok("dpkg", "--force-confdef", "--force-confold", "-i", "/root/later.deb")
        self.assertEqual(self.property("ActiveState"), "active", self.box.journal())
        self.assertEqual(self.json("policy", "status")["resources"], 1)
        self.box.ok("chaperone", "journal", "verify")

    def test_30_purge_leaves_nothing(self):
        self.box.ok("dpkg", "-P", "chaperone")
        for name in ("/var/lib/chaperone", "/etc/chaperone", "/run/chaperone",
                     "/usr/lib/chaperone", "/usr/share/chaperone",
                     "/etc/systemd/system/multi-user.target.wants/chaperoned.service",
                     "/etc/systemd/system/chaperoned.service"):
            self.assertNotEqual(run(self.box.enter("test", "-e", name)).returncode, 0, name)
        self.assertEqual(self.box.run("dpkg", "-s", "chaperone").returncode, 1)


if __name__ == "__main__":
    unittest.main()
