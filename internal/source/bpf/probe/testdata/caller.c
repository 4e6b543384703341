/* Calls a library as often as it is told; with a second argument it waits for a line of input first, and before each further round. */
#include <stdio.h>
#include <stdlib.h>

int shared_work(int);

int main(int argc, char **argv)
{
	int times = atoi(argv[1]);

	setvbuf(stdout, 0, _IOLBF, 0);
	for (int round = 1; round < argc; round++) {
		if (round > 1) {
			puts("waiting");
			getchar();
		}
		for (int i = 0; i < times; i++)
			shared_work(i);
	}
	return 0;
}
