/* counts COMMAND [N]: a process with a segment, for tests. What goes on says "ready" first, and lives until its standard input ends. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hotpath.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void stay(void)
{
	char c;

	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

static void *outlive(void *first)
{
	pthread_join(*(pthread_t *)first, NULL);
	hotpath_counter_add(hotpath_counter_new("counts.adds", "1", "", NULL, 0), 7);
	stay();
	exit(0);
}

static void *rest(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	uint64_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	hotpath_counter c;

	if (strcmp(command, "forge") == 0) { /* N memfds that are no segments */
		for (; n > 0; n--) {
			int fd = (int)syscall(SYS_memfd_create, "hotpath", 2 /* MFD_ALLOW_SEALING */);
			if (fd < 0 || ftruncate(fd, 1 << 16) != 0 || mmap(NULL, 1 << 16, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
				return 1;
			if (argc > 3 && fcntl(fd, 1033 /* F_ADD_SEALS */, 0x17) != 0)
				return 1;
		}
		stay();
		return 0;
	}
	if (strcmp(command, "flood") == 0) { /* N announcements of nothing, by a process with argv[3] mappings */
		for (long i = argc > 3 ? atol(argv[3]) : 0; i > 0; i--)
			mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (; n > 0; n--)
			prctl(PR_SET_NAME, "hp@7ffffffffff0");
		stay();
		return 0;
	}
	if (strcmp(command, "outlive") == 0) { /* its first thread ends before another begins to count */
		static pthread_t first, other;
		first = pthread_self();
		pthread_create(&other, NULL, outlive, &first);
		pthread_exit(NULL);
	}
	if (strcmp(command, "setuid") == 0 && setresuid(0, 65534, 0) != 0)
		return 1;
	c = hotpath_counter_new("counts.adds", "1", "", NULL, 0);
	hotpath_counter_add(c, n);
	if (strcmp(command, "record") == 0) { /* as well, and die at once */
		hotpath_attr attr = HOTPATH_INT("i", 1);
		hotpath_counter_add_with(c, n, &attr, 1);
		kill(getpid(), SIGKILL);
	}
	if (strcmp(command, "recording") == 0) { /* one measurement, and when its input says so N more, some hundred in a millisecond */
		hotpath_attr attr = HOTPATH_INT("i", 1);
		char byte;

		hotpath_counter_add_with(c, 1, &attr, 1);
		puts("ready");
		fflush(stdout);
		for (uint64_t i = read(0, &byte, 1) == 1 ? n : 0; i > 0; i--) {
			hotpath_counter_add_with(c, 1, &attr, 1);
			if (i % 200 == 0)
				usleep(1000);
		}
		stay();
		return 0;
	}
	if (strcmp(command, "die") == 0) /* at once */
		kill(getpid(), SIGKILL);
	if (strcmp(command, "series") == 0) { /* several pages of catalogue and values, and at once to the end */
		for (int i = 0; i < 400; i++) {
			hotpath_attr attr = HOTPATH_INT("i", i);
			hotpath_counter_add(hotpath_counter_new("counts.series", "1", "What is counted, many times over", &attr, 1), n);
			hotpath_histogram_record(hotpath_histogram_new("counts.values", "s", "", &attr, 1), 1.5);
		}
		_exit(0);
	}
	if (strcmp(command, "many") == 0)
		for (uint64_t i = 1; i < n; i++) {
			hotpath_attr attr = HOTPATH_INT("i", (int64_t)i);
			hotpath_counter_add(hotpath_counter_new("counts.series", "1", "What is counted, many times over", &attr, 1), i);
		}
	if (strcmp(command, "threads") == 0) /* N more, which all end at once */
		for (; n > 0; n--) {
			pthread_t thread;
			pthread_create(&thread, NULL, rest, NULL);
		}
	if (strcmp(command, "closed") == 0)
		syscall(SYS_close_range, 3, ~0U, 0);
	if (strcmp(command, "child") == 0 && fork() == 0) { /* which counts, too */
		hotpath_counter_add(c, n);
		stay();
		return 0;
	}
	if (strcmp(command, "heir") == 0) { /* a child that never counts outlives its parent, and has its mapping */
		if (fork() != 0)
			_exit(0);
		puts("ready");
		fflush(stdout);
		close(1);
		stay();
		return 0;
	}
	stay();
	if (strcmp(command, "again") == 0) /* as another program, which is killed at once */
		execl("/proc/self/exe", "counts", "die", argv[3], NULL);
	if (strcmp(command, "child") == 0)
		wait(NULL);
	return 0;
}
