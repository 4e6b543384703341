/* Does what its input says, for probes to see; with arguments, does that much work and ends itself. */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "hotpath.h"

#define FUNCTION __attribute__((noinline, noclone, used))

static hotpath_counter done;
volatile long amount; /* data: no place for a probe */

FUNCTION long work(int n, const char *what)
{
	amount += n;
	hotpath_counter_add(done, (uint64_t)n);
	return what[0];
}

FUNCTION void nap(void)
{
	usleep(5000);
}

static int by_size(const void *a, const void *b)
{
	return *(const long *)a < *(const long *)b ? -1 : 1;
}

/* Naps an odd number of times, and returns the median in microseconds. */
static long naps(int times)
{
	long took[101];
	struct timespec from, to;

	for (int i = 0; i < times; i++) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		nap();
		clock_gettime(CLOCK_MONOTONIC, &to);
		took[i] = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
	}
	qsort(took, (size_t)times, sizeof took[0], by_size);
	return took[times / 2];
}

int main(int argc, char **argv)
{
	char line[256], word[32];
	int n;

	done = hotpath_counter_new("job.done", "{job}", NULL, NULL, 0);
	if (argc == 3) {
		for (int i = 0; i < atoi(argv[1]); i++)
			work(i, argv[2]);
		if (strcmp(argv[2], "killed") == 0)
			kill(getpid(), SIGKILL);
		return 0;
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		long answer = 0;

		if (sscanf(line, "work %d %31s", &n, word) == 2) {
			for (int i = 0; i < n; i++)
				work(i, word);
		} else if (sscanf(line, "request %d %31s", &n, word) == 2) {
			for (int i = 0; i < n; i++)
				HOTPATH_USDT(app, request, word, i);
		} else if (sscanf(line, "nap %d", &n) == 1 && n <= 101) {
			answer = naps(n);
		} else {
			answer = -1;
		}
		printf("%ld\n", answer);
		fflush(stdout);
	}
	return 0;
}
