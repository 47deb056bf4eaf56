# SPDX-License-Identifier: Apache-2.0
"""HTTP against HAProxy's HTTP mode: wrk and h2load before nginx, each contender in turn."""
import statistics

from contenders import progress
from http_contenders import MitmProxy, World, h2load, wrk

CLOSE = ("-H", "Connection: close")
# What is asked: which port, the path, HTTP/2, new connections.
ROWS = (
    ("1 KiB", "clear", "/1k", False, ()),
    ("64 KiB", "clear", "/64k", False, ()),
    ("1 KiB, new connections", "clear", "/1k", False, CLOSE),
    ("1 KiB, TLS", "tls", "/1k", False, ()),
    ("64 KiB, TLS", "tls", "/64k", False, ()),
    ("1 KiB, TLS, new connections", "tls", "/1k", False, CLOSE),
    ("1 KiB, HTTP/2, TLS", "tls", "/1k", True, ()),
    ("64 KiB, HTTP/2, TLS", "tls", "/64k", True, ()),
)


def command(options, port, path, scheme, http2, flags):
    url = f"{scheme}://127.0.0.1:{port}{path}"
    if http2:
        return h2load(url, (20000 if path == "/1k" else 3000) * options.seconds)
    return wrk(url, options.seconds, *flags)


def row(options, world, mitmproxy, what):
    name, kind, path, http2, flags = what
    scheme = "http" if kind == "clear" else "https"
    line = lambda port: command(options, port, path, scheme, http2, flags)
    pids = {"direct": world.server.process.process.pid,
            "haproxy": world.haproxy.process.process.pid,
            "chaperone": world.chaperone.daemon.process.pid}
    ports = {"direct": getattr(world.server, kind), "haproxy": getattr(world.haproxy, kind),
             "chaperone": getattr(world.server, kind)}
    if name == "1 KiB":
        pids["mitmproxy"] = mitmproxy.process.process.pid
        ports["mitmproxy"] = mitmproxy.clear
    rates, costs, calls = ({n: [] for n in pids} for _ in range(3))
    for turn in range(options.rounds):
        for contender, pid in pids.items():
            progress(f"{name}: {contender} {turn + 1}/{options.rounds}")
            requests, seconds, meter = world.load(
                line(ports[contender]), pid, contender == "chaperone", syscalls=True)
            rates[contender].append(requests / seconds)
            costs[contender].append(meter.ns / requests / 1000)
            calls[contender].append((meter.syscalls or 0) / requests)
    middle = {n: statistics.median(r) for n, r in rates.items()}
    least = {n: min(c) for n, c in costs.items()}
    made = {"what": name,
            "chaperone/haproxy": round(middle["chaperone"] / middle["haproxy"], 3),
            "chaperone/direct": round(middle["chaperone"] / middle["direct"], 3),
            "haproxy/direct": round(middle["haproxy"] / middle["direct"], 3),
            "cpu us/request": round(least["chaperone"], 1),
            "haproxy's": round(least["haproxy"], 1),
            "calls/request": round(min(calls["chaperone"]), 2),
            "haproxy's calls": round(min(calls["haproxy"]), 2)}
    if "mitmproxy" in middle:
        made["chaperone/mitmproxy"] = round(middle["chaperone"] / middle["mitmproxy"], 1)
    return made


def main(options):
    with World() as world, MitmProxy(world.folder, world.server) as mitmproxy:
        made = [row(options, world, mitmproxy, what) for what in ROWS
                if not options.only or options.only in what[0]]
    progress("")
    return made
