// The same in C++.
#include "library.c"
