/* SPDX-License-Identifier: Apache-2.0
 *
 * hotpath.h: count in your process at the price of a memory add; the
 * OpenTelemetry Collector's hotpath receiver delivers the counts.
 *
 *     #include "hotpath.h"
 *
 *     hotpath_attr get = HOTPATH_STR("method", "GET");
 *     hotpath_counter requests =
 *         hotpath_counter_new("server.requests", "{request}", "Requests served", &get, 1);
 *     ...
 *     hotpath_counter_add(requests, 1);
 *
 * C11 and C++17, Linux on 64-bit machines, one header, nothing to link but libc
 * (and -pthread before glibc 2.34). Include it in as many files as you like: all
 * of an executable or shared library share one segment.
 *
 * A handle is made once, by *_new, and used from any thread; the same identity
 * (name, kind, unit, attributes) gives the same series. *_new is thread-safe, but
 * not for signal handlers; add, set and record are for both. Attributes that are known at the call only go with the
 * measurement: hotpath_histogram_record_with(latency, 0.012, attrs, 2). No call fails visibly, touches
 * errno or takes the application down: where nothing can be published, the
 * counting goes on in private memory and hotpath_status() says why.
 *
 * Environment: HOTPATH_DIR (an absolute path, by default /dev/shm/hotpath), HOTPATH_TRANSPORT (shm, bpf,
 * user_events, io_uring or off), OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.
 *
 * HOTPATH_TRANSPORT=bpf needs no directory: the segment is a sealed memfd, which a collector with the source bpf finds from outside, in
 * whatever container the process is. Where no file can be made in HOTPATH_DIR, that is what is tried next. To be found at once, the
 * thread that makes the first series, or a child's first count, renames itself for an instant. The descriptor stays, at a number near 1024; an application
 * that closes it loses nothing.
 *
 * HOTPATH_TRANSPORT=user_events needs no shared memory, but Linux 6.4 with CONFIG_USER_EVENTS, tracefs at /sys/kernel/tracing, and the
 * right to write to user_events_data there. While a collector listens, every call tells it, by two system calls, what the series has come
 * to; while none does, a call costs what it costs otherwise. So a series is exact after any update that a collector hears, and
 * what was counted with nobody listening dies with the process. A series whose names, values and resource attributes take more than about
 * 3.9 KB (a histogram's: 2.9 KB) is not sent. The file is opened with the first series and kept, at a number near 1024; where the
 * application closes it, the next update opens it anew, which takes the right once more. Libraries that count this way stay loaded.
 *
 * HOTPATH_TRANSPORT=io_uring (Linux 5.18) counts in private memory and tells a collector that listens at HOTPATH_SOCKET (by default
 * /run/hotpath/io_uring.sock; @ begins an abstract name) what has changed: after HOTPATH_URING_BATCH updates on a CPU (64), with the first
 * update after HOTPATH_URING_DELAY microseconds (10000), at the end of a thread and at exit, but for _exit and exec, and when
 * hotpath_flush() says so. HOTPATH_URING_SQPOLL=1 has a thread of the kernel's do it. What a killed process had not told is lost, a collector that
 * comes later or again is told everything. Making the first series, hotpath_flush and exit wait for a collector that does not answer or read, 250 ms at
 * most; add, set and record never do: each second at most, and then each 10 ms, one of them takes the next step of a connection that is on its way, so a
 * program that seldom counts, and did so before its collector came, calls hotpath_flush a second after it, which takes all the steps. Three descriptors stay, at numbers near 1024; an application that closes them loses nothing. Where io_uring is refused,
 * HOTPATH_DIR is used. Libraries that count this way stay loaded.
 *
 * HOTPATH_USDT(provider, name, arguments...) is apart from all that: a place in the code for tracers to attach to (bpftrace, perf, the
 * Collector's source bpf), which counts nothing by itself.
 *
 * The memory layout is described in docs/segment-format.md, the event of user_events and the messages of io_uring in docs/wire-formats.md.
 */
#ifndef HOTPATH_H
#define HOTPATH_H

#if !defined(__linux__) || !defined(__LP64__)
#error "hotpath.h needs 64-bit Linux"
#endif

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __cplusplus
#include <type_traits>
#endif

#define HOTPATH_VERSION "0.1.0"

/* Series a process may have before further ones fold into overflow series. Of histograms, which take 4 KiB
 * in each stripe, there is room for about 1,750. */
#ifndef HOTPATH_SERIES_LIMIT
#define HOTPATH_SERIES_LIMIT 16384
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Interface --------------------------------------------------------- */

/* Inside: the address of the series' first word in stripe 1 plus 1 (see hotpath__ready), or of a gauge's one word; 0 in the zero handle. */
typedef struct { uint64_t slot; } hotpath_counter;       /* never falls */
typedef struct { uint64_t slot; } hotpath_updowncounter; /* may fall */
typedef struct { uint64_t slot; } hotpath_gauge;         /* the last value set */
typedef struct { uint64_t slot; } hotpath_histogram;     /* base-2 exponential, scale 3, 2^-30 to 2^34 */

typedef struct {
	const char *key;
	int type; /* HOTPATH__TYPE_STRING ... */
	union { const char *s; int64_t i; double d; } value;
} hotpath_attr;

/* Attributes are copied; an array of them may go out of scope after *_new. */
#define HOTPATH_STR(key, value)    hotpath__str((key), (value))
#define HOTPATH_INT(key, value)    hotpath__int((key), (value))
#define HOTPATH_DOUBLE(key, value) hotpath__double((key), (value))
#define HOTPATH_BOOL(key, value)   hotpath__bool((key), !!(value))

/* Make a series, or find it. name: 1 to 255 bytes, [A-Za-z][A-Za-z0-9_./-]*. unit:
 * UCUM, at most 63 bytes of ASCII, may be NULL. description: may be NULL. At most 64 attributes. What breaks these
 * rules, or a name that already has another kind or unit, gives the zero handle, on which every call is harmless. */
static inline hotpath_counter hotpath_counter_new(const char *name, const char *unit,
	const char *description, const hotpath_attr *attrs, size_t n_attrs);
static inline hotpath_updowncounter hotpath_updowncounter_new(const char *name, const char *unit,
	const char *description, const hotpath_attr *attrs, size_t n_attrs);
static inline hotpath_gauge hotpath_gauge_new(const char *name, const char *unit,
	const char *description, const hotpath_attr *attrs, size_t n_attrs);
static inline hotpath_histogram hotpath_histogram_new(const char *name, const char *unit,
	const char *description, const hotpath_attr *attrs, size_t n_attrs);

static inline void hotpath_counter_add(hotpath_counter, uint64_t);
static inline void hotpath_updowncounter_add(hotpath_updowncounter, int64_t);
static inline void hotpath_gauge_set(hotpath_gauge, double);
/* NaN, infinite and negative values are refused and counted; others outside the range are clamped and counted. */
static inline void hotpath_histogram_record(hotpath_histogram, double);

/* The same for the series that has these attributes as well as the handle's own, of which they outweigh equal keys: where they are known at the call only. A
 * measurement is written into a ring that a collector empties, which makes the series; it costs some 25 ns, where a handle's add costs 1. The strings are
 * copied, those longer than 1023 bytes in part. Refused and counted are more than 64 attributes, or more than 4 KiB of them, and keys that are not 1 to 255 bytes. */
static inline void hotpath_counter_add_with(hotpath_counter, uint64_t, const hotpath_attr *attrs, size_t n_attrs);
static inline void hotpath_updowncounter_add_with(hotpath_updowncounter, int64_t, const hotpath_attr *attrs, size_t n_attrs);
static inline void hotpath_gauge_set_with(hotpath_gauge, double, const hotpath_attr *attrs, size_t n_attrs);
static inline void hotpath_histogram_record_with(hotpath_histogram, double, const hotpath_attr *attrs, size_t n_attrs);

/* Tell what was counted so far, where that is not told by itself: with HOTPATH_TRANSPORT=io_uring, before _exit, exec or a long idleness.
 * Does nothing otherwise. Not for signal handlers. */
static inline void hotpath_flush(void);

/* A sentence for a human: where the counts go, or why they go nowhere. Valid
 * until the calling thread calls it again. */
static inline const char *hotpath_status(void);

/* ---- Segment layout (docs/segment-format.md) ---------------------------- */

enum {
	HOTPATH__MAJOR = 1, HOTPATH__MINOR = 1,

	HOTPATH__OFF_MAGIC = 0, HOTPATH__OFF_MAJOR = 8, HOTPATH__OFF_MINOR = 12,
	HOTPATH__OFF_HEADER_SIZE = 16, HOTPATH__OFF_FILE_SIZE = 24, HOTPATH__OFF_START_TIME = 32,
	HOTPATH__OFF_PID = 40, HOTPATH__OFF_INSTANCE = 48, HOTPATH__OFF_SEGMENT_ID = 64,
	HOTPATH__OFF_CATALOGUE_OFFSET = 72, HOTPATH__OFF_CATALOGUE_SIZE = 80,
	HOTPATH__OFF_SHARED_OFFSET = 88, HOTPATH__OFF_SHARED_SIZE = 96,
	HOTPATH__OFF_STRIPES_OFFSET = 104, HOTPATH__OFF_STRIPE_SIZE = 112, HOTPATH__OFF_STRIPE_COUNT = 120,
	HOTPATH__OFF_RINGS_OFFSET = 128, HOTPATH__OFF_RING_SIZE = 136, HOTPATH__OFF_RING_WORDS = 144, HOTPATH__OFF_RING_COUNT = 152,
	HOTPATH__OFF_CATALOGUE_USED = 192, HOTPATH__OFF_STRIPES_USED = 200, HOTPATH__OFF_RINGS_USED = 208,
	HOTPATH__OFF_REFUSED = 256, HOTPATH__OFF_FOLDED = 264, HOTPATH__OFF_UNPLACED = 272, HOTPATH__OFF_REJECTED = 280,
	HOTPATH__OFF_UNRECORDED = 288,
	HOTPATH__HEADER_SIZE = 512,

	HOTPATH__RECORD_SIZE = 0, HOTPATH__RECORD_KIND = 4, HOTPATH__RECORD_FLAGS = 5, HOTPATH__RECORD_ATTRIBUTES = 6,
	HOTPATH__RECORD_SLOT = 8, HOTPATH__RECORD_NAME_LEN = 16, HOTPATH__RECORD_UNIT_LEN = 18,
	HOTPATH__RECORD_DESCRIPTION_LEN = 20, HOTPATH__RECORD_HEADER_SIZE = 24,

	HOTPATH__RESOURCE = 1, HOTPATH__COUNTER = 2, HOTPATH__UPDOWNCOUNTER = 3, HOTPATH__GAUGE = 4, HOTPATH__HISTOGRAM = 5,
	HOTPATH__FLAG_OVERFLOW = 1,

	HOTPATH__ATTRIBUTE_KEY_LEN = 0, HOTPATH__ATTRIBUTE_TYPE = 2, HOTPATH__ATTRIBUTE_VALUE_LEN = 4,
	HOTPATH__ATTRIBUTE_HEADER_SIZE = 8,
	HOTPATH__TYPE_STRING = 1, HOTPATH__TYPE_INT64 = 2, HOTPATH__TYPE_DOUBLE = 3, HOTPATH__TYPE_BOOL = 4,

	HOTPATH__MAX_NAME = 255, HOTPATH__MAX_UNIT = 63, HOTPATH__MAX_DESCRIPTION = 1023,
	HOTPATH__MAX_ATTRIBUTES = 64, HOTPATH__MAX_KEY = 255, HOTPATH__MAX_STRING = 1023, HOTPATH__MAX_RECORD = 131072,

	HOTPATH__HISTOGRAM_SUM = 0, HOTPATH__HISTOGRAM_ZERO = 1, HOTPATH__HISTOGRAM_CLAMPED = 2,
	HOTPATH__HISTOGRAM_FIRST_BUCKET = 8, HOTPATH__HISTOGRAM_BUCKETS = 512, HOTPATH__HISTOGRAM_WORDS = 520,
	HOTPATH__HISTOGRAM_SCALE = 3, HOTPATH__HISTOGRAM_OFFSET = -240,

	HOTPATH__RING_HEAD = 0, HOTPATH__RING_LOCK = 64, HOTPATH__RING_FIRST = 4096, HOTPATH__DOORBELL_WAITERS = 16,
	HOTPATH__MEASUREMENT_SLOT = 0, HOTPATH__MEASUREMENT_KIND = 4, HOTPATH__MEASUREMENT_ATTRIBUTES = 6,
	HOTPATH__MEASUREMENT_VALUE = 8, HOTPATH__MEASUREMENT_TIME = 16, HOTPATH__MEASUREMENT_HEADER_SIZE = 16,
	HOTPATH__MAX_MEASUREMENT = 512, HOTPATH__TRAILER_WORDS_BITS = 16
};

#define HOTPATH__DOORBELL ".doorbell"

/* ---- Event layout (docs/wire-formats.md) --------------------------------- */

#define HOTPATH__EVENT_NAME "hotpath_v1"
#define HOTPATH__EVENT_DECLARATION HOTPATH__EVENT_NAME \
	" u64 segment; u64 number; u64 start; u64 value; u64 zero; u64 instance_hi; u64 instance_lo; u32 pid; u32 series; " \
	"u16 first; u16 flags; __rel_loc u8[] record; __rel_loc u8[] resource; __rel_loc u8[] buckets"

struct hotpath__event {
	uint32_t unused, index; /* what is written begins with the index */
	uint64_t segment, number, start, value, zero, instance_hi, instance_lo;
	uint32_t pid, series;
	uint16_t first, flags;
	uint32_t record, resource, buckets;
};

enum {
	HOTPATH__EVENT_HEADER_SIZE = 80, HOTPATH__EVENT_INDEX_SIZE = 4, HOTPATH__EVENT_FLAG_MORE = 1,
	HOTPATH__EVENT_MAX_SIZE = 4032, HOTPATH__EVENT_MAX_BUCKETS = 128
};

/* ---- Messages of io_uring (docs/wire-formats.md) -------------------------- */

#define HOTPATH__SOCKET "/run/hotpath/io_uring.sock"

enum {
	HOTPATH__MESSAGE_VERSION = 1, HOTPATH__MESSAGE_HEADER_SIZE = 8, HOTPATH__MESSAGE_MAX_SIZE = 8 + HOTPATH__MAX_RECORD,
	HOTPATH__TYPE_GREETING = 1, HOTPATH__TYPE_HELLO = 2, HOTPATH__TYPE_SERIES = 3, HOTPATH__TYPE_READY = 4, HOTPATH__TYPE_REFUSED = 5,
	HOTPATH__GREETING_SIZE = 16, HOTPATH__MAX_ENTRIES = 65536, HOTPATH__MAX_SENTENCE = 255,
	HOTPATH__SHARED_BIT = 1 << 29, HOTPATH__COUNTER_BIT = 1 << 30, HOTPATH__COUNTERS = 4, HOTPATH__COMPLETE = HOTPATH__COUNTER_BIT + HOTPATH__COUNTERS,
	HOTPATH__DEFAULT_BATCH = 64, HOTPATH__DEFAULT_DELAY = 10000
};

struct hotpath__message { uint32_t size; uint16_t type, version; };

struct hotpath__hello {
	struct hotpath__message message;
	uint64_t start_time, pid, instance[2], segment_id, catalogue_size, shared_size, stripe_size;
	uint32_t ring, zero;
};

/* This writer's geometry: all of it sparse, so room costs address space only. Where
 * memory must be reserved as a whole (kernels before 5.14, little address space), the small one. */
enum {
	HOTPATH__AREA = 65536, /* the first catalogue byte, and a multiple of every page size in use */
	HOTPATH__CATALOGUE_SIZE = 8 << 20, HOTPATH__CATALOGUE_SIZE_SMALL = 128 << 10,
	HOTPATH__SHARED_SIZE = 256 << 10, HOTPATH__SHARED_SIZE_SMALL = 64 << 10,
	HOTPATH__STRIPE_SHIFT = 23, HOTPATH__STRIPE_SIZE_SMALL = 128 << 10,
	HOTPATH__STRIPES_MAX = 1025, HOTPATH__STRIPES_SMALL = 4,
	HOTPATH__YIELDS = 16,      /* how often somebody who has a ring locked is waited for */
	HOTPATH__RING_WORDS = 1 << 17, HOTPATH__RING_SHIFT = 21,
	HOTPATH__RING_IDS = 1024,  /* concurrency ids below this may have a ring of their own */
	HOTPATH__RINGS_SPARE = 8,  /* rings there is room for beside one for each stripe: threads are preempted while they have one locked */
	HOTPATH__SHARED_RINGS = 64, /* rings that whoever locks them may write */
	HOTPATH__SETS = 65536, HOTPATH__SETS_SIZE = 8 << 20, /* where updates are sent, attribute sets of calls: places, and bytes they take */
	HOTPATH__OVERFLOWS = 256, HOTPATH__OVERFLOWS_SMALL = 8, /* instruments with an overflow series of their own */
	HOTPATH__OVERFLOW_RECORD = 1536, /* more than the record of an overflow series takes */
	HOTPATH__NUMBER_SIZE = 8,  /* where updates are sent, the number of a series' last one stands before its record */
	HOTPATH__MARKS_SIZE = 192 << 10, /* for a bit each word of the shared area and a stripe has, and 1/64 + 1/4096 of that */
	HOTPATH__TABLE = 65536,    /* places in each hash table */
	HOTPATH__DIR_ENTRIES = 8192,
	HOTPATH__HIGH = 1024       /* our descriptors end below this: the kernel's table grows with the highest */
};

#if HOTPATH_SERIES_LIMIT > 32000
#error "HOTPATH_SERIES_LIMIT: at most 32000"
#endif

/* ---- State --------------------------------------------------------------- */

/* Why there is something to tell: a batch is full or too old, a series was made, somebody wants it told now, or the process ends. */
enum hotpath__how { HOTPATH__H_BATCH, HOTPATH__H_NEW, HOTPATH__H_NOW, HOTPATH__H_EXIT };

/* A page that fork wipes (MADV_WIPEONFORK), so that a child of fork, and of a raw clone that
 * runs no atfork handler, finds `ready` at zero and starts a segment of its own. */
struct hotpath__ctl {
	/* Concurrency ids, or CPUs, below this have a stripe. The kernel keeps bit 63 set while somebody listens to the event: the
	 * number is negative then, and whoever compares it takes the slow path. So every store to it is atomic and leaves the bit.
	 * With io_uring, where every update leaves a mark, it is always set. */
	int64_t ready;
	uint64_t segment;   /* the id under which updates are sent, where they are */
	uint32_t started;
	uint32_t orphaned;  /* the thread for which the kernel noted the bit is about to end */
	uint32_t full;      /* no further stripe could be reserved */
	uint32_t lock;      /* 0 free, 1 held, 2 held with waiters */
	uint64_t telling;   /* who tells a collector (see hotpath__teller), 0 for nobody */
	uint64_t rings_again;  /* no further ring is reserved before, by CLOCK_MONOTONIC_COARSE */
	uint32_t shared_count; /* of those below */
	uint16_t shared_rings[HOTPATH__SHARED_RINGS];
	uint16_t rings[HOTPATH__RING_IDS]; /* by concurrency id, the number of its ring plus 1 */
};

#ifdef __x86_64__
#define HOTPATH__PAGE 4096
#else
#define HOTPATH__PAGE 65536 /* the largest in use */
#endif

union hotpath__ctl_page { struct hotpath__ctl ctl; char page[HOTPATH__PAGE]; };

enum hotpath__where {
	HOTPATH__W_NOWHERE, HOTPATH__W_SHM, HOTPATH__W_MEMFD, HOTPATH__W_OFF, HOTPATH__W_TRANSPORT, HOTPATH__W_DIRECTORY, HOTPATH__W_CROWDED,
	HOTPATH__W_FULL, HOTPATH__W_FILE, HOTPATH__W_LIMIT, HOTPATH__W_MAP, HOTPATH__W_RESERVE, HOTPATH__W_LINK, HOTPATH__W_NOMEM,
	HOTPATH__W_CLOSED, HOTPATH__W_MEMFD_FILE, HOTPATH__W_MEMFD_RESERVE, HOTPATH__W_SEAL,
	HOTPATH__W_EVENTS, HOTPATH__W_TRACEFS, HOTPATH__W_UNSUPPORTED, HOTPATH__W_DENIED, HOTPATH__W_OPEN, HOTPATH__W_DECLARED,
	HOTPATH__W_REGISTER, HOTPATH__W_RELATIVE,
	HOTPATH__W_URING, HOTPATH__W_SOCKET, HOTPATH__W_SOCKET_NAME, HOTPATH__W_CONNECT, HOTPATH__W_SILENT, HOTPATH__W_REFUSED, HOTPATH__W_GARBAGE,
	HOTPATH__W_HUNG_UP, HOTPATH__W_OVERFLOW, HOTPATH__W_LOST, HOTPATH__W_RING, HOTPATH__W_NO_RING, HOTPATH__W_NO_MESSAGES
};

/* A descriptor, and how to tell that it is still ours. */
struct hotpath__descriptor { uint64_t fd /* plus 1 */, inode, device; };

struct hotpath__ring {
	struct hotpath__descriptor file;
	char *queues, *entries;  /* mappings: both queues, and the submission queue's entries */
	uint64_t queues_size, entries_size;
	int mapped;
	uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail, sq_entries, cq_entries;
	struct hotpath__cqe *completions;
};

enum hotpath__phase { HOTPATH__P_CLOSED, HOTPATH__P_GREETING, HOTPATH__P_HELLO, HOTPATH__P_READY };

/* Of HOTPATH_TRANSPORT=io_uring. Whoever has `telling` changes it; phase, where, error, behind and flushed are read by others as well. */
struct hotpath__uring {
	uint64_t batch, delay, flushed, looked, next; /* nanoseconds: since when, when; of a coarse clock where that will do */
	uint64_t patience;         /* nanoseconds to wait for this collector at most, until it does something */
	uint64_t *marks[3];        /* see hotpath__set_mark */
	uint64_t room;             /* messages that the target's queue has room for, at least */
	uint32_t free;             /* and the submission queue */
	uint64_t told[HOTPATH__COUNTERS]; /* of the header's counters */
	struct hotpath__descriptor socket, lifted;
	struct hotpath__ring target, sending;
	uint32_t clock, sqpoll, phase, where, error;
	uint32_t alone;            /* a message can be sent without a ring */
	uint32_t admitting;        /* the collector may take the ring */
	uint32_t behind;           /* there is more to tell than there was room for */
	uint32_t busy;             /* somebody is posting: unlike `telling`, known in a child */
	uint32_t introduced;       /* the first series was made */
	uint32_t exiting;          /* the process ends, and has waited for its collector */
	uint32_t seen;             /* the head of the target's queue, as it was last */
	uint32_t complete;         /* the collector was told that it knows everything */
	uint32_t queued;           /* messages in the submission queue that the kernel was not told of */
	uint32_t entries;          /* that the collector wants the target's queue to have */
	uint64_t from, to, sent;   /* what is being sent: head, then the catalogue's bytes from `from` to `to` */
	uint64_t head_size;
	struct hotpath__hello head;
	uint64_t received;
	char in[HOTPATH__MESSAGE_HEADER_SIZE + HOTPATH__MAX_SENTENCE + 1], sentence[HOTPATH__MAX_SENTENCE + 1];
	uint64_t address_size;
	char address[2 + 108];     /* struct sockaddr_un */
	char name[108];
};

/* The collector's futex, of which only the address is used. It is always the same, whatever file is mapped there. */
struct hotpath__bell { uint64_t page, inode, device, looked; };

struct hotpath__state {
	char *base;             /* the mapping, at the same address in all descendants */
	uint64_t catalogue_size, shared_size, stripe_size, stripe_count, ring_count, total;
	uint64_t first_word, first_gauge; /* what a handle of slot 0 would hold */
	uint64_t rings;         /* the address of ring 0, less the size of one */
	uint64_t catalogue_end; /* as the header's catalogue_used, and beyond it what is unplaced */
	uint64_t next_word, next_shared;
	uint64_t catalogue_reserved, words_reserved, shared_reserved; /* bytes, words, words */
	uint64_t series, overflows;
	uint64_t page;
	uint64_t rseq;          /* offset of struct rseq from the thread pointer; 0: stripes are chosen by CPU */
	uint32_t *records, *names; /* hash tables of catalogue offsets, by identity and by name */
	uint32_t small_;        /* everything was reserved at the start */
	uint32_t placed;        /* the mapping is a segment that readers can find */
	uint32_t detached;      /* what is reserved from now on is private memory */
	uint32_t transport;     /* HOTPATH__W_SHM, _MEMFD, _EVENTS, _URING, _OFF or _TRANSPORT */
	uint32_t where, error;  /* for hotpath_status */
	uint32_t no_shm, no_shm_error; /* the same of the directory, where a memfd had to do */
	uint32_t no_uring, no_uring_error; /* and of io_uring, where the directory had to do */
	uint32_t guarded;       /* 2: a child will find its page wiped */
	uint32_t broken;        /* there is no memory for any further series */
	uint64_t pid;           /* of the process that started last */
	uint64_t accessible, accessible_rings; /* stripes and rings that were in use in this process or an ancestor */
	uint64_t memfd;         /* descriptor plus 1 */
	uint64_t memfd_inode, memfd_device;
	uint64_t file;          /* where events are written: descriptor plus 1, and above it the write index; 0: nowhere */
	uint32_t attempts;      /* to write without a file */
	uint32_t registered;    /* by the thread that holds the lock, just now */
	uint32_t oversized;     /* series too long for an event */
	uint32_t watching;      /* the key below is there */
	uint32_t pinned;        /* this library stays loaded */
	pthread_key_t key;      /* set in the thread for which the kernel noted the bit, or in those that have updates to tell */
	struct hotpath__uring uring;
	uint32_t *sets;         /* hash table of places below */
	char *sets_bytes;
	uint64_t sets_used, sets_count; /* 8 bytes each, sets */
	uint32_t sets_full;
	struct hotpath__bell bell;
	uint32_t problems;      /* series rejected, the last for: */
	char problem[160];
	char path[256], name[48];
};

struct hotpath__pair { const char *key, *string; uint64_t key_len, bits; int type; };

struct hotpath__identity {
	const char *name, *unit, *description;
	uint64_t name_len, unit_len;
	struct hotpath__pair pairs[HOTPATH__MAX_ATTRIBUTES];
	uint32_t n_pairs;
	int kind, overflow;
};

/* Used with the lock held: stacks may be small, of threads and even more of signal handlers. */
struct hotpath__scratch {
	struct hotpath__identity id, without_list;
	char record[HOTPATH__MAX_RECORD];
	char executable[4097], unknown[300], text[256], stat[768];
	uint64_t entries[512];
	char strings[2 * HOTPATH__MAX_ATTRIBUTES][HOTPATH__MAX_STRING + 1], description[HOTPATH__MAX_DESCRIPTION + 1];
};

#define HOTPATH__HIDDEN __attribute__((weak, visibility("hidden")))
#define HOTPATH__COLD   __attribute__((weak, visibility("hidden"), noinline, cold))
#define HOTPATH__WARM   __attribute__((weak, visibility("hidden"), noinline)) /* off the hot path, and yet made for speed */
#define HOTPATH__FLAT   static inline __attribute__((always_inline)) /* after a system call, processors guess each return wrong */

/* One of each for an executable or shared library, however many files include this. */
HOTPATH__HIDDEN union hotpath__ctl_page hotpath__ctl_v1 __attribute__((aligned(HOTPATH__PAGE)));
HOTPATH__HIDDEN struct hotpath__state hotpath__state_v1;
HOTPATH__HIDDEN struct hotpath__scratch hotpath__scratch_v1;

/* In a shared library the pointer to the critical section is taken back at once: the kernel reads what it points to at the
 * thread's next preemption, which may come after dlclose. And a thread-local variable would be slow there, or use up what
 * dlopen has of static ones. Such code may be linked with the other kind, so what differs has another name. */
#if defined(HOTPATH_NO_RSEQ) || !(defined(__x86_64__) || (defined(__aarch64__) && !defined(__AARCH64EB__)))
#define HOTPATH__UNLOADABLE 0
#define hotpath__slow_add_v1 hotpath__slow_add_plain_v1
#define hotpath__slow_sum_v1 hotpath__slow_sum_plain_v1
#define hotpath__atomic_add_v1 hotpath__atomic_add_plain_v1
#define hotpath__atomic_sum_v1 hotpath__atomic_sum_plain_v1
#define hotpath__with_v1 hotpath__with_plain_v1
#define hotpath__large_v1 hotpath__large_plain_v1
#define hotpath__slow_with_v1 hotpath__slow_with_plain_v1
#elif defined(__PIC__) && !defined(__PIE__)
#define HOTPATH__RSEQ 1
#define HOTPATH__UNLOADABLE 1
#define HOTPATH__IF_UNLOADABLE(instruction) instruction
#define hotpath__slow_add_v1 hotpath__slow_add_pic_v1
#define hotpath__slow_sum_v1 hotpath__slow_sum_pic_v1
#define hotpath__atomic_add_v1 hotpath__atomic_add_pic_v1
#define hotpath__atomic_sum_v1 hotpath__atomic_sum_pic_v1
#define hotpath__with_v1 hotpath__with_pic_v1
#define hotpath__large_v1 hotpath__large_pic_v1
#define hotpath__slow_with_v1 hotpath__slow_with_pic_v1
#else
#define HOTPATH__RSEQ 1
#define HOTPATH__UNLOADABLE 0
#define HOTPATH__IF_UNLOADABLE(instruction)
HOTPATH__HIDDEN __thread uint64_t hotpath__rseq_v1; /* address of the thread's struct rseq plus 1; 0: not known yet, or none */
#endif

uint64_t hotpath__new_v1(int kind, const char *name, const char *unit, const char *description,
	const hotpath_attr *attrs, size_t n_attrs);
__attribute__((cold)) int hotpath__slow_add_v1(uint64_t slot, uint64_t n);
__attribute__((cold)) int hotpath__slow_sum_v1(uint64_t slot, double v);
__attribute__((cold)) void hotpath__slow_set_v1(uint64_t slot, uint64_t bits);
__attribute__((cold)) void hotpath__refuse_v1(void);
__attribute__((cold)) void hotpath__send_v1(const uint64_t *word, uint64_t segment);
int hotpath__atomic_add_v1(uint64_t slot, uint64_t n);
int hotpath__atomic_sum_v1(uint64_t slot, double v);
void hotpath__with_v1(int kind, uint64_t slot, uint64_t bits, const hotpath_attr *attrs, size_t n_attrs);
__attribute__((cold)) void hotpath__large_v1(int kind, uint64_t slot, uint64_t bits, const hotpath_attr *attrs, size_t n_attrs);
__attribute__((cold)) int hotpath__slow_with_v1(uint64_t slot, const uint64_t *words, uint64_t n);
__attribute__((cold)) uint64_t hotpath__cut_v1(const char *text);
__attribute__((cold)) void hotpath__wake_v1(void);
void hotpath__mark_v1(const uint64_t *word);
int hotpath__take_v1(int level, uint64_t i);
void hotpath__flush_v1(int how);
void hotpath__exit_v1(void);
const char *hotpath__status_v1(void);
void hotpath__forked_v1(void);
void hotpath__unload_v1(void);
void hotpath__orphan_v1(void *);
static inline hotpath_attr hotpath__str(const char *key, const char *value);
static inline hotpath_attr hotpath__int(const char *key, int64_t value);
static inline hotpath_attr hotpath__double(const char *key, double value);
static inline hotpath_attr hotpath__bool(const char *key, int value);

/* ---- Hot path ------------------------------------------------------------ */

#define hotpath__likely(x)   __builtin_expect(!!(x), 1)
#define hotpath__unlikely(x) __builtin_expect(!!(x), 0)

/* A stripe has one writer at a time because the kernel gives a concurrency id (mm_cid) to one running
 * thread of a process at a time, and restarts the section (linux/rseq.h) if the thread is preempted,
 * migrated or interrupted by a signal between reading the id and the one store that commits. */
#if defined(HOTPATH__RSEQ) && defined(__x86_64__)
#define HOTPATH__RSEQ_SECTION(operation, operand, value)                                          \
	__asm__ goto volatile(                                                                        \
		".pushsection __rseq_cs, \"aw?\"\n\t" /* ?: in the function's COMDAT group, if it has one */ \
		".balign 32\n"                                                                            \
		"77:\n\t"                                                                                 \
		".long 0, 0\n\t"                                                                          \
		".quad 71f, 72f - 71f, 73f\n\t"                                                           \
		".popsection\n\t"                                                                         \
		"leaq 77b(%%rip), %%rax\n\t"                                                              \
		"movq %%rax, 8-1(%[rseq])\n" /* rseq_cs */                                                \
		"71:\n\t"                                                                                 \
		"movl 24-1(%[rseq]), %%eax\n\t" /* mm_cid */                                              \
		"cmpq %[ready], %%rax\n\t"                                                                \
		"jge %l[slow]\n\t"                                                                        \
		"shlq $23, %%rax\n\t" /* HOTPATH__STRIPE_SHIFT */                                         \
		operation                                                                                 \
		"72:\n\t"                                                                                 \
		HOTPATH__IF_UNLOADABLE("movq $0, 8-1(%[rseq])\n\t")                                       \
		".pushsection __rseq_failure, \"ax?\"\n\t"                                                \
		".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1, its operand the signature */                         \
		".long 0x53053053\n"                                                                      \
		"73:\n\t"                                                                                 \
		"jmp %l[again]\n\t"                                                                       \
		".popsection\n"                                                                           \
		:                                                                                         \
		: [rseq] "r"(rseq), [ready] "m"(hotpath__ctl_v1.ctl.ready), [slot] "r"(slot), [v] operand(value) \
		: "rax", "xmm0", "cc", "memory"                                                           \
		: again, slow)
#define HOTPATH__RSEQ_ADD "addq %[v], -1(%%rax, %[slot])\n"
#define HOTPATH__RSEQ_ADD_OPERAND "er"
#ifdef __AVX__ /* no mixing of SSE and VEX encodings */
#define HOTPATH__RSEQ_SUM                         \
	"vmovsd -1(%%rax, %[slot]), %%xmm0\n\t"       \
	"vaddsd %[v], %%xmm0, %%xmm0\n\t"             \
	"vmovsd %%xmm0, -1(%%rax, %[slot])\n"
#else
#define HOTPATH__RSEQ_SUM                         \
	"movsd -1(%%rax, %[slot]), %%xmm0\n\t"        \
	"addsd %[v], %%xmm0\n\t"                      \
	"movsd %%xmm0, -1(%%rax, %[slot])\n"
#endif
#define HOTPATH__RSEQ_SUM_OPERAND "x"

#elif defined(HOTPATH__RSEQ)
#define HOTPATH__RSEQ_SECTION(operation, operand, value)                                          \
	__asm__ goto volatile(                                                                        \
		".pushsection __rseq_cs, \"aw?\"\n\t" /* ?: in the function's COMDAT group, if it has one */ \
		".balign 32\n"                                                                            \
		"77:\n\t"                                                                                 \
		".long 0, 0\n\t"                                                                          \
		".quad 71f, 72f - 71f, 73f\n\t"                                                           \
		".popsection\n\t"                                                                         \
		"adrp x16, 77b\n\t"                                                                       \
		"add x16, x16, :lo12:77b\n\t"                                                             \
		"stur x16, [%[rseq], #8-1]\n"                                                             \
		"71:\n\t"                                                                                 \
		"ldur w16, [%[rseq], #24-1]\n\t"                                                          \
		"ldr x17, %[ready]\n\t"                                                                   \
		"cmp x16, x17\n\t"                                                                        \
		"b.ge %l[slow]\n\t"                                                                       \
		"add x16, %[slot], x16, lsl #23\n\t"                                                      \
		operation                                                                                 \
		"72:\n\t"                                                                                 \
		HOTPATH__IF_UNLOADABLE("stur xzr, [%[rseq], #8-1]\n\t")                                   \
		".pushsection __rseq_failure, \"ax?\"\n\t"                                                \
		".inst 0xd428bc00\n" /* brk, the signature */                                             \
		"73:\n\t"                                                                                 \
		"b %l[again]\n\t"                                                                         \
		".popsection\n"                                                                           \
		:                                                                                         \
		: [rseq] "r"(rseq), [ready] "Q"(hotpath__ctl_v1.ctl.ready), [slot] "r"(slot), [v] operand(value) \
		: "x16", "x17", "d31", "cc", "memory"                                                     \
		: again, slow)
#define HOTPATH__RSEQ_ADD                         \
	"ldur x17, [x16, #-1]\n\t"                          \
	"add x17, x17, %[v]\n\t"                      \
	"stur x17, [x16, #-1]\n"
#define HOTPATH__RSEQ_ADD_OPERAND "r"
#define HOTPATH__RSEQ_SUM                         \
	"ldur d31, [x16, #-1]\n\t"                          \
	"fadd d31, d31, %d[v]\n\t"                    \
	"stur d31, [x16, #-1]\n"
#define HOTPATH__RSEQ_SUM_OPERAND "w"
#endif

#ifdef HOTPATH__RSEQ
/* The address of the calling thread's struct rseq plus 1, 0 if it has none. */
static inline uint64_t hotpath__rseq(void)
{
#if HOTPATH__UNLOADABLE
	uint64_t offset = __atomic_load_n(&hotpath__state_v1.rseq, __ATOMIC_RELAXED);
	char *rseq = (char *)__builtin_thread_pointer() + offset;
	int32_t cpu_id;

	if (hotpath__unlikely(offset == 0))
		return 0;
	memcpy(&cpu_id, rseq + 4, 4);
	return hotpath__unlikely(cpu_id < 0) ? 0 : (uint64_t)(uintptr_t)rseq + 1;
#else
	return hotpath__rseq_v1;
#endif
}

/* Both addresses are odd where there is one, so that one test tells that there are both. */
static inline int hotpath__ready(uint64_t rseq, uint64_t slot)
{
	return (rseq & slot) != 0;
}

#define HOTPATH__ADD(operation, operand, value, slow_call)                                        \
	for (;;) {                                                                                    \
		uint64_t rseq = hotpath__rseq();                                                          \
		if (hotpath__likely(hotpath__ready(rseq, slot))) {                                        \
			HOTPATH__RSEQ_SECTION(operation, operand, value);                                     \
			return;                                                                               \
		}                                                                                         \
	slow:                                                                                         \
		if (slow_call)                                                                            \
			return;                                                                               \
	again:;                                                                                       \
	}
#else
#define HOTPATH__ADD(operation, operand, value, slow_call) while (!(slow_call)) {}
#endif

static inline __attribute__((always_inline)) void hotpath__add(uint64_t slot, uint64_t n)
{
	HOTPATH__ADD(HOTPATH__RSEQ_ADD, HOTPATH__RSEQ_ADD_OPERAND, n, hotpath__slow_add_v1(slot, n))
}

static inline __attribute__((always_inline)) void hotpath__sum(uint64_t slot, double v)
{
	HOTPATH__ADD(HOTPATH__RSEQ_SUM, HOTPATH__RSEQ_SUM_OPERAND, v, hotpath__slow_sum_v1(slot, v))
}

static inline void hotpath_counter_add(hotpath_counter counter, uint64_t n)
{
	hotpath__add(counter.slot, n);
}

static inline void hotpath_updowncounter_add(hotpath_updowncounter counter, int64_t n)
{
	hotpath__add(counter.slot, (uint64_t)n);
}

static inline void hotpath_gauge_set(hotpath_gauge gauge, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	if (hotpath__unlikely(bits == UINT64_MAX)) /* means unset */
		bits = UINT64_MAX - 1;             /* a NaN as well */
	if (hotpath__likely(__atomic_load_n(&hotpath__ctl_v1.ctl.ready, __ATOMIC_RELAXED) > 0 && gauge.slot != 0))
		__atomic_store_n((uint64_t *)(uintptr_t)gauge.slot, bits, __ATOMIC_RELAXED);
	else
		hotpath__slow_set_v1(gauge.slot, bits);
}

/* The fractions of the largest doubles up to 2^(1/8) ... 2^(7/8), the bounds within an octave. The k-th lies in the
 * k-th eighth of [1, 2), so a value is in the bucket that its eighth is numbered for, or, from the bound on, in the next. */
static const uint64_t hotpath__octave[8] = {
	UINT64_C(0x172b83c7d517a), UINT64_C(0x306fe0a31b715), UINT64_C(0x4bfdad5362a27), UINT64_C(0x6a09e667f3bcc),
	UINT64_C(0x8ace5422aa0db), UINT64_C(0xae89f995ad3ad), UINT64_C(0xd5818dcfba487), UINT64_C(1) << 52
};

static inline void hotpath_histogram_record(hotpath_histogram histogram, double v)
{
	const uint64_t fraction = (UINT64_C(1) << 52) - 1;
	const uint64_t low = UINT64_C(993) << 52, high = UINT64_C(1057) << 52; /* bits of 2^-30, 2^34 */
	uint64_t bits, bucket;

	memcpy(&bits, &v, sizeof bits);
	if (hotpath__unlikely(bits - low - 1 >= high - low)) { /* not in (2^-30, 2^34]; by the bits, which -ffast-math keeps */
		if ((bits >= UINT64_C(0x7ff) << 52 && bits != UINT64_C(1) << 63) || histogram.slot == 0) {
			hotpath__refuse_v1();
			return;
		}
		if (bits << 1 == 0) {
			hotpath__add(histogram.slot + 8 * HOTPATH__HISTOGRAM_ZERO, 1);
			return;
		}
		hotpath__add(histogram.slot + 8 * HOTPATH__HISTOGRAM_CLAMPED, 1);
		bits = bits <= low ? low + 1 : high;
	} else if (hotpath__unlikely(histogram.slot == 0)) {
		hotpath__refuse_v1();
		return;
	}
	bits -= low + 1; /* a bound belongs to the bucket below it */
	bucket = (bits >> 49) + ((bits & fraction) >= hotpath__octave[bits >> 49 & 7]);
	hotpath__add(histogram.slot + 8 * (HOTPATH__HISTOGRAM_FIRST_BUCKET + bucket), 1);
	hotpath__sum(histogram.slot + 8 * HOTPATH__HISTOGRAM_SUM, v);
}

/* ---- Measurements with attributes of the call ------------------------------ */

/* Copy n bytes, as a rule a few, at an unknown length without a call. */
static inline __attribute__((always_inline)) void hotpath__copy(char *to, const char *from, uint64_t n)
{
	uint64_t i;

	if (__builtin_constant_p(n) || n > 64) {
		memcpy(to, from, (size_t)n);
		return;
	}
	__asm__("" : "+r"(from)); /* or compilers that know two texts warn of what only the other one's length would do */
	if (n >= 8) {
		for (i = 0; i < n - 8; i += 8)
			memcpy(to + i, from + i, 8);
		memcpy(to + n - 8, from + n - 8, 8);
	} else if (n >= 4) {
		memcpy(to, from, 4);
		memcpy(to + n - 4, from + n - 4, 4);
	} else if (n) {
		to[0] = from[0];
		to[n / 2] = from[n / 2];
		to[n - 1] = from[n - 1];
	}
}

struct hotpath__attribute { uint16_t key_len; uint8_t type, zero; uint32_t value_len; };

/* Append an attribute, and return the place behind it: NULL if it has no room before the end, or breaks the rules. Up to 8 bytes
 * behind it, and not beyond the end, are written too. */
static inline __attribute__((always_inline)) char *hotpath__append(char *to, const char *end, const hotpath_attr *attr)
{
	const uint64_t zeros = 0;
	uint64_t key_len = attr->key ? strlen(attr->key) : 0, len = 8;
	const char *text = NULL;
	struct hotpath__attribute head;

	if (hotpath__unlikely(key_len - 1 >= HOTPATH__MAX_KEY || attr->type < HOTPATH__TYPE_STRING || attr->type > HOTPATH__TYPE_BOOL))
		return NULL;
	if (attr->type == HOTPATH__TYPE_STRING) {
		text = attr->value.s ? attr->value.s : "";
		len = strlen(text);
		if (hotpath__unlikely(len > HOTPATH__MAX_STRING))
			len = hotpath__cut_v1(text);
	}
	if (hotpath__unlikely(sizeof head + key_len + len + sizeof zeros > (uint64_t)(end - to)))
		return NULL;
	head.key_len = (uint16_t)key_len;
	head.type = (uint8_t)attr->type;
	head.zero = 0;
	head.value_len = (uint32_t)len;
	memcpy(to, &head, sizeof head);
	hotpath__copy(to + sizeof head, attr->key, key_len);
	to += sizeof head + key_len;
	if (attr->type == HOTPATH__TYPE_STRING)
		hotpath__copy(to, text, len);
	else
		memcpy(to, &attr->value, 8);
	to += len;
	memcpy(to, &zeros, sizeof zeros);
	return to + (-(sizeof head + key_len + len) & 7);
}

extern int hotpath__clock_gettime(int clock, uint64_t *time) __asm__("clock_gettime"); /* without a system call, and hidden by strict -std=c11 */

struct hotpath__measurement { uint32_t slot; uint8_t kind, zero; uint16_t attributes; uint64_t value; };

/* Begin a measurement, and return the place of its first attribute. */
static inline __attribute__((always_inline)) char *hotpath__begin(uint64_t *words, int kind, uint64_t slot, uint64_t bits, size_t n_attrs)
{
	const struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__measurement head;

	head.slot = (uint32_t)((slot - (kind == HOTPATH__GAUGE ? s->first_gauge : s->first_word)) / 8);
	head.kind = (uint8_t)kind;
	head.zero = 0;
	head.attributes = (uint16_t)n_attrs;
	head.value = bits;
	memcpy(words, &head, sizeof head);
	if (kind == HOTPATH__GAUGE) {
		uint64_t time[2] = {0, 0};
		hotpath__clock_gettime(1 /* CLOCK_MONOTONIC */, time);
		words[HOTPATH__MEASUREMENT_TIME / 8] = time[0] * 1000000000 + time[1];
	}
	return (char *)words + HOTPATH__MEASUREMENT_HEADER_SIZE + (kind == HOTPATH__GAUGE ? 8 : 0);
}

/* A ring has one writer at a time as a stripe has. The section copies the words behind the head, two at a time, of which the last may be one too many, where the
 * trailer goes; with the trailer it computes the next number, and the store to the head commits. What was written by a section that is sent back to
 * the beginning lies behind the head and is nothing. */
#if defined(HOTPATH__RSEQ) && defined(__x86_64__)
#define HOTPATH__RSEQ_RINGS 1
#ifdef __AVX__
#define HOTPATH__MOVE "vmovups"
#else
#define HOTPATH__MOVE "movups"
#endif
#define HOTPATH__RSEQ_RECORD(words, n)                                                            \
	__asm__ goto volatile(                                                                        \
		".pushsection __rseq_cs, \"aw?\"\n\t"                                                     \
		".balign 32\n"                                                                            \
		"77:\n\t"                                                                                 \
		".long 0, 0\n\t"                                                                          \
		".quad 71f, 72f - 71f, 73f\n\t"                                                           \
		".popsection\n\t"                                                                         \
		"leaq 77b(%%rip), %%rax\n\t"                                                              \
		"movq %%rax, 8-1(%[rseq])\n" /* rseq_cs */                                                \
		"71:\n\t"                                                                                 \
		"movl 24-1(%[rseq]), %%eax\n\t" /* mm_cid */                                              \
		"cmpl $1024, %%eax\n\t" /* HOTPATH__RING_IDS */                                           \
		"jae %l[slow]\n\t"                                                                        \
		"movzwl (%[table], %%rax, 2), %%eax\n\t"                                                  \
		"testl %%eax, %%eax\n\t"                                                                  \
		"jz %l[slow]\n\t"                                                                         \
		"shlq $21, %%rax\n\t" /* HOTPATH__RING_SHIFT */                                           \
		"addq %[rings], %%rax\n\t"                                                                \
		"movq (%%rax), %%rdx\n\t" /* the head */                                                  \
		"leal -1(%%rdx), %%ecx\n\t"                                                               \
		"andl $0x1ffff, %%ecx\n\t" /* HOTPATH__RING_WORDS - 1 */                                  \
		"movq 4096(%%rax, %%rcx, 8), %%r9\n\t" /* the last trailer */                             \
		"andq $-0x10000, %%r9\n\t"                                                                \
		"leaq 0x10001(%%r9, %[n]), %%r9\n\t" /* the next one */                                   \
		"movl %%edx, %%ecx\n\t"                                                                   \
		"andl $0x1ffff, %%ecx\n\t"                                                                \
		"leaq (%%rcx, %[n]), %%r8\n\t"                                                            \
		"cmpq $0x20000, %%r8\n\t"                                                                 \
		"jb 75f\n\t"                                                                              \
		"xorl %%r8d, %%r8d\n" /* across the end, word by word */                                  \
		"74:\n\t"                                                                                 \
		"movq (%[src], %%r8, 8), %%r10\n\t"                                                       \
		"movq %%r10, 4096(%%rax, %%rcx, 8)\n\t"                                                   \
		"incl %%ecx\n\t"                                                                          \
		"andl $0x1ffff, %%ecx\n\t"                                                                \
		"incq %%r8\n\t"                                                                           \
		"cmpq %[n], %%r8\n\t"                                                                     \
		"jb 74b\n\t"                                                                              \
		"leaq 4096(%%rax, %%rcx, 8), %%r10\n\t"                                                   \
		"jmp 78f\n"                                                                               \
		"75:\n\t"                                                                                 \
		"leaq 4096(%%rax, %%rcx, 8), %%r10\n\t"                                                   \
		"xorl %%r8d, %%r8d\n"                                                                     \
		"76:\n\t"                                                                                 \
		HOTPATH__MOVE " (%[src], %%r8, 8), %%xmm0\n\t"                                            \
		HOTPATH__MOVE " %%xmm0, (%%r10, %%r8, 8)\n\t"                                             \
		"addq $2, %%r8\n\t"                                                                       \
		"cmpq %[n], %%r8\n\t"                                                                     \
		"jb 76b\n\t"                                                                              \
		"leaq (%%r10, %[n], 8), %%r10\n"                                                          \
		"78:\n\t"                                                                                 \
		"movq %%r9, (%%r10)\n\t"                                                                  \
		"leaq 1(%%rdx, %[n]), %%rcx\n\t"                                                          \
		"movq %%rcx, (%%rax)\n"                                                                   \
		"72:\n\t"                                                                                 \
		HOTPATH__IF_UNLOADABLE("movq $0, 8-1(%[rseq])\n\t")                                       \
		"xorq %%rdx, %%rcx\n\t"                                                                   \
		"shrq $15, %%rcx\n\t" /* a quarter of HOTPATH__RING_WORDS */                              \
		"jnz %l[wake]\n\t"                                                                        \
		".pushsection __rseq_failure, \"ax?\"\n\t"                                                \
		".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1, its operand the signature */                         \
		".long 0x53053053\n"                                                                      \
		"73:\n\t"                                                                                 \
		"jmp %l[again]\n\t"                                                                       \
		".popsection\n"                                                                           \
		:                                                                                         \
		: [rseq] "r"(rseq), [table] "r"(hotpath__ctl_v1.ctl.rings), [rings] "m"(hotpath__state_v1.rings), [src] "r"(words), [n] "r"(n) \
		: "rax", "rcx", "rdx", "r8", "r9", "r10", "xmm0", "cc", "memory"                          \
		: again, slow, wake)
#endif

/* Write a measurement of n words, the trailer not among them, into a ring. One word more can be read. */
static inline __attribute__((always_inline)) void hotpath__commit(uint64_t slot, const uint64_t *words, uint64_t n)
{
#ifdef HOTPATH__RSEQ_RINGS
	for (;;) {
		uint64_t rseq = hotpath__rseq();
		if (hotpath__likely(rseq != 0)) {
			HOTPATH__RSEQ_RECORD(words, n);
			return;
		}
	slow:
		if (hotpath__slow_with_v1(slot, words, n))
			return;
	again:;
	}
wake:
	hotpath__wake_v1();
#else
	while (!hotpath__slow_with_v1(slot, words, n))
		;
#endif
}

#define HOTPATH__INLINE_ATTRIBUTES 4
#define HOTPATH__INLINE_WORDS 48

/* Where the compiler knows how many attributes there are, and they are few, it also knows their types and mostly their keys. */
static inline __attribute__((always_inline)) void hotpath__with(int kind, uint64_t slot, uint64_t bits, const hotpath_attr *attrs, size_t n_attrs)
{
	uint64_t words[HOTPATH__INLINE_WORDS];
	const char *end = (const char *)(words + HOTPATH__INLINE_WORDS);
	char *at;

	if (!__builtin_constant_p(n_attrs) || n_attrs > HOTPATH__INLINE_ATTRIBUTES || hotpath__unlikely(slot == 0)) {
		hotpath__with_v1(kind, slot, bits, attrs, n_attrs);
		return;
	}
	at = hotpath__append(hotpath__begin(words, kind, slot, bits, n_attrs), end, attrs);
	if (n_attrs > 1 && at)
		at = hotpath__append(at, end, attrs + 1);
	if (n_attrs > 2 && at)
		at = hotpath__append(at, end, attrs + 2);
	if (n_attrs > 3 && at)
		at = hotpath__append(at, end, attrs + 3);
	if (hotpath__likely(at != NULL))
		hotpath__commit(slot, words, (uint64_t)(at - (char *)words) / 8);
	else
		hotpath__with_v1(kind, slot, bits, attrs, n_attrs);
}

static inline __attribute__((always_inline)) void hotpath_counter_add_with(hotpath_counter counter, uint64_t n, const hotpath_attr *attrs, size_t n_attrs)
{
	if (n_attrs == 0 || attrs == NULL)
		hotpath_counter_add(counter, n);
	else
		hotpath__with(HOTPATH__COUNTER, counter.slot, n, attrs, n_attrs);
}

static inline __attribute__((always_inline)) void hotpath_updowncounter_add_with(hotpath_updowncounter counter, int64_t n, const hotpath_attr *attrs, size_t n_attrs)
{
	if (n_attrs == 0 || attrs == NULL)
		hotpath_updowncounter_add(counter, n);
	else
		hotpath__with(HOTPATH__UPDOWNCOUNTER, counter.slot, (uint64_t)n, attrs, n_attrs);
}

static inline __attribute__((always_inline)) void hotpath_gauge_set_with(hotpath_gauge gauge, double v, const hotpath_attr *attrs, size_t n_attrs)
{
	uint64_t bits;

	if (n_attrs == 0 || attrs == NULL) {
		hotpath_gauge_set(gauge, v);
		return;
	}
	memcpy(&bits, &v, sizeof bits);
	hotpath__with(HOTPATH__GAUGE, gauge.slot, bits, attrs, n_attrs);
}

static inline __attribute__((always_inline)) void hotpath_histogram_record_with(hotpath_histogram histogram, double v, const hotpath_attr *attrs, size_t n_attrs)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	if (n_attrs == 0 || attrs == NULL)
		hotpath_histogram_record(histogram, v);
	else if (hotpath__unlikely(bits >= UINT64_C(0x7ff) << 52 && bits != UINT64_C(1) << 63))
		hotpath__refuse_v1();
	else
		hotpath__with(HOTPATH__HISTOGRAM, histogram.slot, bits, attrs, n_attrs);
}

/* ---- System calls -------------------------------------------------------- */

/* Made directly: errno stays as it was, nothing depends on feature macros, and all of it may run in a signal handler. */
static inline long hotpath__call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
#if defined(__x86_64__)
	long result;
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(result)
		: "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register uint64_t x0 __asm__("x0") = a;
	register uint64_t x1 __asm__("x1") = b;
	register uint64_t x2 __asm__("x2") = c;
	register uint64_t x3 __asm__("x3") = d;
	register uint64_t x4 __asm__("x4") = e;
	register uint64_t x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return (long)x0;
#else
#ifndef __cplusplus
	extern long syscall(long, ...);
#endif
	int saved = errno;
	long result = syscall(number, a, b, c, d, e, f);
	if (result < 0)
		result = -errno;
	errno = saved;
	return result;
#endif
}

#define hotpath__sys(number, a, b, c, d, e, f)                                        \
	hotpath__call((number), (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), \
		(uint64_t)(e), (uint64_t)(f))
#define hotpath__address(p) ((uint64_t)(uintptr_t)(p))

#ifndef __cplusplus
extern int sched_getcpu(void); /* hidden by strict -std=c11 */
#endif

#ifdef HOTPATH__RSEQ /* glibc 2.35; absent, and so at address zero, in other libraries */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
#endif

enum { /* linux/fcntl.h, linux/mman.h, linux/stat.h and others: the same numbers on x86-64 and arm64 but for O_DIRECTORY and O_NOFOLLOW */
	HOTPATH__AT_FDCWD = -100, HOTPATH__AT_EMPTY_PATH = 0x1000, HOTPATH__AT_SYMLINK_FOLLOW = 0x400,
#if defined(__aarch64__) || defined(__arm__) || defined(__powerpc__)
	HOTPATH__O_DIRECTORY = 040000, HOTPATH__O_NOFOLLOW = 0100000,
#else
	HOTPATH__O_DIRECTORY = 0200000, HOTPATH__O_NOFOLLOW = 0400000,
#endif
	HOTPATH__O_TMPFILE = 020000000 | HOTPATH__O_DIRECTORY, HOTPATH__O_RDWR = 2, HOTPATH__O_CLOEXEC = 02000000,
	HOTPATH__F_DUPFD_CLOEXEC = 1030, HOTPATH__F_GETFL = 3, HOTPATH__LOCK_EX_NB = 6, HOTPATH__RLIMIT_FSIZE = 1, HOTPATH__RLIMIT_NOFILE = 7,
	HOTPATH__O_WRONLY = 1, HOTPATH__O_NONBLOCK = 04000, HOTPATH__O_APPEND = 02000, HOTPATH__O_ASYNC = 020000, HOTPATH__O_DSYNC = 010000,
	HOTPATH__PROT_RW = 3, HOTPATH__MAP_SHARED = 1, HOTPATH__MAP_PRIVATE_ANONYMOUS = 0x22, HOTPATH__MAP_FIXED = 0x10,
	HOTPATH__MAP_NORESERVE = 0x4000, HOTPATH__MADV_DONTFORK = 10, HOTPATH__MADV_NOHUGEPAGE = 15,
	HOTPATH__MADV_WIPEONFORK = 18, HOTPATH__MADV_POPULATE_WRITE = 23,
	HOTPATH__MFD_CLOEXEC = 1, HOTPATH__MFD_ALLOW_SEALING = 2, HOTPATH__MFD_NOEXEC_SEAL = 8, HOTPATH__F_ADD_SEALS = 1033,
	HOTPATH__SEALS = 1 /* SEAL */ | 2 /* SHRINK */ | 4 /* GROW */ | 16 /* FUTURE_WRITE */,
	HOTPATH__PR_SET_NAME = 15, HOTPATH__PR_GET_NAME = 16, HOTPATH__COMM_SIZE = 16,
	HOTPATH__FUTEX_WAIT_PRIVATE = 128, HOTPATH__FUTEX_WAKE_PRIVATE = 129, HOTPATH__FUTEX_WAKE = 1,
	HOTPATH__PROT_READ = 1, HOTPATH__MADV_REMOVE = 9, HOTPATH__S_IFMT = 0170000, HOTPATH__S_IFREG = 0100000,
	HOTPATH__TMPFS_MAGIC = 0x01021994, HOTPATH__TRACEFS_MAGIC = 0x74726163
};

static inline int hotpath__failed(long result)
{
	return (unsigned long)result > -4096UL;
}

static inline char *hotpath__map(char *at, uint64_t size, int fd)
{
	long flags = (at ? HOTPATH__MAP_FIXED : 0) |
		(fd < 0 ? HOTPATH__MAP_PRIVATE_ANONYMOUS | HOTPATH__MAP_NORESERVE : HOTPATH__MAP_SHARED);
	long m = hotpath__sys(SYS_mmap, hotpath__address(at), size, 0 /* PROT_NONE */, flags, (int64_t)fd, 0);

	if (hotpath__failed(m))
		return NULL;
	if (fd >= 0) /* a few pages are used of each area */
		hotpath__sys(SYS_madvise, m, size, HOTPATH__MADV_NOHUGEPAGE, 0, 0, 0);
	return (char *)(uintptr_t)m;
}

static inline void hotpath__unmap(char *at, uint64_t size)
{
	hotpath__sys(SYS_munmap, hotpath__address(at), size, 0, 0, 0, 0);
}

/* Private memory, zeroed; NULL if there is none. */
static inline char *hotpath__allocate(uint64_t size)
{
	char *m = hotpath__map(NULL, size, -1);

	if (m && hotpath__sys(SYS_mprotect, hotpath__address(m), size, HOTPATH__PROT_RW, 0, 0, 0) != 0) {
		hotpath__unmap(m, size);
		m = NULL;
	}
	return m;
}

/* Signals are blocked while it is held, so that a handler that counts never waits for its own thread. */
static inline void hotpath__lock(struct hotpath__ctl *c, uint64_t *mask)
{
	uint64_t all = ~UINT64_C(0);
	uint32_t unlocked = 0;

	hotpath__sys(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, hotpath__address(&all), hotpath__address(mask), 8, 0, 0);
	if (__atomic_compare_exchange_n(&c->lock, &unlocked, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&c->lock, 2, __ATOMIC_ACQUIRE) != 0)
		hotpath__sys(SYS_futex, hotpath__address(&c->lock), HOTPATH__FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

static inline void hotpath__unlock(struct hotpath__ctl *c, uint64_t *mask)
{
	if (__atomic_exchange_n(&c->lock, 0, __ATOMIC_RELEASE) == 2)
		hotpath__sys(SYS_futex, hotpath__address(&c->lock), HOTPATH__FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	hotpath__sys(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, hotpath__address(mask), 0, 8, 0, 0);
}

/* ---- Geometry and memory -------------------------------------------------- */

#define HOTPATH__FIELD(base, offset) ((uint64_t *)(void *)((base) + (offset)))

static inline uint64_t hotpath__pad(uint64_t n)
{
	return (n + 7) & ~UINT64_C(7);
}

static inline uint64_t hotpath__shared_offset(const struct hotpath__state *s)
{
	return HOTPATH__AREA + s->catalogue_size;
}

static inline uint64_t hotpath__stripes_offset(const struct hotpath__state *s)
{
	return hotpath__shared_offset(s) + s->shared_size;
}

/* Whether updates are sent, and nobody looks at this memory. */
static inline int hotpath__updates(const struct hotpath__state *s)
{
	return s->transport == HOTPATH__W_EVENTS || s->transport == HOTPATH__W_URING;
}

/* Behind the stripes lies, where updates are sent, for each word the place in the catalogue of the record whose update an add
 * to this word completes; with io_uring, for a word that is a sum of doubles, with a bit that no place has. */
#define HOTPATH__INDEX_SUM (UINT64_C(1) << 63)

static inline uint64_t hotpath__index_offset(const struct hotpath__state *s)
{
	return hotpath__stripes_offset(s) + s->stripe_count * s->stripe_size;
}

/* Where they are not, the measurement rings. */
static inline uint64_t hotpath__rings_offset(const struct hotpath__state *s)
{
	return hotpath__index_offset(s);
}

/* And behind the index, with io_uring, what has changed (see hotpath__set_mark). */
static inline uint64_t hotpath__marks_offset(const struct hotpath__state *s)
{
	return hotpath__index_offset(s) + s->stripe_size;
}

static inline void hotpath__geometry(struct hotpath__state *s, int small_)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint64_t most = small_ ? HOTPATH__STRIPES_SMALL : HOTPATH__STRIPES_MAX;

	s->catalogue_size = small_ ? HOTPATH__CATALOGUE_SIZE_SMALL : HOTPATH__CATALOGUE_SIZE;
	s->shared_size = small_ ? HOTPATH__SHARED_SIZE_SMALL : HOTPATH__SHARED_SIZE;
	s->stripe_size = small_ ? (uint64_t)HOTPATH__STRIPE_SIZE_SMALL : UINT64_C(1) << HOTPATH__STRIPE_SHIFT;
	s->stripe_count = 1 + (cpus > 0 ? (uint64_t)cpus : 1);
	if (s->stripe_count > most)
		s->stripe_count = most;
	s->ring_count = !small_ && (s->transport == HOTPATH__W_SHM || s->transport == HOTPATH__W_MEMFD) ? s->stripe_count + HOTPATH__RINGS_SPARE : 0;
	s->total = hotpath__index_offset(s) + (hotpath__updates(s) ? s->stripe_size : 0) + (s->transport == HOTPATH__W_URING ? HOTPATH__MARKS_SIZE : 0) +
		(s->ring_count << HOTPATH__RING_SHIFT);
	s->small_ = (uint32_t)(small_ != 0);
}

/* Make [from, to) of an area usable, in whole pages: an error now, where the first store would be a SIGBUS. Most of
 * the mapping stays inaccessible, so that mlockall() neither allocates nor locks it. */
static inline long hotpath__reserve(const struct hotpath__state *s, char *area, uint64_t from, uint64_t to, int shared)
{
	long err;

	from &= ~(s->page - 1);
	to = (to + s->page - 1) & ~(s->page - 1);
	if (from >= to)
		return 0;
	err = hotpath__sys(SYS_mprotect, hotpath__address(area + from), to - from, HOTPATH__PROT_RW, 0, 0, 0);
	if (err == 0 && shared && !s->small_)
		err = hotpath__sys(SYS_madvise, hotpath__address(area + from), to - from, HOTPATH__MADV_POPULATE_WRITE, 0, 0, 0);
	return err;
}

static inline uint64_t hotpath__whole_pages(const struct hotpath__state *s, uint64_t bytes)
{
	return (bytes + s->page - 1) & ~(s->page - 1);
}

/* From here on, whatever is not reserved yet becomes private memory at the same addresses: what is
 * counted there is lost to readers, and the application never notices. */
static inline void hotpath__detach(struct hotpath__state *s)
{
	uint64_t used = *HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), i, from;
	char *area = s->base + HOTPATH__AREA;
	int done;

	from = hotpath__whole_pages(s, s->catalogue_reserved);
	done = from == s->catalogue_size || hotpath__map(area + from, s->catalogue_size - from, -1) != NULL;
	area = s->base + hotpath__shared_offset(s);
	from = hotpath__whole_pages(s, 8 * s->shared_reserved);
	done = done && (from == s->shared_size || hotpath__map(area + from, s->shared_size - from, -1) != NULL);
	from = hotpath__whole_pages(s, 8 * s->words_reserved);
	for (i = 0; i < used && done && from < s->stripe_size; i++) {
		area = s->base + hotpath__stripes_offset(s) + i * s->stripe_size;
		done = hotpath__map(area + from, s->stripe_size - from, -1) != NULL;
	}
	s->detached = 1;
	s->broken = (uint32_t)!done;
}

static inline long hotpath__reserve_catalogue(struct hotpath__state *s, uint64_t bytes)
{
	long err;

	if (bytes <= s->catalogue_reserved)
		return 0;
	err = hotpath__reserve(s, s->base + HOTPATH__AREA, s->catalogue_reserved, bytes, s->placed && !s->detached);
	if (err == 0)
		s->catalogue_reserved = hotpath__whole_pages(s, bytes);
	return err;
}

static inline long hotpath__reserve_shared(struct hotpath__state *s, uint64_t words)
{
	long err;

	if (words <= s->shared_reserved)
		return 0;
	err = hotpath__reserve(s, s->base + hotpath__shared_offset(s), 8 * s->shared_reserved, 8 * words,
		s->placed && !s->detached);
	if (err == 0)
		s->shared_reserved = hotpath__whole_pages(s, 8 * words) / 8;
	return err;
}

static inline long hotpath__reserve_words(struct hotpath__state *s, uint64_t words)
{
	uint64_t used = *HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), i;
	long err = 0;

	if (words <= s->words_reserved)
		return 0;
	for (i = 0; i < used && err == 0; i++)
		err = hotpath__reserve(s, s->base + hotpath__stripes_offset(s) + i * s->stripe_size, 8 * s->words_reserved,
			8 * words, s->placed && !s->detached);
	if (err == 0 && hotpath__updates(s))
		err = hotpath__reserve(s, s->base + hotpath__index_offset(s), 8 * s->words_reserved, 8 * words, 0);
	if (err == 0)
		s->words_reserved = hotpath__whole_pages(s, 8 * words) / 8;
	return err;
}

/* Make n stripes known to the fast path, 0 for none, and leave the kernel's bit alone. */
static inline void hotpath__set_ready(struct hotpath__ctl *c, uint64_t n)
{
	int64_t old = __atomic_load_n(&c->ready, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(&c->ready, &old, (old & INT64_MIN) | (int64_t)n, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Let the fast path in, unless somebody has to register first. Called with the lock held. */
static inline void hotpath__open_stripes(const struct hotpath__state *s, struct hotpath__ctl *c)
{
	if (!c->orphaned)
		hotpath__set_ready(c, *HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED) - 1);
}

/* Make stripes 1 to n usable. Called with the lock held. */
static inline int hotpath__grow(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t n)
{
	uint64_t *used = HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), i;
	int grown = 1;

	for (i = *used; i <= n && grown; i++) {
		grown = i < s->stripe_count && !s->detached &&
			hotpath__reserve(s, s->base + hotpath__stripes_offset(s) + i * s->stripe_size, 0, 8 * s->words_reserved, s->placed != 0) == 0;
		__atomic_store_n(used, i + (uint64_t)grown, __ATOMIC_RELEASE);
	}
	hotpath__open_stripes(s, c);
	if (!grown)
		__atomic_store_n(&c->full, 1, __ATOMIC_RELAXED);
	return grown;
}

#define HOTPATH__RING_USED (HOTPATH__RING_FIRST + 8 * HOTPATH__RING_WORDS) /* bytes; the rest is a hole */

static inline char *hotpath__ring_at(const struct hotpath__state *s, uint64_t i)
{
	return s->base + hotpath__rings_offset(s) + (i << HOTPATH__RING_SHIFT);
}

/* ---- The process as the kernel tells it ----------------------------------- */

static inline int64_t hotpath__read_file(const char *path, char *to, size_t size)
{
	long fd = hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(path), HOTPATH__O_CLOEXEC, 0, 0, 0), n;

	if (hotpath__failed(fd))
		return -1;
	n = hotpath__sys(SYS_read, fd, hotpath__address(to), size - 1, 0, 0, 0);
	hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n < 0)
		return -1;
	to[n] = 0;
	return n;
}

struct hotpath__statx { /* linux/stat.h */
	uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, pad; uint64_t ino, size, blocks,
	attributes_mask, times[8]; uint32_t rdev_major, rdev_minor, dev_major, dev_minor; uint64_t spare[14];
};

static inline int hotpath__stat(int fd, const char *path, struct hotpath__statx *st)
{
	return hotpath__sys(SYS_statx, fd, hotpath__address(path), *path ? 0 : HOTPATH__AT_EMPTY_PATH, 0x7ff, hotpath__address(st), 0) == 0;
}

static inline char *hotpath__decimal(char *to, uint64_t n)
{
	char digits[20];
	int i = 0;

	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i)
		*to++ = digits[--i];
	return to;
}

static inline char *hotpath__hexadecimal(char *to, uint64_t n, int digits)
{
	while (digits--)
		*to++ = "0123456789abcdef"[n >> 4 * digits & 15];
	return to;
}

static inline uint64_t hotpath__fnv(uint64_t hash, const char *bytes, uint64_t n)
{
	while (n--)
		hash = (hash ^ (unsigned char)*bytes++) * UINT64_C(0x100000001b3);
	return hash;
}

static inline uint64_t hotpath__finish(uint64_t h)
{
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static inline uint64_t hotpath__now(void)
{
	uint64_t t[2] = {0, 0};

	hotpath__sys(SYS_clock_gettime, 0 /* CLOCK_REALTIME */, hotpath__address(t), 0, 0, 0, 0);
	return t[0] * 1000000000 + t[1];
}

static inline uint64_t hotpath__random(void)
{
	uint64_t r = 0;

	if (hotpath__sys(SYS_getrandom, hotpath__address(&r), sizeof r, 1 /* GRND_NONBLOCK */, 0, 0, 0) != sizeof r)
		r = hotpath__finish(hotpath__now() ^ hotpath__address(&r) ^
			(uint64_t)hotpath__sys(SYS_gettid, 0, 0, 0, 0, 0, 0) << 32);
	return r;
}

static inline void hotpath__instance(uint64_t instance[2], uint64_t pid)
{
	char *text = hotpath__scratch_v1.text, *stat = hotpath__scratch_v1.stat, *at = text, *field;
	struct hotpath__statx ns, exe;
	int64_t n = hotpath__read_file("/proc/sys/kernel/random/boot_id", text, 64);
	int i;

	if (n > 0 && hotpath__read_file("/proc/self/stat", stat, sizeof hotpath__scratch_v1.stat) > 0 && (field = strrchr(stat, ')')) != NULL &&
		hotpath__stat(HOTPATH__AT_FDCWD, "/proc/self/ns/pid", &ns) && hotpath__stat(HOTPATH__AT_FDCWD, "/proc/self/exe", &exe)) {
		for (at += n; at > text && at[-1] == '\n'; at--)
			;
		*at++ = ' ';
		at = hotpath__decimal(at, ns.ino);
		*at++ = ' ';
		at = hotpath__decimal(at, pid);
		*at++ = ' ';
		for (i = 2; i < 22 && *field; field++)
			i += *field == ' ';
		while (*field >= '0' && *field <= '9')
			*at++ = *field++;
		*at++ = ' ';
		at = hotpath__decimal(at, (exe.dev_minor & 0xff) | (uint64_t)exe.dev_major << 8 | (uint64_t)(exe.dev_minor & ~0xffU) << 12);
		*at++ = ' ';
		at = hotpath__decimal(at, exe.ino);
		instance[0] = hotpath__finish(hotpath__fnv(UINT64_C(0xcbf29ce484222325), text, (uint64_t)(at - text)));
		instance[1] = hotpath__finish(hotpath__fnv(UINT64_C(0x9ae16a3b2f90404f), text, (uint64_t)(at - text)));
	} else {
		instance[0] = hotpath__random();
		instance[1] = hotpath__random();
	}
}

/* ---- Catalogue ------------------------------------------------------------ */

/* The length of the well-formed UTF-8 sequence at text, 0 if there is none. */
static inline unsigned hotpath__sequence(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;
	unsigned n = t[0] < 0x80 ? 1 : t[0] >= 0xc2 && t[0] <= 0xdf ? 2 : t[0] >= 0xe0 && t[0] <= 0xef ? 3 :
		t[0] >= 0xf0 && t[0] <= 0xf4 ? 4 : 0, i;

	for (i = 1; i < n; i++)
		if ((t[i] & 0xc0) != 0x80)
			return 0;
	if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) || (t[0] == 0xf0 && t[1] < 0x90) ||
		(t[0] == 0xf4 && t[1] > 0x8f))
		return 0;
	return n;
}

/* Copy text, at most `most` bytes of it; bytes that are not UTF-8 become U+FFFD. */
static inline uint64_t hotpath__text(char *to, const char *text, uint64_t most)
{
	uint64_t n = 0;

	while (*text) {
		unsigned len = hotpath__sequence(text), out = len ? len : 3;
		if (n + out > most)
			break;
		memcpy(to + n, len ? text : "\xef\xbf\xbd", out);
		n += out;
		text += len ? len : 1;
	}
	return n;
}

static inline uint64_t hotpath__length(const char *text, uint64_t most) /* most + 1 if it is longer */
{
	uint64_t n = 0;

	while (n <= most && text[n])
		n++;
	return n;
}

static inline int hotpath__key_ok(const char *key, uint64_t len)
{
	uint64_t i = 0;
	unsigned n;

	if (len == 0 || len > HOTPATH__MAX_KEY)
		return 0;
	for (; i < len; i += n)
		if ((n = hotpath__sequence(key + i)) == 0)
			return 0;
	return 1;
}

/* Insert by key; a repeated key keeps its last value. */
static inline int hotpath__pair_add(struct hotpath__identity *id, struct hotpath__pair pair)
{
	uint32_t i = id->n_pairs;

	while (i > 0) {
		const struct hotpath__pair *before = &id->pairs[i - 1];
		uint64_t shorter = before->key_len < pair.key_len ? before->key_len : pair.key_len;
		int order = memcmp(before->key, pair.key, (size_t)shorter);
		if (order == 0)
			order = before->key_len < pair.key_len ? -1 : before->key_len > pair.key_len;
		if (order == 0) {
			id->pairs[i - 1] = pair;
			return 1;
		}
		if (order < 0)
			break;
		i--;
	}
	if (id->n_pairs == HOTPATH__MAX_ATTRIBUTES)
		return 0;
	memmove(&id->pairs[i + 1], &id->pairs[i], (id->n_pairs - i) * sizeof pair);
	id->pairs[i] = pair;
	id->n_pairs++;
	return 1;
}

static inline uint64_t hotpath__text_bound(const char *text, uint64_t most)
{
	uint64_t n = 3 * hotpath__length(text, most);

	return n < most ? n : most;
}

static inline uint64_t hotpath__record_bound(const struct hotpath__identity *id)
{
	uint64_t n = HOTPATH__RECORD_HEADER_SIZE +
		hotpath__pad(id->name_len + id->unit_len + hotpath__text_bound(id->description, HOTPATH__MAX_DESCRIPTION));
	uint32_t i;

	for (i = 0; i < id->n_pairs; i++)
		n += hotpath__pad(HOTPATH__ATTRIBUTE_HEADER_SIZE + id->pairs[i].key_len +
			(id->pairs[i].type == HOTPATH__TYPE_STRING ? hotpath__text_bound(id->pairs[i].string, HOTPATH__MAX_STRING) : 8));
	return n;
}

static inline uint32_t hotpath__get(const char *record, int offset, size_t size)
{
	uint32_t v32;
	uint16_t v16;

	if (size == 2) {
		memcpy(&v16, record + offset, 2);
		return v16;
	}
	memcpy(&v32, record + offset, 4);
	return v32;
}

static inline void hotpath__put(char *record, int offset, uint32_t v, size_t size)
{
	uint16_t v16 = (uint16_t)v;

	if (size == 2)
		memcpy(record + offset, &v16, 2);
	else
		memcpy(record + offset, &v, 4);
}

static inline uint64_t hotpath__zero_pad(char *record, uint64_t n)
{
	while (n % 8)
		record[n++] = 0;
	return n;
}

static inline uint64_t hotpath__record(char *to, const struct hotpath__identity *id)
{
	uint64_t n = HOTPATH__RECORD_HEADER_SIZE, description;
	uint32_t i;

	memset(to, 0, HOTPATH__RECORD_HEADER_SIZE);
	memcpy(to + n, id->name, (size_t)id->name_len);
	n += id->name_len;
	memcpy(to + n, id->unit, (size_t)id->unit_len);
	n += id->unit_len;
	description = hotpath__text(to + n, id->description, HOTPATH__MAX_DESCRIPTION);
	n = hotpath__zero_pad(to, n + description);
	for (i = 0; i < id->n_pairs; i++) {
		const struct hotpath__pair *p = &id->pairs[i];
		char *attribute = to + n;
		uint64_t len = 8;

		memset(attribute, 0, HOTPATH__ATTRIBUTE_HEADER_SIZE);
		hotpath__put(attribute, HOTPATH__ATTRIBUTE_KEY_LEN, (uint32_t)p->key_len, 2);
		attribute[HOTPATH__ATTRIBUTE_TYPE] = (char)p->type;
		n += HOTPATH__ATTRIBUTE_HEADER_SIZE;
		memcpy(to + n, p->key, (size_t)p->key_len);
		n += p->key_len;
		if (p->type == HOTPATH__TYPE_STRING)
			len = hotpath__text(to + n, p->string, HOTPATH__MAX_STRING);
		else
			memcpy(to + n, &p->bits, 8);
		hotpath__put(attribute, HOTPATH__ATTRIBUTE_VALUE_LEN, (uint32_t)len, 4);
		n = hotpath__zero_pad(to, n + len);
	}
	hotpath__put(to, HOTPATH__RECORD_SIZE, (uint32_t)n, 4);
	to[HOTPATH__RECORD_KIND] = (char)id->kind;
	to[HOTPATH__RECORD_FLAGS] = (char)(id->overflow ? HOTPATH__FLAG_OVERFLOW : 0);
	hotpath__put(to, HOTPATH__RECORD_ATTRIBUTES, id->n_pairs, 2);
	hotpath__put(to, HOTPATH__RECORD_NAME_LEN, (uint32_t)id->name_len, 2);
	hotpath__put(to, HOTPATH__RECORD_UNIT_LEN, (uint32_t)id->unit_len, 2);
	hotpath__put(to, HOTPATH__RECORD_DESCRIPTION_LEN, (uint32_t)description, 4);
	return n;
}

static inline uint64_t hotpath__name_unit_len(const char *record)
{
	return (uint64_t)hotpath__get(record, HOTPATH__RECORD_NAME_LEN, 2) + hotpath__get(record, HOTPATH__RECORD_UNIT_LEN, 2);
}

static inline uint64_t hotpath__attributes_offset(const char *record)
{
	return HOTPATH__RECORD_HEADER_SIZE + hotpath__pad(hotpath__name_unit_len(record) +
		hotpath__get(record, HOTPATH__RECORD_DESCRIPTION_LEN, 4));
}

static inline int hotpath__same_instrument(const char *a, const char *b)
{
	return a[HOTPATH__RECORD_KIND] == b[HOTPATH__RECORD_KIND] &&
		hotpath__get(a, HOTPATH__RECORD_NAME_LEN, 2) == hotpath__get(b, HOTPATH__RECORD_NAME_LEN, 2) &&
		hotpath__get(a, HOTPATH__RECORD_UNIT_LEN, 2) == hotpath__get(b, HOTPATH__RECORD_UNIT_LEN, 2) &&
		memcmp(a + HOTPATH__RECORD_HEADER_SIZE, b + HOTPATH__RECORD_HEADER_SIZE, (size_t)hotpath__name_unit_len(a)) == 0;
}

static inline int hotpath__same_series(const char *a, const char *b)
{
	uint64_t at = hotpath__attributes_offset(a), bt = hotpath__attributes_offset(b);
	uint64_t n = hotpath__get(a, HOTPATH__RECORD_SIZE, 4) - at;

	return hotpath__same_instrument(a, b) && hotpath__get(b, HOTPATH__RECORD_SIZE, 4) - bt == n &&
		memcmp(a + at, b + bt, (size_t)n) == 0;
}

static inline int hotpath__same_name(const char *a, const char *b)
{
	uint32_t n = hotpath__get(a, HOTPATH__RECORD_NAME_LEN, 2);

	return hotpath__get(b, HOTPATH__RECORD_NAME_LEN, 2) == n &&
		memcmp(a + HOTPATH__RECORD_HEADER_SIZE, b + HOTPATH__RECORD_HEADER_SIZE, n) == 0;
}

/* The place of an equal record, or the empty place where it belongs. A fork between the filling of a place
 * and the end of the record leaves a place that points at or past the end: it equals nothing. */
static inline uint32_t *hotpath__find(const struct hotpath__state *s, uint32_t *table, uint64_t hash, const char *record,
	int (*same)(const char *, const char *))
{
	uint64_t i = hotpath__finish(hash);

	for (;; i++) {
		uint32_t *place = &table[i % HOTPATH__TABLE];
		if (*place == 0 || (*place < s->catalogue_end && same(record, s->base + HOTPATH__AREA + *place)))
			return place;
	}
}

static inline void hotpath__problem(struct hotpath__state *s, const char *what, const char *name)
{
	s->problems++;
	snprintf(s->problem, sizeof s->problem, "%s: %.80s", what, name ? name : "(null)");
}

/* Note, where updates are sent, which words complete an update of the series: a histogram's sum, to which is added last,
 * and its zeros. Nothing for one that is too long, or that has no words in the stripes. */
static inline void hotpath__index(const struct hotpath__state *s, const char *record, uint64_t at)
{
	int histogram = record[HOTPATH__RECORD_KIND] == HOTPATH__HISTOGRAM;
	uint64_t slot;
	char *index;

	if (s->transport == HOTPATH__W_URING && record[HOTPATH__RECORD_KIND] == HOTPATH__GAUGE)
		return;
	memcpy(&slot, record + HOTPATH__RECORD_SLOT, 8);
	index = s->base + hotpath__index_offset(s) + 8 * slot;
	__atomic_store_n(HOTPATH__FIELD(index, 0), s->transport == HOTPATH__W_URING && histogram ? at | HOTPATH__INDEX_SUM : at, __ATOMIC_RELEASE);
	if (histogram)
		__atomic_store_n(HOTPATH__FIELD(index, 8 * HOTPATH__HISTOGRAM_ZERO), at, __ATOMIC_RELEASE);
}

/* What stands before a record. */
static inline uint64_t hotpath__number_size(const struct hotpath__state *s)
{
	return s->transport == HOTPATH__W_EVENTS ? HOTPATH__NUMBER_SIZE : 0;
}

static inline uint64_t hotpath__event_size(const struct hotpath__state *s, const char *record)
{
	return HOTPATH__EVENT_HEADER_SIZE + hotpath__get(record, HOTPATH__RECORD_SIZE, 4) +
		hotpath__get(s->base + HOTPATH__AREA, HOTPATH__RECORD_SIZE, 4) +
		(record[HOTPATH__RECORD_KIND] == HOTPATH__HISTOGRAM ? 8 * HOTPATH__EVENT_MAX_BUCKETS : 0);
}

/* Whether updates of the series can be sent. */
static inline int hotpath__sendable(const struct hotpath__state *s, const char *record)
{
	return s->transport != HOTPATH__W_EVENTS || hotpath__event_size(s, record) <= HOTPATH__EVENT_MAX_SIZE;
}

/* In a child: no update has been sent, and the index is empty. */
static inline void hotpath__renumber(const struct hotpath__state *s)
{
	char *catalogue = s->base + HOTPATH__AREA;
	uint64_t at = hotpath__get(catalogue, HOTPATH__RECORD_SIZE, 4);

	while (at < s->catalogue_end) {
		char *record = catalogue + at + hotpath__number_size(s);
		memset(catalogue + at, 0, (size_t)hotpath__number_size(s));
		at += hotpath__number_size(s);
		hotpath__index(s, record, hotpath__sendable(s, record) ? at : 0);
		at += hotpath__get(record, HOTPATH__RECORD_SIZE, 4);
	}
}

static inline uint64_t hotpath__series(struct hotpath__state *s, struct hotpath__identity *id);

/* The overflow series of the instrument or, where those have run out, the last resort: one for each kind. */
static inline uint64_t hotpath__fold(struct hotpath__state *s, struct hotpath__identity *id)
{
	static const char *const last[] = {"hotpath.overflow.counter", "hotpath.overflow.updowncounter",
		"hotpath.overflow.gauge", "hotpath.overflow.histogram"};
	static const char key[] = "otel.metric.overflow";
	struct hotpath__pair mark = {key, NULL, sizeof key - 1, 1, HOTPATH__TYPE_BOOL};

	if (id->overflow == 0) {
		__atomic_fetch_add(HOTPATH__FIELD(s->base, HOTPATH__OFF_FOLDED), 1, __ATOMIC_RELAXED);
	} else {
		id->name = last[id->kind - HOTPATH__COUNTER];
		id->name_len = strlen(id->name);
		id->unit = "";
		id->unit_len = 0;
	}
	id->description = "";
	id->n_pairs = 0;
	hotpath__pair_add(id, mark);
	id->overflow++;
	return hotpath__series(s, id);
}

/* What a handle holds. */
static inline uint64_t hotpath__slot(const struct hotpath__state *s, int kind, uint64_t word)
{
	if (kind == HOTPATH__GAUGE) /* where updates are sent, its word is one of stripe 0 */
		return hotpath__address(s->base) + 8 * word + (s->transport == HOTPATH__W_EVENTS ? hotpath__stripes_offset(s) : hotpath__shared_offset(s));
	return hotpath__address(s->base) + 8 * word + hotpath__stripes_offset(s) + s->stripe_size + 1;
}

/* Room for a further series. Ordinary ones leave enough for all overflow series. */
static inline int hotpath__room(const struct hotpath__state *s, const struct hotpath__identity *id, uint64_t bound, uint64_t words)
{
	uint64_t overflows = s->small_ ? HOTPATH__OVERFLOWS_SMALL : HOTPATH__OVERFLOWS, spare = 0;

	if (id->overflow == 0)
		spare = overflows + 4;
	else if (id->overflow == 1)
		spare = 4;
	if (id->overflow == 0 && s->series >= HOTPATH_SERIES_LIMIT)
		return 0;
	if (id->overflow == 1 && s->overflows >= overflows)
		return 0;
	return s->catalogue_end + HOTPATH__NUMBER_SIZE + bound + spare * HOTPATH__OVERFLOW_RECORD <= s->catalogue_size &&
		s->next_word + words + 8 + spare * HOTPATH__HISTOGRAM_WORDS <= s->stripe_size / 8 &&
		s->next_shared + 1 + spare <= s->shared_size / 8;
}

/* Reserve, with private memory where the shared kind has run out. */
static inline int hotpath__make_room(struct hotpath__state *s, long (*reserve)(struct hotpath__state *, uint64_t), uint64_t to)
{
	if (reserve(s, to) == 0)
		return 1;
	hotpath__detach(s);
	return !s->broken && reserve(s, to) == 0;
}

static inline uint64_t hotpath__series(struct hotpath__state *s, struct hotpath__identity *id)
{
	uint64_t bound = hotpath__record_bound(id), words = id->kind == HOTPATH__HISTOGRAM ? HOTPATH__HISTOGRAM_WORDS : 1;
	uint64_t slot, size, hash, at = s->catalogue_end;
	uint32_t *by_identity, *by_name;
	char *record = hotpath__scratch_v1.record;

	size = hotpath__record(record, id);
	hash = hotpath__fnv((uint64_t)id->kind, id->name, id->name_len);
	by_name = hotpath__find(s, s->names, hotpath__fnv(0, id->name, id->name_len), record, hotpath__same_name);
	if (*by_name && !hotpath__same_instrument(record, s->base + HOTPATH__AREA + *by_name)) {
		hotpath__problem(s, "this name has another kind or unit already", id->name);
		return 0;
	}
	hash = hotpath__fnv(hash, record + hotpath__attributes_offset(record), size - hotpath__attributes_offset(record));
	by_identity = hotpath__find(s, s->records, hash, record, hotpath__same_series);
	if (*by_identity) {
		memcpy(&slot, s->base + HOTPATH__AREA + *by_identity + HOTPATH__RECORD_SLOT, 8);
		return hotpath__slot(s, id->kind, slot);
	}
	if (s->broken)
		return 0;
	if (!hotpath__room(s, id, bound, words))
		return id->overflow < 2 ? hotpath__fold(s, id) : 0;

	if (!hotpath__sendable(s, record)) {
		id->description = "";
		size = hotpath__record(record, id);
	}
	at += hotpath__number_size(s);
	if (!hotpath__make_room(s, hotpath__reserve_catalogue, at + size))
		return 0;
	if (id->kind == HOTPATH__GAUGE && s->transport != HOTPATH__W_EVENTS) {
		slot = s->next_shared++;
		if (!hotpath__make_room(s, hotpath__reserve_shared, s->next_shared))
			return 0;
		__atomic_store_n(HOTPATH__FIELD(s->base, hotpath__shared_offset(s) + 8 * slot), UINT64_MAX, __ATOMIC_RELAXED);
	} else {
		slot = words == 1 ? s->next_word : hotpath__pad(s->next_word);
		s->next_word = slot + words;
		if (!hotpath__make_room(s, hotpath__reserve_words, s->next_word))
			return 0;
	}
	memcpy(record + HOTPATH__RECORD_SLOT, &slot, 8);
	memcpy(s->base + HOTPATH__AREA + at, record, (size_t)size);
	if (id->overflow)
		s->overflows++;
	else
		s->series++;
	*by_identity = (uint32_t)at;
	if (*by_name == 0)
		*by_name = (uint32_t)at;
	if (s->detached)
		__atomic_fetch_add(HOTPATH__FIELD(s->base, HOTPATH__OFF_UNPLACED), 1, __ATOMIC_RELAXED);
	else
		__atomic_store_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_CATALOGUE_USED), at + size, __ATOMIC_RELEASE);
	if (hotpath__updates(s))
		hotpath__index(s, record, hotpath__sendable(s, record) ? at : 0);
	s->oversized += (uint32_t)!hotpath__sendable(s, record);
	s->catalogue_end = at + size;
	return hotpath__slot(s, id->kind, slot);
}

/* ---- Resource -------------------------------------------------------------- */

static inline int hotpath__hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static inline int hotpath__blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Drop surrounding blanks and decode %XX in place; NULL if that is malformed. */
static inline char *hotpath__decode(char *text, char *end)
{
	char *to, *from;

	while (text < end && hotpath__blank(*text))
		text++;
	while (end > text && hotpath__blank(end[-1]))
		end--;
	for (to = from = text; from < end; from++, to++) {
		*to = *from;
		if (*from == '%') {
			int high = end - from > 2 ? hotpath__hex(from[1]) : -1, low = end - from > 2 ? hotpath__hex(from[2]) : -1;
			if (high < 0 || low < 0 || high + low == 0)
				return NULL;
			*to = (char)(high << 4 | low);
			from += 2;
		}
	}
	*to = 0;
	return text;
}

static inline int hotpath__resource_list(struct hotpath__identity *id, char *list)
{
	int items = 0;

	while (*list) {
		char *end = list + strcspn(list, ","), *equals = (char *)memchr(list, '=', (size_t)(end - list));
		char *next = *end ? end + 1 : end;
		struct hotpath__pair pair = {NULL, NULL, 0, 0, HOTPATH__TYPE_STRING};

		while (list < end && hotpath__blank(*list))
			list++;
		if (list < end) {
			/* service.name and process.executable.name have to have room. */
			if (equals == NULL || ++items > HOTPATH__MAX_ATTRIBUTES - 2)
				return 0;
			pair.string = hotpath__decode(equals + 1, end);
			pair.key = hotpath__decode(list, equals);
			if (pair.key == NULL || pair.string == NULL)
				return 0;
			pair.key_len = hotpath__length(pair.key, HOTPATH__MAX_KEY);
			if (!hotpath__key_ok(pair.key, pair.key_len))
				return 0;
			if (*pair.string || strcmp(pair.key, "service.name") != 0)
				hotpath__pair_add(id, pair);
		}
		list = next;
	}
	return 1;
}

static inline void hotpath__resource(struct hotpath__state *s, char *record)
{
	static const char service_name[] = "service.name", executable_name[] = "process.executable.name";
	struct hotpath__scratch *scratch = &hotpath__scratch_v1;
	struct hotpath__identity *id = &scratch->id;
	struct hotpath__pair pair = {service_name, NULL, sizeof service_name - 1, 0, HOTPATH__TYPE_STRING};
	const char *list = getenv("OTEL_RESOURCE_ATTRIBUTES"), *service = getenv("OTEL_SERVICE_NAME");
	char *executable = scratch->executable, *copy = NULL;
	uint64_t size;
	long n;

	n = hotpath__sys(SYS_readlinkat, HOTPATH__AT_FDCWD, hotpath__address("/proc/self/exe"), hotpath__address(executable),
		sizeof scratch->executable - 1, 0, 0);
	executable[n > 0 ? n : 0] = 0;
	if (strrchr(executable, '/'))
		executable = strrchr(executable, '/') + 1;
	if (strlen(executable) > 10 && strcmp(executable + strlen(executable) - 10, " (deleted)") == 0)
		executable[strlen(executable) - 10] = 0;
	snprintf(scratch->unknown, sizeof scratch->unknown, *executable ? "unknown_service:%.255s" : "unknown_service", executable);

	memset(id, 0, sizeof *id);
	id->name = id->unit = id->description = "";
	id->kind = HOTPATH__RESOURCE;
	pair.string = scratch->unknown;
	hotpath__pair_add(id, pair);
	if (list && *list) {
		scratch->without_list = *id;
		copy = hotpath__allocate(strlen(list) + 1);
		if (copy == NULL || !hotpath__resource_list(id, strcpy(copy, list))) {
			*id = scratch->without_list;
			hotpath__problem(s, "OTEL_RESOURCE_ATTRIBUTES is not a list of key=value and was left out", list);
		}
	}
	if (service && *service) {
		pair.string = service;
		hotpath__pair_add(id, pair);
	}
	if (*executable) {
		pair.key = executable_name;
		pair.key_len = sizeof executable_name - 1;
		pair.string = executable;
		hotpath__pair_add(id, pair);
	}
	size = hotpath__record_bound(id);
	s->catalogue_end = size <= s->catalogue_size / 2 && hotpath__reserve(s, record, 0, size, s->placed != 0) == 0 ?
		hotpath__record(record, id) : 0;
	if (copy)
		hotpath__unmap(copy, strlen(list) + 1);
}

/* ---- The segment's life ----------------------------------------------------- */

static inline void hotpath__refuse_to_publish(struct hotpath__state *s, enum hotpath__where where, long err)
{
	s->where = where;
	s->error = (uint32_t)-err;
}

/* Open the directory, making it if it can only be missing because nobody came before. */
static inline long hotpath__open_directory(struct hotpath__state *s)
{
	uint64_t fs[15];
	char parent[sizeof s->path];
	long flags = HOTPATH__O_DIRECTORY | HOTPATH__O_NOFOLLOW | HOTPATH__O_CLOEXEC, fd;

	if (strlen(s->path) == sizeof s->path - 1)
		return -ENAMETOOLONG;
	fd = hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(s->path), flags, 0, 0, 0);
	if (fd != -ENOENT)
		return fd;
	memcpy(parent, s->path, sizeof parent);
	if (strrchr(parent, '/') == NULL || strrchr(parent, '/') == parent)
		return fd;
	*strrchr(parent, '/') = 0;
	if (hotpath__sys(SYS_statfs, hotpath__address(parent), hotpath__address(fs), 0, 0, 0, 0) != 0 || fs[0] != HOTPATH__TMPFS_MAGIC)
		return fd;
	if (hotpath__sys(SYS_mkdirat, HOTPATH__AT_FDCWD, hotpath__address(s->path), 01777, 0, 0, 0) == 0) {
		fd = hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(s->path), flags, 0, 0, 0);
		if (fd >= 0)
			hotpath__sys(SYS_fchmod, fd, 01777, 0, 0, 0, 0);
		return fd;
	}
	return hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(s->path), flags, 0, 0, 0);
}

/* Litter stays bounded where no collector runs: nothing more goes into a tmpfs that is three quarters full, or
 * into a directory with many entries. */
static inline int hotpath__directory_has_room(struct hotpath__state *s, int dir)
{
	uint64_t fs[15], *entries = hotpath__scratch_v1.entries; /* struct statfs; struct linux_dirent64 ... */
	long n, count = 0;

	if (hotpath__sys(SYS_fstatfs, dir, hotpath__address(fs), 0, 0, 0, 0) != 0 ||
		(fs[0] == HOTPATH__TMPFS_MAGIC ? fs[4] < fs[2] / 4 : fs[4] * fs[1] < 64 << 20)) {
		hotpath__refuse_to_publish(s, HOTPATH__W_FULL, 0);
		return 0;
	}
	while ((n = hotpath__sys(SYS_getdents64, dir, hotpath__address(entries), sizeof hotpath__scratch_v1.entries, 0, 0, 0)) > 0) {
		char *entry = (char *)entries;
		while (entry < (char *)entries + n) {
			uint16_t size;
			memcpy(&size, entry + 16, 2); /* d_reclen */
			entry += size;
			count++;
		}
		if (count > HOTPATH__DIR_ENTRIES) {
			hotpath__refuse_to_publish(s, HOTPATH__W_CROWDED, 0);
			return 0;
		}
	}
	return 1;
}

/* ftruncate past RLIMIT_FSIZE would be a deadly SIGXFSZ. */
static inline int hotpath__may_have_size(struct hotpath__state *s)
{
	uint64_t limit[2] = {~UINT64_C(0), 0};

	hotpath__sys(SYS_prlimit64, 0, HOTPATH__RLIMIT_FSIZE, 0, hotpath__address(limit), 0, 0);
	if (limit[0] >= s->total)
		return 1;
	hotpath__refuse_to_publish(s, HOTPATH__W_LIMIT, 0);
	return 0;
}

/* Give a new file its final size, and lock it. */
static inline long hotpath__size(const struct hotpath__state *s, long fd)
{
	long err = hotpath__sys(SYS_ftruncate, fd, s->total, 0, 0, 0, 0);

	if (err == 0 && s->small_)
		err = hotpath__sys(SYS_fallocate, fd, 0, 0, s->total, 0, 0);
	if (err == 0)
		err = hotpath__sys(SYS_flock, fd, HOTPATH__LOCK_EX_NB, 0, 0, 0, 0);
	return err;
}

/* A nameless file of the final size, locked. */
static inline long hotpath__new_file(struct hotpath__state *s, int dir)
{
	struct hotpath__statx st;
	long fd, high, err;

	if (!hotpath__may_have_size(s))
		return -1;
	fd = hotpath__sys(SYS_openat, dir, hotpath__address("."), HOTPATH__O_TMPFILE | HOTPATH__O_RDWR | HOTPATH__O_CLOEXEC, 0600, 0, 0);
	if (fd >= 0 && fd < 3) { /* not where another thread's printf may go */
		high = hotpath__sys(SYS_fcntl, fd, HOTPATH__F_DUPFD_CLOEXEC, 3, 0, 0, 0);
		hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
		fd = high;
	}
	if (fd < 0) {
		hotpath__refuse_to_publish(s, HOTPATH__W_FILE, fd);
		return fd;
	}
	err = hotpath__sys(SYS_fchmod, fd, hotpath__stat(dir, "", &st) && (st.mode & 02000) ? 0640 : 0600, 0, 0, 0, 0);
	if (err == 0)
		err = hotpath__size(s, fd);
	if (err == 0)
		return fd;
	hotpath__refuse_to_publish(s, s->small_ ? HOTPATH__W_RESERVE : HOTPATH__W_FILE, err);
	hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
	return -1;
}

/* Name the file after the process and the segment. */
static inline long hotpath__link(struct hotpath__state *s, long fd, long dir, uint64_t id)
{
	char proc[40] = "/proc/self/fd/", *end = hotpath__decimal(s->name, (uint64_t)hotpath__sys(SYS_getpid, 0, 0, 0, 0, 0, 0));
	long err;

	*end++ = '-';
	*hotpath__hexadecimal(end, id, 16) = 0;
	err = hotpath__sys(SYS_linkat, fd, hotpath__address(""), dir, hotpath__address(s->name), HOTPATH__AT_EMPTY_PATH, 0);
	if (err == 0 || err == -EEXIST) /* without the privilege: ENOENT */
		return err;
	*hotpath__decimal(proc + 14, (uint64_t)fd) = 0;
	return hotpath__sys(SYS_linkat, HOTPATH__AT_FDCWD, hotpath__address(proc), dir, hotpath__address(s->name), HOTPATH__AT_SYMLINK_FOLLOW, 0);
}

/* What is in use of a new mapping: header, catalogue, shared area and stripe 0. */
static inline long hotpath__reserve_used(const struct hotpath__state *s, char *m, uint64_t catalogue, int shared)
{
	long err = hotpath__reserve(s, m, 0, HOTPATH__HEADER_SIZE, shared);

	if (err == 0)
		err = hotpath__reserve(s, m + HOTPATH__AREA, 0, catalogue, shared);
	if (err == 0)
		err = hotpath__reserve(s, m + hotpath__shared_offset(s), 0, 8 * s->next_shared, shared);
	if (err == 0)
		err = hotpath__reserve(s, m + hotpath__stripes_offset(s), 0, 8 * s->next_word, shared);
	if (err == 0 && hotpath__updates(s))
		err = hotpath__reserve(s, m + hotpath__index_offset(s), 0, 8 * s->next_word, 0);
	if (err == 0 && s->transport == HOTPATH__W_URING)
		err = hotpath__reserve(s, m + hotpath__marks_offset(s), 0, HOTPATH__MARKS_SIZE, 0);
	return err;
}

/* Header, catalogue, and the first pages of the shared area and of stripe 0, in a new mapping. The catalogue is
 * the one given (a child's: every handle stays valid), or begins with the resource. */
static inline long hotpath__fill(struct hotpath__state *s, char *m, const char *catalogue, int shared, uint64_t id)
{
	uint64_t i, pid = (uint64_t)hotpath__sys(SYS_getpid, 0, 0, 0, 0, 0, 0), instance[2];
	uint32_t version[2] = {HOTPATH__MAJOR, HOTPATH__MINOR};
	long err = hotpath__reserve_used(s, m, catalogue ? s->catalogue_end : 1, shared);

	s->placed = (uint32_t)shared;
	s->detached = 0;
	if (err != 0)
		return err;
	if (catalogue)
		memcpy(m + HOTPATH__AREA, catalogue, (size_t)s->catalogue_end);
	else
		hotpath__resource(s, m + HOTPATH__AREA);
	if (s->catalogue_end == 0)
		return -ENOSPC;
	s->catalogue_reserved = hotpath__whole_pages(s, s->catalogue_end);
	s->shared_reserved = hotpath__whole_pages(s, 8 * s->next_shared) / 8;
	s->words_reserved = hotpath__whole_pages(s, 8 * s->next_word) / 8;
	for (i = 0; i < s->next_shared; i++)
		*HOTPATH__FIELD(m, hotpath__shared_offset(s) + 8 * i) = UINT64_MAX;

	*HOTPATH__FIELD(m, HOTPATH__OFF_STRIPES_USED) = 1;
	if (!shared && !hotpath__updates(s))
		return 0;
	hotpath__instance(instance, pid);
	memcpy(m + HOTPATH__OFF_MAGIC, "HOTPATH\n", 8);
	memcpy(m + HOTPATH__OFF_MAJOR, version, sizeof version);
	*HOTPATH__FIELD(m, HOTPATH__OFF_HEADER_SIZE) = HOTPATH__HEADER_SIZE;
	*HOTPATH__FIELD(m, HOTPATH__OFF_FILE_SIZE) = s->total;
	*HOTPATH__FIELD(m, HOTPATH__OFF_START_TIME) = hotpath__now();
	*HOTPATH__FIELD(m, HOTPATH__OFF_PID) = pid;
	memcpy(m + HOTPATH__OFF_INSTANCE, instance, sizeof instance);
	*HOTPATH__FIELD(m, HOTPATH__OFF_SEGMENT_ID) = id;
	*HOTPATH__FIELD(m, HOTPATH__OFF_CATALOGUE_OFFSET) = HOTPATH__AREA;
	*HOTPATH__FIELD(m, HOTPATH__OFF_CATALOGUE_SIZE) = s->catalogue_size;
	*HOTPATH__FIELD(m, HOTPATH__OFF_SHARED_OFFSET) = hotpath__shared_offset(s);
	*HOTPATH__FIELD(m, HOTPATH__OFF_SHARED_SIZE) = s->shared_size;
	*HOTPATH__FIELD(m, HOTPATH__OFF_STRIPES_OFFSET) = hotpath__stripes_offset(s);
	*HOTPATH__FIELD(m, HOTPATH__OFF_STRIPE_SIZE) = s->stripe_size;
	*HOTPATH__FIELD(m, HOTPATH__OFF_STRIPE_COUNT) = s->stripe_count;
	if (s->ring_count) {
		*HOTPATH__FIELD(m, HOTPATH__OFF_RINGS_OFFSET) = hotpath__rings_offset(s);
		*HOTPATH__FIELD(m, HOTPATH__OFF_RING_SIZE) = UINT64_C(1) << HOTPATH__RING_SHIFT;
		*HOTPATH__FIELD(m, HOTPATH__OFF_RING_WORDS) = HOTPATH__RING_WORDS;
		*HOTPATH__FIELD(m, HOTPATH__OFF_RING_COUNT) = s->ring_count;
	}
	*HOTPATH__FIELD(m, HOTPATH__OFF_CATALOGUE_USED) = s->catalogue_end;
	return 0;
}

/* Stripes and rings that were in use before a fork stay accessible after it: the fork may have come, from a signal handler, between
 * the choice of a stripe and an atomic add to it, or while a locked ring was written. */
static inline void hotpath__note_used(struct hotpath__state *s)
{
	uint64_t used = *HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), rings = *HOTPATH__FIELD(s->base, HOTPATH__OFF_RINGS_USED);

	if (s->accessible < used)
		s->accessible = used;
	if (s->accessible_rings < rings)
		s->accessible_rings = rings;
}

static inline long hotpath__keep_accessible(const struct hotpath__state *s)
{
	uint64_t i;
	long err = 0;

	for (i = 1; i < s->accessible && err == 0; i++)
		err = hotpath__reserve(s, s->base + hotpath__stripes_offset(s) + i * s->stripe_size, 0, 8 * s->words_reserved, 0);
	for (i = 0; i < s->accessible_rings && err == 0; i++)
		err = hotpath__reserve(s, hotpath__ring_at(s, i), 0, HOTPATH__RING_USED, 0);
	return err;
}

/* Map a child's segment, which is filled, to where the handles point. */
static inline long hotpath__inherit(struct hotpath__state *s, int fd)
{
	long err;

	hotpath__note_used(s);
	err = hotpath__map(s->base, s->total, fd) ? 0 : -ENOMEM;
	if (err == 0)
		err = hotpath__reserve_used(s, s->base, s->catalogue_end, 1);
	return err ? err : hotpath__keep_accessible(s);
}

/* Make a segment of a new file: with a name in a directory or, without one (-1), sealed. The mapping goes to s->base, or becomes it. */
static inline int hotpath__publish_in(struct hotpath__state *s, long fd, long dir)
{
	uint64_t id = hotpath__random();
	char *m = hotpath__map(NULL, s->total, (int)fd);
	int published = 0;
	long err;

	if (m == NULL)
		hotpath__refuse_to_publish(s, HOTPATH__W_MAP, -ENOMEM);
	else if ((err = hotpath__fill(s, m, s->base ? s->base + HOTPATH__AREA : NULL, 1, id)) != 0)
		hotpath__refuse_to_publish(s, dir < 0 ? HOTPATH__W_MEMFD_RESERVE : HOTPATH__W_RESERVE, err);
	else if (s->base && hotpath__inherit(s, (int)fd) != 0)
		hotpath__refuse_to_publish(s, HOTPATH__W_MAP, -ENOMEM);
	else if (dir >= 0 && (err = hotpath__link(s, fd, dir, id)) != 0)
		hotpath__refuse_to_publish(s, HOTPATH__W_LINK, err);
	else if (dir < 0 && (err = hotpath__sys(SYS_fcntl, fd, HOTPATH__F_ADD_SEALS, HOTPATH__SEALS, 0, 0, 0)) != 0)
		hotpath__refuse_to_publish(s, HOTPATH__W_SEAL, err);
	else
		published = 1;
	if (published && s->base == NULL)
		s->base = m;
	else if (m)
		hotpath__unmap(m, s->total);
	return published;
}

static inline int hotpath__publish_file(struct hotpath__state *s)
{
	long dir, fd;
	int published = 0;

	if (*s->path != '/') { /* a daemon changes its working directory, and no collector knows it */
		hotpath__refuse_to_publish(s, HOTPATH__W_RELATIVE, 0);
		return 0;
	}
	dir = hotpath__open_directory(s);
	if (dir < 0) {
		hotpath__refuse_to_publish(s, HOTPATH__W_DIRECTORY, dir);
		return 0;
	}
	fd = hotpath__directory_has_room(s, (int)dir) ? hotpath__new_file(s, (int)dir) : -1;
	if (fd >= 0) {
		published = hotpath__publish_in(s, fd, dir);
		hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0); /* the mapping keeps the lock */
	}
	hotpath__sys(SYS_close, dir, 0, 0, 0, 0, 0);
	return published;
}

/* Move a descriptor to a number that a program's own files seldom reach. -EBADF if another thread closed it meanwhile, and maybe
 * got the number for a file of its own: that file is left alone. ours() takes a descriptor plus 1. */
static inline long hotpath__lift(long fd, int (*ours)(uint64_t))
{
	uint64_t limit[2] = {HOTPATH__HIGH, 0};
	long high;

	hotpath__sys(SYS_prlimit64, 0, HOTPATH__RLIMIT_NOFILE, 0, hotpath__address(limit), 0, 0);
	if (limit[0] > HOTPATH__HIGH)
		limit[0] = HOTPATH__HIGH;
	high = hotpath__sys(SYS_fcntl, fd, HOTPATH__F_DUPFD_CLOEXEC, limit[0] >= 64 ? limit[0] - 16 : 3, 0, 0, 0);
	if (high < 0 && fd >= 3)
		high = fd;
	else if (ours((uint64_t)fd + 1))
		hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
	if (high < 0 || ours((uint64_t)high + 1))
		return high;
	hotpath__sys(SYS_close, high, 0, 0, 0, 0, 0);
	return -EBADF;
}

static inline uint64_t hotpath__device(const struct hotpath__statx *st)
{
	return (uint64_t)st->dev_major << 32 | st->dev_minor;
}

/* The application may have closed our memfd, and got the number for a file of its own. */
static inline int hotpath__our_memfd(uint64_t file)
{
	const struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__statx st;

	return hotpath__stat((int)file - 1, "", &st) && st.ino == s->memfd_inode && hotpath__device(&st) == s->memfd_device;
}

/* Close our memfd, or our copy of a parent's: its lock is the mapping's alone then. */
static inline void hotpath__close_memfd(struct hotpath__state *s)
{
	if (s->memfd && hotpath__our_memfd(s->memfd))
		hotpath__sys(SYS_close, s->memfd - 1, 0, 0, 0, 0, 0);
	s->memfd = 0;
}

/* A memfd of the final size, locked, which becomes s->memfd. */
static inline int hotpath__new_memfd(struct hotpath__state *s)
{
	static const char name[] = "hotpath";
	long flags = HOTPATH__MFD_CLOEXEC | HOTPATH__MFD_ALLOW_SEALING, fd = -EBADF, err;
	struct hotpath__statx st;
	int tries;

	if (!hotpath__may_have_size(s))
		return 0;
	for (tries = 0; tries < 100 && fd == -EBADF; tries++) { /* as another thread may close it at any moment */
		fd = hotpath__sys(SYS_memfd_create, hotpath__address(name), flags | HOTPATH__MFD_NOEXEC_SEAL, 0, 0, 0, 0);
		if (fd == -EINVAL) /* before Linux 6.3 */
			fd = hotpath__sys(SYS_memfd_create, hotpath__address(name), flags, 0, 0, 0, 0);
		if (fd < 0)
			break;
		if (!hotpath__stat((int)fd, "", &st)) {
			hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
			fd = -ENOSYS;
			break;
		}
		s->memfd_inode = st.ino;
		s->memfd_device = hotpath__device(&st);
		fd = hotpath__lift(fd, hotpath__our_memfd);
	}
	if (fd < 0) {
		hotpath__refuse_to_publish(s, HOTPATH__W_MEMFD_FILE, fd);
		return 0;
	}
	s->memfd = (uint64_t)fd + 1;
	err = hotpath__size(s, fd);
	if (err == 0)
		return 1;
	hotpath__refuse_to_publish(s, s->small_ ? HOTPATH__W_MEMFD_RESERVE : HOTPATH__W_MEMFD_FILE, err);
	hotpath__close_memfd(s);
	return 0;
}

/* Tell a collector that hears of renamed threads where the mapping is. */
static inline void hotpath__announce(const struct hotpath__state *s)
{
	char name[HOTPATH__COMM_SIZE] = "hp@", own[HOTPATH__COMM_SIZE];

	*hotpath__hexadecimal(name + 3, hotpath__address(s->base), 12) = 0;
	if (hotpath__sys(SYS_prctl, HOTPATH__PR_GET_NAME, hotpath__address(own), 0, 0, 0, 0) == 0 &&
		hotpath__sys(SYS_prctl, HOTPATH__PR_SET_NAME, hotpath__address(name), 0, 0, 0, 0) == 0)
		hotpath__sys(SYS_prctl, HOTPATH__PR_SET_NAME, hotpath__address(own), 0, 0, 0, 0);
}

static inline int hotpath__publish_memfd(struct hotpath__state *s)
{
	if (!hotpath__new_memfd(s))
		return 0;
	if (!hotpath__publish_in(s, (long)s->memfd - 1, -1)) {
		hotpath__close_memfd(s);
		return 0;
	}
	hotpath__announce(s);
	return 1;
}

/* Make a segment that a collector finds: a file in the directory or, where that cannot be, or by choice, a memfd. */
static inline int hotpath__publish(struct hotpath__state *s)
{
	hotpath__close_memfd(s);
	s->no_shm = HOTPATH__W_NOWHERE;
	if (s->transport == HOTPATH__W_SHM) {
		if (hotpath__publish_file(s))
			return 1;
		if (s->where == HOTPATH__W_LIMIT || s->where == HOTPATH__W_MAP) /* the same for a memfd */
			return 0;
		s->no_shm = s->where;
		s->no_shm_error = s->error;
		s->where = HOTPATH__W_MEMFD;
	}
	return s->where == HOTPATH__W_MEMFD && hotpath__publish_memfd(s);
}

/* Count in private memory: at a new place, or over the mapping inherited from a parent, keeping its catalogue. */
static inline int hotpath__privatise(struct hotpath__state *s)
{
	char *copy = NULL, *m;
	uint64_t size = hotpath__whole_pages(s, s->catalogue_end);

	if (s->base) {
		hotpath__note_used(s);
		copy = hotpath__allocate(size);
		if (copy == NULL)
			return 0;
		memcpy(copy, s->base + HOTPATH__AREA, (size_t)s->catalogue_end);
	}
	m = hotpath__map(s->base, s->total, -1);
	if (m == NULL && s->base == NULL) {
		hotpath__geometry(s, 1);
		m = hotpath__map(NULL, s->total, -1);
	}
	if (m == NULL || hotpath__fill(s, m, copy, 0, hotpath__random()) != 0)
		return 0;
	s->base = m;
	if (copy && hotpath__updates(s))
		hotpath__renumber(s);
	if (copy)
		hotpath__unmap(copy, size);
	return hotpath__keep_accessible(s) == 0;
}

/* ---- user_events (linux/user_events.h) --------------------------------------- */

struct hotpath__reg   { uint32_t size; uint8_t bit, width; uint16_t flags; uint64_t enable, declaration; uint32_t index; };
struct hotpath__unreg { uint32_t size; uint8_t bit, zero[3]; uint64_t enable; };

enum {
	HOTPATH__REG = (int)0xc0082a00, HOTPATH__UNREG = 0x40082a02, HOTPATH__REG_SIZE = 28, HOTPATH__ENABLE_BIT = 63,
	/* Flags that mean nothing to this file, and that no other is opened with: they tell whether a descriptor is still ours. */
	HOTPATH__MARK = HOTPATH__O_WRONLY | HOTPATH__O_NONBLOCK | HOTPATH__O_APPEND | HOTPATH__O_ASYNC | HOTPATH__O_DSYNC
};

/* The application may have closed our descriptor, and got the number for a file of its own. */
static inline int hotpath__ours(uint64_t file)
{
	long flags = hotpath__sys(SYS_fcntl, (int64_t)(uint32_t)file - 1, HOTPATH__F_GETFL, 0, 0, 0, 0);

	return !hotpath__failed(flags) && (flags & (HOTPATH__MARK | 3 /* O_ACCMODE */)) == HOTPATH__MARK;
}

static inline long hotpath__open_events(struct hotpath__state *s)
{
	static const char mount[] = "/sys/kernel/tracing", file[] = "/sys/kernel/tracing/user_events_data",
		old[] = "/sys/kernel/debug/tracing/user_events_data";
	long flags = HOTPATH__O_CLOEXEC | (long)HOTPATH__MARK, fd;
	uint64_t fs[15] = {0};

	fd = hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(file), flags, 0, 0, 0);
	if (fd == -ENOENT) {
		fd = hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(old), flags, 0, 0, 0);
		if (fd < 0)
			fd = -ENOENT;
	}
	if (fd >= 0)
		fd = hotpath__lift(fd, hotpath__ours);
	if (fd >= 0)
		return fd;
	if (fd == -ENOENT) {
		hotpath__sys(SYS_statfs, hotpath__address(mount), hotpath__address(fs), 0, 0, 0, 0);
		hotpath__refuse_to_publish(s, fs[0] == HOTPATH__TRACEFS_MAGIC ? HOTPATH__W_UNSUPPORTED : HOTPATH__W_TRACEFS, 0);
	} else {
		hotpath__refuse_to_publish(s, fd == -EACCES || fd == -EPERM ? HOTPATH__W_DENIED : HOTPATH__W_OPEN, fd);
	}
	return fd;
}

static inline void hotpath__unregister(long fd, const struct hotpath__ctl *c)
{
	struct hotpath__unreg unreg = {sizeof unreg, HOTPATH__ENABLE_BIT, {0, 0, 0}, hotpath__address(&c->ready)};

	hotpath__sys(SYS_ioctl, fd, HOTPATH__UNREG, hotpath__address(&unreg), 0, 0, 0);
}

/* Have the kernel keep our bit, for this process, from this thread on: it notes the bit for a thread and those it starts
 * later. In a child, or when the descriptor was closed, it may be noted already. Called with the lock held, which
 * whoever counts meanwhile waits for: the fast path is shut until the caller opens it. */
static inline void hotpath__register(struct hotpath__state *s, struct hotpath__ctl *c)
{
	static const char declaration[] = HOTPATH__EVENT_DECLARATION;
	struct hotpath__reg reg = {HOTPATH__REG_SIZE, HOTPATH__ENABLE_BIT, sizeof c->ready, 0, hotpath__address(&c->ready),
		hotpath__address(declaration), 0};
	long fd = hotpath__ours(s->file) ? (long)(uint32_t)s->file - 1 : -EBADF, err;
	int tries;

	hotpath__set_ready(c, 0);
	__atomic_store_n(&c->orphaned, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->file, 0, __ATOMIC_RELAXED);
	for (tries = 0; tries < 100; tries++) { /* as another thread may close the descriptor at any moment */
		if (fd < 0)
			fd = hotpath__open_events(s);
		if (fd == -EBADF)
			continue;
		if (fd < 0)
			return;
		hotpath__unregister(fd, c);
		err = hotpath__sys(SYS_ioctl, fd, (uint32_t)HOTPATH__REG, hotpath__address(&reg), 0, 0, 0);
		if (err == 0) {
			s->where = HOTPATH__W_EVENTS;
			s->registered = 1;
			__atomic_store_n(&s->file, (uint64_t)reg.index << 32 | (uint64_t)(fd + 1), __ATOMIC_RELAXED);
			return;
		}
		hotpath__refuse_to_publish(s, err == -EADDRINUSE ? HOTPATH__W_DECLARED : HOTPATH__W_REGISTER, err);
		if (hotpath__ours((uint64_t)fd + 1)) {
			hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
			return;
		}
		fd = -EBADF;
	}
}

/* Whether the thread that holds the lock has registered meanwhile. */
static inline int hotpath__registered(struct hotpath__state *s)
{
	int registered = s->registered != 0;

	s->registered = 0;
	return registered;
}

/* After a registration, without the lock: see to it that the end of this thread does not end it. In a signal handler, in which
 * as a rule a signal is blocked, nothing may be allocated, as keys beyond the first 32 might. */
static inline void hotpath__watch(struct hotpath__state *s, int registered, int in_handler)
{
	if (registered && s->watching && (!in_handler || s->key < 32))
		pthread_setspecific(s->key, s);
}

/* The thread that registered ends: whoever counts next takes the slow path, and registers anew. Or one ends that may have updates to tell. */
HOTPATH__COLD void hotpath__orphan_v1(void *unused)
{
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	uint64_t mask;

	(void)unused;
	if (hotpath__state_v1.transport == HOTPATH__W_URING) {
		hotpath__flush_v1(HOTPATH__H_BATCH);
		return;
	}
	hotpath__lock(c, &mask);
	if (c->started) {
		__atomic_store_n(&c->orphaned, 1, __ATOMIC_RELAXED);
		hotpath__set_ready(c, 0);
	}
	hotpath__unlock(c, &mask);
}

/* The words of a series in stripe i. */
static inline uint64_t *hotpath__words(const struct hotpath__state *s, uint64_t slot, uint64_t i)
{
	return HOTPATH__FIELD(s->base, hotpath__stripes_offset(s) + i * s->stripe_size + 8 * slot);
}

static inline uint64_t hotpath__total(const struct hotpath__state *s, uint64_t slot, uint64_t stripes)
{
	uint64_t total = 0, i;

	for (i = 0; i < stripes; i++)
		total += __atomic_load_n(hotpath__words(s, slot, i), __ATOMIC_SEQ_CST);
	return total;
}

/* The same of doubles, whose bits they are. */
static inline uint64_t hotpath__total_sum(const struct hotpath__state *s, uint64_t slot, uint64_t stripes)
{
	double sum = 0, part;
	uint64_t bits, i;

	for (i = 0; i < stripes; i++) {
		bits = __atomic_load_n(hotpath__words(s, slot, i), __ATOMIC_SEQ_CST);
		memcpy(&part, &bits, 8);
		sum += part;
	}
	memcpy(&bits, &sum, 8);
	return bits;
}

struct hotpath__part { const void *bytes; uint64_t size; }; /* struct iovec */

/* ---- io_uring (linux/io_uring.h) ---------------------------------------------- */

struct hotpath__sqe {
	uint8_t opcode, flags; uint16_t ioprio; int32_t fd; uint64_t off, addr; uint32_t len, op_flags; uint64_t user_data, unused[3];
};
struct hotpath__cqe { uint64_t user_data; int32_t res; uint32_t flags; };
struct hotpath__ring_params {
	uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, unused[3];
	struct { uint32_t head, tail, mask, entries, flags, dropped, array, unused; uint64_t address; } sq;
	struct { uint32_t head, tail, mask, entries, overflow, cqes, flags, unused; uint64_t address; } cq;
};
struct hotpath__msghdr { void *name; uint64_t name_size; const struct hotpath__part *parts; uint64_t n; void *control; uint64_t control_size; int flags; };

enum {
	HOTPATH__IO_URING_SETUP = 425, HOTPATH__IO_URING_ENTER = 426, HOTPATH__IO_URING_REGISTER = 427, /* on every machine */
	HOTPATH__SETUP_SQPOLL = 2, HOTPATH__SETUP_CQSIZE = 8, HOTPATH__SETUP_SUBMIT_ALL = 128, HOTPATH__REGISTER_PROBE = 8, HOTPATH__REGISTER_SEND_MSG_RING = 31,
	HOTPATH__OFF_SQES = 0x10000000, HOTPATH__ENTER_SQ_WAKEUP = 2, HOTPATH__SQ_NEED_WAKEUP = 1, HOTPATH__SQ_CQ_OVERFLOW = 2,
	HOTPATH__OP_MSG_RING = 40, HOTPATH__CQE_SKIP_SUCCESS = 64, HOTPATH__PROBE_OPS = 64,
	HOTPATH__SENDING = 64, HOTPATH__SENDING_SQPOLL = 1024, /* entries of the sending ring */
	HOTPATH__ALONE = 4, /* more messages than this are faster by a ring */
	HOTPATH__SQPOLL_IDLE = 20, /* ms without messages after which the kernel's thread sleeps */
	HOTPATH__AF_UNIX = 1, HOTPATH__SOCK_STREAM = 1, HOTPATH__SOL_SOCKET = 1, HOTPATH__SO_PEERCRED = 17, HOTPATH__POLLIN = 1, HOTPATH__POLLOUT = 4,
	HOTPATH__MSG_DONTWAIT = 0x40, HOTPATH__MSG_NOSIGNAL = 0x4000, HOTPATH__PR_SET_PTRACER = 0x59616d61,
	HOTPATH__CLOCK_MONOTONIC = 1, HOTPATH__CLOCK_MONOTONIC_COARSE = 6,
	HOTPATH__MILLISECOND = 1000000,
	HOTPATH__LOOK = 10 * HOTPATH__MILLISECOND,      /* the socket and the descriptors are looked at this often */
	HOTPATH__PATIENCE = 250 * HOTPATH__MILLISECOND,
	HOTPATH__PAUSE = HOTPATH__MILLISECOND / 2,
	HOTPATH__RETRY = 1000 * HOTPATH__MILLISECOND,
	HOTPATH__SERIES_SIZE = 65536 /* bytes of records in a message, if there are several */
};

static inline uint64_t hotpath__clock(const struct hotpath__uring *u)
{
	uint64_t t[2] = {0, 0};

	hotpath__clock_gettime((int)u->clock, t);
	return t[0] * 1000000000 + t[1];
}

static inline void hotpath__pause(uint64_t nanoseconds)
{
	uint64_t t[2] = {0, nanoseconds};

	hotpath__sys(SYS_nanosleep, hotpath__address(t), 0, 0, 0, 0, 0);
}

/* The application may have closed a descriptor, and got the number for a file of its own. Rings have inodes of their own since Linux 5.12. */
static inline int hotpath__still(const struct hotpath__descriptor *d, uint64_t file)
{
	struct hotpath__statx st;

	return hotpath__stat((int)file - 1, "", &st) && st.ino == d->inode && hotpath__device(&st) == d->device;
}

static inline int hotpath__our_lifted(uint64_t file)
{
	return hotpath__still(&hotpath__state_v1.uring.lifted, file);
}

/* Note what a new descriptor is, and move it out of the way. */
static inline long hotpath__keep(struct hotpath__uring *u, struct hotpath__descriptor *d, long fd)
{
	struct hotpath__statx st;

	if (fd < 0)
		return fd;
	if (!hotpath__stat((int)fd, "", &st)) {
		hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
		return -ENOSYS;
	}
	u->lifted.inode = st.ino;
	u->lifted.device = hotpath__device(&st);
	fd = hotpath__lift(fd, hotpath__our_lifted);
	if (fd < 0)
		return fd;
	*d = u->lifted;
	d->fd = (uint64_t)fd + 1;
	return 0;
}

static inline void hotpath__let_go(struct hotpath__descriptor *d)
{
	if (d->fd && hotpath__still(d, d->fd))
		hotpath__sys(SYS_close, d->fd - 1, 0, 0, 0, 0, 0);
	d->fd = 0;
}

/* ---- Marks */

/* A bit for each word of the shared area, then of a stripe, that has changed; behind them one for each 64 bits that are not all
 * zero, and one for each 64 of those. */
static inline void hotpath__place_marks(struct hotpath__state *s)
{
	uint64_t bytes = (s->shared_size + s->stripe_size) / 64, offset = hotpath__marks_offset(s);
	int level;

	for (level = 0; level < 3; level++) {
		s->uring.marks[level] = HOTPATH__FIELD(s->base, offset);
		offset += hotpath__pad(bytes);
		bytes /= 64;
	}
}

/* First the word changes, then its mark is looked at; who takes a mark reads the word afterwards. As these are all sequentially consistent, either
 * he who takes it reads the change, or he who made the change finds no mark and leaves one. The same holds from level to level. */
static inline void hotpath__set_mark(const struct hotpath__state *s, uint64_t bit)
{
	int level;

	for (level = 0; level < 3; level++, bit /= 64) {
		uint64_t *marks = s->uring.marks[level] + bit / 64;
		if ((__atomic_load_n(marks, __ATOMIC_SEQ_CST) >> bit % 64 & 1) == 0)
			__atomic_fetch_or(marks, UINT64_C(1) << bit % 64, __ATOMIC_SEQ_CST);
	}
}

#define HOTPATH__NO_WORD UINT64_MAX

static inline void hotpath__leave_mark(const struct hotpath__state *s, uint64_t bit)
{
	if (bit != HOTPATH__NO_WORD)
		hotpath__set_mark(s, bit);
}

static inline uint64_t hotpath__stripe_bits(const struct hotpath__state *s)
{
	return s->shared_size / 8; /* where a stripe's begin */
}

/* Mark everything that may not be what a collector knows: zero, and unset. */
static inline void hotpath__mark_all(const struct hotpath__state *s)
{
	const char *catalogue = s->base + HOTPATH__AREA;
	uint64_t used = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_CATALOGUE_USED), __ATOMIC_ACQUIRE);
	uint64_t stripes = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), __ATOMIC_ACQUIRE);
	uint64_t at = hotpath__get(catalogue, HOTPATH__RECORD_SIZE, 4), slot, i;

	for (; at < used; at += hotpath__get(catalogue + at, HOTPATH__RECORD_SIZE, 4)) {
		memcpy(&slot, catalogue + at + HOTPATH__RECORD_SLOT, 8);
		if (catalogue[at + HOTPATH__RECORD_KIND] == HOTPATH__GAUGE) {
			hotpath__set_mark(s, slot);
			continue;
		}
		if (catalogue[at + HOTPATH__RECORD_KIND] == HOTPATH__UPDOWNCOUNTER)
			hotpath__set_mark(s, hotpath__stripe_bits(s) + slot); /* zero now, it may have been told otherwise */
		for (i = 0; i < (catalogue[at + HOTPATH__RECORD_KIND] == HOTPATH__HISTOGRAM ? HOTPATH__HISTOGRAM_WORDS : 1); i++)
			if (hotpath__total(s, slot + i, stripes) != 0)
				hotpath__set_mark(s, hotpath__stripe_bits(s) + slot + i);
	}
}

/* ---- Rings */

static inline char *hotpath__map_ring(const struct hotpath__descriptor *d, uint64_t size, uint64_t offset)
{
	long m = hotpath__sys(SYS_mmap, 0, size, HOTPATH__PROT_RW, HOTPATH__MAP_SHARED, d->fd - 1, offset);

	return hotpath__failed(m) ? NULL : (char *)(uintptr_t)m;
}

static inline long hotpath__make_ring(struct hotpath__uring *u, struct hotpath__ring *r, uint32_t entries, struct hotpath__ring_params *p)
{
	uint64_t end;
	uint32_t i;
	long err = hotpath__keep(u, &r->file, hotpath__sys(HOTPATH__IO_URING_SETUP, entries, hotpath__address(p), 0, 0, 0, 0));

	if (err != 0)
		return err;
	r->sq_entries = p->sq_entries;
	r->cq_entries = p->cq_entries;
	r->queues_size = p->cq.cqes + p->cq_entries * sizeof *r->completions;
	end = p->sq.array + p->sq_entries * sizeof i;
	if (r->queues_size < end)
		r->queues_size = end;
	r->entries_size = p->sq_entries * sizeof(struct hotpath__sqe);
	r->queues = hotpath__map_ring(&r->file, r->queues_size, 0);
	r->entries = hotpath__map_ring(&r->file, r->entries_size, HOTPATH__OFF_SQES);
	r->mapped = r->queues != NULL && r->entries != NULL;
	if (!r->mapped) {
		if (r->queues)
			hotpath__unmap(r->queues, r->queues_size);
		return -ENOMEM;
	}
	r->sq_head = (uint32_t *)(void *)(r->queues + p->sq.head);
	r->sq_tail = (uint32_t *)(void *)(r->queues + p->sq.tail);
	r->sq_flags = (uint32_t *)(void *)(r->queues + p->sq.flags);
	r->cq_head = (uint32_t *)(void *)(r->queues + p->cq.head);
	r->cq_tail = (uint32_t *)(void *)(r->queues + p->cq.tail);
	r->completions = (struct hotpath__cqe *)(void *)(r->queues + p->cq.cqes);
	for (i = 0; i < p->sq_entries; i++)
		memcpy(r->queues + p->sq.array + i * sizeof i, &i, sizeof i);
	return 0;
}

static inline void hotpath__close_ring(struct hotpath__ring *r)
{
	hotpath__let_go(&r->file);
	if (r->mapped) {
		hotpath__unmap(r->queues, r->queues_size);
		hotpath__unmap(r->entries, r->entries_size);
	}
	r->mapped = 0;
}

static inline struct hotpath__sqe *hotpath__entry(const struct hotpath__ring *r, uint32_t i)
{
	return (struct hotpath__sqe *)(void *)r->entries + (i & (r->sq_entries - 1));
}

/* The ring whose completion queue the collector reads, and the one from which messages go there, with what is the same in all of them. */
static inline long hotpath__make_rings(struct hotpath__uring *u)
{
	struct hotpath__ring_params p;
	uint32_t i;
	long err;

	memset(&p, 0, sizeof p);
	p.flags = HOTPATH__SETUP_CQSIZE;
	p.cq_entries = u->entries;
	err = hotpath__make_ring(u, &u->target, 1, &p);
	if (err != 0)
		return err;
	memset(&p, 0, sizeof p);
	p.flags = HOTPATH__SETUP_SUBMIT_ALL | (u->sqpoll ? HOTPATH__SETUP_SQPOLL : 0);
	p.sq_thread_idle = HOTPATH__SQPOLL_IDLE;
	err = hotpath__make_ring(u, &u->sending, u->sqpoll ? HOTPATH__SENDING_SQPOLL : HOTPATH__SENDING, &p);
	if (err != 0 && u->sqpoll) { /* it takes a right on old kernels, and a thread */
		hotpath__close_ring(&u->sending);
		u->sqpoll = 0;
		memset(&p, 0, sizeof p);
		p.flags = HOTPATH__SETUP_SUBMIT_ALL;
		err = hotpath__make_ring(u, &u->sending, HOTPATH__SENDING, &p);
	}
	if (err != 0)
		return err;
	for (i = 0; i < u->sending.sq_entries; i++) {
		struct hotpath__sqe *entry = hotpath__entry(&u->sending, i);
		entry->opcode = HOTPATH__OP_MSG_RING;
		entry->flags = HOTPATH__CQE_SKIP_SUCCESS;
		entry->fd = (int32_t)u->target.file.fd - 1;
	}
	u->queued = u->free = 0;
	u->room = 0;
	u->alone = 1;
	return 0;
}

/* A message was lost. */
static inline void hotpath__tell_again(struct hotpath__state *s, uint64_t bit)
{
	if (bit < HOTPATH__COUNTER_BIT)
		hotpath__set_mark(s, bit);
	else
		s->uring.told[bit % HOTPATH__COUNTERS] = UINT64_MAX;
}

/* Take what the kernel says of messages that failed. */
static inline uint32_t hotpath__reap(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;
	struct hotpath__ring *r = &u->sending;
	uint32_t head = *r->cq_head, tail = __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE), n = tail - head;

	for (; head != tail; head++)
		hotpath__tell_again(s, r->completions[head & (r->cq_entries - 1)].user_data);
	__atomic_store_n(r->cq_head, head, __ATOMIC_RELEASE);
	if (n)
		u->looked = 0;
	return n;
}

static inline uint32_t hotpath__in_flight(const struct hotpath__ring *r)
{
	return *r->sq_tail - __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE);
}

/* Have the kernel post what is queued. Returns whether all of it came to our queue: the descriptors may not be ours any more. Few messages
 * go one by one, which since Linux 6.13 takes no ring and half the time. The kernel finds them where the ring has its own: a child that a signal
 * handler makes in between has nothing there, and knows by `telling` that it is none of its business. */
HOTPATH__FLAT int hotpath__deliver(struct hotpath__uring *u, uint32_t n)
{
	struct hotpath__ring *r = &u->sending;
	uint32_t *sq_tail = r->sq_tail, tail = *sq_tail, before = __atomic_load_n(u->target.cq_tail, __ATOMIC_ACQUIRE), left, i;
	struct hotpath__sqe *entry = hotpath__entry(r, tail);
	long err = 0;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (hotpath__unlikely(__atomic_load_n(&hotpath__ctl_v1.ctl.telling, __ATOMIC_RELAXED) == 0))
		return 1;
	for (i = 0; n <= HOTPATH__ALONE && u->alone && i < n && err == 0; i++) {
		entry->flags = 0;
		err = hotpath__sys(HOTPATH__IO_URING_REGISTER, -1, HOTPATH__REGISTER_SEND_MSG_RING, hotpath__address(entry), 1, 0, 0);
		entry->flags = HOTPATH__CQE_SKIP_SUCCESS;
		u->alone = err != -EINVAL;
		entry = hotpath__entry(r, tail + i + 1);
	}
	if (hotpath__likely(i && u->alone))
		return __atomic_load_n(u->target.cq_tail, __ATOMIC_ACQUIRE) - before == n;
	__atomic_store_n(sq_tail, tail + n, __ATOMIC_RELEASE);
	hotpath__sys(HOTPATH__IO_URING_ENTER, r->file.fd - 1, n, 0, 0, 0, 0);
	left = hotpath__in_flight(r);
	if (left)
		__atomic_store_n(sq_tail, tail + n - left, __ATOMIC_RELEASE);
	return left == 0 && *r->cq_head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) &&
		__atomic_load_n(u->target.cq_tail, __ATOMIC_ACQUIRE) - before == n;
}

/* Hand what is queued to the kernel. What did not arrive is told again. */
HOTPATH__FLAT void hotpath__submit(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;
	struct hotpath__ring *r = &u->sending;
	uint32_t n = u->queued, tail, i;

	u->queued = 0;
	if (n == 0)
		return;
	tail = *r->sq_tail;
	if (u->sqpoll) { /* first the tail, then the look at the flags, as the kernel does it the other way round */
		__atomic_exchange_n(r->sq_tail, tail + n, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(r->sq_flags, __ATOMIC_SEQ_CST) & HOTPATH__SQ_NEED_WAKEUP)
			hotpath__sys(HOTPATH__IO_URING_ENTER, r->file.fd - 1, 0, 0, HOTPATH__ENTER_SQ_WAKEUP, 0, 0);
		return;
	}
	if (hotpath__likely(hotpath__deliver(u, n)))
		return;
	hotpath__reap(s);
	for (i = 0; i < n; i++)
		hotpath__tell_again(s, hotpath__entry(r, tail + i)->user_data);
	u->looked = 0;
}

/* See how much room there is: more than there was, by what the collector has read and the kernel's thread has taken. */
static inline void hotpath__measure(struct hotpath__uring *u)
{
	uint32_t head = __atomic_load_n(u->target.cq_head, __ATOMIC_ACQUIRE), in_flight = hotpath__in_flight(&u->sending);
	uint32_t used = __atomic_load_n(u->target.cq_tail, __ATOMIC_ACQUIRE) - head + in_flight;

	if (head != u->seen) { /* it reads: it may be waited for again */
		u->seen = head;
		u->patience = HOTPATH__PATIENCE;
	}
	u->free = u->sending.sq_entries - in_flight;
	u->room = used < u->target.cq_entries ? u->target.cq_entries - used : 0;
}

/* Whether another message can be queued. Only when what was free is used up the heads are looked at: their owners, on other CPUs, write to them. */
HOTPATH__FLAT int hotpath__space(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;

	if (hotpath__likely(u->room && u->free))
		return 1;
	hotpath__submit(s);
	hotpath__measure(u);
	return u->room && u->free && u->looked;
}

HOTPATH__FLAT void hotpath__queue(struct hotpath__uring *u, uint32_t index, uint64_t value, uint64_t bit)
{
	struct hotpath__sqe *entry = hotpath__entry(&u->sending, *u->sending.sq_tail + u->queued);

	entry->off = value;
	entry->len = index;
	entry->user_data = bit;
	u->queued++;
	u->free--;
	u->room--;
}

/* Queue what the word of this bit has come to. */
HOTPATH__FLAT void hotpath__queue_word(struct hotpath__state *s, uint64_t bit)
{
	uint64_t word, value, stripes;

	if (bit < hotpath__stripe_bits(s)) {
		value = __atomic_load_n(HOTPATH__FIELD(s->base, hotpath__shared_offset(s) + 8 * bit), __ATOMIC_SEQ_CST);
		if (value != UINT64_MAX)
			hotpath__queue(&s->uring, (uint32_t)(HOTPATH__SHARED_BIT + bit), value, bit);
		return;
	}
	word = bit - hotpath__stripe_bits(s);
	stripes = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), __ATOMIC_ACQUIRE);
	value = __atomic_load_n(HOTPATH__FIELD(s->base, hotpath__index_offset(s) + 8 * word), __ATOMIC_ACQUIRE) & HOTPATH__INDEX_SUM ?
		hotpath__total_sum(s, word, stripes) : hotpath__total(s, word, stripes);
	hotpath__queue(&s->uring, (uint32_t)word, value, bit);
}

/* Take the marks that the word at i has at this level and below, and queue what they are for. Returns whether some had to stay. */
HOTPATH__WARM int hotpath__take_v1(int level, uint64_t i)
{
	struct hotpath__state *s = &hotpath__state_v1;
	uint64_t *marks = s->uring.marks[level] + i, bits, stay = 0;

	if (__atomic_load_n(marks, __ATOMIC_RELAXED) == 0)
		return 0;
	for (bits = __atomic_exchange_n(marks, 0, __ATOMIC_SEQ_CST); bits; bits &= bits - 1) {
		uint64_t bit = 64 * i + (uint64_t)__builtin_ctzll(bits);
		if (!hotpath__space(s)) {
			stay |= bits;
			break;
		}
		if (level == 0)
			hotpath__queue_word(s, bit);
		else if (hotpath__take_v1(level - 1, bit))
			stay |= UINT64_C(1) << bit % 64;
	}
	if (stay)
		__atomic_fetch_or(marks, stay, __ATOMIC_SEQ_CST);
	return stay != 0;
}

/* ---- The socket */

/* Where yama restricts it (kernel.yama.ptrace_scope=1), a collector that is not root may only take our ring if the kernel hears that it may. That
 * replaces what the application has said, if it has, which cannot be asked for; so it is taken back with the end of the handshake. */
static inline void hotpath__admit(struct hotpath__uring *u)
{
	uint32_t peer[3] = {0, 0, 0} /* struct ucred: pid, uid, gid */, size = sizeof peer;
	char scope[4];

	if (hotpath__read_file("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope) > 0 && *scope == '1' &&
		hotpath__sys(SYS_getsockopt, u->socket.fd - 1, HOTPATH__SOL_SOCKET, HOTPATH__SO_PEERCRED, hotpath__address(peer), hotpath__address(&size), 0) == 0 &&
		peer[0] != 0 && peer[1] != 0)
		u->admitting = hotpath__sys(SYS_prctl, HOTPATH__PR_SET_PTRACER, peer[0], 0, 0, 0, 0) == 0;
}

static inline void hotpath__admit_no_more(struct hotpath__uring *u)
{
	if (u->admitting)
		hotpath__sys(SYS_prctl, HOTPATH__PR_SET_PTRACER, 0, 0, 0, 0, 0);
	u->admitting = 0;
}

static inline void hotpath__hang_up(struct hotpath__uring *u, enum hotpath__where where, long err)
{
	hotpath__admit_no_more(u);
	hotpath__let_go(&u->socket);
	hotpath__close_ring(&u->sending);
	hotpath__close_ring(&u->target);
	__atomic_store_n(&u->error, (uint32_t)-err, __ATOMIC_RELAXED);
	__atomic_store_n(&u->where, where, __ATOMIC_RELEASE);
	__atomic_store_n(&u->phase, HOTPATH__P_CLOSED, __ATOMIC_RELEASE);
}

static inline void hotpath__connect(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;
	long err;

	if (u->address_size == 0) {
		hotpath__hang_up(u, HOTPATH__W_SOCKET_NAME, 0);
		return;
	}
	if (s->pid != (uint64_t)hotpath__sys(SYS_getpid, 0, 0, 0, 0, 0, 0)) /* a child of vfork, whose socket would not be ours */
		return;
	err = hotpath__keep(u, &u->socket, hotpath__sys(SYS_socket, HOTPATH__AF_UNIX,
		HOTPATH__SOCK_STREAM | (long)HOTPATH__O_NONBLOCK | HOTPATH__O_CLOEXEC, 0, 0, 0, 0));
	if (err != 0) {
		hotpath__hang_up(u, HOTPATH__W_SOCKET, err);
		return;
	}
	err = hotpath__sys(SYS_connect, u->socket.fd - 1, hotpath__address(u->address), u->address_size, 0, 0, 0);
	if (err != 0) {
		hotpath__hang_up(u, HOTPATH__W_CONNECT, err);
		return;
	}
	u->received = 0;
	u->patience = HOTPATH__PATIENCE;
	__atomic_store_n(&u->where, HOTPATH__W_SILENT, __ATOMIC_RELEASE);
	__atomic_store_n(&u->phase, HOTPATH__P_GREETING, __ATOMIC_RELEASE);
}

/* Say hello, in answer to a greeting. */
static inline void hotpath__introduce(const struct hotpath__state *s, struct hotpath__uring *u)
{
	const char *resource = s->base + HOTPATH__AREA;
	struct hotpath__hello *h = &u->head;

	memset(h, 0, sizeof *h);
	h->start_time = *HOTPATH__FIELD(s->base, HOTPATH__OFF_START_TIME);
	h->pid = *HOTPATH__FIELD(s->base, HOTPATH__OFF_PID);
	memcpy(h->instance, s->base + HOTPATH__OFF_INSTANCE, sizeof h->instance);
	h->segment_id = *HOTPATH__FIELD(s->base, HOTPATH__OFF_SEGMENT_ID);
	h->catalogue_size = s->catalogue_size;
	h->shared_size = s->shared_size;
	h->stripe_size = s->stripe_size;
	h->ring = (uint32_t)u->target.file.fd - 1;
	u->from = 0;
	u->to = hotpath__get(resource, HOTPATH__RECORD_SIZE, 4);
	u->head_size = sizeof *h;
	u->sent = 0;
	h->message.size = (uint32_t)(u->head_size + u->to);
	h->message.type = HOTPATH__TYPE_HELLO;
	h->message.version = HOTPATH__MESSAGE_VERSION;
	__atomic_store_n(&u->phase, HOTPATH__P_HELLO, __ATOMIC_RELEASE);
}

/* Send as much as the socket takes of what the collector does not know yet of the catalogue. Returns 1 if that is not all. */
static inline long hotpath__declare(const struct hotpath__state *s, struct hotpath__uring *u)
{
	const char *catalogue = s->base + HOTPATH__AREA;
	uint64_t used = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_CATALOGUE_USED), __ATOMIC_ACQUIRE), body, next;

	for (;;) {
		body = u->to - u->from;
		while (u->sent < u->head_size + body) {
			uint64_t head = u->sent < u->head_size ? u->head_size - u->sent : 0, skip = head ? 0 : u->sent - u->head_size;
			struct hotpath__part parts[2] = {{(char *)&u->head + u->head_size - head, head}, {catalogue + u->from + skip, body - skip}};
			struct hotpath__msghdr message = {NULL, 0, parts, 2, NULL, 0, 0};
			long n = hotpath__sys(SYS_sendmsg, u->socket.fd - 1, hotpath__address(&message), HOTPATH__MSG_DONTWAIT | HOTPATH__MSG_NOSIGNAL, 0, 0, 0);
			if (n < 0)
				return n == -EAGAIN ? 1 : n;
			u->sent += (uint64_t)n;
		}
		if (u->to >= used)
			return 0;
		u->from = u->to;
		do {
			u->to += hotpath__get(catalogue + u->to, HOTPATH__RECORD_SIZE, 4);
			next = u->to < used ? u->to + hotpath__get(catalogue + u->to, HOTPATH__RECORD_SIZE, 4) : UINT64_MAX;
		} while (next <= u->from + HOTPATH__SERIES_SIZE);
		u->head_size = HOTPATH__MESSAGE_HEADER_SIZE;
		u->sent = 0;
		u->head.message.size = (uint32_t)(u->head_size + u->to - u->from);
		u->head.message.type = HOTPATH__TYPE_SERIES;
	}
}

/* What the collector says: a message whose type is right at this time. */
static inline void hotpath__hear(struct hotpath__state *s, const struct hotpath__message *m)
{
	struct hotpath__uring *u = &s->uring;
	long err;

	if (m->type == HOTPATH__TYPE_REFUSED) {
		uint64_t size = m->size - HOTPATH__MESSAGE_HEADER_SIZE;
		memcpy(u->sentence, u->in + HOTPATH__MESSAGE_HEADER_SIZE, (size_t)size);
		u->sentence[size] = 0;
		hotpath__hang_up(u, HOTPATH__W_REFUSED, 0);
	} else if (m->type == HOTPATH__TYPE_GREETING && m->size == HOTPATH__GREETING_SIZE && u->phase == HOTPATH__P_GREETING) {
		memcpy(&u->entries, u->in + HOTPATH__MESSAGE_HEADER_SIZE, sizeof u->entries);
		if (u->entries == 0 || u->entries > HOTPATH__MAX_ENTRIES || (u->entries & (u->entries - 1)) != 0)
			hotpath__hang_up(u, HOTPATH__W_GARBAGE, 0);
		else if ((err = hotpath__make_rings(u)) != 0)
			hotpath__hang_up(u, HOTPATH__W_RING, err);
		else {
			hotpath__admit(u);
			hotpath__introduce(s, u);
		}
	} else if (m->type == HOTPATH__TYPE_READY && m->size == HOTPATH__MESSAGE_HEADER_SIZE && u->phase == HOTPATH__P_HELLO) {
		hotpath__admit_no_more(u);
		memset(u->told, 0, sizeof u->told);
		u->complete = 0;
		u->patience = HOTPATH__PATIENCE;
		hotpath__mark_all(s);
		__atomic_store_n(&u->phase, HOTPATH__P_READY, __ATOMIC_RELEASE);
	} else {
		hotpath__hang_up(u, HOTPATH__W_GARBAGE, 0);
	}
}

/* Take what has come, byte by byte or at once. */
static inline void hotpath__listen(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;
	struct hotpath__message m;
	uint64_t want;
	long n;

	while (u->phase != HOTPATH__P_CLOSED) {
		want = HOTPATH__MESSAGE_HEADER_SIZE;
		if (u->received >= want) {
			memcpy(&m, u->in, sizeof m);
			if (m.version != HOTPATH__MESSAGE_VERSION || m.size < want || m.size > want + HOTPATH__MAX_SENTENCE) {
				hotpath__hang_up(u, HOTPATH__W_GARBAGE, 0);
				return;
			}
			want = m.size;
			if (u->received == want) {
				u->received = 0;
				hotpath__hear(s, &m);
				continue;
			}
		}
		n = hotpath__sys(SYS_recvfrom, u->socket.fd - 1, hotpath__address(u->in + u->received), want - u->received, HOTPATH__MSG_DONTWAIT, 0, 0);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			hotpath__hang_up(u, HOTPATH__W_HUNG_UP, n);
			return;
		}
		u->received += (uint64_t)n;
	}
}

/* See to it that a collector listens, as far as that goes without waiting; or, where one is there and may be waited for, until it does. */
static inline void hotpath__converse(struct hotpath__state *s, int how, uint64_t now)
{
	struct hotpath__uring *u = &s->uring;
	int wait = how >= HOTPATH__H_NOW || (how == HOTPATH__H_NEW && !u->introduced), insist = how == HOTPATH__H_EXIT;
	uint64_t mask, all = ~UINT64_C(0), before;
	long more;

	if (how == HOTPATH__H_NEW)
		u->introduced = 1;
	if (u->phase == HOTPATH__P_CLOSED ? (int64_t)(now - u->next) < 0 && how != HOTPATH__H_EXIT : !wait && now - u->looked < HOTPATH__LOOK)
		return;
	u->looked = now;
	hotpath__sys(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, hotpath__address(&all), hotpath__address(&mask), 8, 0, 0); /* handlers may fork */
	if (u->phase != HOTPATH__P_CLOSED && !(hotpath__still(&u->socket, u->socket.fd) && (u->phase == HOTPATH__P_GREETING ||
		(hotpath__still(&u->target.file, u->target.file.fd) && hotpath__still(&u->sending.file, u->sending.file.fd)))))
		hotpath__hang_up(u, HOTPATH__W_LOST, 0);
	if (how == HOTPATH__H_EXIT)
		u->patience = HOTPATH__PATIENCE;
	for (;;) {
		struct { int32_t fd; int16_t events, got; } poll = {0, HOTPATH__POLLIN, 0};
		uint64_t timeout[2] = {0, 0};
		if (u->phase == HOTPATH__P_CLOSED && (insist || (int64_t)(now - u->next) >= 0)) {
			insist = 0;
			u->next = now + HOTPATH__RETRY;
			hotpath__connect(s);
		}
		if (u->phase == HOTPATH__P_CLOSED)
			break;
		hotpath__listen(s);
		more = u->phase >= HOTPATH__P_HELLO ? hotpath__declare(s, u) : 0;
		if (more < 0) {
			hotpath__listen(s); /* it may have said why */
			if (u->phase != HOTPATH__P_CLOSED)
				hotpath__hang_up(u, HOTPATH__W_HUNG_UP, 0);
		}
		if (u->phase == HOTPATH__P_CLOSED)
			continue;
		if ((u->phase == HOTPATH__P_READY && !more) || !wait || u->patience == 0)
			break;
		if (more)
			poll.events |= HOTPATH__POLLOUT;
		poll.fd = (int32_t)u->socket.fd - 1;
		before = hotpath__clock(u);
		timeout[1] = u->patience;
		if (hotpath__sys(SYS_ppoll, hotpath__address(&poll), 1, hotpath__address(timeout), 0, 8, 0) <= 0) {
			u->patience = 0;
		} else {
			before = hotpath__clock(u) - before;
			u->patience -= before < u->patience ? before : u->patience;
		}
	}
	hotpath__sys(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, hotpath__address(&mask), 0, 8, 0, 0);
}

/* ---- Telling */

/* Post what has changed, as much as the collector's queue has room for, and with it a word that has no mark. */
HOTPATH__FLAT void hotpath__post(struct hotpath__state *s, uint64_t bit)
{
	static const int counters[HOTPATH__COUNTERS] = {HOTPATH__OFF_REFUSED, HOTPATH__OFF_FOLDED, HOTPATH__OFF_UNPLACED, HOTPATH__OFF_REJECTED};
	struct hotpath__uring *u = &s->uring;
	uint64_t i, top = (s->shared_size + s->stripe_size) / 8 / (64 * 64 * 64);
	int stay = 0;

	if (__atomic_load_n(u->target.sq_flags, __ATOMIC_RELAXED) & HOTPATH__SQ_CQ_OVERFLOW) { /* others posted, or it wrote a false head */
		hotpath__hang_up(u, HOTPATH__W_OVERFLOW, 0);
		hotpath__leave_mark(s, bit);
		return;
	}
	hotpath__reap(s);
	for (i = 0; i < HOTPATH__COUNTERS; i++) {
		uint64_t value = __atomic_load_n(HOTPATH__FIELD(s->base, counters[i]), __ATOMIC_RELAXED);
		if (value == u->told[i])
			continue;
		if (!hotpath__space(s)) {
			stay = 1;
			break;
		}
		u->told[i] = value;
		hotpath__queue(u, (uint32_t)(HOTPATH__COUNTER_BIT + i), value, HOTPATH__COUNTER_BIT + i);
	}
	for (i = 0; i <= top; i++)
		if (__atomic_load_n(u->marks[2] + i, __ATOMIC_RELAXED))
			stay |= hotpath__take_v1(2, i);
	if (bit != HOTPATH__NO_WORD && hotpath__space(s)) {
		hotpath__queue_word(s, bit);
	} else {
		hotpath__leave_mark(s, bit);
		stay |= bit != HOTPATH__NO_WORD;
	}
	hotpath__submit(s);
	if (!u->complete && !stay && u->looked) { /* everything that was marked for this connection is told */
		stay = !hotpath__space(s);
		if (!stay) {
			hotpath__queue(u, HOTPATH__COMPLETE, 0, HOTPATH__COMPLETE);
			hotpath__submit(s);
			u->complete = u->looked != 0;
		}
	}
	__atomic_store_n(&u->behind, (uint32_t)(stay && u->looked), __ATOMIC_RELAXED); /* for room; after a failure, the next batch is soon enough */
}

/* Somebody left off in the middle, and nobody knows where: what he had taken is told again. */
static inline void hotpath__start_over(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;

	u->queued = u->busy = 0;
	u->looked = 0;
	memset(u->told, 0xff, sizeof u->told);
	hotpath__mark_all(s);
}

/* The batch begins anew. */
static inline void hotpath__clear_pending(const struct hotpath__state *s)
{
	uint64_t used = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), __ATOMIC_ACQUIRE), i;

	for (i = 0; i < used; i++)
		if (__atomic_load_n(hotpath__words(s, 0, i), __ATOMIC_RELAXED))
			__atomic_store_n(hotpath__words(s, 0, i), 0, __ATOMIC_RELAXED);
}

/* Tell what is marked, and a word that is not. */
HOTPATH__FLAT void hotpath__tell(struct hotpath__state *s, int how, uint64_t bit)
{
	struct hotpath__uring *u = &s->uring;
	uint64_t now = hotpath__clock(u), waited;

	if (u->phase != HOTPATH__P_READY || how >= HOTPATH__H_NOW || now - u->looked >= HOTPATH__LOOK)
		hotpath__converse(s, how, now);
	else if (hotpath__declare(s, u) < 0)
		u->looked = 0;
	if (how == HOTPATH__H_NEW && (u->phase != HOTPATH__P_READY || u->complete))
		return;
	__atomic_store_n(&u->flushed, now, __ATOMIC_RELAXED);
	hotpath__clear_pending(s);
	__atomic_store_n(&u->busy, 1, __ATOMIC_RELAXED); /* before the phase is looked at: a handler may fork in between */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (u->phase == HOTPATH__P_READY)
		hotpath__post(s, bit);
	else
		hotpath__leave_mark(s, bit);
	for (waited = 0; how >= HOTPATH__H_NOW && u->phase == HOTPATH__P_READY && waited < HOTPATH__PATIENCE && u->patience &&
		(u->behind || (u->sqpoll && hotpath__in_flight(&u->sending))); waited += HOTPATH__PAUSE) {
		u->patience = u->patience > HOTPATH__PAUSE ? u->patience - HOTPATH__PAUSE : 0;
		hotpath__pause(HOTPATH__PAUSE);
		hotpath__post(s, HOTPATH__NO_WORD);
	}
	__atomic_store_n(&u->busy, 0, __ATOMIC_RELAXED);
}

/* Who the caller is: its thread, from bit 20 on, and below that how far down on its stack it is. Bit 0 says that there is more to tell. */
#define HOTPATH__MORE UINT64_C(1)

static inline __attribute__((always_inline)) uint64_t hotpath__teller(void)
{
	return (uint64_t)pthread_self() >> 4 << 20 | (hotpath__address(__builtin_frame_address(0)) >> 6 & 0x7ffff) << 1;
}

/* Whether the call that began to tell will never go on: a signal handler that interrupted it has left by longjmp, so that its thread is
 * here, no deeper in the same stack. A handler that will return is deeper, or on a stack of its own. */
static inline int hotpath__left(uint64_t teller, uint64_t mine)
{
	struct { void *stack; int flags; uint64_t size; } alternate = {NULL, 0, 0};

	if (teller >> 20 != mine >> 20 || ((mine - teller) >> 1 & 0x7ffff) > 0x3fff)
		return 0;
	return hotpath__sys(SYS_sigaltstack, 0, hotpath__address(&alternate), 0, 0, 0, 0) == 0 && (alternate.flags & 1 /* SS_ONSTACK */) == 0;
}

/* What to do where somebody tells already: nothing; have him look again; or that, and wait for him. */
enum { HOTPATH__GIVE_UP, HOTPATH__LEAVE_IT, HOTPATH__WAIT };

HOTPATH__FLAT int hotpath__begin_telling(struct hotpath__ctl *c, uint64_t mine, int otherwise)
{
	uint64_t old = 0;
	int tries = 0;

	while (!__atomic_compare_exchange_n(&c->telling, &old, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		if (otherwise == HOTPATH__GIVE_UP)
			return 0;
		if (old && hotpath__left(old, mine)) {
			if (__atomic_compare_exchange_n(&c->telling, &old, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
				hotpath__start_over(&hotpath__state_v1);
				return 1;
			}
		} else if (old & HOTPATH__MORE || (old && __atomic_compare_exchange_n(&c->telling, &old, old | HOTPATH__MORE, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))) {
			if (otherwise == HOTPATH__LEAVE_IT || ++tries > 5000)
				return 0;
			hotpath__pause(HOTPATH__PATIENCE / 2500);
		}
		old = 0;
	}
	return 1;
}

/* Returns 0 if there is more to tell. */
static inline int hotpath__end_telling(struct hotpath__ctl *c, uint64_t mine)
{
	uint64_t old = mine;

	if (__atomic_compare_exchange_n(&c->telling, &old, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return 1;
	/* It is zero in a child that a signal handler made meanwhile. */
	return old != (mine | HOTPATH__MORE) || !__atomic_compare_exchange_n(&c->telling, &old, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

HOTPATH__FLAT void hotpath__tell_all(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t mine, int how, uint64_t bit)
{
	do {
		if (s->where == HOTPATH__W_URING)
			hotpath__tell(s, how, bit);
		how = HOTPATH__H_BATCH;
		bit = HOTPATH__NO_WORD;
	} while (!hotpath__end_telling(c, mine));
}

HOTPATH__WARM void hotpath__flush_v1(int how)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	uint64_t mine = hotpath__teller();

	if (__atomic_load_n(&c->started, __ATOMIC_ACQUIRE) && s->transport == HOTPATH__W_URING &&
		hotpath__begin_telling(c, mine, how >= HOTPATH__H_NOW ? HOTPATH__WAIT : HOTPATH__LEAVE_IT))
		hotpath__tell_all(s, c, mine, how, HOTPATH__NO_WORD);
}

/* After a change: leave a mark, and tell it if it is time; where each update is told, without a mark. */
HOTPATH__WARM void hotpath__mark_v1(const uint64_t *word)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	struct hotpath__uring *u = &s->uring;
	uint64_t offset = hotpath__address(word) - hotpath__address(s->base), stripes = hotpath__stripes_offset(s), within, bit, mine, *pending;
	int completes = 1;

	if (offset < stripes) {
		bit = (offset - hotpath__shared_offset(s)) / 8;
		pending = hotpath__words(s, 0, 0);
	} else {
		within = (offset - stripes) & (s->stripe_size - 1); /* a power of two */
		bit = hotpath__stripe_bits(s) + within / 8;
		completes = __atomic_load_n(HOTPATH__FIELD(s->base, hotpath__index_offset(s) + within), __ATOMIC_RELAXED) != 0;
		pending = HOTPATH__FIELD(s->base, offset - within);
	}
	mine = hotpath__teller();
	if (u->batch == 1 && completes && hotpath__begin_telling(c, mine, HOTPATH__GIVE_UP)) {
		hotpath__tell_all(s, c, mine, HOTPATH__H_BATCH, bit);
		return;
	}
	hotpath__set_mark(s, bit);
	if (!completes)
		return; /* the rest of the update is to come */
	/* Keys beyond the first 32 may have to be allocated. */
	if (s->watching && s->key < 32 && pthread_getspecific(s->key) == NULL)
		pthread_setspecific(s->key, s);
	if (__atomic_add_fetch(pending, 1, __ATOMIC_RELAXED) >= u->batch || __atomic_load_n(&u->behind, __ATOMIC_RELAXED) ||
		(int64_t)(hotpath__clock(u) - __atomic_load_n(&u->flushed, __ATOMIC_RELAXED)) >= (int64_t)u->delay)
		hotpath__flush_v1(HOTPATH__H_BATCH);
}

/* ---- Its life */

/* Whether rings can be made and messages sent between them. Where descriptors or memory are short, that may change. */
static inline int hotpath__probe(struct hotpath__state *s)
{
	static struct { uint8_t last, n; uint16_t unused[7]; struct { uint8_t op, unused; uint16_t flags; uint32_t more; } ops[HOTPATH__PROBE_OPS]; } probe;
	struct hotpath__ring_params p;
	long fd, err;

	memset(&p, 0, sizeof p);
	fd = hotpath__sys(HOTPATH__IO_URING_SETUP, 1, hotpath__address(&p), 0, 0, 0, 0);
	if (fd < 0) {
		s->no_uring_error = (uint32_t)-fd;
		s->no_uring = fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ? HOTPATH__W_NOWHERE : HOTPATH__W_NO_RING;
		return s->no_uring == HOTPATH__W_NOWHERE;
	}
	memset(&probe, 0, sizeof probe);
	err = hotpath__sys(HOTPATH__IO_URING_REGISTER, fd, HOTPATH__REGISTER_PROBE, hotpath__address(&probe), HOTPATH__PROBE_OPS, 0, 0);
	hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
	if (err == 0 && (probe.ops[HOTPATH__OP_MSG_RING].flags & 1 /* IO_URING_OP_SUPPORTED */))
		return 1;
	s->no_uring = HOTPATH__W_NO_MESSAGES;
	return 0;
}

static inline uint64_t hotpath__setting(const char *name, uint64_t least, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end = NULL;
	uint64_t n = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	return end == NULL || *end || n < least || n > UINT32_MAX ? otherwise : n;
}

static inline int hotpath__configure_uring(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;
	const char *name = getenv("HOTPATH_SOCKET"), *sqpoll = getenv("HOTPATH_URING_SQPOLL");
	uint16_t family = HOTPATH__AF_UNIX;
	int saved = errno;

	if (name == NULL || *name == 0 || getauxval(AT_SECURE))
		name = HOTPATH__SOCKET;
	snprintf(u->name, sizeof u->name, "%s", name);
	memcpy(u->address, &family, sizeof family);
	memcpy(u->address + sizeof family, u->name, sizeof u->name);
	if (strlen(name) < sizeof u->name)
		u->address_size = sizeof family + strlen(name) + (*name != '@');
	if (*name == '@') /* an abstract one begins with a zero, and does not end with one */
		u->address[sizeof family] = 0;
	u->batch = hotpath__setting("HOTPATH_URING_BATCH", 1, HOTPATH__DEFAULT_BATCH);
	u->delay = hotpath__setting("HOTPATH_URING_DELAY", 0, HOTPATH__DEFAULT_DELAY) * 1000;
	u->sqpoll = (uint32_t)(sqpoll && strcmp(sqpoll, "1") == 0);
	u->clock = u->delay < HOTPATH__LOOK ? HOTPATH__CLOCK_MONOTONIC : HOTPATH__CLOCK_MONOTONIC_COARSE;
	u->where = HOTPATH__W_SILENT;
	errno = saved;
	return hotpath__probe(s);
}

/* In a child: drop what is its parent's, and change nothing in it. */
static inline void hotpath__leave(struct hotpath__state *s)
{
	struct hotpath__uring *u = &s->uring;
	struct hotpath__ring *rings[2] = {&u->target, &u->sending};
	int i;

	if (s->transport != HOTPATH__W_URING)
		return;
	hotpath__let_go(&u->socket);
	for (i = 0; i < 2; i++) {
		struct hotpath__ring *r = rings[i];
		hotpath__let_go(&r->file);
		if (r->mapped && u->busy) { /* a signal handler may have forked, and return to where somebody is posting */
			const long flags = HOTPATH__MAP_PRIVATE_ANONYMOUS | (long)HOTPATH__MAP_FIXED;
			hotpath__sys(SYS_mmap, hotpath__address(r->queues), r->queues_size, HOTPATH__PROT_RW, flags, -1, 0);
			hotpath__sys(SYS_mmap, hotpath__address(r->entries), r->entries_size, HOTPATH__PROT_RW, flags, -1, 0);
		} else if (r->mapped) {
			hotpath__unmap(r->queues, r->queues_size);
			hotpath__unmap(r->entries, r->entries_size);
		}
		r->mapped = 0;
	}
	u->next = u->looked = 0;
	u->behind = u->busy = u->admitting = 0;
	u->phase = HOTPATH__P_CLOSED;
	u->where = HOTPATH__W_SILENT;
}

#if defined(__PIC__) && !defined(__PIE__)
extern int hotpath__dladdr(const void *, const char **) __asm__("dladdr") __attribute__((weak));
extern void *hotpath__dlopen(const char *, int) __asm__("dlopen") __attribute__((weak));

/* The kernel forgets a bit at the word of the threads for which it noted it only, and dlclose may come from another: it would go
 * on writing where the library was; and a thread may be about to end. So a library that sends updates stays. Not with the lock held, since the loader has one. */
static inline void hotpath__pin(struct hotpath__state *s)
{
	const char *transport = getenv("HOTPATH_TRANSPORT"), *file[4]; /* Dl_info, the path first */

	if (transport && (strcmp(transport, "user_events") == 0 || strcmp(transport, "io_uring") == 0) && &hotpath__dladdr && &hotpath__dlopen && hotpath__dladdr(&hotpath__state_v1, file))
		s->pinned = hotpath__dlopen(file[0], 0x1006 /* RTLD_NODELETE | RTLD_NOLOAD | RTLD_NOW */) != NULL;
}
#endif

/* What the environment asks for, read once. */
static inline void hotpath__configure(struct hotpath__state *s)
{
	static const char *const transports[] = {"", "shm", "off", "user_events", "bpf", "io_uring"};
	const char *transport = getenv("HOTPATH_TRANSPORT"), *directory = getenv("HOTPATH_DIR");
	char line[160];
	int i = 0, n;

	if (getauxval(AT_SECURE)) /* a setuid program's files go where its owner expects them */
		directory = NULL;
	if (directory == NULL || *directory == 0)
		directory = "/dev/shm/hotpath";
	n = snprintf(s->path, sizeof s->path, "%s", directory);
	while (n > 1 && n < (int)sizeof s->path && s->path[n - 1] == '/')
		s->path[--n] = 0;
	while (transport && i < 6 && strcmp(transport, transports[i]) != 0)
		i++;
	s->transport = i < 2 ? HOTPATH__W_SHM : i == 2 ? HOTPATH__W_OFF : i == 3 ? HOTPATH__W_EVENTS : i == 4 ? HOTPATH__W_MEMFD : i == 5 ? HOTPATH__W_URING :
		HOTPATH__W_TRANSPORT;
	if (s->transport == HOTPATH__W_URING && !hotpath__configure_uring(s))
		s->transport = HOTPATH__W_SHM;
	if (i == 6) {
		n = snprintf(line, sizeof line, "hotpath: HOTPATH_TRANSPORT=%.40s is unknown (known: shm, bpf, user_events, io_uring, off); counting in private memory\n", transport);
		hotpath__sys(SYS_write, 2, hotpath__address(line), n, 0, 0, 0);
	}
}

/* Once for a process and all its descendants. Called with the lock held. */
static inline int hotpath__prepare(struct hotpath__state *s)
{
	uint64_t size = 2 * HOTPATH__TABLE * sizeof *s->records;
	char *tables = hotpath__allocate(size);

	if (tables == NULL)
		return 0;
	s->page = getauxval(AT_PAGESZ);
	hotpath__configure(s);
	hotpath__geometry(s, hotpath__sys(SYS_madvise, hotpath__address(&hotpath__ctl_v1), s->page, HOTPATH__MADV_POPULATE_WRITE, 0, 0, 0) == -EINVAL);
	s->next_word = 8; /* word 0 is no series', and histograms are aligned */
	s->next_shared = 1;
	s->watching = hotpath__updates(s) && pthread_key_create(&s->key, hotpath__orphan_v1) == 0;
	s->names = (uint32_t *)(void *)tables;
	__atomic_store_n(&s->records, s->names + HOTPATH__TABLE, __ATOMIC_RELEASE);
	return 1;
}

/* Start counting, in a process or in a child that has just been made. Called with the lock held. */
static inline int hotpath__start(struct hotpath__state *s, struct hotpath__ctl *c)
{
	int published;

	if (s->where == HOTPATH__W_CLOSED || s->where == HOTPATH__W_NOMEM)
		return 0;
	if (s->records == NULL && !hotpath__prepare(s)) {
		s->where = HOTPATH__W_NOMEM;
		return 0;
	}
	s->pid = (uint64_t)hotpath__sys(SYS_getpid, 0, 0, 0, 0, 0, 0);
	s->where = s->transport;
	hotpath__leave(s);
	published = hotpath__publish(s);
	if (!published && (s->base == NULL || s->placed || hotpath__updates(s)) && !hotpath__privatise(s)) {
		s->where = HOTPATH__W_NOMEM;
		return 0;
	}
	s->first_word = hotpath__slot(s, HOTPATH__COUNTER, 0);
	s->first_gauge = hotpath__slot(s, HOTPATH__GAUGE, 0);
	s->rings = hotpath__address(hotpath__ring_at(s, 0)) - (UINT64_C(1) << HOTPATH__RING_SHIFT);
#ifdef HOTPATH__RSEQ
	/* glibc 2.36 says size 20 though mm_cid, at 24, is live: the kernel's word counts. */
	if (&__rseq_offset && &__rseq_size && __rseq_size != 0 && getauxval(27 /* AT_RSEQ_FEATURE_SIZE */) >= 28 && !s->small_)
		__atomic_store_n(&s->rseq, (uint64_t)__rseq_offset, __ATOMIC_RELAXED);
#endif
	if (s->transport == HOTPATH__W_EVENTS) {
		__atomic_store_n(&c->segment, *HOTPATH__FIELD(s->base, HOTPATH__OFF_SEGMENT_ID), __ATOMIC_RELAXED);
		hotpath__register(s, c);
	}
	if (s->transport == HOTPATH__W_URING) {
		hotpath__place_marks(s);
		__atomic_store_n(&s->uring.flushed, hotpath__clock(&s->uring), __ATOMIC_RELAXED);
		__atomic_fetch_or(&c->ready, INT64_MIN, __ATOMIC_RELAXED);
	}
	hotpath__open_stripes(s, c);
	__atomic_store_n(&c->started, 1, __ATOMIC_RELEASE);
	return 1;
}

/* After fork: leave the parent's segment, and with it the parent's lock, at once. */
HOTPATH__COLD void hotpath__forked_v1(void)
{
	struct hotpath__state *s = &hotpath__state_v1;

	if (hotpath__ctl_v1.ctl.started && s->pid == (uint64_t)hotpath__sys(SYS_getpid, 0, 0, 0, 0, 0, 0))
		return; /* another handler has counted in this child already */
	memset(&hotpath__ctl_v1.ctl, 0, sizeof hotpath__ctl_v1.ctl); /* where the kernel did not */
	if (s->base == NULL || s->where == HOTPATH__W_CLOSED)
		return;
	if (s->placed)
		hotpath__privatise(s);
	hotpath__close_memfd(s);
	hotpath__leave(s);
	s->where = HOTPATH__W_NOWHERE;
}

/* At exit, once for each file that includes this: tell what is not told yet. */
HOTPATH__COLD __attribute__((destructor)) void hotpath__exit_v1(void)
{
	struct hotpath__state *s = &hotpath__state_v1;

	if (s->transport == HOTPATH__W_URING)
		hotpath__flush_v1(s->uring.exiting ? HOTPATH__H_BATCH : HOTPATH__H_EXIT);
	s->uring.exiting = 1;
}

#if defined(__PIC__) && !defined(__PIE__)
/* At dlclose the mapping stays, with its counts, until the process ends; but nobody is left to keep a child out of it. */
HOTPATH__COLD __attribute__((destructor)) void hotpath__unload_v1(void)
{
	struct hotpath__state *s = &hotpath__state_v1;

	if (s->base) {
		hotpath__exit_v1();
		if (s->transport == HOTPATH__W_URING && !s->pinned) {
			if (s->watching)
				pthread_key_delete(s->key);
			if (hotpath__begin_telling(&hotpath__ctl_v1.ctl, hotpath__teller(), HOTPATH__WAIT))
				hotpath__hang_up(&s->uring, HOTPATH__W_HUNG_UP, 0);
		}
		if (s->transport == HOTPATH__W_EVENTS && !s->pinned) { /* the loader has no names: this is no library, or an old libc */
			if (s->watching)
				pthread_key_delete(s->key);
			if (hotpath__ours(s->file))
				hotpath__unregister((long)(uint32_t)s->file - 1, &hotpath__ctl_v1.ctl);
		}
		hotpath__close_memfd(s); /* or children would keep its lock */
		s->where = HOTPATH__W_CLOSED;
		hotpath__sys(SYS_madvise, hotpath__address(s->base), s->total, HOTPATH__MADV_DONTFORK, 0, 0, 0);
	}
}
#endif

/* Before the lock is taken for the first time: a child must never find it held. */
static inline void hotpath__guard(struct hotpath__state *s)
{
	if (hotpath__likely(__atomic_load_n(&s->guarded, __ATOMIC_ACQUIRE) == 2))
		return;
	hotpath__sys(SYS_madvise, hotpath__address(&hotpath__ctl_v1), sizeof hotpath__ctl_v1, HOTPATH__MADV_WIPEONFORK, 0, 0, 0);
	if (__atomic_exchange_n(&s->guarded, 1, __ATOMIC_ACQ_REL) == 0) {
		pthread_atfork(NULL, NULL, hotpath__forked_v1);
#if defined(__PIC__) && !defined(__PIE__)
		hotpath__pin(s);
#endif
	}
	__atomic_store_n(&s->guarded, 2, __ATOMIC_RELEASE);
}

static inline const char *hotpath__identify(struct hotpath__identity *id, int kind, const char *name, const char *unit,
	const char *description, const hotpath_attr *attrs, size_t n_attrs)
{
	uint64_t i;

	memset(id, 0, sizeof *id);
	id->kind = kind;
	id->name = name ? name : "";
	id->unit = unit ? unit : "";
	id->description = description ? description : "";
	id->name_len = hotpath__length(id->name, HOTPATH__MAX_NAME);
	id->unit_len = hotpath__length(id->unit, HOTPATH__MAX_UNIT);
	if (id->name_len == 0 || id->name_len > HOTPATH__MAX_NAME)
		return "a name has 1 to 255 bytes";
	for (i = 0; i < id->name_len; i++) {
		char c = id->name[i];
		int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_' || c == '.' || c == '/' || c == '-')))
			return "a name is a letter, then letters, digits and _ . / -";
	}
	if (id->unit_len > HOTPATH__MAX_UNIT)
		return "a unit has at most 63 bytes";
	for (i = 0; i < id->unit_len; i++)
		if ((unsigned char)id->unit[i] >= 0x80)
			return "a unit is ASCII";
	for (i = 0; i < n_attrs && attrs; i++) {
		struct hotpath__pair pair = {attrs[i].key ? attrs[i].key : "", NULL, 0, 0, attrs[i].type};

		pair.key_len = hotpath__length(pair.key, HOTPATH__MAX_KEY);
		if (!hotpath__key_ok(pair.key, pair.key_len))
			return "an attribute's key is 1 to 255 bytes of UTF-8";
		if (pair.type == HOTPATH__TYPE_STRING)
			pair.string = attrs[i].value.s ? attrs[i].value.s : "";
		else if (pair.type >= HOTPATH__TYPE_INT64 && pair.type <= HOTPATH__TYPE_BOOL)
			memcpy(&pair.bits, &attrs[i].value, 8);
		else
			return "an attribute comes from HOTPATH_STR, _INT, _DOUBLE or _BOOL";
		if (!hotpath__pair_add(id, pair))
			return "a series has at most 64 attributes";
	}
	return NULL;
}

/* Make a series or find it, and return its slot. */
HOTPATH__COLD uint64_t hotpath__new_v1(int kind, const char *name, const char *unit, const char *description,
	const hotpath_attr *attrs, size_t n_attrs)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	struct hotpath__identity *id = &hotpath__scratch_v1.id;
	const char *problem;
	uint64_t mask, slot = 0;
	int saved = errno, registered;

	hotpath__guard(s);
	hotpath__lock(c, &mask);
	if (c->started || hotpath__start(s, c)) {
		problem = hotpath__identify(id, kind, name, unit, description, attrs, n_attrs);
		if (problem)
			hotpath__problem(s, problem, name);
		else
			slot = hotpath__series(s, id);
		if (slot == 0)
			__atomic_fetch_add(HOTPATH__FIELD(s->base, HOTPATH__OFF_REJECTED), 1, __ATOMIC_RELAXED);
	}
	registered = hotpath__registered(s);
	hotpath__unlock(c, &mask);
	hotpath__watch(s, registered, 0);
	if (s->transport == HOTPATH__W_URING)
		hotpath__flush_v1(HOTPATH__H_NEW);
	errno = saved;
	return slot;
}

/* ---- Slow path -------------------------------------------------------------- */

/* Whether there is anywhere to count. The first count of a child starts its segment. */
static inline int hotpath__started(struct hotpath__state *s)
{
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	int started = __atomic_load_n(&c->started, __ATOMIC_ACQUIRE) != 0, registered;
	uint64_t mask;

	if (hotpath__likely(started && !__atomic_load_n(&c->orphaned, __ATOMIC_RELAXED)))
		return 1;
	if (!started && (s->base == NULL || s->where == HOTPATH__W_NOMEM || s->where == HOTPATH__W_CLOSED))
		return 0;
	hotpath__lock(c, &mask);
	if (c->started == 0) {
		hotpath__start(s, c);
	} else if (c->orphaned) {
		if (s->where == HOTPATH__W_CLOSED)
			__atomic_store_n(&c->orphaned, 0, __ATOMIC_RELAXED);
		else
			hotpath__register(s, c);
		hotpath__open_stripes(s, c);
	}
	registered = hotpath__registered(s);
	hotpath__unlock(c, &mask);
	hotpath__watch(s, registered, mask != 0);
	return c->started != 0;
}

/* The concurrency id of the calling thread, or its CPU where stripes are chosen by that; -1 if it has none. */
static inline int64_t hotpath__id(const struct hotpath__state *s)
{
#ifdef HOTPATH__RSEQ
	if (s->rseq) {
		char *rseq = (char *)__builtin_thread_pointer() + s->rseq;
		int32_t cpu_id;
		uint32_t mm_cid;

		memcpy(&cpu_id, rseq + 4, 4);
		memcpy(&mm_cid, rseq + 24, 4);
#if HOTPATH__UNLOADABLE
		memset(rseq + 8, 0, 8);
#else
		if (cpu_id >= 0)
			hotpath__rseq_v1 = hotpath__address(rseq) + 1;
#endif
		return cpu_id < 0 ? -1 : (int64_t)mm_cid;
	}
#endif
	(void)s;
	return sched_getcpu();
}

/* Where to write events, opened anew if the application closed it; 0 for nowhere. */
static inline uint64_t hotpath__file(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t segment)
{
	uint64_t file = __atomic_load_n(&s->file, __ATOMIC_RELAXED), mask;
	int registered;

	if (hotpath__likely(file && hotpath__ours(file)))
		return file;
	if (file == 0 && __atomic_fetch_add(&s->attempts, 1, __ATOMIC_RELAXED) % 1024 != 0)
		return 0;
	hotpath__lock(c, &mask);
	if (c->segment == segment && (s->file == 0 || !hotpath__ours(s->file))) {
		hotpath__register(s, c);
		hotpath__open_stripes(s, c);
	}
	file = s->file;
	registered = hotpath__registered(s);
	hotpath__unlock(c, &mask);
	hotpath__watch(s, registered, mask != 0);
	return file;
}

/* Nothing is told of what the kernel refuses: EBADF says that nobody listens any more, and the next update carries it all. But it is
 * written again where the application has closed the descriptor since it was looked at. pwritev differs from writev in this: pipes and
 * sockets, which may have got the number, refuse it. */
static inline void hotpath__write(struct hotpath__state *s, struct hotpath__ctl *c, struct hotpath__event *event,
	const char *record, const uint64_t *buckets, uint64_t n)
{
	const char *resource = s->base + HOTPATH__AREA;
	uint32_t record_size = hotpath__get(record, HOTPATH__RECORD_SIZE, 4), resource_size = hotpath__get(resource, HOTPATH__RECORD_SIZE, 4);
	struct hotpath__part parts[4] = {
		{&event->index, HOTPATH__EVENT_INDEX_SIZE + HOTPATH__EVENT_HEADER_SIZE}, {record, record_size}, {resource, resource_size}, {buckets, 8 * n}
	};
	uint64_t file;
	int tries;

	/* size in the upper half, in the lower how far from the end of the field the bytes begin */
	event->record = record_size << 16 | 8;
	event->resource = resource_size << 16 | (4 + record_size);
	event->buckets = (uint32_t)(8 * n) << 16 | (record_size + resource_size);
	for (tries = 0; tries < 10; tries++) {
		file = hotpath__file(s, c, event->segment);
		event->index = (uint32_t)(file >> 32);
		/* In a child that a signal handler made since the update began, it was not the child's. */
		if (file == 0 || __atomic_load_n(&c->segment, __ATOMIC_RELAXED) != event->segment ||
			!hotpath__failed(hotpath__sys(SYS_pwritev, (uint32_t)file - 1, hotpath__address(parts), n ? 4 : 3, 0, 0, 0)) || hotpath__ours(file))
			return;
	}
}

/* One event after the other, with all buckets from the lowest to the highest that was ever used. */
static inline void hotpath__send_histogram(struct hotpath__state *s, struct hotpath__ctl *c, struct hotpath__event *event, const char *record,
	uint64_t slot, uint64_t stripes)
{
	uint64_t buckets[HOTPATH__EVENT_MAX_BUCKETS], *words, low = HOTPATH__HISTOGRAM_BUCKETS, high = 0, i, k, n;

	for (i = 0; i < stripes; i++) {
		words = hotpath__words(s, slot + HOTPATH__HISTOGRAM_FIRST_BUCKET, i);
		for (k = 0; k < low && __atomic_load_n(words + k, __ATOMIC_RELAXED) == 0; k++)
			;
		low = k;
		for (k = HOTPATH__HISTOGRAM_BUCKETS; k > high && __atomic_load_n(words + k - 1, __ATOMIC_RELAXED) == 0; k--)
			;
		high = k;
	}
	event->value = hotpath__total_sum(s, slot + HOTPATH__HISTOGRAM_SUM, stripes);
	event->zero = hotpath__total(s, slot + HOTPATH__HISTOGRAM_ZERO, stripes);
	do {
		n = high <= low ? 0 : high - low < HOTPATH__EVENT_MAX_BUCKETS ? high - low : (uint64_t)HOTPATH__EVENT_MAX_BUCKETS;
		for (k = 0; k < n; k++)
			buckets[k] = hotpath__total(s, slot + HOTPATH__HISTOGRAM_FIRST_BUCKET + low + k, stripes);
		event->first = (uint16_t)(n ? low : 0);
		low += n;
		event->flags = low < high ? HOTPATH__EVENT_FLAG_MORE : 0;
		hotpath__write(s, c, event, record, buckets, n);
	} while (low < high);
}

/* Send what a series has come to, if an add to this word of stripe 0 completes an update. First the add, then the number, then the
 * reading: so whoever has the highest number has read what everybody with a lower one added. */
HOTPATH__COLD void hotpath__send_v1(const uint64_t *word, uint64_t segment)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	uint64_t slot = (hotpath__address(word) - hotpath__address(s->base) - hotpath__stripes_offset(s)) / 8, stripes;
	uint64_t at = __atomic_load_n(HOTPATH__FIELD(s->base, hotpath__index_offset(s) + 8 * slot), __ATOMIC_ACQUIRE);
	char *record = s->base + HOTPATH__AREA + at;
	struct hotpath__event event;

	if (at == 0)
		return;
	memset(&event, 0, sizeof event);
	event.segment = segment;
	event.number = __atomic_add_fetch(HOTPATH__FIELD(record, -HOTPATH__NUMBER_SIZE), 1, __ATOMIC_ACQ_REL);
	event.start = *HOTPATH__FIELD(s->base, HOTPATH__OFF_START_TIME);
	memcpy(&event.instance_hi, s->base + HOTPATH__OFF_INSTANCE, 16);
	event.pid = (uint32_t)*HOTPATH__FIELD(s->base, HOTPATH__OFF_PID);
	memcpy(&slot, record + HOTPATH__RECORD_SLOT, 8); /* of the first word */
	event.series = (uint32_t)slot; /* gauges have a slot in the stripes here, so it is the series' own */
	stripes = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED), __ATOMIC_ACQUIRE);
	if (record[HOTPATH__RECORD_KIND] == HOTPATH__HISTOGRAM) {
		hotpath__send_histogram(s, c, &event, record, slot, stripes);
		return;
	}
	event.value = hotpath__total(s, slot, record[HOTPATH__RECORD_KIND] == HOTPATH__GAUGE ? 1 : stripes);
	hotpath__write(s, c, &event, record, NULL, 0);
}

/* Where to add atomically: NULL for nowhere. Returns 0 if the fast path can be taken now. The update is to be sent as an event if a segment
 * is given. */
static inline int hotpath__place(struct hotpath__state *s, uint64_t slot, uint64_t **word, uint64_t *segment)
{
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	int64_t ready = __atomic_load_n(&c->ready, __ATOMIC_ACQUIRE);
	uint64_t id, mask;

	*word = (uint64_t *)(uintptr_t)(slot - 1 - s->stripe_size);
	*segment = 0;
	if (hotpath__unlikely(ready <= 0 || slot == 0)) { /* while it is positive, counting has started and nobody has to register */
		if (slot == 0)
			hotpath__refuse_v1();
		if (slot == 0 || !hotpath__started(s)) {
			*word = NULL;
			return 1;
		}
		ready = __atomic_load_n(&c->ready, __ATOMIC_ACQUIRE);
		if (s->transport == HOTPATH__W_URING) {
			ready &= INT64_MAX;
		} else if (ready < 0) { /* to stripe 0, so that it comes before its number */
			*segment = __atomic_load_n(&c->segment, __ATOMIC_RELAXED);
			return 1;
		}
	}
#ifndef HOTPATH__RSEQ
	if (s->rseq && s->transport != HOTPATH__W_URING) /* the stripes belong to code that was compiled with rseq */
		return 1;
#endif
	id = (uint64_t)hotpath__id(s);
	if (hotpath__unlikely(id >= (uint64_t)ready)) {
		int grown = 0;
		if ((int64_t)id >= 0 && !__atomic_load_n(&c->full, __ATOMIC_RELAXED)) {
			hotpath__lock(c, &mask);
			if (c->started)
				grown = hotpath__grow(s, c, id + 1);
			hotpath__unlock(c, &mask);
		}
		if (!grown)
			return __atomic_load_n(&c->started, __ATOMIC_RELAXED) != 0; /* 0: a signal handler has forked meanwhile */
	}
	if (s->rseq && s->transport != HOTPATH__W_URING)
		return 0;
	*word = (uint64_t *)(uintptr_t)(slot - 1 + id * s->stripe_size);
	return 1;
}

/* A word of a stripe, or of the shared area, has changed, and is told if somebody wants to know. */
static inline void hotpath__changed(const struct hotpath__state *s, const uint64_t *word, uint64_t segment)
{
	if (s->transport == HOTPATH__W_URING)
		hotpath__mark_v1(word);
	else if (segment)
		hotpath__send_v1(word, segment);
}

/* These return 0 to have the fast path tried again. */
HOTPATH__WARM int hotpath__atomic_add_v1(uint64_t slot, uint64_t n)
{
	uint64_t *word, segment;

	if (!hotpath__place(&hotpath__state_v1, slot, &word, &segment))
		return 0;
	if (word == NULL)
		return 1;
	__atomic_fetch_add(word, n, __ATOMIC_SEQ_CST); /* before the mark is looked at */
	hotpath__changed(&hotpath__state_v1, word, segment);
	return 1;
}

HOTPATH__WARM int hotpath__atomic_sum_v1(uint64_t slot, double v)
{
	uint64_t old, bits, *word, segment;
	double sum;

	if (!hotpath__place(&hotpath__state_v1, slot, &word, &segment))
		return 0;
	if (word == NULL)
		return 1;
	old = __atomic_load_n(word, __ATOMIC_RELAXED);
	do {
		memcpy(&sum, &old, 8);
		sum += v;
		memcpy(&bits, &sum, 8);
	} while (!__atomic_compare_exchange_n(word, &old, bits, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	hotpath__changed(&hotpath__state_v1, word, segment);
	return 1;
}

HOTPATH__COLD int hotpath__slow_add_v1(uint64_t slot, uint64_t n)
{
	return hotpath__atomic_add_v1(slot, n);
}

HOTPATH__COLD int hotpath__slow_sum_v1(uint64_t slot, double v)
{
	return hotpath__atomic_sum_v1(slot, v);
}

HOTPATH__COLD void hotpath__refuse_v1(void)
{
	struct hotpath__state *s = &hotpath__state_v1;

	if (hotpath__started(s))
		__atomic_fetch_add(HOTPATH__FIELD(s->base, HOTPATH__OFF_REFUSED), 1, __ATOMIC_RELAXED);
}

HOTPATH__COLD void hotpath__slow_set_v1(uint64_t slot, uint64_t bits)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	uint64_t *word = (uint64_t *)(uintptr_t)slot, mask;

	if (slot == 0)
		hotpath__refuse_v1();
	if (slot == 0 || !hotpath__started(s))
		return;
	__atomic_store_n(word, bits, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) == 0 && !__atomic_load_n(&c->full, __ATOMIC_RELAXED)) {
		hotpath__lock(c, &mask); /* a process that has set gauges only, or is registering */
		if (c->started)
			hotpath__grow(s, c, 1);
		hotpath__unlock(c, &mask);
	}
	if (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) < 0)
		hotpath__changed(s, word, __atomic_load_n(&c->segment, __ATOMIC_RELAXED));
}

/* ---- Measurements: the slow path ----------------------------------------------- */

/* Map the doorbell of the directory, if it is not the one that is mapped. */
static inline void hotpath__look_for_bell(struct hotpath__state *s)
{
	static const char name[] = HOTPATH__DOORBELL;
	long flags = HOTPATH__O_NOFOLLOW | HOTPATH__O_NONBLOCK | HOTPATH__O_CLOEXEC, dir, fd;
	struct hotpath__bell *b = &s->bell;
	struct hotpath__statx st, directory;

	dir = hotpath__sys(SYS_openat, HOTPATH__AT_FDCWD, hotpath__address(s->path), HOTPATH__O_DIRECTORY | flags, 0, 0, 0);
	if (dir < 0)
		return;
	fd = hotpath__sys(SYS_openat, dir, hotpath__address(name), flags, 0, 0, 0);
	if (fd >= 0) {
		if (hotpath__stat((int)fd, "", &st) && hotpath__stat((int)dir, "", &directory) && (st.mode & HOTPATH__S_IFMT) == HOTPATH__S_IFREG &&
			hotpath__device(&st) == hotpath__device(&directory) && (st.ino != b->inode || hotpath__device(&st) != b->device) &&
			!hotpath__failed(hotpath__sys(SYS_mmap, b->page, s->page, HOTPATH__PROT_READ, HOTPATH__MAP_SHARED | (long)HOTPATH__MAP_FIXED, fd, 0))) {
			b->device = hotpath__device(&st);
			__atomic_store_n(&b->inode, st.ino, __ATOMIC_RELEASE);
		}
		hotpath__sys(SYS_close, fd, 0, 0, 0, 0, 0);
	}
	hotpath__sys(SYS_close, dir, 0, 0, 0, 0, 0);
}

/* Called with the lock held, for each ring. */
static inline void hotpath__hang_bell(struct hotpath__state *s)
{
	if (s->where != HOTPATH__W_SHM || s->bell.page)
		return;
	__atomic_store_n(&s->bell.page, hotpath__address(hotpath__map(NULL, s->page, -1)), __ATOMIC_RELAXED);
	if (s->bell.page)
		hotpath__look_for_bell(s);
}

/* Returns whether somebody waited. */
static inline int hotpath__ring_bell(const struct hotpath__bell *b)
{
	return __atomic_load_n(&b->inode, __ATOMIC_ACQUIRE) != 0 && hotpath__sys(SYS_futex, b->page, HOTPATH__FUTEX_WAKE, HOTPATH__DOORBELL_WAITERS, 0, 0, 0) > 0;
}

static inline uint64_t hotpath__coarse_now(void)
{
	uint64_t t[2] = {0, 0};

	hotpath__clock_gettime(HOTPATH__CLOCK_MONOTONIC_COARSE, t);
	return t[0] * 1000000000 + t[1];
}

/* Wake a collector, as a quarter of a ring was filled. Another one may have come and made the file anew, also where somebody waits at the old one. */
HOTPATH__COLD void hotpath__wake_v1(void)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__bell *b = &s->bell;
	uint64_t now, looked, rest = HOTPATH__RETRY;

	if (s->where != HOTPATH__W_SHM || __atomic_load_n(&b->page, __ATOMIC_RELAXED) == 0)
		return;
	if (hotpath__ring_bell(b))
		rest *= 10;
	now = hotpath__coarse_now();
	looked = __atomic_load_n(&b->looked, __ATOMIC_RELAXED);
	if (now - looked < rest || !__atomic_compare_exchange_n(&b->looked, &looked, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	hotpath__look_for_bell(s);
	hotpath__ring_bell(b);
}

/* Reserve a further ring, and return its number plus 1, or 0. Called with the lock held. */
static inline uint16_t hotpath__new_ring(struct hotpath__state *s, struct hotpath__ctl *c)
{
	uint64_t *used = HOTPATH__FIELD(s->base, HOTPATH__OFF_RINGS_USED), i = *used, again = UINT64_MAX;

	if (i < s->ring_count && s->placed && !s->detached) {
		if (hotpath__reserve(s, hotpath__ring_at(s, i), 0, HOTPATH__RING_USED, 1) == 0) {
			__atomic_store_n(used, i + 1, __ATOMIC_RELEASE);
			hotpath__hang_bell(s);
			return (uint16_t)(i + 1);
		}
		/* Part of a ring is of no use here, and may be what others lack. */
		hotpath__sys(SYS_madvise, hotpath__address(hotpath__ring_at(s, i)), HOTPATH__RING_USED, HOTPATH__MADV_REMOVE, 0, 0, 0);
		again = hotpath__coarse_now() + HOTPATH__RETRY;
	}
	__atomic_store_n(&c->rings_again, again, __ATOMIC_RELAXED);
	return 0;
}

/* Whether it may be that a further ring can be had. */
static inline int hotpath__ring_to_be_had(const struct hotpath__ctl *c)
{
	uint64_t again = __atomic_load_n(&c->rings_again, __ATOMIC_RELAXED);

	return again == 0 || (again != UINT64_MAX && hotpath__coarse_now() >= again);
}

/* The ring of a concurrency id, made if need be. */
static inline int hotpath__own_ring(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t id)
{
	uint64_t mask;

	if (id >= HOTPATH__RING_IDS)
		return 0;
	if (__atomic_load_n(&c->rings[id], __ATOMIC_ACQUIRE) == 0 && hotpath__ring_to_be_had(c)) {
		hotpath__lock(c, &mask);
		if (c->started && c->rings[id] == 0)
			__atomic_store_n(&c->rings[id], hotpath__new_ring(s, c), __ATOMIC_RELEASE);
		hotpath__unlock(c, &mask);
	}
	return __atomic_load_n(&c->rings[id], __ATOMIC_ACQUIRE) != 0;
}

/* A ring that is ours until it is unlocked, NULL if there is none. One is made where all are taken or, where that cannot be, those are
 * let run who were preempted with theirs. */
static inline char *hotpath__lock_ring(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t first)
{
	int yielded = 0;

	for (;;) {
		uint32_t n = __atomic_load_n(&c->shared_count, __ATOMIC_ACQUIRE), i;
		uint16_t made = 0;
		uint64_t mask;
		for (i = 0; i < n; i++) {
			uint64_t number = __atomic_load_n(&c->shared_rings[(first + i) % n], __ATOMIC_RELAXED);
			char *ring = hotpath__ring_at(s, number - 1);
			uint32_t unlocked = 0;
			if (number == 0) /* in a child that a signal handler made just now */
				return NULL;
			if (__atomic_compare_exchange_n((uint32_t *)(void *)(ring + HOTPATH__RING_LOCK), &unlocked, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return ring;
		}
		if (n == HOTPATH__SHARED_RINGS || !hotpath__ring_to_be_had(c)) {
			if (n == 0 || yielded++ == HOTPATH__YIELDS)
				return NULL;
			hotpath__sys(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
			continue;
		}
		hotpath__lock(c, &mask);
		if (c->started && c->shared_count == n && (made = hotpath__new_ring(s, c)) != 0) {
			__atomic_store_n(&c->shared_rings[n], made, __ATOMIC_RELAXED);
			__atomic_store_n(&c->shared_count, n + 1, __ATOMIC_RELEASE);
		}
		hotpath__unlock(c, &mask);
		if (__atomic_load_n(&c->started, __ATOMIC_RELAXED) == 0)
			return NULL;
	}
}

/* Write a measurement into a ring that is locked. Returns 0 in a child that a signal handler has made since: that ring is its parent's. */
static inline int hotpath__write_ring(const struct hotpath__state *s, const struct hotpath__ctl *c, char *ring, uint64_t pid, const uint64_t *words, uint64_t n)
{
	uint64_t *head = HOTPATH__FIELD(ring, HOTPATH__RING_HEAD), at = __atomic_load_n(head, __ATOMIC_RELAXED), i, trailer;
	uint64_t *place = HOTPATH__FIELD(ring, HOTPATH__RING_FIRST);

	trailer = place[(at - 1) % HOTPATH__RING_WORDS] >> HOTPATH__TRAILER_WORDS_BITS;
	/* These come after the head of the one before, since the lock was taken after it; on other processors it takes more for third parties to see that. */
#if !defined(__x86_64__) && !defined(__aarch64__)
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
	for (i = 0; i < n; i++)
		__atomic_store_n(&place[(at + i) % HOTPATH__RING_WORDS], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&place[(at + n) % HOTPATH__RING_WORDS], (trailer + 1) << HOTPATH__TRAILER_WORDS_BITS | (n + 1), __ATOMIC_RELAXED);
	if (__atomic_load_n(&c->started, __ATOMIC_RELAXED) == 0 || __atomic_load_n(&s->pid, __ATOMIC_RELAXED) != pid)
		return 0;
	__atomic_store_n(head, at + n + 1, __ATOMIC_RELEASE);
	__atomic_store_n((uint32_t *)(void *)(ring + HOTPATH__RING_LOCK), 0, __ATOMIC_RELEASE);
	if ((at ^ (at + n + 1)) / (HOTPATH__RING_WORDS / 4))
		hotpath__wake_v1();
	return 1;
}

/* ---- Where updates are sent, a measurement is one of the series that has all the attributes */

/* Add the attributes at `from` to an identity; strings end with a zero where they are copied to. */
static inline int hotpath__add_attributes(struct hotpath__identity *id, const char *from, uint32_t n, char (*strings)[HOTPATH__MAX_STRING + 1])
{
	for (; n > 0; n--, strings++) {
		struct hotpath__attribute head;
		struct hotpath__pair pair = {from + sizeof head, NULL, 0, 0, 0};
		const char *value;

		memcpy(&head, from, sizeof head);
		pair.key_len = head.key_len;
		pair.type = head.type;
		value = pair.key + head.key_len;
		if (head.type == HOTPATH__TYPE_STRING) {
			memcpy(*strings, value, head.value_len);
			(*strings)[head.value_len] = 0;
			pair.string = *strings;
		} else {
			memcpy(&pair.bits, value, 8);
		}
		if (!hotpath__pair_add(id, pair))
			return 0;
		from += hotpath__pad(sizeof head + head.key_len + head.value_len);
	}
	return 1;
}

/* The record of a handle. */
static inline const char *hotpath__record_of(const struct hotpath__state *s, uint64_t slot)
{
	const char *record = s->base + HOTPATH__AREA, *end = record + s->catalogue_end;
	uint64_t word;

	for (record += hotpath__get(record, HOTPATH__RECORD_SIZE, 4); record < end; record += hotpath__get(record, HOTPATH__RECORD_SIZE, 4)) {
		record += hotpath__number_size(s);
		memcpy(&word, record + HOTPATH__RECORD_SLOT, 8);
		if (hotpath__slot(s, record[HOTPATH__RECORD_KIND], word) == slot)
			return record;
	}
	return NULL;
}

/* Make the series, or find it. The attributes are those of a measurement; NULL for all that are too many. Called with the lock held. */
static inline uint64_t hotpath__joint(struct hotpath__state *s, uint64_t slot, const char *attributes, uint32_t n)
{
	struct hotpath__identity *id = &hotpath__scratch_v1.id;
	const char *record = hotpath__record_of(s, slot);
	uint32_t description;

	if (record == NULL)
		return 0;
	if (record[HOTPATH__RECORD_FLAGS] & HOTPATH__FLAG_OVERFLOW)
		return slot;
	memset(id, 0, sizeof *id);
	id->kind = record[HOTPATH__RECORD_KIND];
	id->name = record + HOTPATH__RECORD_HEADER_SIZE;
	id->name_len = hotpath__get(record, HOTPATH__RECORD_NAME_LEN, 2);
	id->unit = id->name + id->name_len;
	id->unit_len = hotpath__get(record, HOTPATH__RECORD_UNIT_LEN, 2);
	if (attributes == NULL)
		return hotpath__fold(s, id);
	description = hotpath__get(record, HOTPATH__RECORD_DESCRIPTION_LEN, 4);
	id->description = (char *)memcpy(hotpath__scratch_v1.description, id->unit + id->unit_len, description);
	hotpath__scratch_v1.description[description] = 0;
	return hotpath__add_attributes(id, record + hotpath__attributes_offset(record), hotpath__get(record, HOTPATH__RECORD_ATTRIBUTES, 2), hotpath__scratch_v1.strings) &&
		hotpath__add_attributes(id, attributes, n, hotpath__scratch_v1.strings + HOTPATH__MAX_ATTRIBUTES) ? hotpath__series(s, id) : 0;
}

/* What is known of a set of attributes: its series, then the handle, then how many bytes of attributes follow. */
struct hotpath__set { uint64_t series, slot, size; };

static inline struct hotpath__set *hotpath__set_at(const struct hotpath__state *s, uint64_t place)
{
	return (struct hotpath__set *)(void *)(s->sets_bytes + 8 * place);
}

/* The place of a set in the table, or the empty one where it belongs. */
static inline uint32_t *hotpath__find_set(const struct hotpath__state *s, uint64_t slot, const char *attributes, uint64_t size)
{
	uint64_t i = hotpath__finish(hotpath__fnv(slot, attributes, size));

	for (;; i++) {
		uint32_t *place = &s->sets[i % HOTPATH__SETS], at = __atomic_load_n(place, __ATOMIC_ACQUIRE);
		const struct hotpath__set *set = hotpath__set_at(s, at);
		if (at == 0 || (set->slot == slot && set->size == size && memcmp(set + 1, attributes, (size_t)size) == 0))
			return place;
	}
}

static inline uint64_t hotpath__known(const struct hotpath__state *s, uint64_t slot, const char *attributes, uint64_t size)
{
	uint32_t at = __atomic_load_n(&s->sets, __ATOMIC_ACQUIRE) ? __atomic_load_n(hotpath__find_set(s, slot, attributes, size), __ATOMIC_ACQUIRE) : 0;

	return at ? hotpath__set_at(s, at)->series : 0;
}

/* Called with the lock held. */
static inline int hotpath__prepare_sets(struct hotpath__state *s)
{
	char *table;

	if (s->sets)
		return 1;
	table = hotpath__allocate(HOTPATH__SETS * sizeof *s->sets + HOTPATH__SETS_SIZE);
	if (table == NULL)
		return 0;
	s->sets_bytes = table + HOTPATH__SETS * sizeof *s->sets;
	s->sets_used = 1;
	__atomic_store_n(&s->sets, (uint32_t *)(void *)table, __ATOMIC_RELEASE);
	return 1;
}

static inline void hotpath__remember(struct hotpath__state *s, uint64_t slot, const char *attributes, uint64_t size, uint64_t series)
{
	const struct hotpath__set set = {series, slot, size};
	uint64_t at = s->sets_used;

	memcpy(hotpath__set_at(s, at), &set, sizeof set);
	memcpy(hotpath__set_at(s, at) + 1, attributes, (size_t)size);
	s->sets_used = at + (sizeof set + size) / 8;
	s->sets_count++;
	__atomic_store_n(hotpath__find_set(s, slot, attributes, size), (uint32_t)at, __ATOMIC_RELEASE);
}

/* The series of a set, for which the lock is taken once. Three quarters of the room are for sets. What is beyond goes to the handle's
 * overflow series, which is that of an empty set. */
static inline uint64_t hotpath__set_series(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t slot, const char *attributes, uint32_t n, uint64_t size)
{
	uint64_t mask, series = hotpath__known(s, slot, attributes, size);

	if (series == 0 && __atomic_load_n(&s->sets_full, __ATOMIC_RELAXED))
		series = hotpath__known(s, slot, attributes, 0);
	if (series)
		return series;
	hotpath__lock(c, &mask);
	if (c->started && hotpath__prepare_sets(s)) {
		if (s->sets_count >= HOTPATH__SETS / 2 || 8 * s->sets_used + sizeof(struct hotpath__set) + size > HOTPATH__SETS_SIZE / 4 * 3)
			__atomic_store_n(&s->sets_full, 1, __ATOMIC_RELAXED);
		if (s->sets_full)
			size = 0;
		series = hotpath__known(s, slot, attributes, size);
		if (series == 0) {
			series = hotpath__joint(s, slot, size ? attributes : NULL, n);
			if (series)
				hotpath__remember(s, slot, attributes, size, series);
		}
	}
	hotpath__unlock(c, &mask);
	return series;
}

static inline void hotpath__count_with(struct hotpath__state *s, struct hotpath__ctl *c, uint64_t slot, const uint64_t *words, uint64_t n)
{
	struct hotpath__measurement head;
	const char *attributes = (const char *)words + HOTPATH__MEASUREMENT_HEADER_SIZE;
	uint64_t series;
	double v;

	memcpy(&head, words, sizeof head);
	if (head.kind == HOTPATH__GAUGE)
		attributes += 8;
	series = hotpath__set_series(s, c, slot, attributes, head.attributes, (uint64_t)((const char *)(words + n) - attributes));
	memcpy(&v, &head.value, sizeof v);
	if (series == 0) {
		hotpath__refuse_v1();
	} else if (head.kind == HOTPATH__GAUGE) {
		hotpath_gauge gauge = {series};
		hotpath_gauge_set(gauge, v);
	} else if (head.kind == HOTPATH__HISTOGRAM) {
		hotpath_histogram histogram = {series};
		hotpath_histogram_record(histogram, v);
	} else {
		hotpath__add(series, head.value);
	}
}

/* Record where the fast path cannot. Returns 0 to have it tried again. */
HOTPATH__COLD int hotpath__slow_with_v1(uint64_t slot, const uint64_t *words, uint64_t n)
{
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	int started = hotpath__started(s);
	int64_t id = hotpath__id(s);
	uint64_t pid = __atomic_load_n(&s->pid, __ATOMIC_RELAXED);
	char *ring;

	if (!started)
		return 1;
	if (hotpath__updates(s)) {
		hotpath__count_with(s, c, slot, words, n);
		return 1;
	}
#ifdef HOTPATH__RSEQ_RINGS
	if (s->rseq && id >= 0 && hotpath__own_ring(s, c, (uint64_t)id))
		return 0;
#endif
	ring = hotpath__lock_ring(s, c, (uint64_t)id);
	if (ring)
		return hotpath__write_ring(s, c, ring, pid, words, n);
	if (__atomic_load_n(&c->started, __ATOMIC_RELAXED) == 0) /* a signal handler has forked meanwhile */
		return 0;
	__atomic_fetch_add(HOTPATH__FIELD(s->base, HOTPATH__OFF_UNRECORDED), 1, __ATOMIC_RELAXED);
	return 1;
}

/* The length of the part of a text that is recorded. */
HOTPATH__COLD uint64_t hotpath__cut_v1(const char *text)
{
	uint64_t n = HOTPATH__MAX_STRING;

	while (n > HOTPATH__MAX_STRING - 3 && (text[n] & 0xc0) == 0x80) /* in a character, which has 4 bytes at most */
		n--;
	return n;
}

/* Record what fits into this many words, one of which stays free. Returns 0 if it does not, or cannot be. */
static inline __attribute__((always_inline)) int hotpath__record_within(uint64_t *words, uint64_t size, int kind, uint64_t slot, uint64_t bits,
	const hotpath_attr *attrs, size_t n_attrs)
{
	char *at = hotpath__begin(words, kind, slot, bits, n_attrs);
	size_t i;

	for (i = 0; i < n_attrs && at; i++)
		at = hotpath__append(at, (const char *)(words + size), &attrs[i]);
	if (at)
		hotpath__commit(slot, words, (uint64_t)(at - (char *)words) / 8);
	return at != NULL;
}

HOTPATH__WARM void hotpath__with_v1(int kind, uint64_t slot, uint64_t bits, const hotpath_attr *attrs, size_t n_attrs)
{
	uint64_t words[HOTPATH__INLINE_WORDS];

	if (slot == 0 || n_attrs > HOTPATH__MAX_ATTRIBUTES)
		hotpath__refuse_v1();
	else if (!hotpath__record_within(words, HOTPATH__INLINE_WORDS, kind, slot, bits, attrs, n_attrs))
		hotpath__large_v1(kind, slot, bits, attrs, n_attrs);
}

/* A function of its own, since stacks may be small. */
HOTPATH__COLD void hotpath__large_v1(int kind, uint64_t slot, uint64_t bits, const hotpath_attr *attrs, size_t n_attrs)
{
	uint64_t words[HOTPATH__MAX_MEASUREMENT];

	if (!hotpath__record_within(words, HOTPATH__MAX_MEASUREMENT, kind, slot, bits, attrs, n_attrs))
		hotpath__refuse_v1();
}

/* What to do where an error keeps segments from a directory. */
static inline const char *hotpath__advice(uint32_t error)
{
	switch (error) {
	case ENOENT: return "; create it or set HOTPATH_DIR";
	case ENOTDIR: case ELOOP: case ENAMETOOLONG: return "; set HOTPATH_DIR to a directory";
	case EACCES: return "; give this user the right to write there or set HOTPATH_DIR";
	case EROFS: return "; set HOTPATH_DIR to a directory that can be written to";
	case EOPNOTSUPP: return "; set HOTPATH_DIR to a directory on tmpfs";
	case ENOSPC: case EDQUOT: return "; make room there or set HOTPATH_DIR";
	case EMFILE: return "; raise the limit (ulimit -n)";
	default: return "";
	}
}

/* Why nothing is published, or not in the way that was tried first. */
static inline int hotpath__why(const struct hotpath__state *s, char *text, size_t size, uint32_t where, uint32_t error)
{
	const char *why = strerror((int)error), *advice = hotpath__advice(error);

	switch ((enum hotpath__where)where) {
	case HOTPATH__W_TRANSPORT: return snprintf(text, size, "this version knows HOTPATH_TRANSPORT shm, bpf, user_events, io_uring and off only");
	case HOTPATH__W_RELATIVE: return snprintf(text, size, "HOTPATH_DIR=%.255s is not an absolute path", s->path);
	case HOTPATH__W_DIRECTORY: return snprintf(text, size, "cannot open %.255s: %s%s", s->path, why, advice);
	case HOTPATH__W_CROWDED: return snprintf(text, size, "%.255s has more than %d entries; is a collector running?", s->path, HOTPATH__DIR_ENTRIES);
	case HOTPATH__W_FULL: return snprintf(text, size, "the file system of %.255s is nearly full", s->path);
	case HOTPATH__W_FILE: return snprintf(text, size, "cannot create a file in %.255s: %s%s", s->path, why, advice);
	case HOTPATH__W_LIMIT: return snprintf(text, size, "the file size limit (ulimit -f) is below the segment's %lu bytes, which are sparse", (unsigned long)s->total);
	case HOTPATH__W_MAP: return snprintf(text, size, "no address space for a segment (ulimit -v, -l)");
	case HOTPATH__W_RESERVE: return snprintf(text, size, "cannot reserve memory in %.255s: %s%s", s->path, why, advice);
	case HOTPATH__W_LINK: return snprintf(text, size, "cannot link a file into %.255s: %s%s", s->path, why, advice);
	case HOTPATH__W_MEMFD_FILE: return snprintf(text, size, "cannot make a memfd: %s%s", why, error == ENOSYS || error == EPERM ? "; a seccomp filter may forbid memfd_create, ftruncate, flock or statx" : "");
	case HOTPATH__W_MEMFD_RESERVE: return snprintf(text, size, "cannot reserve memory for a memfd: %s", why);
	case HOTPATH__W_SEAL: return snprintf(text, size, "cannot seal a memfd, which takes Linux 5.1: %s", why);
	case HOTPATH__W_TRACEFS: return snprintf(text, size, "tracefs is not mounted at /sys/kernel/tracing (mount -t tracefs tracefs /sys/kernel/tracing; a container needs the host's), then start this process again");
	case HOTPATH__W_UNSUPPORTED: return snprintf(text, size, "this kernel has no user_events, which take Linux 6.4 and CONFIG_USER_EVENTS=y (Ubuntu 23.10, Azure Linux 3, WSL2); HOTPATH_TRANSPORT=shm works on any");
	case HOTPATH__W_DENIED: return snprintf(text, size, "may not write to /sys/kernel/tracing/user_events_data: %s; give a group of this process's the right (chgrp and chmod g+w on it, chgrp and chmod g+x on the directory), then start this process again", why);
	case HOTPATH__W_OPEN: return snprintf(text, size, "cannot open /sys/kernel/tracing/user_events_data: %s", why);
	case HOTPATH__W_DECLARED: return snprintf(text, size, "some program declared the event " HOTPATH__EVENT_NAME " with other fields (/sys/kernel/tracing/events/user_events/" HOTPATH__EVENT_NAME "/format); end it, then start this process again");
	case HOTPATH__W_REGISTER: return snprintf(text, size, "cannot register the event " HOTPATH__EVENT_NAME ": %s%s", why, error == EMFILE ? "; the host has no room for more events: raise kernel.user_events_max (sysctl), then start this process again" : "");
	case HOTPATH__W_SOCKET: return snprintf(text, size, "cannot make a socket: %s", why);
	case HOTPATH__W_SOCKET_NAME: return snprintf(text, size, "HOTPATH_SOCKET is longer than 107 bytes");
	case HOTPATH__W_CONNECT: return snprintf(text, size, "%s%s", why, error == ENOENT || error == ECONNREFUSED ? "; is a Collector with the source io_uring running?" :
		error == EACCES ? "; give this user the right to write there" : "");
	case HOTPATH__W_SILENT: return snprintf(text, size, "it has not answered yet");
	case HOTPATH__W_REFUSED: return snprintf(text, size, "it refused: %s", s->uring.sentence);
	case HOTPATH__W_GARBAGE: return snprintf(text, size, "what answers there is no Collector, or one of another version");
	case HOTPATH__W_HUNG_UP: return snprintf(text, size, "it hung up");
	case HOTPATH__W_OVERFLOW: return snprintf(text, size, "it did not read its queue, which ran over");
	case HOTPATH__W_LOST: return snprintf(text, size, "the program closed the client's descriptors");
	case HOTPATH__W_RING: return snprintf(text, size, "cannot make a ring: %s", why);
	case HOTPATH__W_NO_RING: return snprintf(text, size, "io_uring cannot be used: %s%s", why, error == EPERM ? " (sysctl kernel.io_uring_disabled, or a seccomp filter as containers have)" :
		error == ENOSYS ? " (an old kernel, or a seccomp filter)" : "");
	case HOTPATH__W_NO_MESSAGES: return snprintf(text, size, "io_uring has no messages between rings, which take Linux 5.18");
	default: return 0;
	}
}

HOTPATH__COLD const char *hotpath__status_v1(void)
{
	static __thread char text[1024];
	struct hotpath__state *s = &hotpath__state_v1;
	struct hotpath__ctl *c = &hotpath__ctl_v1.ctl;
	unsigned long series;
	uint64_t mask, unrecorded;
	int n = 0;

	if (__atomic_load_n(&s->guarded, __ATOMIC_ACQUIRE) == 0)
		return "hotpath: no series yet";
	hotpath__guard(s);
	hotpath__lock(c, &mask);
	series = (unsigned long)(s->series + s->overflows);
#define HOTPATH__SAY(...) n += snprintf(text + n, sizeof text - (size_t)n, __VA_ARGS__)
#define HOTPATH__SAY_WHY(where, error) n += hotpath__why(s, text + n, sizeof text - (size_t)n, where, error)
	HOTPATH__SAY("hotpath: ");
	switch ((enum hotpath__where)s->where) {
	case HOTPATH__W_SHM: HOTPATH__SAY("publishing %lu series in %.255s/%s", series, s->path, s->name); break;
	case HOTPATH__W_MEMFD:
		if (s->no_shm) {
			HOTPATH__SAY_WHY(s->no_shm, s->no_shm_error);
			HOTPATH__SAY("; published as a memfd for a Collector with the source bpf");
		} else {
			HOTPATH__SAY("publishing %lu series as a memfd for a Collector with the source bpf", series);
		}
		break;
	case HOTPATH__W_EVENTS:
		HOTPATH__SAY("sending %lu series as user_events while a collector listens, which %s now", series,
			__atomic_load_n(&c->ready, __ATOMIC_RELAXED) < 0 ? "one does" : "none does");
		break;
	case HOTPATH__W_URING:
		if (__atomic_load_n(&s->uring.phase, __ATOMIC_ACQUIRE) == HOTPATH__P_READY) {
			HOTPATH__SAY("telling %lu series to the Collector at %s by io_uring", series, s->uring.name);
		} else {
			HOTPATH__SAY("counting in private memory until a Collector answers at %s: ", s->uring.name);
			HOTPATH__SAY_WHY(__atomic_load_n(&s->uring.where, __ATOMIC_ACQUIRE), __atomic_load_n(&s->uring.error, __ATOMIC_RELAXED));
		}
		break;
	case HOTPATH__W_OFF: HOTPATH__SAY("counting in private memory, as HOTPATH_TRANSPORT=off asks"); break;
	case HOTPATH__W_NOMEM: HOTPATH__SAY("not counting: no memory"); break;
	case HOTPATH__W_CLOSED: HOTPATH__SAY("this library was unloaded"); break;
	case HOTPATH__W_NOWHERE: HOTPATH__SAY("this process has not counted yet"); break;
	default:
		HOTPATH__SAY("counting in private memory: ");
		if (s->no_shm) {
			HOTPATH__SAY_WHY(s->no_shm, s->no_shm_error);
			HOTPATH__SAY("; and ");
		}
		HOTPATH__SAY_WHY(s->where, s->error);
	}
	if (s->no_uring) {
		HOTPATH__SAY("; ");
		HOTPATH__SAY_WHY(s->no_uring, s->no_uring_error);
	}
	if (s->oversized)
		HOTPATH__SAY("; %u of them are too long for an event and stay in private memory", s->oversized);
	if (s->base && (unrecorded = __atomic_load_n(HOTPATH__FIELD(s->base, HOTPATH__OFF_UNRECORDED), __ATOMIC_RELAXED)) != 0)
		HOTPATH__SAY("; %lu measurements with attributes of their own went unrecorded", (unsigned long)unrecorded);
	if (s->detached)
		HOTPATH__SAY("; the latest series are in private memory, since no more could be reserved");
	if (s->problems)
		HOTPATH__SAY("; %u refused, the last: %s", s->problems, s->problem);
#undef HOTPATH__SAY_WHY
#undef HOTPATH__SAY
	hotpath__unlock(c, &mask);
	return text;
}

/* ---- The rest of the interface ------------------------------------------------ */

static inline hotpath_counter hotpath_counter_new(const char *name, const char *unit, const char *description,
	const hotpath_attr *attrs, size_t n_attrs)
{
	hotpath_counter handle = {hotpath__new_v1(HOTPATH__COUNTER, name, unit, description, attrs, n_attrs)};
	return handle;
}

static inline hotpath_updowncounter hotpath_updowncounter_new(const char *name, const char *unit, const char *description,
	const hotpath_attr *attrs, size_t n_attrs)
{
	hotpath_updowncounter handle = {hotpath__new_v1(HOTPATH__UPDOWNCOUNTER, name, unit, description, attrs, n_attrs)};
	return handle;
}

static inline hotpath_gauge hotpath_gauge_new(const char *name, const char *unit, const char *description,
	const hotpath_attr *attrs, size_t n_attrs)
{
	hotpath_gauge handle = {hotpath__new_v1(HOTPATH__GAUGE, name, unit, description, attrs, n_attrs)};
	return handle;
}

static inline hotpath_histogram hotpath_histogram_new(const char *name, const char *unit, const char *description,
	const hotpath_attr *attrs, size_t n_attrs)
{
	hotpath_histogram handle = {hotpath__new_v1(HOTPATH__HISTOGRAM, name, unit, description, attrs, n_attrs)};
	return handle;
}

static inline hotpath_attr hotpath__str(const char *key, const char *value)
{
	hotpath_attr attr;
	attr.key = key;
	attr.type = HOTPATH__TYPE_STRING;
	attr.value.s = value;
	return attr;
}

static inline hotpath_attr hotpath__int(const char *key, int64_t value)
{
	hotpath_attr attr;
	attr.key = key;
	attr.type = HOTPATH__TYPE_INT64;
	attr.value.i = value;
	return attr;
}

static inline hotpath_attr hotpath__double(const char *key, double value)
{
	hotpath_attr attr;
	attr.key = key;
	attr.type = HOTPATH__TYPE_DOUBLE;
	attr.value.d = value;
	return attr;
}

static inline hotpath_attr hotpath__bool(const char *key, int value)
{
	hotpath_attr attr;
	attr.key = key;
	attr.type = HOTPATH__TYPE_BOOL;
	attr.value.i = value != 0;
	return attr;
}

static inline void hotpath_flush(void)
{
	hotpath__flush_v1(HOTPATH__H_NOW);
}

static inline const char *hotpath_status(void)
{
	return hotpath__status_v1();
}

#ifdef __cplusplus
}
#endif

/* ---- Static probes ------------------------------------------------------------- */

/* The note that debuggers and tracers read (name stapsdt, type 3): the addresses of the nop, of a byte that tells them how far the file was moved
 * since, and of a semaphore, which there is none of; provider, name and arguments. An argument is its size, negative
 * if it has a sign, an @, and where it is: in a register, widened to 64 bits, or in the note itself, if it is a constant. What
 * pointers point to is in memory by then. */
#define HOTPATH__USDT(provider, name, arguments, ...)                                                \
	__asm__ volatile(                                                                                \
		"981:\n\t"                                                                                   \
		"nop\n\t"                                                                                    \
		".pushsection .note.stapsdt, \"?\", \"note\"\n\t" /* ?: in the function's COMDAT group, if it has one */ \
		".balign 4\n\t"                                                                              \
		".4byte 983f - 982f, 985f - 984f, 3\n"                                                       \
		"982:\n\t"                                                                                   \
		".asciz \"stapsdt\"\n"                                                                       \
		"983:\n\t"                                                                                   \
		".balign 4\n"                                                                                \
		"984:\n\t"                                                                                   \
		".8byte 981b, _.stapsdt.base, 0\n\t"                                                         \
		".asciz \"" #provider "\"\n\t"                                                               \
		".asciz \"" #name "\"\n\t"                                                                   \
		".asciz \"" arguments "\"\n"                                                                 \
		"985:\n\t"                                                                                   \
		".balign 4\n\t"                                                                              \
		".popsection\n\t"                                                                            \
		".ifndef _.stapsdt.base\n\t"                                                                 \
		".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n\t"                \
		".weak _.stapsdt.base\n\t"                                                                   \
		".hidden _.stapsdt.base\n"                                                                   \
		"_.stapsdt.base:\n\t"                                                                        \
		".byte 0\n\t"                                                                                \
		".size _.stapsdt.base, 1\n\t"                                                                \
		".popsection\n\t"                                                                            \
		".endif"                                                                                     \
		:                                                                                            \
		: __VA_ARGS__                                                                                \
		: "memory")

#ifdef __cplusplus
template <typename T, bool = std::is_enum<T>::value> struct hotpath__usdt { /* as an enumeration may have none of the operators */
	typedef typename std::underlying_type<T>::type type;
	enum { size = std::is_signed<type>::value ? -(int)sizeof(T) : (int)sizeof(T) };
};
template <typename T> struct hotpath__usdt<T, false> {
	static_assert(std::is_integral<T>::value || std::is_pointer<T>::value || std::is_null_pointer<T>::value, "an argument of HOTPATH_USDT is an integer or a pointer");
	enum { size = std::is_signed<T>::value ? -(int)sizeof(T) : (int)sizeof(T) };
};
#define HOTPATH__USDT_SIZE(x) ((int)hotpath__usdt<typename std::decay<decltype(x)>::type>::size)
#else
#define HOTPATH__USDT_SIZE(x)                                                                        \
	_Generic((x), char: (char)-1 < 0 ? -1 : 1, signed char: -1, short: -2, int: -4, long: -8, long long: -8, \
		_Bool: 1, unsigned char: 1, unsigned short: 2, unsigned: 4, default: 8)
#endif
#define HOTPATH__USDT_IN(x) "n"(HOTPATH__USDT_SIZE(x)), "nr"((uint64_t)(x))

#define HOTPATH__USDT_F1 "%c0@%1"
#define HOTPATH__USDT_F2 HOTPATH__USDT_F1 " %c2@%3"
#define HOTPATH__USDT_F3 HOTPATH__USDT_F2 " %c4@%5"
#define HOTPATH__USDT_F4 HOTPATH__USDT_F3 " %c6@%7"
#define HOTPATH__USDT_F5 HOTPATH__USDT_F4 " %c8@%9"
#define HOTPATH__USDT_F6 HOTPATH__USDT_F5 " %c10@%11"
#define HOTPATH__USDT_F7 HOTPATH__USDT_F6 " %c12@%13"
#define HOTPATH__USDT_F8 HOTPATH__USDT_F7 " %c14@%15"
#define HOTPATH__USDT_F9 HOTPATH__USDT_F8 " %c16@%17"
#define HOTPATH__USDT_F10 HOTPATH__USDT_F9 " %c18@%19"
#define HOTPATH__USDT_F11 HOTPATH__USDT_F10 " %c20@%21"
#define HOTPATH__USDT_F12 HOTPATH__USDT_F11 " %c22@%23"

#define HOTPATH__USDT_I2(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_IN(__VA_ARGS__)
#define HOTPATH__USDT_I3(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I2(__VA_ARGS__)
#define HOTPATH__USDT_I4(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I3(__VA_ARGS__)
#define HOTPATH__USDT_I5(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I4(__VA_ARGS__)
#define HOTPATH__USDT_I6(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I5(__VA_ARGS__)
#define HOTPATH__USDT_I7(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I6(__VA_ARGS__)
#define HOTPATH__USDT_I8(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I7(__VA_ARGS__)
#define HOTPATH__USDT_I9(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I8(__VA_ARGS__)
#define HOTPATH__USDT_I10(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I9(__VA_ARGS__)
#define HOTPATH__USDT_I11(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I10(__VA_ARGS__)
#define HOTPATH__USDT_I12(x, ...) HOTPATH__USDT_IN(x), HOTPATH__USDT_I11(__VA_ARGS__)

#define HOTPATH__USDT_0(p, n) HOTPATH__USDT(p, n, "", )
#define HOTPATH__USDT_1(p, n, x) HOTPATH__USDT(p, n, HOTPATH__USDT_F1, HOTPATH__USDT_IN(x))
#define HOTPATH__USDT_2(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F2, HOTPATH__USDT_I2(__VA_ARGS__))
#define HOTPATH__USDT_3(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F3, HOTPATH__USDT_I3(__VA_ARGS__))
#define HOTPATH__USDT_4(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F4, HOTPATH__USDT_I4(__VA_ARGS__))
#define HOTPATH__USDT_5(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F5, HOTPATH__USDT_I5(__VA_ARGS__))
#define HOTPATH__USDT_6(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F6, HOTPATH__USDT_I6(__VA_ARGS__))
#define HOTPATH__USDT_7(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F7, HOTPATH__USDT_I7(__VA_ARGS__))
#define HOTPATH__USDT_8(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F8, HOTPATH__USDT_I8(__VA_ARGS__))
#define HOTPATH__USDT_9(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F9, HOTPATH__USDT_I9(__VA_ARGS__))
#define HOTPATH__USDT_10(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F10, HOTPATH__USDT_I10(__VA_ARGS__))
#define HOTPATH__USDT_11(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F11, HOTPATH__USDT_I11(__VA_ARGS__))
#define HOTPATH__USDT_12(p, n, ...) HOTPATH__USDT(p, n, HOTPATH__USDT_F12, HOTPATH__USDT_I12(__VA_ARGS__))
#define HOTPATH__USDT_PICK(p, n, a, b, c, d, e, f, g, h, i, j, k, l, picked, ...) picked

/* A place that a tracer can count and look at: HOTPATH_USDT(provider, name, arguments...), with up to 12 arguments, integers or
 * pointers. Nobody looking, it costs a nop and what it takes to have the arguments in registers. The names are plain words, not
 * strings, and no macros. */
#define HOTPATH_USDT(...)                                                                            \
	HOTPATH__USDT_PICK(__VA_ARGS__, HOTPATH__USDT_12, HOTPATH__USDT_11, HOTPATH__USDT_10, HOTPATH__USDT_9, HOTPATH__USDT_8, \
		HOTPATH__USDT_7, HOTPATH__USDT_6, HOTPATH__USDT_5, HOTPATH__USDT_4, HOTPATH__USDT_3, HOTPATH__USDT_2,      \
		HOTPATH__USDT_1, HOTPATH__USDT_0, none)(__VA_ARGS__)

#endif /* HOTPATH_H */
