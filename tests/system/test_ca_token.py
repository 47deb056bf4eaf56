# SPDX-License-Identifier: Apache-2.0
"""The authority's key in a PKCS#11 token (SoftHSM, in a folder of the test's own): unchanged clients
over TLS, a token that goes and comes, a module that is killed, and starts that must fail."""
import json
import os
import signal
import tempfile
import unittest
from pathlib import Path

from harness import ALLOW_ALL, BIN, Chaperone, folder_of, make_ca, run, wait_until
from tls_servers import Nginx, make_intermediate

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        self.tokens = self.folder / "tokens"
        self.tokens.mkdir()
        (self.folder / "softhsm.conf").write_text(f"directories.tokendir = {self.tokens}\n")
        os.environ["SOFTHSM2_CONF"] = str(self.folder / "softhsm.conf")
        self.addCleanup(os.environ.pop, "SOFTHSM2_CONF")
        self.pin = self.folder / "pin"
        self.write_pin("4711")
        self.hsm("--init-token", "--free", "--label", "hsm", "--pin", "4711", "--so-pin", "12345678")
        make_ca(self.folder)
        self.corp()

    def write_pin(self, pin):
        self.pin.write_text(pin + "\n")
        os.chmod(self.pin, 0o600)

    def hsm(self, *args):
        done = run(["softhsm2-util", *args])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def corp(self):
        """An intermediate whose key is in the token, below a root that machines trust already."""
        make_intermediate(self.folder)
        self.hsm("--import", str(self.folder / "mid.key"), "--token", "hsm", "--pin", "4711",
                 "--label", "agents", "--id", "01")
        (self.folder / "mid.key").unlink()

    def config(self, uri="pkcs11:token=hsm;object=agents", module=MODULE):
        return (f"ca:\n  key: '{uri}?pin-source=file:{self.pin}'\n  module: {module}\n"
                "  timeout: 10s\n")

    def prepare(self, root):
        folder = root / "var/lib/chaperone/ca"
        folder.mkdir(parents=True)
        (folder / "ca.pem").write_text((self.folder / "mid.pem").read_text() +
                                       (self.folder / "corp.pem").read_text())


class Serves(Base):
    def setUp(self):
        super().setUp()
        self.nginx = self.enterContext(Nginx(
            self.folder, "server { listen 127.0.0.1:PORT ssl; ssl_certificate FOLDER/server.pem; "
            "ssl_certificate_key FOLDER/server.key; }".replace("FOLDER", str(self.folder)),
            port=True))
        case = self.folder / "case"
        case.mkdir()
        self.chaperone = Chaperone(case, ALLOW_ALL, (
            "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: web}\nspec:\n"
            f"  protocol: http\n  hosts: [localhost, 127.0.0.1]\n  ports: [{self.nginx.port}]\n"
            "  upstream: {tls: {ca: ca.pem}}\n"), config=self.config(), prepare=self.prepare)
        self.chaperone.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
        self.enterContext(self.chaperone)

    def curl(self, host, *args):
        return self.chaperone.agent(["curl", "-sSv", "-4", "--max-time", "20", *args,
                                     f"https://{host}:{self.nginx.port}/hello"])

    def assert_serves(self, host):
        done = self.curl(host, "--cacert", self.folder / "corp.pem", "--capath", "/nonexistent")
        self.assertEqual(done.stdout.strip(), "hello", done.stderr)
        self.assertIn("issuer: CN=corp mid", done.stderr)

    def helper(self):
        daemon = self.chaperone.daemon.process.pid
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines()
                             if ":\t" in line)
            except OSError:
                continue
            if int(lines["PPid"]) == daemon and lines["State"][0] != "Z":
                return int(lines["Pid"]), lines
        return None

    def doctor(self):
        done = self.chaperone.cli("doctor", "-o", "json")
        return next(c for c in json.loads(done.stdout)["checks"] if c["name"] == "ca")

    def test_clients_are_served_and_the_key_stays_where_it_is(self):
        self.assert_serves("localhost")
        done = self.chaperone.agent(["/usr/bin/python3", "-c", "import requests, sys; "
                                     "print(requests.get(sys.argv[1]).text)",
                                     f"https://localhost:{self.nginx.port}/hello"])
        self.assertEqual(done.stdout.strip(), "hello", done.stderr)
        state = self.chaperone.root / "var/lib/chaperone/ca"
        self.assertEqual(sorted(p.name for p in state.iterdir()), ["ca-bundle.pem", "ca.pem"])
        _, status = self.helper()
        for kind in ("CapEff", "CapPrm", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)
        check = self.doctor()
        self.assertEqual(check["result"], "ok", check)
        self.assertIn('key "agents" in token "hsm", which signs in', check["detail"])
        done = self.chaperone.cli("ca", "rotate")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("in a token", done.stderr)

    def test_a_module_that_dies_is_started_anew(self):
        self.assert_serves("localhost")
        pid, _ = self.helper()
        os.kill(pid, signal.SIGKILL)
        self.assert_serves("127.0.0.1")
        self.assertNotEqual(self.helper()[0], pid)

    def test_a_token_that_goes_and_comes(self):
        self.assert_serves("localhost")
        away = self.folder / "away"
        self.tokens.rename(away)
        self.tokens.mkdir()
        self.assert_serves("localhost")  # its certificate is there
        done = self.curl("127.0.0.1")
        self.assertEqual(done.returncode, 35, done.stderr)
        check = self.doctor()
        self.assertEqual(check["result"], "fail", check)
        self.assertIn('"hsm"', check["detail"])
        wait_until(lambda: "there is no certificate for the client" in self.chaperone.ok(
            "journal", "export", "--format", "jsonl"), "the journal says why")
        self.tokens.rmdir()
        away.rename(self.tokens)
        wait_until(lambda: self.doctor()["result"] == "ok", "doctor is content")
        self.assert_serves("127.0.0.1")


class Fails(Base):
    def start(self, config, prepare=True):
        root = Path(tempfile.mkdtemp(dir=self.folder)) / "root"
        etc = root / "etc/chaperone"
        (etc / "bundle").mkdir(parents=True)
        (etc / "chaperone.yaml").write_text(config)
        (etc / "bundle/policy.yaml").write_text(ALLOW_ALL)
        if prepare:
            self.prepare(root)
        done = run([BIN / "chaperoned", "--root", root])
        run([BIN / "chaperoned", "--root", root, "--detach"])
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("what to do:", done.stderr)
        self.assertFalse((root / "var/lib/chaperone/ca/ca.key").exists())
        return done.stderr

    def test_what_is_missing_is_said_and_no_other_authority_is_made(self):
        self.assertIn('"other" is not there; there is "hsm"',
                      self.start(self.config("pkcs11:token=other;object=agents")))
        self.assertIn('no key "nobody" in token "hsm"',
                      self.start(self.config("pkcs11:token=hsm;object=nobody")))
        self.assertIn("cannot be loaded", self.start(self.config(module="/nonexistent.so")))
        self.assertIn("ca.pem", self.start(self.config(), prepare=False))
        self.write_pin("1111")
        self.assertIn("the PIN is not correct", self.start(self.config()))
        os.chmod(self.pin, 0o644)
        self.assertIn("everybody may read the PIN", self.start(self.config()))

    def test_a_configuration_is_checked_without_the_token(self):
        root = self.folder / "root"
        (root / "etc/chaperone/bundle").mkdir(parents=True)
        (root / "etc/chaperone/chaperone.yaml").write_text(
            "ca:\n  key: 'pkcs11:token=hsm;object=a?pin-value=1'\n")
        done = run([BIN / "chaperoned", "--root", root, "--check"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("chaperone.yaml:2:", done.stderr)
        self.assertIn("must not stand in the configuration", done.stderr)


if __name__ == "__main__":
    unittest.main()
