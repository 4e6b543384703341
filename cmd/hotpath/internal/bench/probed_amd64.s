#include "textflag.h"

// A probe replaces the first instruction, and the kernel emulates a nop.
TEXT ·probed(SB), NOSPLIT, $0-0
	BYTE $0x90
	RET
