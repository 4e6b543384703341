/* One program for all tests of hotpath.h: exercise COMMAND [ARGUMENT...]. It says "ready" and its status when it is done and
 * then waits for its standard input to end, so that the test looks at a live segment or kills it. */
#include "program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void api(void)
{
	hotpath_attr attrs[] = {HOTPATH_STR("s", "text"), HOTPATH_INT("i", -5), HOTPATH_DOUBLE("d", 0.5), HOTPATH_BOOL("b", 1)};
	hotpath_attr reversed[] = {HOTPATH_BOOL("b", 1), HOTPATH_DOUBLE("d", 0.5), HOTPATH_INT("i", -5), HOTPATH_STR("s", "text")};
	hotpath_counter a = hotpath_counter_new("api.counter", "{call}", "calls", attrs, 4);
	hotpath_counter b = hotpath_counter_new("api.counter", "{call}", "calls", reversed, 4);
	hotpath_updowncounter u = hotpath_updowncounter_new("api.updowncounter", "1", NULL, NULL, 0);
	hotpath_gauge g = hotpath_gauge_new("api.gauge", "Cel", "", NULL, 0);
	hotpath_gauge unset = hotpath_gauge_new("api.gauge.unset", NULL, NULL, NULL, 0);
	hotpath_histogram h = hotpath_histogram_new("api.histogram", "s", "", NULL, 0);
	hotpath_counter zero = {0};
	hotpath_histogram zero_histogram = {0};

	(void)unset;
	if (a.slot != b.slot || a.slot == 0)
		die("the same identity gave two series");
	hotpath_counter_add(a, 40);
	hotpath_counter_add(b, 2);
	hotpath_counter_add(zero, 7);
	hotpath_histogram_record(zero_histogram, 1);
	hotpath_updowncounter_add(u, 5);
	hotpath_updowncounter_add(u, -12);
	hotpath_gauge_set(g, 20.5);
	hotpath_gauge_set(g, -3.25);
	hotpath_histogram_record(h, 0);
	hotpath_histogram_record(h, -0.0);
	hotpath_histogram_record(h, 1);
	hotpath_histogram_record(h, 1.5);
	hotpath_histogram_record(h, 1e-300);
	hotpath_histogram_record(h, 1e300);
	hotpath_histogram_record(h, -1);
	hotpath_histogram_record(h, NAN);
	hotpath_histogram_record(h, INFINITY);
	hotpath_histogram_record(h, -INFINITY);
	ready();
}

/* Read doubles, one in a line, and print the bucket each falls into. */
static void buckets(void)
{
	hotpath_histogram h = hotpath_histogram_new("buckets", "", "", NULL, 0);
	double v;
	uint64_t i, k;

	while (scanf("%la", &v) == 1) {
		const struct hotpath__state *s = &hotpath__state_v1;
		uint64_t stripes = *HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED);
		char *words = s->base + hotpath__stripes_offset(s) + (h.slot - hotpath__slot(s, HOTPATH__HISTOGRAM, 0));
		for (i = 0; i < stripes; i++)
			memset(words + i * s->stripe_size, 0, 8 * HOTPATH__HISTOGRAM_WORDS);
		hotpath_histogram_record(h, v);
		stripes = *HOTPATH__FIELD(s->base, HOTPATH__OFF_STRIPES_USED);
		for (i = 0; i < stripes; i++)
			for (k = 0; k < HOTPATH__HISTOGRAM_BUCKETS; k++)
				if (*HOTPATH__FIELD(words + i * s->stripe_size, 8 * (HOTPATH__HISTOGRAM_FIRST_BUCKET + k)))
					printf("%d\n", (int)k);
	}
}

static hotpath_counter shared_counter;
static hotpath_histogram shared_histogram;
static unsigned long ticks;

static void threads(int n, unsigned long each)
{
	struct work w = {counter("threads.counter"), hotpath_histogram_new("threads.histogram", "", "", NULL, 0), 0.5, 1, each};

	run_threads(n, w);
	ready();
}

static void tick(int signal)
{
	(void)signal;
	hotpath_counter_add(shared_counter, 1);
	hotpath_histogram_record(shared_histogram, 0.5);
	ticks++;
}

/* A handler counts on the counter that it interrupts. */
static void signals(unsigned long n)
{
	struct itimerval every = {{0, 50}, {0, 50}};
	struct sigaction action;
	unsigned long i;

	shared_counter = counter("signals.counter");
	shared_histogram = hotpath_histogram_new("signals.histogram", "", "", NULL, 0);
	memset(&action, 0, sizeof action);
	action.sa_handler = tick;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (i = 0; i < n; i++) {
		hotpath_counter_add(shared_counter, 1);
		if (i % 1024 == 0)
			counter("signals.new");
	}
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
	printf("%lu\n", n + ticks);
	ready();
}

struct progress { uint64_t done[4]; };

/* Four threads count until the process is killed, and note each completed add in a file of their own. */
static void killed(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600), i;
	struct worker workers[4];
	struct progress *p;
	pthread_t t;

	if (fd < 0 || ftruncate(fd, sizeof *p) != 0)
		die(file);
	p = (struct progress *)mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (i = 0; i < 4; i++) {
		hotpath_attr attr = HOTPATH_INT("thread", i);
		workers[i].counter = hotpath_counter_new("killed.adds", "1", "", &attr, 1);
		workers[i].done = &p->done[i];
	}
	printf("ready %s\n", hotpath_status());
	fflush(stdout);
	for (i = 0; i < 4; i++)
		pthread_create(&t, NULL, endlessly, &workers[i]);
	pause();
}

/* Parent counts 1, each counting child 10, each counting grandchild 100. */
static void forks(void)
{
	hotpath_counter c = counter("forks.counter");
	hotpath_gauge g = hotpath_gauge_new("forks.gauge", "", "", NULL, 0);
	int pid, i;

	hotpath_counter_add(c, 1);
	hotpath_gauge_set(g, 1);
	for (i = 0; i < 4; i++) {
		pid = i % 2 ? raw_fork() : fork();
		if (pid == 0) {
			if (i < 2) {
				hotpath_counter_add(c, 10);
				hotpath_counter_add(counter("forks.child"), 1);
				pid = fork();
				if (pid == 0) {
					hotpath_counter_add(c, 100);
					_exit(0);
				}
				exit_as(pid);
			}
			_exit(0); /* children 2 and 3 never count */
		}
		exit_as(pid);
	}
	if (vfork() == 0)
		_exit(0);
	hotpath_counter_add(c, 1);
	ready();
}

/* A child outlives its parent without counting: it must not keep the parent's segment alive. */
static void orphan(void)
{
	hotpath_counter c = counter("orphan.counter");

	hotpath_counter_add(c, 3);
	if (fork() == 0) {
		close(1);
		close(2);
		sleep(20);
		_exit(0);
	}
	ready();
}

/* Children are made while other threads count and make series. */
static void *make_series(void *stop)
{
	int i;

	for (i = 0; !__atomic_load_n((int *)stop, __ATOMIC_RELAXED); i++) {
		hotpath_attr attr = HOTPATH_INT("n", i % 2000);
		hotpath_counter_add(hotpath_counter_new("storm.series", "1", "", &attr, 1), 1);
	}
	return NULL;
}

static void storm(int children)
{
	hotpath_counter c = counter("storm.counter");
	int stop = 0, i;
	pthread_t t[2];

	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, make_series, &stop);
	for (i = 0; i < children; i++) {
		int pid = i % 3 ? fork() : raw_fork();
		if (pid == 0) {
			hotpath_attr attr = HOTPATH_INT("n", i);
			hotpath_counter_add(c, 1);
			hotpath_counter_add(hotpath_counter_new("storm.series", "1", "", &attr, 1), 1);
			hotpath_counter_add(c, 1);
			_exit(0);
		}
		exit_as(pid);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	ready();
}

static void daemonise(void)
{
	hotpath_counter c = counter("daemon.counter");
	int out = dup(1), in = dup(0);

	hotpath_counter_add(c, 1);
	if (daemon(0, 0) != 0)
		die("daemon");
	hotpath_counter_add(c, 1);
	dup2(out, 1);
	dup2(in, 0);
	syscall(SYS_close_range, 3, ~0U, 0);
	hotpath_counter_add(c, 1);
	hotpath_counter_add(counter("daemon.later"), 1);
	printf("%d\n", (int)getpid());
	ready();
}

/* exercise libraries LINKED... : the executable, a linked and a dlopened library count on the same series. */
typedef void count_function(unsigned long);

static void libraries(char **names, int n, int unload)
{
	int i, pid;

	hotpath_counter_add(counter("library.counter"), 1);
	for (i = 0; i < n; i++) {
		void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		count_function *f;
		if (library == NULL) {
			fprintf(stderr, "%s\n", dlerror());
			exit(3);
		}
		*(void **)&f = dlsym(library, "library_count");
		f(10);
		if (unload && dlclose(library) != 0)
			die("dlclose");
	}
	pid = fork();
	if (pid == 0) {
		hotpath_counter_add(counter("library.counter"), 1000);
		_exit(0);
	}
	exit_as(pid);
	ready();
}

static volatile int unloading = 1;

static void *spin(void *unused)
{
	hotpath_counter c = counter("library.spin");

	while (unloading)
		hotpath_counter_add(c, 1);
	return unused;
}

/* Unload a library right after its critical section ran, again and again, while preemptions come in. */
static void unload(const char *name, int n)
{
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, spin, NULL);
	for (i = 0; i < n; i++) {
		void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		count_function *f;
		if (library == NULL)
			die("dlopen");
		*(void **)&f = dlsym(library, "library_count");
		f(1);
		dlclose(library);
		sched_yield();
	}
	unloading = 0;
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	ready();
}

/* n series of each kind, then every bad call there is. */
static void many(unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		hotpath_attr attr = HOTPATH_INT("n", (int64_t)i);
		hotpath_counter_add(hotpath_counter_new("many.counter", "1", "", &attr, 1), 1);
	}
	ready();
}

static void names(unsigned long n)
{
	unsigned long i;
	char name[64];

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof name, "many.name%lu", i);
		hotpath_counter_add(counter(name), 1);
		hotpath_histogram_record(hotpath_histogram_new(strcat(name, "h"), "s", "", NULL, 0), 1);
	}
	ready();
}

static void bad(void)
{
	static char long_name[300], long_value[3000], keys[70][16];
	hotpath_attr attrs[70], latin = HOTPATH_STR("v", "caf\xe9"), no_key = HOTPATH_STR(NULL, "x"), null_value = HOTPATH_STR("n", NULL),
		bad_key = HOTPATH_STR("\xff", "x"), cut = HOTPATH_STR("cut", long_value);
	int i;

	errno = 77;
	memset(long_name, 'a', sizeof long_name - 1);
	for (i = 0; i + 3 < (int)sizeof long_value; i += 3)
		memcpy(long_value + i, "\xe2\x82\xac", 3);
	for (i = 0; i < 70; i++) {
		snprintf(keys[i], sizeof keys[i], "k%d", i);
		attrs[i] = HOTPATH_INT(keys[i], i);
	}
	if (hotpath_counter_new(NULL, NULL, NULL, NULL, 0).slot || hotpath_counter_new("", "", "", NULL, 0).slot ||
		hotpath_counter_new("1x", "", "", NULL, 0).slot || hotpath_counter_new("a b", "", "", NULL, 0).slot ||
		hotpath_counter_new(long_name, "", "", NULL, 0).slot || hotpath_counter_new("x", long_name, "", NULL, 0).slot ||
		hotpath_counter_new("x", "\xc2\xb0", "", NULL, 0).slot || hotpath_counter_new("x", "", "", attrs, 70).slot ||
		hotpath_counter_new("x", "", "", &no_key, 1).slot || hotpath_counter_new("x", "", "", &bad_key, 1).slot)
		die("a bad series was made");
	hotpath_counter_add(hotpath_counter_new("bad.latin", "", "caf\xe9", &latin, 1), 1);
	hotpath_counter_add(hotpath_counter_new("bad.null", "", NULL, &null_value, 1), 1);
	hotpath_counter_add(hotpath_counter_new("bad.cut", "", NULL, &cut, 1), 1);
	hotpath_counter_add(hotpath_counter_new("bad.attrs", "", NULL, attrs, 64), 1);
	if (errno != 77)
		die("errno was changed");
	if (hotpath_gauge_new("bad.null", "", "", NULL, 0).slot || hotpath_counter_new("bad.null", "s", "", NULL, 0).slot)
		die("a name took a second kind or unit");
	ready();
}

/* Children are made between any two instructions of the code that counts, and count on. */
static void fork_signals(int n)
{
	hotpath_counter c = counter("fork_signals.counter");
	hotpath_histogram h = hotpath_histogram_new("fork_signals.histogram", "", "", NULL, 0);
	int i, k;

	for (i = 0; i < n; i++) {
		fork_in(50 + i % 50);
		for (k = 0; k < 200000; k++) {
			hotpath_counter_add(c, 1);
			hotpath_histogram_record(h, 1);
			if (*child() && k > 100)
				_exit(0);
		}
	}
	ready();
}

static void count_first(void)
{
	hotpath_counter_add(shared_counter, 1);
}

/* The application's own handler counts in the child before ours has run. */
static void atfork(void)
{
	int pid;

	pthread_atfork(NULL, NULL, count_first);
	shared_counter = counter("atfork.counter");
	pid = fork();
	if (pid == 0) {
		hotpath_counter_add(shared_counter, 19);
		_exit(strstr(hotpath_status(), "publishing") == NULL);
	}
	exit_as(pid);
	ready();
}

static void on_small_stack(int signal)
{
	const hotpath_attr attr = HOTPATH_INT("signal", signal);

	hotpath_counter_add(shared_counter, 1);
	hotpath_counter_add_with(shared_counter, 1, &attr, 1);
}

static void *first_count(void *unused)
{
	hotpath_attr attr = HOTPATH_STR("stack", "small");

	shared_counter = hotpath_counter_new("stack.counter", "1", "", &attr, 1);
	hotpath_counter_add(shared_counter, 1);
	return unused;
}

/* The first series is made on the smallest stack a thread can have, a child's first count on a signal's. */
static void stack(void)
{
	static char alternate[8192];
	stack_t on = {alternate, 0, sizeof alternate};
	struct sigaction action;
	pthread_attr_t attr;
	pthread_t t;
	int pid;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	if (pthread_create(&t, &attr, first_count, NULL) != 0)
		die("pthread_create");
	pthread_join(t, NULL);
	sigaltstack(&on, NULL);
	memset(&action, 0, sizeof action);
	action.sa_handler = on_small_stack;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &action, NULL);
	pid = fork();
	if (pid == 0) {
		raise(SIGUSR1);
		_exit(0);
	}
	exit_as(pid);
	ready();
}

/* Under some limit: count, say how it went, and that counting goes on. */
static void limited(const char *limit)
{
	struct rlimit r = {3, 3};
	hotpath_counter c;
	int i;

	if (strcmp(limit, "files") == 0)
		setrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max = 1 << 20;
	if (strcmp(limit, "fsize") == 0)
		setrlimit(RLIMIT_FSIZE, &r);
	if (strcmp(limit, "mlockall") == 0 && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		die("mlockall");
	r.rlim_cur = r.rlim_max = 8 << 20;
	if (strcmp(limit, "space") == 0)
		setrlimit(RLIMIT_AS, &r);
	c = counter("limited.counter");
	for (i = 0; i < 1000; i++) {
		hotpath_attr attr = HOTPATH_INT("n", i);
		hotpath_counter_add(c, 1);
		hotpath_gauge_set(hotpath_gauge_new("limited.gauge", "", "", &attr, 1), i);
	}
	if (strcmp(limit, "mlockall") == 0)
		mlockall(MCL_CURRENT);
	ready();
}

/* Grow until the tmpfs is full, and on. */
static void fill(unsigned long n)
{
	unsigned long i;
	hotpath_counter first = counter("fill.first");
	struct work late = {first, {0}, 0.5, 1, 1000};

	for (i = 0; i < n; i++) {
		hotpath_attr attr = HOTPATH_INT("n", (int64_t)i);
		hotpath_histogram_record(hotpath_histogram_new("fill.histogram", "", "", &attr, 1), 1);
		hotpath_counter_add(first, 1);
	}
	late.histogram = hotpath_histogram_new("fill.late", "", "", NULL, 0);
	run_threads(8, late);
	ready();
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(command, "api") == 0) api();
	else if (strcmp(command, "buckets") == 0) buckets();
	else if (strcmp(command, "threads") == 0) threads((int)n, strtoul(argv[3], NULL, 10));
	else if (strcmp(command, "signals") == 0) signals(n);
	else if (strcmp(command, "killed") == 0) killed(argv[2]);
	else if (strcmp(command, "forks") == 0) forks();
	else if (strcmp(command, "orphan") == 0) orphan();
	else if (strcmp(command, "storm") == 0) storm((int)n);
	else if (strcmp(command, "daemon") == 0) daemonise();
	else if (strcmp(command, "libraries") == 0) libraries(argv + 2, argc - 2, 0);
	else if (strcmp(command, "libraries-unloaded") == 0) libraries(argv + 2, argc - 2, 1);
	else if (strcmp(command, "unload") == 0) unload(argv[3], (int)n);
	else if (strcmp(command, "many") == 0) many(n);
	else if (strcmp(command, "names") == 0) names(n);
	else if (strcmp(command, "bad") == 0) bad();
	else if (strcmp(command, "limited") == 0) limited(argv[2]);
	else if (strcmp(command, "fill") == 0) fill(n);
	else if (strcmp(command, "fork-signals") == 0) fork_signals((int)n);
	else if (strcmp(command, "atfork") == 0) atfork();
	else if (strcmp(command, "stack") == 0) stack();
	else return 2;
	return 0;
}
