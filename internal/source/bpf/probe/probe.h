/* What the programs of all probes share. */
#pragma once
#include "../kernel.h"

enum {
	NAME = 64,
	CGROUP_NAME = 96,
	RING = 8 << 20,
	USERS = 1024, /* that are told apart, with what frees for them: processes of further ones are bounded each by itself */
	EVERYBODY = 0xffffffff,
};

struct process_id {
	u32 tgid, zero;
	u64 start; /* of its first thread, since boot: ids are given again */
};

struct process {
	u32 uid;
	u32 owner; /* the user it is charged to: who it ran as when it was first hit */
	u8 known, ended, zero[6]; /* known: all of this is filled in */
	u64 calls; /* that have not returned, of all probes */
	char executable[NAME], cgroup[CGROUP_NAME];
};

/* Those that were hit. */
struct { NUMBER(type, MAP_HASH); NUMBER(max_entries, 1); TYPE(key, struct process_id); TYPE(value, struct process); } processes SEC(".maps");

/* What a user's processes take of what all share: made by the programs, and freed by the collector. */
struct user_key { u32 uid, freed; };
struct user { u64 processes, calls; };
struct { NUMBER(type, MAP_HASH); NUMBER(max_entries, 2 * (USERS + 1)); TYPE(key, struct user_key); TYPE(value, struct user); } users SEC(".maps");

static INLINE void describe(struct process *p, struct task_struct *task)
{
	p->uid = task->cred->euid.val;
	bpf_probe_read_kernel_str(p->executable, sizeof p->executable, task->mm->exe_file->f_path.dentry->d_name.name);
	bpf_probe_read_kernel_str(p->cgroup, sizeof p->cgroup, task->cgroups->dfl_cgrp->kn->name);
	p->known = 1;
}
