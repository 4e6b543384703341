/* Measurements with attributes of the call: ring COMMAND [ARGUMENT...]. Like exercise, it says "ready" and its status when it is done. */
#include "program.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static hotpath_counter shared;

/* One whose attributes tell whether all of it is from the same call. */
static void measure(hotpath_counter counter, int64_t writer, uint64_t i)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
	const char *text = letters + sizeof letters - 1 - i % 70;
	const hotpath_attr attrs[] = {HOTPATH_INT("writer", writer), HOTPATH_INT("i", (int64_t)i), HOTPATH_STR("text", text),
		HOTPATH_INT("sum", (int64_t)(i * 31 + (uint64_t)writer * 7 + i % 70))};

	hotpath_counter_add_with(counter, i, attrs, 4);
}

static void kinds(void)
{
	char text[1200], key[257];
	const hotpath_attr own = HOTPATH_STR("own", "yes");
	const hotpath_attr every[] = {HOTPATH_STR("s", "text"), HOTPATH_INT("i", -5), HOTPATH_DOUBLE("d", 0.5), HOTPATH_BOOL("b", 7)};
	hotpath_attr many[65];
	hotpath_attr odd[] = {HOTPATH_STR("null", NULL), HOTPATH_STR("long", text), HOTPATH_STR("empty", "")};
	hotpath_attr bad = HOTPATH_STR("k", "v");
	hotpath_counter c = hotpath_counter_new("kinds.counter", "1", "", &own, 1), zero = {0};
	hotpath_updowncounter u = hotpath_updowncounter_new("kinds.updowncounter", "1", "", NULL, 0);
	hotpath_gauge g = hotpath_gauge_new("kinds.gauge", "1", "", NULL, 0);
	hotpath_histogram h = hotpath_histogram_new("kinds.histogram", "1", "", NULL, 0);
	size_t i;

	hotpath_counter_add_with(c, 3, every, 4);
	hotpath_updowncounter_add_with(u, -7, every, 1);
	hotpath_gauge_set_with(g, 2.5, every + 1, 1);
	hotpath_histogram_record_with(h, 0.25, every + 2, 2);

	hotpath_counter_add_with(c, 10, NULL, 0); /* the plain calls */
	hotpath_counter_add_with(c, 10, NULL, 1);
	hotpath_updowncounter_add_with(u, -10, every, 0);
	hotpath_gauge_set_with(g, -1, every, 0);
	hotpath_histogram_record_with(h, 4, every, 0);

	memset(text, 'x', sizeof text - 1);
	memcpy(text + 1022, "\xc3\xa9", 2); /* cut in front of it */
	text[sizeof text - 1] = 0;
	hotpath_counter_add_with(c, 4, odd, 3);
	for (i = 0; i < 65; i++)
		many[i] = HOTPATH_INT("key", (int64_t)i);
	hotpath_counter_add_with(c, 5, many, 64);
	for (i = 0; i < 64; i++)
		many[i] = HOTPATH_INT("48 bytes, so that its attribute has eight words ", (int64_t)i);
	many[63] = HOTPATH_INT("24 bytes, and so 5 words", 63); /* with head and trailer, 512 */
	hotpath_counter_add_with(c, 6, many, 64);
	many[63] = HOTPATH_INT("25 bytes, and so 6 words.", 63); /* the first of eleven that are refused */
	hotpath_counter_add_with(c, 1, many, 64);
	for (i = 0; i < 3; i++)
		many[i] = HOTPATH_STR("long", text);
	hotpath_counter_add_with(c, 7, many, 3);

	/* the others that are refused */
	hotpath_counter_add_with(zero, 1, every, 4);
	hotpath_counter_add_with(c, 1, many, 65);
	many[3] = HOTPATH_STR("long", text);
	hotpath_counter_add_with(c, 1, many, 4);
	hotpath_histogram_record_with(h, NAN, every, 1);
	hotpath_histogram_record_with(h, INFINITY, every, 1);
	hotpath_histogram_record_with(h, -1, every, 1);
	bad.key = NULL;
	hotpath_counter_add_with(c, 1, &bad, 1);
	bad.key = "";
	hotpath_counter_add_with(c, 1, &bad, 1);
	memset(key, 'k', sizeof key - 1);
	key[256] = 0;
	bad.key = key;
	hotpath_counter_add_with(c, 1, &bad, 1);
	bad.key = "k";
	bad.type = 5;
	hotpath_counter_add_with(c, 1, &bad, 1);
	ready();
}

struct recorder { hotpath_counter counter; int64_t writer; uint64_t each; volatile uint64_t *done; };

static void *record(void *arg)
{
	struct recorder *r = (struct recorder *)arg;
	uint64_t i;

	for (i = 0; i < r->each; i++) {
		measure(r->counter, r->writer, i);
		if (r->done)
			*r->done = i + 1;
	}
	return NULL;
}

static void threads(int n, uint64_t each, volatile uint64_t *done)
{
	pthread_t t[64];
	struct recorder r[64];
	int i;

	for (i = 0; i < n; i++) {
		struct recorder one = {shared, i, each, done ? done + i : NULL};
		r[i] = one;
		if (pthread_create(&t[i], NULL, record, &r[i]) != 0)
			die("pthread_create");
	}
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

/* Until it is killed, noting in a file what each thread has completed. */
static void endless(int n, const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	void *done;

	if (fd < 0 || ftruncate(fd, 4096) != 0)
		die(file);
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (done == MAP_FAILED)
		die(file);
	printf("ready %s\n", hotpath_status());
	fflush(stdout);
	threads(n, UINT64_MAX, (volatile uint64_t *)done);
}

static volatile uint64_t ticks;

static void tick(int signal)
{
	(void)signal;
	measure(shared, 1, ticks);
	ticks++;
}

/* A handler records while its thread does. */
static void signals(uint64_t n)
{
	struct itimerval every = {{0, 100}, {0, 100}};
	struct recorder r = {shared, 0, n, NULL};

	signal(SIGALRM, tick);
	setitimer(ITIMER_REAL, &every, NULL);
	record(&r);
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
	printf("%lu\n", (unsigned long)(n + ticks));
	ready();
}

/* A handler forks while its thread records; the children go on as well. */
static void forks(int n)
{
	struct recorder r = {shared, 0, 100000, NULL};
	int i;

	for (i = 0; i < n && !*child(); i++) {
		fork_in(100 + i * 37 % 3000);
		record(&r);
	}
	if (*child())
		_exit(0);
	printf("%d\n", n * 100000);
	ready();
}

/* As many as each line of standard input says, of six words each, on one CPU, and so in one ring. */
static void lines(void)
{
	unsigned long n;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);
	do {
		printf("ready %s\n", hotpath_status());
		fflush(stdout);
		if (scanf("%lu", &n) != 1)
			return;
		while (n--) {
			const hotpath_attr attr = HOTPATH_INT("i", 1);
			hotpath_counter_add_with(shared, 1, &attr, 1);
		}
	} while (1);
}

/* Sets that come again and again, and differ from each other only a little. */
static void sets(uint64_t n, uint64_t each)
{
	const hotpath_attr own[] = {HOTPATH_STR("own", "yes"), HOTPATH_STR("set", "none")};
	hotpath_counter c = hotpath_counter_new("sets.counter", "1", "what is counted", own, 2);
	hotpath_updowncounter u = hotpath_updowncounter_new("sets.updowncounter", "1", "", NULL, 0);
	hotpath_gauge g = hotpath_gauge_new("sets.gauge", "1", "", NULL, 0);
	hotpath_histogram h = hotpath_histogram_new("sets.histogram", "1", "", NULL, 0);
	uint64_t i;

	for (i = 0; i < n * each; i++) {
		const hotpath_attr attrs[] = {HOTPATH_INT("set", (int64_t)(i % n)), HOTPATH_STR("s", "text")};
		hotpath_counter_add_with(c, 1, attrs, 2);
		if (i % n < 10) {
			hotpath_updowncounter_add_with(u, -1, attrs, 1);
			hotpath_gauge_set_with(g, 0.5 + (double)(i % n), attrs, 1);
			hotpath_histogram_record_with(h, 2, attrs, 1);
		}
	}
	printf("%lu\n", (unsigned long)(hotpath__state_v1.series + hotpath__state_v1.overflows));
	ready();
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	uint64_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, each = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	errno = 77;
	if (strcmp(command, "kinds") != 0 && strcmp(command, "sets") != 0)
		shared = counter("ring.counter");
	if (strcmp(command, "kinds") == 0) kinds();
	else if (strcmp(command, "threads") == 0) threads((int)n, each, NULL), errno == 77 ? ready() : die("errno");
	else if (strcmp(command, "endless") == 0) endless((int)n, argv[3]);
	else if (strcmp(command, "signals") == 0) signals(n);
	else if (strcmp(command, "forks") == 0) forks((int)n);
	else if (strcmp(command, "lines") == 0) lines();
	else if (strcmp(command, "sets") == 0) sets(n, each);
	else return 2;
	return 0;
}
