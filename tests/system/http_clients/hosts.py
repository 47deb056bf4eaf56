# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: names a host in every spelling, at every place where a request has one. Prints,
one JSON object a line, the place, the spelling, the status (0: no answer) and the page that came.
Arguments: ports for HTTP/1.1, for HTTP/2 in clear text, and within TLS."""
import json
import socket
import ssl
import sys

from attacks import HEADERS, PREFACE, SETTINGS, exactly, frame
from hpack import Decoder, Encoder

ADDRESS = ("127.0.0.9", "127.0.9", "127.9", "2130706441", "0x7f000009", "0x7f.0.0.9", "0x7f.9",
           "0X7F.0.0.9", "017700000011", "0177.0.0.011", "0177.9", "127.0.0.011", "127.0.0.0x9",
           "127.00.0.9", "0127.0.0.9", "127.0.0.9.", "127.0.0.9..", "[::ffff:127.0.0.9]",
           "[::ffff:7f00:9]", "[0:0:0:0:0:FFFF:7F00:0009]", "[::ffff:127.9]", "[::127.0.0.9]",
           "[::ffff:127.0.0.9%25lo]", "[::ffff:127.0.0.9%lo]", "127.0.0.9%00", "127%2e0.0.9",
           "%31%32%37.0.0.9", "\uff11\uff12\uff17.0.0.9", "127\u30020\u30020\u30029",
           "127\uff0e0\uff0e0\uff0e9", "\u2460\u2461\u2466.0.0.9")
NAME = ("inner.internal", "INNER.internal", "Inner.Internal", "inner.internal.", "inner.internal..",
        ".inner.internal", "inner%2einternal", "%69nner.internal", "inner.internal%00",
        "inner.internal%20", "inner\u3002internal", "inner\uff0einternal", "\uff49nner.internal",
        "in\u00adner.internal", "in\u200bner.internal", "\u24d8nner.internal", "inner.internal\u00a0",
        "inner.internal/", "inner.internal\\", "inner.internal?", "inner.internal#",
        "inner.internal;x", "inner.internal,127.0.0.1", "127.0.0.1,inner.internal",
        "127.0.0.1 inner.internal", "x@inner.internal", "127.0.0.1@inner.internal",
        "inner.internal@127.0.0.1", "x:y@inner.internal", "[inner.internal]", "inner.internal:",
        "http://inner.internal", "//inner.internal", "inner.internal\t", "'inner.internal'",
        '"inner.internal"', "inner.internal|")
PORTS = ("", ":{}", ":0{}", ":00000{}", ":{}.", ":+{}", ":0x50", ":65536", ":-1", ": {}", ":{} ", ":",
         ":{}:{}", ":\uff18\uff10", ":%38%30", ":0", ":99999999999999999999")


def spellings(port):
    return [*ADDRESS, *NAME, *[host + end.replace("{}", str(port)) for end in PORTS[1:]
                               for host in ("127.0.0.9", "inner.internal")]]


def read_answer(peer):
    data = b""
    try:
        while b" page\n" not in data:
            piece = peer.recv(65536)
            if not piece:
                break
            data += piece
            head, mark, body = data.partition(b"\r\n\r\n")
            if mark and not head.startswith(b"HTTP/1.1 200"):
                break
    except OSError:
        pass
    words = data.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return status, "inner" if b"the inner page" in data else "another" if b"another page" in data else ""


def get(host, target="/", before=b""):
    return before + b"GET " + target.encode() + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n"


def http1(port, *requests):
    """The answer to the last of them; the others' are read before it is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        answer = 0, ""
        for request in requests:
            peer.sendall(request)
            answer = read_answer(peer)
        return answer


def http2(peer, fields):
    block = Encoder().encode([(k, v.encode()) for k, v in fields])
    data = b""
    decoder, status = Decoder(), 0
    try:
        peer.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, block))
        while True:
            head = exactly(peer, 9)
            payload = exactly(peer, int.from_bytes(head[:3], "big"))
            if head[3] == HEADERS:
                status = int(dict(decoder.decode(payload))[":status"])
            if head[3] == 0:
                data += payload
            if head[3] in (3, 7) or (head[3] in (0, HEADERS) and head[4] & 1):
                break
    except (OSError, ConnectionError):
        pass
    return status, "inner" if b"the inner page" in data else "another" if b"another page" in data else ""


def clear(port, fields):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        return http2(peer, fields)


def within_tls(port, name, talk, alpn):
    context = ssl.create_default_context()
    context.set_alpn_protocols([alpn])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname=name) as peer:
                return talk(peer)
    except (OSError, ValueError):
        return 0, ""


def talk1(request):
    def talk(peer):
        peer.sendall(request)
        return read_answer(peer)
    return talk


def fields(authority, **more):
    all_fields = {":method": "GET", ":scheme": "http", ":authority": authority, ":path": "/", **more}
    return [(k, v) for k, v in all_fields.items() if v is not None]


def places(plain, h2, secure, host):
    own = f"127.0.0.1:{plain}"
    other = f"127.0.0.1:{h2}"
    yield "host", lambda: http1(plain, get(host))
    yield "absolute", lambda: http1(plain, get(host, f"http://{host}/"))
    yield "target-alone", lambda: http1(plain, get(own, f"http://{host}/"))
    yield "host-alone", lambda: http1(plain, get(host, f"http://{own}/"))
    yield "connect", lambda: http1(plain, b"CONNECT " + host.encode() + b" HTTP/1.1\r\nHost: " +
                                   host.encode() + b"\r\n\r\n" + get(host))
    yield "second", lambda: http1(plain, get(own), get(host))
    yield "behind-an-empty-line", lambda: http1(plain, get(host, before=b"\r\n"))
    yield "behind-a-long-method", lambda: http1(
        plain, get(host).replace(b"GET", b"A" * 32), get(host))
    yield "twice", lambda: http1(plain, get(own).replace(b"\r\n\r\n", b"\r\nHost: ") +
                                 host.encode() + b"\r\n\r\n")
    yield "authority", lambda: clear(h2, fields(host))
    yield "authority-and-host", lambda: clear(h2, [*fields(other), ("host", host)])
    yield "host-in-http2", lambda: clear(h2, [*fields(None), ("host", host)])
    for name in (None, "localhost"):
        where = "tls" if name else "tls-no-sni"
        yield where, lambda name=name: within_tls(secure, name, talk1(get(host)), "http/1.1")
        yield where + "-http2", lambda name=name: within_tls(
            secure, name, lambda peer: http2(peer, fields(host, **{":scheme": "https"})), "h2")


if __name__ == "__main__":
    PORTS_OF = [int(one) for one in sys.argv[1:4]]
    for spelling in ["127.0.0.1", *spellings(PORTS_OF[0])]:
        for place, ask in places(*PORTS_OF, spelling):
            answered, page = ask()
            print(json.dumps({"place": place, "host": spelling, "status": answered, "page": page}),
                  flush=True)
