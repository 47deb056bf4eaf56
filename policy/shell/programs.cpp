// SPDX-License-Identifier: Apache-2.0
#include "policy/shell/programs.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::shell {
namespace {

using enum EffectKind;

// clang-format off
constexpr std::array kPrograms{
    // Nothing but what they print.
    Program{":"}, Program{"true"}, Program{"false"}, Program{"echo"}, Program{"pwd"}, Program{"test"},
    Program{"["}, Program{"[["}, Program{"exit"}, Program{"return"}, Program{"break"}, Program{"continue"},
    Program{"shift"}, Program{"wait", Run, "", "", 0, "p"}, Program{"sleep"}, Program{"seq"}, Program{"basename"},
    Program{"dirname"}, Program{"whoami"}, Program{"id"}, Program{"groups"}, Program{"who"}, Program{"w"},
    Program{"uptime"}, Program{"uname"}, Program{"arch"}, Program{"nproc"}, Program{"tty"}, Program{"getent"},
    Program{"lscpu"}, Program{"lsblk"}, Program{"free"}, Program{"vmstat"}, Program{"iostat"},
    Program{"ps"}, Program{"pgrep"}, Program{"pidof"}, Program{"ss", Run, "", "", 0, "KF", "kill"},
    Program{"netstat"}, Program{"which"}, Program{"printenv"}, Program{"locale"}, Program{"cal"},
    Program{"umask"}, Program{"ulimit"}, Program{"unset"}, Program{"jobs"}, Program{"tr"},
    Program{"printf", Run, "", "", 0, "v"}, Program{"type"}, Program{"set", Run, "", "", 0, "ox"},
    Program{"date", Run, "d", "rf", 0, "s", "set"}, Program{"expr"}, Program{"yes"}, Program{"factor"},
    Program{"last"}, Program{"lsof", Run, "", "", 0, "D"}, Program{"dmesg", Run, "", "", 0, "cCDEn", "clear read-clear console-off console-on console-level"},
    Program{"journalctl", Run, "ubapnSUtgo", "", 0, "D", "vacuum-size vacuum-time vacuum-files rotate flush sync relinquish-var smart-relinquish-var setup-keys update-catalog directory root image file"},
    // Files that are read.
    Program{"cat", Read}, Program{"tac", Read, "s"}, Program{"nl", Read, "bdfhilnsvw"}, Program{"rev", Read},
    Program{"head", Read, "nc"}, Program{"tail", Read, "nc"}, Program{"wc", Read, "", "", 0, "", "files0-from"},
    Program{"ls", Read, "ITw"}, Program{"dir", Read, "ITw"}, Program{"stat", Read, "c"},
    Program{"file", Read, "F", "mf", 0, "C"}, Program{"du", Read, "Bdt", "X", 0, "", "files0-from"},
    Program{"df", Read, "Btx"}, Program{"grep", Read, "eABCmdD", "f", 1, "", "file"}, Program{"egrep", Read, "eABCmdD", "f", 1, "", "file"},
    Program{"fgrep", Read, "eABCmdD", "f", 1, "", "file"}, Program{"zgrep", Read, "eABCmdD", "f", 1, "", "file"}, Program{"zcat", Read},
    Program{"cut", Read, "bcdf"}, Program{"paste", Read, "d"}, Program{"fold", Read, "w"}, Program{"fmt", Read, "wpg"},
    Program{"diff", Read, "UCILFW", "X", 0, "", "to-file from-file"}, Program{"cmp", Read, "ni"}, Program{"comm", Read},
    Program{"join", Read, "12aevjot"}, Program{"sort", Read, "kStT", "", 0, "oT", "output compress-program files0-from temporary-directory"},
    Program{"base64", Read, "w"}, Program{"base32", Read, "w"}, Program{"od", Read, "AjNStw"}, Program{"hexdump", Read, "ens", "f"},
    Program{"strings", Read, "nteT"}, Program{"cksum", Read, "al", "", 0, "c"}, Program{"md5sum", Read, "", "", 0, "c"},
    Program{"sha1sum", Read, "", "", 0, "c"}, Program{"sha256sum", Read, "", "", 0, "c"},
    Program{"sha512sum", Read, "", "", 0, "c"}, Program{"readlink", Read}, Program{"realpath", Read, "", "", 0, "", "relative-to relative-base"},
    Program{"column", Read, "ceNRTHCWOoslnpir"}, Program{"jq", Read, "", "fL", 1, "", "slurpfile rawfile from-file argfile"},
    // Files that are written.
    Program{"touch", Write, "dt", "r"}, Program{"mkdir", Write, "m"}, Program{"tee", Write}, Program{"truncate", Write, "s", "r"},
    Program{"mkfifo", Write, "m"}, Program{"cp", Write, "St", "", 0, "t", "target-directory", true},
    Program{"install", Write, "gmoSt", "", 0, "tsD", "target-directory strip-program", true},
    Program{"ln", Write, "St", "", 0, "t", "target-directory", true},
    // Files that go.
    Program{"rm", Delete}, Program{"rmdir", Delete}, Program{"unlink", Delete}, Program{"shred", Delete, "ns", "", 0, "", "random-source"},
    Program{"mv", Delete, "St", "", 0, "t", "target-directory", true},
    Program{"chmod", Permission, "", "", 1, "", "reference"}, Program{"chown", Permission, "", "", 1, "", "reference"},
    Program{"chgrp", Permission, "", "", 1, "", "reference"}, Program{"chattr", Permission, "pv", "", 1},
    Program{"setfacl", Permission, "mxM", "", 0, "", "restore"},
    // What is not about files.
    Program{"ping", Network, "cisWwtIlmMpQS"}, Program{"dig", Network, "bcpqtxy", "f"}, Program{"host", Network, "ctNRWm"},
    Program{"nslookup", Network}, Program{"traceroute", Network, "fgimNpqstw"},
    Program{"kill", Signal, "sn"}, Program{"pkill", Signal, "sgGPtuUF"}, Program{"killall", Signal, "soyunZ"},
    Program{"service", System}, Program{"reboot", System}, Program{"shutdown", System}, Program{"halt", System},
    Program{"poweroff", System}, Program{"mount", System}, Program{"umount", System}, Program{"swapoff", System},
    Program{"swapon", System}, Program{"modprobe", System}, Program{"insmod", System}, Program{"rmmod", System},
    Program{"sysctl", System}, Program{"iptables", System}, Program{"ip6tables", System}, Program{"nft", System},
    Program{"ip", System}, Program{"ifconfig", System}, Program{"route", System}, Program{"crontab", System},
    Program{"at", System}, Program{"batch", System}, Program{"useradd", System}, Program{"usermod", System},
    Program{"userdel", System}, Program{"groupadd", System}, Program{"groupdel", System}, Program{"passwd", System},
    Program{"chpasswd", System}, Program{"visudo", System}, Program{"hostnamectl", System}, Program{"timedatectl", System},
    Program{"mkfs", System}, Program{"fdisk", System}, Program{"parted", System}, Program{"init", System}, Program{"telinit", System},
    Program{"apt", Install}, Program{"apt-get", Install}, Program{"dpkg", Install}, Program{"yum", Install},
    Program{"dnf", Install}, Program{"rpm", Install}, Program{"zypper", Install}, Program{"apk", Install},
    Program{"pip", Install}, Program{"pip3", Install}, Program{"npm", Install}, Program{"gem", Install}, Program{"snap", Install},
};

constexpr std::array kWrappers{
    Wrapper{"nohup"}, Wrapper{"setsid"}, Wrapper{"builtin"}, Wrapper{"time", "fo", 0, false, false, {}, "o"},
    Wrapper{"nice", "n"}, Wrapper{"ionice", "cnpPu"}, Wrapper{"timeout", "ks", 1}, Wrapper{"stdbuf", "ioe"},
    Wrapper{"exec", "a"}, Wrapper{"busybox"}, Wrapper{"toybox"}, Wrapper{"chrt", "pTPD", 1}, Wrapper{"taskset", "", 1, false, false, {}, "p"},
    Wrapper{"env", "uCS", 0, true, false, {}, "SC"}, Wrapper{"sudo", "ugpCrtRDTh", 0, true, false, Privilege, "esilRDK"},
    Wrapper{"doas", "uC", 0, false, false, Privilege, "sC"}, Wrapper{"xargs", "aEILnPsd", 0, false, true, {}, "a"},
};

constexpr std::array<std::string_view, 10> kShells{"ash", "bash", "dash", "fish", "ksh", "ksh93", "mksh", "rbash", "sh", "zsh"};
constexpr std::array<std::string_view, 21> kInterpreters{
    "awk", "gawk", "mawk", "nawk", "perl", "python", "python2", "python3", "ruby", "node", "nodejs",
    "php", "lua", "tclsh", "expect", "ed", "ex", "vi", "vim", "gdb", "sed"};
// clang-format on

template <class All>
auto find_in(const All& all, std::string_view name) noexcept -> decltype(all.data()) {
    const auto found = std::ranges::find(all, name, [](const auto& one) { return one.name; });
    return found == all.end() ? nullptr : &*found;
}

}  // namespace

const Program* find_program(std::string_view name) noexcept {
    return find_in(kPrograms, name);
}
const Wrapper* find_wrapper(std::string_view name) noexcept {
    return find_in(kWrappers, name);
}
bool is_shell(std::string_view name) noexcept {
    return std::ranges::find(kShells, name) != kShells.end();
}
bool is_interpreter(std::string_view name) noexcept {
    return std::ranges::find(kInterpreters, name) != kInterpreters.end();
}

}  // namespace chaperone::policy::shell
