# SPDX-License-Identifier: Apache-2.0
"""What a process costs: processor time and system calls, which a busy machine hardly changes."""
import re
import shutil
import subprocess
from pathlib import Path


def processor_ns(pid, threads=""):
    """Nanoseconds on a processor so far, of the threads whose name begins so (all: "")."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            if (task / "comm").read_text().startswith(threads):
                total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:  # it ended meanwhile
            pass
    return total


class Meter:
    """Costs of a process while the `with` block runs."""

    def __init__(self, pid, threads="", syscalls=False):
        self.pid, self.threads = pid, threads
        self.counting = syscalls and shutil.which("perf") is not None
        self.ns = self.syscalls = None

    def __enter__(self):
        if self.counting:
            self.perf = subprocess.Popen(
                ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(self.pid)],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.before = processor_ns(self.pid, self.threads)
        return self

    def __exit__(self, *error):
        self.ns = processor_ns(self.pid, self.threads) - self.before
        if self.counting:
            self.perf.send_signal(2)
            counted = re.search(r"^(\d+),,raw_syscalls", self.perf.communicate()[1], re.M)
            self.syscalls = int(counted.group(1)) if counted else None
