# SPDX-License-Identifier: Apache-2.0
"""How long connections live: without a request, and under a bundle that is not theirs any more."""
import signal
import subprocess
import unittest

from harness import Chaperone, Process, folder_of, free_port, wait_until
from http_servers import answers, http_resource

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: rest, allow: {}}
"""
DENIES_ONE = POLICY + """  - {id: no-secret, when: 'http.path == "/secret"', deny: {}}
"""
DENIES_ALL = POLICY + """  - {id: nobody, when: 'workload.name == "billing-agent"', deny: {reason: "not you"}}
"""
WORKLOADS = "---\n".join(
    f"apiVersion: chaperone.dev/v1\nkind: Workload\nmetadata: {{name: {name}}}\n"
    f"spec: {{identity: {{subject: 'agent:{name}'}}}}\n"
    for name in ("billing-agent", "other-agent"))
# Answers /wait when the file is there; HTTP/1.1 and, on another port, HTTP/2 in clear text.
SERVER = """
const fs = require('fs');
const [one, two, file, seen] = process.argv.slice(2);
const serve = (req, res) => {
  fs.appendFileSync(seen, req.url + '\\n');
  const say = () => { res.setHeader('content-length', 2); res.end('ok'); };
  if (req.url !== '/wait') return say();
  const timer = setInterval(() => { if (fs.existsSync(file)) { clearInterval(timer); say(); } }, 20);
};
const server = require('http').createServer({ keepAliveTimeout: 0 }, serve);
server.listen(one, '127.0.0.1');
require('http2').createServer(serve).listen(two, '127.0.0.1');
"""
# One connection; what is read from standard input is done on it, and what comes is told.
ONE = """
import socket, sys
peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
peer.settimeout(60)
text = peer.makefile('rb')
for line in sys.stdin:
    word, *path = line.split()
    if word == 'ask':
        peer.sendall(b'GET %s HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n' % path[0].encode())
    elif word == 'end':
        print('ended' if text.read(1) == b'' else 'more', flush=True)
    else:
        status, fields = text.readline().split(), {}
        while field := text.readline().strip():
            name, _, value = field.partition(b':')
            fields[name.lower()] = value.strip().decode()
        text.read(int(fields[b'content-length']))
        print(status[1].decode(), fields.get(b'connection', '-'), flush=True)
"""
TWO = """
const session = require('http2').connect('http://127.0.0.1:' + process.argv[2]);
let goaway = false, answer = null;
session.on('goaway', () => { goaway = true; });
session.on('error', e => console.error(e));
const over = new Promise(done => session.on('close', done));
const work = async line => {
  const [word, path] = line.split(' ');
  if (word === 'ask') {
    const stream = session.request({ ':path': path });
    answer = new Promise((done, failed) => {
      let status;
      stream.on('response', fields => { status = fields[':status']; });
      stream.on('error', failed);
      stream.on('end', () => done(status));
      stream.resume();
    });
  } else if (word === 'end') {
    await over;
    console.log(goaway ? 'ended' : 'ended without a word');
  } else console.log(await answer + ' -');
};
let last = Promise.resolve();
require('readline').createInterface({ input: process.stdin })
  .on('line', line => { last = last.then(() => work(line)); })
  .on('close', () => process.exit(0));
"""


class Sessions(unittest.TestCase):
    def start(self, config=""):
        self.folder = folder_of(self)
        for name, text in (("server.js", SERVER), ("one.py", ONE), ("two.js", TWO)):
            (self.folder / name).write_text(text)
        self.ports = {"one": free_port(), "two": free_port()}
        self.go, self.seen = self.folder / "go", self.folder / "seen"
        server = Process(["node", self.folder / "server.js", *self.ports.values(), self.go,
                          self.seen], self.folder / "server.log")
        self.addCleanup(server.stop)
        for port in self.ports.values():
            wait_until(lambda: answers(port), "the server accepts connections")
        self.resources = {name: http_resource(name, port) for name, port in self.ports.items()}
        self.chaperone = self.enterContext(Chaperone(
            self.folder / "case", POLICY, "".join(self.resources.values()).removesuffix("---\n"),
            config=config, workload=WORKLOADS))

    def client(self, name):
        program = ["/usr/bin/python3", self.folder / "one.py"] if name == "one" else [
            "node", self.folder / "two.js"]
        client = self.chaperone.popen_agent([*program, str(self.ports[name])],
                                            stdin=subprocess.PIPE)
        self.addCleanup(client.kill)
        self.addCleanup(self.end, client)  # not killed, its cgroup goes with it
        return client

    def end(self, client):
        if client.poll() is None:
            client.communicate(timeout=30)

    def tell(self, client, line):
        client.stdin.write(line + "\n")
        client.stdin.flush()

    def hear(self, client, line):
        self.tell(client, line)
        said = client.stdout.readline().strip()
        if not said:
            self.fail(f"{line}: {client.communicate()[1]}{self.chaperone.log()[-1500:]}")
        return said

    def ask(self, client, path):
        self.tell(client, f"ask {path}")
        return self.hear(client, "answer").split()[0]

    def reload(self, policy=POLICY, without=()):
        documents = self.chaperone.documents
        documents["policy.yaml"] = policy
        documents["resources.yaml"] = "".join(
            text for name, text in self.resources.items() if name not in without
        ).removesuffix("---\n")
        path = self.chaperone.root / "etc/chaperone/bundle/resources.yaml"
        path.write_text(documents["resources.yaml"])
        self.chaperone.write_bundle()
        before = self.chaperone.json("policy", "status")
        self.chaperone.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.chaperone.json("policy", "status") != before, "it is in force")

    def test_one_without_a_request_is_closed_between_requests(self):
        self.start("limits: {httpIdleTimeout: 2s}\n")
        for name in self.ports:
            with self.subTest(name):
                client = self.client(name)
                self.assertEqual(self.ask(client, "/x"), "200")
                self.tell(client, "ask /wait")  # for longer than the limit
                wait_until(lambda: "/wait" in self.seen.read_text(), "the server is asked")
                idle = self.client(name)
                self.assertEqual(self.ask(idle, "/y"), "200")
                self.assertEqual(self.hear(idle, "end"), "ended", "while the other still waits")
                self.go.touch()
                self.assertEqual(self.hear(client, "answer").split()[0], "200")
                self.assertEqual(self.hear(client, "end"), "ended")
                self.go.unlink()
                self.seen.write_text("")

    def test_a_workload_leaves_room_for_others(self):
        self.start("limits: {maxSessionsPerWorkload: 2}\n")
        clients = [self.client("one"), self.client("one")]
        for client in clients:
            self.assertEqual(self.ask(client, "/x"), "200")
        curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                f"http://127.0.0.1:{self.ports['one']}/y"]
        refused = self.chaperone.agent(curl)
        self.assertIn(refused.returncode, (7, 52, 55, 56), refused.stderr)
        self.assertIn("limits.maxSessionsPerWorkload", self.chaperone.log())
        self.assertNotIn("/y", self.seen.read_text())
        self.assertEqual(self.chaperone.agent(curl, workload="other-agent").stdout, "200")
        self.end(clients[0])
        wait_until(lambda: self.chaperone.agent(curl).stdout == "200", "its end makes room")
        self.assertEqual(self.ask(clients[1], "/x"), "200")

    def test_each_request_is_decided_by_the_bundle_at_its_beginning(self):
        self.start()
        clients = {name: self.client(name) for name in self.ports}
        for client in clients.values():
            self.assertEqual(self.ask(client, "/secret"), "200")
        self.reload(DENIES_ONE)
        for client in clients.values():
            self.assertEqual(self.ask(client, "/secret"), "403")
            self.assertEqual(self.ask(client, "/other"), "200")
        self.reload()
        for client in clients.values():
            self.assertEqual(self.ask(client, "/secret"), "200", "on the connection of before")

    def left_out(self, **bundle):
        idle = {name: self.client(name) for name in self.ports}
        running = {name: self.client(name) for name in self.ports}
        for client in idle.values():
            self.assertEqual(self.ask(client, "/x"), "200")
        for client in running.values():
            self.tell(client, "ask /wait")
        wait_until(lambda: self.seen.read_text().count("/wait") == 2, "both are asked")
        self.reload(**bundle)
        for client in idle.values():
            self.assertEqual(self.hear(client, "end"), "ended")
        self.go.touch()
        for name, client in running.items():
            answer = self.hear(client, "answer")
            self.assertEqual(answer, "200 close" if name == "one" else "200 -", "not lost")
            self.assertEqual(self.hear(client, "end"), "ended")

    def test_without_their_resource_sessions_end_behind_what_runs(self):
        self.start()
        self.left_out(without=("one", "two"))

    def test_without_the_right_to_connect_they_do_too(self):
        self.start()
        self.left_out(policy=DENIES_ALL)


if __name__ == "__main__":
    unittest.main()
