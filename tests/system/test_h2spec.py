# SPDX-License-Identifier: Apache-2.0
"""h2spec, the conformance suite of HTTP/2, as an agent towards a real nghttpd: in clear text and
within TLS."""
import os
import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

from harness import ALLOW_ALL, Chaperone, Process, free_port, make_ca, wait_until
from http_servers import answers


class H2Spec(unittest.TestCase):
    # A self-dependency is an error of RFC 7540, whose priorities RFC 9113 has taken away.
    NOT_OURS = {"http2/5.3.1"}

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o777)
        (self.folder / "www").mkdir()
        (self.folder / "www/index.html").write_text("the page\n" * 100)
        make_ca(self.folder)

    def serve(self, *args):
        port = free_port()
        server = Process(["nghttpd", "-d", self.folder / "www", *args[:1], port, *args[1:]],
                         self.folder / "server.log")
        self.addCleanup(server.stop)
        wait_until(lambda: answers(port), "nghttpd accepts connections")
        made = Chaperone(self.folder / "case", ALLOW_ALL, (
            "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: web}\nspec:\n"
            f"  protocol: http\n  hosts: [127.0.0.1, localhost]\n  ports: [{port}]\n"
            "  upstream: {tls: {ca: ca.pem}}\n"))
        made.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
        self.enterContext(made)
        self.chaperone = made
        return port

    def failed(self, port, *args):
        program = self.folder / "h2spec"
        shutil.copy(shutil.which("h2spec"), program)
        os.chmod(program, 0o755)
        report = self.folder / "report.xml"
        done = self.chaperone.agent([program, "-h", "localhost", "-p", port, "-o", 5, "-j",
                                     report, *args], timeout=180)
        # It writes what was received as it came.
        text = re.sub("[^\t\n -\ud7ff\ue000-\ufffd]", "?",
                      report.read_bytes().decode(errors="replace"))
        cases = list(xml.etree.ElementTree.fromstring(text).iter("testcase"))
        self.assertGreater(len(cases), 140, done.stdout[-2000:] + done.stderr)
        bad = {(c.get("package"), c.get("classname")) for c in cases
               if c.find("failure") is not None or c.find("error") is not None}
        return sorted(bad)

    def test_within_tls(self):
        failed = self.failed(self.serve("-v", self.folder / "server.key",
                                        self.folder / "server.pem"), "-t", "-k")
        self.assertEqual([f for f in failed if f[0] not in self.NOT_OURS], [])

    def test_in_clear_text(self):
        # A port that takes HTTP/1.1, too, answers a wrong preface in that.
        failed = self.failed(self.serve("--no-tls"))
        self.assertEqual([f for f in failed if f[0] not in self.NOT_OURS | {"http2/3.5"}], [])


if __name__ == "__main__":
    unittest.main()
