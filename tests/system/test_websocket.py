# SPDX-License-Identifier: Apache-2.0
"""WebSockets to the letter of RFC 6455 and RFC 7692 through the daemon, from both sides, with rules
that look at messages, with masks, and with nobody who looks."""
import json
import shutil
import sys
import unittest
from pathlib import Path

from harness import Chaperone, Process, folder_of, free_port, wait_until
from http_servers import answers, http_resource

HERE = Path(__file__).resolve().parent / "ws_rig"
sys.path.insert(0, str(HERE))
import cases  # noqa: E402
from frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, deflated, frame  # noqa: E402

from ws_rig.server import Server  # noqa: E402

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: web}
spec:
  rules:
  - id: no-secrets
    when: 'http.path.startsWith("/watched") && ws.opcode == "text" && ws.text.contains("secret")'
    deny: {}
  - id: masked
    when: 'http.path.startsWith("/masked")'
    mask:
    - {detect: [EMAIL_ADDRESS], with: redact}
    - {detect: [EMAIL_ADDRESS], with: redact, in: request}
  - id: by-path
    when: 'http.path.startsWith("/json")'
    mask: [{json: ["$.mail"], with: redact}]
  - {id: rest, allow: {}}
"""
MAIL = "ann@shop.example"
DEFLATE = "permessage-deflate"


class WebSockets(unittest.TestCase):
    version = 1  # of HTTP

    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        shutil.copytree(HERE, cls.folder / "ws_rig")
        cls.server = cls.enterClassContext(Server())
        # Before it, one that speaks HTTP/2 and makes of each stream a connection to it.
        cls.behind = free_port()
        proxy = Process(["nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{cls.behind};no-tls",
                         f"--backend=127.0.0.1,{cls.server.port}", "--workers=1",
                         "--errorlog-file=/dev/stderr"], cls.folder / "nghttpx.log")
        cls.addClassCleanup(proxy.stop)
        wait_until(lambda: answers(cls.behind), "nghttpx accepts connections")
        resources = http_resource("ws", cls.server.port) + http_resource("ws2", cls.behind)
        cls.chaperone = cls.enterClassContext(
            Chaperone(cls.folder, POLICY, resources.removesuffix("---\n")))

    def talk(self, rows):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        which = ("talk.py", self.server.port) if self.version == 1 else ("talk2.py", self.behind)
        done = self.chaperone.agent(["/usr/bin/python3", self.folder / "ws_rig" / which[0],
                                     which[1]], input=text, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr + self.chaperone.log()[-1500:])
        results = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(results), len(rows))
        for one in results:
            for got in one["frames"]:
                got["payload"] = bytes.fromhex(got["payload"])
        return results

    def check(self, path, table, piece=None, whole=True, **more):
        """Messages come back as they were sent, pings are answered, and the end has its code."""
        rows = [{"path": f"{path}?name={path[1:]}-{piece}-{name}", "send": raw.hex(),
                 "piece": piece, **more} for name, raw, _, _ in table]
        for (name, _, messages, code), got in zip(table, self.talk(rows)):
            where = f"{path} {name} in pieces of {piece}: {got['end']}"
            told = [(f["opcode"], f["payload"]) for f in got["frames"]]
            heard = [t for t in told if t[0] < CLOSE]
            # What ends it may overtake the echo of what came before.
            self.assertEqual(heard, messages if whole else messages[:len(heard)], where)
            known = f"{path[1:]}-{piece}-{name}"
            if whole or self.version == 1:
                wait_until(lambda known=known, messages=messages:  # its thread may be behind
                           len(self.server.messages(known)) >= len(messages), where)
            # nghttpx drops what it has not passed on when its client leaves at once.
            reached = self.server.messages(known)
            self.assertEqual(reached, messages[:len(reached)], where)
            closes = [payload for opcode, payload in told if opcode == CLOSE]
            self.assertEqual(len(closes), 1, (where, told[-3:]))
            self.assertEqual(int.from_bytes(closes[0][:2], "big") or None, code, where)
            self.assertEqual(got["end"], "closed", where)

    def test_what_is_right_passes(self):
        table = list(cases.echoes())
        for path in ("/plain", "/watched", "/masked"):
            self.check(path, table)
        short = [row for row in table if len(row[1]) < 3000]
        for path in ("/plain", "/watched"):
            self.check(path, short, piece=1)

    def test_pings_are_answered_in_order(self):
        raw = cases.up(*((PING, b"%d" % i) for i in range(50))) + cases.BYE
        for path in ("/plain", "/watched"):
            (got,) = self.talk([{"path": path, "send": raw.hex()}])
            pongs = [f["payload"] for f in got["frames"] if f["opcode"] == PONG]
            self.assertEqual(pongs, [b"%d" % i for i in range(50)], path)

    def test_what_is_wrong_ends_it(self):
        for path in ("/plain", "/watched", "/masked"):
            self.check(path, list(cases.broken()), piece=7, whole=False)
        for path in ("/watched", "/masked"):
            self.check(path, list(cases.not_utf8()), whole=False)
            self.check(path, list(cases.not_utf8()), piece=1, whole=False)

    def deflated_rows(self, path, agree, table):
        return [{"path": f"{path}?name={path[1:]}-{name}&agree={agree.replace(' ', '')}",
                 "extensions": agree, "send": raw.hex()} for name, raw, *_ in table]

    def test_compression_with_all_its_parameters(self):
        for path in ("/plain", "/watched", "/masked"):
            for takeover in (True, False):
                for bits in (9, 12, 15):
                    agree = f"{DEFLATE}; client_max_window_bits={bits}; server_max_window_bits=15"
                    if not takeover:
                        agree += "; client_no_context_takeover; server_no_context_takeover"
                    row = cases.packed(takeover, bits)
                    name, raw, messages, _ = row
                    send = self.deflated_rows(path, agree, [row])
                    send[0]["path"] = send[0]["path"].replace(";", "%3B")
                    (got,) = self.talk(send)
                    where = f"{path} {agree}: {got['end']} {len(got['frames'])} " \
                            f"{got['frames'][-2:]}"[-300:]
                    self.assertEqual(len(got["agreed"]), 1, where)
                    self.assertEqual(self.server.messages(f"{path[1:]}-{name}"), messages, where)
                    self.assertEqual(self.unpacked(got["frames"], takeover), messages, where)

    @staticmethod
    def unpacked(frames, takeover):
        import zlib
        made, unpacker = [], zlib.decompressobj(-15)
        for one in frames:
            if one["opcode"] >= CLOSE:
                continue
            data = one["payload"]
            if one["rsv"] & 4:
                if not takeover:
                    unpacker = zlib.decompressobj(-15)
                data = unpacker.decompress(data + b"\0\0\xff\xff")
            made.append((one["opcode"], data))
        return made

    def test_broken_compression_ends_it(self):
        table = cases.broken_packing()
        for path in ("/watched", "/masked"):
            for (name, _, code), got in zip(table, self.talk(
                    self.deflated_rows(path, DEFLATE, table))):
                self.assertEqual(self.codes(got), [code], f"{path} {name}")
                self.assertEqual(self.server.messages(f"{path[1:]}-{name}"), [], name)

    @staticmethod
    def codes(got):
        return [int.from_bytes(f["payload"][:2], "big") for f in got["frames"]
                if f["opcode"] == CLOSE]

    def said(self, path, frames, **more):
        """What an agent hears of a server that says this."""
        rows = [{"path": f"{path}?name=said-{path[1:]}-{i}&say="
                 f"{(raw + frame(CLOSE, close(1000))).hex()}",
                 "send": "", "polite": True, **more} for i, raw in enumerate(frames)]
        return self.talk(rows)

    def test_a_server_that_is_wrong_ends_it(self):
        wrong = [frame(TEXT, b"x", mask=True), frame(3, b""), frame(TEXT, b"x", rsv=2),
                 frame(CONT, b"x"), frame(PING, b"x" * 126), frame(CLOSE, b"\3"),
                 frame(CLOSE, close(1005)), frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
                 frame(TEXT, b"x", length=1 << 63, form=64), frame(TEXT, b"x" * 9, form=16)]
        for path in ("/plain", "/watched", "/masked"):
            for number, got in enumerate(self.said(path, wrong)):
                self.assertEqual(self.codes(got), [1002], (path, number))
                self.assertEqual(got["end"], "closed", (path, number))
        for path in ("/watched", "/masked"):
            texts = [frame(TEXT, data) for data in cases.NOT_UTF8]
            for number, got in enumerate(self.said(path, texts)):
                self.assertEqual(self.codes(got), [1007], (path, number))

    def test_masks_reach_whatever_an_agent_reads_as_text(self):
        escaped = MAIL.replace("@", "\\u0040").encode()
        told = [frame(TEXT, MAIL.encode()), frame(BINARY, MAIL.encode()),
                frame(BINARY, b"\0\1\xff" + MAIL.encode() + b"\xfe"),
                frame(BINARY, json.dumps({"mail": MAIL}).encode()),
                frame(TEXT, b'{"mail": "' + escaped + b'"}'),
                frame(BINARY, b'{"mail": "' + escaped + b'"}'),
                frame(TEXT, b'\xef\xbb\xbf{"mail": "' + escaped + b'"}'),
                frame(TEXT, b'"' + escaped + b'"'),
                frame(TEXT, MAIL[:5].encode(), fin=False) + frame(PING, b"") +
                frame(CONT, MAIL[5:].encode()),
                frame(BINARY, MAIL.encode("utf-16")), frame(BINARY, MAIL.encode("utf-16-le")),
                frame(PING, MAIL.encode()), frame(PONG, MAIL.encode()),
                frame(CLOSE, close(1000, MAIL.encode()))]
        for number, got in enumerate(self.said("/masked", told)):
            text = b"".join(f["payload"] for f in got["frames"]).replace(b"\0", b"")
            self.assertNotIn(MAIL.encode(), text, number)
            self.assertNotIn(escaped, text, number)
        # And what is said of the handshake, which stays one.
        field = "x-who:%20" + MAIL + "%0d%0a"
        rows = [{"path": f"{path}?head={field}", "send": cases.BYE.hex()}
                for path in ("/masked", "/plain")]
        for got, is_seen in zip(self.talk(rows), (False, True)):
            self.assertEqual(MAIL in got["head"], is_seen, got["head"])
            self.assertEqual(self.codes(got), [1000])
        for number, got in enumerate(self.said("/json", told[:7])):
            text = b"".join(f["payload"] for f in got["frames"])
            self.assertNotIn(MAIL.encode(), text, number)
            self.assertNotIn(escaped, text, number)


class WebSocketsInStreams(WebSockets):
    """The same over HTTP/2 (RFC 8441)."""

    version = 2


if __name__ == "__main__":
    unittest.main()
