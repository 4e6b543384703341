// Adds to a cart as often as its input says, by one overload and once by the other.
#include <cstdio>
#include <iostream>

namespace shop {
struct Cart {
	long total = 0;
	__attribute__((noinline, noclone)) void add(int n) { total += n; }
	__attribute__((noinline, noclone)) void add(const char *name) { total += name[0]; }
};
} // namespace shop

int main()
{
	shop::Cart cart;
	int n;

	std::cout << "ready" << std::endl;
	while (std::cin.ignore(8, ' ') >> n) { // "add N"
		for (int i = 0; i < n; i++)
			cart.add(i);
		cart.add("last");
		std::cout << (cart.total < 0) << std::endl;
		std::cin.ignore(1);
	}
	return 0;
}
