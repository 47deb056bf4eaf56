# SPDX-License-Identifier: Apache-2.0
"""pgbench -S through each contender, in turn."""
import os
import re
import statistics
import tempfile
from contextlib import nullcontext
from pathlib import Path

from contenders import Bench, PgBouncer, progress
from cost import Meter
from harness import run


def measure(command, environment, seconds, meter):
    """Transactions a second, the latency's percentiles in µs from the log of each one, and what a
    transaction costs the process that stands between."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        log = ["--log", f"--log-prefix={folder}/l"]
        with meter or nullcontext():
            done = run(command + log, env=environment, timeout=seconds + 60, cwd="/")
        assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
        found = re.search(r"tps = ([0-9.]+) \(without", done.stdout)
        assert found, "not one transaction in the whole time:\n" + done.stdout
        tps = float(found.group(1))
        latencies = sorted(int(line.split()[2]) for path in Path(folder).iterdir()
                           for line in path.read_text().splitlines())
    figures = {"tps": tps, "p50": latencies[len(latencies) // 2],
               "p99": latencies[len(latencies) * 99 // 100]}
    if meter:
        figures["cpu"] = meter.ns / 1000 / len(latencies)
        figures["syscalls"] = (meter.syscalls or 0) / len(latencies)
    return figures


def compare(options, tls):
    rows = []

    def meter(name):
        if name == "direct":
            return None
        if name == "pgbouncer":
            return Meter(bouncer.process.process.pid, syscalls=True)
        # The index is filled by a thread that runs when nothing else wants to.
        return Meter(daemon, "session-", syscalls=True)

    with Bench(tls=tls) as bench, PgBouncer(bench.folder, bench.db, tls=tls) as bouncer:
        environment = bench.environment()
        daemon = bench.chaperone.daemon.process.pid
        made = run(["pgbench", "-i", "-q", "-s", "5", "-h", "127.0.0.1", "-p", bench.db.port,
                    "-U", "app", "shop"], env=environment)
        assert made.returncode == 0, made.stderr
        for mode in options.modes:
            for clients in options.clients:
                def command(port):
                    return ["pgbench", "-n", "-S", "-M", mode, "-c", str(clients), "-j",
                            str(min(clients, 2)), "-T", str(options.seconds), "-h", "127.0.0.1",
                            "-p", str(port), "-U", "app", "shop"]
                turns = {"direct": command(bench.db.port), "pgbouncer": command(bouncer.port),
                         "chaperone": bench.governed(command(bench.db.port))}
                got = {name: [] for name in turns}
                for turn in range(options.rounds):
                    for name, line in turns.items():
                        progress(f"{mode} {clients} {name} {turn + 1}/{options.rounds}")
                        got[name].append(measure(line, environment, options.seconds, meter(name)))
                rows.append(row(mode, clients, got))
        progress("")
    return rows


def row(mode, clients, got):
    def mid(name, figure):
        return statistics.median(m[figure] for m in got[name])
    tps = {name: mid(name, "tps") for name in got}
    return {
        "mode": mode, "clients": clients,
        "chaperone/direct": round(tps["chaperone"] / tps["direct"], 3),
        "pgbouncer/direct": round(tps["pgbouncer"] / tps["direct"], 3),
        "chaperone/pgbouncer": round(tps["chaperone"] / tps["pgbouncer"], 3),
        "added p50 µs": round(mid("chaperone", "p50") - mid("direct", "p50")),
        "pgbouncer's": round(mid("pgbouncer", "p50") - mid("direct", "p50")),
        "p99/pgbouncer's": round(mid("chaperone", "p99") / mid("pgbouncer", "p99"), 3),
        "cpu µs/tx": round(mid("chaperone", "cpu"), 1),
        "pgbouncer's cpu": round(mid("pgbouncer", "cpu"), 1),
        "syscalls/tx": round(mid("chaperone", "syscalls"), 1),
        "pgbouncer's calls": round(mid("pgbouncer", "syscalls"), 1),
    }


def plain(options):
    return compare(options, False)


def tls(options):
    return compare(options, True)
