/* SPDX-License-Identifier: Apache-2.0
 *
 * Updates 100 counters ("counters") or 100 histograms with 24 buckets ("histograms"), waits for a line, and updates
 * each once more. */
#include "hotpath.h"

enum { SERIES = 100, BUCKETS = 24 };

int main(int argc, char **argv)
{
	int histograms = argc > 1 && !strcmp(argv[1], "histograms");
	hotpath_counter requests[SERIES];
	hotpath_histogram latencies[SERIES];

	for (int i = 0; i < SERIES; i++) {
		hotpath_attr attrs[] = {HOTPATH_INT("status", 200 + i % 10), HOTPATH_STR("method", i % 2 ? "GET" : "PUT")};
		char name[32];
		snprintf(name, sizeof name, "shop.%s%d", histograms ? "latency" : "requests", i / 10);
		if (histograms)
			latencies[i] = hotpath_histogram_new(name, "s", "How long requests took", attrs, 2);
		else
			requests[i] = hotpath_counter_new(name, "1", "Requests by status", attrs, 2);
	}
	for (int round = 0; round <= BUCKETS; round++) {
		double seconds = 0.001;
		for (int bucket = 0; bucket < round % BUCKETS; bucket++)
			seconds *= 1.0905077326652577; /* the eighth root of 2 */
		if (round == BUCKETS && getchar() == EOF)
			return 1;
		for (int i = 0; i < SERIES; i++)
			if (histograms)
				hotpath_histogram_record(latencies[i], seconds);
			else
				hotpath_counter_add(requests[i], 1);
	}
	return 0;
}
