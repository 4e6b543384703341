/* Sets a known value in an instrument of every kind, and waits for the end of its input. */
#include <stdio.h>

#include "hotpath.h"

int main(void)
{
	const hotpath_attr paid[] = {
		HOTPATH_STR("region", "eu \"west\"\xc3\xa9"), HOTPATH_INT("shard", -5), HOTPATH_DOUBLE("ratio", 0.25), HOTPATH_BOOL("paid", 1),
	};
	const hotpath_attr unpaid[] = {
		HOTPATH_STR("region", "eu \"west\"\xc3\xa9"), HOTPATH_INT("shard", -5), HOTPATH_DOUBLE("ratio", 0.25), HOTPATH_BOOL("paid", 0),
	};
	hotpath_counter orders = hotpath_counter_new("shop.orders", "{order}", "Orders taken", paid, 4);
	hotpath_counter open = hotpath_counter_new("shop.orders", "{order}", "Orders taken", unpaid, 4);
	hotpath_updowncounter carts = hotpath_updowncounter_new("shop.carts", "{cart}", "Carts in use", NULL, 0);
	hotpath_gauge temperature = hotpath_gauge_new("shop.temperature", "Cel", "In the cold store", NULL, 0);
	hotpath_histogram latency = hotpath_histogram_new("shop.latency", "s", "Time to answer", NULL, 0);

	for (int i = 0; i < 42; i++)
		hotpath_counter_add(orders, 1000000007);
	hotpath_counter_add(open, 7);
	hotpath_updowncounter_add(carts, 10);
	hotpath_updowncounter_add(carts, -13);
	hotpath_gauge_set(temperature, -3.25);
	for (int i = 0; i < 5; i++)
		hotpath_histogram_record(latency, 0);
	for (int i = 1; i <= 1000; i++)
		hotpath_histogram_record(latency, i / 1000.0);

	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
