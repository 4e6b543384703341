//go:build ignore

/* What the collector hears of segments in memfds (docs/segment-format.md): that a process announces one, and that such a
 * process has ended; and where there are some that it has not heard of. */
#include "kernel.h"

char _license[] SEC("license") = "Dual MIT/GPL";

enum { ANNOUNCED = 1, PAGE, ENDED };
enum {
	PAGE_SIZE = 4096,
	ADDRESSES = 4, /* segments of a process whose end is taken care of here: one for each library that counts */
	PAGES = 2048,  /* that are copied of a process at most, which takes a millisecond or two */
	STRIPES = 32,
	/* What the ring buffer may hold when there comes another announcement, and another page. The rest is for ends. */
	RING = 8 << 20,
	RING_ANNOUNCEMENTS = RING / 2,
	RING_PAGES = RING / 4 * 3,
};

struct notice {
	u32 kind, tgid;
	u32 uid; /* PAGE: the segment's owner */
	u32 tid;
	u64 address; /* of the segment's mapping */
	u64 offset;  /* PAGE: in the segment. ENDED: areas that there was no room for */
};

struct page {
	struct notice notice;
	u8 bytes[PAGE_SIZE];
};

struct place {
	u64 address;
	u32 uid; /* that its memfd was made with */
	u32 zero;
};

struct process {
	struct place places[ADDRESSES];
	u64 next; /* those of programs that it executed before make room */
};

struct held {
	u64 address;
	u32 tgid, zero;
};

/* By tgid: those that have a segment. */
struct { NUMBER(type, MAP_HASH); NUMBER(max_entries, 32768); TYPE(key, u32); TYPE(value, struct process); } processes SEC(".maps");
/* What the collector has open: nothing is copied of it. */
struct { NUMBER(type, MAP_HASH); NUMBER(max_entries, 65536); TYPE(key, struct held); TYPE(value, u8); } holds SEC(".maps");
struct { NUMBER(type, MAP_RINGBUF); NUMBER(max_entries, RING); } notices SEC(".maps");
/* Notices that there was no room for. */
struct { NUMBER(type, MAP_PERCPU_ARRAY); NUMBER(max_entries, 1); TYPE(key, u32); TYPE(value, u64); } lost SEC(".maps");

/* The user's memory is still there when a process ends: Linux 6.16 and later. */
const volatile u8 memory_at_exit = 0;
/* Of memfds. */
const volatile u32 device = 0;

static void count_lost(void)
{
	u32 zero = 0;
	u64 *n = bpf_map_lookup_elem(&lost, &zero);

	if (n)
		++*n;
}

static void notify(struct notice notice, u64 room, u64 flags)
{
	struct notice *n = 0;

	if (bpf_ringbuf_query(&notices, RINGBUF_AVAILABLE_DATA) < room)
		n = bpf_ringbuf_reserve(&notices, sizeof *n, 0);
	if (!n) {
		count_lost();
		return;
	}
	*n = notice;
	bpf_ringbuf_submit(n, flags);
}

/* Where the segment at an address is kept, or is to be. */
static struct place *place_of(struct process *p, u64 address)
{
	for (int i = 0; i < ADDRESSES; i++)
		if (p->places[i].address == address)
			return &p->places[i];
	return &p->places[p->next++ % ADDRESSES];
}

/* A thread that names itself hp@ and 12 hexadecimal digits says where its process has a segment. */
SEC("tp_btf/task_rename") int announced(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct process fresh = {}, *known;
	struct held held = {};
	struct place *place;
	u64 address = 0;
	char name[16];
	u32 tgid;

	if (bpf_probe_read_kernel_str(name, sizeof name, (const void *)ctx[1]) != sizeof name)
		return 0;
	if (name[0] != 'h' || name[1] != 'p' || name[2] != '@')
		return 0;
	for (int i = 3; i < 15; i++) {
		u8 c = name[i], digit = c - '0';

		if (digit > 9) {
			digit = c - 'a' + 10;
			if (c < 'a' || c > 'f')
				return 0;
		}
		address = address << 4 | digit;
	}
	tgid = task->tgid;
	held.tgid = tgid;
	held.address = address;
	bpf_map_delete_elem(&holds, &held); /* what is there now may be another, after exec */
	known = bpf_map_lookup_elem(&processes, &tgid);
	if (!known) {
		bpf_map_update_elem(&processes, &tgid, &fresh, 0);
		known = bpf_map_lookup_elem(&processes, &tgid);
	}
	if (known) {
		place = place_of(known, address);
		place->address = address;
		place->uid = task->cred->fsuid.val;
	}
	notify((struct notice){.kind = ANNOUNCED, .tgid = tgid, .tid = task->pid, .address = address}, RING_ANNOUNCEMENTS, 0);
	return 0;
}

struct copy {
	u64 address;
	u32 tgid, uid;
	u32 pages;   /* that were copied */
	u32 missing; /* areas that there was no room for */
};

/* Copies pages of a segment up to the first that is not there. */
NOINLINE int copy_pages(struct copy *c, u64 offset, u64 pages)
{
	if (!c)
		return 0;
	for (u32 i = 0; i < PAGES && i < pages; i++, offset += PAGE_SIZE) {
		struct page *p = 0;

		if (c->pages < PAGES && bpf_ringbuf_query(&notices, RINGBUF_AVAILABLE_DATA) < RING_PAGES)
			p = bpf_ringbuf_reserve(&notices, sizeof *p, 0);
		if (!p) {
			c->missing++;
			return 0;
		}
		p->notice = (struct notice){.kind = PAGE, .tgid = c->tgid, .uid = c->uid, .address = c->address, .offset = offset};
		if (bpf_probe_read_user(p->bytes, sizeof p->bytes, (const void *)(c->address + offset)) != 0) {
			bpf_ringbuf_discard(p, RINGBUF_NO_WAKEUP);
			return 0;
		}
		bpf_ringbuf_submit(p, RINGBUF_NO_WAKEUP);
		c->pages++;
	}
	return 0;
}

struct head { /* the beginning of a segment */
	u64 magic, version, header_size, file_size, start_time, pid, instance[2], segment_id;
	u64 catalogue_offset, catalogue_size, shared_offset, shared_size, stripes_offset, stripe_size, stripe_count;
};
struct progress { u64 catalogue_used, stripes_used; }; /* at 192 */

#define MAGIC 0x0a48544150544f48ULL /* HOTPATH\n, little-endian */

NOINLINE int copy_segment(struct copy *c)
{
	struct head head;
	struct progress progress;

	if (!c || bpf_probe_read_user(&head, sizeof head, (const void *)c->address) != 0 || head.magic != MAGIC ||
	    bpf_probe_read_user(&progress, sizeof progress, (const void *)(c->address + 192)) != 0)
		return 0;
	copy_pages(c, 0, 1);
	copy_pages(c, head.catalogue_offset & -(u64)PAGE_SIZE,
		   (head.catalogue_offset % PAGE_SIZE + progress.catalogue_used + PAGE_SIZE - 1) / PAGE_SIZE);
	copy_pages(c, head.shared_offset, PAGES);
	c->missing += progress.stripes_used > STRIPES;
	for (u32 i = 0; i < STRIPES && i < progress.stripes_used; i++)
		copy_pages(c, head.stripes_offset + i * head.stripe_size, PAGES);
	return 0;
}

SEC("tp_btf/sched_process_exit") int ended(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	u32 tgid = task->tgid;
	struct process *known = bpf_map_lookup_elem(&processes, &tgid), process;
	struct copy copy = {.tgid = tgid};

	if (!known || task->signal->live.counter != 0) /* another thread goes on */
		return 0;
	process = *known;
	if (bpf_map_delete_elem(&processes, &tgid) != 0) /* several were the last at once, and one tells */
		return 0;
	for (int i = 0; i < ADDRESSES; i++) {
		struct held held = {.tgid = tgid, .address = process.places[i].address};

		copy.address = held.address;
		copy.uid = process.places[i].uid;
		if (memory_at_exit && held.address != 0 && !bpf_map_lookup_elem(&holds, &held))
			copy_segment(&copy);
	}
	/* The reader was not woken for the pages, and would not be for what follows them. */
	notify((struct notice){.kind = ENDED, .tgid = tgid, .offset = copy.missing}, RING, RINGBUF_FORCE_WAKEUP);
	return 0;
}

static int is_segment(struct file *file)
{
	static const char want[16] __attribute__((aligned(8))) = "memfd:hotpath";
	u64 name[2] = {};

	if (file->f_inode->i_sb->s_dev != device)
		return 0;
	if (bpf_probe_read_kernel_str(name, sizeof name, file->f_path.dentry->d_name.name) != sizeof "memfd:hotpath")
		return 0;
	return name[0] == ((const u64 *)want)[0] && name[1] == ((const u64 *)want)[1];
}

/* fd, or start and end of a mapping */
struct found { u32 tgid, tid, uid, fd; u64 inode, start, end; };

static void found_in(struct found *found, struct task_struct *task, struct file *file)
{
	found->tgid = task->tgid;
	found->tid = task->pid;
	found->uid = file->f_inode->i_uid.val;
	found->inode = file->f_inode->i_ino;
}

/* Descriptors of segments, of all processes. */
SEC("iter/task_file") int descriptors(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct found found = {};

	if (!task || !file || !is_segment(file))
		return 0;
	found_in(&found, task, file);
	found.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &found, sizeof found);
	return 0;
}

/* Mappings of segments, of all processes. */
SEC("iter/task_vma") int mappings(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *area = ctx->vma;
	struct found found = {};
	struct file *file;

	if (!task || !area)
		return 0;
	file = area->vm_file;
	if (!file || area->vm_pgoff != 0 || !is_segment(file))
		return 0;
	found_in(&found, task, file);
	found.start = area->vm_start;
	found.end = area->vm_end;
	bpf_seq_write(ctx->meta->seq, &found, sizeof found);
	return 0;
}
