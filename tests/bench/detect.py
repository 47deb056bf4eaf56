# SPDX-License-Identifier: Apache-2.0
"""Detectors on text without personal data, and Presidio on the same text in the same run.

Presidio is asked where CHAPERONE_PRESIDIO names a Python that has presidio-analyzer. It is given
its own recognisers of patterns alone, without the language model that it takes for names: what is
compared is the same work, and with a model it is slower. It gets pieces of 1,000 characters, since
longer ones cost it more a byte.
"""
import json
import os
import subprocess
import tempfile
from pathlib import Path

BIN = Path(os.environ["CHAPERONE_BIN"]) / "tests/detect_bench"

PRESIDIO = r"""
import inspect, json, sys, time
from pathlib import Path
from presidio_analyzer import predefined_recognizers as all_of, PatternRecognizer
from presidio_analyzer.nlp_engine import NlpArtifacts
made = []
for name, kind in inspect.getmembers(all_of, inspect.isclass):
    if issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer:
        try:
            made.append(kind())
        except Exception:
            pass
for name in ("prose", "rows", "numbers"):
    text = Path(sys.argv[1], name).read_text()[:100_000]
    pieces = [text[i:i + 1000] for i in range(0, len(text), 1000)]
    began, found = time.process_time(), 0
    for one in made:
        for piece in pieces:
            found += len(one.analyze(piece, one.supported_entities, None))
    took = time.process_time() - began
    print(json.dumps({"text": name, "recognisers": len(made), "bytes/s": len(text) / took,
                      "found": found}))
"""


def main(options):
    with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as folder:
        subprocess.run([BIN, "texts", folder], check=True)
        made = subprocess.run([BIN, "scan", folder], check=True, capture_output=True, text=True)
        rows = [json.loads(line) for line in made.stdout.splitlines()]
        python = os.environ.get("CHAPERONE_PRESIDIO")
        if python is None:
            return rows
        theirs = subprocess.run([python, "-c", PRESIDIO, folder], check=True, capture_output=True,
                                text=True)
        for row, line in zip(rows, theirs.stdout.splitlines()):
            other = json.loads(line)
            row["presidio recognisers"] = other["recognisers"]
            row["presidio MB/s"] = round(other["bytes/s"] / 1e6, 3)
            row["vs presidio"] = round(row["GB/s a core"] * 1e9 / other["bytes/s"], 1)
        return rows
