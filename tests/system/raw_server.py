# SPDX-License-Identifier: Apache-2.0
"""A server in threads of the test that says just the bytes it is told to."""
import socket
import threading


class RawServer:
    """Whoever derives from it has talk(peer, number) for a connection; numbers go from 1."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.count = 0

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.serve, args=(peer, self.count), daemon=True).start()

    def serve(self, peer, number):
        with peer:
            try:
                self.talk(peer, number)
            except OSError:
                pass

    def __exit__(self, *error):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self.listener.close()


def read_head(peer, data=b""):
    """What comes up to a blank line, without it, and what came behind; (None, …) at the end."""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        if not piece:
            return None, data
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest
