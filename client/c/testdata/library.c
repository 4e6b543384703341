/* A shared library that counts. */
#include "hotpath.h"

#ifdef __cplusplus
extern "C"
#endif
void library_count(unsigned long n);

void library_count(unsigned long n)
{
	hotpath_counter c = hotpath_counter_new("library.counter", "1", "", NULL, 0);

	hotpath_counter_add(c, n);
#ifdef RECORD
	{
		const hotpath_attr attrs[] = {HOTPATH_STR("from", "library"), HOTPATH_INT("n", (int64_t)n)};
		hotpath_counter_add_with(hotpath_counter_new("library.recorded", "1", "", NULL, 0), n, attrs, 2);
	}
#endif
}
