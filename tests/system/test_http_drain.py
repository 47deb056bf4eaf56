# SPDX-License-Identifier: Apache-2.0
"""The daemon stops under running requests: answers that have begun come to their end, whatever the
version of HTTP, clients on idle connections notice nothing, and it does not take for ever."""
import os
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

from harness import ALLOW_ALL, Chaperone, Process, free_port, make_ca, wait_until
from http_servers import answers

HERE = Path(__file__).parent / "http2_tls"


class Drain(unittest.TestCase):
    def start(self, drain):
        folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        make_ca(folder)
        port = free_port()
        server = Process(["node", HERE / "server.mjs", port, folder / "server.key",
                          folder / "server.pem"], folder / "server.log")
        self.addCleanup(server.stop)
        wait_until(lambda: answers(port), "the server accepts connections")
        self.chaperone = Chaperone(
            folder, ALLOW_ALL, "apiVersion: chaperone.dev/v1\nkind: Resource\n"
            "metadata: {name: web}\nspec:\n  protocol: http\n  hosts: [localhost, 127.0.0.1]\n"
            f"  ports: [{port}]\n  upstream: {{tls: {{ca: ca.pem}}}}\n",
            config=f"limits: {{drain: {drain}}}\n")
        self.chaperone.documents["ca.pem"] = (folder / "ca.pem").read_text()
        self.enterContext(self.chaperone)
        self.url = f"https://localhost:{port}"

    def begin(self, pieces, *flags):
        """A client that is in the middle of an answer."""
        client = self.chaperone.popen_agent(["curl", "-sS", "-N", *flags,
                                             f"{self.url}/slowly/{pieces}"])
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertTrue(client.stdout.readline().startswith("piece"))
        return client

    def test_answers_come_to_their_end(self):
        self.start("30s")
        clients = [self.begin(60, flag) for flag in ("--http2", "--http1.1")]
        self.chaperone.daemon.process.send_signal(signal.SIGTERM)
        for client in clients:
            out, err = client.communicate(timeout=60)
            self.assertEqual(client.returncode, 0, err)
            self.assertEqual(out.splitlines()[-1], "piece 0")
            self.assertEqual(len(out.splitlines()), 59)
        self.assertEqual(self.chaperone.daemon.process.wait(20), 0)

    def test_it_does_not_take_for_ever(self):
        self.start("1s")
        clients = [self.begin(10_000, flag) for flag in ("--http2", "--http1.1")]
        began = time.monotonic()
        self.assertEqual(self.chaperone.daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        for client in clients:
            client.communicate(timeout=30)
            self.assertNotEqual(client.returncode, 0)


if __name__ == "__main__":
    unittest.main()
