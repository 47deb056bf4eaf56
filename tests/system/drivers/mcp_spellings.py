# SPDX-License-Identifier: Apache-2.0
"""As an agent: one MCP tool call spelled in many ways. Prints the answer to each as JSON.

usage: mcp_spellings.py PORT TOOL
"""
import base64
import gzip
import http.client
import json
import sys

PORT, TOOL = int(sys.argv[1]), sys.argv[2]
FIELDS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def post(body, more=None):
    link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    link.request("POST", "/mcp", body, {**FIELDS, **(more or {})})
    answer = link.getresponse()
    text = answer.read().decode(errors="replace")
    session = answer.getheader("Mcp-Session-Id")
    link.close()
    return answer.status, text, session


def message(method, params, number=1):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def utf7(text):
    return "".join("+%s-" % base64.b64encode(c.encode("utf-16-be")).decode().rstrip("=")
                   for c in text)


_, _, SESSION = post(json.dumps(message("initialize", {
    "protocolVersion": "2025-03-26", "capabilities": {},
    "clientInfo": {"name": "agent", "version": "1"}})))
CALL = json.dumps(message("tools/call", {"name": TOOL, "arguments": {}}))
PING = json.dumps(message("ping", {}, 2))
ECHO = json.dumps(message("tools/call", {"name": "echo", "arguments": {"message": "hello"}}, 3))
ESCAPED = "".join("\\u%04x" % ord(c) for c in TOOL)
SPELLINGS = {
    "plain": (CALL, {}),
    "escaped": (CALL.replace(TOOL, ESCAPED), {}),
    "escaped method": (CALL.replace("tools/call", "\\u0074ools/call"), {}),
    "alone in a batch": (f"[{CALL}]", {}),
    "last of a batch": (f"[{PING},{ECHO},{CALL}]", {}),
    "first of a batch": (f"[{CALL},{PING}]", {}),
    "named twice": (CALL.replace('"name": ', '"name": "echo", "name": '), {}),
    "two methods": (CALL.replace('"method"', '"method": "ping", "method"'), {}),
    "another case": (CALL.replace('"method"', '"method": "ping", "Method"'), {}),
    "byte order mark": (b"\xef\xbb\xbf" + CALL.encode(), {}),
    "UTF-7": (CALL.replace(TOOL, utf7(TOOL)), {"Content-Type": "application/json; charset=utf-7"}),
    "UTF-16": (CALL.encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}),
    "gzip": (gzip.compress(CALL.encode()), {"Content-Encoding": "gzip"}),
    "text": (CALL, {"Content-Type": "text/plain"}),
    "without version": (CALL.replace('"jsonrpc": "2.0", ', ""), {}),
    "white space before": ("\n\t " + CALL, {}),
    "two documents": (PING + CALL, {}),
    "fields say otherwise": (CALL, {"Mcp-Method": "ping"}),
    "override": (CALL, {"X-HTTP-Method-Override": "GET"}),
    "allowed: a batch": (f"[{PING},{ECHO}]", {}),
    "allowed: a call": (ECHO, {}),
}
print(json.dumps({name: post(body, {"Mcp-Session-Id": SESSION, **more})[:2]
                  for name, (body, more) in SPELLINGS.items()}))
