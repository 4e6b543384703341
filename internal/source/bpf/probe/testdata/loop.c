/* What benchmarks probe: prints the nanoseconds that each of a number of calls takes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hotpath.h"

__attribute__((noinline, noclone)) static void mark(const char *what, uint64_t n)
{
	HOTPATH_USDT(loop, mark, what, n);
}

__attribute__((noinline, noclone)) static void function(void)
{
	__asm__ volatile("push %%rax; pop %%rax" ::: "memory");
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 2 ? strtoull(argv[2], 0, 0) : 0;
	struct timespec from, to;

	(void)!getchar();
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (strcmp(argv[1], "mark") == 0)
		for (uint64_t i = 0; i < n; i++)
			mark("route", i);
	else
		for (uint64_t i = 0; i < n; i++)
			function();
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.1f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / n);
	return 0;
}
