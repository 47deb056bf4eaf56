# SPDX-License-Identifier: Apache-2.0
"""A 1 GB result that nothing is masked in: how much of HAProxy's TCP mode is reached."""
import statistics
import time

from contenders import Bench, HaProxy, progress
from harness import run

# 1,000,000 rows of about 1 KB.
SQL = "SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) i"


def main(options):
    with Bench() as bench, HaProxy(bench.folder, bench.db) as haproxy:
        def command(port):
            return ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(port), "-U", "app",
                    "-d", "shop", "-o", "/dev/null", "-v", "FETCH_COUNT=0",
                    "-c", f"COPY ({SQL}) TO STDOUT"]
        turns = {"direct": command(bench.db.port), "haproxy": command(haproxy.port),
                 "chaperone": bench.governed(command(bench.db.port))}
        took = {name: [] for name in turns}
        for turn in range(options.rounds):
            for name, line in turns.items():
                progress(f"{name} {turn + 1}/{options.rounds}")
                began = time.monotonic()
                done = run(["sh", "-c", 'exec "$@" >/dev/null', "sh", *line],
                           env=bench.environment(), timeout=300, cwd="/")
                took[name].append(time.monotonic() - began)
                assert done.returncode == 0, done.stderr
        progress("")
    middle = {name: statistics.median(times) for name, times in took.items()}
    return [{"result": "1 GB", "chaperone/haproxy": round(middle["haproxy"] / middle["chaperone"], 3),
             "chaperone/direct": round(middle["direct"] / middle["chaperone"], 3),
             "haproxy/direct": round(middle["direct"] / middle["haproxy"], 3)}]
