# SPDX-License-Identifier: Apache-2.0
"""A Debian of its own with a running systemd, for the test of the package.

The base is made once by debootstrap and kept in the build folder; a container is an overlay over
it, in namespaces of its own, with the hierarchy of cgroup v2 as a real host has it. It cannot reach
any network. All that it was is removed when the `with` block ends.
"""
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import run, wait_until

# What the kernel asks of a process that loads programs; nspawn gives none of it by itself. A bpffs
# is mounted inside: what is pinned on the host is not seen.
NSPAWN = ["systemd-nspawn", "--register=no", "--keep-unit", "--boot", "--console=pipe", "--quiet",
          "--private-network", "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN",
          "--system-call-filter=bpf", "--tmpfs=/sys/fs/bpf:mode=0755"]
BASE = ["systemd", "systemd-sysv", "dbus", "adduser", "ca-certificates", "postgresql-client-15", "rpm",
        "softhsm2"]
CGROUPS = Path("/sys/fs/cgroup")


def mirror():
    """The host's own mirror and release."""
    done = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)",
                "Created-By: Packages", "Label: Debian"])
    for line in done.stdout.splitlines():
        uri, codename = line.split()
        if "-" not in codename:  # not the updates of it
            return uri, codename
    raise AssertionError("apt knows no Debian mirror: " + done.stderr)


def base(folder, packages):
    """A root with these packages and what they depend on; made where it is not there yet."""
    wanted = sorted(set(BASE + packages))
    name = "base-" + hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
    path = folder / name
    if path.exists():
        return path
    for old in folder.glob("base-*"):
        shutil.rmtree(old)
    fresh = folder / ("making-" + name)
    shutil.rmtree(fresh, ignore_errors=True)
    uri, codename = mirror()
    done = run(["debootstrap", "--variant=minbase", "--include=" + ",".join(wanted), codename,
                fresh, uri], timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shutil.rmtree(fresh / "var/cache/apt", ignore_errors=True)
    fresh.rename(path)
    return path


def cgroup_folders():
    return {path for path in CGROUPS.rglob("*") if path.is_dir()}


class Container:
    def __init__(self, lower):
        self.lower = lower
        self.nspawn = self.leader = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="chaperone-package-"))
        self.root = self.folder / "root"
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        os.chmod(self.folder, 0o755)
        self.before = cgroup_folders()
        try:
            self.mount()
            self.boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def mount(self):
        done = run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={self.lower},"
                    f"upperdir={self.folder}/upper,workdir={self.folder}/work", self.root])
        assert done.returncode == 0, done.stderr
        # Of a build with a sanitizer: it cannot trace itself in the service's sandbox.
        settings = self.root / "etc/systemd/system.conf.d"
        settings.mkdir(parents=True)
        (settings / "sanitizer.conf").write_text(
            "[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n")

    def boot(self):
        self.log = open(self.folder / "console", "ab")
        # SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: cgroup v2 alone, also where the host has both.
        self.nspawn = subprocess.Popen(
            NSPAWN + ["--directory", str(self.root), "--machine=chaperone-package"],
            env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")

        def leader():
            assert self.nspawn.poll() is None, "nspawn ended: " + self.console()
            for pid in children.read_text().split():
                if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return int(pid)
            return None
        self.leader = wait_until(leader, "the container's systemd starts")
        wait_until(lambda: self.systemctl("is-system-running").stdout.strip() in
                   ("running", "degraded"), "the container is up")

    def console(self):
        return (self.folder / "console").read_text(errors="replace")

    def enter(self, *command):
        """A command in its namespaces, but not in its cgroups."""
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w",
                "--", *[str(word) for word in command]]

    def service(self, *command, user=None):
        """A command as a service of its own, as one that its own systemd started."""
        return self.enter("systemd-run", "--quiet", "--pipe", "--wait", "--collect",
                          *(["--uid=" + user] if user else []), "--", *command)

    def systemctl(self, *arguments):
        return run(self.enter("systemctl", *arguments))

    def run(self, *command, **kwargs):
        user = kwargs.pop("user", None)
        return run(self.service(*command, user=user), **kwargs)

    def ok(self, *command, **kwargs):
        done = self.run(*command, **kwargs)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}\n{self.journal()}"
        return done.stdout

    def popen(self, *command):
        return subprocess.Popen(self.service(*command), text=True, bufsize=1,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def journal(self):
        return run(self.enter("journalctl", "--no-pager", "-n", "40")).stdout

    def path(self, name):
        return self.root / name.lstrip("/")

    def __exit__(self, *error):
        if self.nspawn is not None:
            if self.leader is not None and self.nspawn.poll() is None:
                os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd's word for: power off
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
            self.log.close()
        run(["umount", self.root])
        # nspawn leaves its cgroups; the deepest first.
        for path in sorted(cgroup_folders() - self.before, reverse=True):
            if path.parts[-1] in ("payload", "supervisor") or \
                    {"payload", "supervisor"} & set(path.parts):
                try:
                    path.rmdir()
                except OSError:
                    pass
        shutil.rmtree(self.folder, ignore_errors=True)
