# SPDX-License-Identifier: Apache-2.0
"""What policy costs: decisions by the number of rules, and a million recorded requests."""
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ["CHAPERONE_BIN"])
REQUESTS = 1_000_000


def decide(options):
    """A ratio of 1 would be a decision that costs the same whatever the number of rules."""
    rows = []
    made = subprocess.run([BIN / "tests/policy_bench", "decide"], check=True, capture_output=True,
                          text=True)
    for line in made.stdout.splitlines():
        row = json.loads(line)
        first = rows[0] if rows else row
        row["first vs 10 rules"] = round(row["first_us"] / first["first_us"], 2)
        row["again vs 10 rules"] = round(row["again_us"] / first["again_us"], 2)
        rows.append(row)
    return rows


def simulate(options):
    with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as folder:
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        rules = subprocess.run([BIN / "tests/policy_bench", "rules", "100"], check=True,
                               capture_output=True, text=True).stdout
        (bundle / "p.yaml").write_text(rules)
        subprocess.run([BIN / "tests/policy_bench", "journal", folder, str(REQUESTS)], check=True)
        began = time.monotonic()
        done = subprocess.run([BIN / "chaperone", "policy", "simulate", bundle, "--journal",
                               Path(folder) / "journal", "-o", "json"], capture_output=True,
                              text=True)
        took = time.monotonic() - began
        asked = json.loads(done.stdout)["requests"]
        assert asked == REQUESTS, asked
        return [{"requests": asked, "seconds": round(took, 1),
                 "of a minute": round(took / 60, 2), "per second": int(asked / took)}]
