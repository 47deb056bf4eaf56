# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: sends each request of the corpus on a connection of its own and prints, one
JSON object a line, the status that came back. Arguments: port, and "list" to print the names."""
import json
import socket
import sys

H = b"Host: 127.0.0.1\r\n"
G = b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n"


def post(fields, body=b""):
    return b"POST /x HTTP/1.1\r\n" + H + fields + b"\r\n" + body + G


def get(fields):
    return b"GET /x HTTP/1.1\r\n" + H + fields + b"\r\n" + G


TE = b"Transfer-Encoding: chunked\r\n"
EMPTY = b"0\r\n\r\n"
CORPUS = {
    "cl-te": post(b"Content-Length: 6\r\n" + TE, EMPTY + b"X"),
    "te-cl": post(TE + b"Content-Length: 4\r\n", b"5c\r\nGPOST / HTTP/1.1\r\n\r\n" + EMPTY),
    "cl-0-te": post(b"Content-Length: 0\r\n" + TE, EMPTY),
    "cl-cl": post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello"),
    "cl-cl-equal": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "cl-list": post(b"Content-Length: 5, 5\r\n", b"hello"),
    "cl-list-unequal": post(b"Content-Length: 0, 5\r\n", b"hello"),
    "cl-plus": post(b"Content-Length: +5\r\n", b"hello"),
    "cl-minus": post(b"Content-Length: -5\r\n", b"hello"),
    "cl-hex": post(b"Content-Length: 0x5\r\n", b"hello"),
    "cl-space": post(b"Content-Length: 5 0\r\n", b"hello"),
    "cl-empty": post(b"Content-Length:\r\n", b"hello"),
    "cl-word": post(b"Content-Length: five\r\n", b"hello"),
    "cl-huge": post(b"Content-Length: 18446744073709551621\r\n", b"hello"),
    "cl-float": post(b"Content-Length: 5.0\r\n", b"hello"),
    "cl-semicolon": post(b"Content-Length: 5;0\r\n", b"hello"),
    "cl-vt": post(b"Content-Length: \x0b5\r\n", b"hello"),
    "cl-ff": post(b"Content-Length:\x0c5\r\n", b"hello"),
    "cl-nul": post(b"Content-Length: 5\x00\r\n", b"hello"),
    "cl-space-before-colon": post(b"Content-Length : 5\r\n", b"hello"),
    "cl-tab-before-colon": post(b"Content-Length\t: 5\r\n", b"hello"),
    "cl-underscore": post(b"Content_Length: 5\r\n", b"hello"),
    "cl-folded": post(b"Content-Length:\r\n 5\r\n", b"hello"),
    "cl-padded": post(b"Content-Length: 005\r\n", b"hello"),
    "cl-8bit": post(b"Content-Length: \xb25\r\n", b"hello"),
    "cl-nbsp": post(b"Content-Length: 5\xa0\r\n", b"hello"),
    "cl-cr": post(b"Content-Length: 5\r\r\n", b"hello"),
    "cl-quoted": post(b'Content-Length: "5"\r\n', b"hello"),
    "cl-tail": post(b"Content-Length: 5,\r\n", b"hello"),
    "cl-twice-one-empty": post(b"Content-Length: 5\r\nContent-Length:\r\n", b"hello"),
    "cl-get-te": get(b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n"),
    "te-nbsp": post(b"Transfer-Encoding: \xa0chunked\r\n", EMPTY),
    "te-nel": post(b"Transfer-Encoding: chunked\x85\r\n", EMPTY),
    "te-vt-behind": post(b"Transfer-Encoding: chunked\x0b\r\n", EMPTY),
    "te-ff-behind": post(b"Transfer-Encoding: chunked\x0c\r\n", EMPTY),
    "te-comma-behind": post(b"Transfer-Encoding: chunked,\r\n", EMPTY),
    "te-list-tab": post(b"Transfer-Encoding: identity,\tchunked\r\n", EMPTY),
    "te-trailing-cr": post(b"Transfer-Encoding: chunked\r\r\n", EMPTY),
    "te-folded-tab": post(b"Transfer-Encoding:\r\n\tchunked\r\n", EMPTY),
    "te-deflate": post(b"Transfer-Encoding: deflate\r\n", EMPTY),
    "te-only-http10": b"POST /x HTTP/1.0\r\n" + TE + b"\r\n" + EMPTY + G,
    "te-with-0": post(TE + b"Content-Length: 0\r\n", EMPTY),
    "te-x": post(b"Transfer-Encoding: xchunked\r\n", EMPTY),
    "te-identity": post(b"Transfer-Encoding: identity\r\n", EMPTY),
    "te-chunked-identity": post(b"Transfer-Encoding: chunked, identity\r\n", EMPTY),
    "te-identity-chunked": post(b"Transfer-Encoding: identity, chunked\r\n", EMPTY),
    "te-gzip-chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", EMPTY),
    "te-chunked-chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", EMPTY),
    "te-te": post(TE + TE, EMPTY),
    "te-te-x": post(TE + b"Transfer-Encoding: x\r\n", EMPTY),
    "te-x-te": post(b"Transfer-Encoding: x\r\n" + TE, EMPTY),
    "te-quoted": post(b"Transfer-Encoding: \"chunked\"\r\n", EMPTY),
    "te-parameter": post(b"Transfer-Encoding: chunked;q=1\r\n", EMPTY),
    "te-empty": post(b"Transfer-Encoding:\r\n", EMPTY),
    "te-comma": post(b"Transfer-Encoding: ,chunked\r\n", EMPTY),
    "te-space-before-colon": post(b"Transfer-Encoding : chunked\r\n", EMPTY),
    "te-tab-before-colon": post(b"Transfer-Encoding\t: chunked\r\n", EMPTY),
    "te-vt": post(b"Transfer-Encoding: \x0bchunked\r\n", EMPTY),
    "te-nul": post(b"Transfer-Encoding: chunked\x00\r\n", EMPTY),
    "te-cr": post(b"Transfer-Encoding: chunked\rX: y\r\n", EMPTY),
    "te-bare-lf": post(b"X: y\nTransfer-Encoding: chunked\r\n", EMPTY),
    "te-bare-cr": post(b"X: y\rTransfer-Encoding: chunked\r\n", EMPTY),
    "te-folded-name": post(b"Transfer-Encoding\r\n : chunked\r\n", EMPTY),
    "te-folded-value": post(b"Transfer-Encoding:\r\n chunked\r\n", EMPTY),
    "te-leading-space": post(b" Transfer-Encoding: chunked\r\n", EMPTY),
    "te-underscore": post(b"Transfer_Encoding: chunked\r\n", EMPTY),
    "te-http10": b"POST /x HTTP/1.0\r\n" + H + TE + b"\r\n" + EMPTY + G,
    "te-hidden": post(b"X: a\r\n\tTransfer-Encoding: chunked\r\n", EMPTY),
    "header-space-name": get(b"X Y: 1\r\n"),
    "header-empty-name": get(b": 1\r\n"),
    "header-no-colon": get(b"Xyz\r\n"),
    "header-obs-fold": get(b"X: 1\r\n 2\r\n"),
    "header-nul": get(b"X: a\x00b\r\n"),
    "header-control": get(b"X: a\x01b\r\n"),
    "header-bare-lf-end": b"GET /x HTTP/1.1\r\n" + H + b"\n" + G,
    "header-lf-only": b"GET /x HTTP/1.1\nHost: 127.0.0.1\n\n" + G,
    "header-8bit-name": get(b"X\xe9: 1\r\n"),
    "header-bracket-name": get(b"X[a]: 1\r\n"),
    "host-missing": b"GET /x HTTP/1.1\r\n\r\n" + G,
    "host-twice": get(H),
    "host-two": get(b"Host: other\r\n"),
    "host-empty": b"GET /x HTTP/1.1\r\nHost:\r\n\r\n" + G,
    "host-list": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1, other\r\n\r\n" + G,
    "host-userinfo": b"GET /x HTTP/1.1\r\nHost: a@127.0.0.1\r\n\r\n" + G,
    "host-path": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1/x\r\n\r\n" + G,
    "host-first-folded": b"GET /x HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n" + G,
    "host-percent": b"GET /x HTTP/1.1\r\nHost: 127.0.0%2e1\r\n\r\n" + G,
    "host-percent-nul": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1%00\r\n\r\n" + G,
    "host-wide": "GET /x HTTP/1.1\r\nHost: 127\uff0e0\u30020.1\r\n\r\n".encode() + G,
    "host-8bit": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\xad\r\n\r\n" + G,
    "host-port-word": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:http\r\n\r\n" + G,
    "host-port-sign": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:-80\r\n\r\n" + G,
    "host-port-two": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:80:81\r\n\r\n" + G,
    "host-dots": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1..\r\n\r\n" + G,
    "host-bracket": b"GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n" + G,
    "host-bracket-name": b"GET /x HTTP/1.1\r\nHost: [localhost]\r\n\r\n" + G,
    "host-bracket-zone": b"GET /x HTTP/1.1\r\nHost: [::1%25lo]\r\n\r\n" + G,
    "host-bracket-behind": b"GET /x HTTP/1.1\r\nHost: [::1]x:80\r\n\r\n" + G,
    "host-cr": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\rX: y\r\n\r\n" + G,
    "host-backslash": b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\\other\r\n\r\n" + G,
    "host-twice-case": get(b"hOST: 127.0.0.1\r\n"),
    "absolute-no-authority": b"GET http:///x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "absolute-one-slash": b"GET http:/127.0.0.1/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "absolute-port": b"GET http://127.0.0.1:1/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "absolute-ftp": b"GET ftp://127.0.0.1/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "absolute-other": b"GET http://other/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "absolute-userinfo": b"GET http://a@127.0.0.1/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "absolute-https": b"GET https://127.0.0.1/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-space": b"GET /x y HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-tab": b"GET\t/x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-fragment": b"GET /x#y HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-control": b"GET /x\x01 HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-empty": b"GET  HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-relative": b"GET x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "two-spaces": b"GET  /x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "leading-space": b" GET /x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "http09": b"GET /x\r\n\r\n" + G,
    "target-star": b"GET * HTTP/1.1\r\n" + H + b"\r\n" + G,
    "target-star-path": b"OPTIONS */x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "bare-cr-lines": b"GET /x HTTP/1.1\rHost: 127.0.0.1\r\r" + G,
    "cr-first": b"\rGET /x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "lf-first": b"\nGET /x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "nul-first": b"\0GET /x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "space-behind": b"GET /x HTTP/1.1 \r\n" + H + b"\r\n" + G,
    "tab-version": b"GET /x\tHTTP/1.1\r\n" + H + b"\r\n" + G,
    "http-huge": b"GET /x HTTP/1.11111\r\n" + H + b"\r\n" + G,
    "http-word": b"GET /x HTTP/one\r\n" + H + b"\r\n" + G,
    "http12": b"GET /x HTTP/1.2\r\n" + H + b"\r\n" + G,
    "http2": b"GET /x HTTP/2.0\r\n" + H + b"\r\n" + G,
    "http-lower": b"GET /x http/1.1\r\n" + H + b"\r\n" + G,
    "http-sign": b"GET /x HTTP/1.+1\r\n" + H + b"\r\n" + G,
    "method-bad": b"G(T /x HTTP/1.1\r\n" + H + b"\r\n" + G,
    "connect": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n" + G,
    "connection-names-length": post(b"Connection: content-length\r\nContent-Length: 5\r\n", b"hello"),
    "connection-names-te": post(b"Connection: transfer-encoding\r\n" + TE, EMPTY),
    "connection-names-host": get(b"Connection: host\r\n"),
    "expect-other": post(b"Expect: 100-continue, x\r\nContent-Length: 5\r\n", b"hello"),
    "many-fields": get(b"X: 1\r\n" * 300),
    "large-field": get(b"X: " + b"a" * 100_000 + b"\r\n"),
    "long-target": b"GET /" + b"a" * 30_000 + b" HTTP/1.1\r\n" + H + b"\r\n" + G,
}
# The head of these is in order: it may be with the server when the body turns out to be broken.
BROKEN_BODIES = {
    "chunk-sign": post(TE, b"+5\r\nhello\r\n" + EMPTY),
    "chunk-space": post(TE, b"5 \r\nhello\r\n" + EMPTY),
    "chunk-0x": post(TE, b"0x5\r\nhello\r\n" + EMPTY),
    "chunk-overflow": post(TE, b"10000000000000005\r\nhello\r\n" + EMPTY),
    "chunk-tab": post(TE, b"5\t\r\nhello\r\n" + EMPTY),
    "chunk-comma": post(TE, b"5,0\r\nhello\r\n" + EMPTY),
    "chunk-underscore": post(TE, b"0_5\r\nhello\r\n" + EMPTY),
    "chunk-16-digits": post(TE, b"0000000000000005\r\nhello\r\n" + EMPTY),
    "chunk-ext-no-name": post(TE, b"5;=x\r\nhello\r\n" + EMPTY),
    "chunk-ext-only": post(TE, b"5;\r\nhello\r\n" + EMPTY),
    "chunk-ext-nul": post(TE, b"5;a=\0\r\nhello\r\n" + EMPTY),
    "chunk-ext-quoted-lf": post(TE, b'5;a="\n"\r\nhello\r\n' + EMPTY),
    "chunk-lf-data": post(TE, b"5\r\nhello\n0\r\n\r\n"),
    "chunk-cr-data": post(TE, b"5\r\nhello\r0\r\n\r\n"),
    "chunk-two-behind": post(TE, b"5\r\nhelloXX0\r\n\r\n"),
    "last-lf": post(TE, b"0\n\n"), "last-word": post(TE, b"0x\r\n\r\n"),
    "chunk-negative": post(TE, b"-5\r\nhello\r\n" + EMPTY),
    "chunk-lf": post(TE, b"5\nhello\n0\n\n"),
    "chunk-no-crlf": post(TE, b"5\r\nhello0\r\n\r\n"),
    "chunk-too-long": post(TE, b"5\r\nhelloX\r\n" + EMPTY),
    "chunk-ext-lf": post(TE, b"5;a\nb\r\nhello\r\n" + EMPTY),
    "chunk-ext-cr": post(TE, b"5;a\rb\r\nhello\r\n" + EMPTY),
    "chunk-ext-flood": post(TE, (b"1;" + b"a" * 3000 + b"\r\nx\r\n") * 20 + EMPTY),
    "chunk-ext-huge": post(TE, b"5;" + b"a" * 10_000 + b"\r\nhello\r\n" + EMPTY),
    "chunk-empty": post(TE, b"\r\n" + EMPTY),
    "chunk-word": post(TE, b"zz\r\nhello\r\n" + EMPTY),
    "trailer-te": post(TE, b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "trailer-host": post(TE, b"0\r\nHost: other\r\n\r\n"),
    "trailer-auth": post(TE, b"0\r\nAuthorization: x\r\n\r\n"),
    "trailer-method": post(TE, b"0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n"),
    "trailer-space": post(TE, b"0\r\nX : 1\r\n\r\n"),
    "trailer-request": post(TE, b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
    "trailer-cl": post(TE, b"0\r\nContent-Length: 5\r\n\r\n"),
    "trailer-fold": post(TE, b"0\r\nX: 1\r\n 2\r\n\r\n"),
    "trailer-lf": post(TE, b"0\r\nX: 1\n\r\n"),
}


def ask(port, raw, piece=1 << 16):
    """The status of the answer to what is sent, so much at a time; 0: there was none."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        try:
            for at in range(0, len(raw), piece):
                peer.sendall(raw[at:at + piece])
        except ConnectionError:
            pass  # it was told before it had said all
        try:
            while b"\r\n\r\n" not in answer:
                data = peer.recv(65536)
                if not data:
                    break
                answer += data
        except ConnectionError:
            pass
        parts = answer.split(b" ", 2)
        return int(parts[1]) if len(parts) > 1 else 0


if __name__ == "__main__":
    for name, raw in (BROKEN_BODIES if sys.argv[2] == "bodies" else CORPUS).items():
        print(json.dumps({"name": name, "status": ask(int(sys.argv[1]), raw)}), flush=True)
