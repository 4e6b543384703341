//go:build ignore

/* One probe (docs/probes.md). The loader sets the constants, and the verifier then drops what this probe does not use. */
#include "probe.h"

char _license[] SEC("license") = "Dual MIT/GPL";

enum { CONSTANT = 1, REGISTER, MEMORY };     /* where an operand is */
enum { NO_REGISTER = 0xff };
enum { INTEGER = 1, STRING, SIZED_STRING };  /* what an attribute is; sized: another operand is its length */
enum { COUNTER = 2, UPDOWNCOUNTER, GAUGE, HISTOGRAM }; /* as in the segment format */
enum { FAULT, NEGATIVE, TOO_LARGE, SERIES_LIMIT, PROCESS_LIMIT, UNMATCHED, CALL_LIMIT, REASONS };
enum { VALUE_ONE, VALUE_OPERAND, VALUE_RETURNED, VALUE_DURATION };
enum { UNSIGNED = 1, SIGNED }; /* what a gauge is */
enum { FOLDED = 1 }; /* flag of a key */
enum {
	PAGE_SIZE = 4096,
	ATTRIBUTES = 4,
	ATTRIBUTE_BYTES = 256, /* of all attributes of a key */
	STRING_MAX = 128,
	BUCKETS = 512,
	ZERO_BUCKET = BUCKETS,
	CALLS = 8192,
	WAKE = 64 << 10, /* bytes that wait in the ring buffer before its reader is woken */
};
#define SUM_MAX (1ULL << 62) /* of what each CPU sums up */

struct operand {
	s64 constant; /* or displacement */
	u8 kind;
	u8 word;      /* of the registers: the 64-bit words of struct user_pt_regs; NO_REGISTER */
	u8 index, scale;
	u8 size, is_signed;
	u8 cast, cast_signed; /* the bytes of it that are taken */
	u8 shift;             /* of a register, in bits */
	u8 zero[7];
};

struct attribute {
	struct operand operand, length;
	u32 offset; /* in the key */
	u32 room;   /* of a string, with its NUL */
	u8 type, at_return, zero[6];
};

/* A series, or a bucket of one. A map's keys are as long as its probe's attributes need. */
struct key {
	u32 tgid;
	u16 bucket;
	u8 flags;
	u8 unknown; /* a bit for each attribute that could not be read */
	u64 start;
	u8 attributes[ATTRIBUTE_BYTES];
};

struct value { u64 count, sum; }; /* count: of a histogram's bucket. Of a gauge, what sum, its value, is: nothing as long as it is being made */

/* A call that has not returned: stack addresses are unique in a process. */
struct call { u64 stack; u32 tgid, start; }; /* start: the low bits of the process's, since ids are given again */
struct in_flight { u64 first; struct key key; }; /* first: the value, or the time of the call */

struct event {
	u32 probe, is_signed;
	u64 value;
	struct key key;
};

struct config {
	struct operand value;
	struct attribute attributes[ATTRIBUTES];
	u64 executable[NAME / 8];
	u32 probe, uid;
	u32 max_entries, reserve;
	u32 key_size;
	s32 cgroup_level;
	u8 kind, value_from, value_signed, is_events, folds;
	u8 filters_uid, filters_executable, filters_cgroup;
	u8 has_return, stack_word, return_pops, may_sleep;
	u32 max_processes;
};

const volatile struct config probe = {};
/* The smallest value in each bucket of a histogram. */
const volatile u64 thresholds[BUCKETS] = {};
const struct process unknown_process = {};
const struct value none = {};
const struct user no_user = {};

struct ledger { u64 entries, calls, cgroup; };
enum { MADE, FREED, LEDGERS }; /* entries: by the programs; by the collector, which also says which cgroup's hits count */

struct { NUMBER(type, MAP_PERCPU_HASH); NUMBER(max_entries, 1); TYPE(key, struct key); TYPE(value, struct value); } values SEC(".maps");
/* How many of its entries each process has, and each user: made by the programs, and freed by the collector. */
enum { OF_PROCESS, OF_USER, FREED_OF_USER };
struct share { u32 id, of; u64 start; };
struct { NUMBER(type, MAP_HASH); NUMBER(max_entries, 1); TYPE(key, struct share); TYPE(value, u64); } shares SEC(".maps");
struct { NUMBER(type, MAP_HASH); NUMBER(max_entries, CALLS); TYPE(key, struct call); TYPE(value, struct in_flight); } calls SEC(".maps");
struct { NUMBER(type, MAP_ARRAY); NUMBER(max_entries, LEDGERS); TYPE(key, u32); TYPE(value, struct ledger); } ledgers SEC(".maps");
/* Hits that were not recorded, by reason. */
struct { NUMBER(type, MAP_PERCPU_ARRAY); NUMBER(max_entries, REASONS); TYPE(key, u32); TYPE(value, u64); } skipped SEC(".maps");
struct { NUMBER(type, MAP_RINGBUF); NUMBER(max_entries, RING); } events SEC(".maps");
/* Events that there was no room for. */
struct { NUMBER(type, MAP_PERCPU_ARRAY); NUMBER(max_entries, 1); TYPE(key, u32); TYPE(value, u64); } lost SEC(".maps");

/* A program may be preempted by another one of its CPU: hence atomic additions even to what each CPU has of its own. */
#define ADD(to, n) ((void)__sync_fetch_and_add(to, n))

static NOINLINE int skip(u32 reason)
{
	u64 *n = bpf_map_lookup_elem(&skipped, &reason);

	if (n)
		ADD(n, 1);
	return 0;
}

static NOINLINE int wanted(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 freed = FREED;

	if (probe.filters_uid && task->cred->euid.val != probe.uid)
		return 0;
	if (probe.filters_cgroup) {
		struct ledger *l = bpf_map_lookup_elem(&ledgers, &freed);

		if (!l || l->cgroup == 0 || l->cgroup != bpf_get_current_ancestor_cgroup_id(probe.cgroup_level))
			return 0;
	}
	if (probe.filters_executable) {
		u64 name[NAME / 8] = {};

		bpf_probe_read_kernel_str(name, sizeof name, task->mm->exe_file->f_path.dentry->d_name.name);
		for (int i = 0; i < NAME / 8; i++)
			if (name[i] != probe.executable[i])
				return 0;
	}
	return 1;
}

static INLINE u64 extended(u64 v, u8 size, u8 is_signed)
{
	u32 shift = 64 - 8 * size;

	v <<= shift;
	return is_signed ? (u64)((s64)v >> shift) : v >> shift;
}

static INLINE u64 word_of(void *ctx, u8 word)
{
	u64 v = 0;

	if (word == NO_REGISTER)
		return 0;
	bpf_probe_read_kernel(&v, sizeof v, ctx + word * 8);
	return v;
}

/* Brings memory in that nobody has used yet, such as text that a program only hands on: reading does not. */
static INLINE int fetch(u64 from, u32 size)
{
	u8 byte;

	if (!probe.may_sleep || bpf_copy_from_user(&byte, 1, (void *)from) != 0)
		return 0;
	if ((from & (PAGE_SIZE - 1)) + size > PAGE_SIZE) /* the next page may not exist, for all that text has an end */
		bpf_copy_from_user(&byte, 1, (void *)((from | (PAGE_SIZE - 1)) + 1));
	return 1;
}

static INLINE int load(void *ctx, const volatile struct operand *o, u64 *v)
{
	u64 got = 0;

	switch (o->kind) {
	case CONSTANT:
		got = o->constant;
		break;
	case REGISTER:
		got = word_of(ctx, o->word) >> o->shift;
		break;
	case MEMORY:
		got = word_of(ctx, o->word) + o->constant;
		if (o->scale)
			got += word_of(ctx, o->index) * o->scale;
		*v = 0;
		if (bpf_probe_read_user(v, o->size, (void *)got) != 0 &&
		    (!fetch(got, o->size) || bpf_probe_read_user(v, o->size, (void *)got) != 0))
			return -1;
		got = *v;
		break;
	}
	*v = extended(extended(got, o->size, o->is_signed), o->cast, o->cast_signed);
	return 0;
}

static INLINE int load_string(void *ctx, const volatile struct attribute *a, u8 *to)
{
	u64 from, n;

	if (load(ctx, &a->operand, &from) != 0)
		return -1;
	if (a->type == STRING)
		return bpf_probe_read_user_str(to, a->room, (void *)from) < 0 &&
		       (!fetch(from, a->room) || bpf_probe_read_user_str(to, a->room, (void *)from) < 0);
	if (load(ctx, &a->length, &n) != 0)
		return -1;
	if (n >= a->room)
		n = a->room - 1;
	n &= 2 * STRING_MAX - 1;
	return bpf_probe_read_user(to, n, (void *)from) != 0 && (!fetch(from, n) || bpf_probe_read_user(to, n, (void *)from) != 0);
}

static INLINE void load_attributes(void *ctx, struct key *key, u8 at_return)
{
#pragma unroll
	for (int i = 0; i < ATTRIBUTES; i++) {
		const volatile struct attribute *a = &probe.attributes[i];
		u8 *to = key->attributes + a->offset;
		int failed;

		if (a->type == 0 || a->at_return != at_return)
			continue;
		if (a->type == INTEGER)
			failed = load(ctx, &a->operand, (u64 *)to);
		else
			failed = load_string(ctx, a, to);
		if (failed) {
			key->unknown |= 1 << i;
			skip(FAULT);
		}
	}
}

/* A user has no more than three times what is left for others, and a process no more than that. What frees counts later than what makes. */
static INLINE int within(u64 users, u64 freed, u64 room) { return (s64)(users - freed) < (s64)(3 * room); }

/* What a user takes: made, and freed. Nothing where there is no room for another user. */
static INLINE struct user *charged(u32 uid, struct user *freed)
{
	struct user_key key = {.uid = uid};
	struct user *made = bpf_map_lookup_elem(&users, &key), *by_collector;

	if (!made) {
		bpf_map_update_elem(&users, &key, &no_user, NOEXIST);
		made = bpf_map_lookup_elem(&users, &key);
	}
	key.freed = 1;
	by_collector = bpf_map_lookup_elem(&users, &key);
	*freed = by_collector ? *by_collector : no_user;
	return made;
}

static NOINLINE struct process *known(struct key *key)
{
	struct process_id id = {.tgid = key->tgid, .start = key->start};
	struct process *p = bpf_map_lookup_elem(&processes, &id);
	struct task_struct *task = bpf_get_current_task_btf();
	struct user *all, *user, all_freed, freed;
	u32 uid = task->cred->euid.val;

	if (p)
		return p;
	all = charged(EVERYBODY, &all_freed);
	user = charged(uid, &freed);
	if (all && user && !within(user->processes, freed.processes, probe.max_processes - (all->processes - all_freed.processes)))
		return 0;
	/* It is made before it is filled in, since there is no room on the stack. */
	if (bpf_map_update_elem(&processes, &id, &unknown_process, NOEXIST) != 0)
		return bpf_map_lookup_elem(&processes, &id);
	if (all)
		ADD(&all->processes, 1);
	if (user)
		ADD(&user->processes, 1);
	p = bpf_map_lookup_elem(&processes, &id);
	if (p) {
		p->owner = uid;
		describe(p, task);
	}
	return p;
}

static INLINE u64 *share_of(u32 id, u32 of, u64 start)
{
	struct share key = {.id = id, .of = of, .start = start};
	u64 zero = 0, *share = bpf_map_lookup_elem(&shares, &key);

	if (!share && of != FREED_OF_USER) {
		bpf_map_update_elem(&shares, &key, &zero, NOEXIST);
		share = bpf_map_lookup_elem(&shares, &key);
	}
	return share;
}

/* Whether a process may have another entry, of a series that could be folded. */
static INLINE int admitted(struct key *key, struct process *p, u64 live)
{
	u64 *share, *user, *freed, room;

	if (!probe.folds || key->flags & FOLDED)
		return live < probe.max_entries + probe.reserve;
	if (live >= probe.max_entries)
		return 0;
	room = probe.max_entries - live;
	share = share_of(key->tgid, OF_PROCESS, key->start);
	user = share_of(p->owner, OF_USER, 0);
	freed = share_of(p->owner, FREED_OF_USER, 0);
	if (!share || *share >= room || (user && !within(*user, freed ? *freed : 0, room)))
		return 0;
	ADD(share, 1);
	if (user)
		ADD(user, 1);
	return 1;
}

static INLINE struct value *make(struct key *key, struct ledger *made)
{
	if (bpf_map_update_elem(&values, key, &none, NOEXIST) == 0)
		ADD(&made->entries, 1);
	return bpf_map_lookup_elem(&values, key);
}

/* Makes an entry, or folds the key into that of its process. */
static NOINLINE struct value *begin(struct key *key)
{
	u32 made_key = MADE, freed_key = FREED;
	struct ledger *made = bpf_map_lookup_elem(&ledgers, &made_key), *freed = bpf_map_lookup_elem(&ledgers, &freed_key);
	struct value *value = 0;
	struct process *p;
	u64 live;

	if (!made || !freed)
		return 0;
	live = made->entries - freed->entries;
	p = known(key);
	if (!p) {
		skip(PROCESS_LIMIT);
		return 0;
	}
	if (admitted(key, p, live)) {
		value = make(key, made);
	} else if (probe.folds) {
		key->flags |= FOLDED;
		key->unknown = 0;
		__builtin_memset(key->attributes, 0, sizeof key->attributes);
		value = bpf_map_lookup_elem(&values, key);
		if (!value && admitted(key, p, live))
			value = make(key, made);
	}
	if (!value)
		skip(SERIES_LIMIT);
	return value;
}

static INLINE u16 bucket_of(u64 v)
{
	u32 i = 0;

	if (v == 0)
		return ZERO_BUCKET;
#pragma unroll
	for (u32 step = BUCKETS / 2; step > 0; step /= 2)
		if (thresholds[(i + step) & (BUCKETS - 1)] <= v)
			i += step;
	return i;
}

static INLINE void emit(struct key *key, u64 v)
{
	struct event *e;
	u32 zero = 0;
	u64 *n;

	if (!known(key)) {
		skip(PROCESS_LIMIT);
		return;
	}
	e = bpf_ringbuf_reserve(&events, __builtin_offsetof(struct event, key) + probe.key_size, 0);
	if (!e) {
		n = bpf_map_lookup_elem(&lost, &zero);
		if (n)
			ADD(n, 1);
		return;
	}
	e->probe = probe.probe;
	e->is_signed = probe.value_signed;
	e->value = v;
#pragma unroll
	for (int i = 0; i < sizeof *key / 8; i++)
		if (i * 8 < probe.key_size)
			((u64 *)&e->key)[i] = ((u64 *)key)[i];
	bpf_ringbuf_submit(e, bpf_ringbuf_query(&events, RINGBUF_AVAILABLE_DATA) >= WAKE ? RINGBUF_FORCE_WAKEUP : RINGBUF_NO_WAKEUP);
}

static INLINE void record(struct key *key, u64 v)
{
	struct value *value;

	if (probe.is_events) {
		emit(key, v);
		return;
	}
	if (probe.kind == UPDOWNCOUNTER && !probe.value_signed && v > SUM_MAX) {
		skip(TOO_LARGE);
		return;
	}
	if (probe.kind == COUNTER || probe.kind == HISTOGRAM) {
		if (probe.value_signed && (s64)v < 0) {
			skip(NEGATIVE);
			return;
		}
		if (probe.value_from != VALUE_ONE && v > SUM_MAX) {
			skip(TOO_LARGE);
			return;
		}
	}
	if (probe.kind == HISTOGRAM)
		key->bucket = bucket_of(v);
	value = bpf_map_lookup_elem(&values, key);
	if (!value)
		value = begin(key);
	if (!value)
		return;
	if (probe.kind == GAUGE) {
		*(volatile u64 *)&value->sum = v;
		*(volatile u64 *)&value->count = probe.value_signed ? SIGNED : UNSIGNED;
		return;
	}
	if (probe.kind != UPDOWNCOUNTER && probe.value_from != VALUE_ONE && v > SUM_MAX - value->sum) {
		skip(TOO_LARGE);
		return;
	}
	ADD(&value->sum, v);
	if (probe.kind == HISTOGRAM)
		ADD(&value->count, 1);
}

static INLINE void begin_key(struct key *key, struct task_struct *task)
{
	key->tgid = task->tgid;
	key->bucket = 0;
	key->flags = 0;
	key->unknown = 0;
	key->start = task->group_leader->start_boottime;
	if (probe.key_size > __builtin_offsetof(struct key, attributes))
		__builtin_memset(key->attributes, 0, sizeof key->attributes);
}

/* Remembers a call until its return. Of one that never came, another has the address by now. */
static INLINE void begin_call(struct call *call, struct in_flight *f, struct process *p)
{
	u32 made_key = MADE, freed_key = FREED;
	struct ledger *made = bpf_map_lookup_elem(&ledgers, &made_key), *freed = bpf_map_lookup_elem(&ledgers, &freed_key);
	struct user users_freed, *user = charged(p->owner, &users_freed);
	u64 room;

	if (!made || !freed)
		return;
	room = CALLS - (made->calls - freed->calls);
	if (p->calls < room && (!user || within(user->calls, users_freed.calls, room)) && bpf_map_update_elem(&calls, call, f, NOEXIST) == 0) {
		ADD(&p->calls, 1);
		if (user)
			ADD(&user->calls, 1);
		ADD(&made->calls, 1);
	} else if (bpf_map_update_elem(&calls, call, f, EXIST) != 0) {
		skip(CALL_LIMIT);
	}
}

static INLINE void end_call(struct call *call, struct key *key)
{
	struct process_id id = {.tgid = key->tgid, .start = key->start};
	struct process *p = bpf_map_lookup_elem(&processes, &id);
	u32 made_key = MADE;
	struct ledger *made = bpf_map_lookup_elem(&ledgers, &made_key);
	struct user_key owner = {};
	struct user *user;

	if (bpf_map_delete_elem(&calls, call) != 0 || !p || !made)
		return;
	ADD(&p->calls, -1);
	ADD(&made->calls, -1);
	owner.uid = p->owner;
	user = bpf_map_lookup_elem(&users, &owner);
	if (user)
		ADD(&user->calls, -1);
}

SEC("uprobe") int hit(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct in_flight f;
	u64 v = 1;

	if ((probe.filters_uid || probe.filters_executable || probe.filters_cgroup) && !wanted())
		return 0;
	begin_key(&f.key, task);
	load_attributes(ctx, &f.key, 0);
	if (probe.value_from == VALUE_OPERAND && load(ctx, &probe.value, &v) != 0) {
		skip(FAULT);
		return 0;
	}
	if (probe.has_return) {
		struct call call = {.stack = word_of(ctx, probe.stack_word), .tgid = f.key.tgid, .start = f.key.start};
		/* Of processes that are known, the collector takes calls away that they ended in. */
		struct process *p = known(&f.key);

		if (!p) {
			skip(PROCESS_LIMIT);
			return 0;
		}
		f.first = probe.value_from == VALUE_DURATION ? bpf_ktime_get_ns() : v;
		begin_call(&call, &f, p);
		return 0;
	}
	record(&f.key, v);
	return 0;
}

SEC("uretprobe") int returned(void *ctx)
{
	u64 now = bpf_ktime_get_ns();
	struct task_struct *task = bpf_get_current_task_btf();
	struct call call = {.stack = word_of(ctx, probe.stack_word) - probe.return_pops, .tgid = task->tgid, .start = task->group_leader->start_boottime};
	struct in_flight f, *started;

	started = bpf_map_lookup_elem(&calls, &call);
	if (!started) { /* it is counted already, where there was no room for it */
		if (!(probe.filters_uid || probe.filters_executable || probe.filters_cgroup) || wanted())
			skip(UNMATCHED);
		return 0;
	}
	f.first = started->first;
#pragma unroll
	for (int i = 0; i < sizeof f.key / 8; i++)
		if (i * 8 < probe.key_size)
			((u64 *)&f.key)[i] = ((u64 *)&started->key)[i];
	end_call(&call, &f.key);
	load_attributes(ctx, &f.key, 1);
	if (probe.value_from == VALUE_DURATION)
		f.first = now - f.first;
	else if (probe.value_from == VALUE_RETURNED)
		load(ctx, &probe.value, &f.first); /* a register: it cannot fail */
	record(&f.key, f.first);
	return 0;
}
