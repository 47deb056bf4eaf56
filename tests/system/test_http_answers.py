# SPDX-License-Identifier: Apache-2.0
"""Servers whose answers are wrong, or hide what a mask should have seen."""
import gzip
import json
import shutil
import unittest
import urllib.parse
import zlib
from pathlib import Path

from harness import Chaperone, folder_of
from http_servers import http_resource
from raw_server import RawServer, read_head

HERE = Path(__file__).parent
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - id: masked
    when: 'http.path.startsWith("/masked")'
    mask: [{detect: [EMAIL_ADDRESS], with: redact}]
  - {id: rest, allow: {}}
"""
MAIL = b"ann@shop.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECOND = b"HTTP/1.1 200 OK\r\nX-Answers: behind\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbehind"


def answer(body, fields=b"", status=b"200 OK"):
    return (b"HTTP/1.1 " + status + b"\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) +
            body)


def typed(kind, body, fields=b""):
    return answer(body, b"Content-Type: " + kind + b"\r\n" + fields)


SMUGGLED = b"HTTP/1.1 200 OK\r\nX-Smuggled: yes\r\nContent-Length: 1\r\n\r\nx"
# What is said, and whether the agent may see anything of it but an answer of ours.
WRONG = {
    "cl-te": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
             + SMUGGLED,
    "cl-twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok" + SMUGGLED,
    "cl-list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok" + SMUGGLED,
    "cl-sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok" + SMUGGLED,
    "te-gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "te-old": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "fold": b"HTTP/1.1 200 OK\r\n X-Smuggled: a\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "fold-length": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n 2\r\n\r\nok" + SMUGGLED,
    "lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + SMUGGLED,
    "lf-inside": b"HTTP/1.1 200 OK\r\nX: a\nX-Smuggled: b\r\nContent-Length: 0\r\n\r\n",
    "cr-inside": b"HTTP/1.1 200 OK\r\nX: a\rX-Smuggled: b\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0X-Smuggled\r\nContent-Length: 0\r\n\r\n",
    "space-name": b"HTTP/1.1 200 OK\r\nX-Smuggled : b\r\nContent-Length: 0\r\n\r\n",
    "status-099": b"HTTP/1.1 099 X-Smuggled\r\nContent-Length: 0\r\n\r\n",
    "status-2": b"HTTP/1.1 2 X-Smuggled\r\nContent-Length: 0\r\n\r\n",
    "status-2000": b"HTTP/1.1 2000 X-Smuggled\r\nContent-Length: 0\r\n\r\n",
    "version-2": b"HTTP/2.0 200 X-Smuggled\r\nContent-Length: 0\r\n\r\n",
    "version-09": b"X-Smuggled of HTTP/0.9",
    "icy": b"ICY 200 X-Smuggled\r\n\r\n",
    "101-unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                   b"Upgrade\r\nX-Smuggled: 1\r\n\r\n" + SMUGGLED,
    "head-body": answer(b"hello") + SMUGGLED,
    "204-body": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "304-body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "100-then-nothing-right": b"HTTP/1.1 100 Continue\r\n\r\nX-Smuggled\r\n\r\n",
    "large-head": b"HTTP/1.1 200 OK\r\nX-Smuggled: " + b"a" * 200_000 + b"\r\n\r\n",
    "many-fields": b"HTTP/1.1 200 OK\r\n" + b"X-Smuggled: a\r\n" * 5000 + b"\r\n",
}
BROKEN_BODIES = {
    "chunk-sign": b"+5\r\nhello\r\n0\r\n\r\n", "chunk-lf": b"5\nhello\n0\n\n",
    "chunk-space": b"5 \r\nhello\r\n0\r\n\r\n", "chunk-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk-overflow": b"ffffffffffffffff1\r\nhello", "chunk-long": b"5\r\nhelloX\r\n0\r\n\r\n",
    "chunk-ext-lf": b"5;a\nb\r\nhello\r\n0\r\n\r\n", "trailer-cl":
    b"0\r\nContent-Length: 5\r\n\r\n", "trailer-fold": b"0\r\nX: 1\r\n 2\r\n\r\n",
}
PNG = b"\x89PNG\r\n\x1a\n\0\0"
ENCODED = urllib.parse.quote(MAIL.decode(), safe="").encode()
ESCAPED = MAIL.replace(b"@", b"\\u0040")
# Answers under a mask in which the address must not be found, however they are read.
HIDING = {
    "reason": answer(b"ok", status=b"200 " + MAIL),
    "reason-204": b"HTTP/1.1 204 " + MAIL + b"\r\n\r\n",
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: <mailto:" + MAIL + b">\r\n\r\n" + OK,
    "100-fields": b"HTTP/1.1 100 Continue\r\nX: " + MAIL + b"\r\n\r\n" + OK,
    "100-reason": b"HTTP/1.1 100 " + MAIL + b"\r\n\r\n" + OK,
    "field": answer(b"ok", b"X: " + MAIL + b"\r\n"),
    "server": answer(b"ok", b"Server: " + MAIL + b"\r\n"),
    "cookie": answer(b"ok", b"Set-Cookie: u=" + MAIL + b"; Path=/\r\n"),
    "cookie-encoded": answer(b"ok", b"Set-Cookie: u=" + ENCODED + b"; Path=/\r\n"),
    "location": answer(b"", b"Location: /u?m=" + MAIL + b"\r\n", b"302 Found"),
    "location-encoded": answer(b"", b"Location: /u?m=" + ENCODED + b"&x=%0d%0aX:y\r\n",
                               b"302 Found"),
    "trailer": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"2\r\nok\r\n0\r\nX: " + MAIL + b"\r\n\r\n",
    "trailer-digest": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked"
                      b"\r\n\r\n10\r\n" + MAIL + b"\r\n0\r\nRepr-Digest: sha-256=:AAAA:\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" +
              b"".join(b"1\r\n%c\r\n" % c for c in MAIL) + b"0\r\n\r\n",
    "error-page": answer(MAIL, b"Content-Type: text/html\r\n", b"500 Oops"),
    "no-type": answer(MAIL), "octets": typed(b"application/octet-stream", b"\1\xff" + MAIL),
    "image-that-is-text": typed(b"image/png", b"id,mail\n1," + MAIL),
    "video-that-is-json": typed(b"video/mp4", b'{"m":"' + MAIL + b'"}'),
    "utf-16": typed(b"text/plain; charset=utf-16", MAIL.decode().encode("utf-16")),
    "utf-16-bom": typed(b"text/plain", MAIL.decode().encode("utf-16")),
    "utf-16-no-bom": typed(b"text/plain", MAIL.decode().encode("utf-16-le")),
    "utf-16-late": typed(b"text/html", b"\xe4\xb8\xad" + MAIL.decode().encode("utf-16-be")),
    "utf-32": typed(b"text/plain", MAIL.decode().encode("utf-32-le")),
    "utf-16-octets": typed(b"application/octet-stream", MAIL.decode().encode("utf-16-le")),
    "utf-16-json": typed(b"application/json", json.dumps({"m": MAIL.decode()}).encode("utf-16-le")),
    "utf-7": typed(b"text/html; charset=utf-7", MAIL.decode().encode("utf-7")),
    "bom-json": typed(b"application/json", b'\xef\xbb\xbf{"m":"' + ESCAPED + b'"}'),
    "escaped": typed(b"application/json", b'{"m":"' + ESCAPED + b'"}'),
    "escaped-name": typed(b"application/json", b'{"' + ESCAPED + b'":1}'),
    "twice": typed(b"application/json", b'{"m":"' + MAIL + b'","m":"' + ESCAPED + b'"}'),
    "deep": typed(b"application/json", b"[" * 5000 + b'"' + MAIL + b'"' + b"]" * 5000),
    "gzip": typed(b"text/plain", gzip.compress(MAIL), b"Content-Encoding: gzip\r\n"),
    "gzip-twice": typed(b"text/plain", gzip.compress(gzip.compress(MAIL)),
                        b"Content-Encoding: gzip, gzip\r\n"),
    "gzip-two-fields": typed(b"text/plain", gzip.compress(gzip.compress(MAIL)),
                             b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"),
    "gzip-members": typed(b"text/plain", gzip.compress(MAIL[:5]) + gzip.compress(MAIL[5:]),
                          b"Content-Encoding: gzip\r\n"),
    "gzip-unsaid": typed(b"text/plain", MAIL, b"Content-Encoding: gzip\r\n"),
    "gzip-rubbish-behind": typed(b"text/plain", gzip.compress(b"ok") + MAIL,
                                 b"Content-Encoding: gzip\r\n"),
    "deflate": typed(b"text/plain", zlib.compress(MAIL), b"Content-Encoding: deflate\r\n"),
    "deflate-raw": typed(b"text/plain", zlib.compress(MAIL)[2:-4],
                         b"Content-Encoding: deflate\r\n"),
    "coding-unknown": typed(b"text/plain", MAIL, b"Content-Encoding: aws-chunked\r\n"),
    "coding-empty": typed(b"text/plain", MAIL, b"Content-Encoding: ,identity,,\r\n"),
    "ranges": typed(b"multipart/byteranges; boundary=x", b"--x\r\n\r\n" + MAIL + b"\r\n--x--\r\n"),
    "part": answer(MAIL, b"Content-Range: bytes 0-15/99\r\n", b"206 Partial Content"),
    "until-close": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + MAIL,
    "old": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + MAIL,
    "etag": typed(b"text/plain", MAIL, b'ETag: "x"\r\nDigest: a=b\r\nContent-MD5: x\r\n'
                                       b"x-amz-checksum-crc32: AAAA\r\nx-goog-hash: crc32c=AA\r\n"),
}
KEPT = {
    "image": (typed(b"image/png", PNG + MAIL), PNG + MAIL),
    "plain": (typed(b"text/plain", b"nobody is named"), b"nobody is named"),
    "302": (answer(b"", b"Location: /a%20b?x=%2f\r\n", b"302 Found"), b"Location: /a%20b?x=%2f\r\n"),
    "folded": (answer(b"ok", b"X: a\r\n b\r\n"), b"X: a   b\r\n"),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 100 Continue\r\n\r\n"),
}


class Server(RawServer):
    """Answers each path with the bytes that are told of it."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def talk(self, peer, number):
        head, rest = read_head(peer)
        while head is not None:
            path = head.split(b" ")[1].decode()
            said = self.answers.get(path.rsplit("/", 1)[-1], SECOND)
            peer.sendall(said)
            if said is SECOND or b"Content-Length" not in said and b"chunked" not in said:
                return
            head, rest = read_head(peer, rest)


class Answers(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        shutil.copytree(HERE / "http_clients", cls.folder / "http_clients")
        chunked = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        answers = {"two": OK + SMUGGLED, **WRONG, **HIDING, **{k: v[0] for k, v in KEPT.items()},
                   **{k: chunked + v for k, v in BROKEN_BODIES.items()}}
        cls.server = cls.enterClassContext(Server(answers))
        resource = http_resource("web", cls.server.port).removesuffix("---\n")
        cls.chaperone = cls.enterClassContext(Chaperone(cls.folder, POLICY, resource))

    def told(self, names, path, method="GET", **more):
        rows = "".join(json.dumps({"path": f"{path}/{name}", "method": method, **more}) + "\n"
                       for name in names)
        done = self.chaperone.agent(["/usr/bin/python3", self.folder / "http_clients/answers.py",
                                     self.server.port], input=rows, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr + self.chaperone.log()[-1500:])
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), len(names))
        return {name: bytes.fromhex(line) for name, line in zip(names, lines)}

    def test_nothing_that_is_wrong_is_passed_on(self):
        for path in ("/plain", "/masked"):
            for name, got in self.told(WRONG, path).items():
                if name == "head-body":
                    continue
                self.assertNotIn(b"X-Smuggled", got, (path, name))
                self.assertIn(got.count(b"HTTP/1.1 "), (1, 2), (path, name, got))
            got = self.told(["head-body"], path, "HEAD")["head-body"]
            self.assertNotIn(b"X-Smuggled", got)
            self.assertNotIn(b"hello", got)
            # To one question there is one answer; who asks twice at once cannot tell.
            got = self.told(["two"], path, alone=True)["two"]
            self.assertEqual(got.count(b"HTTP/1.1 "), 1, got)
            self.assertNotIn(b"X-Smuggled", got)

    def test_bodies_that_are_wrong_end_the_connection(self):
        for path in ("/plain", "/masked"):
            for name, got in self.told(BROKEN_BODIES, path).items():
                self.assertNotIn(b"behind", got, (path, name))
                self.assertFalse(got.endswith(b"0\r\n\r\n"), (path, name))

    @staticmethod
    def readings(got):
        """What a reader may make of an answer: chunks joined, codings undone, escapes resolved."""
        made = [got]
        head, _, body = got.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            joined, rest = b"", body
            while b"\r\n" in rest:
                size, _, rest = rest.partition(b"\r\n")
                try:
                    size = int(size.split(b";")[0], 16)
                except ValueError:
                    break
                joined, rest = joined + rest[:size], rest[size + 2:]
            made.append(joined)
        for text in list(made) + [body]:
            for window in (31, 15, -15):
                try:
                    once = zlib.decompress(text, window)
                    made.append(once)
                    made.append(zlib.decompress(once, window))
                except zlib.error:
                    pass
        made += [urllib.parse.unquote_to_bytes(text) for text in list(made)]
        made += [text.replace(b"\0", b"") for text in list(made)]
        return made + [text.replace(b"\\u0040", b"@") for text in list(made)]

    def test_a_mask_sees_whatever_the_agent_does(self):
        for name, got in self.told(HIDING, "/masked").items():
            self.assertTrue(got.startswith(b"HTTP/1."), name)
            for reading in self.readings(got):
                self.assertNotIn(MAIL, reading, name)
            self.assertNotIn(b"\r\nX:y", got, name)
            for proof in (b"etag:", b"digest:", b"content-md5:", b"x-amz-checksum", b"x-goog-hash"):
                self.assertNotIn(proof, got.lower(), name)
        # The rig's own check: without a mask it finds each of them.
        for name, got in self.told(HIDING, "/plain").items():
            if name not in ("etag", "trailer-digest", "utf-7", "gzip-members"):
                self.assertTrue(any(MAIL in reading for reading in self.readings(got)), name)

    def test_what_holds_nothing_stays_as_it_was(self):
        for name, got in self.told(KEPT, "/masked").items():
            self.assertIn(KEPT[name][1], b"".join(self.readings(got)), name)


if __name__ == "__main__":
    unittest.main()
