# SPDX-License-Identifier: Apache-2.0
"""Identity from an OpenID Connect token, with an issuer of our own: HTTPS on loopback, real keys."""
import base64
import http.server
import json
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from harness import BIN, World, free_port, make_ca, run, wait_until

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: groups}
spec:
  rules:
  - id: readers
    when: '"readers" in identity.groups && sql.effects.all(e, e.kind == "read")'
    allow: {}
"""

WORKLOAD = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {{name: billing-agent}}
spec: {{identity: {{oidc: {{provider: corp}}}}}}
---
apiVersion: chaperone.dev/v1
kind: IdentityProvider
metadata: {{name: corp}}
spec:
  oidc: {{issuer: "https://localhost:{port}", audience: chaperone, groupsClaim: teams, clockSkew: 1s,
         jwksTtl: 2s, staleFor: 1h, ca: issuer-ca.pem}}
"""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """One signing key of the issuer."""

    def __init__(self, kid, alg):
        self.kid, self.alg = kid, alg
        if alg in ("RS256", "PS256"):
            self.private = rsa.generate_private_key(65537, 2048)
            public = self.private.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
        elif alg == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            public = self.private.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": "P-256", "x": b64(public.x.to_bytes(32, "big")),
                        "y": b64(public.y.to_bytes(32, "big"))}
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {"kty": "OKP", "crv": "Ed25519",
                        "x": b64(self.private.public_key().public_bytes(
                            serialization.Encoding.Raw, serialization.PublicFormat.Raw))}
        self.jwk.update(kid=kid, alg=alg, use="sig")

    def sign(self, data):
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "PS256":
            return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32),
                                     hashes.SHA256())
        if self.alg == "ES256":
            r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.private.sign(data)


class Issuer:
    """Discovery and keys over HTTPS."""

    def __init__(self, folder, port):
        self.folder, self.port, self.keys, self.server = folder, port, [], None
        self.url = f"https://localhost:{port}"
        self.fetches = 0

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/.well-known/openid-configuration":
                    body = {"issuer": issuer.url, "jwks_uri": issuer.url + "/keys"}
                elif self.path == "/keys":
                    issuer.fetches += 1
                    body = {"keys": [key.jwk for key in issuer.keys]}
                else:
                    self.send_error(404)
                    return
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def token(self, key=None, **changes):
        key = key or self.keys[0]
        now = int(time.time())
        claims = {"iss": self.url, "aud": "chaperone", "sub": "agent:from-token", "iat": now,
                  "exp": now + 600, "teams": ["readers"]}
        claims.update(changes)
        head = b64(json.dumps({"alg": key.alg, "kid": key.kid, "typ": "JWT"}).encode())
        text = head + "." + b64(json.dumps(claims).encode())
        return text + "." + b64(key.sign(text.encode()))


class Identity(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-issuer-"))
        self.addCleanup(shutil.rmtree, self.folder)
        make_ca(self.folder)
        self.issuer = Issuer(self.folder, free_port())
        self.issuer.keys = [Key("first", "RS256")]
        self.issuer.start()
        self.addCleanup(self.issuer.stop)
        self.world = World(policy=POLICY, sql="CREATE TABLE t (id int); INSERT INTO t VALUES (7);",
                           workload=WORKLOAD.format(port=self.issuer.port),
                           documents={"issuer-ca.pem": (self.folder / "ca.pem").read_text()})
        self.world.__enter__()
        self.addCleanup(self.world.__exit__, None, None, None)
        self.chaperone = self.world.chaperone
        self.file = self.folder / "token"

    def command(self, *words):
        return [BIN / "chaperone", "run", "--workload", "billing-agent", "--user", "nobody",
                "--token-file", self.file, "--", *words]

    def sql(self, sql):
        return f"PGPASSWORD=x PGSSLMODE=disable psql -X -A -t -h 127.0.0.1 -p " \
               f"{self.world.db.port} -U agent -d shop -c '{sql}' </dev/null"

    def agent(self, token, sql="SELECT id FROM t"):
        self.file.write_text(token)
        return run(self.command("sh", "-c", self.sql(sql)), env=self.chaperone.env, cwd="/")

    def test_every_algorithm_and_groups_in_policy(self):
        self.issuer.keys = [Key(alg, alg) for alg in ("RS256", "PS256", "ES256", "EdDSA")]
        for key in self.issuer.keys:
            done = self.agent(self.issuer.token(key))
            self.assertEqual(done.stdout, "7\n", f"{key.alg}: {done.stderr}")
        others = self.agent(self.issuer.token(teams=["writers"]))
        self.assertNotEqual(others.returncode, 0)
        self.assertIn("denied", others.stderr)
        seen = self.chaperone.json("session", "list")["sessions"]
        self.assertEqual({s["subject"] for s in seen}, {"agent:from-token"})
        shown = self.chaperone.json("workload", "show", "billing-agent")
        self.assertEqual(shown["provider"], "corp")
        self.assertNotIn(self.file.read_text(), self.chaperone.log())

    def test_refuses_tokens_that_are_not_for_us(self):
        now = int(time.time())
        stranger = Key("first", "RS256")
        good = self.issuer.token()
        head, body, signature = good.split(".")
        nobody = b64(json.dumps({"alg": "none"}).encode()) + "." + body + "."
        for why, token in (("audience", self.issuer.token(aud="somebody else")),
                           ("issuer", self.issuer.token(iss="https://elsewhere.example")),
                           ("expired", self.issuer.token(iat=now - 700, exp=now - 100)),
                           ("not valid yet", self.issuer.token(nbf=now + 500)),
                           ("signature", self.issuer.token(stranger)),
                           ("none", nobody), ("text", "not a token"), ("empty", "")):
            done = self.agent(token)
            self.assertEqual(done.returncode, 1, f"{why}: {done.stdout}")
            self.assertEqual(done.stdout, "", why)
            if token and why != "text":
                self.assertNotIn(body[:20], done.stderr, why)
        self.assertIn("7", self.agent(good).stdout)

    def test_without_a_token_sessions_are_refused_with_the_reason(self):
        done = self.world.psql("SELECT id FROM t")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        self.assertIn("has no token", done.stderr)

    def test_an_expired_token_stops_and_a_renewed_one_goes_on(self):
        self.file.write_text(self.issuer.token(exp=int(time.time()) + 8))
        agent = subprocess.Popen([str(w) for w in self.command("sh")], env=self.chaperone.env,
                                 cwd="/", text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        self.addCleanup(agent.communicate)

        def says():
            agent.stdin.write(self.sql("SELECT id FROM t") + "; echo end-of-answer\n")
            agent.stdin.flush()
            text = ""
            for line in agent.stdout:
                if line == "end-of-answer\n":
                    break
                text += line
            return text
        self.assertEqual(says(), "7\n")
        refused = wait_until(lambda: (lambda t: t != "7\n" and t)(says()), "the token expires")
        self.assertIn("expired", refused.lower())
        self.assertTrue(self.chaperone.json("workload", "show", "billing-agent")["identityError"])
        self.file.write_text(self.issuer.token())
        self.assertEqual(says(), "7\n")

    def test_follows_a_rotation_of_keys(self):
        self.assertEqual(self.agent(self.issuer.token()).stdout, "7\n")
        old = self.issuer.keys[0]
        self.issuer.keys = [Key("second", "ES256")]
        self.assertEqual(self.agent(self.issuer.token()).stdout, "7\n")
        gone = self.agent(self.issuer.token(old))
        self.assertEqual(gone.returncode, 1, gone.stdout)

    def test_old_keys_hold_while_the_issuer_is_away(self):
        self.assertEqual(self.agent(self.issuer.token()).stdout, "7\n")
        self.issuer.stop()
        fetched = self.issuer.fetches
        wait_until(lambda: "keys cannot be had" in self.chaperone.log(), "a fetch has failed")
        self.assertEqual(self.agent(self.issuer.token()).stdout, "7\n")
        self.assertEqual(self.issuer.fetches, fetched)
        new = Key("unknown", "RS256")
        self.assertEqual(self.agent(self.issuer.token(new)).returncode, 1)


if __name__ == "__main__":
    unittest.main()
