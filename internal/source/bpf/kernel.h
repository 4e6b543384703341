/* The little that the programs use of the kernel. Field offsets are those of the running kernel: the loader
 * relocates every access to a structure that is marked so. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define RELOCATED __attribute__((preserve_access_index))
#define NOINLINE __attribute__((noinline))
#define INLINE inline __attribute__((always_inline))

/* How bpf(2) map definitions are written in BTF. */
#define NUMBER(name, value) int (*name)[value]
#define TYPE(name, value) value *name

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_HASH = 5, MAP_PERCPU_ARRAY = 6, MAP_RINGBUF = 27 };

struct task_struct;
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const bpf_probe_read_user_str)(void *to, u32 size, const void *from) = (void *)114;
static long (*const bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static u64 (*const bpf_get_current_ancestor_cgroup_id)(int level) = (void *)123;
static long (*const bpf_seq_write)(void *seq, const void *data, u32 size) = (void *)127;
static void *(*const bpf_ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *record, u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *record, u64 flags) = (void *)133;
static u64 (*const bpf_ringbuf_query)(void *map, u64 what) = (void *)134;

static long (*const bpf_copy_from_user)(void *to, u32 size, const void *from) = (void *)148;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

enum { RINGBUF_NO_WAKEUP = 1, RINGBUF_FORCE_WAKEUP = 2, RINGBUF_AVAILABLE_DATA = 0 };
enum { NOEXIST = 1, EXIST = 2 };
enum { VM_EXEC = 4 };

typedef struct { int counter; } RELOCATED atomic_t;
struct signal_struct { atomic_t live; } RELOCATED;
typedef struct { u32 val; } RELOCATED kuid_t;
struct cred { kuid_t euid, fsuid; } RELOCATED;
struct qstr { const u8 *name; } RELOCATED;
struct dentry { struct qstr d_name; } RELOCATED;
struct path { struct dentry *dentry; } RELOCATED;
struct super_block { u32 s_dev; } RELOCATED;
struct inode { kuid_t i_uid; struct super_block *i_sb; unsigned long i_ino; } RELOCATED;
struct file { struct path f_path; struct inode *f_inode; } RELOCATED;
struct vm_area_struct { unsigned long vm_start, vm_end, vm_pgoff, vm_flags; struct file *vm_file; } RELOCATED;
struct mm_struct { struct file *exe_file; } RELOCATED;
struct kernfs_node { const char *name; } RELOCATED;
struct cgroup { struct kernfs_node *kn; } RELOCATED;
struct css_set { struct cgroup *dfl_cgrp; } RELOCATED;
struct task_struct {
	int pid, tgid;
	u64 start_boottime;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	const struct cred *cred;
	struct signal_struct *signal;
	struct css_set *cgroups;
} RELOCATED;
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; } RELOCATED;
struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; u32 fd; struct file *file; } RELOCATED;
struct bpf_iter__task_vma { struct bpf_iter_meta *meta; struct task_struct *task; struct vm_area_struct *vma; } RELOCATED;
