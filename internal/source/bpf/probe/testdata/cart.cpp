// Overloads, and exceptions: of three calls of check, one throws.
#include <cstdlib>
#include <stdexcept>

namespace shop {
struct Cart {
	long total = 0;
	__attribute__((noinline)) void add(int n) { total += n; }
	__attribute__((noinline)) void add(long n, int times) { total += n * times; }
	__attribute__((noinline)) void add(const char *name) { total += name[0]; }
};
} // namespace shop

static void check(int i)
{
	if (i % 3 == 0)
		throw std::runtime_error("out of stock");
}

int main(int, char **argv)
{
	shop::Cart cart;

	for (int i = 0, n = atoi(argv[1]); i < n; i++) {
		cart.add(i);
		cart.add(long{i}, 2);
		cart.add("x");
		try {
			check(i);
		} catch (const std::exception &) {
		}
	}
	return 0;
}
