# SPDX-License-Identifier: Apache-2.0
"""What is measured against each other: the database alone, and what may stand before it."""
import contextlib
import os
import pwd
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from harness import Chaperone, Postgres, Process, free_port, orders_resource, run, wait_until

# A hundred rules of the usual kinds, of which a SELECT matches the last.
RULES = "\n".join(
    [f"""  - id: team-{i}
    when: workload.labels.team == "team-{i}" && sql.effects.exists(e, e.kind == "delete")
    deny: {{reason: "not team {i}"}}""" for i in range(30)] +
    [f"""  - id: table-{i}
    when: sql.effects.exists(e, e.kind in ["update", "delete"] && e.object == "public.t{i}")
    approve: {{by: ["group:dba"]}}""" for i in range(40)] +
    [f"""  - id: text-{i}
    when: sql.functions.exists(f, f.startsWith("pg_catalog.forbidden_{i}"))
    deny: {{reason: "function {i}"}}""" for i in range(29)] +
    ["""  - id: rest
    allow: {unknown: true}"""])
POLICY = f"""apiVersion: chaperone.dev/v1
kind: Policy
metadata: {{name: hundred}}
spec:
  rules:
{RULES}
"""


class PgBouncer:
    """Session mode, one thread, SCRAM upstream: what people put there today."""

    def __init__(self, folder, db, mode="session", tls=False, pool=100, most=1000):
        self.folder, self.db, self.port = Path(folder) / f"pgbouncer-{mode}", db, free_port()
        self.mode, self.tls, self.pool, self.most = mode, tls, pool, most

    def __enter__(self):
        self.folder.mkdir()
        user = pwd.getpwnam("postgres")
        (self.folder / "users").write_text(f'"app" "{Postgres.PASSWORD}"\n')
        extra = ""
        if self.tls:
            shutil.copy(self.db.folder / "server.key", self.folder / "key")
            shutil.copy(self.db.folder / "server.pem", self.folder / "cert")
            extra = (f"server_tls_sslmode=verify-ca\nserver_tls_ca_file={self.db.folder}/ca.pem\n"
                     "client_tls_sslmode=require\n"
                     f"client_tls_key_file={self.folder}/key\nclient_tls_cert_file={self.folder}/cert\n")
        (self.folder / "ini").write_text(
            f"[databases]\nshop = host=127.0.0.1 port={self.db.port} dbname=shop user=app password={Postgres.PASSWORD}\n"
            f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={self.port}\nauth_type=any\n"
            f"auth_file={self.folder}/users\npool_mode={self.mode}\nmax_client_conn={self.most}\n"
            f"default_pool_size={self.pool}\nunix_socket_dir=\nlog_connections=0\n"
            f"log_disconnections=0\nlogfile={self.folder}/log\n{extra}")
        for path in [self.folder, *self.folder.iterdir()]:
            os.chown(path, user.pw_uid, user.pw_gid)
        self.process = Process(["setpriv", "--reuid=postgres",
                                "--regid=postgres", "--init-groups", "pgbouncer",
                                self.folder / "ini"], self.folder.parent / "pgbouncer.out")
        wait_until(lambda: run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port]
                               ).returncode == 0, "PgBouncer accepts connections")
        return self

    def __exit__(self, *error):
        self.process.stop()


class HaProxy:
    """TCP mode."""

    def __init__(self, folder, db):
        self.folder, self.db, self.port = Path(folder), db, free_port()

    def __enter__(self):
        (self.folder / "haproxy.cfg").write_text(
            "global\n  nbthread 2\ndefaults\n  mode tcp\n  timeout connect 5s\n"
            "  timeout client 300s\n  timeout server 300s\n"
            f"listen pg\n  bind 127.0.0.1:{self.port}\n"
            f"  server pg 127.0.0.1:{self.db.port}\n")
        self.process = Process(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"],
                               self.folder / "haproxy.out")
        wait_until(self.listens, "HAProxy accepts connections")
        return self

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *error):
        self.process.stop()


class Bench:
    """PostgreSQL and Chaperone, and a folder for the others."""

    def __init__(self, sql="", policy=POLICY, tls=False, target=None):
        self.sql, self.policy, self.tls, self.target = sql, policy, tls, target

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="chaperone-bench-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            os.chmod(self.folder, 0o755)
            self.db = stack.enter_context(Postgres(self.folder, self.sql, settings=(
                "log_statement=none", "log_connections=off", "max_connections=300",
                "shared_buffers=256MB", "synchronous_commit=off")))
            resource = (orders_resource(self.db) if self.tls
                        else orders_resource(self.db, "{mode: disable}"))
            self.chaperone = Chaperone(self.folder, self.policy, resource)
            self.chaperone.documents["ca.pem"] = (self.db.folder / "ca.pem").read_text()
            self.chaperone.secrets = {"orders": Postgres.PASSWORD}
            stack.enter_context(self.chaperone)
            self.stack = stack.pop_all()
        return self

    def governed(self, command):
        return [str(c) for c in self.chaperone.run_command(command)]

    def environment(self):
        return dict(self.chaperone.env, PGPASSWORD=Postgres.PASSWORD,
                    PGSSLMODE="require" if self.tls else "disable")

    def __exit__(self, *error):
        return self.stack.__exit__(*error)


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
