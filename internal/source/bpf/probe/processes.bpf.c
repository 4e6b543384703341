//go:build ignore

/* What all probes need beside their hits: that a process has ended or executes a program, which files processes run, and which file
 * an open one is to the kernel. */
#include "probe.h"

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("tp_btf/sched_process_exit") int ended(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct process_id id = {.tgid = task->tgid};
	struct process *p;

	if (task->signal->live.counter != 0) /* another thread goes on */
		return 0;
	id.start = task->group_leader->start_boottime;
	p = bpf_map_lookup_elem(&processes, &id);
	if (p)
		p->ended = 1;
	return 0;
}

/* One that was hit as the child of a shell, say, and is another program now. */
SEC("tp_btf/sched_process_exec") int executed(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct process_id id = {.tgid = task->tgid, .start = task->group_leader->start_boottime};
	struct process *p = bpf_map_lookup_elem(&processes, &id);

	if (p)
		describe(p, task);
	return 0;
}

struct mapped {
	u64 inode, start, end;
	u32 device, tid;
	char name[NAME];
};

/* Files that are mapped as code, of all processes. */
SEC("iter/task_vma") int mappings(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *area = ctx->vma;
	struct mapped m = {};
	struct file *file;

	if (!task || !area || !(area->vm_flags & VM_EXEC))
		return 0;
	file = area->vm_file;
	if (!file)
		return 0;
	m.inode = file->f_inode->i_ino;
	m.device = file->f_inode->i_sb->s_dev;
	m.start = area->vm_start;
	m.end = area->vm_end;
	m.tid = task->pid;
	bpf_probe_read_kernel_str(m.name, sizeof m.name, file->f_path.dentry->d_name.name);
	bpf_seq_write(ctx->meta->seq, &m, sizeof m);
	return 0;
}

struct identity { u64 inode; u32 device, zero; };
struct { NUMBER(type, MAP_ARRAY); NUMBER(max_entries, 1); TYPE(key, u32); TYPE(value, struct identity); } identified SEC(".maps");

static long (*const bpf_find_vma)(struct task_struct *task, u64 address, void *visit, void *context, u64 flags) = (void *)180;

static long identify_area(struct task_struct *task, struct vm_area_struct *area, struct identity *to)
{
	struct file *file = area->vm_file;

	if (!file)
		return 0;
	to->inode = file->f_inode->i_ino;
	to->device = file->f_inode->i_sb->s_dev;
	return 0;
}

/* The file that the caller has mapped at an address (Linux 5.17). stat(2) tells of another where file systems lie on others. */
SEC("raw_tp/identify") int identify(u64 *ctx)
{
	struct identity found = {};
	u32 zero = 0;
	long err = bpf_find_vma(bpf_get_current_task_btf(), ctx[0], identify_area, &found, 0);

	return err ? err : bpf_map_update_elem(&identified, &zero, &found, 0);
}
