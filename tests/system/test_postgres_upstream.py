# SPDX-License-Identifier: Apache-2.0
"""Ways to log in at the server, and what the agent is told when that cannot be done."""
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from harness import ALLOW_ALL, PG_BIN, Chaperone, Postgres, make_ca, run

HBA = """
hostssl all ssl_only 127.0.0.1/32 scram-sha-256
host all ssl_only 127.0.0.1/32 reject
host all with_md5 127.0.0.1/32 md5
hostssl all with_clear 127.0.0.1/32 password
hostssl all with_cert 127.0.0.1/32 cert
"""
ROLES = """
CREATE ROLE ssl_only LOGIN PASSWORD 'the-ssl-password';
SET password_encryption = 'md5';
CREATE ROLE with_md5 LOGIN PASSWORD 'the-md5-password';
CREATE ROLE with_clear LOGIN PASSWORD 'the-clear-password';
CREATE ROLE with_cert LOGIN;
ALTER ROLE app REPLICATION;
"""
VERIFY = "{mode: verify-full, ca: ca.pem, serverName: db.internal}"
REPLICATION = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: everything}
spec:
  rules:
  - {id: all, allow: {unknown: true}}
  - {id: replicas, when: "conn.replication", allow: {unknown: true}}
"""


class Upstream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        os.chmod(cls.folder, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.db = Postgres(cls.folder, hba=HBA,
                          settings=[f"ssl_ca_file='{cls.folder}/postgres/ca.pem'"])
        cls.db.__enter__()
        cls.addClassCleanup(cls.db.__exit__, None, None, None)
        cls.db.admin(ROLES)
        issue = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-keyout", "client.key", "-out", "client.csr", "-subj", "/CN=with_cert"]
        sign = ["openssl", "x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-out", "client.pem"]
        for command in (issue, sign):
            done = run(command, cwd=cls.db.folder)
            assert done.returncode == 0, done.stderr
        cls.other = cls.folder / "other"
        cls.other.mkdir()
        make_ca(cls.other)

    def chaperone(self, credential, tls=VERIFY, secrets=None, policy=ALLOW_ALL):
        folder = Path(tempfile.mkdtemp(prefix="case-", dir=self.folder))
        resource = (f"apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {{name: orders}}\n"
                    f"spec:\n  protocol: postgresql\n  hosts: [127.0.0.1]\n"
                    f"  ports: [{self.db.port}]\n  upstream: {{tls: {tls}}}\n"
                    f"  credential: {credential}\n")
        made = Chaperone(folder, policy, resource)
        made.secrets = secrets or {}
        made.documents["ca.pem"] = (self.db.folder / "ca.pem").read_text()
        made.documents["other.pem"] = (self.other / "ca.pem").read_text()
        made.documents["client.pem"] = (self.db.folder / "client.pem").read_text()
        return made

    def user(self, chaperone, **kwargs):
        return chaperone.psql(self.db, "SELECT session_user", **kwargs)

    def logs_in(self, user, credential, secrets, **kwargs):
        with self.chaperone(credential, secrets=secrets, **kwargs) as chaperone:
            done = self.user(chaperone)
            self.assertEqual(done.stdout.strip(), user, done.stderr)
            for value in secrets.values():
                self.assertNotIn(value, chaperone.log())

    def test_md5(self):
        self.logs_in("with_md5", "{user: with_md5, password: {secret: it}}",
                     {"it": "the-md5-password"})

    def test_cleartext_within_tls(self):
        self.logs_in("with_clear", "{user: with_clear, password: {secret: it}}",
                     {"it": "the-clear-password"})

    def test_certificate(self):
        self.logs_in("with_cert", "{user: with_cert, certificate: client.pem, key: {secret: it}}",
                     {"it": (self.db.folder / "client.key").read_text()})

    def test_scram_without_tls(self):
        self.logs_in("app", "{user: app, password: {secret: it}}", {"it": Postgres.PASSWORD},
                     tls="{mode: disable}")

    def test_the_agents_own_login(self):
        with self.chaperone("{passThrough: true}") as chaperone:
            for sslmode in ("disable", "require"):
                for user, password in (("app", Postgres.PASSWORD),
                                       ("with_md5", "the-md5-password"),
                                       ("with_clear", "the-clear-password")):
                    with self.subTest(user=user, sslmode=sslmode):
                        env = {"PGUSER": user, "PGPASSWORD": password, "PGSSLMODE": sslmode,
                               "PGCHANNELBINDING": "disable"}
                        done = chaperone.agent(
                            ["psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", self.db.port, "-d",
                             "shop", "-c", "SELECT session_user"], env=env)
                        self.assertEqual(done.stdout.strip(), user, done.stderr)
            for sslmode, password, words in (
                    ("disable", "wrong", "password authentication failed"),
                    # Two channels, and a client that would bind its login to the one before us.
                    ("require", Postgres.PASSWORD, "channel_binding=disable")):
                done = chaperone.agent(
                    ["psql", "-X", "-h", "127.0.0.1", "-p", self.db.port, "-d", "shop", "-c",
                     "SELECT 1"],
                    env={"PGUSER": "app", "PGPASSWORD": password, "PGSSLMODE": sslmode})
                self.assertIn(words, done.stderr)

    def fails(self, words, credential="{user: app, password: {secret: it}}",
              secret=Postgres.PASSWORD, **kwargs):
        with self.chaperone(credential, secrets={"it": secret}, **kwargs) as chaperone:
            done = self.user(chaperone)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(words, done.stderr)
            self.assertNotIn(secret, done.stderr + chaperone.log())
            return chaperone.log()

    def test_a_certificate_of_another_authority(self):
        self.fails("TLS with the server failed",
                   tls="{mode: verify-full, ca: other.pem, serverName: db.internal}")

    def test_a_certificate_for_another_name(self):
        self.fails("TLS with the server failed",
                   tls="{mode: verify-full, ca: ca.pem, serverName: elsewhere.internal}")

    def test_the_server_wants_tls_and_the_resource_disables_it(self):
        self.fails("login at the server failed", secret="the-ssl-password",
                   credential="{user: ssl_only, password: {secret: it}}", tls="{mode: disable}")

    def test_cleartext_is_not_sent_without_tls(self):
        self.fails("login at the server failed", secret="the-clear-password",
                   credential="{user: with_clear, password: {secret: it}}", tls="{mode: disable}")

    def test_a_wrong_credential(self):
        self.fails("login at the server failed", secret="not-the-right-one")

    def replicate(self, policy):
        with self.chaperone("{user: app, password: {secret: it}}", policy=policy,
                            secrets={"it": Postgres.PASSWORD}) as chaperone:
            return chaperone.agent(
                ["psql", "-X", "-A", "-t", "-c", "IDENTIFY_SYSTEM",
                 f"host=127.0.0.1 port={self.db.port} user=agent dbname=shop replication=database "
                 "sslmode=disable password=x"])

    def test_replication_is_refused(self):
        done = self.replicate(ALLOW_ALL)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("chaperone", done.stderr)

    def test_replication_that_a_rule_names_is_allowed(self):
        done = self.replicate(REPLICATION)
        self.assertIn("shop", done.stdout, done.stderr)

    def test_backups_and_streams_are_received(self):
        received = self.folder / "received"
        received.mkdir()
        os.chmod(received, 0o777)  # the agent is another user
        where = ["-h", "127.0.0.1", "-p", self.db.port, "-U", "agent"]
        logical = [PG_BIN / "pg_recvlogical", *where, "-d", "shop", "--slot", "watched"]
        env = {"PGPASSWORD": "x", "PGSSLMODE": "disable"}
        with self.chaperone("{user: app, password: {secret: it}}", policy=REPLICATION,
                            secrets={"it": Postgres.PASSWORD}) as chaperone:
            def agent(*command):
                done = chaperone.agent(command, env=env, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout
            agent(PG_BIN / "pg_basebackup", *where, "-c", "fast", "-X", "stream", "-D",
                  received / "base")
            self.assertTrue((received / "base/backup_manifest").exists())
            agent(*logical, "--create-slot", "-P", "test_decoding")
            self.db.admin("CREATE TABLE watched (i int); INSERT INTO watched VALUES (4711)")
            end = self.db.admin("SELECT pg_current_wal_lsn()")
            self.assertIn("4711", agent(*logical, "--start", "--endpos", end, "-f", "-"))
            agent(*logical, "--drop-slot")
            agent(PG_BIN / "pg_receivewal", *where, "-D", received, "--endpos", end, "--no-loop")
        self.assertTrue(list(received.glob("0000*")))


if __name__ == "__main__":
    unittest.main()
