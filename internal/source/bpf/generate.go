package bpf

//go:generate go tool -modfile=../../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -type process -type held segments segments.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3
