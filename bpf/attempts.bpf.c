// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Tells of what governed processes try and the kernel refuses by itself: files whose mode, mount or
// Landlock domain closes them, signals to and looks into processes of another user or outside of
// the domain. Refuses nothing. Programs at the end of the kernel's own functions, for all processes
// of the host; those that are not governed, and calls that succeed, leave at once. An object of its
// own, loaded where the kernel takes such programs; it shares the maps of redirect.bpf.c.
#include "bpf/lib/file.h"
#include "bpf/lib/inside.h"

#include <linux/bpf.h>

#include <bpf/bpf_tracing.h>

#define EACCES 13
#define EROFS 30

static __always_inline bool is_refusal(long error)
{
	return error == -EPERM || error == -EACCES;
}

SEC("fexit/do_filp_open")
int BPF_PROG(chap_opened, int folder, struct filename *name, void *flags)
{
	__u64 opened = 0;
	__u64 id;

	if (bpf_get_func_ret(ctx, &opened) != 0)
		return 0;
	if (!is_refusal((long)opened) && opened != (__u64)-EROFS)
		return 0;
	id = who_acts();
	if (id)
		tell_file(id, folder, BPF_CORE_READ(name, name));
	return 0;
}

// What the guard has refused it has told, and knows better of whom.
static __always_inline int tell_end(enum chap_reach what, long process, long signal, long error)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 id;

	if (!is_refusal(error))
		return 0;
	id = who_acts();
	if (!id)
		return 0;
	if (bpf_map_delete_elem(&told, &thread) == 0)
		return 0;
	if (what == CHAP_REACH_SIGNAL && signal == 0)
		return 0; // only asks whether it is there
	tell_reach(id, what, (int)process, (int)signal);
	return 0;
}

#define CHAP_CALL(call, what, process, signal)                                                 \
	SEC("fexit/__x64_sys_" #call)                                                          \
	int BPF_PROG(chap_end_##call, struct pt_regs *regs, long error)                        \
	{                                                                                      \
		return tell_end(what, process, signal, error);                                 \
	}

#define FIRST ((long)BPF_CORE_READ(regs, di))
#define SECOND ((long)BPF_CORE_READ(regs, si))
#define THIRD ((long)BPF_CORE_READ(regs, dx))

CHAP_CALL(kill, CHAP_REACH_SIGNAL, FIRST, SECOND)
CHAP_CALL(tkill, CHAP_REACH_SIGNAL, FIRST, SECOND)
CHAP_CALL(tgkill, CHAP_REACH_SIGNAL, FIRST, THIRD)
CHAP_CALL(rt_sigqueueinfo, CHAP_REACH_SIGNAL, FIRST, SECOND)
CHAP_CALL(rt_tgsigqueueinfo, CHAP_REACH_SIGNAL, FIRST, THIRD)
CHAP_CALL(pidfd_send_signal, CHAP_REACH_SIGNAL, 0, SECOND)
CHAP_CALL(ptrace, CHAP_REACH_PTRACE, SECOND, 0)
CHAP_CALL(process_vm_readv, CHAP_REACH_PTRACE, FIRST, 0)
CHAP_CALL(process_vm_writev, CHAP_REACH_PTRACE, FIRST, 0)
CHAP_CALL(pidfd_getfd, CHAP_REACH_PTRACE, 0, 0)
CHAP_CALL(kcmp, CHAP_REACH_PTRACE, FIRST, 0)
CHAP_CALL(prlimit64, CHAP_REACH_PTRACE, FIRST, 0)

char LICENSE[] SEC("license") = "GPL";
