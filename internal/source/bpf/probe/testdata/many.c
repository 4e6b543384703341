/* A tracepoint of many places, each with another constant. */
#include "tracepoints.h"

#define PLACE __asm__ volatile(TRACEPOINT("many", "0", "8@%0") : : "i"(__COUNTER__));
#define EIGHT PLACE PLACE PLACE PLACE PLACE PLACE PLACE PLACE

int main(void)
{
	EIGHT EIGHT EIGHT EIGHT
#ifdef ONE_MORE
	PLACE
#endif
	return 0;
}
