# SPDX-License-Identifier: Apache-2.0
"""A store that takes what AWS's S3 takes: run as `s3_server.py PORT FOLDER`, with TLS.

Signatures are verified by botocore, which shares nothing with Chaperone; those of a body's pieces
by AWS's description, which botocore does not implement. A line of JSON a request goes to requests.
"""
import binascii
import hashlib
import hmac
import http.server
import json
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3_constants import KEY, SECRET, TOKEN

FOLDER = Path(sys.argv[2])
OBJECTS = {}


def parts(authorization):
    scheme, _, rest = authorization.partition(" ")
    assert scheme == "AWS4-HMAC-SHA256", authorization
    return dict(item.strip().split("=", 1) for item in rest.split(","))


def pieces(body, auth, date, seed, secret):
    """The data of an aws-chunked body, each piece's signature verified."""
    scope = auth["Credential"].split("/", 1)[1]
    key = ("AWS4" + secret).encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    sign = lambda kind, *rest: hmac.new(
        key, "\n".join((f"AWS4-HMAC-SHA256-{kind}", date, scope, seed, *rest)).encode(),
        hashlib.sha256).hexdigest()
    hash_of = lambda data: hashlib.sha256(data).hexdigest()
    data = b""
    while True:
        head, _, body = body.partition(b"\r\n")
        size, _, signature = head.decode().partition(";chunk-signature=")
        piece, body = body[:int(size, 16)], body[int(size, 16):]
        seed = sign("PAYLOAD", hash_of(b""), hash_of(piece))
        assert signature == seed, f"piece {len(data)}: {signature} {seed}"
        if not piece:
            break
        assert body[:2] == b"\r\n"
        data, body = data + piece, body[2:]
    fields = b""
    while body != b"\r\n":
        line, _, body = body.partition(b"\r\n")
        name, _, value = line.partition(b":")
        if name == b"x-amz-trailer-signature":
            assert value.decode() == sign("TRAILER", hash_of(fields)), "trailers"
        else:
            fields += line + b"\n"
    return data


def unsigned_pieces(body):
    data = b""
    while True:
        head, _, body = body.partition(b"\r\n")
        size = int(head.decode().split(";")[0], 16)
        if size == 0:
            break
        data, body = data + body[:size], body[size + 2:]
    for line in body.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"x-amz-checksum-crc32":
            assert binascii.a2b_base64(value) == binascii.crc32(data).to_bytes(4, "big")
    return data


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass
        return body

    def verify(self, body):
        sent = self.headers["x-amz-content-sha256"]
        auth = parts(self.headers["authorization"])
        key, day, region, service, _ = auth["Credential"].split("/")
        assert key == KEY, f"the key is {key}"
        assert self.headers["x-amz-security-token"] == TOKEN, "the session token"
        assert "amz-" not in urlsplit(self.path).query.lower(), self.path
        names = auth["SignedHeaders"].split(";")
        for name in self.headers:
            if name.lower().startswith("x-amz-"):
                assert name.lower() in names, f"{name} is not signed"
        request = AWSRequest(self.command, f"https://{self.headers['host']}{self.path}",
                             data=body, headers={n: self.headers[n] for n in names})
        request.context["timestamp"] = self.headers["x-amz-date"]
        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        signer = kind(Credentials(KEY, SECRET, TOKEN), service, region)
        signer.payload = lambda _: sent
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)),
                                  request)
        assert wanted == auth["Signature"], f"signature {auth['Signature']}, not {wanted}\n" + \
            signer.canonical_request(request)
        if sent in ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"):
            return pieces(body, auth, self.headers["x-amz-date"], auth["Signature"], SECRET)
        if sent == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            return unsigned_pieces(body)
        assert sent in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()), sent
        return body

    def handle_any(self):
        body = self.read_body()
        status, answer = 200, b""
        error = ""
        try:
            data = self.verify(body)
        except Exception as e:  # whatever it is, the request is not signed well
            status, error = 403, str(e) or repr(e)
            answer = (f"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>"
                      f"{error}</Message></Error>").encode()
        else:
            path = urlsplit(self.path).path
            if self.command == "PUT":
                OBJECTS[path] = data
            elif self.command in ("GET", "HEAD"):
                answer = OBJECTS.get(path, b"")
            elif self.command == "POST":
                answer = data
        with open(FOLDER / "requests", "a", encoding="utf-8") as log:
            log.write(json.dumps({"method": self.command, "path": self.path, "status": status,
                                  "error": error, "fields": dict(
                                      (n.lower(), v) for n, v in self.headers.items())}) + "\n")
        self.send_response(status)
        self.send_header("ETag", '"' + hashlib.md5(OBJECTS.get(self.path, b"")).hexdigest() + '"')
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Last-Modified", "Sat, 28 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
    (FOLDER / "ready").write_text("")
    server.serve_forever()
