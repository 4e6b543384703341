/* Probes of every kind: usdt [TIMES] passes each of them TIMES times. Also compiled as C++, and as a second file. */
#include "hotpath.h"

enum colour { RED, GREEN = -7 };

static inline void inlined(int n)
{
	HOTPATH_USDT(demo, inlined, n);
}

struct request { const char *route; uint64_t size; unsigned flag : 3; };

#ifdef __cplusplus
enum class shade : unsigned char { dark = 200 };

template <typename T> void generic(T value)
{
	HOTPATH_USDT(demo, generic, value);
}

extern "C"
#endif
void second_file(unsigned long i);

#ifdef SECOND_FILE
void second_file(unsigned long i)
{
	inlined((int)i);
#ifdef __cplusplus
	generic(i); /* of which the linker keeps one */
#endif
	HOTPATH_USDT(demo, second, i);
}
#else
static int global = 41;

__attribute__((noinline)) static void types(unsigned long i)
{
	signed char s8 = -1;
	unsigned char u8 = 0xff;
	short s16 = -2;
	unsigned short u16 = 0xfffe;
	int s32 = -3;
	unsigned u32 = 0xfffffffd;
	long s64 = -4;
	unsigned long u64 = i;
	volatile int seen = -5;
	char text[8] = "text";
	const char *pointer = text;

	HOTPATH_USDT(demo, types, s8, u8, s16, u16, s32, u32, s64, u64, pointer, text, seen, i == 3);
}

__attribute__((noinline)) static void wide(int64_t a, int32_t b, int16_t c, int8_t d, uint64_t e, uint32_t f, uint16_t g, uint8_t h, void *p,
	const struct request *r, long i, long j)
{
	HOTPATH_USDT(demo, wide, a, b, c, d, e, f, g, h, p, r->route, i, j);
	HOTPATH_USDT(demo, eleven, a, b, c, d, e, f, g, h, p, i, j);
	HOTPATH_USDT(demo, ten, a, b, c, d, e, f, g, h, i, j);
	HOTPATH_USDT(demo, nine, a, b, c, d, e, f, g, h, i);
	HOTPATH_USDT(demo, eight, a, b, c, d, e, f, g, h);
	HOTPATH_USDT(demo, seven, a, b, c, d, e, f, g);
	HOTPATH_USDT(demo, six, a, b, c, d, e, f);
	HOTPATH_USDT(demo, five, a, b, c, d, e);
	HOTPATH_USDT(demo, four, a, b, c, d);
	HOTPATH_USDT(demo, three, r->size, *r->route, r->flag + 0);
}

int main(int argc, char **argv)
{
	unsigned long times = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, i;
	struct request request = {"/index", 512, 5};

	for (i = 0; i < times; i++) {
		HOTPATH_USDT(demo, none);
		HOTPATH_USDT(demo, constants, 7, -7, 'a', 5000000000, (enum colour)GREEN, &request == NULL);
		if (i % 2)
			HOTPATH_USDT(demo, odd, i, global);
		else
			inlined((int)i);
		types(i);
		wide(-1, -2, -3, -4, 1, 2, 3, 4, &request, &request, 11, (long)i);
#ifdef __cplusplus
		generic(i);
		generic(&request);
		generic(shade::dark);
		generic(nullptr);
		HOTPATH_USDT(demo, truth, i == 0, true);
#endif
		second_file(i);
	}
	return 0;
}
#endif
