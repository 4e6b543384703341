#!/bin/sh
# Build what tests probe. Usage: build.sh FOLDER
set -eu
cd "$(dirname "$0")"
c="gcc -O0 -Wall -Wextra -pthread -I../../../../../client/c"
$c target.c -o "$1/target" &
$c -fno-pie -no-pie target.c -o "$1/target-fixed" &
$c -static target.c -o "$1/target-static" 2>/dev/null & # the linker has a word about dlopen
$c -fcf-protection target.c -o "$1/target-endbr" &
$c -Wno-unused-function many.c -o "$1/many" &
$c -Wno-unused-function -DONE_MORE many.c -o "$1/more" &
(
	gcc -O0 -shared -fPIC library.c -o "$1/libwork.so"
	gcc -O0 caller.c -o "$1/caller" -L"$1" -lwork -Wl,-rpath,'$ORIGIN'
	cp "$1/caller" "$1/caller2"
) &
g++ -O0 -Wall -Wextra cart.cpp -o "$1/cart" &
go build -o "$1/goserver" ./goserver &
go build -buildmode=pie -o "$1/goserver-pie" ./goserver &
wait
ls "$1/target" "$1/target-fixed" "$1/target-static" "$1/target-endbr" "$1/many" "$1/more" "$1/caller2" "$1/cart" "$1/goserver" "$1/goserver-pie" >/dev/null
