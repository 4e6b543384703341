/* A process that counts while it forks children of all sorts, until its input ends. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "hotpath.h"
#include "ledger.h"

static hotpath_counter done;
static hotpath_updowncounter level;
static hotpath_gauge speed;
static hotpath_histogram size;

static void nap(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void burst(struct entry *e)
{
	hotpath_gauge_set(speed, 2.5);
	for (int i = 0; i < 1000; i++) {
		hotpath_counter_add(done, 1);
		NOTE(e->counted, 1);
		hotpath_histogram_record(size, 4);
		NOTE(e->recorded, 1);
		hotpath_updowncounter_add(level, 3);
		NOTE(e->level, 3);
	}
}

static void count(int bursts)
{
	struct entry *e = ledger_entry(RUNNING);

	for (int i = 0; i < bursts; i++) {
		burst(e);
		nap(5);
	}
	e->state = FINISHED;
}

static void idle(void)
{
	ledger_entry(IDLE);
	nap(150);
}

/* A child ends by _exit, so that it doesn't flush what the parent buffered. */
static void child(int sort)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	switch (sort) {
	case 0:
		count(20);
		break;
	case 1:
		idle();
		break;
	case 2: /* until it is killed */
		count(2000);
		break;
	case 3: /* its own child has a life that is longer than its own */
		if (fork() == 0) {
			count(30);
			_exit(0);
		}
		count(10);
		break;
	case 4: /* has a series that no other process has */
		done = hotpath_counter_new("churn.late", NULL, NULL, NULL, 0);
		count(15);
		break;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct pollfd input = { 0, POLLIN, 0 };
	pid_t doomed = 0;

	if (argc != 2)
		return 2;
	ledger_open(argv[1]);
	done = hotpath_counter_new("churn.done", NULL, NULL, NULL, 0);
	level = hotpath_updowncounter_new("churn.level", NULL, NULL, NULL, 0);
	speed = hotpath_gauge_new("churn.speed", NULL, NULL, NULL, 0);
	size = hotpath_histogram_new("churn.size", NULL, NULL, NULL, 0);
	struct entry *e = ledger_entry(RUNNING);
	puts("ready");
	fflush(stdout);

	for (int round = 0; poll(&input, 1, 60) == 0; round++) {
		pid_t pid = fork();

		if (pid == 0)
			child(round % 5);
		if (doomed) {
			kill(doomed, SIGKILL);
			doomed = 0;
		}
		if (round % 5 == 2)
			doomed = pid;
		burst(e);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	if (doomed)
		kill(doomed, SIGKILL);
	while (wait(NULL) > 0)
		;
	e->state = FINISHED;
	return 0;
}
