# SPDX-License-Identifier: Apache-2.0
"""The RPM package, from what was built: installed, used, upgraded and erased by rpm itself.

The container is a Debian, so rpm's database knows none of what is installed: its dependencies are
looked at as a list, and not asked for. The tests are one story, in the order of their names.
"""
import re
import shutil
import unittest

import container
import test_debian
from harness import BIN, run
from test_debian import WORK, checked


def make(folder, version=None):
    shutil.rmtree(folder, ignore_errors=True)
    command = ["cpack", "--config", BIN / "CPackConfig.cmake", "-G", "RPM", "-B", folder]
    checked(command + (["-R", version] if version else []), cwd=BIN, timeout=600)
    [rpm] = folder.glob("*.rpm")
    return rpm


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        WORK.mkdir(exist_ok=True)
        test_debian.build()  # its dependencies are what the container needs
        cls.rpm = make(WORK / "rpm")
        cls.later = make(WORK / "rpm-later", "999.0.0")
        cls.box = container.Container(container.base(WORK, test_debian.dependencies()))
        cls.box.__enter__()
        cls.addClassCleanup(cls.box.__exit__, None, None, None)
        shutil.copy(cls.rpm, cls.box.path("/root/chaperone.rpm"))
        shutil.copy(cls.later, cls.box.path("/root/later.rpm"))

    def state(self):
        return self.box.systemctl("show", "-P", "ActiveState", "chaperoned").stdout.strip()

    def pid(self):
        return self.box.systemctl("show", "-P", "MainPID", "chaperoned").stdout.strip()

    def test_1_holds_what_the_debian_package_holds(self):
        listed = {}
        for line in checked(["rpm", "-qplv", self.rpm]).splitlines():
            mode, _, user, group, rest = line.split(None, 4)
            name = rest[rest.index("/"):]
            listed[name] = mode
            self.assertEqual((user, group), ("root", "root"), name)
        for name, mode in test_debian.FILES.items():
            self.assertEqual(listed.get(name), mode, name)
        self.assertEqual(checked(["rpm", "-qpc", self.rpm]).split(),
                         ["/etc/chaperone/bundle/default.yaml", "/etc/chaperone/chaperone.yaml"])
        needed = checked(["rpm", "-qpR", self.rpm])
        for library in ("libbpf.so.1", "libssl.so.3", "libc.so.6"):
            self.assertRegex(needed, rf"(?m)^{re.escape(library)}\b")

    def test_2_installs_and_does_not_start_by_itself(self):
        self.box.ok("rpm", "-i", "--nodeps", "/root/chaperone.rpm")
        self.assertEqual(self.state(), "inactive")
        self.box.ok("systemctl", "start", "chaperoned")
        self.assertEqual(self.state(), "active", self.box.journal())
        self.assertIn("running", self.box.ok("chaperone", "status"))
        user = self.box.systemctl("show", "-P", "User", "chaperoned").stdout.strip()
        self.assertEqual(user, "chaperone")
        self.box.ok("chaperone", "journal", "verify")

    def test_3_keeps_edits_over_an_upgrade_and_is_started_again(self):
        config = self.box.path("/etc/chaperone/chaperone.yaml")
        config.write_text(config.read_text() + "log: {level: debug}\n")
        pid = self.pid()
        self.box.ok("rpm", "-U", "--nodeps", "/root/later.rpm")
        self.assertEqual(self.state(), "active", self.box.journal())
        self.assertNotEqual(self.pid(), pid)
        self.assertIn("log: {level: debug}", config.read_text())
        self.assertIn("999.0.0", self.box.ok("rpm", "-q", "chaperone"))

    def test_4_erased_it_stops_detaches_and_keeps_the_journal(self):
        self.box.ok("rpm", "-e", "chaperone")
        self.assertNotEqual(self.state(), "active")
        self.assertEqual(run(self.box.enter("ls", "/sys/fs/bpf/chaperone")).returncode, 2)
        self.assertTrue(self.box.path("/var/lib/chaperone/journal").is_dir())
        self.assertTrue(self.box.path("/etc/chaperone/chaperone.yaml.rpmsave").exists())
        self.assertNotEqual(
            run(self.box.enter("systemctl", "cat", "chaperoned.service")).returncode, 0)


if __name__ == "__main__":
    unittest.main()
