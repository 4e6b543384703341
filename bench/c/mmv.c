/* SPDX-License-Identifier: Apache-2.0
 *
 * The counter of PCP's memory mapped values, by its handle, as a worker.
 */
#include "serve.h"

#include <pcp/pmapi.h>
#include <pcp/mmv_stats.h>
#include <sys/stat.h>

static void *map;
static pmAtomValue *value;

static void counter(uint64_t n, struct own *own)
{
	(void)own;
	while (n--)
		mmv_inc(map, value);
}

static void map_values(void)
{
	pmUnits units = {.dimCount = 1};
	char path[4096];
	mmv_registry_t *registry;

	if (value != NULL)
		return;
	snprintf(path, sizeof path, "%s/mmv", getenv("PCP_TMP_DIR"));
	mkdir(path, 0700);
	registry = mmv_stats_registry("hotpath_bench", 1, MMV_FLAG_PROCESS);
	if (registry != NULL) {
		mmv_stats_add_metric(registry, "adds", 1, MMV_TYPE_U64, MMV_SEM_COUNTER, units, 0, "Adds", "Adds");
		map = mmv_stats_start(registry);
	}
	if (map == NULL || (value = mmv_lookup_value_desc(map, "adds", "")) == NULL)
		failed = "cannot map values";
}

static const struct subject subjects[] = {{"counter", counter, map_values}};

static void make_series(uint64_t n) { (void)n; }
static const char *status(void) { return "PCP MMV"; }

int main(void)
{
	return serve(subjects, 1, make_series, status);
}
