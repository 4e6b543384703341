/* SPDX-License-Identifier: Apache-2.0
 *
 * The subjects of the C client, and those beside it. Usage: worker PREFIX, which begins the names of its series.
 */
#define _GNU_SOURCE
#include "hotpath.h"

#include "serve.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#define EVENT 200 /* bytes of payload */
#define TEXT(macro) TEXT_(macro)
#define TEXT_(text) #text

enum { VALUES = 1024, MANY = 64, BURST = 1000 };

static const char *prefix;
static hotpath_counter adds, many[MANY];
static hotpath_gauge level;
static hotpath_histogram values, requests;
static double samples[VALUES];
static uint16_t ranks[VALUES]; /* of buckets, about as many as the samples fall into */
static uint64_t shared;

static const char *series_name(const char *name)
{
	static char text[4][256];
	static int next;
	char *into = text[next++ % 4];

	snprintf(into, sizeof text[0], "%s.%s", prefix, name);
	return into;
}

static void bare_add(uint64_t n, struct own *own)
{
#ifdef __x86_64__
	while (n--)
		__asm__ volatile("addq $1, %0" : "+m"(own->word) : : "cc");
#else
	volatile uint64_t *word = &own->word;
	while (n--)
		++*word;
#endif
}

static void lock_add(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		__atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED);
}

static void counter_add(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		hotpath_counter_add(adds, 1);
}

static void many_add(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		hotpath_counter_add(many[n % MANY], 1);
}

/* No more at a time than a ring for sending has room for. */
static void burst_add(uint64_t n, struct own *own)
{
	while (n > 0) {
		uint64_t some = n < BURST ? n : BURST;
		many_add(some, own);
		usleep(500);
		n -= some;
	}
}

static void bare_store(uint64_t n, struct own *own)
{
	volatile double *word = (volatile double *)(void *)&own->word;
	while (n--)
		*word = samples[n % VALUES];
}

static void gauge_set(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		hotpath_gauge_set(level, samples[n % VALUES]);
}

/* The least that a histogram costs: an add to a bucket that is known already, and one to a sum in memory. */
static void bucket_and_sum(uint64_t n, struct own *own)
{
	static volatile uint64_t buckets[VALUES];
	volatile double *sum = (volatile double *)(void *)&own->word;
	while (n--) {
		++buckets[ranks[n % VALUES]];
		*sum += samples[n % VALUES];
	}
}

static void histogram_record(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		hotpath_histogram_record(values, samples[n % VALUES]);
}

/* What a server records of a request: attributes that are known when it has been answered. */
static void histogram_record_with(uint64_t n, struct own *own)
{
	static const char *const methods[] = {"GET", "POST"}, *const routes[] = {"/users", "/orders", "/items", "/login"};

	(void)own;
	while (n--) {
		const hotpath_attr attrs[] = {HOTPATH_STR("http.request.method", methods[n % 2]), HOTPATH_STR("http.route", routes[n % 4])};
		hotpath_histogram_record_with(requests, samples[n % VALUES], attrs, 2);
	}
}

static void getppid_call(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		syscall(SYS_getppid);
}

/* A place for a probe, and what it is in. */
static __attribute__((noinline)) void probed_function(void)
{
	HOTPATH_USDT(hotpath_bench, hit);
}

static void probed(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		probed_function();
}

/* A user_event as large as the counter's, written with no client, and the same to nowhere. */
static struct { uint32_t index; char payload[EVENT]; } event;
static struct iovec parts[3] = {
	{&event, sizeof event.index + 80}, {event.payload + 80, 40}, {event.payload + 120, EVENT - 120},
};
static int to_nowhere = -1, to_trace = -1, to_udp = -1, to_unix = -1;
static uint32_t heard; /* bit 0: the event is enabled */

static void write_nowhere(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		if (writev(to_nowhere, parts, 3) < 0)
			failed = "cannot write to /dev/null";
}

static void open_nowhere(void)
{
	if (to_nowhere < 0 && (to_nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)) < 0)
		failed = "cannot open /dev/null";
}

static void write_event(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		if (writev(to_trace, parts, 3) < 0)
			failed = "cannot write an event";
}

static void register_event(void)
{
	struct { uint32_t size; uint8_t bit, width; uint16_t flags; uint64_t enable, declaration; uint32_t index; }
		__attribute__((packed)) reg = {.size = 28, .width = 4};

	if (to_trace >= 0)
		return;
	to_trace = open("/sys/kernel/tracing/user_events_data", O_RDWR);
	reg.enable = (uintptr_t)&heard;
	reg.declaration = (uintptr_t)"hotpath_bench char[" TEXT(EVENT) "] payload";
	if (to_trace < 0 || ioctl(to_trace, _IOC(_IOC_READ | _IOC_WRITE, '*', 0, sizeof(void *)), &reg) < 0) {
		failed = "cannot register an event";
		return;
	}
	event.index = reg.index;
	for (int i = 0; i < 300 && !(__atomic_load_n(&heard, __ATOMIC_RELAXED) & 1); i++)
		usleep(10000);
	if (!(__atomic_load_n(&heard, __ATOMIC_RELAXED) & 1))
		failed = "nobody listens to the event";
}

/* A request that does nothing, on a ring of its own. */
static struct hotpath__uring bare;

static void ring_nop(uint64_t n, struct own *own)
{
	(void)own;
	while (n--) {
		__atomic_store_n(bare.sending.sq_tail, *bare.sending.sq_tail + 1, __ATOMIC_RELEASE);
		if (hotpath__sys(HOTPATH__IO_URING_ENTER, bare.sending.file.fd - 1, 1, 0, 0, 0, 0) != 1)
			failed = "cannot submit to a ring";
	}
}

static void make_ring(void)
{
	struct hotpath__ring_params p;
	struct hotpath__sqe *entries;

	if (bare.sending.sq_tail)
		return;
	memset(&p, 0, sizeof p);
	bare.sending.file.fd = (uint64_t)syscall(HOTPATH__IO_URING_SETUP, MANY, &p) + 1;
	if (bare.sending.file.fd) {
		bare.sending.queues = hotpath__map_ring(&bare.sending.file, p.cq.cqes + 16 * p.cq_entries, 0);
		bare.sending.entries = hotpath__map_ring(&bare.sending.file, 64 * p.sq_entries, HOTPATH__OFF_SQES);
	}
	if (!bare.sending.queues || !bare.sending.entries) {
		failed = "cannot make a ring";
		return;
	}
	entries = (struct hotpath__sqe *)(void *)bare.sending.entries;
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(bare.sending.queues + p.sq.array + 4 * i, &i, 4);
		entries[i].flags = HOTPATH__CQE_SKIP_SUCCESS; /* and no operation */
	}
	bare.sending.sq_tail = (uint32_t *)(void *)(bare.sending.queues + p.sq.tail);
}

/* statsd, as its clients do it: a datagram for each update. */
static char packet[300];
static size_t packet_size;

static void send_packets(uint64_t n, int to)
{
	while (n--)
		if (send(to, packet, packet_size, 0) < 0)
			failed = "cannot send a datagram";
}

static void statsd_udp(uint64_t n, struct own *own)
{
	(void)own;
	send_packets(n, to_udp);
}

static void statsd_unix(uint64_t n, struct own *own)
{
	(void)own;
	send_packets(n, to_unix);
}

static int connected(const struct sockaddr *address, socklen_t size)
{
	int to = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	packet_size = (size_t)snprintf(packet, sizeof packet, "%s:1|c", series_name("adds"));
	if (to < 0 || connect(to, address, size) < 0)
		failed = "cannot connect to the statsd server";
	return to;
}

static void connect_udp(void)
{
	const char *port = getenv("HOTPATH_BENCH_UDP");
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	address.sin_port = htons((uint16_t)(port ? atoi(port) : 0));
	if (to_udp < 0)
		to_udp = connected((struct sockaddr *)&address, sizeof address);
}

static void connect_unix(void)
{
	const char *name = getenv("HOTPATH_BENCH_UNIX"); /* abstract, without its zero */
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = name ? strlen(name) : 0;

	if (length > sizeof address.sun_path - 1)
		length = sizeof address.sun_path - 1;
	if (length > 0)
		memcpy(address.sun_path + 1, name, length);
	if (to_unix < 0)
		to_unix = connected((struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

static void make_adds(void) { adds = hotpath_counter_new(series_name("adds"), "1", NULL, NULL, 0); }
static void make_many(void)
{
	for (int i = 0; i < MANY; i++) {
		hotpath_attr n = HOTPATH_INT("n", i);
		many[i] = hotpath_counter_new(series_name("many"), "1", NULL, &n, 1);
	}
}
static void make_level(void) { level = hotpath_gauge_new(series_name("level"), "1", NULL, NULL, 0); }
static void make_requests(void) { requests = hotpath_histogram_new(series_name("requests"), "s", NULL, NULL, 0); }
static void make_values(void) { values = hotpath_histogram_new(series_name("values"), "s", NULL, NULL, 0); }

static const struct subject subjects[] = {
	{"bare_add", bare_add, NULL}, {"lock_add", lock_add, NULL}, {"bare_store", bare_store, NULL}, {"bucket_and_sum", bucket_and_sum, NULL},
	{"counter_add", counter_add, make_adds}, {"gauge_set", gauge_set, make_level}, {"histogram_record", histogram_record, make_values},
	{"histogram_record_with", histogram_record_with, make_requests},
	{"getppid", getppid_call, NULL}, {"write_nowhere", write_nowhere, open_nowhere}, {"write_event", write_event, register_event},
	{"statsd_udp", statsd_udp, connect_udp}, {"statsd_unix", statsd_unix, connect_unix}, {"probed", probed, NULL},
	{"many_add", many_add, make_many}, {"burst_add", burst_add, make_many}, {"ring_nop", ring_nop, make_ring},
};

static void make_series(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		hotpath_attr shard = HOTPATH_INT("shard", (int64_t)i);
		hotpath_counter_add(hotpath_counter_new(series_name("shards"), "1", NULL, &shard, 1), 1);
	}
	hotpath_flush();
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: worker PREFIX\n", stderr);
		return 2;
	}
	prefix = argv[1];
	srand48(1);
	for (int i = 0; i < VALUES; i++) {
		samples[i] = 1 - drand48(); /* uniform in (0, 1] */
		ranks[i] = (uint16_t)(24 * drand48());
	}
	return serve(subjects, sizeof subjects / sizeof *subjects, make_series, hotpath_status);
}
