# SPDX-License-Identifier: Apache-2.0
"""How far the index of the journal falls behind heavy traffic, and how soon it has caught up."""
import json
import sqlite3
import time

from contenders import Bench, progress
from harness import run

MOST = 300  # seconds, to catch up in


def written(bench):
    status = bench.chaperone.cli("status", "-o", "json")
    assert status.returncode == 0, status.stderr
    return int(json.loads(status.stdout)["journalEntries"])


def main(options):
    with Bench() as bench:
        made = run(["pgbench", "-i", "-q", "-s", "1", "-h", "127.0.0.1", "-p", bench.db.port,
                    "-U", "app", "shop"], env=bench.environment())
        assert made.returncode == 0, made.stderr
        index = sqlite3.connect(bench.chaperone.root / "var/lib/chaperone/index.db", timeout=30)

        def indexed():
            return index.execute("SELECT next FROM meta").fetchone()[0]

        before = written(bench)
        progress("traffic")
        done = run(bench.governed(["pgbench", "-n", "-S", "-M", "prepared", "-c", "8", "-j", "2",
                                   "-T", str(options.seconds), "-h", "127.0.0.1", "-p",
                                   bench.db.port, "-U", "app", "shop"]),
                   env=bench.environment(), timeout=options.seconds + 60, cwd="/")
        assert done.returncode == 0, done.stderr
        upto, since = written(bench), time.monotonic()
        behind = upto - indexed()
        progress("catching up")
        while indexed() < upto:
            assert time.monotonic() - since < MOST, f"{upto - indexed()} entries behind"
            time.sleep(0.05)
        took = time.monotonic() - since
        progress("")
    return [{"entries": upto - before, "in s": options.seconds, "behind at the end": behind,
             "caught up after s": round(took, 2),
             "entries/s meanwhile": round(behind / took) if took else ""}]
