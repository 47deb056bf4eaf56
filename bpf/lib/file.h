// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Files that a governed process may not open, by the name that it asked for and the folder that the
// name is relative to.
#pragma once

#include "bpf/lib/inside.h"

#define AT_FDCWD -100
#define CHAP_FOLDERS 16	     // mounts and folders that are walked, from the innermost on
#define CHAP_LAST_START 255 // of a part, so that the verifier sees that it fits

// Eight bytes of what is told, read as they stand: every path of an instance has the first.
#define CHAP_OUR_WORD 0x6368617065726f6eULL // "chaperon"
#define CHAP_PROCS_WORD 0x6f75702e70726f63ULL // "oup.proc", of cgroup.procs
#define CHAP_BPF_WORD 0x2f66732f6270662fULL // "/fs/bpf/"

static __always_inline bool is_told_word(__u64 word)
{
	return word == CHAP_OUR_WORD || word == CHAP_PROCS_WORD || word == CHAP_BPF_WORD;
}

static __always_inline bool is_told(const struct chap_file_event *event)
{
	__u64 word = 0;

	for (int i = 0; i < CHAP_FILE_PARTS; i++) {
		word = word << 8 | (__u8)event->names[i];
		if (is_told_word(word))
			return true;
	}
	return false;
}

// False: it did not fit.
static __always_inline bool add_name(struct chap_file_event *event, const void *name)
{
	__u32 at = event->size;
	long size;

	chap_barrier(at);
	if (at > CHAP_LAST_START)
		return false;
	size = bpf_probe_read_kernel_str(event->names + at, CHAP_FILE_PART, name);
	if (size <= 0)
		return false;
	event->size = at + (__u32)size;
	return size < CHAP_FILE_PART;
}

// The path of a folder, from the innermost name on.
static __always_inline void add_folders(struct chap_file_event *event, struct dentry *dentry,
					struct vfsmount *mnt)
{
	struct mount *mount =
		(struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));

	for (int i = 0; i < CHAP_FOLDERS; i++) {
		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *parent = BPF_CORE_READ(mount, mnt_parent);

			if (parent == mount) {
				event->complete = 1;
				return;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = parent;
			continue;
		}
		if (!add_name(event, BPF_CORE_READ(dentry, d_name.name)))
			return;
		dentry = BPF_CORE_READ(dentry, d_parent);
	}
}

// Where a relative name begins.
static __always_inline void add_beginning(struct chap_file_event *event, int folder)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file **files, *file = NULL;

	if (folder == AT_FDCWD) {
		add_folders(event, BPF_CORE_READ(task, fs, pwd.dentry),
			    BPF_CORE_READ(task, fs, pwd.mnt));
		return;
	}
	if (folder < 0 || (__u32)folder >= BPF_CORE_READ(task, files, fdt, max_fds))
		return;
	files = BPF_CORE_READ(task, files, fdt, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + folder) == 0 && file)
		add_folders(event, BPF_CORE_READ(file, f_path.dentry),
			    BPF_CORE_READ(file, f_path.mnt));
}

// Counts it, and tells of those that name something of ours: others find closed files everywhere.
static __always_inline void tell_file(__u64 cgroup_id, int folder, const char *asked)
{
	struct chap_file_event *event;
	bool fits;

	count(CHAP_REFUSED_REACHES);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(CHAP_UNTOLD);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fits = add_name(event, asked);
	if (event->names[0] == '/')
		event->complete = 1;
	else if (fits)
		add_beginning(event, folder);
	if (!is_told(event)) {
		bpf_ringbuf_discard(event, 0);
		return;
	}
	event->head.time_ns = bpf_ktime_get_ns();
	event->head.kind = CHAP_REFUSED_REACHES;
	fill_event(&event->head, cgroup_id, CHAP_REACH_FILE);
	bpf_ringbuf_submit(event, 0);
}
