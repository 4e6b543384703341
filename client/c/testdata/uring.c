/* One program for the tests of HOTPATH_TRANSPORT=io_uring. It does what the lines of its standard input say, says "ready" with its status
 * after each, and exits when they end. */
#include "program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static void line_done(void)
{
	printf("ready %s\n", hotpath_status());
	fflush(stdout);
}

static hotpath_counter shared_counter;
static hotpath_histogram shared_histogram;

static void threads(int n, unsigned long each)
{
	struct work w = {counter("threads.counter"), hotpath_histogram_new("threads.histogram", "", "", NULL, 0), 1, 7, each};

	run_threads(n, w);
}

/* n counters and a tenth as many histograms. */
static void series(const char *name, unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		hotpath_attr attr = HOTPATH_INT("n", (int64_t)i);
		hotpath_counter_add(hotpath_counter_new(name, "1", "a description", &attr, 1), i + 1);
		if (i % 10 == 0)
			hotpath_histogram_record(hotpath_histogram_new("histograms", "1", "", &attr, 1), (double)(1 + i));
	}
}

static unsigned long ticks;

static void tick(int signal)
{
	(void)signal;
	hotpath_counter_add(shared_counter, 1);
	hotpath_histogram_record(shared_histogram, 0.5);
	ticks++;
}

static void every(int microseconds)
{
	struct itimerval interval = {{0, microseconds}, {0, microseconds}};

	setitimer(ITIMER_REAL, &interval, NULL);
}

/* A handler counts on the counter that it interrupts. */
static void signals(unsigned long n)
{
	struct sigaction action;
	unsigned long i;

	shared_counter = counter("signals.counter");
	shared_histogram = hotpath_histogram_new("signals.histogram", "", "", NULL, 0);
	memset(&action, 0, sizeof action);
	action.sa_handler = tick;
	sigaction(SIGALRM, &action, NULL);
	every(100);
	for (i = 0; i < n; i++)
		hotpath_counter_add(shared_counter, 1);
	every(0);
	printf("%lu %lu\n", n + ticks, ticks);
}

static void end_child(void)
{
	hotpath_flush();
	_exit(0);
}

/* Children are made between any two instructions of the code that tells, count on and tell. */
static void fork_signals(int n)
{
	hotpath_counter c = counter("fork_signals.counter");
	int i, k;

	for (i = 0; i < n; i++) {
		fork_in(50 + i % 50);
		for (k = 0; k < 2000; k++) {
			hotpath_counter_add(c, 1);
			if (*child() && k > 100)
				end_child();
		}
	}
	fork_in(0); /* no more, but maybe this late */
	if (*child())
		end_child();
}

/* A handler leaves the code that tells for good, at any instruction of it. */
static sigjmp_buf away;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(away, 1);
}

static __attribute__((noinline)) void jumps(int n)
{
	volatile int i;
	int k;

	shared_counter = counter("jumps.counter");
	signal(SIGALRM, jump);
	for (i = 0; i < n; i++) {
		if (sigsetjmp(away, 1))
			continue;
		every(20 + i % 50);
		for (k = 0; k < 20000; k++)
			hotpath_counter_add(shared_counter, 1);
	}
	signal(SIGALRM, SIG_IGN);
	every(0);
	hotpath_counter_add(shared_counter, 1);
	printf("%lu\n", (unsigned long)hotpath__total(&hotpath__state_v1, (shared_counter.slot - 1 - hotpath__address(hotpath__words(&hotpath__state_v1, 0, 1))) / 8,
		*HOTPATH__FIELD(hotpath__state_v1.base, HOTPATH__OFF_STRIPES_USED)));
}

static int stop;

static void *count_on(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		hotpath_counter_add(shared_counter, 1);
	return unused;
}

/* Children are made while other threads count, and each counts and tells. */
static void storm(int children)
{
	hotpath_counter c = counter("storm.counter");
	pthread_t t[2];
	int i, pid;

	shared_counter = counter("storm.other");
	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, count_on, NULL);
	for (i = 0; i < children; i++) {
		pid = i % 3 ? fork() : raw_fork();
		if (pid == 0) {
			hotpath_counter_add(c, 1);
			hotpath_flush();
			hotpath_counter_add(c, 1);
			hotpath_flush();
			_exit(0);
		}
		exit_as(pid);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* Count while another thread closes everything, again and again. */
static void closing(unsigned long n)
{
	hotpath_counter c = counter("closing.counter");
	unsigned long i;
	pthread_t t;

	pthread_create(&t, NULL, close_descriptors, &stop);
	for (i = 0; i < n; i++)
		hotpath_counter_add(c, 1);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
}

/* Files take all numbers; none may be written to, or closed. */
static void files(void)
{
	char name[] = "/tmp/hotpath-uring-XXXXXX";
	hotpath_counter c = counter("files.counter");
	struct rlimit r = {1024, 1024};
	int fds[1100], n, i;
	struct stat st;

	setrlimit(RLIMIT_NOFILE, &r);
	syscall(SYS_close_range, 3, ~0U, 0);
	fds[0] = mkstemp(name);
	unlink(name);
	for (n = 1; (fds[n] = dup(fds[0])) >= 0; n++)
		;
	for (i = 0; i < 1000; i++)
		hotpath_counter_add(c, 1);
	hotpath_flush();
	for (i = 0; i < n; i++)
		if (fstat(fds[i], &st) != 0 || st.st_size != 0)
			die("a file of the application's was closed or written to");
	printf("%d\n", n);
	for (i = 0; i < n; i++)
		close(fds[i]);
}

/* Rings of the application's get the numbers: nothing is posted to them. */
static void own_rings(void)
{
	struct hotpath__uring *u = &hotpath__state_v1.uring;
	int numbers[2] = {(int)u->target.file.fd - 1, (int)u->sending.file.fd - 1}, fds[2], i;
	struct hotpath__ring_params p[2];
	char *queues[2];

	for (i = 0; i < 2; i++) {
		struct hotpath__descriptor d;
		memset(&p[i], 0, sizeof p[i]);
		fds[i] = (int)syscall(HOTPATH__IO_URING_SETUP, 64, &p[i]);
		d.fd = (uint64_t)fds[i] + 1;
		queues[i] = hotpath__map_ring(&d, p[i].cq.cqes + 16 * p[i].cq_entries, 0);
		if (fds[i] < 0 || queues[i] == NULL || numbers[i] < 64 || dup2(fds[i], numbers[i]) != numbers[i])
			die("dup2");
	}
	usleep(20000); /* the client looks at its descriptors each 10 ms */
	for (i = 0; i < 1000; i++)
		hotpath_counter_add(counter("own.counter"), 1);
	hotpath_flush();
	for (i = 0; i < 2; i++)
		if (*(uint32_t *)(void *)(queues[i] + p[i].cq.tail) != 0 || fcntl(numbers[i], F_GETFD) < 0)
			die("a ring of the application's was posted to or closed");
	for (i = 0; i < 2; i++)
		close(numbers[i]);
}

typedef void count_function(unsigned long);

static void library(const char *name, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		void *loaded = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		count_function *f;
		if (loaded == NULL) {
			fprintf(stderr, "%s\n", dlerror());
			exit(3);
		}
		*(void **)&f = dlsym(loaded, "library_count");
		f(1);
		if (dlclose(loaded) != 0)
			die("dlclose");
	}
}

/* What the slowest of n adds takes. */
static void slowest(unsigned long n)
{
	hotpath_counter c = counter("slowest.counter");
	double most = 0, took;
	struct timespec from, to;

	while (n--) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		hotpath_counter_add(c, 1);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		took = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
		most = took > most ? took : most;
	}
	printf("%.0f\n", most);
}

static void run_lines(void)
{
	char line[1000], *what, *name, *n;
	int pid;

	while (fgets(line, sizeof line, stdin) != NULL) {
		unsigned long i, times;
		what = strtok(line, " \n");
		name = strtok(NULL, " \n");
		n = strtok(NULL, " \n");
		times = n ? strtoul(n, NULL, 10) : 0;
		errno = 77;
		if (strcmp(what, "count") == 0) {
			hotpath_counter c = counter(name);
			for (i = 0; i < times; i++)
				hotpath_counter_add(c, 1);
		} else if (strcmp(what, "make") == 0) {
			counter(name);
		} else if (strcmp(what, "move") == 0) {
			hotpath_updowncounter_add(hotpath_updowncounter_new(name, "1", "", NULL, 0), strtol(n, NULL, 10));
		} else if (strcmp(what, "set") == 0) {
			hotpath_gauge_set(hotpath_gauge_new(name, "1", "", NULL, 0), strtod(n, NULL));
		} else if (strcmp(what, "record") == 0) {
			hotpath_histogram_record(hotpath_histogram_new(name, "1", "", NULL, 0), strtod(n, NULL));
		} else if (strcmp(what, "flush") == 0) {
			hotpath_flush();
		} else {
			errno = 0;
			if (strcmp(what, "series") == 0) series(name, times);
			else if (strcmp(what, "threads") == 0) threads(atoi(name), times);
			else if (strcmp(what, "signals") == 0) signals(strtoul(name, NULL, 10));
			else if (strcmp(what, "fork-signals") == 0) fork_signals(atoi(name));
			else if (strcmp(what, "jumps") == 0) jumps(atoi(name));
			else if (strcmp(what, "storm") == 0) storm(atoi(name));
			else if (strcmp(what, "closing") == 0) closing(strtoul(name, NULL, 10));
			else if (strcmp(what, "files") == 0) files();
			else if (strcmp(what, "own-rings") == 0) own_rings();
			else if (strcmp(what, "closefrom") == 0) syscall(SYS_close_range, 3, ~0U, 0);
			else if (strcmp(what, "library") == 0) library(name, (int)times);
			else if (strcmp(what, "slowest") == 0) slowest(strtoul(name, NULL, 10));
			else if (strcmp(what, "kill") == 0) kill(getpid(), SIGKILL);
			else if (strcmp(what, "vfork") == 0) {
				pid = vfork();
				if (pid == 0)
					_exit(0);
				exit_as(pid);
			} else if (strcmp(what, "exec") == 0) {
				char self[] = "/proc/self/exe", program[] = "uring", *again[] = {program, NULL};
				execv(self, again);
			} else if (strcmp(what, "fork") == 0 || strcmp(what, "raw-fork") == 0) {
				pid = *what == 'r' ? raw_fork() : fork();
				if (pid == 0) {
					line_done();
					run_lines();
					exit(0);
				}
				exit_as(pid);
			} else if (strcmp(what, "end") == 0) {
				return;
			} else if (strcmp(what, "_end") == 0) {
				_exit(0);
			} else {
				fprintf(stderr, "unknown line: %s\n", what);
				exit(2);
			}
			errno = 77;
		}
		if (errno != 77)
			die("errno was changed");
		line_done();
	}
}

int main(int argc, char **argv)
{
	struct rlimit few = {3, 3};

	setvbuf(stdin, NULL, _IONBF, 0); /* parent and child share it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc > 1 && strcmp(argv[1], "few-files") == 0)
		setrlimit(RLIMIT_NOFILE, &few);
	if (argc > 1 && strcmp(argv[1], "user") == 0 && setuid(65534) != 0)
		die("setuid");
	line_done();
	run_lines();
	return 0;
}
