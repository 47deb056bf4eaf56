# SPDX-License-Identifier: Apache-2.0
"""What a WebSocket may hear (RFC 6455, RFC 7692), case by case, in the order of the Autobahn test
suite: (name, frames of the client, messages that are echoed, code of the close).

The code is what the one in the middle, or the echoing server, ends with. A case whose code is 1000
ends with the client's own Close, which is added here."""
import zlib

from frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, deflated, frame

WORD = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!".encode()
BYE = frame(CLOSE, close(1000), mask=True)


def up(*parts):
    return b"".join(frame(*part[:2], mask=True, **(part[2] if len(part) > 2 else {}))
                    for part in parts)


def text(payload):
    return (TEXT, payload)


def fine(name, raw, *messages, code=1000):
    return name, raw + (BYE if code == 1000 else b""), list(messages), code


def echoes():
    """Cases 1, 2, 5: what must come back."""
    for opcode in (TEXT, BINARY):
        for size in (0, 125, 126, 127, 128, 65535, 65536):
            data = b"*" * size if opcode == TEXT else b"\xfe" * size
            yield fine(f"1-{opcode}-{size}", up((opcode, data)), (opcode, data))
    for size in (0, 1, 125):
        yield fine(f"2-ping-{size}", up((PING, b"\xfe" * size)))
    yield fine("2-ten-pings", up(*((PING, b"%d" % i) for i in range(10))))
    yield fine("2-pong-unasked", up((PONG, b""), (PONG, b"unasked"), (PING, b"asked")))
    more = {"fin": False}
    yield fine("5-two-parts", up((TEXT, b"one", more), (CONT, b"two")), (TEXT, b"onetwo"))
    yield fine("5-ping-between", up((TEXT, b"one", more), (PING, b"ping"), (CONT, b"two")),
               (TEXT, b"onetwo"))
    yield fine("5-many-pings", up((TEXT, b"one", more), (PING, b"a"), (CONT, b"two", more),
                                  (PING, b"b"), (PONG, b""), (CONT, b"three")),
               (TEXT, b"onetwothree"))
    yield fine("5-empty-parts", up((TEXT, b"", more), (CONT, b"", more), (CONT, b"")), (TEXT, b""))
    yield fine("5-empty-and-one", up((TEXT, b"", more), (CONT, b"middle", more), (CONT, b"")),
               (TEXT, b"middle"))
    yield fine("5-tiny", up((TEXT, b"a", more), *((CONT, b"b", more) for _ in range(2000)),
                            (CONT, b"")), (TEXT, b"a" + b"b" * 2000))
    yield fine("6-valid", up(text(WORD)), (TEXT, WORD))
    yield fine("6-cut-in-a-character", up((TEXT, WORD[:7], more), (CONT, WORD[7:])), (TEXT, WORD))
    yield fine("6-each-octet", up((TEXT, WORD[:1], more),
                                  *((CONT, WORD[i:i + 1], more) for i in range(1, len(WORD))),
                                  (CONT, b"")), (TEXT, WORD))
    for name, point in (("nul", 0), ("7f", 0x7f), ("80", 0x80), ("7ff", 0x7ff), ("800", 0x800),
                        ("d7ff", 0xd7ff), ("e000", 0xe000), ("fffd", 0xfffd), ("ffff", 0xffff),
                        ("10000", 0x10000), ("10ffff", 0x10ffff), ("fdd0", 0xfdd0),
                        ("1fffe", 0x1fffe)):
        data = chr(point).encode()
        yield fine(f"6-{name}", up(text(data)), (TEXT, data))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
                 4000, 4999):
        yield f"7-code-{code}", up((CLOSE, close(code))), [], code
    yield "7-no-code", up((CLOSE, b"")), [], None
    yield "7-reason", up((CLOSE, close(1000, b"*" * 123))), [], 1000
    yield "7-message-then-close", up(text(b"x"), (CLOSE, close(1000))), [(TEXT, b"x")], 1000
    yield "7-behind-a-close", up((CLOSE, close(1000)), text(b"late"), (PING, b"late")), [], 1000
    yield "7-two-closes", up((CLOSE, close(1000)), (CLOSE, close(1001))), [], 1000
    yield "7-close-in-a-message", up((TEXT, b"half", more), (CLOSE, close(1000))), [], 1000


def broken():
    """Cases 2 to 7: what ends the connection whoever looks."""
    more = {"fin": False}
    wrong = {
        "2-ping-126": up((PING, b"\xfe" * 126)),
        "2-ping-in-16-bits": up((PING, b"x", {"form": 16})),
        "5-ping-in-parts": up((PING, b"a", more), (CONT, b"b")),
        "5-pong-in-parts": up((PONG, b"a", more), (CONT, b"b")),
        "5-continues-nothing": up((CONT, b"x")),
        "5-continues-nothing-open": up((CONT, b"x", more)),
        "5-text-in-a-message": up((TEXT, b"x", more), (TEXT, b"y")),
        "5-binary-in-a-message": up((TEXT, b"x", more), (BINARY, b"y")),
        "7-close-one-octet": up((CLOSE, b"\3")),
        "7-close-126": up((CLOSE, close(1000, b"*" * 124))),
        "7-close-not-utf8": up((CLOSE, close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"))),
        "7-close-in-parts": up((CLOSE, close(1000), more)),
        "length-16-not-least": up((TEXT, b"x" * 125, {"form": 16})),
        "length-64-not-least": up((TEXT, b"x" * 126, {"form": 64})),
        "length-63-bits": up((TEXT, b"x", {"length": 1 << 63, "form": 64})),
        "not-masked": frame(TEXT, b"x"),
        "ping-not-masked": frame(PING, b"x"),
    }
    for rsv in range(1, 8):
        wrong[f"3-rsv-{rsv}"] = up((TEXT, b"x", {"rsv": rsv}))
        wrong[f"3-rsv-{rsv}-ping"] = up((PING, b"x", {"rsv": rsv}))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        wrong[f"4-opcode-{opcode}"] = up((opcode, b""))
        wrong[f"4-opcode-{opcode}-payload"] = up((opcode, b"reserved"))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        wrong[f"7-code-{code}"] = up((CLOSE, close(code)))
    for name, raw in wrong.items():
        yield name, up(text(b"before")) + raw + up(text(b"behind")), [(TEXT, b"before")], 1002


NOT_UTF8 = (b"\xcf", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", b"\x80", b"\xbf",
            b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xc0\xaf",
            b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xad\xbf", b"\xed\xbe\x80", b"\xc1\xbf",
            b"\xf7\xbf\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xf0\x90\x80", b"\xe2\x82")


def not_utf8():
    """Case 6 where messages are read; each is told as soon as it is certain."""
    for number, data in enumerate(NOT_UTF8):
        yield f"6-wrong-{number}", up(text(b"before"), text(data)), [(TEXT, b"before")], 1007
        # More is still to come: the end is not waited for (but for a character that is not whole).
        if number in (0, len(NOT_UTF8) - 1, len(NOT_UTF8) - 2):
            continue
        yield (f"6-wrong-{number}-fails-fast",
               up((TEXT, data + b"x", {"fin": False})), [], 1007)


def packed(takeover, bits):
    """Cases 12 and 13: one packer over all messages, or one for each."""
    def packer():
        return zlib.compressobj(6, zlib.DEFLATED, -bits)

    one, raw, expected = packer(), b"", []
    for size in (0, 1, 16, 64, 256, 1024, 4096, 32768, 131072):
        for content in (b'{"id": %d, "what": "tea"}' % size * (size // 25 + 1),
                        bytes(i * 7 % 95 + 32 for i in range(size))):
            content = content[:size]
            if not takeover:
                one = packer()
            data = deflated(content, one)
            cut = len(data) // 2
            raw += up((TEXT, data[:cut], {"fin": False, "rsv": 4}), (PING, b"p"),
                      (CONT, data[cut:]))
            expected.append((TEXT, content))
    raw += up((BINARY, b"not packed"))
    expected.append((BINARY, b"not packed"))
    return fine(f"12-{'takeover' if takeover else 'none'}-{bits}", raw, *expected)


def broken_packing():
    good = deflated(b"fine")
    bomb = deflated(b"\0" * 50_000_000)
    return [
        ("rubbish", up((TEXT, b"\xff\xff\xff\xff", {"rsv": 4})), 1002),
        ("continuation", up((TEXT, good[:2], {"rsv": 4, "fin": False}),
                            (CONT, good[2:], {"rsv": 4})), 1002),
        ("ping", up((PING, good, {"rsv": 4})), 1002),
        ("bomb", up((BINARY, bomb, {"rsv": 4})), 1009),
        ("bomb-in-parts", up((BINARY, bomb[:10], {"rsv": 4, "fin": False}),
                             *((CONT, bomb[i:i + 500], {"fin": False})
                               for i in range(10, len(bomb), 500)), (CONT, b"")), 1009),
        ("not-utf8", up((TEXT, deflated(b"\xff\xfe"), {"rsv": 4})), 1007),
        ("not-utf8-fails-fast", up((TEXT, deflated(b"\xff\xfe" * 9), {"rsv": 4, "fin": False})),
         1007),
    ]
