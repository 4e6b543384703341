/* Times adds in the plainest way: prints the least ns of CPU time for one, of several rounds. */
#include "hotpath.h"
#include <time.h>

int main(void)
{
	enum { ROUNDS = 20, ADDS = 2000000 };
	hotpath_counter adds = hotpath_counter_new("agree.adds", "1", NULL, NULL, 0);
	double least = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		clock_t began = clock(), took;
		for (int i = 0; i < ADDS; i++)
			hotpath_counter_add(adds, 1);
		took = clock() - began;
		if (1e9 * (double)took / CLOCKS_PER_SEC / ADDS < least)
			least = 1e9 * (double)took / CLOCKS_PER_SEC / ADDS;
	}
	printf("%g\n", least);
	return 0;
}
