/* One program for the tests of HOTPATH_TRANSPORT=user_events: events COMMAND [ARGUMENT...]. Between the steps of a command it says
 * "ready" with its status and waits for a line, so that the test can listen, or not. */
#include "program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void step(void)
{
	char line;

	printf("ready %s\n", hotpath_status());
	fflush(stdout);
	do
		if (read(0, &line, 1) != 1)
			exit(0);
	while (line != '\n');
}

static hotpath_histogram histogram(const char *name)
{
	return hotpath_histogram_new(name, "s", "", NULL, 0);
}

static void values(void)
{
	hotpath_attr attrs[] = {HOTPATH_STR("s", "text"), HOTPATH_INT("i", -5)};
	hotpath_counter c = hotpath_counter_new("values.counter", "{call}", "calls", attrs, 2);
	hotpath_updowncounter u = hotpath_updowncounter_new("values.updowncounter", "1", NULL, NULL, 0);
	hotpath_gauge g = hotpath_gauge_new("values.gauge", "Cel", "", NULL, 0);
	hotpath_histogram h = histogram("values.histogram"), wide = histogram("values.wide"), zeros = histogram("values.zeros");
	int i;

	errno = 77;
	hotpath_counter_add(c, 3);
	hotpath_gauge_set(g, 20.5);
	for (i = -30; i < 34; i++)
		hotpath_histogram_record(wide, ldexp(1.5, i));
	step(); /* a listener comes */
	hotpath_counter_add(c, 1);
	hotpath_updowncounter_add(u, 5);
	hotpath_updowncounter_add(u, -12);
	hotpath_gauge_set(g, -3.25);
	hotpath_histogram_record(h, 0);
	hotpath_histogram_record(h, 1);
	hotpath_histogram_record(h, 1.5);
	hotpath_histogram_record(h, 1e-300);
	hotpath_histogram_record(h, NAN);
	hotpath_histogram_record(h, -1);
	hotpath_histogram_record(wide, 1e300);
	hotpath_histogram_record(zeros, 0);
	step(); /* it goes */
	hotpath_counter_add(c, 10);
	hotpath_gauge_set(g, 1);
	hotpath_histogram_record(h, 1);
	step(); /* it comes again */
	hotpath_counter_add(c, 1);
	hotpath_gauge_set(g, 2);
	hotpath_histogram_record(h, 1);
	if (errno != 77)
		die("errno was changed");
	step();
}

/* Series whose records come near the size of an event, and beyond it. */
static void sizes(void)
{
	static char value[1024], description[1024];
	hotpath_attr attrs[4];
	char name[32];
	int i;

	memset(value, 'v', sizeof value - 1);
	memset(description, 'd', sizeof description - 1);
	attrs[0] = HOTPATH_STR("a", value);
	attrs[1] = HOTPATH_STR("b", value);
	attrs[2] = HOTPATH_STR("c", value);
	attrs[3] = HOTPATH_STR("d", value);
	for (i = 0; i <= 4; i++) {
		snprintf(name, sizeof name, "sizes.c%d", i);
		hotpath_counter_add(hotpath_counter_new(name, "1", description, attrs, (size_t)i), 1);
		snprintf(name, sizeof name, "sizes.h%d", i);
		hotpath_histogram_record(hotpath_histogram_new(name, "1", description, attrs, (size_t)i), 1);
	}
	step();
}

static hotpath_counter shared_counter;
static hotpath_histogram shared_histogram;
static hotpath_gauge shared_gauge;
static unsigned long ticks;

static void threads(int n, unsigned long each)
{
	struct work w = {counter("threads.counter"), histogram("threads.histogram"), 1, 7, each};

	step();
	run_threads(n, w);
	step();
}

/* Print what one of n updates costs beside system calls, in nanoseconds; the least of five times. */
#define TIME(what, operation)                                                                   \
	do {                                                                                        \
		double least = 1e18, took;                                                              \
		for (k = 0; k < 5; k++) {                                                               \
			clock_gettime(CLOCK_MONOTONIC, &from);                                              \
			for (i = 0; i < n; i++)                                                             \
				operation;                                                                      \
			clock_gettime(CLOCK_MONOTONIC, &to);                                                \
			took = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec); \
			least = took < least ? took : least;                                                \
		}                                                                                       \
		printf(what " %.2f\n", least / (double)n);                                              \
	} while (0)

static void cost(unsigned long n)
{
	static char text[300];
	struct iovec parts[3] = {{text, 84}, {text, 64}, {text, 120}};
	hotpath_counter c = counter("cost.counter");
	hotpath_gauge g = hotpath_gauge_new("cost.gauge", "1", "", NULL, 0);
	hotpath_histogram h = histogram("cost.histogram");
	int null = open("/dev/null", O_WRONLY), k;
	struct timespec from, to;
	unsigned long i;

	for (;;) {
		TIME("add", hotpath_counter_add(c, 1));
		TIME("set", hotpath_gauge_set(g, (double)i));
		TIME("record", hotpath_histogram_record(h, (double)(1 + i % 7)));
		TIME("getppid", syscall(SYS_getppid));
		TIME("writev", if (writev(null, parts, 3) < 0) die("writev"));
		step();
	}
}

/* Two threads count until the process is killed, and note each completed add in a file. */
static void killed(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600), i;
	struct worker workers[2];
	uint64_t *done;
	pthread_t t;

	if (fd < 0 || ftruncate(fd, sizeof *done * 2) != 0)
		die(file);
	done = (uint64_t *)mmap(NULL, sizeof *done * 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (i = 0; i < 2; i++) {
		workers[i].counter = counter(i ? "killed.1" : "killed.0");
		workers[i].done = &done[i];
	}
	for (i = 0; i < 2; i++)
		pthread_create(&t, NULL, endlessly, &workers[i]);
	for (i = 0; i < 2; i++)
		while (*workers[i].done == 0)
			usleep(100);
	step();
}

/* A child counts from zero, and the kernel goes on to tell it who listens. */
static void forks(int raw)
{
	hotpath_counter c = counter("forks.counter");
	hotpath_gauge g = hotpath_gauge_new("forks.gauge", "", "", NULL, 0);
	hotpath_histogram h = histogram("forks.histogram");
	int pid;

	hotpath_counter_add(c, 1);
	hotpath_gauge_set(g, 1);
	hotpath_histogram_record(h, 1);
	pid = vfork();
	if (pid == 0)
		_exit(0);
	exit_as(pid);
	pid = raw ? raw_fork() : fork();
	if (pid == 0) {
		step(); /* a listener comes, or goes, before the child's first count */
		hotpath_counter_add(c, 10);
		step();
		hotpath_counter_add(c, 10);
		hotpath_counter_add(counter("forks.new"), 7);
		hotpath_gauge_set(g, 2);
		hotpath_histogram_record(h, 2);
		step();
		_exit(0);
	}
	exit_as(pid);
	hotpath_counter_add(c, 1);
	step();
}

/* closefrom(3), then more files than there are numbers. None may get a byte of ours. */
static void descriptors(const char *dir, unsigned long limit)
{
	struct rlimit r = {limit, limit};
	hotpath_counter c;
	struct stat st;
	char name[4200];
	int fds[2048], n, i;

	setrlimit(RLIMIT_NOFILE, &r);
	c = counter("descriptors.counter");
	step(); /* a listener comes */
	hotpath_counter_add(c, 1);
	syscall(SYS_close_range, 3, ~0U, 0);
	hotpath_counter_add(c, 1);
	step();
	syscall(SYS_close_range, 3, ~0U, 0);
	for (n = 0; n < 2048; n++) {
		snprintf(name, sizeof name, "%s/%d", dir, n);
		fds[n] = open(name, O_RDWR | O_CREAT | (n % 2 ? O_APPEND : 0), 0600);
		if (fds[n] < 0)
			break;
	}
	for (i = 0; i < 2000; i++)
		hotpath_counter_add(c, 1);
	for (i = 0; i < n; i++)
		if (fstat(fds[i], &st) != 0 || st.st_size != 0)
			die("a file of the application's was closed or written to");
	printf("%d\n", n);
	step();
	for (i = 0; i < n; i++)
		close(fds[i]);
	for (i = 0; i < 2000; i++)
		hotpath_counter_add(c, 1);
	step();
}

static int stop, pipe_ends[2];
static unsigned long piped;

/* Put the pipe to where the descriptor is, and see what comes. */
static void *replace_descriptor(void *unused)
{
	char bytes[4096];
	ssize_t n;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		syscall(SYS_close_range, 900, ~0U, 0);
		while (dup2(pipe_ends[1], 1008) < 0)
			if (errno != EBUSY) /* the client is just about to use the number */
				die("dup2");
		usleep(50);
		while ((n = read(pipe_ends[0], bytes, sizeof bytes)) > 0)
			piped += (unsigned long)n;
		close(1008);
		usleep(300);
	}
	return unused;
}

static void start_with_pipe(pthread_t *t, void *(*thread)(void *))
{
	struct rlimit r = {1024, 1024};

	if (setrlimit(RLIMIT_NOFILE, &r) != 0 || pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) != 0 || pthread_create(t, NULL, thread, NULL) != 0)
		die("pipe2");
}

static void replaced(unsigned long n)
{
	hotpath_counter c = counter("replaced.counter");
	unsigned long i;
	pthread_t t;

	step();
	start_with_pipe(&t, replace_descriptor);
	for (i = 0; i < n; i++)
		hotpath_counter_add(c, 1);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	hotpath_counter_add(c, 1);
	printf("%lu\n", piped);
	step();
}

static int stopped_calls; /* where a seccomp filter tells of them */

/* When the other thread is about to make such a call for the first time, close the descriptor, and have the pipe take its number
 * if there is one. */
static void *take_descriptor(void *unused)
{
	struct seccomp_notif stopped;
	struct seccomp_notif_resp go_on;
	char link[64], path[64];
	int fd, i, taken = 0;
	ssize_t n;

	while ((fd = __atomic_load_n(&stopped_calls, __ATOMIC_ACQUIRE)) == 0)
		sched_yield();
	for (;;) {
		memset(&stopped, 0, sizeof stopped);
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &stopped) != 0)
			die("SECCOMP_IOCTL_NOTIF_RECV");
		for (i = 3; i < 1024 && !taken; i++) {
			snprintf(path, sizeof path, "/proc/self/fd/%d", i);
			n = readlink(path, link, sizeof link - 1);
			link[n > 0 ? n : 0] = 0;
			if (strstr(link, "user_events_data") == NULL)
				continue;
			taken = 1;
			close(i);
			if (pipe_ends[1]) {
				dup2(pipe_ends[1], i);
				close(pipe_ends[1]);
				pipe_ends[1] = i;
			}
		}
		memset(&go_on, 0, sizeof go_on);
		go_on.id = stopped.id;
		go_on.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &go_on) != 0)
			die("SECCOMP_IOCTL_NOTIF_SEND");
	}
	return unused;
}

static void take_before(unsigned call)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	int fd;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0)
		die("seccomp");
	__atomic_store_n(&stopped_calls, fd, __ATOMIC_RELEASE);
}

static void closed(void)
{
	hotpath_counter c = counter("closed.counter");
	pthread_t t;

	step();
	pthread_create(&t, NULL, take_descriptor, NULL);
	take_before(SYS_pwritev);
	hotpath_counter_add(c, 1);
	step();
}

static void new_descriptor(void)
{
	pthread_t t;
	char byte;

	start_with_pipe(&t, take_descriptor);
	take_before(SYS_prlimit64);
	hotpath_counter_add(counter("new.counter"), 1);
	if (read(pipe_ends[0], &byte, 1) != -1 || errno != EAGAIN || close(pipe_ends[1]) != 0)
		die("the application's pipe was written to or closed");
	if (read(pipe_ends[0], &byte, 1) != 0)
		die("the application's pipe was copied");
	step();
}

static void *register_and_end(void *unused)
{
	shared_counter = counter("ends.counter");
	shared_gauge = hotpath_gauge_new("ends.gauge", "", "", NULL, 0);
	hotpath_counter_add(shared_counter, 1);
	return unused;
}

static int released;

static void *wait_and_count(void *only_gauge)
{
	while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (only_gauge)
		hotpath_gauge_set(shared_gauge, 3);
	else
		hotpath_counter_add(shared_counter, 1);
	return only_gauge;
}

/* The thread that registered ends, and with it what the kernel knew. */
static void ends(int only_gauge, int keys)
{
	pthread_t first, second;
	pthread_key_t key;

	while (keys-- > 0)
		if (pthread_key_create(&key, NULL) != 0)
			die("pthread_key_create");
	pthread_create(&second, NULL, wait_and_count, only_gauge ? &shared_gauge : NULL);
	pthread_create(&first, NULL, register_and_end, NULL);
	pthread_join(first, NULL);
	__atomic_store_n(&released, 1, __ATOMIC_RELEASE);
	pthread_join(second, NULL); /* it registers, and ends as well */
	hotpath_counter_add(shared_counter, 1);
	step(); /* a listener comes */
	hotpath_counter_add(shared_counter, 1);
	hotpath_gauge_set(shared_gauge, 4);
	step();
}

typedef void count_function(unsigned long);

static void *opened;

static void *load_and_count(void *name)
{
	void *library = dlopen((const char *)name, RTLD_NOW | RTLD_LOCAL);
	count_function *f;

	if (library == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(3);
	}
	*(void **)&f = dlsym(library, "library_count");
	f(10);
	__atomic_store_n(&opened, library, __ATOMIC_RELEASE);
	pause();
	return NULL;
}

/* Executable and library each have a segment. The library registers in one thread, which lives on, and is closed in another.
 * Where it was, if it went, nobody but the program may write. */
static void library(const char *name)
{
	enum { PAGES = 128 };
	char *pages[PAGES];
	count_function *f;
	Dl_info where;
	void *loaded;
	pthread_t t;
	int i, k;

	pthread_create(&t, NULL, load_and_count, (void *)(uintptr_t)name);
	while ((loaded = __atomic_load_n(&opened, __ATOMIC_ACQUIRE)) == NULL)
		sched_yield();
	if (dladdr(dlsym(loaded, "library_count"), &where) == 0 || dlclose(loaded) != 0)
		die("dlclose");
	hotpath_counter_add(counter("library.counter"), 1); /* no earlier: threads share what was registered before they began */
	for (i = 0; i < PAGES; i++)
		pages[i] = (char *)mmap((char *)where.dli_fbase + 4096 * i, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	step(); /* a listener comes */
	for (i = 0; i < PAGES; i++)
		for (k = 0; k < 4096 && pages[i] != MAP_FAILED; k++)
			if (pages[i][k])
				die("memory was written to");
	hotpath_counter_add(counter("library.counter"), 1);
	loaded = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	*(void **)&f = dlsym(loaded, "library_count");
	f(100);
	step();
}

static void on_signal(int signal)
{
	(void)signal;
	hotpath_counter_add(shared_counter, 1);
	hotpath_histogram_record(shared_histogram, 3);
	hotpath_gauge_set(shared_gauge, 3);
	__atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
}

/* Handlers on small stacks count on what they interrupt, while the descriptor is closed again and again. */
static void signals(unsigned long n)
{
	static char alternate[8192];
	struct itimerval every = {{0, 500}, {0, 500}};
	stack_t on = {alternate, 0, sizeof alternate};
	struct sigaction action;
	unsigned long i;
	pthread_t t;

	shared_counter = counter("signals.counter");
	shared_histogram = histogram("signals.histogram");
	shared_gauge = hotpath_gauge_new("signals.gauge", "", "", NULL, 0);
	for (i = 0; i < 60; i++)
		hotpath_histogram_record(shared_histogram, ldexp(1, (int)i - 28));
	step();
	pthread_create(&t, NULL, close_descriptors, &stop);
	sigaltstack(&on, NULL);
	memset(&action, 0, sizeof action);
	action.sa_handler = on_signal;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (i = 0; i < n; i++) {
		hotpath_counter_add(shared_counter, 1);
		if (i % 64 == 0)
			hotpath_histogram_record(shared_histogram, 3);
	}
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	hotpath_counter_add(shared_counter, 1);
	printf("%lu\n", n + ticks + 1);
	step();
}

/* Under what keeps a process from sending: say so, and go on counting. */
static void limited(const char *what)
{
	struct rlimit r = {3, 3};
	hotpath_counter c;
	int i;

	if (strcmp(what, "files") == 0)
		setrlimit(RLIMIT_NOFILE, &r);
	if (strcmp(what, "user") == 0 && setuid(65534) != 0)
		die("setuid");
	if (strcmp(what, "root") == 0 && chroot("/tmp") != 0)
		die("chroot");
	c = counter("limited.counter");
	for (i = 0; i < 10000; i++)
		hotpath_counter_add(c, 1);
	step();
	hotpath_counter_add(c, 1);
	step();
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(command, "values") == 0) values();
	else if (strcmp(command, "sizes") == 0) sizes();
	else if (strcmp(command, "threads") == 0) threads((int)n, strtoul(argv[3], NULL, 10));
	else if (strcmp(command, "cost") == 0) cost(n);
	else if (strcmp(command, "killed") == 0) killed(argv[2]);
	else if (strcmp(command, "forks") == 0) forks(0);
	else if (strcmp(command, "raw-forks") == 0) forks(1);
	else if (strcmp(command, "descriptors") == 0) descriptors(argv[2], strtoul(argv[3], NULL, 10));
	else if (strcmp(command, "replaced") == 0) replaced(n);
	else if (strcmp(command, "closed") == 0) closed();
	else if (strcmp(command, "new-descriptor") == 0) new_descriptor();
	else if (strcmp(command, "ends") == 0) ends(0, 0);
	else if (strcmp(command, "ends-gauge") == 0) ends(1, 0);
	else if (strcmp(command, "ends-keys") == 0) ends(0, 40);
	else if (strcmp(command, "library") == 0) library(argv[2]);
	else if (strcmp(command, "signals") == 0) signals(n);
	else if (strcmp(command, "limited") == 0) limited(argc > 2 ? argv[2] : "");
	else return 2;
	return 0;
}
