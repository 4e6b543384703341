/* What the test programs of hotpath.h have in common. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hotpath.h"

#include <signal.h>
#include <sys/wait.h>

static inline void die(const char *what)
{
	perror(what);
	exit(3);
}

/* Say so with the status, and wait for standard input to end. */
static inline void ready(void)
{
	char c;

	printf("ready %s\n", hotpath_status());
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

static inline hotpath_counter counter(const char *name)
{
	return hotpath_counter_new(name, "1", "", NULL, 0);
}

struct worker { hotpath_counter counter; volatile uint64_t *done; };

/* Count until the process is killed, and note each completed add. */
static inline void *endlessly(void *arg)
{
	struct worker *w = (struct worker *)arg;

	for (;;) {
		hotpath_counter_add(w->counter, 1);
		*w->done = *w->done + 1;
	}
	return NULL;
}

/* A fork that runs no handlers. */
static inline int raw_fork(void)
{
#ifdef __SANITIZE_THREAD__ /* knows of fork only */
	return fork();
#endif
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Wait for a child, and fail as it did. */
static inline void exit_as(int pid)
{
	int status;

	if (pid < 0)
		die("fork");
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "child ended with status %#x\n", status);
		exit(4);
	}
}
