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
}
