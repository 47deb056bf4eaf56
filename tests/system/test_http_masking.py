# SPDX-License-Identifier: Apache-2.0
"""Masks, tools and models over HTTP: what an unchanged client gets, and what leaves it."""
import gzip
import json
import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Chaperone, folder_of
from http_servers import http_resource

PEOPLE = [{"id": 1, "email": "ann@shop.example", "card": 4111111111111111,
           "note": "ssn 536-90-4399", "plain": "tea"},
          {"id": 2, "email": None, "card": 12, "note": "caf\u00e9", "plain": "milk"}]
POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: pii}
spec:
  rules:
  - id: people
    when: 'http.path.startsWith("/people")'
    mask:
    - {json: ["$[*].email"], with: redact}
    - {detect: [CREDIT_CARD, US_SSN], with: redact}
  - id: leaving
    when: 'http.path == "/v1/chat/completions"'
    mask: [{detect: [EMAIL_ADDRESS], with: redact, in: request}]
  - {id: no-big-models, when: 'llm.model == "big"', deny: {reason: "too dear", hint: "use small"}}
  - {id: no-delegation, when: 'llm.servers.size() > 0', deny: {reason: "tools are called here"}}
  - {id: no-force, when: 'llm.tool_choice == "shell"', deny: {reason: "not forced"}}
  - id: no-secrets
    when: 'llm.result_tools.exists(t, t == "read_secret" || t == "")'
    deny: {reason: "its results stay here"}
  - {id: no-drop, when: 'mcp.tool == "drop_table"', deny: {reason: "nothing is dropped"}}
  - id: no-prod
    when: 'mcp.tool == "query" && mcp.arguments.database == "prod"'
    deny: {reason: "not on production"}
  - {id: no-sampling, when: 'mcp.from_server', deny: {}}
  - {id: rest, allow: {}}
"""


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []

    def log_message(self, *_):
        pass

    def reply(self, body, kind="application/json", **fields):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        text = json.dumps(PEOPLE).encode()
        if self.path == "/people":
            self.reply(text, ETag='"v1"', X_Owner="ssn 536-90-4399")
        elif self.path == "/people.gz":
            self.reply(gzip.compress(text), Content_Encoding="gzip")
        elif self.path in ("/people.br", "/people.zstd"):
            coding = self.path.rsplit(".", 1)[1]
            command = ["brotli" if coding == "br" else "zstd", "-c"]
            coded = subprocess.run(command, input=text, capture_output=True, check=True).stdout
            self.reply(coded, Content_Encoding=coding)
        elif self.path == "/people.chunks":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for byte in text:
                self.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/people.html":
            self.reply(b"<td>ann@shop.example</td>", "text/html")
        else:
            self.reply(text)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        Backend.seen.append((self.path, body))
        message = json.loads(body or b"{}")
        if message.get("method") == "tools/list":
            tools = [{"name": n} for n in ("query", "drop_table", "read")]
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}}
            asks = {"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}}
            events = "".join(f"data: {json.dumps(m)}\n\n" for m in (asks, answer))
            self.reply(events.encode(), "text/event-stream")
        elif "method" in message:
            self.reply(json.dumps({"jsonrpc": "2.0", "id": message.get("id"),
                                   "result": {"content": []}}).encode())
        elif self.path in ANSWERS:
            kind, text = ANSWERS[self.path]
            self.reply(gzip.compress(text.encode()), kind, Content_Encoding="gzip")
        else:
            self.reply(b'{"ok": true}')


# What models answer: a document of one vendor, streams of both.
ANSWERS = {
    "/one/v1/chat/completions": ("application/json", json.dumps({
        "model": "small-1", "usage": {"prompt_tokens": 11, "completion_tokens": 22},
        "choices": [{"message": {"tool_calls": [{"function": {"name": "weather"}}]}}]})),
    "/v1/responses": ("text/event-stream", "event: response.completed\ndata: " + json.dumps({
        "type": "response.completed", "response": {
            "model": "small-2", "output": [{"type": "function_call", "name": "search"}],
            "usage": {"input_tokens": 33, "output_tokens": 44}}}) + "\n\n"),
    "/v1/messages": ("text/event-stream", "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n"
        for e in ({"type": "message_start", "message": {"model": "small-3", "usage": {
                      "input_tokens": 55, "output_tokens": 1}}},
                  {"type": "content_block_start", "content_block": {"type": "tool_use",
                                                                    "name": "read_file"}},
                  {"type": "message_delta", "usage": {"output_tokens": 66}}))),
}


class Masking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        cls.port = cls.server.server_port
        resource = http_resource("api", cls.port).removesuffix("---\n")
        cls.chaperone = Chaperone(cls.folder, POLICY, resource)
        cls.chaperone.__enter__()
        cls.addClassCleanup(cls.chaperone.__exit__, None, None, None)

    def setUp(self):
        Backend.seen.clear()

    def curl(self, path, *flags):
        done = self.chaperone.agent(["curl", "-sS", "--max-time", "30", *flags,
                                     f"http://127.0.0.1:{self.port}{path}"])
        self.assertEqual(done.returncode, 0,
                         f"{done.stdout}{done.stderr}{self.chaperone.log()[-1500:]}")
        return done.stdout

    def post(self, path, body, *flags):
        return self.curl(path, "-H", "Content-Type: application/json", "-H",
                         "Accept: application/json, text/event-stream", "-d", json.dumps(body),
                         *flags)

    def test_values_are_masked_however_they_come(self):
        wanted = [{"id": 1, "email": "[REDACTED]", "card": 0, "note": "ssn <US_SSN>",
                   "plain": "tea"}, dict(PEOPLE[1])]
        for path, flags in (("/people", ()), ("/people.gz", ("--compressed",)),
                            ("/people.br", ("--compressed",)), ("/people.zstd", ("--compressed",)),
                            ("/people.chunks", ()), ("/people?x=1", ("-r", "0-20"))):
            with self.subTest(path):
                self.assertEqual(json.loads(self.curl(path, *flags)), wanted)
        self.assertEqual(json.loads(self.curl("/other")), PEOPLE, "another rule's path")

    def test_heads_stay_honest(self):
        head = self.curl("/people", "-D", "-", "-o", "/dev/null").lower()
        self.assertNotIn("etag", head)
        self.assertNotIn("content-length", head)
        self.assertIn("x-owner: ssn <us_ssn>", head)

    def test_what_cannot_be_masked_does_not_pass(self):
        text = self.curl("/people.html", "-i")
        self.assertIn("502", text.splitlines()[0])
        self.assertNotIn("ann@", text)

    def test_what_leaves_for_a_model_is_masked(self):
        said = {"model": "small", "messages": [{"role": "user", "content": "ask ann@shop.example"}]}
        self.assertEqual(json.loads(self.post("/v1/chat/completions", said)), {"ok": True})
        body = json.loads(Backend.seen[-1][1])
        self.assertEqual(body["messages"][0]["content"], "ask <EMAIL_ADDRESS>")

    def test_a_refused_model_is_told_in_the_vendors_shape(self):
        text = self.post("/v1/chat/completions", {"model": "big", "messages": []},
                         "-w", "\n%{http_code}")
        body, status = text.rsplit("\n", 1)
        self.assertEqual(status, "403")
        self.assertIn("too dear", json.loads(body)["error"]["message"])
        self.assertEqual(Backend.seen, [])

    def test_tools_of_requests_are_facts(self):
        call = {"id": "c1", "type": "function", "function": {"name": "read_secret", "arguments": "{}"}}
        result = {"role": "tool", "tool_call_id": "c1", "content": "hunter2"}
        turns = [{"role": "assistant", "tool_calls": [call]}, result]
        for path, more, rule in (
                ("/v1/chat/completions", {"messages": turns}, "no-secrets"),
                ("/v1/chat/completions", {"messages": [result]}, "no-secrets"),
                ("/v1/responses", {"tools": [{"type": "mcp", "server_url": "https://m.test/"}]},
                 "no-delegation"),
                ("/v1/messages", {"mcp_servers": [{"url": "https://m.test/", "name": "m"}]},
                 "no-delegation"),
                ("/v1/messages", {"tool_choice": {"type": "tool", "name": "shell"}}, "no-force")):
            with self.subTest(path=path, rule=rule):
                text = self.post(path, {"model": "small", "messages": [], **more}, "-i")
                self.assertIn("HTTP/1.1 403", text)
                self.assertIn(rule, text)
        self.assertEqual(Backend.seen, [])
        call["function"]["name"] = "search"
        text = self.post("/v1/chat/completions", {"model": "small", "messages": turns})
        self.assertEqual(json.loads(text), {"ok": True})

    def test_also_where_a_stream_was_asked_for(self):
        for path, shape in (("/v1/chat/completions", lambda b: b["error"]["type"]),
                            ("/v1/responses", lambda b: b["error"]["type"]),
                            ("/v1/messages", lambda b: (b["type"], b["error"]["type"])[1])):
            with self.subTest(path):
                text = self.post(path, {"model": "big", "stream": True, "messages": []}, "-H",
                                 "Accept: text/event-stream", "-w", "\n%{http_code}")
                body, status = text.rsplit("\n", 1)
                # An error of the transport, as the vendors' own: no SDK takes it for events.
                self.assertEqual(status, "403")
                self.assertEqual(shape(json.loads(body)), "permission_error")
        self.assertEqual(Backend.seen, [])

    def test_tokens_and_tool_calls_of_answers_are_in_the_journal(self):
        for path in ANSWERS:
            text = self.post(path, {"model": "small", "messages": []}, "--compressed")
            self.assertIn("small-", text)
        written = self.chaperone.ok("journal", "export", "--format", "jsonl")
        for said in ("small-1 input=11 output=22 tools=weather",
                     "small-2 input=33 output=44 tools=search",
                     "small-3 input=55 output=66 tools=read_file"):
            self.assertIn(said, written)

    def call(self, tool, arguments):
        return json.loads(self.post("/mcp", {
            "jsonrpc": "2.0", "id": 5, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}))

    def test_tools_are_called_by_rules_over_their_arguments(self):
        self.assertEqual(self.call("query", {"database": "test"})["result"], {"content": []})
        for tool, arguments, why in (("drop_table", {}, "nothing is dropped"),
                                     ("query", {"database": "prod"}, "not on production")):
            result = self.call(tool, arguments)["result"]
            self.assertTrue(result["isError"])
            self.assertIn(why, result["content"][0]["text"])
        self.assertEqual(len(Backend.seen), 1, "what was refused has not left")

    def test_lists_of_tools_hold_what_may_be_called(self):
        events = self.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        messages = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
        self.assertEqual([m["method"] for m in messages if "method" in m], ["chaperone/denied"])
        (answer,) = [m for m in messages if "method" not in m]
        self.assertEqual([t["name"] for t in answer["result"]["tools"]], ["query", "read"])

    def test_several_messages_at_once_are_refused(self):
        batch = [{"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                  "params": {"name": "drop_table"}}]
        self.post("/mcp", batch)
        self.assertEqual(Backend.seen, [])


if __name__ == "__main__":
    unittest.main()
