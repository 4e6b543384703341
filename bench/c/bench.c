/* SPDX-License-Identifier: Apache-2.0
 *
 * Times the C client beside what it is measured against, in turn. Usage:
 *
 *     bench ROUNDS MILLISECONDS THREADS
 *
 * with HOTPATH_TRANSPORT in the environment prints "time SUBJECT THREADS NANOSECONDS" for each subject and round, then
 * "total SERIES N" for what was counted, then "done", and stays until its standard
 * input ends, so that the totals can be collected. Nanoseconds are CPU time for one operation.
 */
#define _GNU_SOURCE
#include "hotpath.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#define EVENT 200 /* bytes of payload */
#define TEXT(macro) TEXT_(macro)
#define TEXT_(text) #text

enum { VALUES = 1024, MAX_THREADS = 4096, SERIES = 100 };

static hotpath_counter adds;
static hotpath_gauge level;
static hotpath_histogram values;
static double samples[VALUES];
static uint16_t ranks[VALUES]; /* of buckets, about as many as the samples fall into */
static uint64_t added, recorded, set; /* what the collector has to find */
static uint64_t shared;
static int running;

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

/* A page each: the memory of one thread is nowhere near another's. */
static struct own { uint64_t word __attribute__((aligned(4096))); } owned[MAX_THREADS];

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
	__atomic_fetch_add(&added, n, __ATOMIC_RELAXED);
	while (n--)
		hotpath_counter_add(adds, 1);
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
	set += n;
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
	__atomic_fetch_add(&recorded, n, __ATOMIC_RELAXED);
	while (n--)
		hotpath_histogram_record(values, samples[n % VALUES]);
}

static void getppid_call(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		syscall(SYS_getppid);
}

/* A user_event as large as the counter's, written with no client, and the same to nowhere. */
static struct { uint32_t index; char payload[EVENT]; } event;
static struct iovec parts[3] = {
	{&event, sizeof event.index + 80}, {event.payload + 80, 40}, {event.payload + 120, EVENT - 120},
};
static int to_nowhere = -1, to_trace = -1;
static uint64_t written; /* events */
static uint32_t heard;   /* bit 0: the event is enabled */

static void write_nowhere(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		if (writev(to_nowhere, parts, 3) < 0)
			fail("cannot write to /dev/null");
}

static void write_event(uint64_t n, struct own *own)
{
	(void)own;
	written += n;
	while (n--)
		if (writev(to_trace, parts, 3) < 0)
			fail("cannot write an event");
}

static void prepare_events(void)
{
	struct { uint32_t size; uint8_t bit, width; uint16_t flags; uint64_t enable, declaration; uint32_t index; }
		__attribute__((packed)) reg = {.size = 28, .width = 4};

	to_nowhere = open("/dev/null", O_WRONLY);
	to_trace = open("/sys/kernel/tracing/user_events_data", O_RDWR);
	if (to_nowhere < 0 || to_trace < 0)
		return;
	reg.enable = (uintptr_t)&heard;
	reg.declaration = (uintptr_t)"hotpath_bench char[" TEXT(EVENT) "] payload";
	if (ioctl(to_trace, _IOC(_IOC_READ | _IOC_WRITE, '*', 0, sizeof(void *)), &reg) < 0)
		fail("cannot register an event");
	event.index = reg.index;
	for (int i = 0; i < 300 && !(__atomic_load_n(&heard, __ATOMIC_RELAXED) & 1); i++)
		usleep(10000);
}

static const struct subject {
	const char *name;
	void (*run)(uint64_t n, struct own *own);
	int parallel; /* timed with many threads as well */
	int events;   /* timed only where events are heard */
} subjects[] = {
	{"bare_add", bare_add, 1, 0}, {"counter_add", counter_add, 1, 0}, {"lock_add", lock_add, 1, 0},
	{"bare_store", bare_store, 0, 0}, {"gauge_set", gauge_set, 0, 0},
	{"bucket_and_sum", bucket_and_sum, 0, 0}, {"histogram_record", histogram_record, 1, 0},
	{"getppid", getppid_call, 0, 1}, {"write_nowhere", write_nowhere, 0, 1}, {"write_event", write_event, 0, 1},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

struct job {
	pthread_t thread;
	pthread_barrier_t *start;
	const struct subject *subject;
	uint64_t n;
	struct own *own;
};

static void *work(void *argument)
{
	struct job *job = argument;
	pthread_barrier_wait(job->start);
	job->subject->run(job->n, job->own);
	return NULL;
}

/* CPU time does not count what other processes take away. */
static double cpu_nanoseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* The CPU time that threads take for n operations each. */
static double timed(const struct subject *subject, uint64_t n, int threads)
{
	static struct job jobs[MAX_THREADS];
	pthread_barrier_t start;
	double began = cpu_nanoseconds();

	if (threads == 1) {
		subject->run(n, &owned[0]);
		return cpu_nanoseconds() - began;
	}
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++) {
		jobs[i] = (struct job){.start = &start, .subject = subject, .n = n, .own = &owned[i]};
		if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) != 0)
			fail("cannot start a thread");
	}
	began = cpu_nanoseconds();
	pthread_barrier_wait(&start);
	for (int i = 0; i < threads; i++)
		pthread_join(jobs[i].thread, NULL);
	pthread_barrier_destroy(&start);
	return cpu_nanoseconds() - began;
}

static void compare(int rounds, double nanoseconds, int threads)
{
	uint64_t n[SUBJECTS];
	int timely[SUBJECTS];

	for (int s = 0; s < SUBJECTS; s++) {
		timely[s] = (threads == 1 || subjects[s].parallel) && (heard || !subjects[s].events);
		for (n[s] = 1024; timely[s] && timed(&subjects[s], n[s], 1) < nanoseconds / 2; n[s] *= 2)
			;
	}
	for (int round = 0; round < rounds; round++)
		for (int s = 0; s < SUBJECTS; s++)
			if (timely[s])
				printf("time %s %d %.4f\n", subjects[s].name, threads,
					timed(&subjects[s], n[s], threads) / (double)n[s] / threads);
}

/* Takes a stripe for each CPU, as a server under load would. */
static void *spread(void *argument)
{
	(void)argument;
	while (__atomic_load_n(&running, __ATOMIC_RELAXED))
		hotpath_counter_add(adds, 1), __atomic_fetch_add(&added, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void occupy(int threads)
{
	pthread_t made[MAX_THREADS];

	running = 1;
	for (int i = 0; i < threads; i++)
		if (pthread_create(&made[i], NULL, spread, NULL) != 0)
			fail("cannot start a thread");
	usleep(100000);
	__atomic_store_n(&running, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < threads; i++)
		pthread_join(made[i], NULL);
}

int main(int argc, char **argv)
{
	int rounds = argc == 4 ? atoi(argv[1]) : -1, threads = argc == 4 ? atoi(argv[3]) : 0;
	double nanoseconds = argc == 4 ? 1e6 * atof(argv[2]) : 0;

	if (rounds < 0 || threads < 1 || threads > MAX_THREADS || !(nanoseconds > 0))
		fail("usage: bench ROUNDS MILLISECONDS THREADS");
	srand48(1);
	for (int i = 0; i < VALUES; i++) {
		samples[i] = 1 - drand48(); /* uniform in (0, 1] */
		ranks[i] = (uint16_t)(24 * drand48());
	}
	adds = hotpath_counter_new("bench.adds", "1", NULL, NULL, 0);
	if (rounds == 0) { /* one of many: only the segment is of interest */
		for (int i = 1; i < SERIES; i++) {
			hotpath_attr shard = HOTPATH_INT("shard", i);
			hotpath_counter_add(hotpath_counter_new("bench.shards", "1", NULL, &shard, 1), 1);
		}
		occupy(threads);
	} else {
		level = hotpath_gauge_new("bench.level", "1", NULL, NULL, 0);
		values = hotpath_histogram_new("bench.values", "s", NULL, NULL, 0);
		prepare_events();
		compare(rounds, nanoseconds, 1);
		compare(rounds, nanoseconds, threads);
		if (heard) { /* the last update makes up for those that were dropped */
			usleep(300000);
			counter_add(1, NULL);
			gauge_set(1, NULL);
			histogram_record(1, NULL);
		}
		printf("total bench.values %lu\ntotal bench.sets %lu\ntotal bench.events %lu\n", (unsigned long)recorded,
			(unsigned long)set, (unsigned long)written);
	}
	printf("total bench.adds %lu\nstatus %s\ndone\n", (unsigned long)added, hotpath_status());
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
