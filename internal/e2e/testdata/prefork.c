/* A prefork server: a master keeps a number of workers going, each of which serves for a
 * while and ends, one half by itself and the other half by SIGKILL, until the input ends. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "hotpath.h"
#include "ledger.h"

enum { WORKERS = 4 };

static hotpath_counter requests;
static hotpath_updowncounter busy;
static hotpath_gauge queue;
static hotpath_histogram latency;

static void serve(int rounds, int killed)
{
	struct timespec pace = { 0, 2000000 };
	struct entry *e = ledger_entry(RUNNING);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	hotpath_gauge_set(queue, rounds);
	for (int i = 0; i < rounds; i++) {
		hotpath_updowncounter_add(busy, 1);
		for (int j = 0; j < 100; j++) {
			hotpath_counter_add(requests, 1);
			hotpath_histogram_record(latency, 0.5);
		}
		hotpath_updowncounter_add(busy, -1);
		nanosleep(&pace, NULL);
	}
	e->counted = e->recorded = 100 * (uint64_t)rounds;
	e->state = FINISHED;
	if (killed)
		raise(SIGKILL);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct pollfd input = { 0, POLLIN, 0 };
	int workers = 0;

	if (argc != 2)
		return 2;
	ledger_open(argv[1]);
	requests = hotpath_counter_new("web.requests", "{request}", NULL, NULL, 0);
	busy = hotpath_updowncounter_new("web.busy", NULL, NULL, NULL, 0);
	queue = hotpath_gauge_new("web.queue", NULL, NULL, NULL, 0);
	latency = hotpath_histogram_new("web.latency", "s", NULL, NULL, 0);
	puts("ready");
	fflush(stdout);

	for (int n = 0; poll(&input, 1, 10) == 0; n++) {
		if (workers < WORKERS) {
			if (fork() == 0)
				serve(10 + n % 7 * 15, n % 2);
			workers++;
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			workers--;
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
