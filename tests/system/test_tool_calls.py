# SPDX-License-Identifier: Apache-2.0
"""Models' answers under rules over their tool calls and under masks, with the vendors' own SDKs from
npm, unchanged."""
import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Chaperone, folder_of, run, wait_until
from http_servers import http_resource

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: tools}
spec:
  rules:
  - id: no-drop
    when: 'llm.tool_call.name == "drop_table"'
    deny: {reason: "nothing is dropped", hint: "ask for a migration"}
  - id: no-rm
    when: 'llm.tool_call.name == "shell" && llm.tool_call.arguments.command.contains("rm ")'
    deny: {reason: "files stay"}
  - id: ask
    when: 'llm.tool_call.name == "deploy"'
    approve: {by: ["group:root"], within: 5m}
  - id: cards
    when: 'llm.model == "masked"'
    mask: [{detect: [CREDIT_CARD, EMAIL_ADDRESS], with: redact}]
  - {id: rest, allow: {}}
---
apiVersion: chaperone.dev/v1
kind: PolicyTest
metadata: {name: tools}
spec:
  cases:
  - name: files stay
    workload: billing-agent
    resource: api
    http: {method: POST, url: "http://127.0.0.1/v1/messages", body: "{}"}
    toolCall: {name: shell, arguments: '{"command": "rm x"}'}
    expect: {effect: deny, rule: no-rm}
  - name: a person is asked
    workload: billing-agent
    resource: api
    http: {method: POST, url: "http://127.0.0.1/v1/messages", body: "{}"}
    toolCall: {name: deploy, arguments: '{"where": "production"}'}
    expect: {effect: approve, rule: ask}
  - name: the question itself passes
    workload: billing-agent
    resource: api
    http: {method: POST, url: "http://127.0.0.1/v1/messages", body: "{}"}
    expect: {effect: allow}
"""
CLIENT = """
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [port, kind, tool, args] = process.argv.slice(2);
const need = createRequire('MODULES/');
const load = async name => (await import(pathToFileURL(need.resolve(name)))).default;
const base = { apiKey: 'k', maxRetries: 0, timeout: 20000 };
if (process.env.PATIENCE) {  // between two pieces of a body
  const { Agent, fetch } = await import(pathToFileURL(need.resolve('undici')));
  base.fetch = fetch;
  base.fetchOptions = { dispatcher: new Agent({ bodyTimeout: Number(process.env.PATIENCE) }) };
}
const OpenAI = await load('openai'), Anthropic = await load('@anthropic-ai/sdk');
const openai = new OpenAI({ ...base, baseURL: `http://127.0.0.1:${port}/v1` });
const anthropic = new Anthropic({ ...base, baseURL: `http://127.0.0.1:${port}` });
const messages = [{ role: 'user', content: JSON.stringify([tool, args]) }];
const input = messages[0].content, model = tool === 'say' ? 'masked' : 'm';
const said = [], calls = [];
const runs = {
  chat: async () => {
    const made = await openai.chat.completions.create({ model, messages });
    for (const c of made.choices[0].message.tool_calls) calls.push([c.function.name, c.function.arguments]);
  },
  'chat-stream': async () => {
    for await (const e of await openai.chat.completions.create({ model, messages, stream: true })) {
      const d = e.choices[0].delta;
      if (d.content) said.push(d.content);
      for (const c of d.tool_calls ?? []) calls.push([c.function.name ?? '', c.function.arguments]);
    }
  },
  responses: async () => {
    const made = await openai.responses.create({ model, input });
    for (const c of made.output) calls.push([c.name, c.arguments]);
  },
  'responses-stream': async () => {
    for await (const e of await openai.responses.create({ model, input, stream: true })) {
      if (e.type === 'response.output_text.delta') said.push(e.delta);
      if (e.type.includes('function_call') || e.item) calls.push([e.type]);
    }
  },
  messages: async () => {
    const made = await anthropic.messages.create({ model, messages, max_tokens: 9 });
    for (const c of made.content) calls.push([c.name, JSON.stringify(c.input)]);
  },
  'messages-stream': async () => {
    for await (const e of await anthropic.messages.create({ model, messages, max_tokens: 9, stream: true })) {
      if (e.delta?.text) said.push(e.delta.text);
      if (e.content_block?.type === 'tool_use' || e.delta?.partial_json) calls.push([e.type]);
    }
  },
};
let failed = null;
try { await runs[kind](); }
catch (e) { failed = { status: e.status ?? null, message: String(e.message) }; }
console.log(JSON.stringify({ said, calls, failed }));
process.exit(0);
"""
MODULES = run(["npm", "root", "-g"]).stdout.strip()
KINDS = ("chat", "responses", "messages")


def said(kind, text):
    """A text in pieces of two characters."""
    pieces = [text[i:i + 2] for i in range(0, len(text), 2)]
    if kind == "chat":
        make = [{"choices": [{"index": 0, "delta": {"content": p}, "finish_reason": None}]}
                for p in pieces]
        return [("", e) for e in make + [{"choices": [{"index": 0, "delta": {},
                                                       "finish_reason": "stop"}]}]]
    if kind == "responses":
        make = [{"type": "response.output_text.delta", "delta": p, "output_index": 0,
                 "content_index": 0, "item_id": "m"} for p in pieces]
        make.append({"type": "response.output_text.done", "text": text, "output_index": 0,
                     "content_index": 0, "item_id": "m"})
    else:
        make = [{"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": p}} for p in pieces]
        make += [{"type": "content_block_stop", "index": 0}, {"type": "message_stop"}]
    return [(e["type"], e) for e in make]


def chat_events(tool, args):
    def chunk(delta, finish=None):
        return {"id": "1", "object": "chat.completion.chunk", "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def part(**function):
        return chunk({"tool_calls": [{"index": 0, "function": function}]})

    first = chunk({"tool_calls": [{"index": 0, "id": "c1", "type": "function",
                                   "function": {"name": tool, "arguments": ""}}]})
    return [("", e) for e in (chunk({"role": "assistant", "content": "hm"}), first,
                              *(part(arguments=a) for a in args), chunk({}, "tool_calls"))]


def response_events(tool, args):
    item = {"type": "function_call", "id": "i", "call_id": "c1", "name": tool, "arguments": ""}
    whole = dict(item, arguments=args)
    events = [{"type": "response.output_text.delta", "delta": "hm", "output_index": 0},
              {"type": "response.output_item.added", "output_index": 1, "item": item}]
    events += [{"type": "response.function_call_arguments.delta", "output_index": 1, "delta": a}
               for a in args]
    events += [{"type": "response.output_item.done", "output_index": 1, "item": whole},
               {"type": "response.completed", "response": {"output": [whole]}}]
    return [(e["type"], e) for e in events]


def message_events(tool, args):
    block = {"type": "tool_use", "id": "t", "name": tool, "input": {}}
    events = [{"type": "message_start", "message": {"id": "1", "content": []}},
              {"type": "content_block_delta", "index": 0,
               "delta": {"type": "text_delta", "text": "hm"}},
              {"type": "content_block_start", "index": 1, "content_block": block}]
    events += [{"type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": a}} for a in args]
    events += [{"type": "content_block_stop", "index": 1}, {"type": "message_stop"}]
    return [(e["type"], e) for e in events]


def document(kind, tool, args):
    function = {"name": tool, "arguments": args}
    return {
        "chat": {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [
            {"id": "c1", "type": "function", "function": function}]}}]},
        "responses": {"object": "response", "output": [
            {"type": "function_call", "call_id": "c1", **function}]},
        "messages": {"type": "message", "content": [
            {"type": "tool_use", "id": "t", "name": tool, "input": json.loads(args or "{}")}]},
    }[kind]


class Model(BaseHTTPRequestHandler):
    """Calls the tool that the last turn names."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = self.path.rsplit("/", 1)[1].replace("completions", "chat")
        turn = asked["input"] if kind == "responses" else asked["messages"][-1]["content"]
        tool, args = json.loads(turn)
        if not asked.get("stream"):
            body = json.dumps(document(kind, tool, args)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        make = {"chat": chat_events, "responses": response_events, "messages": message_events}
        try:
            events = said(kind, args) if tool == "say" else make[kind](tool, args)
            for name, event in events:
                head = f"event: {name}\n" if name else ""
                self.piece(f"{head}data: {json.dumps(event)}\n\n".encode())
            if kind == "chat":
                self.piece(b"data: [DONE]\n\n")
            self.piece(b"")
        except OSError:
            pass  # nobody reads it any more

    def piece(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


class ToolCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        (cls.folder / "client.mjs").write_text(CLIENT.replace("MODULES", MODULES))
        cls.server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        resource = http_resource("api", cls.server.server_port).removesuffix("---\n")
        cls.chaperone = cls.enterClassContext(
            Chaperone(cls.folder / "case", POLICY, resource))

    def ask(self, kind, tool, args="{}"):
        done = self.chaperone.agent(["node", self.folder / "client.mjs",
                                     str(self.server.server_port), kind, tool, args], timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_an_allowed_call_reaches_the_agent(self):
        args = json.dumps({"command": "ls -l"})
        for kind in KINDS:
            with self.subTest(kind):
                got = self.ask(kind, "shell", args)
                self.assertIsNone(got["failed"])
                [[name, text]] = got["calls"]
                self.assertEqual((name, json.loads(text)), ("shell", json.loads(args)))
            with self.subTest(kind, stream=True):
                got = self.ask(kind + "-stream", "shell", args)
                self.assertIsNone(got["failed"])
                self.assertEqual(got["said"], ["hm"])
                self.assertGreater(len(got["calls"]), 5, "each event of it has come")

    def test_a_denied_call_is_the_vendors_error(self):
        for kind in KINDS:
            for tool, args, why in (("drop_table", "{}", "nothing is dropped"),
                                    ("shell", json.dumps({"command": "cd x; rm -r y"}), "files stay"),
                                    ("shell", json.dumps({"cmd": "ls"}), "files stay")):
                with self.subTest(kind, tool=tool, args=args):
                    got = self.ask(kind, tool, args)
                    self.assertEqual((got["calls"], got["failed"]["status"]), ([], 403))
                    self.assertIn(why, got["failed"]["message"])

    def pending(self):
        listed = self.chaperone.json("approval", "list", "--state", "pending")["approvals"]
        return [one for one in listed if one["statement"] == "tool call deploy"]

    def test_a_person_decides_while_the_client_waits(self):
        args = json.dumps({"where": "production"})
        for kind in KINDS:
            for stream in ("", "-stream"):
                for granted in (True, False):
                    with self.subTest(kind + stream, granted=granted):
                        agent = self.chaperone.popen_agent(
                            ["node", self.folder / "client.mjs", str(self.server.server_port),
                             kind + stream, "deploy", args])
                        with agent:
                            [held] = wait_until(self.pending, "the call is held")
                            [shown] = held["parameters"]
                            self.assertEqual(json.loads(shown), json.loads(args),
                                             "an approver sees what for")
                            how = ("grant", held["id"]) if granted else (
                                "refuse", held["id"], "--reason", "not on a Friday")
                            self.chaperone.ok("approval", *how)
                            out, err = agent.communicate(timeout=60)
                        got = json.loads(out)
                        if granted:
                            self.assertIsNone(got["failed"], err)
                            self.assertTrue(got["calls"])
                        else:
                            self.assertEqual(got["calls"], [])
                            self.assertIn("not on a Friday", got["failed"]["message"])
                        self.assertEqual(got["said"], ["hm"] if stream else [])
        journal = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn("tool call deploy", journal)
        self.chaperone.ok("journal", "verify")

    def test_a_stream_that_waits_keeps_clients_patient(self):
        args = json.dumps({"where": "production"})
        for kind in KINDS:
            with self.subTest(kind):
                asked = json.dumps({"stream": True, "model": "m", "messages": [
                    {"role": "user", "content": json.dumps(["deploy", args])}]})
                agent = self.chaperone.popen_agent(
                    ["node", self.folder / "client.mjs", str(self.server.server_port),
                     kind + "-stream", "deploy", args], env={"PATIENCE": "8000"})
                with agent:
                    wait_until(lambda: len(self.pending()) == 1, "the client's call is held")
                    raw = self.chaperone.popen_agent(
                        ["curl", "-sSN", "-d", asked,
                         f"http://127.0.0.1:{self.server.server_port}/v1/messages"])
                    with raw:
                        signs = 0
                        while signs < 3:  # five seconds lie between two of them
                            line = raw.stdout.readline()
                            self.assertTrue(line, "the stream has ended")
                            signs += line.startswith(": chaperone waits for approval ")
                        for held in self.pending():
                            self.chaperone.ok("approval", "grant", held["id"])
                        rest, _ = raw.communicate(timeout=60)
                        self.assertIn("message_stop", rest)
                    out, err = agent.communicate(timeout=60)
                got = json.loads(out)
                self.assertIsNone(got["failed"], err)
                self.assertTrue(got["calls"])

    def test_a_websocket_to_a_model_is_refused(self):
        for path in ("/v1/realtime?model=m", "/v1/responses"):
            done = self.chaperone.agent(
                ["curl", "-sSi", "-m", "20", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket",
                 "-H", "Sec-WebSocket-Version: 13", "-H",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 f"http://127.0.0.1:{self.server.server_port}{path}"])
            self.assertIn("403 Forbidden", done.stdout, done.stderr)
            self.assertIn("within a WebSocket", done.stdout)

    def later(self, args):
        """As one who comes again instead of waiting."""
        turn = json.dumps(["deploy", args])
        done = self.chaperone.agent(
            ["curl", "-sS", "-w", "\n%{http_code}", "-H", "Prefer: respond-async", "-d",
             json.dumps({"messages": [{"role": "user", "content": turn}]}),
             f"http://127.0.0.1:{self.server.server_port}/v1/messages"])
        return int(done.stdout.rsplit("\n", 1)[1])

    def test_or_it_comes_again_and_is_good_once(self):
        args = json.dumps({"where": "staging"})
        self.assertEqual(self.later(args), 202)
        [held] = wait_until(self.pending, "the call is held")
        self.chaperone.ok("approval", "grant", held["id"])
        self.assertEqual(self.later(json.dumps({"where": "elsewhere"})), 202, "not for this")
        self.assertEqual(self.later(args), 200)
        self.assertEqual(self.later(args), 202, "and good once")
        for left in self.pending():
            self.chaperone.ok("approval", "refuse", left["id"], "--reason", "no")

    def test_of_a_stream_what_came_before_it_passes_and_it_does_not(self):
        for kind in KINDS:
            with self.subTest(kind):
                got = self.ask(kind + "-stream", "shell", json.dumps({"command": "rm -rf z"}))
                self.assertEqual((got["said"], got["calls"]), (["hm"], []))
                self.assertIn("files stay", got["failed"]["message"])

    def test_values_are_masked_that_a_stream_spreads_over_its_events(self):
        text = "Write to ann.b@shop.example, pay with 4111 1111 1111 1111 or 5500 0000 0000 0004"
        for kind in KINDS:
            with self.subTest(kind):
                got = self.ask(kind + "-stream", "say", text)
                self.assertIsNone(got["failed"])
                self.assertEqual("".join(got["said"]), "Write to <EMAIL_ADDRESS>, pay with "
                                 "<CREDIT_CARD> or <CREDIT_CARD>")
                self.assertGreater(len(got["said"]), 4, "it comes in pieces still")

    def test_the_journal_says_which_rule_decided(self):
        self.ask("messages", "drop_table")
        self.ask("messages", "harmless")
        written = [json.loads(line) for line in
                   self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()]
        found = {}
        for line in written:
            request = line.get("request") or line.get("entry", {}).get("request") or {}
            if request.get("kind") == "message":
                found[request["statement"]] = (request["decision"], request["facts"])
        decision, facts = found["tool call drop_table"]
        self.assertEqual((decision["effect"], decision["rule"]), ("deny", "no-drop"))
        self.assertEqual((facts["tool"], facts["tool_call_id"]), ("drop_table", "t"))
        self.assertEqual(found["tool call harmless"][0]["rule"], "rest")

    def test_it_can_be_tried_without_a_model(self):
        bundle = self.chaperone.root / "etc/chaperone/bundle"
        self.assertIn("3", self.chaperone.ok("policy", "test", bundle))
        text = self.chaperone.ok(
            "policy", "explain", "--bundle", bundle, "--workload", "billing-agent", "--resource",
            "api", "--http", "POST http://127.0.0.1/v1/messages", "--body", "{}", "--tool-call",
            "shell", "--tool-arguments", '{"command": "rm x"}', "-o", "json")
        explained = json.loads(text)
        self.assertEqual(explained["decision"]["rule"], "no-rm")
        self.assertEqual(explained["facts"]["llm"]["tool_call"]["name"], "shell")


if __name__ == "__main__":
    unittest.main()
