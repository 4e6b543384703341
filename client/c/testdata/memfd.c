/* memfd COMMAND: what an application may do to the descriptor of its segment. It says "ready" and its status, and then waits for
 * its standard input to end. */
#include "program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/prctl.h>

/* The lowest descriptor that is a segment's, -1 if none is, and how many are. */
static int descriptor(int *count)
{
	char path[40], link[64];
	int fd, first = -1;

	*count = 0;
	for (fd = 0; fd < 1100; fd++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		memset(link, 0, sizeof link);
		if (readlink(path, link, sizeof link - 1) > 0 && strcmp(link, "/memfd:hotpath (deleted)") == 0) {
			first = first < 0 ? fd : first;
			++*count;
		}
	}
	return first;
}

/* The application closes the descriptor, and gets the number for a file of its own: neither it nor a child loses that. */
static void reused(int raw)
{
	hotpath_counter c = hotpath_counter_new("memfd.counter", "", "", NULL, 0);
	int count, fd = descriptor(&count), own = (int)syscall(SYS_memfd_create, "own", 0), pid, status;

	if (count != 1 || fd < 64 || own < 0 || dup2(own, fd) != fd)
		die("dup2");
	hotpath_counter_add(c, 1);
	pid = raw ? raw_fork() : fork();
	if (pid == 0) {
		hotpath_counter_add(c, 2);
		if (write(fd, "child", 5) != 5 || descriptor(&count) == fd || count != 1)
			_exit(4);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("child");
	if (write(fd, "parent", 6) != 6 || lseek(fd, 0, SEEK_END) != 11)
		die("write");
	ready();
}

/* A child that was made without handlers, and counts or not, keeps nothing of its parent's once it has counted. */
static void raw_child(void)
{
	hotpath_counter c = hotpath_counter_new("memfd.counter", "", "", NULL, 0);
	int count;

	hotpath_counter_add(c, 1);
	if (raw_fork() == 0) {
		hotpath_counter_add(c, 10);
		descriptor(&count);
		if (count != 1)
			die("the child holds its parent's memfd");
		printf("%d\n", (int)getpid());
		ready();
		_exit(0);
	}
	pause();
}

/* The first series is made by a thread with a name of its own, which it keeps, as errno. */
static void *named(void *unused)
{
	char before[16] = "", after[16] = "";

	prctl(PR_SET_NAME, "a worker's name", 0, 0, 0);
	prctl(PR_GET_NAME, before, 0, 0, 0);
	errno = 77;
	hotpath_counter_add(hotpath_counter_new("memfd.counter", "", "", NULL, 0), 1);
	if (errno != 77)
		die("errno was changed");
	prctl(PR_GET_NAME, after, 0, 0, 0);
	if (strcmp(before, after) != 0)
		die(after);
	return unused;
}

static void thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, named, NULL);
	pthread_join(t, NULL);
	ready();
}

/* A library is loaded, counts and is unloaded, again and again: no descriptors are left. */
static void unload(const char *name)
{
	void (*count)(unsigned long);
	void *library;
	int i, left;

	for (i = 0; i < 50; i++) {
		library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		if (library == NULL)
			die("dlopen");
		*(void **)&count = dlsym(library, "library_count");
		count(1);
		if (dlclose(library) != 0)
			die("dlclose");
	}
	descriptor(&left);
	printf("%d\n", left);
	ready();
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	char self[] = "/proc/self/exe", last[] = "thread", *again[] = {argv[0], last, NULL};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(command, "reused") == 0) reused(0);
	else if (strcmp(command, "raw-reused") == 0) reused(1);
	else if (strcmp(command, "raw-child") == 0) raw_child();
	else if (strcmp(command, "thread") == 0) thread();
	else if (strcmp(command, "unload") == 0) unload(argv[2]);
	else if (strcmp(command, "exec") == 0) {
		hotpath_counter_add(hotpath_counter_new("memfd.before", "", "", NULL, 0), 1);
		execv(self, again);
	} else return 2;
	return 0;
}
