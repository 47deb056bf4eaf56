# SPDX-License-Identifier: Apache-2.0
"""requests and httpx, as an agent uses them. Argument: the base URL."""
import sys

import httpx
import requests

base = sys.argv[1]
with requests.Session() as session:
    for _ in range(20):
        got = session.get(base + "/echo?q=1", headers={"X-Probe": "p"})
        assert got.status_code == 200 and got.text == "GET /echo?q=1 p\n", got.text
    assert session.head(base + "/echo").status_code == 200
    assert session.get(base + "/moved").text.startswith("GET /echo")
    put = session.put(base + "/upload/requests", data=b"x" * 300_000)
    assert put.status_code in (201, 204), put.text
    put = session.put(base + "/upload/chunked", data=(b"y" * 1000 for _ in range(50)))
    assert put.status_code in (201, 204), put.text
    part = session.get(base + "/big", headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == b"0123456789"[:10], part.content
    denied = session.delete(base + "/upload/requests")
    assert denied.status_code == 403, denied.status_code
    problem = denied.json()
    assert denied.headers["content-type"] == "application/problem+json"
    assert problem["rule"] == "no-delete" and problem["status"] == 403, problem
    assert "agent_guidance" in problem and "next_steps" in problem
    assert "http_request_denied" in denied.headers["proxy-status"]
    assert session.get(base + "/echo").status_code == 200, "the connection goes on"
with httpx.Client() as client:
    for _ in range(20):
        assert client.get(base + "/echo").status_code == 200
    assert client.get(base + "/ADMIN/x").status_code == 403
    with client.stream("GET", base + "/big") as got:
        assert sum(len(piece) for piece in got.iter_bytes()) == 1_000_000
print("python fine")
