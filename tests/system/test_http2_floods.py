# SPDX-License-Identifier: Apache-2.0
"""Floods of HTTP/2 by an agent: each is ended or costs nothing, memory is bounded, the server behind
hears little of it, and other agents go on."""
import json
import shutil
import subprocess
import threading
import time
import unittest
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, wait_until
from http_servers import answers, http_resource

HERE = Path(__file__).parent / "http2"
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - {id: watched, when: 'http.path == "/chat" && ws.text == "x"', deny: {}}
  - {id: no-admin, when: 'http.path == "/admin"', deny: {}}
  - {id: rest, allow: {}}
"""
WORKLOADS = "".join(f"""apiVersion: chaperone.dev/v1
kind: Workload
metadata: {{name: {name}}}
spec:
  identity: {{subject: 'agent:{name}'}}
---
""" for name in ("billing-agent", "other-agent")).removesuffix("---\n")
# May go on, for it is harmless: as cheap for us as it is for who sends it.
MAY_GO_ON = {"padding", "unknown"}


class Floods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.results = {}
        cls.scripts = cls.folder / "scripts"
        shutil.copytree(HERE, cls.scripts)
        cls.seen = cls.folder / "seen"
        cls.ports = {"recorder": free_port(), "endless": free_port()}
        for name, script in (("recorder", "recorder.mjs"), ("endless", "h2_server.mjs")):
            server = Process(["node", cls.scripts / script, cls.ports[name], cls.seen],
                             cls.folder / f"{name}.log")
            cls.addClassCleanup(server.stop)
            wait_until(lambda name=name: answers(cls.ports[name]), f"{name} accepts connections")
        resources = "".join(http_resource(name, port) for name, port in cls.ports.items())
        cls.chaperone = cls.enterClassContext(Chaperone(
            cls.folder, POLICY, resources.removesuffix("---\n"), workload=WORKLOADS))

    def resident(self):
        status = Path(f"/proc/{self.chaperone.daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def other(self):
        """How long another agent's new connection takes."""
        begun = time.monotonic()
        done = self.chaperone.agent(["curl", "-sS", "-m", "30", "--http2-prior-knowledge", "-o",
                                     "/dev/null", "-w", "%{http_code}",
                                     f"http://127.0.0.1:{self.ports['recorder']}/fine"],
                                    workload="other-agent")
        self.assertEqual(done.stdout, "200", f"{done.stderr} {self.results}")
        return time.monotonic() - begun

    def test_floods(self):
        self.other()
        before, most, slowest = self.resident(), 0, 0.0
        agent = self.chaperone.popen_agent(["/usr/bin/python3", self.scripts / "floods.py",
                                            self.ports["recorder"], self.ports["endless"]],
                                           stdin=subprocess.PIPE)
        self.addCleanup(agent.communicate)
        results, ended = self.results, threading.Event()

        def listen():
            for line in agent.stdout:
                one = json.loads(line)
                results[one["name"]] = one
                if one["name"] == "slow":
                    break
            ended.set()

        threading.Thread(target=listen, daemon=True).start()
        while not ended.wait(0.3):
            slowest = max(slowest, self.other())
            most = max(most, self.resident())
        print(f"memory {before} to {most} MiB, slowest {slowest:.1f} s", flush=True)
        self.assertIn("slow", results, self.chaperone.log()[-2000:])
        self.assertTrue(0 < results["slow"]["pings"] < 2 << 20, results["slow"])
        for name, one in results.items():
            if name in MAY_GO_ON or name == "slow":
                continue
            self.assertRegex(one["outcome"], "^(goaway|closed)", name)
        # A third of it where no sanitizer keeps what was freed.
        self.assertLess(most - before, 128)
        self.assertLess(slowest, 10)
        asked = len(self.seen.read_text().splitlines())
        print(f"the server was asked {asked} times", flush=True)
        # Of 20,000 streams each of the floods that have them opens, few reach it.
        self.assertLess(asked, 5_000)


if __name__ == "__main__":
    unittest.main()
