# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: for each line of standard input (JSON: path, extensions, send: hex, piece)
opens a WebSocket, sends those bytes and prints what came back until the end, one JSON line each:
frames, and how it ended. A rig that speaks raw bytes, so that it can say what is wrong."""
import base64
import json
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from frames import CLOSE, Reader, frame  # noqa: E402

PORT = int(sys.argv[1])


def talk(case):
    head = (f"GET {case['path']} HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            f"{base64.b64encode(os.urandom(16)).decode()}\r\n")
    if case.get("extensions"):
        head += f"Sec-WebSocket-Extensions: {case['extensions']}\r\n"
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(head.encode() + b"\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            piece = peer.recv(65536)
            if not piece:
                return {"status": 0, "frames": [], "end": "closed"}
            data += piece
        answer, _, rest = data.partition(b"\r\n\r\n")
        status = int(answer.split(b" ")[1])
        told = [line.split(b":", 1)[1].strip().decode() for line in answer.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-extensions:")]
        if status != 101:
            return {"status": status, "frames": [], "end": "refused"}
        return {"status": status, "agreed": told, "head": answer.decode("latin1"),
                **exchange(peer, case, rest)}


def exchange(peer, case, rest):
    reader, frames, end = Reader(masked=False), [], "closed"
    reader.feed(rest)
    raw, piece, said = bytes.fromhex(case["send"]), case.get("piece") or 1 << 20, False
    try:
        for at in range(0, len(raw), piece):
            peer.sendall(raw[at:at + piece])
    except OSError:
        pass  # it was told before it had said all
    try:
        while True:
            found = reader.next()
            if found is None:
                data = peer.recv(1 << 16)
                if not data:
                    break
                reader.feed(data)
                continue
            found["payload"] = found["payload"].hex()
            frames.append(found)
            if found["opcode"] == CLOSE and not said:
                said = True
                if case.get("polite"):
                    peer.sendall(frame(CLOSE, bytes.fromhex(found["payload"])[:2], mask=True))
    except ValueError as wrong:
        end = str(wrong)
    except TimeoutError:
        end = "open"
    except OSError:
        end = "reset"
    return {"frames": frames, "end": end}


for line in sys.stdin:
    try:
        print(json.dumps(talk(json.loads(line))), flush=True)
    except OSError as failed:
        print(json.dumps({"status": 0, "frames": [], "end": str(failed)}), flush=True)
