# SPDX-License-Identifier: Apache-2.0
"""Credentials over HTTP: ours reach the server, the agent's do not, and nothing comes back."""
import base64
import gzip
import json
import os
import threading
import unittest
from pathlib import Path
from urllib.parse import parse_qs, quote

import s3_constants
from harness import ALLOW_ALL, Chaperone, Process, folder_of, free_port, make_ca, wait_until
from tls_servers import Recorder

SECRET = "tok/en+of=the<resource>-0123456789"  # each character has another spelling somewhere
PLACEHOLDER = "the-agents-own-placeholder"
HERE = Path(__file__).parent


def spellings(secret):
    """As somebody might write it down who does not write it down as it is."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), raw.hex().encode(), json.dumps(secret).encode()}
    for shift in range(3):  # base64 of whatever it stands in the midst of
        text = base64.b64encode(b"x" * shift + raw)
        found.add(text[4 if shift else 0:len(text) // 4 * 4 - 4])
    return found


def resource(name, port, credential, tls="{ca: ca.pem}"):
    return (f"apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {{name: {name}}}\n"
            f"spec:\n  protocol: http\n  hosts: [127.0.0.1, '::1', localhost]\n  ports: [{port}]\n"
            f"  upstream: {{tls: {tls}}}\n  credential: {credential}\n---\n")


def echo(method, path, fields, body):
    """What an echo service says, and a few places more."""
    text = json.dumps({"method": method, "path": path, "fields": fields}).encode()
    extra = {"Content-Type": "application/json", "X-Seen": json.dumps(fields.get("authorization")),
             "Set-Cookie": "session=of-ours"}
    if "gzip" in fields.get("accept-encoding", ""):
        text, extra["Content-Encoding"] = gzip.compress(text), "gzip"
    if path.startswith("/bytes"):
        extra["Content-Type"] = "application/octet-stream"
    return 200, extra, text


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        make_ca(self.folder)

    def start(self, resources, secrets):
        (self.folder / "case").mkdir()
        made = Chaperone(self.folder / "case", ALLOW_ALL, resources)
        made.secrets = secrets
        made.documents["ca.pem"] = (self.folder / "ca.pem").read_text()
        self.enterContext(made)
        self.chaperone = made
        return made

    def curl(self, url, *args):
        done = self.chaperone.agent(["curl", "-sS", "-m", "30", "-4", "-i", *args, url])
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def is_nowhere(self, *secrets, texts=()):
        """Neither in what the agent got, nor in anything that the daemon wrote."""
        self.chaperone.ok("journal", "export", "--format", "jsonl")
        files = [p for p in self.chaperone.root.parent.rglob("*") if p.is_file()]
        self.assertGreater(len([p for p in files if "journal" in str(p)]), 0, files)
        shown = self.chaperone.ok("journal", "export", "--format", "jsonl").encode()
        everything = [(str(p), p.read_bytes()) for p in files] + [("journal export", shown)]
        everything += [("the agent's", t.encode(errors="surrogateescape")) for t in texts]
        for secret in secrets:
            for form in spellings(secret):
                for where, content in everything:
                    self.assertNotIn(form, content, f"in {where}")


class Injected(Base):
    """One kind of credential each, over HTTP/1.1 and a server that echoes all that it sees."""

    def through(self, credential, secrets, *args, path="/x"):
        with Recorder(self.folder, answer=echo) as server:
            self.start(resource("api", server.port, credential), secrets)
            texts = []
            for more, where in (((), path), (("--compressed",), path), (("-I",), path),
                                ((), path.replace("/x", "/bytes"))):
                texts.append(self.curl(f"https://localhost:{server.port}{where}",
                                       "-H", f"Authorization: Bearer {PLACEHOLDER}",
                                       "-H", f"X-Api-Key: {PLACEHOLDER}",
                                       "-H", f"Cookie: login={PLACEHOLDER}", *more, *args))
                self.assertIn("200", texts[-1].split("\n")[0], texts[-1])
                self.assertNotIn("of-ours", texts[-1])
            self.assertIn('"method": "GET"', texts[0])
            self.assertIn('"method": "GET"', texts[1])
            self.is_nowhere(*secrets.values(), texts=texts)
            for request in server.requests:
                self.assertNotIn(PLACEHOLDER, repr(request))
            return server.requests

    def test_bearer(self):
        for _, _, fields, _ in self.through("{token: {secret: api}}", {"api": SECRET}):
            self.assertEqual(fields["authorization"], f"Bearer {SECRET}")

    def test_basic(self):
        wanted = "Basic " + base64.b64encode(f"robot:{SECRET}".encode()).decode()
        for _, _, fields, _ in self.through("{user: robot, password: {secret: api}}",
                                            {"api": SECRET}):
            self.assertEqual(fields["authorization"], wanted)

    def test_header(self):
        for _, _, fields, _ in self.through(
                "{header: {name: X-Api-Key, value: {secret: api}}}", {"api": SECRET}):
            self.assertEqual(fields["x-api-key"], SECRET)
            self.assertNotIn("authorization", fields)

    def test_query(self):
        for _, path, _, _ in self.through("{query: {name: key, value: {secret: api}}}",
                                          {"api": SECRET},
                                          path=f"/x?a=1&k%65y={PLACEHOLDER}&b=%20"):
            where, _, query = path.partition("?")
            self.assertIn(where, ("/x", "/bytes"))
            self.assertEqual(parse_qs(query), {"a": ["1"], "b": [" "], "key": [SECRET]})

    def test_without_tls_it_is_not_sent_to_another_host(self):
        self.start(resource("api", 80, "{token: {secret: api}}").replace("127.0.0.1", "192.0.2.1"),
                   {"api": SECRET})
        text = self.curl("http://192.0.2.1/x")  # of documentation: nobody is dialled
        self.assertIn("502", text.split("\n")[0], text)
        self.assertIn("not sent without TLS", text)

    def test_a_secret_that_is_missing_is_told(self):
        with Recorder(self.folder, answer=echo) as server:
            self.start(resource("api", server.port, "{token: {secret: api}}"), {})
            text = self.curl(f"https://localhost:{server.port}/x")
            self.assertIn("403", text.split("\n")[0], text)
            self.assertIn("secret api", text)
            self.assertEqual(server.requests, [])
            done = self.chaperone.cli("policy", "check")
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn('resource "api" needs the secret "api", which is not set', done.stdout)
            self.chaperone.ok("secret", "set", "api", input=SECRET)
            self.assertEqual(self.chaperone.cli("policy", "check").returncode, 0)


H2_SERVER = """
const http2 = require('http2'), fs = require('fs');
const [port, folder] = process.argv.slice(2);
const server = http2.createSecureServer({key: fs.readFileSync(folder + '/server.key'),
  cert: fs.readFileSync(folder + '/server.pem'), settings: {enableConnectProtocol: true}});
server.on('stream', (stream, head) => {
  const all = {...head};
  fs.appendFileSync(folder + '/seen', JSON.stringify(all) + '\\n');
  if (head[':method'] === 'CONNECT') {
    stream.respond({':status': 200, 'x-echo': String(head.authorization)});
    const text = Buffer.from(JSON.stringify(all).slice(0, 60000));
    const size = text.length < 126 ? Buffer.from([0x81, text.length])
                                   : Buffer.from([0x81, 126, text.length >> 8, text.length & 255]);
    stream.write(Buffer.concat([size, text]));
    stream.on('data', () => {});
    return;
  }
  stream.additionalHeaders({':status': 103, 'x-early': String(head.authorization)});
  stream.respond({':status': 200, 'x-echo': String(head.authorization)}, {waitForTrailers: true});
  stream.on('wantTrailers', () => stream.sendTrailers({'x-late': String(head.authorization)}));
  stream.end(JSON.stringify(all));
});
server.listen(+port, '127.0.0.1', () => fs.writeFileSync(folder + '/ready', ''));
"""
H2_WEBSOCKET = """
const http2 = require('http2');
const session = http2.connect(process.argv[1]);
session.on('remoteSettings', s => {
  if (!s.enableConnectProtocol) { console.log('no tunnels'); process.exit(1); }
  const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws',
    'sec-websocket-version': '13'}, {endStream: false});
  stream.on('response', h => console.log(JSON.stringify(h)));
  stream.on('data', d => { console.log(d.toString('latin1')); process.exit(0); });
  stream.on('error', e => { console.log(String(e)); process.exit(1); });
});
"""
WS_SERVER = """
import asyncio, json, ssl, sys, websockets
port, folder = int(sys.argv[1]), sys.argv[2]
async def talk(socket, path=None):
    seen = {n.lower(): v for n, v in socket.request_headers.raw_items()}
    open(folder + '/seen', 'a').write(json.dumps(seen) + '\\n')
    await socket.send(json.dumps(seen))
    async for message in socket:
        await socket.send(message + seen['authorization'])
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + '/server.pem', folder + '/server.key')
    async with websockets.serve(talk, '127.0.0.1', port, ssl=context):
        open(folder + '/ready', 'w').close()
        await asyncio.Future()
asyncio.run(main())
"""
WS_CLIENT = """
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], extra_headers={'Authorization': 'Bearer %s'}) as s:
        print(await s.recv())
        for text in ('one ', 'two '):
            await s.send(text)
            print(await s.recv())
asyncio.run(main())
""" % PLACEHOLDER


class OtherForms(Base):
    def serve(self, *command):
        port = free_port()
        server = Process([*command, port, self.folder], self.folder / "server.log", cwd="/")
        self.addCleanup(server.stop)
        wait_until((self.folder / "ready").exists, "the server listens")
        self.start(resource("api", port, "{token: {secret: api}}"), {"api": SECRET})
        return port

    def seen(self):
        return [json.loads(line) for line in (self.folder / "seen").read_text().splitlines()]

    def test_http2(self):
        (self.folder / "server.js").write_text(H2_SERVER)
        port = self.serve("node", self.folder / "server.js")
        text = self.curl(f"https://localhost:{port}/x", "--http2", "-H",
                         f"Authorization: Bearer {PLACEHOLDER}")
        self.assertTrue(text.startswith("HTTP/2 103"), text)
        self.assertIn('":method":"GET"', text)
        self.assertEqual(self.seen()[0]["authorization"], f"Bearer {SECRET}")
        self.is_nowhere(SECRET, texts=[text])

    def test_a_websocket_over_http2(self):
        (self.folder / "server.js").write_text(H2_SERVER)
        port = self.serve("node", self.folder / "server.js")
        done = self.chaperone.agent(["node", "-e", H2_WEBSOCKET, f"https://localhost:{port}"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(":protocol", done.stdout)
        self.assertEqual(self.seen()[0]["authorization"], f"Bearer {SECRET}")
        self.is_nowhere(SECRET, texts=[done.stdout])

    def test_a_websocket(self):
        (self.folder / "server.py").write_text(WS_SERVER)
        port = self.serve("/usr/bin/python3", self.folder / "server.py")
        done = self.chaperone.agent(["/usr/bin/python3", "-c", WS_CLIENT,
                                     f"wss://localhost:{port}/ws"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 3, done.stdout)
        self.assertIn("two Bearer ***", done.stdout)
        self.assertEqual(self.seen()[0]["authorization"], f"Bearer {SECRET}")
        self.is_nowhere(SECRET, texts=[done.stdout])


class Oauth(Base):
    """A token server, and an API that takes its last token only."""

    CLIENT_SECRET = "the client's secret/0123456789"

    def setUp(self):
        super().setUp()
        self.tokens, self.asked, self.expires, self.broken = [], [], 3600, None
        self.lock = threading.Lock()
        self.issuer = self.enterContext(Recorder(self.folder, answer=self.issue))
        self.api = self.enterContext(Recorder(self.folder, answer=self.serve))
        self.start(resource("api", self.api.port,
                            f"{{oauth2: {{tokenUrl: 'https://localhost:{self.issuer.port}/token', "
                            "clientId: robot, clientSecret: {secret: api}, scopes: [read, write], "
                            "audience: everything, ca: ca.pem}}"), {"api": self.CLIENT_SECRET})

    def issue(self, method, path, fields, body):
        with self.lock:
            self.asked.append((method, path, fields, parse_qs(body.decode())))
            if self.broken:
                return self.broken
            self.tokens.append(f"token-number-{len(self.tokens)}-0123456789")
            text = json.dumps({"access_token": self.tokens[-1], "token_type": "Bearer",
                               "expires_in": self.expires})
            return 200, {"Content-Type": "application/json"}, text.encode()

    def serve(self, method, path, fields, body):
        with self.lock:
            good = self.tokens and fields.get("authorization") == f"Bearer {self.tokens[-1]}"
        status, extra, text = echo(method, path, fields, body)
        return (200 if good else 401), extra, text

    def get(self):
        return self.curl(f"https://localhost:{self.api.port}/x", "-H",
                         f"Authorization: Bearer {PLACEHOLDER}")

    def test_it_is_fetched_once_and_used(self):
        texts = [self.get() for _ in range(3)]
        for text in texts:
            self.assertIn("200", text.split("\n")[0], text)
        self.assertEqual(len(self.asked), 1)
        method, path, fields, form = self.asked[0]
        self.assertEqual((method, path), ("POST", "/token"))
        self.assertEqual(form, {"grant_type": ["client_credentials"], "scope": ["read write"],
                                "audience": ["everything"]})
        wanted = f"robot:{quote(self.CLIENT_SECRET, safe='')}".encode()
        self.assertEqual(fields["authorization"], "Basic " + base64.b64encode(wanted).decode())
        self.assertNotIn(PLACEHOLDER, repr(self.api.requests))
        self.is_nowhere(self.CLIENT_SECRET, *self.tokens, texts=texts)

    def test_one_that_ends_is_renewed(self):
        self.expires = 1
        self.get()
        wait_until(lambda: (self.get(), len(self.tokens) > 2)[1], "another token is fetched")
        used = {r[2]["authorization"] for r in self.api.requests}
        self.assertGreater(len(used), 1)

    def test_after_401_another_is_fetched(self):
        self.assertIn("200", self.get().split("\n")[0])
        with self.lock:
            self.tokens.append("what-the-api-wants-now-0123456789")  # the old one is withdrawn
        self.assertIn("401", self.get().split("\n")[0])
        self.assertIn("200", self.get().split("\n")[0])
        self.assertEqual(len(self.asked), 2)

    def test_a_refusal_of_the_token_server_is_told(self):
        self.broken = (400, {"Content-Type": "application/json"},
                       b'{"error": "invalid_client", "error_description": "no such robot"}')
        text = self.get()
        self.assertIn("502", text.split("\n")[0], text)
        self.assertIn("the token endpoint answers 400 invalid_client", text)
        self.assertEqual(self.api.requests, [])
        self.assertIn("invalid_client", self.chaperone.log())
        self.is_nowhere(self.CLIENT_SECRET, texts=[text])

    def test_nonsense_is_told(self):
        self.broken = (200, {"Content-Type": "text/html"}, b"<html>welcome</html>")
        text = self.get()
        self.assertIn("502", text.split("\n")[0], text)
        self.assertIn("is no JSON", text)


BOTO3 = """
import boto3, sys
url = sys.argv[1]
s3 = boto3.client('s3', endpoint_url=url, region_name='eu-central-1')
name = 'a folder/\\u00fcml\\u00e4ut + (1).bin'
body = bytes(range(256)) * 4096
s3.put_object(Bucket='bucket', Key=name, Body=body, ContentType='application/x-test')
got = s3.get_object(Bucket='bucket', Key=name)['Body'].read()
assert got == body, len(got)
s3.put_object(Bucket='bucket', Key='empty', Body=b'')
s3.head_object(Bucket='bucket', Key='empty')
link = s3.generate_presigned_url('get_object', Params={'Bucket': 'bucket', 'Key': name})
import requests
assert requests.get(link).content == body
d = boto3.client('dynamodb', endpoint_url=url, region_name='us-east-1')
d.list_tables(Limit=3)
print('fine')
"""
IN_PIECES = """
import hashlib, http.client, ssl, sys
port, trailers, size = int(sys.argv[1]), sys.argv[2] == 'yes', int(sys.argv[3])
made = b'0123456789abcdef' * 40000
body, at = b'', 0
for cut in (65536, 1, size, 65536):
    piece, at = made[at:at + cut], at + cut
    body += b'%x;chunk-signature=' % len(piece) + b'a' * 64 + b'\\r\\n' + piece + b'\\r\\n'
body += b'0;chunk-signature=' + b'b' * 64 + b'\\r\\n'
kind = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
fields = {}
if trailers:
    kind += '-TRAILER'
    fields['x-amz-trailer'] = 'x-amz-checksum-crc32c'
    body += b'x-amz-checksum-crc32c:sOO8/Q==\\r\\nx-amz-trailer-signature:' + b'c' * 64 + b'\\r\\n'
body += b'\\r\\n'
c = http.client.HTTPSConnection('localhost', port)
for turn in range(2):
    c.request('PUT', '/bucket/pieces', body, {**fields, 'x-amz-content-sha256': kind,
      'x-amz-decoded-content-length': str(at), 'x-amz-date': '20200101T000000Z',
      'content-encoding': 'aws-chunked', 'authorization': 'AWS4-HMAC-SHA256 Credential='
      'AKIAPLACEHOLDER/20200101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=00'})
    a = c.getresponse()
    print(a.status, a.read()[:500])
c.request('GET', '/bucket/pieces', headers={'authorization': 'AWS4-HMAC-SHA256 Credential='
      'AKIAPLACEHOLDER/20200101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=00'})
got = c.getresponse().read()
print(got == made[:at])
"""


class Aws(Base):
    """Against a store that verifies signatures with botocore."""

    ENV = {"AWS_ACCESS_KEY_ID": "AKIAPLACEHOLDER", "AWS_SECRET_ACCESS_KEY": PLACEHOLDER,
           "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent",
           "AWS_DEFAULT_REGION": "eu-central-1", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/c"}

    def setUp(self):
        super().setUp()
        self.port = free_port()
        server = Process(["/usr/bin/python3", HERE / "s3_server.py", self.port, self.folder],
                         self.folder / "server.log", cwd="/")
        self.addCleanup(server.stop)
        wait_until((self.folder / "ready").exists, "the store listens")
        secrets = {"key": s3_constants.SECRET, "session": s3_constants.TOKEN}
        self.start(resource("store", self.port,
                            f"{{aws: {{accessKeyId: {s3_constants.KEY}, "
                            "secretAccessKey: {secret: key}, sessionToken: {secret: session}}}"),
                   secrets)
        self.url = f"https://localhost:{self.port}"

    def requests(self):
        return [json.loads(line) for line in (self.folder / "requests").read_text().splitlines()]

    def all_were_signed(self, *texts):
        for request in self.requests():
            self.assertEqual(request["error"], "", request)
            self.assertNotIn("PLACEHOLDER", json.dumps(request))
        self.is_nowhere(s3_constants.SECRET, s3_constants.TOKEN, texts=texts)
        return {(r["method"], r["fields"].get("x-amz-content-sha256")) for r in self.requests()}

    def test_boto3(self):
        done = self.chaperone.agent(["/usr/bin/python3", "-c", BOTO3, self.url], env=self.ENV)
        self.assertEqual(done.stdout, "fine\n", done.stderr + repr(self.requests()[-2:]))
        self.all_were_signed(done.stdout)

    def test_the_aws_command(self):
        one = self.folder / "one"
        one.write_bytes(os.urandom(300_000))
        os.chmod(one, 0o644)
        for more in ([], ["--checksum-algorithm", "CRC32"]):
            done = self.chaperone.agent(
                ["aws", "--endpoint-url", self.url, "s3api", "put-object", "--bucket", "bucket",
                 "--key", "one two", "--body", one, *more], env=self.ENV, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.chaperone.agent(["aws", "--endpoint-url", self.url, "s3", "cp",
                                     "s3://bucket/one two", "-"], env=self.ENV, text=False,
                                    timeout=120)
        self.assertEqual(done.stdout, one.read_bytes(), done.stderr)
        kinds = self.all_were_signed()
        self.assertIn(("PUT", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), kinds)

    def in_pieces(self, trailers, size=70000):
        return self.chaperone.agent(["/usr/bin/python3", "-c", IN_PIECES, self.port, trailers,
                                     str(size)])

    def test_a_body_that_is_signed_in_pieces(self):
        for trailers in ("no", "yes"):
            done = self.in_pieces(trailers)
            self.assertEqual(done.stdout, "200 b''\n200 b''\nTrue\n", done.stdout + done.stderr)
        kinds = self.all_were_signed()
        self.assertIn(("PUT", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), kinds)
        self.assertIn(("PUT", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), kinds)

    def test_what_cannot_be_signed_is_told(self):
        text = self.curl(f"{self.url}/bucket/x")  # no region, no service
        self.assertIn("502", text.split("\n")[0], text)
        self.assertIn("region and service are not known", text)


if __name__ == "__main__":
    unittest.main()
