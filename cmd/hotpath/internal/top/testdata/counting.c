/* Counts the same whenever it runs, in itself and in a child, and says so. It then waits for the end of its input, unless it is told not to. */
#define _GNU_SOURCE
#include "../../../../../client/c/hotpath.h"

#include <sys/wait.h>

static void count(int n)
{
	hotpath_attr get[] = {HOTPATH_STR("op", "get"), HOTPATH_INT("code", 200), HOTPATH_BOOL("hit", 1), HOTPATH_DOUBLE("ratio", 0.5)};
	hotpath_counter gets = hotpath_counter_new("requests", "{request}", "Requests served", get, 4);
	hotpath_counter all = hotpath_counter_new("requests", "{request}", "Requests served", NULL, 0);
	hotpath_updowncounter open = hotpath_updowncounter_new("open", "{connection}", "", NULL, 0);
	hotpath_gauge load = hotpath_gauge_new("load", "1", "", NULL, 0);
	hotpath_histogram latency = hotpath_histogram_new("latency", "s", "", NULL, 0);

	hotpath_gauge_new("unset", "1", "", NULL, 0);
	for (int i = 0; i < n; i++) {
		hotpath_counter_add(gets, 3);
		hotpath_counter_add(all, 1);
		hotpath_updowncounter_add(open, -2);
		hotpath_gauge_set(load, 0.1 * i);
		hotpath_histogram_record(latency, i % 7 ? 1e-6 * i * i : 0);
	}
}

static void wait_for_end(int stay)
{
	char c;

	if (write(1, "ready\n", 6) != 6)
		_exit(1);
	while (stay && read(0, &c, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	int stay = argc < 2 || strcmp(argv[1], "exit") != 0;
	pid_t child;

	count(1000);
	child = fork();
	if (child == 0) {
		count(77);
		wait_for_end(stay);
		return 0;
	}
	wait_for_end(stay);
	waitpid(child, NULL, 0);
	return 0;
}
