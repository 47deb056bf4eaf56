# SPDX-License-Identifier: Apache-2.0
"""HTTPS of governed agents: whom they trust, what is verified for them, and what they are told."""
import json
import os
import shutil
import tempfile
import unittest
import zipfile
from pathlib import Path

from harness import (ALLOW_ALL, BIN, Chaperone, Process, folder_of, free_port, make_ca, run,
                     wait_until)
from tls_servers import Nginx, Recorder, certificate, openssl

REFUSE_ADMIN = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-admin, when: 'http.path.startsWith("/admin")', deny: {reason: "not for agents"}}
  - {id: rest, allow: {}}
"""


def resource(port, hosts="[127.0.0.1, '::1', localhost, db.internal]", more="", tls="{ca: ca.pem}",
             name="web"):
    return (f"apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {{name: {name}}}\n"
            f"spec:\n  protocol: http\n  hosts: {hosts}\n  ports: [{port}]\n"
            f"  upstream: {{tls: {tls}}}\n{more}---\n")


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        make_ca(cls.folder)

    def start(self, resources, policy=ALLOW_ALL, secrets=None, documents=None):
        made = Chaperone(Path(tempfile.mkdtemp(prefix="case-", dir=self.folder)), policy, resources)
        made.secrets = secrets or {}
        made.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
        made.documents.update(documents or {})
        self.enterContext(made)
        return made

    def curl(self, chaperone, url, *args, **kwargs):
        return chaperone.agent(["curl", "-sS", "-m", "30", "-i", *args, url], **kwargs)


class Nginxes(Base):
    """One nginx for all of them, with HTTP/2 on one port and without on another."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port, cls.old_port = free_port(), free_port()
        tls = (f"ssl_certificate {cls.folder}/server.pem; "
               f"ssl_certificate_key {cls.folder}/server.key;")
        listen = lambda port, more: (f"server {{ listen 127.0.0.1:{port} ssl {more}; "
                                     f"listen [::1]:{port} ssl {more}; {tls} }}\n")
        cls.nginx = cls.enterClassContext(
            Nginx(cls.folder, listen(cls.port, "http2") + listen(cls.old_port, "")))
        made = Chaperone(Path(tempfile.mkdtemp(prefix="one-", dir=cls.folder)), REFUSE_ADMIN,
                         resource(cls.port) + resource(cls.old_port, name="old"))
        made.documents["ca.pem"] = (cls.folder / "ca.pem").read_text()
        cls.chaperone = cls.enterClassContext(made)
        cls.url = f"https://localhost:{cls.port}"
        cls.old_url = f"https://localhost:{cls.old_port}"


class Trust(Nginxes):
    """Unchanged runtimes trust our certificate, and nothing tells them to."""

    def says_hello(self, command, env=None, url=None):
        done = self.chaperone.agent(command, env=env, timeout=120)
        self.assertEqual(done.stdout.strip(), "hello", done.stderr[-2000:])

    def script(self, name, text):
        path = self.folder / name
        path.write_text(text)
        os.chmod(path, 0o644)
        return path

    def test_it_is_our_certificate(self):
        done = self.chaperone.agent(["curl", "-sSv", "-o", "/dev/null", f"{self.url}/hello"])
        self.assertIn("issuer: O=Chaperone", done.stderr)

    def test_curl(self):
        self.says_hello(["curl", "-sS", f"{self.url}/hello"])

    def test_curl_without_any_variable(self):
        self.says_hello(["env", "-i", "/usr/bin/curl", "-sS", f"{self.url}/hello"])

    def test_wget_with_gnutls(self):
        self.says_hello(["wget", "-qO-", f"{self.url}/hello"])

    def test_git(self):
        bare = self.nginx.folder / "www/r.git"
        run(["git", "init", "-q", "--bare", bare])
        work = self.folder / "work"
        for command in (["git", "init", "-q", work],
                        ["git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@b", "commit",
                         "-q", "--allow-empty", "-m", "one"],
                        ["git", "-C", work, "push", "-q", bare, "HEAD:refs/heads/main"],
                        ["git", "-C", bare, "update-server-info"]):
            done = run(command)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.chaperone.agent(["git", "ls-remote", f"{self.url}/r.git"],
                                    env={"GIT_TERMINAL_PROMPT": "0"})
        self.assertIn("refs/heads/main", done.stdout, done.stderr)

    def test_python_ssl(self):
        code = ("import urllib.request, sys; "
                "print(urllib.request.urlopen(sys.argv[1]).read().decode())")
        for prefix in ([], ["env", "-i"]):
            self.says_hello([*prefix, "/usr/bin/python3", "-c", code, f"{self.url}/hello"])

    def test_python_requests(self):
        self.says_hello(["/usr/bin/python3", "-c", "import requests, sys; "
                         "print(requests.get(sys.argv[1]).text)", f"{self.url}/hello"])

    def test_python_httpx(self):
        self.says_hello(["/usr/bin/python3", "-c", "import httpx, sys; "
                         "print(httpx.get(sys.argv[1]).text)", f"{self.url}/hello"])

    def test_node(self):
        self.says_hello(["node", "-e", "fetch(process.argv[1]).then(a => a.text())"
                         ".then(t => console.log(t.trim()))", f"{self.url}/hello"])

    def place(self):
        """Where nobody may write."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        os.chmod(place, 0o777)
        return place

    def test_npm(self):
        package = self.place()
        (package / "package.json").write_text('{"name": "from-us", "version": "1.2.3"}')
        done = run(["npm", "pack", "--silent"], cwd=package)
        self.assertEqual(done.returncode, 0, done.stderr)
        tar = package / "from-us-1.2.3.tgz"
        shutil.copy(tar, self.nginx.folder / "www/from-us.tgz")
        sha = run(["bash", "-c", f"openssl dgst -sha512 -binary {tar} | base64 -w0"]).stdout
        (self.nginx.folder / "www/from-us").write_text(json.dumps({
            "name": "from-us", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": {
                "name": "from-us", "version": "1.2.3", "dist": {
                    "tarball": f"{self.url}/from-us.tgz", "integrity": f"sha512-{sha}"}}}}))
        place = self.place()
        done = self.chaperone.agent(
            ["npm", "install", "--prefix", place, "--registry", self.url, "--no-audit",
             "--no-fund", "from-us"], timeout=120,
            env={"npm_config_cache": str(place / "cache"), "HOME": str(place)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue((place / "node_modules/from-us/package.json").exists())

    def test_pip(self):
        index = self.nginx.folder / "www/simple/from-us"
        index.mkdir(parents=True)
        wheel = "from_us-1.2.3-py3-none-any.whl"
        with zipfile.ZipFile(index / wheel, "w") as made:
            made.writestr("from_us.py", "said = 'hello'\n")
            info = "from_us-1.2.3.dist-info/"
            made.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: from-us\n"
                          "Version: 1.2.3\n")
            made.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\n"
                          "Root-Is-Purelib: true\nTag: py3-none-any\n")
            made.writestr(info + "RECORD", "")
        (index / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')
        place = self.place()
        done = self.chaperone.agent(
            ["/usr/bin/pip3", "--isolated", "--no-cache-dir", "install", "--target",
             place / "into", "--index-url", f"{self.url}/simple", "from-us"], timeout=120,
            env={"HOME": str(place)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue((place / "into/from_us.py").exists())

    def test_go(self):
        source = self.script("get.go", """package main

import ("fmt"; "io"; "net/http"; "os")

func main() {
    answer, err := http.Get(os.Args[1])
    if err != nil { fmt.Println(err); os.Exit(1) }
    body, _ := io.ReadAll(answer.Body)
    fmt.Print(string(body))
}
""")
        go = shutil.which("go") or "/usr/local/go/bin/go"
        done = run([go, "build", "-o", self.folder / "get", source], timeout=300,
                   env=dict(os.environ, GO111MODULE="off", GOCACHE=str(BIN / "go-cache"),
                            GOFLAGS=""))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.says_hello([self.folder / "get", f"{self.url}/hello"])

    def test_rust_with_native_roots(self):
        """rustls, built offline from Debian's sources, which reads the system's store."""
        source = self.folder / "with_rustls"
        shutil.copytree(Path(__file__).parent / "http_clients/with_rustls", source)
        (source / ".cargo").mkdir()
        (source / ".cargo/config.toml").write_text(
            '[source.crates-io]\nreplace-with = "debian"\n'
            '[source.debian]\ndirectory = "/usr/share/cargo/registry"\n')
        target = BIN / "with_rustls"  # what is built stays for the next time
        done = run(["/usr/bin/cargo", "build", "--offline", "--quiet"], cwd=source, timeout=400,
                   env=dict(os.environ, CARGO_HOME=str(self.folder / "cargo"),
                            CARGO_TARGET_DIR=str(target), RUSTC="/usr/bin/rustc"))
        self.assertEqual(done.returncode, 0, done.stderr)
        program = self.folder / "rust"
        shutil.copy(target / "debug/with-rustls", program)
        for prefix in ([], ["env", "-i"]):
            for path, status in (("/hello", "200 OK\nhello"), ("/admin", "403 Forbidden\n")):
                done = self.chaperone.agent([*prefix, program, "localhost", self.port, path])
                self.assertIn(status, done.stdout, done.stderr)

    def test_java(self):
        source = self.script("Get.java", """import java.net.URI;
import java.net.http.*;

public class Get {
    public static void main(String[] a) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create(a[0])).build();
        System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
""")
        done = run(["javac", "--release", "17", "-d", self.folder, source], timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        for java in sorted({str(p.resolve()) for p in Path("/usr/lib/jvm").glob("*/bin/java")}):
            with self.subTest(java=java):
                self.says_hello([java, "-cp", self.folder, "Get", f"{self.url}/hello"])
                done = self.chaperone.agent([java, "-version"])
                self.assertNotIn("Picked up", done.stderr)


class Negotiation(Nginxes):
    def test_the_protocol_is_the_servers_choice(self):
        for url, wanted, got in ((self.url, "--http1.1", "HTTP/1.1"),
                                 (self.old_url, "--http2", "HTTP/1.1")):
            done = self.curl(self.chaperone, f"{url}/hello", wanted)
            self.assertTrue(done.stdout.startswith(f"{got} 200"), done.stdout + done.stderr)

    def test_tls_1_2_and_1_3(self):
        for version in ("1.2", "1.3"):
            done = self.curl(self.chaperone, f"{self.url}/hello", "-v", f"--tlsv{version}",
                             "--tls-max", version, "--http1.1")
            self.assertIn(f"SSL connection using TLSv{version}", done.stderr)
            self.assertIn("200", done.stdout)
        done = self.curl(self.chaperone, f"{self.url}/hello", "--tls-max", "1.1",
                         "--ciphers", "DEFAULT@SECLEVEL=0")
        self.assertNotEqual(done.returncode, 0)

    def test_sessions_are_taken_up_again(self):
        command = ("f=$(mktemp); for i in -sess_out -sess_in; do (printf 'GET /hello HTTP/1.1\\r\\n"
                   "Host: localhost\\r\\nConnection: close\\r\\n\\r\\n'; sleep 1) | "
                   f"openssl s_client -connect localhost:{self.old_port} -servername localhost "
                   "$1 $i $f -ign_eof 2>&1 | grep -E '^(New|Reused),'; done; rm $f")
        for version in ("-tls1_2", "-tls1_3"):
            done = self.chaperone.agent(["bash", "-c", command, "bash", version])
            lines = [line.split(",")[0] for line in done.stdout.splitlines()]
            self.assertEqual(lines, ["New", "Reused"], done.stdout + done.stderr)

    def test_a_refusal_is_told_within_tls(self):
        done = self.curl(self.chaperone, f"{self.url}/admin/x", "--http1.1")
        self.assertTrue(done.stdout.startswith("HTTP/1.1 403"), done.stdout + done.stderr)
        self.assertIn("not for agents", done.stdout)
        self.assertNotIn("/admin", self.nginx.access_log())

    def test_a_name_that_nobody_claims_is_refused_within_tls(self):
        done = self.curl(self.chaperone, f"https://other.internal:{self.port}/hello", "--http1.1",
                         "--resolve", f"other.internal:{self.port}:127.0.0.1")
        # The address is claimed: the server's certificate is verified for the name.
        self.assertTrue(done.stdout.startswith("HTTP/1.1 502"), done.stdout + done.stderr)
        self.assertIn("tls_certificate_error", done.stdout)

    def test_a_client_that_does_not_trust_us_is_recognised(self):
        other = self.folder / "other"
        other.mkdir()
        make_ca(other)
        os.chmod(other, 0o755)
        done = self.curl(self.chaperone, f"{self.url}/hello", "--cacert", other / "ca.pem",
                         "--capath", other)  # else Debian's folder of authorities counts, too
        self.assertEqual(done.returncode, 60, done.stdout + done.stderr)
        def told():
            ended = self.chaperone.ok("journal", "export", "--format", "jsonl")
            return "does not accept our certificate" in ended
        wait_until(told, "the journal says why the session ended")


class PinnedClients(Base):
    """A client that trusts its server's own authority only, and one name where policy lets it."""

    def get(self, chaperone, port, name):
        return self.curl(chaperone, f"https://{name}:{port}/x", "-4", "--resolve",
                         f"{name}:{port}:127.0.0.1", "--cacert", self.folder / "ca.pem",
                         "--capath", self.folder / "none")

    def start_with(self, port, on_pinned):
        (self.folder / "none").mkdir(exist_ok=True)
        return self.start(resource(port, more=f"  tls: {{onPinned: {on_pinned}}}\n"))

    def test_refuse(self):
        with Recorder(self.folder) as one:
            chaperone = self.start_with(one.port, "refuse")
            for _ in range(2):
                done = self.get(chaperone, one.port, "localhost")
                self.assertEqual(done.returncode, 60, done.stdout + done.stderr)
            self.assertEqual(one.requests, [])
            written = chaperone.ok("journal", "export", "--format", "jsonl")
            self.assertIn("does not accept our certificate", written)

    def test_tunnel(self):
        with Recorder(self.folder) as one:
            chaperone = self.start_with(one.port, "tunnel")
            self.assertEqual(self.get(chaperone, one.port, "localhost").returncode, 60)
            done = self.get(chaperone, one.port, "localhost")  # it is known now
            self.assertIn("200", done.stdout.split("\n")[0], done.stdout + done.stderr)
            self.assertEqual(len(one.requests), 1)
            # Only for the name that was pinned: the other is looked into still.
            self.assertEqual(self.get(chaperone, one.port, "db.internal").returncode, 60)
            protocols = {s["protocol"] for s in chaperone.json("session", "list")["sessions"]}
            self.assertEqual(protocols, {"http", "tcp"})


class ByName(Base):
    def test_the_name_that_is_asked_for_tells_the_resource(self):
        with Recorder(self.folder) as one:
            chaperone = self.start(resource(one.port, hosts="[localhost]"))
            done = self.curl(chaperone, f"https://localhost:{one.port}/x", "-4")
            self.assertIn("200", done.stdout.split("\n")[0], done.stdout + done.stderr)
            # By another address than the name's, the name is dialled all the same.
            done = self.curl(chaperone, f"https://localhost:{one.port}/y", "--resolve",
                             f"localhost:{one.port}:127.0.0.9")
            self.assertIn("200", done.stdout.split("\n")[0], done.stdout + done.stderr)
            before = len(one.requests)
            done = self.curl(chaperone, f"https://127.0.0.1:{one.port}/z", "-k")
            self.assertIn("403", done.stdout.split("\n")[0], done.stdout + done.stderr)
            self.assertIn("no resource of the bundle claims", done.stdout)
            self.assertEqual(len(one.requests), before)

    def test_in_clear_text_too(self):
        with Recorder(self.folder, tls=False) as one:
            chaperone = self.start(resource(one.port, hosts="[localhost]", tls="{ca: ca.pem}"))
            done = self.curl(chaperone, f"http://localhost:{one.port}/x", "-4")
            self.assertIn("200", done.stdout.split("\n")[0], done.stdout + done.stderr)
            done = self.curl(chaperone, f"http://127.0.0.1:{one.port}/x")
            self.assertIn("403", done.stdout.split("\n")[0], done.stdout + done.stderr)


class BadServers(Base):
    """A server that cannot be trusted is not, and the agent reads why."""

    def told(self, words, cert="server", tls="{ca: ca.pem}", documents=None, **kwargs):
        with Recorder(self.folder, cert, **kwargs) as one:
            chaperone = self.start(resource(one.port, tls=tls), documents=documents)
            done = self.curl(chaperone, f"https://localhost:{one.port}/x", "-4")
            self.assertTrue(done.stdout.startswith("HTTP/1.1 502"), done.stdout + done.stderr)
            self.assertIn("tls_certificate_error", done.stdout)
            self.assertIn(words, done.stdout)
            self.assertEqual(one.requests, [])

    def test_another_name(self):
        certificate(self.folder, "named", "elsewhere", "DNS:elsewhere.internal")
        self.told("hostname mismatch", "named")

    def test_expired(self):
        certificate(self.folder, "late", "localhost", "DNS:localhost")
        (self.folder / "index").write_text("")
        (self.folder / "serial").write_text("77\n")
        (self.folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
            "default_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n")
        openssl(self.folder, "ca", "-batch", "-notext", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile",
                "ca.key", "-in", "late.csr", "-out", "late.pem", "-extfile", "late.ext",
                "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
        self.told("expired", "late")

    def test_an_unknown_authority(self):
        self.told("certificate", tls="{mode: verify-full}")

    def test_self_signed(self):
        openssl(self.folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", "self.key", "-out", "self.pem",
                "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
        self.told("self-signed", "self")

    def test_that_wants_a_certificate_of_ours(self):
        # With TLS 1.3 the server says so behind the handshake, with 1.2 within.
        for version in ("1.2", "1.3"):
            with self.subTest(version), Recorder(self.folder, client_ca="ca.pem",
                                                 version=version) as one:
                chaperone = self.start(resource(one.port, tls="{ca: ca.pem}"))
                done = self.curl(chaperone, f"https://localhost:{one.port}/x", "-4")
                self.assertTrue(done.stdout.startswith("HTTP/1.1 502"), done.stdout + done.stderr)
                self.assertIn("the server wants a client certificate, and the resource has none",
                              done.stdout)
                self.assertEqual(one.requests, [])
                if version == "1.3":
                    self.assertIn("tls_alert_received", done.stdout)
                    self.assertIn("certificate required", done.stdout)

    def test_with_our_certificate(self):
        certificate(self.folder, "client", "agent", "DNS:agent")
        with Recorder(self.folder, client_ca="ca.pem") as one:
            chaperone = self.start(
                resource(one.port, tls="{ca: ca.pem, cert: client.pem, key: {secret: client}}"),
                secrets={"client": (self.folder / "client.key").read_text()},
                documents={"client.pem": (self.folder / "client.pem").read_text()})
            done = self.curl(chaperone, f"https://localhost:{one.port}/x", "-4")
            self.assertIn("200", done.stdout.split("\n")[0], done.stdout + done.stderr)

    def test_with_a_certificate_that_it_does_not_take(self):
        other = self.folder / "foreign"
        other.mkdir()
        make_ca(other)
        certificate(other, "client", "agent", "DNS:agent")
        with Recorder(self.folder, client_ca="ca.pem") as one:
            chaperone = self.start(
                resource(one.port, tls="{ca: ca.pem, cert: client.pem, key: {secret: client}}"),
                secrets={"client": (other / "client.key").read_text()},
                documents={"client.pem": (other / "client.pem").read_text()})
            done = self.curl(chaperone, f"https://localhost:{one.port}/x", "-4")
            self.assertTrue(done.stdout.startswith("HTTP/1.1 502"), done.stdout + done.stderr)
            self.assertIn("the server does not accept our certificate", done.stdout)
            self.assertEqual(one.requests, [])

    def test_nobody_listens(self):
        port = free_port()
        chaperone = self.start(resource(port))
        done = self.curl(chaperone, f"https://localhost:{port}/x", "-4")
        self.assertTrue(done.stdout.startswith("HTTP/1.1 502"), done.stdout + done.stderr)
        self.assertIn("connection_refused", done.stdout)


class Staples(Base):
    """What OpenSSL's own server staples about its certificate."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        certificate(cls.folder, "stapled", "localhost", "DNS:localhost")
        done = run(["openssl", "x509", "-in", "stapled.pem", "-noout", "-serial"], cwd=cls.folder)
        serial = done.stdout.strip().split("=")[1]
        for status, line in (("good", f"V\t401231235959Z\t\t{serial}\tunknown\t/CN=localhost\n"),
                             ("revoked", f"R\t401231235959Z\t250101000000Z,keyCompromise\t{serial}"
                                         "\tunknown\t/CN=localhost\n")):
            (cls.folder / f"index.{status}").write_text(line)
            openssl(cls.folder, "ocsp", "-index", f"index.{status}", "-CA", "ca.pem", "-rsigner",
                    "ca.pem", "-rkey", "ca.key", "-issuer", "ca.pem", "-cert", "stapled.pem",
                    "-respout", f"{status}.der", "-ndays", "1", "-noverify")
        certificate(cls.folder, "must", "localhost", "DNS:localhost",
                    extra="tlsfeature=status_request\n")

    def answer(self, cert, *more):
        port = free_port()
        server = Process(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
                          f"{cert}.pem", "-key", f"{cert}.key", "-www", *more],
                         self.folder / "s_server.log", cwd=self.folder)
        self.addCleanup(server.stop)
        wait_until(lambda: run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]
                               ).returncode == 0, "s_server listens")
        chaperone = self.start(resource(port))
        done = self.curl(chaperone, f"https://localhost:{port}/", "-4")
        return done.stdout + done.stderr

    def test_good(self):
        self.assertIn("200", self.answer("stapled", "-status_file", "good.der").split("\n")[0])

    def test_revoked(self):
        text = self.answer("stapled", "-status_file", "revoked.der")
        self.assertIn("502", text.split("\n")[0])
        self.assertIn("revoked", text)

    def test_of_another_certificate(self):
        text = self.answer("server", "-status_file", "good.der")
        self.assertIn("502", text.split("\n")[0])
        self.assertIn("OCSP", text)

    def test_that_must_be_there(self):
        text = self.answer("must")
        self.assertIn("502", text.split("\n")[0])
        self.assertIn("OCSP", text)


if __name__ == "__main__":
    unittest.main()
