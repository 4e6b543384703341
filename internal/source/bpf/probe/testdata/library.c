/* A shared library that programs call. */
volatile int library_sink;

int shared_work(int n)
{
	library_sink += n;
	return n;
}
