/* A toy key-value store under load, instrumented with hotpath.h.
 *
 * Clients (one thread) put requests into a queue; workers serve them from a hash table. Counted are the
 * requests by operation and result, the length of the queue, the entries stored and the time each request took. */
#define _GNU_SOURCE
#include "../../client/c/hotpath.h"

#include <signal.h>
#include <time.h>

enum { WORKERS = 3, QUEUE = 1024, KEYS = 50000, PER_SECOND = 20000 };

struct request { int put; unsigned key; struct timespec arrived; };

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t filled;
	struct request requests[QUEUE];
	unsigned head, tail;
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {{0, 0, {0, 0}}}, 0, 0};

static unsigned char present[KEYS]; /* the store: which keys have a value */
static pthread_mutex_t store = PTHREAD_MUTEX_INITIALIZER;
static volatile sig_atomic_t stopping;

/* Handles are made once and used from every thread. */
static hotpath_counter puts_ok, gets_hit, gets_missed, dropped;
static hotpath_updowncounter entries;
static hotpath_gauge queue_length;
static hotpath_histogram duration;

static hotpath_counter requests(const char *operation, const char *result)
{
	hotpath_attr attrs[] = {HOTPATH_STR("operation", operation), HOTPATH_STR("result", result)};

	return hotpath_counter_new("kv.requests", "{request}", "Requests served", attrs, 2);
}

static void instrument(void)
{
	puts_ok = requests("put", "ok");
	gets_hit = requests("get", "hit");
	gets_missed = requests("get", "miss");
	dropped = hotpath_counter_new("kv.dropped", "{request}", "Requests dropped because the queue was full", NULL, 0);
	entries = hotpath_updowncounter_new("kv.entries", "{entry}", "Entries stored", NULL, 0);
	queue_length = hotpath_gauge_new("kv.queue.length", "{request}", "Requests waiting", NULL, 0);
	duration = hotpath_histogram_new("kv.request.duration", "s", "From arrival to answer", NULL, 0);
}

static double since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

static void serve(const struct request *r)
{
	pthread_mutex_lock(&store);
	if (r->put) {
		hotpath_updowncounter_add(entries, present[r->key] ? -1 : 1); /* a second put takes the key out again */
		present[r->key] = !present[r->key];
		hotpath_counter_add(puts_ok, 1);
	} else {
		hotpath_counter_add(present[r->key] ? gets_hit : gets_missed, 1);
	}
	pthread_mutex_unlock(&store);
	hotpath_histogram_record(duration, since(&r->arrived));
}

static void *worker(void *unused)
{
	for (;;) {
		struct request r;
		pthread_mutex_lock(&queue.mutex);
		while (queue.head == queue.tail && !stopping)
			pthread_cond_wait(&queue.filled, &queue.mutex);
		if (queue.head == queue.tail) {
			pthread_mutex_unlock(&queue.mutex);
			return unused;
		}
		r = queue.requests[queue.tail++ % QUEUE];
		hotpath_gauge_set(queue_length, queue.head - queue.tail);
		pthread_mutex_unlock(&queue.mutex);
		serve(&r);
	}
}

static void arrive(unsigned *seed)
{
	struct request r = {0, 0, {0, 0}};

	r.put = rand_r(seed) % 10 == 0;
	r.key = (unsigned)rand_r(seed) % KEYS;
	clock_gettime(CLOCK_MONOTONIC, &r.arrived);
	pthread_mutex_lock(&queue.mutex);
	if (queue.head - queue.tail == QUEUE)
		hotpath_counter_add(dropped, 1);
	else
		queue.requests[queue.head++ % QUEUE] = r;
	pthread_cond_signal(&queue.filled);
	pthread_mutex_unlock(&queue.mutex);
}

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

int main(void)
{
	struct sigaction action;
	struct timespec pause = {0, 5000000};
	pthread_t threads[WORKERS];
	unsigned seed = 1;
	int i;

	memset(&action, 0, sizeof action);
	action.sa_handler = stop;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	instrument();
	printf("kv-c: pid %d: %s\n", (int)getpid(), hotpath_status());
	fflush(stdout);
	for (i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, worker, NULL);
	while (!stopping) {
		for (i = 0; i < PER_SECOND / 200; i++)
			arrive(&seed);
		nanosleep(&pause, NULL);
	}
	pthread_mutex_lock(&queue.mutex);
	pthread_cond_broadcast(&queue.filled);
	pthread_mutex_unlock(&queue.mutex);
	for (i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
