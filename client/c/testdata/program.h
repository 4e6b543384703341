/* What the test programs of hotpath.h have in common. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hotpath.h"

#include <signal.h>
#include <sys/time.h>
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

/* What threads count, each the same. */
struct work { hotpath_counter counter; hotpath_histogram histogram; double least; unsigned long spread, each; };

static inline void *count(void *arg)
{
	struct work *w = (struct work *)arg;
	unsigned long i;

	for (i = 0; i < w->each; i++) {
		hotpath_counter_add(w->counter, 1);
		if (i % 16 == 0)
			hotpath_histogram_record(w->histogram, w->least + (double)(i % w->spread));
	}
	return NULL;
}

static inline void run_threads(int n, struct work w)
{
	pthread_t threads[256];
	int i;

	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, count, &w) != 0)
			die("pthread_create");
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* Close the client's descriptors again and again. */
static inline void *close_descriptors(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
		syscall(SYS_close_range, 900, ~0U, 0);
		usleep(300);
	}
	return NULL;
}

static inline volatile sig_atomic_t *child(void)
{
	static volatile sig_atomic_t is;
	return &is;
}

static inline void fork_now(int signal)
{
	int pid = fork(), status;

	(void)signal;
	if (pid == 0)
		*child() = 1;
	else if (waitpid(pid, &status, 0) != pid || status != 0)
		_exit(5);
}

/* A handler forks between any two instructions of what follows; a child goes on there. */
static inline void fork_in(int microseconds)
{
	struct itimerval after = {{0, 0}, {0, microseconds}};

	signal(SIGALRM, fork_now);
	setitimer(ITIMER_REAL, &after, NULL);
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
