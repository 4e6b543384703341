/* The ledger is a file that all clients of a test map: each process notes in an
 * entry of its own what it counted, so that the test knows even of those that were killed. */
#ifndef LEDGER_H
#define LEDGER_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEDGER_SIZE = 1 << 20, ENTRY_SIZE = 64 };
enum { RUNNING = 1, FINISHED = 2, IDLE = 3 };

struct entry {
	uint64_t pid, state;
	uint64_t counted, recorded, level; /* each written after the measurement */
	uint64_t unused[3];
};

static char *ledger;

static inline void ledger_open(const char *path)
{
	int fd = open(path, O_RDWR);

	ledger = (char *)mmap(NULL, LEDGER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || ledger == MAP_FAILED)
		abort();
	close(fd);
}

/* The file's first word is the number of entries in use; they follow after ENTRY_SIZE bytes. */
static inline struct entry *ledger_entry(uint64_t state)
{
	uint64_t n = __atomic_add_fetch((uint64_t *)ledger, 1, __ATOMIC_RELAXED);
	struct entry *e = (struct entry *)(ledger + n * ENTRY_SIZE);

	if ((n + 1) * ENTRY_SIZE > LEDGER_SIZE)
		abort();
	e->pid = (uint64_t)getpid();
	e->state = state;
	return e;
}

/* A note is made after what it is about: the compiler must not turn that round. */
#define NOTE(field, n) __atomic_store_n(&(field), (field) + (n), __ATOMIC_RELEASE)

#endif
