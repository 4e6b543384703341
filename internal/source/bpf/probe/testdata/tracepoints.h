/* Tracepoints as systemtap's header makes them and ours does not: with a semaphore, and with operands in chosen places. */
#pragma once
#include <stdint.h>

#define TRACEPOINT(name, semaphore, arguments)                                       \
	"980: nop\n"                                                                 \
	".pushsection .note.stapsdt, \"\", \"note\"\n"                               \
	".balign 4\n"                                                                \
	".4byte 982f - 981f, 984f - 983f, 3\n"                                       \
	"981: .asciz \"stapsdt\"\n"                                                  \
	"982: .balign 4\n"                                                           \
	"983: .8byte 980b, _.stapsdt.base, " semaphore "\n"                          \
	".asciz \"app\", \"" name "\", \"" arguments "\"\n"                          \
	"984: .balign 4\n"                                                           \
	".popsection\n"                                                              \
	".ifndef _.stapsdt.base\n"                                                   \
	".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"  \
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"                             \
	"_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n"                        \
	".popsection\n"                                                              \
	".endif\n"

volatile unsigned short app_guarded_semaphore __attribute__((section(".probes")));

static __attribute__((noinline)) void guarded(uint64_t n)
{
	if (app_guarded_semaphore)
		__asm__ volatile(TRACEPOINT("guarded", "app_guarded_semaphore", "8@%0") : : "r"(n));
}

/* A register, one of which a part counts, memory, memory at an index, a constant, a string, floating point. */
static __attribute__((noinline)) void operands(int32_t in_register, int64_t in_memory, uint64_t index)
{
	static const int32_t table[] = {10, 20, 30, 40};
	const int32_t *at = table;
	double half = 0.5;

#if defined __x86_64__
	__asm__ volatile(TRACEPOINT("operands", "0", "-4@%0 1@%b0 8@%1 -4@(%2,%3,4) -2@$-7 8@%4 8f@%5")
			 : : "r"(in_register), "m"(in_memory), "r"(at), "r"(index % 4), "r"("here"), "x"(half));
#else
	__asm__ volatile(TRACEPOINT("operands", "0", "-4@%w0 1@%w0 8@%1 -4@[%2, %3, lsl 2] -2@-7 8@%4 8f@%5")
			 : : "r"(in_register), "m"(in_memory), "r"(at), "r"(index % 4), "r"("here"), "w"(half));
#endif
}
