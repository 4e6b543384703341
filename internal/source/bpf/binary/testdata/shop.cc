// What C++ makes of names.
#include <cstdio>
#include <string>

namespace shop {
class Cart {
public:
	Cart();
	Cart(int n);
	virtual ~Cart();
	void add(int n);
	void add(const char *name, unsigned long n);
	int total() const;
	std::string name();
	Cart &operator+=(int n);
	template <typename T> T most(T a, T b);
	int operator()(int n);
protected:
	int total_ = 0;
};

class BigCart : public virtual Cart {
public:
	BigCart();
};

#define APART __attribute__((noinline, noclone))
APART Cart::Cart() { puts("made"); }
APART Cart::Cart(int n) : total_(n) { puts("made"); }
APART Cart::~Cart() { puts("gone"); }
APART BigCart::BigCart() { puts("big"); }
APART void Cart::add(int n) { total_ += n; }
APART void Cart::add(const char *name, unsigned long n) { total_ += n; puts(name); }
APART int Cart::total() const { return total_; }
APART std::string Cart::name() { return "cart"; }
APART Cart &Cart::operator+=(int n) { total_ += n; return *this; }
APART int Cart::operator()(int n) { return total_ * n; }
template <typename T> APART T Cart::most(T a, T b) { puts("most"); return a < b ? b : a; }
namespace { APART void hidden(int n) { printf("%d\n", n); } }
APART static void local(int n) { printf("%d\n", n); }
}
APART int global(int n) { puts("global"); return n; }

int main(int argc, char **argv)
{
	shop::Cart cart, second(argc);
	shop::BigCart big;
	cart.add(argc);
	cart.add(argv[0], 2);
	cart += 3;
	shop::hidden(cart.total());
	shop::local(cart.most(1, 2));
	auto lambda = [&](int n) APART { printf("%d\n", n + argc); };
	lambda(2);
	return (int)cart.most(1.5, 2.5) + (int)cart.name().size() + second(2) + global(big.total());
}
