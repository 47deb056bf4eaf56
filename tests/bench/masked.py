# SPDX-License-Identifier: Apache-2.0
"""20,000 rows of 4 columns with one masked column and five detectors: times the direct result."""
import statistics
import time

from contenders import Bench, POLICY, progress
from harness import run

TABLE = """CREATE TABLE people AS SELECT i AS id, 'Person ' || i AS name,
  'person' || i || '@example.com' AS email, 'Note ' || i || ' of no particular weight' AS note
  FROM generate_series(1, 20000) i;"""
MASKS = """  - id: pii
    mask:
    - {columns: ["public.people.email"], with: redact}
    - {detect: [EMAIL_ADDRESS, CREDIT_CARD, US_SSN, IBAN_CODE, PHONE_NUMBER], with: pseudonym}
"""


def main(options):
    with Bench(sql=TABLE, policy=POLICY + MASKS) as bench:
        # One connection, so that what is timed is the result and not the login.
        script = ("import psycopg2, sys, time\n"
                  "c = psycopg2.connect(host='127.0.0.1', port=int(sys.argv[1]), user='app', "
                  "dbname='shop', application_name='bench')\n"
                  "k = c.cursor()\nk.execute('SELECT 1')\n"
                  "for _ in range(int(sys.argv[2])):\n"
                  "    b = time.perf_counter()\n"
                  "    k.execute('SELECT * FROM people')\n    assert len(k.fetchall()) == 20000\n"
                  "    print(time.perf_counter() - b)\n")
        command = ["/usr/bin/python3", "-c", script, str(bench.db.port), "5"]
        took = {"direct": [], "chaperone": []}
        for turn in range(options.rounds):
            for name, line in (("direct", command), ("chaperone", bench.governed(command))):
                progress(f"{name} {turn + 1}/{options.rounds}")
                done = run(line, env=bench.environment(), timeout=120, cwd="/")
                assert done.returncode == 0, done.stderr
                took[name] += [float(line) for line in done.stdout.split()]
        progress("")
    direct, through = (statistics.median(took[name]) for name in ("direct", "chaperone"))
    return [{"result": "20,000 x 4", "chaperone/direct time": round(through / direct, 2),
             "bound": 3}]
