# SPDX-License-Identifier: Apache-2.0
"""Names of governed agents: real resolver libraries and tools, a real DNS server, in a network
namespace of their own."""
import re
import signal
import subprocess
import unittest

from lab import Lab, LabChaperone

from harness import Process, free_port, wait_until

WORKLOADS = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent}
spec: {identity: {subject: 'agent:billing'}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: guest}
spec: {identity: {subject: 'agent:guest'}}
"""

RESOURCES = """apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: orders}
spec:
  protocol: tcp
  hosts: [db.internal, "*.orders.internal", alias.internal, two.internal, big.internal,
          _pg._tcp.internal, svc.internal]
  ports: [%(port)d]
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: web}
spec: {protocol: tcp, hosts: [web.internal, 127.0.0.0/24], ports: [%(other)d]}
"""

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: names}
spec:
  rules:
  - {id: guests-out, when: 'workload.name == "guest" && resource.name == "orders"', deny: {}}
  - {id: rest, when: 'resource.name in ["orders", "web"]', allow: {}}
  - {id: no-mail, when: 'dns.type == "MX"', deny: {reason: "agents send no mail"}}
  - {id: docs, when: 'dns.name == "www.evil.example"', allow: {}}
"""

# Resolves once, and from then on connects to the address for each line that it reads.
HOLDS = """import socket, sys
address = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), socket.AF_INET)[0][4]
for line in sys.stdin:
    try:
        with socket.create_connection(address, 20) as s:
            f = s.makefile("rw")
            f.readline()
            f.write("abc\\n")
            f.flush()
            print(f.readline().strip() or "refused")
    except OSError:
        print("refused")
"""

ECHO = """import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello\\n")
        for line in self.rfile:
            self.wfile.write(line.upper())
        self.wfile.write(b"bye\\n")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server((sys.argv[1], int(sys.argv[2])), Echo).serve_forever()
"""

TALK = """import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
peer = s.getpeername()[1]
s.sendall(b"abc\\n")
s.shutdown(socket.SHUT_WR)
print(b"".join(iter(lambda: s.recv(100), b"")).decode(), peer)
"""


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.__exit__, None, None, None)
        cls.port, cls.other = free_port(), free_port()
        for port in (cls.port, cls.other):
            echo = Process(cls.lab.inside("python3", "-c", ECHO, "127.0.0.1", str(port)),
                           cls.lab.folder / f"echo-{port}.log")
            cls.addClassCleanup(echo.stop)
        cls.chaperone = LabChaperone(
            cls.lab, policy=POLICY, workload=WORKLOADS,
            resources=RESOURCES % {"port": cls.port, "other": cls.other})
        cls.chaperone.__enter__()
        cls.addClassCleanup(cls.chaperone.__exit__, None, None, None)

    def talk(self, host, port=None, workload="billing-agent"):
        return self.chaperone.python(TALK, host, str(port or self.port), workload=workload)

    # ---- what resolves

    def test_resolves_what_a_resource_claims(self):
        for args in (["db.internal"], ["@198.51.100.53", "db.internal"], ["DB.Internal."],
                     ["@2001:db8::53", "db.internal"], ["+tcp", "@198.51.100.53", "db.internal"],
                     ["+tcp", "@2001:db8::53", "db.internal"], ["x.orders.internal"],
                     ["+noedns", "db.internal"], ["+noall", "+comments", "+answer", "+bufsize=512",
                                                  "db.internal"]):
            with self.subTest(args=args):
                status, answer, output = self.chaperone.dig(*args)
                self.assertEqual(status, "NOERROR", output)
                self.assertIn("127.0.0.1", output)

    def test_the_answer_comes_from_whom_was_asked(self):
        _, _, output = self.chaperone.dig("@198.51.100.53", "db.internal")
        self.assertIn("SERVER: 198.51.100.53#53", output)

    def test_other_types_and_aliases(self):
        for name, kind, expected in (("db.internal", "AAAA", "::1"),
                                     ("two.internal", "A", "127.0.0.1"),
                                     ("_pg._tcp.internal", "SRV", "1 2 5432 db.internal."),
                                     ("-x", "127.0.0.1", "db.internal.")):
            with self.subTest(name=name):
                status, answer, output = self.chaperone.dig(name, kind)
                self.assertEqual(status, "NOERROR", output)
                self.assertIn(expected, answer, output)
        _, answer, _ = self.chaperone.dig("two.internal")
        self.assertEqual(len(re.findall("CNAME", answer)), 2)

    def test_a_name_that_is_not_there(self):
        self.assertEqual(self.chaperone.dig("zz.orders.internal")[0], "NXDOMAIN")

    def test_encrypted_hellos_are_taken_out(self):
        for name, kind in (("web.internal", "TYPE65"), ("svc.internal", "TYPE64")):
            direct = self.lab.do("dig", "+noall", "+answer", "@127.0.0.53", name, kind)
            self.assertIn("41 45 FE 0D".replace(" ", ""), re.sub(r"[\s]", "", direct).upper()
                          .replace("ECH=AEX+DQBB", "4145FE0D"), direct)
            status, answer, output = self.chaperone.dig(name, kind)
            self.assertEqual(status, "NOERROR", output)
            self.assertNotIn("AEX+DQBB", answer)
            self.assertNotIn("0045FE0D", re.sub(r"\s", "", answer).upper())
            self.assertIn("h2", answer + "h2" if "alpn" not in answer else answer)

    def test_truncation(self):
        status, answer, output = self.chaperone.dig("+bufsize=512", "+ignore", "big.internal", "TXT")
        self.assertIn(" tc ", output.replace(";", " "), output)
        self.assertEqual(answer, "")
        status, answer, output = self.chaperone.dig("big.internal", "TXT")
        self.assertEqual(status, "NOERROR", output)
        self.assertIn("h" * 250, answer)
        self.assertIn("Truncated, retrying in TCP mode", output)
        whole = self.chaperone.dig("+bufsize=4096", "big.internal", "TXT")[2]
        self.assertNotIn("TCP", whole)
        self.assertIn("h" * 250, whole)

    # ---- what is refused

    def test_refuses_what_nobody_claims(self):
        for name in ("www.google.com", "evil.example", "db.internal.evil.com.", "internal",
                     "orders.internal", "xdb.internal", "other.internal",
                     r"a\.b.orders.internal", r"a\000.orders.internal", "b\u00fccher.example",
                     "dGhpcyBpcyBhIHNlY3JldA.tunnel.evil.example"):
            with self.subTest(name=name):
                status, _, output = self.chaperone.dig("+noidnin", name)
                self.assertIn(status, ("REFUSED", "NXDOMAIN"), output)
                self.assertIn("EDE: 15 (Blocked)", output)
                self.assertIn("no resource that this workload may use has the name", output)
        self.assertEqual(self.chaperone.dig("www.google.com")[0], "REFUSED")
        self.assertEqual(self.chaperone.dig("+tcp", "evil.example")[0], "REFUSED")

    def test_rules_decide_otherwise(self):
        status, _, output = self.chaperone.dig("db.internal", "MX")
        self.assertEqual(status, "REFUSED", output)
        self.assertIn("agents send no mail", output)
        self.assertIn("no-mail", output)
        self.assertEqual(self.chaperone.dig("www.evil.example")[0], "NOERROR")

    def test_a_workload_resolves_only_what_it_may_open(self):
        self.assertEqual(self.chaperone.dig("db.internal", workload="guest")[0], "NXDOMAIN")
        self.assertEqual(self.chaperone.dig("web.internal", workload="guest")[0], "NOERROR")

    def test_transfers_and_curiosities(self):
        self.assertIn("REFUSED", self.chaperone.dig("version.bind", "CH", "TXT")[2])
        self.assertNotIn("hostmaster", self.chaperone.dig("internal", "AXFR")[2])
        self.assertEqual(self.chaperone.dig("+opcode=notify", "db.internal")[0], "NOTIMP")
        self.assertEqual(self.chaperone.dig("+edns=1", "+noednsneg", "db.internal")[0], "BADVERS")

    # ---- libraries

    def test_libc(self):
        done = self.chaperone.agent(["getent", "ahosts", "db.internal"])
        self.assertIn("127.0.0.1", done.stdout, done.stderr)
        self.assertIn("::1", done.stdout)
        self.assertEqual(self.chaperone.agent(["getent", "hosts", "evil.example"]).returncode, 2)

    def test_search_lists_are_tried_to_their_end(self):
        for name in ("db", "x.orders", "db.internal"):
            with self.subTest(name=name):
                done = self.chaperone.agent(["getent", "ahostsv4", name])
                self.assertIn("127.0.0.1", done.stdout, done.stderr)

    def test_tools_and_runtimes(self):
        done = self.chaperone.agent(["host", "db.internal"])
        self.assertIn("db.internal has address 127.0.0.1", done.stdout)
        done = self.chaperone.python(
            "import socket;print(sorted({a[4][0] for a in socket.getaddrinfo('two.internal', 1)}));"
            "print(socket.gethostbyaddr('127.0.0.1')[0]) if 0 else None")
        self.assertIn("['127.0.0.1', '::1']", done.stdout, done.stderr)
        script = ("const d=require('dns');d.resolve4('db.internal',(e,a)=>{console.log(e,a);"
                  "d.lookup('db.internal',{family:4},(e,a)=>{console.log(e,a);"
                  "d.resolve4('evil.example',(e)=>console.log(e.code))})})")
        done = self.chaperone.agent(["node", "-e", script])
        self.assertEqual(done.stdout, "null [ '127.0.0.1' ]\nnull 127.0.0.1\nEREFUSED\n",
                         done.stderr)

    # ---- names of connections

    def test_a_connection_is_matched_by_its_name(self):
        for host in ("db.internal", "x.orders.internal", "two.internal"):
            with self.subTest(host=host):
                done = self.talk(host)
                self.assertEqual(done.stdout,
                                 f"hello\nABC\nbye\n {self.port}\n", done.stderr)
                session = [s for s in self.chaperone.json("session", "list")["sessions"]
                           if s["protocol"] == "tcp" and s["destination"].get("name") == host]
                self.assertTrue(session, "no session with this name")
                self.assertEqual(session[0]["resource"], "orders")

    def test_names_are_known_after_a_restart(self):
        def ask():
            resolver.stdin.write("go\n")
            resolver.stdin.flush()
            return resolver.stdout.readline()
        def restart(how):
            daemon = self.chaperone.daemon
            daemon.process.send_signal(how)
            daemon.process.wait(30)
            daemon.log.close()
            self.chaperone.start()
        resolver = self.chaperone.popen_agent(
            ["python3", "-u", "-c", HOLDS, "x.orders.internal", str(self.port)],
            stdin=subprocess.PIPE)
        self.addCleanup(resolver.communicate)
        self.assertEqual(ask(), "ABC\n")
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how):
                restart(how)
                self.assertEqual(ask(), "ABC\n")
                last = self.chaperone.json("session", "list")["sessions"][0]
                self.assertEqual(last["destination"].get("name"), "x.orders.internal")
        # Damaged, nothing of it is believed: a bare address is what no resource claims.
        with open(self.chaperone.root / "var/lib/chaperone/names", "a") as names:
            names.write("nonsense\n")
        restart(signal.SIGKILL)
        self.assertIn("a damaged line", self.chaperone.log())
        self.assertEqual(ask(), "refused\n")

    def test_a_bare_address_is_seen_as_such(self):
        done = self.talk("127.0.0.1", workload="guest")
        self.assertNotEqual(done.returncode, 0, done.stdout)
        done = self.talk("127.0.0.1", self.other, workload="guest")
        self.assertIn("ABC", done.stdout, done.stderr)
        sessions = [s for s in self.chaperone.json("session", "list")["sessions"]
                    if s["workload"] == "guest" and s["protocol"] == "tcp"]
        self.assertTrue(any(not s["destination"].get("name") for s in sessions), sessions)

    def test_other_peoples_resolvers_are_not_there(self):
        code = ("import socket,sys\n"
                "for port in 853, 443, 5353:\n"
                "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                "    try: s.sendto(b'x', ('9.9.9.9', port)); print('sent')\n"
                "    except OSError as e: print(e.errno)\n"
                "get = b'GET /dns-query?dns=x HTTP/1.1\\r\\nHost: 9.9.9.9\\r\\n\\r\\n'\n"
                "for port, sent in (853, b'x'), (443, get):\n"
                "    try:\n"
                "        s = socket.create_connection(('9.9.9.9', port), 5)\n"
                "        s.sendall(sent); print(s.recv(12)[-3:].decode() or 'closed')\n"
                "    except OSError as e: print(type(e).__name__)\n")
        done = self.chaperone.python(code)
        self.assertEqual(done.stdout.split(), ["1", "1", "1", "ConnectionResetError",
                                               "403"], done.stderr)

    # ---- the record

    def test_every_question_is_recorded(self):
        self.chaperone.dig("record-me.evil.example")
        self.chaperone.dig("zz.orders.internal", "AAAA")
        wanted = {("record-me.evil.example A", "deny"), ("zz.orders.internal AAAA", "allow")}
        wait_until(lambda: wanted <= set(self.chaperone.questions()), "the questions are recorded")
        names = {s["comm"] for s in self.chaperone.json("session", "list")["sessions"]
                 if s["protocol"] == "dns"}
        self.assertTrue(any("dig" in n or "isc-net" in n for n in names), names)
        self.assertEqual(self.chaperone.cli("journal", "verify").returncode, 0)


if __name__ == "__main__":
    unittest.main()
