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

	/* Of these, only what the calls say is counted. */
	hotpath_counter answers = hotpath_counter_new("shop.answers", "{answer}", NULL, NULL, 0);
	hotpath_updowncounter waiting = hotpath_updowncounter_new("shop.waiting", "{request}", NULL, NULL, 0);
	hotpath_gauge load = hotpath_gauge_new("shop.load", "1", NULL, NULL, 0);
	hotpath_histogram size = hotpath_histogram_new("shop.size", "By", NULL, NULL, 0);

	for (int i = 0; i < 42; i++)
		hotpath_counter_add(orders, 1000000007);
	hotpath_counter_add(open, 4);
	hotpath_counter_add_with(orders, 3, &unpaid[3], 1); /* of the same series */
	hotpath_updowncounter_add(carts, 10);
	hotpath_updowncounter_add(carts, -13);
	hotpath_gauge_set(temperature, -3.25);
	for (int i = 0; i < 5; i++)
		hotpath_histogram_record(latency, 0);
	for (int i = 0; i < 100; i++) {
		const hotpath_attr at[] = {HOTPATH_STR("route", i % 2 ? "/cart" : "/pay"), HOTPATH_INT("code", 200), HOTPATH_DOUBLE("ratio", 0.5), HOTPATH_BOOL("cached", 1)};

		hotpath_counter_add_with(answers, 1, at, 4);
		hotpath_updowncounter_add_with(waiting, i % 2 ? -1 : 3, at, 1);
		hotpath_gauge_set_with(load, i, at, 1);
		hotpath_histogram_record_with(size, i % 2 ? 0 : 4, at, 1);
	}
	for (int i = 1; i <= 1000; i++)
		hotpath_histogram_record(latency, i / 1000.0);

	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
