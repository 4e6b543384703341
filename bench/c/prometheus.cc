// SPDX-License-Identifier: Apache-2.0
// The counter and histogram of prometheus-cpp, as a worker.
#include "serve.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

static prometheus::Counter adds;
static prometheus::Histogram values{{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}};
static double samples[1024];

static void counter(uint64_t n, struct own *)
{
	while (n--)
		adds.Increment();
}

static void histogram(uint64_t n, struct own *)
{
	while (n--)
		values.Observe(samples[n % 1024]);
}

static const struct subject subjects[] = {{"counter", counter, nullptr}, {"histogram", histogram, nullptr}};

int main()
{
	for (double &sample : samples)
		sample = 1 - drand48();
	return serve(subjects, 2, [](uint64_t) {}, []() -> const char * { return "prometheus-cpp"; });
}
