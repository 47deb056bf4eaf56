# SPDX-License-Identifier: Apache-2.0
"""Policy over its life: signed, applied, refused, rolled back; shadowed, explained, simulated."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import jsonschema
import yaml

from harness import ALLOW_ALL, BIN, World, run, wait_until

SOURCE = Path(__file__).resolve().parents[2]
SHADOW = ALLOW_ALL.replace("  rules:", """  rules:
  - id: no-deletes
    mode: shadow
    when: sql.effects.exists(e, e.kind == "delete")
    deny: {reason: "rows stay"}""")
ENFORCED = SHADOW.replace("    mode: shadow\n", "")


def keygen(folder):
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / "key"])
    line = "ann@corp " + (folder / "key.pub").read_text()
    (folder / "signers").write_text(line)


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = Path(tempfile.mkdtemp(prefix="chaperone-keys-"))
        cls.addClassCleanup(shutil.rmtree, cls.keys)
        keygen(cls.keys)
        cls.world = World(policy=SHADOW, sql="CREATE TABLE t (id int); INSERT INTO t VALUES (1);"
                          "GRANT ALL ON t TO app;")
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone
        cls.candidate = cls.keys / "candidate"
        shutil.copytree(cls.chaperone.root / "etc/chaperone/bundle", cls.candidate)
        (cls.candidate / "policy.yaml").write_text(ENFORCED)

    def sign(self, folder):
        digest = self.chaperone.ok("policy", "digest", folder)
        made = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "chaperone-bundle", "-f",
                               self.keys / "key"], input=digest, capture_output=True, text=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        (Path(folder) / "bundle.sig").write_text(made.stdout)

    def metric(self, name):
        done = run(["curl", "-s", "--unix-socket", self.chaperone.root / "run/chaperone/api.sock",
                    "http://localhost/metrics"])
        for line in done.stdout.splitlines():
            if line.startswith("chaperone_" + name + " "):
                return float(line.split()[-1])
        self.fail(f"no metric {name}: {done.stdout}")

    def test_1_shadow_changes_nothing_and_is_seen(self):
        before = self.metric('shadow_requests_total{effect="deny"}')
        done = self.world.psql("DELETE FROM t WHERE id = 5")
        self.assertEqual(done.stdout, "DELETE 0\n", done.stderr)
        self.assertEqual(self.metric('shadow_requests_total{effect="deny"}'), before + 1)
        sessions = self.chaperone.json("session", "list", "--shadow")["sessions"]
        self.assertTrue(sessions)
        entries = self.chaperone.json("session", "replay", sessions[0]["id"])["entries"]
        asked = [e for e in entries if e["kind"] == "request" and "DELETE" in e.get("statement", "")]
        self.assertEqual(asked[0]["decision"]["shadow"], ["deny no-deletes"])
        self.assertEqual(asked[0]["decision"]["effect"], "allow")
        self.assertEqual(asked[0]["decision"]["generation"], 1)

    def test_2_explained_from_the_session(self):
        session = self.chaperone.json("session", "list", "--shadow")["sessions"][0]["id"]
        made = self.chaperone.json("policy", "explain", "--session", session,
                                   "--bundle", self.candidate)
        self.assertTrue(any(one["decision"]["rule"] == "no-deletes" for one in made["requests"]))
        number = next(one["request"] for one in made["requests"]
                      if one["decision"]["rule"] == "no-deletes")
        one = self.chaperone.json("policy", "explain", "--session", session, "--request",
                                  str(number), "--bundle", self.candidate)
        self.assertEqual({"facts", "decision", "rules", "session", "request"}, set(one))
        matched = [rule for rule in one["rules"] if rule["matched"]]
        self.assertTrue(any(rule["id"].endswith("/no-deletes") and rule["trace"]
                            for rule in matched), matched)
        done = self.chaperone.cli("policy", "explain", "--session", "nope")
        self.assertEqual(done.returncode, 1)

    def test_3_explained_as_it_happens(self):
        live = subprocess.Popen([BIN / "chaperone", "policy", "explain", "--follow", "-o", "json"],
                                env=self.chaperone.env, stdout=subprocess.PIPE, bufsize=0)
        try:
            os.set_blocking(live.stdout.fileno(), False)  # read() gives None where there is nothing
            seen = ""

            def explained():
                nonlocal seen
                self.world.psql("SELECT 4242")
                seen += (live.stdout.read() or b"").decode()
                return any("4242" in line for line in seen.split("\n")[:-1])
            wait_until(explained, "the request is explained")
            line = next(line for line in seen.splitlines() if "4242" in line)
            self.assertEqual(json.loads(line)["decision"]["effect"], "allow")
        finally:
            live.terminate()
            live.wait(10)
            live.stdout.close()

    def test_4_simulated_and_compared(self):
        done = self.chaperone.cli("policy", "simulate", self.candidate, "--since", "1d",
                                  "-o", "json")
        self.assertEqual(done.returncode, 1, done.stderr)
        change = json.loads(done.stdout)["changes"][0]
        self.assertEqual((change["before"], change["after"], change["rule"], change["workload"]),
                         ("allow", "deny", "no-deletes", "billing-agent"))
        self.assertIn("DELETE FROM t WHERE id = 5", change["examples"])
        done = self.chaperone.cli("policy", "diff", self.candidate, "-o", "json")
        self.assertEqual(done.returncode, 1, done.stderr)
        made = json.loads(done.stdout)
        self.assertEqual([(r["rule"].split("/")[1], r["change"]) for r in made["rules"]],
                         [("no-deletes", "effect")])
        self.assertTrue(made["changes"])
        same = self.chaperone.cli("policy", "diff", self.candidate, "--against", self.candidate)
        self.assertEqual(same.returncode, 0, same.stdout)

    def test_5_applied_and_rolled_back(self):
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", self.candidate]
        run(git[:5] + ["init", "-q", self.candidate])
        run([*git, "add", "-A"])
        run([*git, "commit", "-q", "-m", "enforce"])
        commit = run([*git, "rev-parse", "HEAD"]).stdout.strip()
        status = self.chaperone.json("policy", "apply", self.candidate)
        self.assertEqual((status["generation"], status["commit"]), (2, commit))
        self.assertIn("no-deletes", self.world.psql("DELETE FROM t").stderr)
        session = self.chaperone.json("session", "list", "--effect", "deny")["sessions"][0]["id"]
        entries = self.chaperone.json("session", "replay", session)["entries"]
        denied = [e for e in entries if e.get("decision", {}).get("effect") == "deny"][0]["decision"]
        self.assertEqual((denied["generation"], denied["commit"]), (2, commit))
        self.assertEqual(denied["bundle"], status["digest"])
        status = self.chaperone.json("policy", "rollback")
        self.assertEqual(status["generation"], 3)
        self.assertEqual([one["generation"] for one in status["history"]], [3, 2, 1])
        self.assertEqual(self.world.psql("DELETE FROM t WHERE id = 5").stdout, "DELETE 0\n")
        self.assertEqual(self.chaperone.cli("policy", "rollback", "--to", "77").returncode, 1)

    def test_6_unsigned_ones_are_refused_where_signers_are_set(self):
        etc = self.chaperone.root / "etc/chaperone"
        shutil.copy(self.keys / "signers", etc / "signers")
        (etc / "chaperone.yaml").write_text("bundle: {signers: signers}\n")
        refused = self.metric("bundle_refused_total")
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.metric("bundle_refused_total") == refused + 1, "it is refused")
        self.assertEqual(self.metric("bundle_refused"), 1)
        done = self.chaperone.cli("policy", "status")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not signed", done.stdout)
        self.assertEqual(self.world.psql("SELECT 1").stdout, "1\n")  # the old one stays
        done = self.chaperone.cli("policy", "apply", self.candidate)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not signed", done.stderr)
        self.assertNotEqual(run([BIN / "chaperoned", "--root", self.chaperone.root,
                                 "--check"]).returncode, 0)
        self.sign(self.candidate)
        status = self.chaperone.json("policy", "apply", self.candidate)
        self.assertEqual(status["signer"], "ann@corp")
        self.assertEqual(self.metric("bundle_refused"), 0)
        (self.candidate / "policy.yaml").write_text(ENFORCED + "\n")  # no longer what was signed
        done = self.chaperone.cli("policy", "apply", self.candidate)
        self.assertIn("not of this bundle", done.stderr)
        after = json.loads(self.chaperone.cli("policy", "status", "-o", "json").stdout)
        self.assertEqual(after["digest"], status["digest"])


def document(kind, name, spec):
    return {"apiVersion": "chaperone.dev/v1", "kind": kind, "metadata": {"name": name},
            "spec": spec}


def rule(**more):
    return document("Policy", "p", {"rules": [{"id": "r", **more}]})


# Each is wrong in its form, whatever else is in the bundle.
WRONG = (
    rule(), rule(allow={}, deny={}), rule(allow={}, wen="true"), rule(allow=[]), rule(deny={"why": 1}),
    rule(approve={}), rule(approve={"by": []}), rule(approve={"by": ["dba"]}), rule(mask=[]),
    rule(mask=[{"with": "redact"}]), rule(mask=[{"columns": ["a"], "with": "rot13"}]),
    rule(allow={}, mode="loud"), document("Polcy", "p", {}), document("Policy", "p", {}),
    document("Policy", "P p", {"rules": []}),
    {"apiVersion": "chaperone.dev/v2", "kind": "Policy", "metadata": {"name": "p"},
     "spec": {"rules": []}},
    {"kind": "Policy", "metadata": {"name": "p"}, "spec": {"rules": []}},
    document("Resource", "r", {"protocol": "postgres", "hosts": ["a"]}),
    document("Resource", "r", {"protocol": "postgresql", "hosts": []}),
    document("Resource", "r", {"protocol": "postgresql", "hosts": ["a"], "ports": ["x"]}),
    document("Resource", "r", {"protocol": "postgresql", "hosts": ["a"], "ports": [70000]}),
    document("Workload", "w", {}), document("Workload", "w", {"identity": {}}),
    document("Workload", "w", {"identity": {"subject": "a", "oidc": {"provider": "p"}}}),
    document("Approvers", "a", {}), document("PolicyTest", "t", {"cases": [{"name": "x"}]}),
)


class Schema(unittest.TestCase):
    """The JSON Schema takes and refuses what `policy check` takes and refuses by form."""

    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads((SOURCE / "policy/schema.json").read_text())
        printed = run([BIN / "chaperone", "policy", "schema"])
        assert json.loads(printed.stdout) == cls.schema
        kind = jsonschema.validators.validator_for(cls.schema)
        kind.check_schema(cls.schema)
        cls.validator = kind(cls.schema)

    def check(self, documents):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.yaml").write_text(yaml.safe_dump_all(documents))
            done = run([BIN / "chaperone", "policy", "check", folder, "-o", "json"])
            return [issue for issue in json.loads(done.stdout)["issues"]
                    if issue["severity"] == "error"]

    def test_what_is_right(self):
        files = [*SOURCE.glob("policy/default/*/*.yaml"), *SOURCE.glob("packaging/etc/bundle/*.yaml")]
        self.assertGreater(len(files), 10)
        for file in files:
            for one in yaml.safe_load_all(file.read_text()):
                self.validator.validate(one)

    def test_what_is_wrong(self):
        for one in WRONG:
            with self.subTest(document=one):
                self.assertFalse(self.validator.is_valid(one))
                self.assertTrue(self.check([one]))


if __name__ == "__main__":
    unittest.main()
