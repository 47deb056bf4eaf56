# SPDX-License-Identifier: Apache-2.0
"""PORT clear|tls PATH…: asks each path on a connection of its own, reads until it ends, and prints
what was read and how it ended (end, reset; untold: TLS without close_notify), as JSON."""
import json
import socket
import ssl
import sys

port, tls, *paths = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


class Tls:
    """Over buffers, so that the socket's own end is seen."""

    def __init__(self, link):
        self.link = link
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.step(self.tls.do_handshake)

    def step(self, what):
        while True:
            try:
                return what()
            except ssl.SSLWantReadError:
                self.link.sendall(self.outgoing.read())
                if piece := self.link.recv(65536):
                    self.incoming.write(piece)
                else:
                    raise EOFError from None

    def sendall(self, data):
        self.tls.write(data)
        self.link.sendall(self.outgoing.read())

    def recv(self, size):
        try:
            return self.step(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""


seen = []
for path in paths:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as link:
        text, how = b"", "end"
        try:
            stream = Tls(link) if tls == "tls" else link
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            while piece := stream.recv(65536):
                text += piece
        except EOFError:
            how = "untold"
        except ConnectionResetError:
            how = "reset"
    seen.append([text.decode(), how])
print(json.dumps(seen))
