// Counts in functions that the linker keeps one of: virtual, template and inline ones, in two files.
#include "hotpath.h"

struct Shape {
	hotpath_counter counter;
	explicit Shape(hotpath_counter c) : counter(c) {}
	virtual ~Shape() { hotpath_counter_add(counter, 1); }
	virtual void draw() { hotpath_counter_add(counter, 1); }
	template <typename T> void scale(T by) { hotpath_counter_add(counter, static_cast<uint64_t>(by)); }
};

static inline hotpath_counter shapes() { return hotpath_counter_new("polymorph.counter", "1", "", nullptr, 0); }

#ifdef SECOND_FILE
void second_file()
{
	Shape shape(shapes());
	shape.draw();
	shape.scale(10L);
}
#else
void second_file();

int main()
{
	Shape *shape = new Shape(shapes());
	shape->draw();
	shape->scale(100L);
	delete shape;
	second_file();
	printf("ready %s\n", hotpath_status());
	fflush(stdout);
	return getchar() == 'x';
}
#endif
