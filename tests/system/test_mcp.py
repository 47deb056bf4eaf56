# SPDX-License-Identifier: Apache-2.0
"""The official MCP client and the official test server, both from npm, on both transports."""
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from harness import DRIVERS, Chaperone, Process, folder_of, free_port, run, wait_until
from http_servers import http_resource

POLICY = """
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: tools}
spec:
  rules:
  - {id: no-env, when: 'mcp.tool == "get-env"', deny: {reason: "nobody reads the environment"}}
  - id: small-sums
    when: 'mcp.method == "tools/call" && mcp.tool == "get-sum" && mcp.arguments.a > 100'
    deny: {reason: "too large a number", hint: "take a smaller one"}
  - id: ask
    when: 'mcp.method == "tools/call" && mcp.tool == "trigger-long-running-operation"'
    approve: {by: ["group:dba"], within: 5m}
  - id: no-questions
    when: 'mcp.from_server && identity.subject == "agent:other"'
    deny: {reason: "servers ask nothing here"}
  - {id: rest, allow: {}}
"""
WORKLOADS = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent}
spec: {identity: {subject: 'agent:billing'}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: other-agent}
spec: {identity: {subject: 'agent:other'}}
"""
CLIENT = """
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [transport, port, ...steps] = process.argv.slice(2);
const need = createRequire('MODULES/');
const load = async name => import(pathToFileURL(need.resolve('@modelcontextprotocol/sdk/' + name)));
const { Client } = await load('client/index.js');
const { CreateMessageRequestSchema, ElicitRequestSchema } = await load('types.js');
const url = new URL(`http://127.0.0.1:${port}/${transport === 'sse' ? 'sse' : 'mcp'}`);
const link = transport === 'sse'
  ? new (await load('client/sse.js')).SSEClientTransport(url)
  : new (await load('client/streamableHttp.js')).StreamableHTTPClientTransport(url);
const client = new Client({ name: 'agent', version: '1' },
                          { capabilities: { sampling: {}, elicitation: {} } });
const asked = [];
client.setRequestHandler(CreateMessageRequestSchema, async r => {
  asked.push(r.method);
  return { model: 'mine', role: 'assistant', content: { type: 'text', text: 'sampled' } };
});
client.setRequestHandler(ElicitRequestSchema, async r => {
  asked.push(r.method);
  return { action: 'accept', content: { name: 'elicited', check: true } };
});
await client.connect(link);
const say = x => console.log(JSON.stringify(x));
for (const step of steps) {
  const [name, text] = step.split('=');
  try {
    if (name === 'list') say((await client.listTools()).tools.map(t => t.name));
    else say(await client.callTool({ name, arguments: JSON.parse(text || '{}') }, undefined,
                                   { timeout: 60000 }));
  } catch (e) { say({ failed: String(e) }); }
}
say({ asked });
await client.close();
process.exit(0);
"""
MODULES = run(["npm", "root", "-g"]).stdout.strip()
SERVER = Path(MODULES) / "@modelcontextprotocol/server-everything/dist/index.js"


class Official(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        (cls.folder / "client.mjs").write_text(CLIENT.replace("MODULES", MODULES))
        cls.ports = {}
        for transport in ("streamableHttp", "sse"):
            port = cls.ports[transport] = free_port()
            server = Process(["node", SERVER, transport], cls.folder / f"{transport}.log",
                             env=dict(os.environ, PORT=str(port)), cwd="/")
            cls.addClassCleanup(server.stop)
            wait_until(lambda: run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]
                                   ).returncode == 0, f"{transport} listens")
        resources = "".join(http_resource(name.lower(), port)
                            for name, port in cls.ports.items()).removesuffix("---\n")
        cls.chaperone = cls.enterClassContext(
            Chaperone(cls.folder / "case", POLICY, resources, workload=WORKLOADS))

    def command(self, transport, *steps):
        return ["node", self.folder / "client.mjs", transport, str(self.ports[transport]), *steps]

    def client(self, transport, *steps, **kwargs):
        done = self.chaperone.agent(self.command(transport, *steps), timeout=120, **kwargs)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def text(self, result):
        return " ".join(part.get("text", "") for part in result["content"])

    def both(self, *steps, **kwargs):
        for transport in self.ports:
            with self.subTest(transport):
                yield self.client(transport, *steps, **kwargs)

    def test_the_list_is_what_is_allowed(self):
        for tools, _ in self.both("list"):
            self.assertIn("echo", tools)
            self.assertIn("get-sum", tools)
            self.assertNotIn("get-env", tools)

    def test_calls_are_allowed_and_refused_by_their_arguments(self):
        for transport in self.ports:
            echo, small, large, env, _ = self.client(
                transport, 'echo={"message":"hello"}', 'get-sum={"a":1,"b":2}',
                'get-sum={"a":101,"b":2}', "get-env")
            self.assertIn("hello", self.text(echo))
            self.assertIn("3", self.text(small))
            self.assertNotIn("isError", small)
            # For the model to read; over the older transport it comes in the stream.
            self.assertTrue(large["isError"])
            self.assertIn("too large a number", self.text(large))
            self.assertIn("take a smaller one", self.text(large))
            self.assertTrue(env["isError"])

    def test_a_call_is_the_same_however_it_is_spelled(self):
        script = self.folder / "mcp_spellings.py"
        shutil.copy(DRIVERS / script.name, script)
        command = ["/usr/bin/python3", script, str(self.ports["streamableHttp"]), "get-env"]
        direct = json.loads(run(command).stdout)
        self.assertIn("PATH", direct["last of a batch"][1], "it would be called")
        done = self.chaperone.agent(command, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, (status, text) in json.loads(done.stdout).items():
            with self.subTest(name):
                if name.startswith("allowed"):
                    self.assertEqual(status, 200, text)
                    self.assertIn("Echo: hello", text)
                    continue
                self.assertNotIn("PATH", text)
                self.assertTrue(status >= 400 or "nobody reads the environment" in text or
                                "rule" in text, (status, text))
        last = json.loads(json.loads(done.stdout)["last of a batch"][1])
        self.assertEqual([one["id"] for one in last], [2, 3, 1], "each is answered")

    def test_a_call_waits_for_a_person(self):
        for transport in self.ports:
            agent = subprocess.Popen(
                [str(c) for c in self.chaperone.run_command(self.command(
                    transport, 'trigger-long-running-operation={"duration":1,"steps":1}'))],
                env=self.chaperone.env, cwd="/", text=True, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
            with agent:
                held = wait_until(lambda: self.chaperone.json(
                    "approval", "list", "--state", "pending")["approvals"], "it is held")
                self.chaperone.ok("approval", "grant", held[0]["id"])
                out, err = agent.communicate(timeout=60)
            self.assertIn("Long running operation completed", out, err)

    def test_servers_ask_the_agent(self):
        steps = ('trigger-sampling-request={"prompt":"x","maxTokens":10}',
                 "trigger-elicitation-request")
        for sampled, elicited, asked in self.both(*steps):
            self.assertIn("sampled", self.text(sampled))
            self.assertIn("elicited", self.text(elicited))
            self.assertEqual(asked["asked"], ["sampling/createMessage", "elicitation/create"])
        written = self.chaperone.ok("journal", "export", "--format", "jsonl")
        self.assertIn("sampling/createMessage", written)

    def test_or_may_not(self):
        for sampled, asked in self.both('trigger-sampling-request={"prompt":"x","maxTokens":10}',
                                        workload="other-agent"):
            self.assertEqual(asked["asked"], [])
            # Its library has answered for the agent, and the tool says so at once.
            self.assertTrue(sampled["isError"], sampled)
            self.assertIn("Method not found", self.text(sampled))
        written = self.chaperone.ok("journal", "export", "--format", "jsonl").splitlines()
        refused = [line for line in written
                   if "sampling/createMessage" in line and '"deny"' in line]
        self.assertEqual(len(refused), 2)


if __name__ == "__main__":
    unittest.main()
