#include "hotpath.h"

int main(void)
{
	hotpath_counter requests = hotpath_counter_new("http.requests", "{request}", "Requests served", NULL, 0);
	hotpath_counter_add(requests, 1);
}
