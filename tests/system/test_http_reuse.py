# SPDX-License-Identifier: Apache-2.0
"""A server's connection that a session leaves goes on to the next one like it, and to no other."""
import json
import os
import signal
import unittest

from harness import Chaperone, Process, folder_of, free_port, make_ca, run, wait_until
from http_servers import answers, http_resource
from reuse_server import CountingServer
from tls_servers import Nginx

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-secret, when: 'http.path == "/secret"', deny: {}}
  - {id: rest, allow: {}}
"""
WORKLOADS = "---\n".join(f"""apiVersion: chaperone.dev/v1
kind: Workload
metadata: {{name: {name}}}
spec: {{identity: {{subject: 'agent:{name}'}}}}
""" for name in ("billing-agent", "other-agent"))
# One thread: what a session leaves is for sessions of its own thread.
CONFIG = "listen: {threads: 1}\n"
NODE = """
let count = 0;
require('http').createServer((req, res) => {
  req.socket.number ??= ++count;
  res.end(String(req.socket.number));
}).listen(process.argv[2], '127.0.0.1');
"""


class Reuse(unittest.TestCase):
    def start(self, config=CONFIG, more="", upstream=""):
        self.folder = getattr(self, "folder", None) or folder_of(self)
        self.server = self.enterContext(CountingServer(free_port()))
        resource = http_resource("web", self.server.port, upstream)
        self.chaperone = Chaperone(self.folder / "case", POLICY,
                                   (resource + more).removesuffix("---\n"),
                                   config=config, workload=WORKLOADS)
        self.enterContext(self.chaperone)

    def curl(self, *paths, workload="billing-agent", options=(), port=None):
        """A process, and so a session, for each path; what each of them read."""
        base = f"http://127.0.0.1:{port or self.server.port}"
        script = "for path in $PATHS; do curl -sS -m 30 \"$@\" " + base + "$path; echo; done"
        done = self.chaperone.agent(["sh", "-c", script, "sh", *options], workload=workload,
                                    env={"PATHS": " ".join(paths)})
        self.assertEqual((done.returncode, done.stderr), (0, ""), self.chaperone.log()[-1500:])
        return done.stdout.split()

    def test_sessions_that_follow_share_a_connection(self):
        self.start()
        self.assertEqual(self.curl(*["/"] * 5), ["1"] * 5)
        text = self.chaperone.agent(["curl", "-si", "-H", "Connection: close",
                                     f"http://127.0.0.1:{self.server.port}/"]).stdout
        self.assertIn("\nConnection: close\n", text.replace("\r", ""))
        self.assertEqual(self.server.connections(), [1] * 6)
        self.assertNotIn("connection", self.server.requests[-1][2], "it is for the first hop")
        ends = [json.loads(line) for line in self.chaperone.ok(
            "journal", "export", "--format", "jsonl").splitlines() if "pstreamReused" in line
            or "upstream_reused" in line]
        self.assertEqual(len(ends), 5, "the first one was dialled")
        self.assertIn(str(self.server.port), json.dumps(ends[0]))
        metrics = run(["curl", "-s", "--unix-socket", self.chaperone.root / "run/chaperone/api.sock",
                       "http://api/metrics"]).stdout
        self.assertIn("\nchaperone_server_connections_reused_total 5\n", metrics)

    def test_what_may_not_be_sent_twice_takes_a_fresh_one(self):
        self.start()
        self.assertEqual(self.curl("/"), ["1"])
        self.assertEqual(self.curl("/", options=["-d", "x=1"]), ["2"])
        self.assertEqual(self.curl("/", options=["-X", "DELETE"]), ["3"])
        self.assertIn(self.curl("/")[0], "123", "and leaves it as any other")

    def test_a_server_that_leaves_as_it_is_asked_is_asked_again(self):
        self.start()
        self.assertEqual(self.curl("/last", "/again"), ["1", "2"])
        self.assertEqual([(n, line.split()[1]) for n, line, _ in self.server.requests],
                         [(1, "/last"), (1, "/again"), (2, "/again")])
        self.assertEqual(self.curl("/last"), ["2"])
        self.assertEqual(self.curl("/post", options=["-d", "x=1"]), ["3"])
        self.assertEqual([n for n, line, _ in self.server.requests if "/post" in line], [3])

    def test_what_is_said_unasked_reaches_nobody(self):
        self.start()
        self.assertEqual(self.curl("/poison"), ["1"])
        self.server.poison.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        self.assertEqual(self.curl("/", "/"), ["2", "2"])
        wait_until(lambda: 1 in self.server.ended, "it is closed")

    def test_workloads_share_nothing(self):
        self.start()
        for workload, number in (("billing-agent", "1"), ("other-agent", "2")) * 2:
            self.assertEqual(self.curl("/", workload=workload), [number])

    def test_connections_that_are_bound_are_not_passed_on(self):
        self.start()
        self.assertEqual(self.curl("/", options=["-H", "Authorization: NTLM TlRMTVNTUAAB"]), ["1"])
        self.assertEqual(self.curl("/", options=["--http1.0"]), ["2"])
        self.assertEqual(self.curl("/close"), ["3"])
        self.assertEqual(self.curl("/login"), ["4"])
        self.assertEqual(self.curl("/", options=["-H", "Authorization: Bearer x"]), ["5"])
        self.assertEqual(self.curl("/"), ["5"])
        wait_until(lambda: self.server.ended == {1, 2, 3, 4}, "they are closed")

    def test_a_new_bundle_and_the_end_close_them(self):
        self.start(CONFIG + "limits: {httpReuseIdle: 10m}\n")
        self.assertEqual(self.curl("/"), ["1"])
        self.chaperone.documents["policy.yaml"] += "  - {id: none, when: 'false', deny: {}}\n"
        self.chaperone.write_bundle()
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: 1 in self.server.ended, "the first one is closed")
        self.assertEqual(self.curl("/", "/"), ["2", "2"])
        self.chaperone.daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: 2 in self.server.ended, "the second one is closed")

    def test_none_is_kept_for_long_and_no_descriptor_with_it(self):
        self.start(CONFIG + "limits: {httpReuseIdle: 500ms}\n")
        process = self.chaperone.daemon.process.pid

        def sockets():
            links = []
            for fd in os.listdir(f"/proc/{process}/fd"):
                try:
                    links.append(os.readlink(f"/proc/{process}/fd/{fd}"))
                except FileNotFoundError:
                    pass
            return sum(link.startswith("socket:") for link in links)
        self.curl("/")
        wait_until(lambda: 1 in self.server.ended, "the first one is closed")
        before = sockets()
        many = " & ".join([f"curl -s http://127.0.0.1:{self.server.port}/"] * 40) + " & wait"
        self.assertEqual(self.chaperone.agent(["sh", "-c", many]).returncode, 0)
        wait_until(lambda: len(self.server.ended) == self.server.count, "all are closed")
        wait_until(lambda: sockets() <= before, "nothing is left open")

    def test_none_is_kept_where_that_is_not_wanted(self):
        self.start(CONFIG + "limits: {httpReuseIdle: 0s}\n")
        self.assertEqual(self.curl("/", "/"), ["1", "2"])

    def test_refusals_and_masks_are_as_ever(self):
        self.start()
        self.assertEqual(self.curl("/"), ["1"])
        text = self.chaperone.agent(["curl", "-si", "-H", "Connection: close",
                                     f"http://127.0.0.1:{self.server.port}/secret"]).stdout
        self.assertIn(" 403 ", text)
        self.assertEqual(self.curl("/"), ["1"])
        self.assertNotIn("/secret", str(self.server.requests))

    def test_real_servers(self):
        self.folder = folder_of(self)
        make_ca(self.folder)
        plain, secure, node = free_port(), free_port(), free_port()
        self.enterContext(Nginx(self.folder, (
            "log_format n '$connection $connection_requests $server_port $request_method';\n"
            f"access_log {self.folder}/connections n;\n"
            f"server {{ listen 127.0.0.1:{plain}; }}\n"
            f"server {{ listen 127.0.0.1:{secure} ssl http2; ssl_certificate {self.folder}/server.pem;"
            f" ssl_certificate_key {self.folder}/server.key; }}\n")))
        (self.folder / "server.js").write_text(NODE)
        server = Process(["node", self.folder / "server.js", node], self.folder / "node.log")
        self.addCleanup(server.stop)
        wait_until(lambda: answers(node), "Node accepts connections")
        tls = http_resource("secure", secure).replace(
            "hosts: [127.0.0.1]", "hosts: [localhost, 127.0.0.1]").replace(
            "---\n", "  upstream: {tls: {ca: ca.pem}}\n---\n")
        folder = self.folder
        made = http_resource("plain", plain) + http_resource("node", node) + tls
        self.server = self.enterContext(CountingServer(free_port()))
        self.chaperone = Chaperone(folder / "case", POLICY, made.removesuffix("---\n"),
                                   config=CONFIG, workload=WORKLOADS)
        self.chaperone.documents["ca.pem"] = (folder / "ca.pem").read_text()
        self.enterContext(self.chaperone)
        self.assertEqual(self.curl("/", "/", "/", port=node), ["1"] * 3)
        for scheme, host, port in (("http", "127.0.0.1", plain), ("https", "localhost", secure)):
            url = f"{scheme}://{host}:{port}/hello"
            script = (f"for i in 1 2 3; do curl -sS --http1.1 {url}; done; "
                      f"curl -sS --http1.1 -d x {url} >/dev/null; curl -sS --http1.1 {url}")
            done = self.chaperone.agent(["sh", "-c", script])
            self.assertEqual((done.stdout, done.stderr), ("hello\n" * 4, ""))
            lines = [line.split() for line in (folder / "connections").read_text().splitlines()]
            mine = [line for line in lines if line[2] == str(port)]
            self.assertEqual([line[1] for line in mine[:4]], ["1", "2", "3", "1"], mine)
            self.assertEqual(len({line[0] for line in mine}), 2, mine)
            self.assertEqual(mine[3][3], "POST")


if __name__ == "__main__":
    unittest.main()
