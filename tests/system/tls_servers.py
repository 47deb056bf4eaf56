# SPDX-License-Identifier: Apache-2.0
"""Servers that speak HTTP within TLS: a real nginx, and one that records what reaches it."""
import http.server
import os
import ssl
import threading
from pathlib import Path

from harness import Process, free_port, run, wait_until


def openssl(folder, *args):
    done = run(["openssl", *args], cwd=folder)
    assert done.returncode == 0, done.stderr


def certificate(folder, name, subject, alternatives, ca="ca", days=2, extra=""):
    """A key and a certificate below the CA that make_ca left in the folder."""
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternatives}\n{extra}")
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey",
            f"{ca}.key", "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext",
            "-out", f"{name}.pem")


def make_intermediate(folder):
    """mid.pem and mid.key, an intermediate below corp.pem, a root that machines trust already."""
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "corp.key", "-out", "corp.pem", "-days", "90", "-subj",
            "/CN=corp root")
    openssl(folder, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
            "mid.key")
    openssl(folder, "req", "-new", "-key", "mid.key", "-out", "mid.csr", "-subj", "/CN=corp mid")
    (folder / "mid.ext").write_text(
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
        "extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\n")
    openssl(folder, "x509", "-req", "-in", "mid.csr", "-CA", "corp.pem", "-CAkey", "corp.key",
            "-CAcreateserial", "-days", "60", "-extfile", "mid.ext", "-out", "mid.pem")


class Nginx:
    """nginx of our own; `servers` is what stands in its http block."""

    def __init__(self, folder, servers, port=False):
        self.folder = Path(folder) / f"nginx-{free_port()}"
        self.port = free_port() if port else None  # stands where `servers` says PORT
        self.servers = servers.replace("PORT", str(self.port)) if port else servers

    def __enter__(self):
        self.folder.mkdir()
        (self.folder / "www").mkdir()
        (self.folder / "www/hello").write_text("hello\n")
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(
            f"user root;\nworker_processes 1;\ndaemon off;\npid {self.folder}/pid;\n"
            f"error_log {self.folder}/error.log;\nevents {{ worker_connections 1024; }}\n"
            f"http {{\naccess_log {self.folder}/access.log;\n{temporary}"
            f"root {self.folder}/www;\n{self.servers}\n}}\n")
        os.chmod(self.folder, 0o755)
        self.server = Process(["nginx", "-c", self.folder / "nginx.conf", "-e",
                               self.folder / "error.log"], self.folder / "log")
        def ready():
            assert self.server.process.poll() is None, (self.folder / "log").read_text()
            return (self.folder / "pid").exists() and (self.folder / "pid").read_text().strip()
        wait_until(ready, "nginx runs")
        return self

    def access_log(self):
        return (self.folder / "access.log").read_text()

    def __exit__(self, *error):
        self.server.stop()


class Recorder:
    """Answers every request with its fields, and keeps what it was sent."""

    def __init__(self, folder, cert="server", client_ca=None, answer=None, port=None, tls=True,
                 version=None):
        self.port = port or free_port()
        self.requests = []
        self.answer = answer
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                size = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(size)
                outer.requests.append((self.command, self.path, dict(
                    (name.lower(), value) for name, value in self.headers.items()), body))
                status, fields, text = (200, {}, b"ok\n")
                if outer.answer:
                    status, fields, text = outer.answer(*outer.requests[-1])
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / f"{cert}.pem", folder / f"{cert}.key")
            if version:
                context.minimum_version = context.maximum_version = getattr(
                    ssl.TLSVersion, "TLSv" + version.replace(".", "_"))
            if client_ca:
                context.load_verify_locations(folder / client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
