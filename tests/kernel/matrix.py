#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables in bpf/README.md: of ways out, what closes each, by kernel; and of maps, what comes of
an attempt for which one has no room. Both as the tests found it.

The tests of kernel/ways_out_test.cpp print a line "matrix|WAY|RESULT" each, those of
kernel/full*_test.cpp "full|MAP|RESULT|COUNTED".
  matrix.py --update KERNEL LOG    puts what a log says into the kernel's column
  matrix.py --check KERNEL LOG     fails where log and column differ
  matrix.py --update-maps LOG      makes the table of maps
  matrix.py --run TEST-PROGRAM     runs them here, and compares with this kernel's column if there
                                   is one, else with the ways that the table knows; and with the
                                   table of maps, which has a row for each
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "bpf/README.md"
BEGIN, END = "<!-- ways out: tests/kernel/matrix.py -->\n", "<!-- end of ways out -->\n"


MAPS = README.parent / "maps.h"
BEGIN_MAPS, END_MAPS = "<!-- full maps: tests/kernel/matrix.py -->\n", "<!-- end of full maps -->\n"


def read_full(path):
    """Maps in the order of maps.h, each with what comes of it and what counts it."""
    found = {}
    for line in Path(path).read_text(errors="replace").splitlines():
        match = re.fullmatch(r"full\|(\w+)\|([^|]+)\|([^|]*)", line.strip())
        if match:
            found[match[1]] = (match[2], match[3])
    names = re.findall(r"^} (\w+) SEC\(\"\.maps\"\);", MAPS.read_text(), re.M)
    return {name: found.get(name) for name in names}


def full_table(found):
    lines = ["| map | when it has no room | counted by, shown by |", "|---|---|---|"]
    lines += [f"| `{name}` | {said[0]} | {said[1]} |" for name, said in found.items() if said]
    return "\n".join(lines) + "\n"


def update_maps(log):
    before, rest = README.read_text().split(BEGIN_MAPS)
    README.write_text(before + BEGIN_MAPS + full_table(read_full(log)) + END_MAPS +
                      rest.split(END_MAPS)[1])
    return 0


def check_maps(log):
    found = read_full(log)
    wrong = [f"{name}: no test fills it" for name, said in found.items() if not said]
    if full_table(found) not in README.read_text():
        wrong.append("the table is another; make it with --update-maps")
    if wrong:
        print("bpf/README.md does not say what comes of full maps:", *wrong, sep="\n  ")
    return 1 if wrong else 0


def read_log(path):
    """Ways in the order of the tests, each with its result."""
    found = {}
    for line in Path(path).read_text(errors="replace").splitlines():
        match = re.fullmatch(r"matrix\|(\w+)\|([\w, -]+)", line.strip())
        if match:
            found[match[1]] = match[2]
    return found


def read_table(text):
    """The kernels, and for each way what its columns say."""
    lines = text.split(BEGIN)[1].split(END)[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[0][1:], {row[0]: row[1:] for row in rows[2:]} if len(rows) > 2 else {}


def update(kernel, log):
    text, found = README.read_text(), read_log(log)
    kernels, rows = read_table(text)
    every = sorted({*kernels, kernel}, key=lambda k: [int(part) for part in k.split(".")])
    def cell(way, one):
        if one == kernel:
            return found.get(way, "")
        return rows[way][kernels.index(one)] if way in rows and one in kernels else ""
    lines = ["| way | " + " | ".join(every) + " |", "|---" * (len(every) + 1) + "|"]
    ways = [way for way in rows if way in found] + [way for way in found if way not in rows]
    lines += ["| " + " | ".join([way, *(cell(way, one) for one in every)]) + " |" for way in ways]
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


def agree(one, other):
    """Builds of a kernel differ in what they leave out, and in whether the BPF LSM is active."""
    return one == other or "-" in (one, other) or {one, other} == {"launcher", "guard"}


def check(kernel, log):
    found = read_log(log)
    kernels, rows = read_table(README.read_text())
    wrong = []
    for way in sorted({*found, *rows}):
        if way not in found or way not in rows:
            wrong.append(f"{way}: {'not tried' if way in rows else 'not in the table'}")
        elif kernel in kernels and not agree(rows[way][kernels.index(kernel)], found[way]):
            wrong.append(f"{way}: {found[way]}, and the table says "
                         f"{rows[way][kernels.index(kernel)]}")
    if wrong:
        print(f"bpf/README.md does not say what the tests found on {kernel}:", *wrong, sep="\n  ")
    return 1 if wrong else 0


def run(program):
    with tempfile.NamedTemporaryFile() as log:
        done = subprocess.run([program, "--gtest_filter=*WaysOut*:Full*", "--gtest_brief=1"],
                              stdout=log)
        sys.stdout.write(Path(log.name).read_text(errors="replace"))
        kernel = ".".join(os.uname().release.split(".")[:2])
        return done.returncode or check(kernel, log.name) or check_maps(log.name)


def main(how, *rest):
    if how == "--run":
        return run(*rest)
    if how == "--update-maps":
        return update_maps(*rest)
    return update(*rest) if how == "--update" else check(*rest)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
