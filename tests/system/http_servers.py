# SPDX-License-Identifier: Apache-2.0
"""HTTP servers for the system tests: nginx, and a backend that keeps every byte it was sent."""
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
from pathlib import Path

from harness import ALLOW_ALL, Chaperone, Process, free_port, wait_until


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """Serves a folder, accepts bodies, on one clear-text port."""

    def __init__(self, folder, locations=""):
        self.folder = Path(folder) / "nginx"
        self.locations = locations
        self.port = free_port()

    def __enter__(self):
        for name in ("www", "tmp", "upload"):
            (self.folder / name).mkdir(parents=True)
            os.chmod(self.folder / name, 0o777)
        os.chmod(self.folder, 0o755)
        temporary = "".join(f"{kind}_temp_path {self.folder}/tmp/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "conf").write_text(f"""
daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log info; user nobody nogroup;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
  {temporary} access_log {self.folder}/access.log; default_type text/plain; keepalive_requests 100000;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{self.port}; root {self.folder}/www;
    location /upload {{ root {self.folder}; dav_methods PUT DELETE; create_full_put_path on; }}
    location /echo {{ return 200 "$request_method $request_uri $http_x_probe\\n"; }}
    location = /admin {{ return 200 "the admin page\\n"; }}
    location /admin/ {{ return 200 "the admin page\\n"; }}
    location /empty {{ return 204; }}
    location /moved {{ return 302 /echo; }}
    {self.locations}
  }}
}}
""")
        self.server = Process(["nginx", "-p", self.folder, "-c", self.folder / "conf",
                               "-e", self.folder / "start.log"], self.folder / "log")
        wait_until(lambda: answers(self.port), "nginx accepts connections")
        return self

    def file(self, name, content):
        path = self.folder / "www" / name
        path.write_bytes(content)
        return path

    def requests(self):
        """The request lines that nginx was asked, in order."""
        lines = (self.folder / "access.log").read_text(errors="replace").splitlines()
        return [line.split('"')[1] for line in lines]

    def __exit__(self, *error):
        self.server.stop()
        if error[0] is not None and (self.folder / "error.log").exists():
            sys.stderr.write("--- nginx\n" + (self.folder / "error.log").read_text()[-3000:])


class Recorder:
    """Answers 200 to whatever looks like a request, and keeps all bytes of each connection."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"

    def __init__(self, answer=None):
        self.answer = answer or self.ANSWER
        self.lock = threading.Lock()
        self.bytes = []  # one entry a connection

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.bytes.append(b"")
                number = len(self.bytes) - 1
            threading.Thread(target=self.talk, args=(peer, number), daemon=True).start()

    def talk(self, peer, number):
        answered = 0
        with peer:
            while True:
                try:
                    data = peer.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                with self.lock:
                    self.bytes[number] += data
                    heads = self.bytes[number].count(b"\r\n\r\n")
                try:
                    while answered < heads:
                        peer.sendall(self.answer)
                        answered += 1
                except OSError:
                    return

    def seen(self):
        with self.lock:
            return b"".join(self.bytes)

    def clear(self):
        with self.lock:
            self.bytes = [b""] * len(self.bytes)

    def __exit__(self, *error):
        self.listener.close()


class Silent(Recorder):
    """Never answers; says of each connection when its client has ended it."""

    def __init__(self):
        super().__init__()
        self.asked, self.ended = threading.Event(), threading.Event()

    def talk(self, peer, number):
        with peer:
            while data := peer.recv(65536):
                self.bytes[number] += data
                if self.bytes[number].endswith(b"\r\n\r\n"):
                    self.asked.set()
            self.ended.set()


def http_resource(name, port, extra=""):
    return f"""apiVersion: chaperone.dev/v1
kind: Resource
metadata: {{name: {name}}}
spec:
  protocol: http
  hosts: [127.0.0.1]
  ports: [{port}]
{extra}---
"""


class HttpWorld:
    """nginx, a recorder, a server that never answers, and one Chaperone before them."""

    def __init__(self, policy=ALLOW_ALL, **kwargs):
        self.policy, self.kwargs = policy, kwargs

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-http-"))
        os.chmod(self.folder, 0o755)
        try:
            self.nginx = Nginx(self.folder).__enter__()
            self.recorder = Recorder().__enter__()
            self.silent = Silent().__enter__()
            resources = http_resource("web", self.nginx.port)
            resources += http_resource("raw", self.recorder.port)
            resources += http_resource("silent", self.silent.port)
            self.chaperone = Chaperone(self.folder, self.policy, resources.removesuffix("---\n"),
                                       **self.kwargs).__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def url(self, path):
        return f"http://127.0.0.1:{self.nginx.port}{path}"

    def agent(self, *command, **kwargs):
        return self.chaperone.agent(command, **kwargs)

    def __exit__(self, *error):
        # Each is ended, whatever became of the others.
        with contextlib.ExitStack() as all_parts:
            all_parts.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for name in ("nginx", "recorder", "silent", "chaperone"):
                part = getattr(self, name, None)
                if part is not None:
                    all_parts.callback(part.__exit__, *error)
