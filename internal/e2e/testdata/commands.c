/* Does what its input says, line by line, and answers each line with one of its own. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "hotpath.h"

int main(void)
{
	hotpath_attr odd = HOTPATH_STR("who", "c");
	hotpath_counter done = hotpath_counter_new("job.done", "{job}", NULL, &odd, 1);
	hotpath_updowncounter open = hotpath_updowncounter_new("job.open", "{job}", NULL, NULL, 0);
	hotpath_gauge level = hotpath_gauge_new("job.level", "1", NULL, NULL, 0);
	hotpath_histogram size = hotpath_histogram_new("job.size", "By", NULL, NULL, 0);
	char line[256];
	double value;

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		long answer = 0;

		if (sscanf(line, "add %lf", &value) == 1) {
			hotpath_counter_add(done, (uint64_t)value);
		} else if (sscanf(line, "with %lf", &value) == 1) { /* to the same series */
			hotpath_counter_add_with(done, (uint64_t)value, &odd, 1);
		} else if (sscanf(line, "code %lf", &value) == 1) {
			hotpath_attr code = HOTPATH_INT("code", (int64_t)value);

			hotpath_counter_add_with(done, 1, &code, 1);
		} else if (sscanf(line, "open %lf", &value) == 1) {
			hotpath_updowncounter_add(open, (int64_t)value);
		} else if (sscanf(line, "set %lf", &value) == 1) {
			hotpath_gauge_set(level, value);
		} else if (sscanf(line, "record %lf", &value) == 1) {
			hotpath_histogram_record(size, value);
		} else if (sscanf(line, "repeat %lf", &value) == 1) {
			for (uint64_t i = 0; i < (uint64_t)value; i++)
				hotpath_counter_add(done, 1);
		} else if (strcmp(line, "fork\n") == 0) { /* a child that never counts */
			answer = fork();
			if (answer == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				for (;;)
					pause();
			}
		} else {
			answer = -1;
		}
		printf("%ld\n", answer);
		fflush(stdout);
	}
	return 0;
}
