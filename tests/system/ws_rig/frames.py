# SPDX-License-Identifier: Apache-2.0
"""WebSocket frames as bytes, right and wrong: of the rigs on both sides of the daemon."""
import os
import struct
import zlib

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, rsv=0, mask=False, length=None, form=None):
    """`length` and `form` (7, 16 or 64 bits) say something else than what is true."""
    size = len(payload) if length is None else length
    form = form or (7 if size < 126 else 16 if size < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if form == 7:
        head += bytes([bit | size])
    else:
        head += bytes([bit | (126 if form == 16 else 127)])
        head += struct.pack(">H" if form == 16 else ">Q", size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    wide = (key * (len(payload) // 4 + 1))[:len(payload)]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(wide, "big")
    return head + key + hidden.to_bytes(len(payload), "big")


def close(code=None, reason=b""):
    return b"" if code is None else struct.pack(">H", code) + reason


def deflated(payload, packer=None):
    packer = packer or zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Reader:
    """Takes frames off what has come; raises ValueError where a frame of the other side is wrong."""

    def __init__(self, masked):
        self.masked, self.data = masked, b""

    def feed(self, data):
        self.data += data

    def next(self):
        d = self.data
        if len(d) < 2:
            return None
        size, at = d[1] & 0x7f, 2
        if size > 125:
            wide = 2 if size == 126 else 8
            if len(d) < 2 + wide:
                return None
            size, at = int.from_bytes(d[2:2 + wide], "big"), 2 + wide
        if bool(d[1] & 0x80) != self.masked:
            raise ValueError("masked" if not self.masked else "not masked")
        key = d[at:at + 4] if self.masked else b""
        at += len(key)
        if len(d) < at + size:
            return None
        payload = d[at:at + size]
        if key:
            wide = (key * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(wide, "big")).to_bytes(
                size, "big")
        self.data = d[at + size:]
        return {"fin": bool(d[0] & 0x80), "rsv": d[0] >> 4 & 7, "opcode": d[0] & 15,
                "payload": payload}
