/* SPDX-License-Identifier: Apache-2.0
 *
 * What makes a program a worker, in C or C++: it does what it is told on its standard input, a line each, and answers on its standard output:
 *
 *                                       ready THREAD SUBJECT...           of a thread that does what is done by one
 *     do SUBJECT THREADS N              did CPU ELAPSED BEGAN             in ns, the last one by CLOCK_MONOTONIC
 *     pace SUBJECT N PER_SECOND         the same
 *     series N                          did 0 0 0                         N counters, each of them counted with
 *     status                            status SENTENCE
 *
 * or "failed SENTENCE". It ends with its input.
 */
#ifndef HOTPATH_MEASURE_SERVE_H
#define HOTPATH_MEASURE_SERVE_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 4096 };

/* A page each: the memory of one thread is nowhere near another's. */
static struct own { uint64_t word __attribute__((aligned(4096))); } owned[MAX_THREADS];

struct subject {
	const char *name;
	void (*run)(uint64_t n, struct own *own);
	void (*prepare)(void); /* or NULL */
};

static const char *failed; /* what keeps the last command from being done */

static int64_t now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct { int64_t cpu, elapsed, began; } took;

/* CPU time does not count what other processes take away. */
static void begin(clockid_t cpu)
{
	took.began = now(CLOCK_MONOTONIC);
	took.cpu = now(cpu);
}

static void end(clockid_t cpu)
{
	took.cpu = now(cpu) - took.cpu;
	took.elapsed = now(CLOCK_MONOTONIC) - took.began;
}

struct job {
	pthread_t thread;
	pthread_barrier_t *start;
	const struct subject *subject;
	uint64_t n;
	struct own *own;
};

static void *work(void *argument)
{
	struct job *job = (struct job *)argument;
	pthread_barrier_wait(job->start);
	job->subject->run(job->n, job->own);
	return NULL;
}

/* Divides n operations among threads. */
static void run(const struct subject *subject, int threads, uint64_t n)
{
	static struct job jobs[MAX_THREADS];
	pthread_barrier_t start;

	if (threads == 1) {
		begin(CLOCK_THREAD_CPUTIME_ID); /* nor those of the kernel that work for this process */
		subject->run(n, &owned[0]);
		end(CLOCK_THREAD_CPUTIME_ID);
		return;
	}
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++) {
		jobs[i].start = &start;
		jobs[i].subject = subject;
		jobs[i].n = (n + (uint64_t)i) / (uint64_t)threads;
		jobs[i].own = &owned[i];
		if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) != 0) {
			fputs("worker: cannot start a thread\n", stderr);
			exit(1);
		}
	}
	begin(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_wait(&start);
	for (int i = 0; i < threads; i++)
		pthread_join(jobs[i].thread, NULL);
	end(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_destroy(&start);
}

/* Does in each millisecond what is due by then. */
static void pace(const struct subject *subject, uint64_t n, double per_second)
{
	uint64_t done = 0;

	begin(CLOCK_PROCESS_CPUTIME_ID);
	while (done < n) {
		double due = 1e-9 * (double)(now(CLOCK_MONOTONIC) - took.began) * per_second;
		uint64_t until = due < (double)n ? (uint64_t)due : n;
		if (until > done)
			subject->run(until - done, &owned[0]);
		done = until;
		if (done < n)
			usleep(1000);
	}
	end(CLOCK_PROCESS_CPUTIME_ID);
}

/* The subject of this name, ready to be done. */
static const struct subject *find(const struct subject *subjects, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(subjects[i].name, name) == 0) {
			if (subjects[i].prepare)
				subjects[i].prepare();
			return failed ? NULL : &subjects[i];
		}
	failed = "no such subject";
	return NULL;
}

static void obey(const struct subject *subjects, int count, void (*make_series)(uint64_t), const char *(*status)(void), const char *line)
{
	char name[64];
	unsigned long n;
	int threads;
	double rate;
	const struct subject *subject;

	failed = NULL;
	memset(&took, 0, sizeof took);
	if (sscanf(line, "do %63s %d %lu", name, &threads, &n) == 3 && threads > 0 && threads <= MAX_THREADS) {
		if ((subject = find(subjects, count, name)) != NULL)
			run(subject, threads, n);
	} else if (sscanf(line, "pace %63s %lu %lf", name, &n, &rate) == 3 && rate > 0) {
		if ((subject = find(subjects, count, name)) != NULL)
			pace(subject, n, rate);
	} else if (sscanf(line, "series %lu", &n) == 1) {
		make_series(n);
	} else if (strcmp(line, "status\n") == 0) {
		printf("status %s\n", status());
		return;
	} else {
		failed = "no such command";
	}
	if (failed)
		printf("failed %s\n", failed);
	else
		printf("did %lld %lld %lld\n", (long long)took.cpu, (long long)took.elapsed, (long long)took.began);
}

static int serve(const struct subject *subjects, int count, void (*make_series)(uint64_t), const char *(*status)(void))
{
	char line[256];

	printf("ready %d", (int)getpid());
	for (int i = 0; i < count; i++)
		printf(" %s", subjects[i].name);
	putchar('\n');
	while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin) != NULL)
		obey(subjects, count, make_series, status, line);
	return 0;
}

#endif
