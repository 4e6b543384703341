/* SPDX-License-Identifier: Apache-2.0
 *
 * A tracepoint of LTTng-UST that is recorded, as a worker.
 */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng-event.h"

#include "serve.h"

static void counter(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		lttng_ust_tracepoint(hotpath_bench, add, n);
}

/* The session daemon enables it a moment after the program began. */
static void await_session(void)
{
	for (int i = 0; i < 300 && !lttng_ust_tracepoint_enabled(hotpath_bench, add); i++)
		usleep(10000);
	if (!lttng_ust_tracepoint_enabled(hotpath_bench, add))
		failed = "nobody records the tracepoint";
}

static const struct subject subjects[] = {{"counter", counter, await_session}};

static void make_series(uint64_t n) { (void)n; }
static const char *status(void) { return "LTTng-UST"; }

int main(void)
{
	return serve(subjects, 1, make_series, status);
}
