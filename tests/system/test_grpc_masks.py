# SPDX-License-Identifier: Apache-2.0
"""Masks over the messages of gRPC: with a resource's protoDescriptor, and without."""
import json
import shutil
import unittest
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, run, wait_until
from http_servers import answers, http_resource

SOURCES = Path(__file__).with_name("grpc_masks")
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: pii}
spec:
  rules:
  - id: people
    when: 'grpc.service == "shop.v1.Orders"'
    mask:
    - {json: ["$.customer.email", "$.labels.mail"], with: redact}
    - {detect: [US_SSN, EMAIL_ADDRESS], with: redact}
    - {detect: [EMAIL_ADDRESS], with: redact, in: request}
  - {id: rest, allow: {}}
"""


class GrpcMasks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.set = cls.folder / "orders.pb"
        made = run(["protoc", "-I", SOURCES, "--include_imports", f"--descriptor_set_out={cls.set}",
                    SOURCES / "orders.proto"])
        assert made.returncode == 0, made.stderr
        shutil.copy(SOURCES / "peer.py", cls.folder)
        cls.peer = ["/usr/bin/python3", cls.folder / "peer.py"]
        cls.port, cls.log = free_port(), cls.folder / "asked"
        server = Process([*cls.peer, "server", cls.port, cls.set, cls.log], cls.folder / "log")
        cls.addClassCleanup(server.stop)
        wait_until(lambda: answers(cls.port), "the server accepts connections")
        cls.known = http_resource("orders", cls.port, "  protoDescriptor: orders.pb\n")
        cls.unknown = http_resource("orders", cls.port)
        cls.chaperone = Chaperone(cls.folder, POLICY, cls.known, prepare=cls.add_descriptors)
        cls.chaperone.__enter__()
        cls.addClassCleanup(lambda: cls.chaperone.__exit__(None, None, None))

    @classmethod
    def add_descriptors(cls, root):
        shutil.copy(cls.set, root / "etc/chaperone/bundle/orders.pb")

    def apply(self, resources):
        self.chaperone.documents["resources.yaml"] = resources
        self.chaperone.write_bundle()
        self.add_descriptors(self.chaperone.root)
        self.chaperone.ok("policy", "apply", self.chaperone.root / "etc/chaperone/bundle")

    def ask(self, call):
        done = self.chaperone.agent([*self.peer, "client", self.port, self.set, call], timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def masked(self, number):
        return {"id": str(number), "customer": {"email": "[REDACTED]", "name": "Ann"},
                "notes": ["call <US_SSN>", "tea"], "labels": {"mail": "[REDACTED]", "size": "L"},
                "extra": {"@type": "type.googleapis.com/shop.v1.Customer",
                          "email": "<EMAIL_ADDRESS>", "name": "Eve"}}

    def test_a_call(self):
        metadata, answer = self.ask("Get")
        self.assertEqual(json.loads(answer), self.masked(3))
        self.assertEqual(metadata, "['x-plain']", "what is binary does not pass")
        self.assertEqual(self.log.read_text().splitlines()[-1], "mail to <EMAIL_ADDRESS>")

    def test_a_stream(self):
        self.assertEqual([json.loads(each) for each in self.ask("Watch")],
                         [self.masked(number) for number in (1, 2, 3)])

    def test_an_error(self):
        [error] = self.ask("Fails")
        self.assertTrue(error.startswith("NOT_FOUND no order of <US_SSN>"), error)
        self.assertNotIn("x-details-bin", error)

    def test_a_method_that_the_schema_lacks(self):
        asked = self.log.read_text()
        [error] = self.ask("Other")
        self.assertIn("lacks its method", error)
        self.assertEqual(self.log.read_text(), asked, "it did not reach the server")

    def test_without_a_schema(self):
        self.addCleanup(self.apply, self.known)
        self.apply(self.unknown)
        [error] = self.ask("Get")
        self.assertIn("protoDescriptor", error)


if __name__ == "__main__":
    unittest.main()
