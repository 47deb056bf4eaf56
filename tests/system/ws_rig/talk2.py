# SPDX-License-Identifier: Apache-2.0
"""As talk.py, over HTTP/2 (RFC 8441): each line is a WebSocket in a stream of a connection of its
own."""
import json
import os
import socket
import sys

import h2.config
import h2.connection
import h2.events

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from frames import CLOSE, Reader, frame  # noqa: E402

PORT = int(sys.argv[1])


class Talk:
    def __init__(self, peer, case):
        self.peer, self.case = peer, case
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self.reader, self.frames = Reader(masked=False), []
        self.status, self.end, self.agreed, self.ready = 0, "", [], False
        self.head = ""
        self.left = bytes.fromhex(case["send"])

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while not self.end:
            self.say()
            try:
                data = self.peer.recv(65536)
            except TimeoutError:
                self.end = "open"
                break
            except OSError:
                data = b""
            if not data:
                self.end = "lost"
                break
            for event in self.h2.receive_data(data):
                self.hear(event)
            self.flush()
        return {"status": self.status, "agreed": self.agreed, "head": self.head,
                "frames": self.frames, "end": self.end}

    def flush(self):
        try:
            self.peer.sendall(self.h2.data_to_send())
        except OSError:
            pass

    def say(self):
        piece = self.case.get("piece") or 16384
        while self.status == 200 and self.left:
            room = min(self.h2.local_flow_control_window(1), piece, 16384, len(self.left))
            if room <= 0:
                break
            self.h2.send_data(1, self.left[:room])
            self.left = self.left[room:]
            self.flush()

    def open(self):
        self.ready = True
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                  (":authority", f"127.0.0.1:{PORT}"), (":path", self.case["path"]),
                  ("sec-websocket-version", "13")]
        if self.case.get("extensions"):
            fields.append(("sec-websocket-extensions", self.case["extensions"]))
        self.h2.send_headers(1, fields)

    def hear(self, event):
        if isinstance(event, h2.events.RemoteSettingsChanged) and not self.ready:
            self.open()
        elif isinstance(event, h2.events.ResponseReceived):
            fields = dict(event.headers)
            self.status = int(fields[b":status"])
            self.head = b"\n".join(n + b": " + v for n, v in event.headers).decode("latin1")
            told = fields.get(b"sec-websocket-extensions")
            self.agreed = [told.decode()] if told else []
            if self.status != 200:
                self.end = "refused"
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.reader.feed(event.data)
            while found := self.reader.next():
                if found["opcode"] == CLOSE and self.case.get("polite"):
                    self.left += frame(CLOSE, found["payload"][:2], mask=True)
                found["payload"] = found["payload"].hex()
                self.frames.append(found)
        elif isinstance(event, h2.events.StreamEnded):
            self.end = "closed"
        elif isinstance(event, h2.events.StreamReset):
            self.end = f"reset {event.error_code}"
            self.left = b""
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.end = f"goaway {event.error_code}"


for line in sys.stdin:
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as connected:
        print(json.dumps(Talk(connected, json.loads(line)).run()), flush=True)
