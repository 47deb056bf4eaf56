# SPDX-License-Identifier: Apache-2.0
"""http://chaperone.internal/, asked by curl in the agent: who it is, what it may do, why not."""
import json
import threading
import time
import unittest

from harness import wait_until
from http_servers import HttpWorld

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - id: no-admin
    when: 'http.path.startsWith("/admin")'
    deny: {reason: "not for agents", hint: "ask an operator"}
  - id: ask
    when: 'http.path.startsWith("/held")'
    approve: {by: ["group:dba"], within: 5m}
  - {id: rest, allow: {}}
"""
WORKLOADS = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent, labels: {team: payments}}
spec: {identity: {subject: 'agent:billing', groups: [agents, billing]}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: other-agent}
spec: {identity: {subject: 'agent:other'}}
"""
DESK = "http://chaperone.internal"


class TheDesk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = cls.enterClassContext(HttpWorld(POLICY, workload=WORKLOADS))
        cls.chaperone = cls.world.chaperone

    def curl(self, url, *args, workload="billing-agent"):
        done = self.chaperone.agent(["curl", "-sS", "-m", "60", "-i", *args, url],
                                    workload=workload)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, _, body = done.stdout.partition("\n\n")
        return int(head.split()[1]), head, body

    def ask(self, path, *args, **kwargs):
        status, head, body = self.curl(DESK + path, *args, **kwargs)
        return status, head, json.loads(body)

    def test_what_there_is(self):
        status, head, body = self.ask("/")
        self.assertEqual(status, 200)
        self.assertIn("/v1/whoami", body["endpoints"])
        self.assertEqual(self.ask("/nothing")[0], 404)
        status, head, _ = self.ask("/v1/whoami", "-X", "POST", "-d", "x")
        self.assertEqual(status, 405)
        self.assertIn("Allow: GET, HEAD", head)

    def test_who_am_i(self):
        status, _, body = self.ask("/v1/whoami")
        self.assertEqual(status, 200)
        self.assertEqual(body["workload"], "billing-agent")
        self.assertEqual(body["labels"], {"team": "payments"})
        self.assertEqual(body["identity"]["subject"], "agent:billing")
        self.assertEqual(body["identity"]["groups"], ["agents", "billing"])
        self.assertTrue(body["bundle"])
        self.assertEqual(self.ask("/v1/whoami", workload="other-agent")[2]["workload"],
                         "other-agent")

    def test_over_http2(self):
        for path, status in (("/v1/whoami", 200), ("/nothing", 404)):
            got, head, body = self.ask(path, "--http2-prior-knowledge")
            self.assertTrue(head.startswith("HTTP/2 "), head)
            self.assertEqual(got, status)
        self.assertEqual(self.ask("/v1/whoami", "--http2-prior-knowledge")[2]["workload"],
                         "billing-agent")
        head = self.curl(DESK + "/v1/whoami", "--http2-prior-knowledge", "-I")[1]
        self.assertIn("content-type: application/json", head)
        status = self.ask("/v1/whoami", "--http2-prior-knowledge", "-d", "x")[0]
        self.assertEqual(status, 405)

    def test_within_tls(self):
        status, _, body = self.curl("https://chaperone.internal/v1/whoami")
        self.assertEqual((status, json.loads(body)["workload"]), (200, "billing-agent"))

    def test_what_may_i_do(self):
        _, _, body = self.ask("/v1/resources")
        web = next(one for one in body["resources"] if one["name"] == "web")
        self.assertEqual(web["ports"], [self.world.nginx.port])
        self.assertEqual(web["effect"], "allow")
        rules = {rule["rule"]: rule for rule in body["rules"]}
        self.assertEqual(rules["web/no-admin"]["hint"], "ask an operator")
        self.assertEqual(rules["web/ask"]["by"], ["group:dba"])
        self.assertNotIn("startsWith", json.dumps(body))

    def test_why_was_i_refused(self):
        status, _, body = self.curl(self.world.url("/admin/x"))
        self.assertEqual(status, 403)
        problem = json.loads(body)
        status, _, denial = self.ask(problem["instance"])
        self.assertEqual(status, 200)
        self.assertEqual(denial["reason"], "not for agents")
        self.assertEqual(denial["hint"], "ask an operator")
        self.assertIn("no-admin", denial["rule"])
        self.assertIn("/admin/x", denial["statement"])
        _, _, listed = self.ask("/v1/denials")
        self.assertIn(problem["decision_id"], [one["id"] for one in listed["denials"]])
        # It is nobody else's business.
        self.assertEqual(self.ask(problem["instance"], workload="other-agent")[0], 404)
        self.assertEqual(self.ask("/v1/denials", workload="other-agent")[2]["denials"], [])
        for wrong in ("nothing", "nothing-1", problem["decision_id"].rsplit("-", 1)[0] + "-99"):
            self.assertEqual(self.ask("/v1/denials/" + wrong)[0], 404)

    def test_what_became_of_it(self):
        status, head, _ = self.curl(self.world.url("/held/one"), "-H", "Prefer: respond-async")
        self.assertEqual(status, 202)
        location = next(line.split(": ")[1] for line in head.split("\n")
                        if line.startswith("Location"))
        self.assertTrue(location.startswith(DESK + "/v1/approvals/"), head)
        status, head, body = self.ask(location.removeprefix(DESK))
        self.assertEqual((status, body["state"], body["rule"]), (200, "pending", "ask"), body)
        self.assertIn("Retry-After", head)
        _, _, mine = self.ask("/v1/approvals")
        self.assertIn(body["id"], [one["id"] for one in mine["approvals"]])
        self.assertEqual(self.ask("/v1/approvals", workload="other-agent")[2]["approvals"], [])
        self.assertEqual(self.ask(location.removeprefix(DESK), workload="other-agent")[0], 404)

        # It waits until somebody has decided, and no longer.
        waited = {}
        def wait():
            begun = time.monotonic()
            waited["answer"] = self.ask(location.removeprefix(DESK) + "?wait=50")
            waited["time"] = time.monotonic() - begun
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(self.someone_waits, "the agent waits")
        self.chaperone.ok("approval", "grant", body["id"])
        thread.join(60)
        self.assertEqual(waited["answer"][2]["state"], "granted")
        self.assertLess(waited["time"], 45)
        self.assertIn("Send the same request again", waited["answer"][2]["guidance"])
        self.assertEqual(self.curl(self.world.url("/held/one"))[0], 404)  # nginx has no such file
        self.assertEqual(self.ask(location.removeprefix(DESK))[2]["state"], "used")

    def someone_waits(self):
        listed = self.chaperone.json("session", "list", "--state", "open")["sessions"]
        return any(one["resource"] == "chaperone.internal" for one in listed)

    def test_a_wait_ends_by_itself(self):
        _, head, _ = self.curl(self.world.url("/held/two"), "-H", "Prefer: respond-async")
        location = next(line.split(": ")[1] for line in head.split("\n")
                        if line.startswith("Location")).removeprefix(DESK)
        begun = time.monotonic()
        _, _, body = self.ask(location, "-H", "Prefer: wait=2")
        self.assertEqual(body["state"], "pending")
        self.assertGreater(time.monotonic() - begun, 1)

    def test_malformed_requests_are_in_the_journal(self):
        self.chaperone.agent(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"
                              f"{self.world.recorder.port}; printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\n"
                              "Host: b\\r\\n\\r\\n' >&3; cat <&3"])
        wait_until(lambda: "malformed request" in self.chaperone.ok(
            "journal", "export", "--format", "jsonl"), "it is written")
        self.assertEqual(self.world.recorder.seen(), b"")


if __name__ == "__main__":
    unittest.main()
