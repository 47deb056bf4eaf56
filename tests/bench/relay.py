# SPDX-License-Identifier: Apache-2.0
"""What a redirected connection costs that is relayed as it is: connect() and a bulk stream, beside
HAProxy's TCP mode."""
import json
import os
import shutil
import statistics
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

from contenders import HaProxy, progress
from cost import Meter
from direct import CLIENT, POLICY, RESOURCE, listen, serve
from harness import Chaperone, run

GB = 2


def main(options):
    folder = Path(tempfile.mkdtemp(prefix="chaperone-bench-"))
    os.chmod(folder, 0o755)
    listener, port = listen()
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    measured = {"direct": [], "haproxy": [], "chaperone": []}
    try:
        with (Chaperone(folder, POLICY, RESOURCE.format(port=port, inspect="true")) as chaperone,
              HaProxy(folder, SimpleNamespace(port=port)) as haproxy):
            who = {"haproxy": haproxy.process.process.pid, "chaperone": chaperone.daemon.process.pid,
                   "direct": os.getpid()}
            for turn in range(options.rounds):
                for name in measured:
                    progress(f"{name} {turn + 1}/{options.rounds}")
                    to = haproxy.port if name == "haproxy" else port
                    command = ["/usr/bin/python3", "-c", CLIENT, str(to), "1000", str(GB << 30)]
                    with Meter(who[name]) as meter:
                        done = (chaperone.agent(command, timeout=300) if name == "chaperone"
                                else run(command, timeout=300, cwd="/"))
                    assert done.returncode == 0, done.stderr
                    measured[name].append([*json.loads(done.stdout), meter.ns / 1e9 / GB])
    finally:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)
    progress("")

    def middle(name, what):
        return statistics.median(one[what] for one in measured[name])
    connect, stream, cost = range(3)
    rows = []
    for name in ("chaperone", "haproxy"):
        rows.append({"relay": name,
                     "connect() added us": round(middle(name, connect) - middle("direct", connect), 1),
                     "stream/direct": round(middle(name, stream) / middle("direct", stream), 3),
                     "processor s/GB": round(middle(name, cost), 3)})
    return rows
