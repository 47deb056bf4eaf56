# SPDX-License-Identifier: Apache-2.0
"""pgbench -S through each contender, in turn."""
import os
import re
import statistics
import tempfile
from pathlib import Path

from contenders import Bench, PgBouncer, progress
from harness import run


def measure(command, environment, seconds):
    """Transactions a second, and the latency's percentiles in µs from the log of each one."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        log = ["--log", f"--log-prefix={folder}/l"]
        done = run(command + log, env=environment, timeout=seconds + 60, cwd="/")
        assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
        tps = float(re.search(r"tps = ([0-9.]+) \(without", done.stdout).group(1))
        latencies = sorted(int(line.split()[2]) for path in Path(folder).iterdir()
                           for line in path.read_text().splitlines())
    return {"tps": tps, "p50": latencies[len(latencies) // 2],
            "p99": latencies[len(latencies) * 99 // 100]}


def compare(options, tls):
    rows = []
    with Bench(tls=tls) as bench, PgBouncer(bench.folder, bench.db, tls=tls) as bouncer:
        environment = bench.environment()
        made = run(["pgbench", "-i", "-q", "-s", "5", "-h", "127.0.0.1", "-p", bench.db.port,
                    "-U", "app", "shop"], env=environment)
        assert made.returncode == 0, made.stderr
        for mode in ("simple", "extended", "prepared"):
            for clients in (1, 8):
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
                        got[name].append(measure(line, environment, options.seconds))
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
    }


def plain(options):
    return compare(options, False)


def tls(options):
    return compare(options, True)
