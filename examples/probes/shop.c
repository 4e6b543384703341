/* A shop whose checkouts the Collector counts, though nothing in here counts anything:
 *
 *     gcc -O2 examples/probes/shop.c -o /tmp/shop && /tmp/shop
 *
 * and beside it, as root, the Collector with collector.yaml. */
#include "../../client/c/hotpath.h" /* for HOTPATH_USDT */

__attribute__((noinline)) int checkout(const char *customer, int items)
{
	usleep((useconds_t)items * 1000);
	int price = items * 5 - (customer[0] == 'a');
	HOTPATH_USDT(shop, sold, customer, price); /* a nop, and a note in the file that says where it is */
	return price;
}

int main(void)
{
	static const char *const customers[] = {"ann", "bob", "eve"};
	int turnover = 0;

	for (int n = 0; n < 1000000; n++)
		turnover += checkout(customers[n % 3], n % 4 + 1);
	return turnover == 0;
}
