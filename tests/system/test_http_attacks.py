# SPDX-License-Identifier: Apache-2.0
"""What an agent could send so that policy and the server read two different requests."""
import json
import shutil
import unittest
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, wait_until
from http_servers import Nginx, Recorder, answers, http_resource

HERE = Path(__file__).parent
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: no-admin, when: 'http.path == "/admin" || http.path.startsWith("/admin/")', deny: {}}
  - id: masked
    when: 'http.path == "/masked"'
    mask:
    - {detect: [EMAIL_ADDRESS], with: redact}
    - {detect: [EMAIL_ADDRESS], with: redact, in: request}
  - {id: rest, allow: {}}
"""
MAIL = "ann@shop.example"


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        # Where agents, who are nobody, may read them.
        for name in ("http2", "http_clients"):
            shutil.copytree(HERE / name, cls.folder / name)
        cls.nginx = Nginx(cls.folder, "add_header x-target $request_uri always;")
        cls.nginx.__enter__()
        cls.addClassCleanup(cls.nginx.__exit__, None, None, None)
        cls.ports = {"nginx": cls.nginx.port}
        cls.seen = cls.folder / "seen"
        cls.serve("recorder", cls.folder / "http2/recorder.mjs", cls.seen)
        cls.early = cls.folder / "early"
        cls.serve("early", cls.folder / "http_clients/early.mjs", cls.early)
        cls.serve("router", cls.folder / "http_clients/router.mjs")
        cls.forgetful = cls.enterClassContext(Recorder())
        cls.ports["forgetful"] = cls.forgetful.port
        resources = "".join(http_resource(name, port) for name, port in cls.ports.items())
        cls.chaperone = Chaperone(cls.folder, POLICY, resources.removesuffix("---\n"))
        cls.chaperone.__enter__()
        cls.addClassCleanup(cls.chaperone.__exit__, None, None, None)

    @classmethod
    def serve(cls, name, script, *more):
        cls.ports[name] = free_port()
        server = Process(["node", script, cls.ports[name], *more], cls.folder / f"{name}.log")
        cls.addClassCleanup(server.stop)
        wait_until(lambda: answers(cls.ports[name]), f"{name} accepts connections")

    def fine(self, *command, **kwargs):
        done = self.chaperone.agent(command, **kwargs)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n"
                                             f"{self.chaperone.log()[-1500:]}")
        return done.stdout

    def lines(self, script, port):
        arguments = port if isinstance(port, list) else [port]
        text = self.fine("/usr/bin/python3", self.folder / script, *arguments, timeout=300)
        return [json.loads(line) for line in text.splitlines()]

    def test_malformed_http2_never_reaches_the_server(self):
        results = self.lines("http2/attacks.py", self.ports["recorder"])
        self.assertEqual(results.pop(0), {"name": "good", "outcome": "200"})
        self.assertGreater(len(results), 50)
        for result in results:
            self.assertRegex(result["outcome"], "^(4..|reset|goaway|closed)", result)
        cases = {json.loads(line).get("x-case") for line in self.seen.read_text().splitlines()}
        self.assertFalse(cases & {result["name"] for result in results})

    def spellings(self, name):
        results = self.lines("http_clients/paths.py", self.ports[name])
        self.assertGreater(len(results), 700)
        reached = [one for one in results if "the admin page" in one["body"]]
        self.assertFalse(reached[:10], f"{len(reached)} in all")

    def test_no_spelling_of_a_forbidden_path_reaches_it_at_nginx(self):
        self.spellings("nginx")

    def test_no_spelling_of_a_forbidden_path_reaches_it_at_node(self):
        self.spellings("router")

    def agree(self, name, paths, seen):
        """Every request that the server took for one is one that policy was asked about, and every
        answer is for the request in whose place it came."""
        results = self.lines("http_clients/desync.py", [self.ports[name], *paths])
        self.assertEqual(len(results), 80 * len(paths))
        for result in results:
            self.assertTrue(result["answers"], result)
            targets = [target for _, target in result["answers"] if target]
            expected = [result["target"], f"/after/{result['name']}"]
            self.assertEqual([t for t in targets if t not in expected], [], result)
            self.assertEqual(targets, sorted(targets, key=expected.index), result)
        asked = self.chaperone.ok("journal", "export", "--format", "jsonl")
        requests = seen()
        self.assertGreater(len(requests), len(results))
        for target in {line.split()[1] for line in requests}:
            self.assertNotIn("/smuggled", target)
            self.assertIn(target, asked)

    def test_bodies_that_a_server_may_leave_unread_at_nginx(self):
        self.nginx.file("page", b"the page\n")
        self.agree("nginx", ["/page", "/empty", "/moved", "/nothing", "/echo", "/"],
                   self.nginx.requests)

    def test_bodies_that_a_server_may_leave_unread_at_node(self):
        self.agree("early", ["/early", "/late"], lambda: self.early.read_text().splitlines())

    def pause(self, port, seconds, *paths):
        return self.lines("http_clients/pause.py", [port, str(seconds), *paths])

    def test_bodies_that_come_after_a_pause(self):
        """At servers that keep to the framing, and at one that takes what comes for a request."""
        servers = (("nginx", ["/page", "/empty", "/moved", "/echo"], self.nginx.requests),
                   ("early", ["/early", "/late"], lambda: self.early.read_text().splitlines()))
        for name, paths, seen in servers:
            for seconds in (1, 13):
                results = self.pause(self.ports[name], seconds, *paths)
                self.assertEqual(len(results), 9 * len(paths))
            for line in seen():
                self.assertNotIn("/smuggled/pause", line.split()[1], name)
        results = self.pause(self.forgetful.port, 13, "/x")
        self.assertTrue(all(one["before"] == ["200"] and one["ended"] for one in results), results)
        self.assertEqual({one["all"] == ["200"] for one in results}, {True}, results)
        self.assertNotIn(b"/smuggled/", self.forgetful.seen(), "it has forgotten what was asked")

    def test_trailers_of_requests_and_answers_are_masked(self):
        body = self.folder / "body"
        body.write_text("some text\n")
        for path in ("/masked", "/plain"):
            text = self.fine("nghttp", "-v", "-d", body, "-H", "content-type: text/plain",
                             "--trailer", f"x-from: {MAIL}",
                             "--trailer", "x-http-method-override: DELETE",
                             f"http://127.0.0.1:{self.ports['recorder']}{path}")
            answer = [line for line in text.splitlines() if "x-to: " in line]
            self.assertEqual(len(answer), 1, text)
            self.assertEqual(MAIL in answer[0], path == "/plain", text)
        said = [json.loads(line)["trailers"] for line in self.seen.read_text().splitlines()
                if "trailers" in json.loads(line)]
        self.assertEqual([MAIL == one["x-from"] for one in said], [False, True], said)
        self.assertNotIn("x-http-method-override", str(said), "no rule has seen it")


if __name__ == "__main__":
    unittest.main()
