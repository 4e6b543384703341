/* What tests probe. Its arguments say what it does: pairs of a command and its argument, one after another. Commands that take no number
 * are "wait", which waits for a line of input, and those that take a string: "text" and "open". */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hotpath.h"
#include "tracepoints.h"

#define PLAIN __attribute__((noinline, noclone))

volatile uint64_t sink; /* data: no place for a probe */

PLAIN int do_work(int n, const char *what, uint8_t small)
{
	sink += (uint64_t)n + small + (what ? 1 : 0);
	return n % 3 - 1;
}

PLAIN int64_t raw(uint64_t n)
{
	sink += n;
	return (int64_t)n;
}

PLAIN void text(const char *s) { sink += s != 0; }

/* A tracepoint of two places with operands of their own. */
PLAIN void twice(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		HOTPATH_USDT(app, twice, i);
		if (i % 2)
			HOTPATH_USDT(app, twice, (uint8_t)100);
	}
}

static PLAIN void level(int64_t n) { sink += (uint64_t)n; }

PLAIN void slow(unsigned microseconds) { usleep(microseconds); }

PLAIN uint64_t nested(uint64_t depth)
{
	if (depth == 0)
		return 0;
	return nested(depth - 1) + 1;
}

/* The kernel cannot emulate its first instruction. */
uint64_t stepped(uint64_t n);
#if defined __x86_64__
__asm__(".pushsection .text\n.globl stepped\n.type stepped, @function\nstepped: lea 1(%rdi), %rax\nret\n.size stepped, .-stepped\n.popsection");
#else
__asm__(".pushsection .text\n.globl stepped\n.type stepped, %function\nstepped: ldr x1, [sp]\nadd x0, x0, 1\nret\n.size stepped, .-stepped\n.popsection");
#endif

static jmp_buf escape;

PLAIN int leaves(int by_jump)
{
	if (by_jump)
		longjmp(escape, 1);
	return 7;
}

PLAIN void jump(uint64_t n)
{
	for (volatile uint64_t i = 0; i < n; i++)
		if (setjmp(escape) == 0)
			leaves(1);
	leaves(0);
}

/* Returns in two processes. */
PLAIN int forks(void)
{
	return fork() == 0 ? 1 : 0;
}

PLAIN void ends(int by_signal)
{
	if (by_signal)
		kill(getpid(), SIGKILL);
	_exit(0);
}

/* Processes that never leave a function. */
PLAIN void end_many(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (fork() == 0)
			ends(i & 1);
		wait(0);
	}
}

static void *worker(void *n)
{
	for (uintptr_t k = 0; k < (uintptr_t)n; k++) {
		do_work((int)(k % 100), k % 2 ? "odd" : "even", (uint8_t)k);
	}
	return 0;
}

static void threads(uint64_t n)
{
	pthread_t all[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&all[i], 0, worker, (void *)n);
	for (int i = 0; i < 8; i++)
		pthread_join(all[i], 0);
}

/* As many different strings. */
static void strings(uint64_t n)
{
	char s[32];

	for (uint64_t k = 0; k < n; k++) {
		snprintf(s, sizeof s, "s%llu", (unsigned long long)k);
		text(s);
	}
}

PLAIN void requests(uint64_t n)
{
	static const char *const routes[] = {"/", "/cart", "/pay"};

	for (uint64_t i = 0; i < n; i++)
		HOTPATH_USDT(app, request, routes[i % 3], i % 3 + 1, (int)-1);
}

static void open_library(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	int (*function)(int) = library ? (int (*)(int))dlsym(library, "shared_work") : 0;

	if (!function)
		exit(3);
	for (int i = 0; i < 10; i++)
		function(i);
	dlclose(library);
}

/* Hands on text that nobody has read. */
static void untouched(void)
{
	char path[] = "/tmp/hotpath-XXXXXX";
	int fd = mkstemp(path);
	char *there;

	if (fd < 0 || unlink(path) != 0 || write(fd, "cold", 5) != 5)
		exit(1);
	there = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	text(there);
	munmap(there, 4096);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *command = argv[i], *argument = argv[i + 1];
		uint64_t n = strtoull(argument, 0, 0);

		if (strcmp(command, "work") == 0)
			for (uint64_t k = 0; k < n; k++)
				do_work((int)k - 1, k % 2 ? "odd" : "even", (uint8_t)k);
		else if (strcmp(command, "raw") == 0)
			raw(n);
		else if (strcmp(command, "count") == 0) /* 0, 1, 2, ... */
			for (uint64_t k = 0; k < n; k++)
				raw(k);
		else if (strcmp(command, "text") == 0)
			text(argument);
		else if (strcmp(command, "untouched") == 0)
			untouched();
		else if (strcmp(command, "strings") == 0)
			strings(n);
		else if (strcmp(command, "bad") == 0)
			text((const char *)n);
		else if (strcmp(command, "level") == 0)
			level((int64_t)n);
		else if (strcmp(command, "slow") == 0)
			slow((unsigned)n);
		else if (strcmp(command, "nested") == 0)
			nested(n);
		else if (strcmp(command, "stepped") == 0)
			for (uint64_t k = 0; k < n; k++)
				stepped(k);
		else if (strcmp(command, "jump") == 0)
			jump(n);
		else if (strcmp(command, "fork") == 0) {
			if (forks())
				_exit(0);
			wait(0);
		} else if (strcmp(command, "ends") == 0)
			end_many(n);
		else if (strcmp(command, "threads") == 0)
			threads(n);
		else if (strcmp(command, "twice") == 0)
			twice(n);
		else if (strcmp(command, "requests") == 0)
			requests(n);
		else if (strcmp(command, "operands") == 0)
			for (uint64_t k = 0; k < n; k++)
				operands(-5, 1 << 20, (uint64_t)k);
		else if (strcmp(command, "guarded") == 0)
			for (uint64_t k = 0; k < n; k++)
				guarded(k);
		else if (strcmp(command, "semaphore") == 0)
			printf("semaphore %d\n", app_guarded_semaphore);
		else if (strcmp(command, "open") == 0)
			open_library(argument);
		else if (strcmp(command, "wait") == 0) {
			puts("waiting");
			if (getchar() < 0)
				return 0;
		} else if (strcmp(command, "kill") == 0)
			kill(getpid(), SIGKILL);
	}
	return 0;
}
