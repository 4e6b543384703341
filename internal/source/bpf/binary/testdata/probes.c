/* Tracepoints as sys/sdt.h writes them: semaphores, memory, what is not taken. */
#include <stdint.h>
#include <stdio.h>

uint16_t demo_first_semaphores[8] __attribute__((section(".probes")));
uint16_t demo_guarded_semaphore __attribute__((section(".probes")));
uint16_t demo_last_semaphores[8] __attribute__((section(".probes")));
int global = 41;
static long table[8];
double floating = 1.5;

#define NOTE(name, semaphore, arguments)                                                             \
	"990: nop\n"                                                                                     \
	".pushsection .note.stapsdt, \"?\", \"note\"\n"                                                  \
	".balign 4\n.4byte 992f - 991f, 994f - 993f, 3\n"                                                \
	"991: .asciz \"stapsdt\"\n"                                                                      \
	"992: .balign 4\n"                                                                               \
	"993: .8byte 990b, _.stapsdt.base, " semaphore "\n"                                              \
	".asciz \"demo\"\n.asciz \"" name "\"\n.asciz \"" arguments "\"\n"                               \
	"994: .balign 4\n"                                                                               \
	".popsection\n"                                                                                  \
	".ifndef _.stapsdt.base\n"                                                                       \
	".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"                      \
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"                                                 \
	"_.stapsdt.base: .byte 0\n.size _.stapsdt.base, 1\n"                                             \
	".popsection\n"                                                                                  \
	".endif\n"

__attribute__((noinline)) static void passes(long i, int *p)
{
	__asm__ volatile(NOTE("guarded", "demo_guarded_semaphore", "-8@%0 -4@%1") : : "r"(i), "m"(*p));
	__asm__ volatile(NOTE("indexed", "0", "8@(%0,%1,8) -4@%2") : : "r"(table), "r"(i), "m"(global));
	__asm__ volatile(NOTE("several", "0", "-4@$1") : : "r"(i));
	__asm__ volatile(NOTE("several", "0", "-4@$2") : : "r"(i));
	__asm__ volatile(NOTE("floating", "0", "8f@%0 -4@$7") : : "x"(floating));
	__asm__ volatile(NOTE("beyond", "0", "-4@global+4(%%rip) 8@table-8(%%rip) 4@nowhere(%%rip)") : : "r"(i));
}

int main(int argc, char **argv)
{
	int n = 5;

	(void)argv;
	passes(argc, &n);
	puts("passed");
	return demo_guarded_semaphore;
}
