# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server of raw bytes, in a thread of the test: echoes messages, or says what its path
tells it to (`/…?say=HEX`), and keeps every frame that it was sent, by path."""
import base64
import hashlib
import urllib.parse
import zlib

from raw_server import RawServer, read_head
from ws_rig.frames import CLOSE, CONT, PING, PONG, Reader, frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Server(RawServer):
    def __init__(self):
        super().__init__()
        self.seen = {}  # by path: the frames in order, then how it ended

    def talk(self, peer, number):
        peer.settimeout(30)
        head, rest = read_head(peer)
        if head is None:
            return
        lines = head.decode().split("\r\n")
        fields = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        target = urllib.parse.urlsplit(lines[0].split()[1])
        query = dict(urllib.parse.parse_qsl(target.query))
        key = fields["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        agreed = query.get("agree", "")
        peer.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                      f"Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
                      + (f"Sec-WebSocket-Extensions: {agreed}\r\n" if agreed else "")
                      + query.get("head", "") + "\r\n").encode()
                     + bytes.fromhex(query.get("say", "")))
        log = self.seen.setdefault(query.get("name", target.path), [])
        try:
            self.echo(peer, rest, log, "say" in query)
        except (TimeoutError, ValueError) as wrong:
            log.append(repr(wrong))
        except OSError:
            log.append("reset")

    def echo(self, peer, rest, log, silent):
        reader, message = Reader(masked=True), []
        reader.feed(rest)
        while True:
            got = reader.next()
            if got is None:
                data = peer.recv(1 << 16)
                if not data:
                    log.append("end")
                    return
                reader.feed(data)
                continue
            log.append(got)
            if got["opcode"] == CLOSE:
                peer.sendall(frame(CLOSE, got["payload"][:2]))
                return
            if silent or got["opcode"] == PONG:
                continue
            if got["opcode"] == PING:
                peer.sendall(frame(PONG, got["payload"]))
                continue
            message = message + [got] if got["opcode"] == CONT else [got]
            if got["fin"]:  # as it came, in one frame
                peer.sendall(frame(message[0]["opcode"], b"".join(m["payload"] for m in message),
                                   rsv=message[0]["rsv"]))

    def messages(self, name, packed=False):
        """What it was told, put together and unpacked: [(opcode, payload)]."""
        made, unpacker = [], zlib.decompressobj(-15)
        for one in self.seen.get(name, []):
            if isinstance(one, str) or one["opcode"] >= CLOSE:
                continue
            if one["opcode"] == CONT:
                made[-1][1] += one["payload"]
                made[-1][3] = one["fin"]
            else:
                made.append([one["opcode"], one["payload"], one["rsv"], one["fin"]])
        return [(op, unpacker.decompress(data + b"\0\0\xff\xff") if rsv & 4 else data)
                for op, data, rsv, fin in made if fin]
