# SPDX-License-Identifier: Apache-2.0
"""Our authority: adopted services that trust it, its rotation under running agents, and one that
an operator has put below an authority of his own."""
import json
import os
import shutil
import subprocess
import unittest

from harness import ALLOW_ALL, BIN, Chaperone, cgroup2, folder_of, make_ca, run
from tls_servers import Nginx, openssl

CGROUP_POLICY = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent}
spec: {identity: {subject: 'agent:billing'}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: adopted}
spec: {identity: {subject: 'agent:adopted'}}
"""

# Reads its trust once, and then connects whenever it is told to.
PYTHON = """
import http.client, ssl, sys
trust = ssl.create_default_context()
for line in sys.stdin:
    try:
        c = http.client.HTTPSConnection('localhost', int(sys.argv[1]), context=trust)
        c.request('GET', '/hello')
        print(c.getresponse().read().decode().strip(), flush=True)
        c.close()
    except Exception as e:
        print('failed:', e, flush=True)
"""
NODE = """
const https = require('https'), tls = require('tls');
const lines = require('readline').createInterface({input: process.stdin});
tls.createSecureContext();
lines.on('line', () => https.get({host: 'localhost', port: +process.argv[1], path: '/hello',
  agent: false}, a => a.on('data', d => console.log(String(d).trim())))
  .on('error', e => console.log('failed: ' + e)));
"""


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        make_ca(self.folder)
        self.nginx = self.enterContext(Nginx(
            self.folder, "server { listen 127.0.0.1:PORT ssl; ssl_certificate FOLDER/server.pem; "
            "ssl_certificate_key FOLDER/server.key; }".replace("FOLDER", str(self.folder)),
            port=True))
        self.url = f"https://localhost:{self.nginx.port}/hello"

    def start(self, **kwargs):
        case = self.folder / "case"
        case.mkdir()
        made = Chaperone(case, ALLOW_ALL, (
            "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: web}\nspec:\n"
            f"  protocol: http\n  hosts: [localhost, 127.0.0.1]\n  ports: [{self.nginx.port}]\n"
            "  upstream: {tls: {ca: ca.pem}}\n"), workload=CGROUP_POLICY, **kwargs)
        made.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
        self.enterContext(made)
        self.chaperone = made
        return made

    def agent(self, *command, **kwargs):
        return self.chaperone.agent(command, **kwargs)

    def serial(self, text):
        (self.folder / "one.pem").write_text(text)
        return run(["openssl", "x509", "-in", self.folder / "one.pem", "-noout", "-fingerprint"]
                   ).stdout

    def issuer_of(self, *args):
        done = self.agent("curl", "-sSv", "-4", "-o", "/dev/null", *args, self.url)
        self.assertEqual(done.returncode, 0, done.stderr)
        return next(line for line in done.stderr.splitlines() if "issuer:" in line)


class Adopted(Base):
    """A service that is not started by `chaperone run`, in a copy of this host's trust."""

    PLACES = ("/usr/local/share/ca-certificates", "/etc/ssl/certs")

    def in_copy(self, script):
        """In a mount namespace where the system's store is a copy, which stays between calls."""
        lines = ["set -e", "mount --make-rprivate /"]
        for number, place in enumerate(self.PLACES):
            copy = self.folder / f"store{number}"
            if not copy.exists():
                shutil.copytree(place, copy, symlinks=True)
            lines.append(f"mount --bind {copy} {place}")
        return run(["unshare", "--mount", "bash", "-c", "\n".join(lines + [script])],
                   env=self.chaperone.env, timeout=120)

    def service(self, command):
        """As a unit would run it: no variable of ours, in its cgroup."""
        return self.in_copy(f"echo $$ > {self.cgroup}/cgroup.procs; exec env -i PATH=$PATH "
                            f"{command}")

    def setUp(self):
        super().setUp()
        self.cgroup = cgroup2() / f"chaperone-test-{os.getpid()}"
        self.cgroup.mkdir()
        self.addCleanup(self.cgroup.rmdir)
        self.start()
        self.chaperone.ok("workload", "add", "adopted", "--cgroup", self.cgroup)

    def trust(self, *args):
        done = self.in_copy(f"{BIN}/chaperone ca trust {' '.join(args)}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_it_trusts_us_after_ca_trust_and_not_before(self):
        curl = f"curl -sS -4 {self.url}"
        python = ("/usr/bin/python3 -c 'import requests; "
                  f"print(requests.get(\"{self.url}\").text.strip())'")
        before = self.service(curl)
        self.assertEqual(before.returncode, 60, before.stdout + before.stderr)
        self.assertIn("started anew", self.trust())
        for command in (curl, f"wget -qO- {self.url}", python):
            done = self.service(command)
            self.assertEqual(done.stdout.strip(), "hello", done.stderr)
        sessions = self.chaperone.json("session", "list")
        self.assertIn("adopted", json.dumps(sessions))

        self.chaperone.ok("ca", "rotate")
        done = self.service(curl)  # by the certificate that the old one signed
        self.assertEqual(done.stdout.strip(), "hello", done.stderr)
        self.trust()
        self.assertEqual(len(list((self.folder / "store0").glob("chaperone-*-ca-*.crt"))), 2)
        self.assertEqual(self.service(curl).stdout.strip(), "hello")

        self.trust("--remove")
        self.assertEqual(list((self.folder / "store0").glob("chaperone*")), [])
        self.assertEqual(self.service(curl).returncode, 60)

    def test_java_reads_the_same_store(self):
        source = self.folder / "Get.java"
        source.write_text("""
public class Get {
    public static void main(String[] a) throws Exception {
        System.out.print(new String(new java.net.URL(a[0]).openStream().readAllBytes()));
    }
}
""")
        done = run(["javac", "--release", "17", "-d", self.folder, source], timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.trust()
        done = self.service(f"/usr/bin/java -cp {self.folder} Get {self.url}")
        self.assertEqual(done.stdout.strip(), "hello", done.stderr[-2000:])


class Rotation(Base):
    def ask(self, process):
        process.stdin.write("now\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def running(self, *command):
        process = self.chaperone.popen_agent([*command, str(self.nginx.port)],
                                             stdin=subprocess.PIPE)
        def end():
            process.stdin.close()
            process.wait(30)
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(end)
        return process

    def test_agents_that_run_and_agents_that_come(self):
        self.start()
        old = self.chaperone.json("ca", "show")
        python = self.running("/usr/bin/python3", "-c", PYTHON)
        node = self.running("node", "-e", NODE)
        for process in (python, node):
            self.assertEqual(self.ask(process), "hello")
        old_issuer = self.issuer_of()
        shown = self.agent("bash", "-c", f"openssl s_client -connect 127.0.0.1:{self.nginx.port} "
                           "-servername localhost -showcerts </dev/null 2>/dev/null").stdout
        leaf = shown[shown.index("-----BEGIN"):shown.index("-----END") + 25] + "\n"
        (self.folder / "old-leaf.pem").write_text(leaf)

        self.chaperone.ok("ca", "rotate")
        new = self.chaperone.json("ca", "show")
        self.assertNotEqual(old["fingerprint"], new["fingerprint"])
        self.assertNotEqual(old_issuer, self.issuer_of())  # by an agent that comes
        for process in (python, node):  # that know the old authority only
            self.assertEqual(self.ask(process), "hello")
        # What was signed before is verified by agents that come.
        done = self.agent("bash", "-c", "openssl verify -CAfile $SSL_CERT_FILE "
                          f"{self.folder}/old-leaf.pem")
        self.assertIn("OK", done.stdout, done.stdout + done.stderr)
        # Who trusts the new one alone is content, too.
        (self.folder / "new.pem").write_text(new["certificate"])
        (self.folder / "old.pem").write_text(old["certificate"])
        empty = self.folder / "empty"
        empty.mkdir()
        for name in ("new.pem", "old.pem"):
            self.issuer_of("--cacert", self.folder / name, "--capath", empty)

        # After a restart all is as it was.
        self.assertEqual(self.chaperone.daemon.stop(), 0)
        self.chaperone.start()
        self.assertEqual(self.chaperone.json("ca", "show")["fingerprint"], new["fingerprint"])
        self.issuer_of("--cacert", self.folder / "old.pem", "--capath", empty)
        history = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn("CA_ROTATED", history)


class Operators(Base):
    """ca.key and ca.pem of the operator, below a root that his machines trust already."""

    def prepare(self, root):
        folder = root / "var/lib/chaperone/ca"
        folder.mkdir(parents=True)
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", "mid.key", "-out", "mid.csr", "-subj", "/CN=corp mid")
        (self.folder / "mid.ext").write_text(
            "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
            "extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\n")
        openssl(self.folder, "x509", "-req", "-in", "mid.csr", "-CA", "corp.pem", "-CAkey",
                "corp.key", "-CAcreateserial", "-days", "2", "-extfile", "mid.ext", "-out",
                "mid.pem")
        shutil.copy(self.folder / "mid.key", folder / "ca.key")
        os.chmod(folder / "ca.key", 0o600)
        (folder / "ca.pem").write_text((self.folder / "mid.pem").read_text() +
                                       (self.folder / "corp.pem").read_text())

    def test_an_intermediate(self):
        openssl(self.folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", "corp.key", "-out", "corp.pem",
                "-days", "3", "-subj", "/CN=corp root")
        self.start(prepare=self.prepare)
        self.assertIn("CN=corp mid", self.issuer_of())
        empty = self.folder / "empty"
        empty.mkdir()
        self.issuer_of("--cacert", self.folder / "corp.pem", "--capath", empty)
        done = self.agent("/usr/bin/python3", "-c", "import requests, sys; "
                          "print(requests.get(sys.argv[1]).text)", self.url)
        self.assertEqual(done.stdout.strip(), "hello", done.stderr)
        done = self.chaperone.cli("ca", "rotate")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("operator's", done.stderr)


if __name__ == "__main__":
    unittest.main()
