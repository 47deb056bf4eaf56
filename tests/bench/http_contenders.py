# SPDX-License-Identifier: Apache-2.0
"""nginx, and what may stand before it: nothing, HAProxy in HTTP mode, mitmproxy, Chaperone."""
import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from cost import Meter
from harness import Chaperone, Process, free_port, make_ca, run, wait_until
from http_servers import answers

# A hundred rules of the usual kinds, of which a plain GET matches the last.
RULES = "\n".join(
    [f"""  - id: team-{i}
    when: workload.labels.team == "team-{i}" && http.method == "DELETE"
    deny: {{reason: "not team {i}"}}""" for i in range(30)] +
    [f"""  - id: path-{i}
    when: http.method in ["PUT", "POST"] && http.path.startsWith("/area{i}/")
    approve: {{by: ["group:dba"]}}""" for i in range(40)] +
    [f"""  - id: query-{i}
    when: http.path == "/search{i}" && "q{i}" in http.query
    deny: {{reason: "query {i}"}}""" for i in range(29)] +
    ["""  - id: rest
    allow: {}"""])
POLICY = f"""apiVersion: chaperone.dev/v1
kind: Policy
metadata: {{name: hundred}}
spec:
  rules:
{RULES}
"""


class Server:
    """nginx with one port in clear text and one within TLS, which speaks HTTP/2, too."""

    def __init__(self, folder):
        self.folder = Path(folder) / "nginx"
        self.clear, self.tls = free_port(), free_port()

    def __enter__(self):
        (self.folder / "www").mkdir(parents=True)
        for name, size in (("1k", 1024), ("64k", 65536)):
            (self.folder / "www" / name).write_bytes(b"x" * size)
        with open(self.folder / "www/1g", "wb") as huge:
            huge.truncate(1 << 30)
        certificate = f"{self.folder.parent}/server"
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "conf").write_text(f"""
daemon off; user root; pid {self.folder}/pid; error_log {self.folder}/error.log crit;
worker_processes 2; events {{ worker_connections 4096; }}
http {{
  {temporary} access_log off; keepalive_requests 100000000; sendfile on; tcp_nodelay on;
  types {{ application/json json; }} default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{self.clear} backlog=4096; root {self.folder}/www;
    listen 127.0.0.1:{self.tls} ssl http2 backlog=4096;
    ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key;
    ssl_session_cache shared:s:10m;
    http2_max_concurrent_streams 256;
  }}
}}
""")
        self.process = Process(["nginx", "-p", self.folder, "-c", self.folder / "conf",
                                "-e", self.folder / "start.log"], self.folder / "log")
        wait_until(lambda: answers(self.clear), "nginx accepts connections")
        return self

    def __exit__(self, *error):
        self.process.stop()


class HaProxy:
    """HTTP mode; within TLS it ends the client's and encrypts anew, as Chaperone does."""

    def __init__(self, folder, server):
        self.folder, self.server = Path(folder), server
        self.clear, self.tls = free_port(), free_port()

    def __enter__(self):
        pem = self.folder / "haproxy.pem"
        pem.write_text((self.folder / "server.pem").read_text() +
                       (self.folder / "server.key").read_text())
        (self.folder / "haproxy.cfg").write_text(f"""
global
  nbthread 2
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen clear
  bind 127.0.0.1:{self.clear} backlog 4096
  server nginx 127.0.0.1:{self.server.clear}
listen tls
  bind 127.0.0.1:{self.tls} backlog 4096 ssl crt {pem} alpn h2,http/1.1
  use_backend h2 if {{ ssl_fc_alpn h2 }}
  server nginx 127.0.0.1:{self.server.tls} ssl verify required ca-file {self.folder}/ca.pem alpn http/1.1
backend h2
  server nginx 127.0.0.1:{self.server.tls} ssl verify required ca-file {self.folder}/ca.pem alpn h2
""")
        self.process = Process(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"],
                               self.folder / "haproxy.out")
        wait_until(lambda: answers(self.clear), "HAProxy accepts connections")
        return self

    def __exit__(self, *error):
        self.process.stop()


class MitmProxy:
    """What people take today to look into an agent's HTTP."""

    def __init__(self, folder, server):
        self.folder, self.server, self.clear = Path(folder), server, free_port()

    def __enter__(self):
        self.process = Process(
            ["mitmdump", "-q", "--set", f"confdir={self.folder}/mitm", "--listen-host", "127.0.0.1",
             "-p", self.clear, "--mode", f"reverse:http://127.0.0.1:{self.server.clear}"],
            self.folder / "mitm.out")
        wait_until(lambda: answers(self.clear), "mitmproxy accepts connections", 60)
        return self

    def __exit__(self, *error):
        self.process.stop()


def resources(server):
    return f"""apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: clear}}
spec: {{protocol: http, hosts: [127.0.0.1], ports: [{server.clear}]}}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: tls}}
spec: {{protocol: http, hosts: [127.0.0.1], ports: [{server.tls}], upstream: {{tls: {{ca: ca.pem}}}}}}
"""


class World:
    """The server, HAProxy and Chaperone, in a folder that goes with them."""

    def __init__(self, policy=POLICY, more=""):
        self.policy, self.more = policy, more

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="chaperone-bench-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            os.chmod(self.folder, 0o755)
            make_ca(self.folder)
            self.server = stack.enter_context(Server(self.folder))
            self.haproxy = stack.enter_context(HaProxy(self.folder, self.server))
            self.chaperone = Chaperone(self.folder, self.policy, resources(self.server) + self.more)
            self.chaperone.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
            stack.enter_context(self.chaperone)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def governed(self, command):
        return [str(part) for part in self.chaperone.run_command(command)]

    def load(self, command, pid, governed=False, syscalls=False):
        """Runs wrk or h2load: requests, seconds, and what the process before the server spent."""
        line = self.governed(command) if governed else [str(part) for part in command]
        with Meter(pid, syscalls=syscalls) as meter:
            done = run(line, env=self.chaperone.env, cwd="/", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return (*counted(done.stdout), meter)


def counted(text):
    wrk = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", text)
    if wrk:
        assert "Non-2xx" not in text, text
        unit = {"ms": 0.001, "s": 1, "m": 60}[wrk[3]]
        return int(wrk[1]), float(wrk[2]) * unit
    h2 = re.search(r"finished in ([\d.]+)(ms|s), ", text)
    good = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", text)
    assert h2 and good and good[2] == good[3] == "0", text
    return int(good[1]), float(h2[1]) * {"ms": 0.001, "s": 1}[h2[2]]


def resident(pid):
    """KiB in memory, of the process."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def wrk(url, seconds, *flags, clients=8):
    return ["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds}s", *flags, url]


def h2load(url, requests):
    return ["h2load", "-c", "4", "-m", "16", "-n", str(requests), url]

