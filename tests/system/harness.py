# SPDX-License-Identifier: Apache-2.0
"""Real servers, the real daemon and governed agents, for the system tests.

Everything stands in one temporary folder, on free loopback ports, and is ended by pid and removed
when the `with` block ends, also after a failure. Needs root: agents are governed by the kernel.
"""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DRIVERS = Path(__file__).resolve().parent / "drivers"

BIN = Path(os.environ["CHAPERONE_BIN"])  # the build directory that holds the two programs
PG_BIN = Path("/usr/lib/postgresql/15/bin")
AGENT_USER = "nobody"
DEADLINE = float(os.environ.get("CHAPERONE_TEST_DEADLINE", "30"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, deadline=DEADLINE):
    """Polls a condition of another process, for which there is no event to wait on."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {deadline} s: {what}")


def run(command, **kwargs):
    kwargs.setdefault("text", True)
    kwargs.setdefault("timeout", 60)
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **kwargs)


def cgroup2():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        if after.split()[0] == "cgroup2":
            return Path(before.split()[4])
    raise AssertionError("no cgroup2 mount")


class Process:
    """A program that we started, and that ends with us."""

    def __init__(self, command, log, **kwargs):
        self.log_path = log
        self.log = open(log, "ab")
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, **kwargs)

    def stop(self, how=signal.SIGTERM, patience=15):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        return self.process.returncode


def folder_of(case):
    """A folder that agents may enter, of a test or of a class of tests, and gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
    os.chmod(folder, 0o755)
    clean_up = case.addClassCleanup if isinstance(case, type) else case.addCleanup
    clean_up(shutil.rmtree, folder, ignore_errors=True)
    return folder


def make_ca(folder):
    """A CA and a server certificate for db.internal, localhost and the loopback addresses."""
    def openssl(*args):
        done = run(["openssl", *args], cwd=folder)
        assert done.returncode == 0, done.stderr

    (folder / "ext").write_text(
        "subjectAltName=DNS:db.internal,DNS:localhost,IP:127.0.0.1,IP:::1\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test server CA")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=db.internal")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", "server.pem")


class Postgres:
    """A PostgreSQL 15 cluster of its own, with TLS and SCRAM."""

    PASSWORD = "the-real-password-of-app"

    def __init__(self, folder, sql="", hba="", settings=()):
        self.folder = Path(folder) / "postgres"
        self.sql, self.extra_hba, self.settings = sql, hba, settings
        self.port = free_port()

    def __enter__(self):
        user = pwd.getpwnam("postgres")
        self.folder.mkdir()
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        data = self.folder / "data"
        done = self.as_postgres([PG_BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust",
                                 "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"])
        assert done.returncode == 0, done.stderr
        make_ca(self.folder)
        for name in ("server.key", "server.pem"):
            os.chown(self.folder / name, user.pw_uid, user.pw_gid)
        os.chmod(self.folder / "server.key", 0o600)
        (data / "pg_hba.conf").write_text(
            self.extra_hba + "local all all trust\n"
            "host all postgres 127.0.0.1/32 trust\n"
            "host replication all 127.0.0.1/32 scram-sha-256\n"
            "host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n")
        with open(data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(f"port={self.port}\nlisten_addresses='127.0.0.1,::1'\n"
                       f"unix_socket_directories='{self.folder}'\nfsync=off\nssl=on\n"
                       f"ssl_cert_file='{self.folder}/server.pem'\n"
                       f"ssl_key_file='{self.folder}/server.key'\n"
                       "log_statement=all\nlog_min_messages=info\nlog_connections=on\n"
                       "wal_level=logical\nmax_connections=200\n")
            for line in self.settings:
                conf.write(line + "\n")
        self.server = Process(self.prefix() + [PG_BIN / "postgres", "-D", data],
                              self.folder / "log", cwd="/")
        os.chmod(self.folder, 0o755)
        wait_until(self.ready, "PostgreSQL accepts connections")
        self.admin(f"CREATE ROLE app LOGIN PASSWORD '{self.PASSWORD}'", database="postgres")
        self.admin("CREATE DATABASE shop OWNER app", database="postgres")
        self.admin("ALTER SCHEMA public OWNER TO app")
        if self.sql:
            self.admin("SET ROLE app; " + self.sql)
        return self

    def prefix(self):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def as_postgres(self, command):
        return run(self.prefix() + command, cwd="/")

    def ready(self):
        return run([PG_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port]
                   ).returncode == 0

    def admin(self, sql, database="shop"):
        """Runs SQL as the superuser, past Chaperone; returns unaligned rows."""
        done = run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                    "-p", self.port, "-U", "postgres", "-d", database, "-c", sql])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def server_log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def __exit__(self, *error):
        self.server.stop(signal.SIGINT)
        if error[0] is not None:
            sys.stderr.write("--- PostgreSQL\n" + self.server_log()[-3000:])


ALLOW_ALL = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: everything}
spec:
  rules:
  - {id: all, allow: {unknown: true}}
"""


class Chaperone:
    """chaperoned below a root of its own, and the CLI that speaks to it."""

    def __init__(self, folder, policy=ALLOW_ALL, resources="", config="", workload=None,
                 documents=None, prepare=None):
        self.root = Path(folder) / "root"
        self.config = config
        self.prepare = prepare  # called with the root before the daemon starts
        self.documents = {
            "policy.yaml": policy,
            "resources.yaml": resources,
            "workloads.yaml": workload or (
                "apiVersion: chaperone.dev/v1\nkind: Workload\n"
                "metadata: {name: billing-agent, labels: {team: payments}}\n"
                "spec:\n  identity: {subject: 'agent:billing', groups: [agents, billing]}\n"),
        }
        self.documents.update(documents or {})
        self.secrets = {}
        self.daemon = None
        self.env = dict(os.environ, CHAPERONE_ROOT=str(self.root))
        # What the sanitizer keeps of freed memory would count as the daemon's.
        self.env.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8")

    def __enter__(self):
        etc = self.root / "etc/chaperone"
        (etc / "bundle").mkdir(parents=True)
        if self.config:
            (etc / "chaperone.yaml").write_text(self.config)
        self.write_bundle()
        os.chmod(self.root.parent, 0o755)
        if self.prepare:
            self.prepare(self.root)
        self.start()
        for name, value in self.secrets.items():
            done = self.cli("secret", "set", name, input=value)
            assert done.returncode == 0, done.stderr
        return self

    def write_bundle(self):
        for name, text in self.documents.items():
            path = self.root / "etc/chaperone/bundle" / name
            if text:
                path.write_text(text)

    def start(self):
        self.daemon = Process([BIN / "chaperoned", "--root", self.root],
                              self.root.parent / "chaperoned.log", env=self.env)
        def ready():
            assert self.daemon.process.poll() is None, "chaperoned ended:\n" + self.log()
            return self.cli("status").returncode == 0
        wait_until(ready, "chaperoned answers")

    def log(self):
        return (self.root.parent / "chaperoned.log").read_text(errors="replace")

    def cli(self, *args, **kwargs):
        return run([BIN / "chaperone", *args], env=self.env, **kwargs)

    def ok(self, *args, **kwargs):
        done = self.cli(*args, **kwargs)
        assert done.returncode == 0, f"{args}: {done.stdout}\n{done.stderr}\n{self.log()[-2000:]}"
        return done.stdout

    def json(self, *args):
        return json.loads(self.ok(*args, "-o", "json"))

    def run_command(self, command, workload="billing-agent", user=AGENT_USER):
        return [BIN / "chaperone", "run", "--workload", workload, "--user", user, "--", *command]

    def agent(self, command, workload="billing-agent", env=None, **kwargs):
        """Runs a command as a governed agent."""
        return run(self.run_command(command, workload), env=dict(self.env, **(env or {})),
                   cwd="/", **kwargs)

    def popen_agent(self, command, workload="billing-agent", env=None, user=AGENT_USER, **kwargs):
        return subprocess.Popen([str(c) for c in self.run_command(command, workload, user)],
                                env=dict(self.env, **(env or {})), cwd="/", text=True,
                                stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def psql(self, postgres, sql, *args, host="127.0.0.1", env=None, **kwargs):
        """psql as an agent would run it: the database's own address, a password of no worth."""
        environment = {"PGPASSWORD": "whatever", "PGSSLMODE": "disable", "PGCONNECT_TIMEOUT": "15"}
        environment.update(env or {})
        command = ["psql", "-X", "-A", "-t", "-h", host, "-p", postgres.port, "-U", "agent",
                   "-d", "shop", *args]
        if sql is not None:
            for statement in [sql] if isinstance(sql, str) else sql:
                command += ["-c", statement]
        return self.agent(command, env=environment, **kwargs)

    def __exit__(self, *error):
        if self.daemon is not None:
            code = self.daemon.stop()
            if error[0] is not None:
                sys.stderr.write("--- chaperoned\n" + self.log()[-6000:])
            else:
                assert code == 0, f"chaperoned ended with {code}:\n{self.log()[-6000:]}"
            self.detach()

    def detach(self):
        """Takes away what outlives the daemon on purpose: hooks, pins and cgroups."""
        run([BIN / "chaperoned", "--root", self.root, "--detach"])


def orders_resource(postgres, tls="{mode: verify-full, ca: ca.pem, serverName: db.internal}"):
    return f"""apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: orders, labels: {{env: prod}}}}
spec:
  protocol: postgresql
  hosts: [127.0.0.1, "::1"]
  ports: [{postgres.port}]
  upstream: {{tls: {tls}}}
  credential: {{user: app, password: {{secret: orders}}}}
"""


class World:
    """One PostgreSQL and one Chaperone before it: what most tests want."""

    def __init__(self, policy=ALLOW_ALL, sql="", tls=None, **kwargs):
        self.policy, self.sql, self.tls, self.kwargs = policy, sql, tls, kwargs

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(self.folder, 0o755)  # servers and agents run as other users
        try:
            self.db = Postgres(self.folder, self.sql)
            self.db.__enter__()
            resource = orders_resource(self.db, self.tls) if self.tls else orders_resource(self.db)
            self.chaperone = Chaperone(self.folder, self.policy, resource, **self.kwargs)
            self.chaperone.secrets = {"orders": Postgres.PASSWORD}
            self.chaperone.documents["ca.pem"] = (self.db.folder / "ca.pem").read_text()
            self.chaperone.__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def psql(self, sql, *args, **kwargs):
        return self.chaperone.psql(self.db, sql, *args, **kwargs)

    def raw_pg(self):
        """drivers/raw_pg.py, which sends and prints single messages, where agents can read it."""
        program = self.folder / "raw_pg.py"
        if not program.exists():
            program.write_bytes((DRIVERS / "raw_pg.py").read_bytes())
            os.chmod(program, 0o644)
        return program

    def talk(self, programs, timeout=300):
        """What the agent hears when it sends these messages: of each program, of each step."""
        done = self.chaperone.agent(["/usr/bin/python3", self.raw_pg(), "127.0.0.1", self.db.port,
                                     "agent", "shop", "x"], input=json.dumps(programs),
                                    timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def __exit__(self, *error):
        try:
            if getattr(self, "chaperone", None) is not None:
                self.chaperone.__exit__(*error)
        finally:
            if getattr(self, "db", None) is not None and hasattr(self.db, "server"):
                self.db.__exit__(*error)
            shutil.rmtree(self.folder, ignore_errors=True)
