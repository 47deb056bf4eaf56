# SPDX-License-Identifier: Apache-2.0
"""A server that tells connections apart, and misbehaves on them where the path says so."""
from raw_server import RawServer


class CountingServer(RawServer):
    """Keeps [connection, request line, fields] of all that came, and which connections ended."""

    def __init__(self, port):
        super().__init__(port)
        self.requests, self.ended = [], set()

    def serve(self, peer, number):
        super().serve(peer, number)
        self.ended.add(number)

    def talk(self, peer, number):
        last = False
        with peer.makefile("rb") as text:
            while line := text.readline():
                fields = {}
                while field := text.readline().strip():
                    name, _, value = field.decode().partition(":")
                    fields[name.lower()] = value.strip()
                text.read(int(fields.get("content-length", 0)))
                self.requests.append((number, line.decode().strip(), fields))
                if last:  # gone as it is asked, without a word
                    break
                path = line.decode().split()[1]
                last = path == "/last"
                body = str(number).encode()
                more = b"Connection: close\r\n" if path == "/close" else b""
                status = b"401 Unauthorized" if path == "/login" else b"200 OK"
                answer = (b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"
                          % (status, more, len(body), body))
                peer.sendall(answer)
                if path == "/poison":
                    self.poison = peer

    def connections(self):
        return [number for number, _, _ in self.requests]
