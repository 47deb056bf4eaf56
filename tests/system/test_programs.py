# SPDX-License-Identifier: Apache-2.0
"""The programs' contract: exit codes, output forms, offline verbs, secrets, CA, doctor, metrics."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from harness import ALLOW_ALL, BIN, Postgres, World, run

POLICY = ALLOW_ALL.replace("  rules:", """  rules:
  - id: no-ddl
    when: sql.effects.exists(e, e.kind in ["create", "alter", "drop", "truncate"])
    deny: {reason: "agents do not change the schema", hint: "ask"}""")

TESTS = """apiVersion: chaperone.dev/v1
kind: PolicyTest
metadata: {name: orders}
spec:
  cases:
  - {name: drop is refused, workload: billing-agent, resource: orders, sql: "DROP TABLE t",
     expect: {effect: deny, rule: no-ddl}}
  - {name: reads are fine, workload: billing-agent, resource: orders, sql: "SELECT 1",
     expect: {effect: allow, rule: all}}
"""

LISTS = (("workload", "list"), ("session", "list"), ("approval", "list"), ("secret", "list"),
         ("policy", "status"), ("ca", "show"), ("status",), ("workload", "show", "billing-agent"),
         ("journal", "verify"), ("top",), ("version",))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


class WithDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone

    def test_every_form_of_every_list(self):
        self.world.psql("SELECT 1")
        for verb in LISTS:
            table = self.chaperone.ok(*verb)
            self.assertTrue(table.strip(), verb)
            whole = json.loads(self.chaperone.ok(*verb, "-o", "json"))
            self.assertIsInstance(whole, dict, verb)
            text = self.chaperone.ok(*verb, "-o", "yaml")
            if verb not in (("status",), ("top",)):  # those change meanwhile
                self.assertEqual(json.loads(json.dumps(yaml.safe_load(text), default=str)).keys(),
                                 whole.keys(), verb)

    def test_wrong_usage_is_2(self):
        for words in ((), ("nothing",), ("session",), ("session", "list", "--nothing"),
                      ("session", "list", "-o", "xml"), ("session", "show"),
                      ("approval", "refuse", "x"), ("run", "--workload", "billing-agent"),
                      ("workload", "add", "billing-agent"), ("completion", "tcsh"),
                      ("session", "list", "--since", "whenever"), ("policy", "eval")):
            done = self.chaperone.cli(*words)
            self.assertEqual(done.returncode, 2, f"{words}: {done.stdout}{done.stderr}")
            self.assertTrue(done.stderr, words)

    def test_not_found_is_1_and_names_it(self):
        for words in (("session", "show", "zzzz"), ("session", "replay", "zzzz"),
                      ("approval", "show", "zzzz"), ("approval", "grant", "zzzz"),
                      ("workload", "show", "zzzz"), ("secret", "remove", "zzzz"),
                      ("session", "kill", "zzzz")):
            done = self.chaperone.cli(*words)
            self.assertEqual(done.returncode, 1, f"{words}: {done.stdout}{done.stderr}")
            self.assertIn("zzzz", done.stderr)

    def test_secrets_are_told_to_nobody(self):
        value = "a-value-that-nobody-reads"
        self.chaperone.ok("secret", "set", "mine", input=value + "\n")
        self.assertIn("mine", [s["name"] for s in self.chaperone.json("secret", "list")["secrets"]])
        for path in self.chaperone.root.rglob("*"):
            if path.is_file():
                self.assertNotIn(value.encode(), path.read_bytes(), path)
        self.assertNotIn(value, self.chaperone.log())
        given = self.chaperone.cli("secret", "set", "mine", value)
        self.assertEqual(given.returncode, 2)  # never an argument
        self.chaperone.ok("secret", "remove", "mine")
        self.assertNotIn("mine", self.chaperone.ok("secret", "list"))

    def test_a_changed_secret_is_used_at_once(self):
        self.assertEqual(self.world.psql("SELECT 1").stdout, "1\n")
        self.chaperone.ok("secret", "set", "orders", input="wrong")
        done = self.world.psql("SELECT 1")
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("wrong", done.stderr)
        self.chaperone.ok("secret", "set", "orders", input=Postgres.PASSWORD)
        self.assertEqual(self.world.psql("SELECT 1").stdout, "1\n")

    def test_ca_rotates_and_the_old_stays_trusted(self):
        before = self.chaperone.json("ca", "show")
        self.assertIn("BEGIN CERTIFICATE", before["certificate"])
        after = self.chaperone.json("ca", "rotate")
        self.assertNotEqual(after["fingerprint"], before["fingerprint"])
        bundle = Path(after["bundlePath"]).read_text()
        self.assertIn(before["certificate"].strip(), bundle)
        self.assertIn(after["certificate"].strip(), bundle)
        done = self.world.psql("SELECT 1", env={"PGSSLMODE": "verify-full"})
        self.assertEqual(done.stdout, "1\n", done.stderr)

    def test_doctor(self):
        done = self.chaperone.cli("doctor", "-o", "json")
        checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
        self.assertIn(checks["bundle"]["result"], ("ok",))
        self.assertEqual(checks["hooks"]["result"], "ok", checks["hooks"])
        self.assertTrue(any("orders" in name for name in checks), list(checks))
        failed = [c for c in checks.values() if c["result"] == "fail"]
        self.assertEqual(done.returncode, 1 if failed else 0, failed)
        for check in failed:
            self.assertTrue(check["hint"], check)

    def test_metrics(self):
        self.world.psql("SELECT 1")
        connection = UnixConnection(self.chaperone.root / "run/chaperone/api.sock")
        self.addCleanup(connection.close)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
        self.assertEqual(answer.status, 200)
        self.assertIn("text/plain", answer.getheader("Content-Type"))
        names = set()
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) chaperone_\w+ ")
            else:
                self.assertRegex(line, r"^chaperone_\w+(\{[^}]*\})? [-+0-9.eE]+$")
                names.add(line.split("{")[0].split(" ")[0])
        self.assertTrue(any("session" in name for name in names), names)

    def test_api_refuses_what_it_does_not_know(self):
        for method, path, status in (("GET", "/v1/nothing", 404), ("POST", "/v1/status", 405),
                                     ("GET", "/v1/sessions?nothing=1", 400),
                                     ("GET", "/v1/sessions/zzzz", 404)):
            connection = UnixConnection(self.chaperone.root / "run/chaperone/api.sock")
            connection.request(method, path)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            self.assertEqual(answer.status, status, f"{method} {path}: {body}")
            self.assertTrue(body["error"]["message"])
            connection.close()

    def test_a_second_daemon_for_the_root_does_not_start(self):
        done = run([BIN / "chaperoned", "--root", self.chaperone.root])
        self.assertEqual(done.returncode, 1)
        self.assertIn("another chaperoned", done.stderr)
        self.assertEqual(self.world.psql("SELECT 1").stdout, "1\n")

    def test_a_person_who_is_no_operator_may_not(self):
        for verb in (("session", "list"), ("secret", "list"), ("ca", "rotate")):
            done = run(["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups",
                        BIN / "chaperone", *verb], env=self.chaperone.env, cwd="/")
            self.assertIn(done.returncode, (1, 3), f"{verb}: {done.stdout}")
            self.assertEqual(done.stdout, "")


class WithoutDaemon(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.bundle = self.folder / "etc/chaperone/bundle"
        self.bundle.mkdir(parents=True)
        (self.bundle / "policy.yaml").write_text(POLICY)
        (self.bundle / "tests.yaml").write_text(TESTS)
        (self.bundle / "rest.yaml").write_text(
            "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: orders}\n"
            "spec: {protocol: postgresql, hosts: [127.0.0.1], ports: [5432], "
            "credential: {user: app, password: {secret: orders}}}\n---\n"
            "apiVersion: chaperone.dev/v1\nkind: Workload\nmetadata: {name: billing-agent}\n"
            "spec: {identity: {subject: 'agent:billing', groups: [agents]}}\n")
        self.env = dict(os.environ, CHAPERONE_ROOT=str(self.folder))

    def cli(self, *words, **kwargs):
        return run([BIN / "chaperone", *words], env=self.env, **kwargs)

    def test_unreachable_is_3(self):
        for words in (("status",), ("session", "list"), ("approval", "grant", "x"),
                      ("secret", "list"), ("policy", "status"), ("workload", "list"), ("top",),
                      ("policy", "apply", str(self.bundle)),
                      ("run", "--workload", "billing-agent", "--", "true")):
            done = self.cli(*words)
            self.assertEqual(done.returncode, 3, f"{words}: {done.stdout}{done.stderr}")
            self.assertIn("daemon cannot be reached", done.stderr)

    def test_doctor_without_a_daemon_says_so(self):
        done = self.cli("doctor", "-o", "json")
        self.assertEqual(done.returncode, 1)
        daemon = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "daemon"]
        self.assertEqual([c["result"] for c in daemon], ["fail"])

    def test_check(self):
        self.assertEqual(self.cli("policy", "check").returncode, 0)
        daemon = run([BIN / "chaperoned", "--root", self.folder, "--check"])
        self.assertEqual(daemon.returncode, 0, daemon.stderr)
        (self.bundle / "policy.yaml").write_text(POLICY.replace("sql.effects", "sql.efects"))
        done = self.cli("policy", "check", str(self.bundle))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"policy\.yaml:\d+:\d+: error: .*efects")
        self.assertIn("^", done.stdout)
        issues = json.loads(self.cli("policy", "check", "-o", "json").stdout)["issues"]
        self.assertEqual(len(issues), 1)
        daemon = run([BIN / "chaperoned", "--root", self.folder, "--check"])
        self.assertEqual(daemon.returncode, 1)
        self.assertIn("efects", daemon.stderr)
        (self.folder / "etc/chaperone/chaperone.yaml").write_text("listen: {prot: 1}\n")
        daemon = run([BIN / "chaperoned", "--root", self.folder, "--check"])
        self.assertIn("chaperone.yaml:1:", daemon.stderr)
        self.assertEqual(run([BIN / "chaperoned", "--nothing"]).returncode, 2)

    def test_policy_tests(self):
        done = self.cli("policy", "test", "--junit", str(self.folder / "junit.xml"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("<testsuites", (self.folder / "junit.xml").read_text())
        (self.bundle / "tests.yaml").write_text(TESTS.replace("effect: deny", "effect: allow"))
        self.assertEqual(self.cli("policy", "test").returncode, 1)
        json.loads(self.cli("policy", "test", "-o", "json").stdout)

    def test_explain(self):
        done = self.cli("policy", "explain", "--workload", "billing-agent", "--resource", "orders",
                        "--sql", "DROP TABLE public.t", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(set(said), {"facts", "decision", "rules"})
        self.assertEqual(said["decision"]["effect"], "deny")
        self.assertEqual(said["decision"]["rule"].split("/")[-1], "no-ddl")
        for name in ("effect", "rule", "rules", "masks", "reason", "bundle"):
            self.assertIn(name, said["decision"])
        effect = said["facts"]["sql"]["effects"][0]
        self.assertEqual((effect["kind"], effect["object"]), ("drop", "public.t"))
        self.assertIsInstance(effect["columns"], list)
        for rule in said["rules"]:
            self.assertLessEqual({"id", "matched", "trace"}, set(rule))
        self.assertIn("no-ddl", self.cli("policy", "explain", "--workload", "billing-agent",
                                         "--resource", "orders", "--sql", "DROP TABLE t").stdout)
        self.assertEqual(self.cli("policy", "explain", "--workload", "none", "--resource", "orders",
                                  "--sql", "SELECT 1").returncode, 1)

    def test_eval(self):
        eval_ = subprocess.Popen([BIN / "chaperone", "policy", "eval", "--stdin"], env=self.env,
                                 text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            for _ in range(2):  # each line is answered before the next is sent
                eval_.stdin.write(json.dumps({"expr": "1 + 2"}) + "\n")
                eval_.stdin.flush()
                self.assertIn("3", eval_.stdout.readline())
        finally:
            eval_.communicate(timeout=10)
        self.assertEqual(eval_.returncode, 0)

    def test_completions_and_help(self):
        script = self.cli("completion", "bash").stdout
        self.assertEqual(run(["bash", "-n"], input=script).returncode, 0)
        done = run(["bash", "-c", script + "\nCOMP_WORDS=(chaperone session l); COMP_CWORD=2; "
                    "_chaperone; echo ${COMPREPLY[*]}"])
        self.assertIn("list", done.stdout, done.stderr)
        for shell in ("zsh", "fish"):
            script = self.cli("completion", shell).stdout
            self.assertIn("chaperone", script)
            if shutil.which(shell):
                self.assertEqual(run([shell, "-n"], input=script).returncode, 0, shell)
        for words in (("--help",), ("session", "--help"), ("session", "list", "--help"),
                      ("run", "--help")):
            done = self.cli(*words)
            self.assertEqual(done.returncode, 0, words)
            self.assertTrue(done.stdout)
        self.assertRegex(self.cli("--version").stdout, r"^\d+\.\d+")
        self.assertEqual(run([BIN / "chaperoned", "--help"]).returncode, 0)


if __name__ == "__main__":
    unittest.main()
