/* Functions of every kind that C has. */
#include <stdio.h>

int counted = 3;
__thread int each;

__attribute__((noinline)) static int helper(int a, int b)
{
	volatile int sum = 0;
	for (int i = 0; i < a; i++)
		sum += b * i;
	return sum;
}

__attribute__((noinline)) int add_numbers(int a, int b)
{
	each++;
	return helper(a, b) + counted;
}

int also_adds(int a, int b) __attribute__((alias("add_numbers")));

__attribute__((noinline)) double halve(double x, const char *text)
{
	printf("%s %f\n", text, x / 2);
	return x / 2;
}

static int implementation(void) { return 1; }
static int (*choose(void))(void) { return implementation; }
int chosen(void) __attribute__((ifunc("choose")));

/* Assembly: no type, and instructions that the kernel treats in a way of their own. */
extern void untyped(void);
#ifdef __x86_64__
__asm__(".text\n"
	"untyped: ret\n"
	".macro function name:req, instruction:vararg\n.globl \\name\n.type \\name, @function\n\\name: \\instruction\nret\n.size \\name, . - \\name\n.endm\n"
	"function starts_nop, nop\n"
	"function starts_nop2, xchg %ax, %ax\n"
	"function starts_nop5, .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
	"function starts_pause, pause\n"
	"function starts_push, push %rbx\n"
	"function starts_push_r12, push %r12\n"
	"function starts_pushw, .byte 0x66, 0x53\n"
	"function starts_jmp, jmp 1f; 1:\n"
	"function starts_far_jmp, .byte 0xe9, 0, 0, 0, 0\n"
	"function starts_jcc, je 1f; 1:\n"
	"function starts_far_jcc, .byte 0x0f, 0x84, 0, 0, 0, 0\n"
	"function starts_call, call untyped\n"
	"function starts_jmp_word, .byte 0x66, 0xe9, 0, 0, 0, 0\n"
	"function starts_sub, sub $24, %rsp\n"
	"function starts_lock, lock incl (%rdi)\n"
	"function starts_int3, int3\n"
	"function starts_xchg, xchg %eax, %r8d\n"
	"function starts_vpor, vpor %xmm0, %xmm1, %xmm2\n"
	"function starts_vxorps, vxorps %xmm0, %xmm1, %xmm2\n"
	"function starts_vzeroupper, vzeroupper\n"
	"function starts_notrack, notrack jmp *%rax\n");
#else
__asm__(".text\nuntyped: ret\n");
#endif

int main(int argc, char **argv)
{
	untyped();
	return add_numbers(argc, 2) + chosen() + (int)halve(argc, argv[0]);
}
