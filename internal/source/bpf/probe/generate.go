package probe

//go:generate go tool -modfile=../../../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -type operand probe probe.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3
//go:generate go tool -modfile=../../../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 processes processes.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3
