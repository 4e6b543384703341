/* Two files of one program, compiled in different ways, count on the same series. */
#include "hotpath.h"

void second_file(void);

#ifdef SECOND_FILE
void second_file(void)
{
	hotpath_counter c = hotpath_counter_new("mixed.counter", "1", "", NULL, 0);
	int i;

	for (i = 0; i < 100000; i++) {
		const hotpath_attr attr = HOTPATH_INT("i", i % 4);
		hotpath_counter_add(c, 1);
		hotpath_counter_add_with(c, 1, &attr, 1);
	}
	hotpath_histogram_record(hotpath_histogram_new("mixed.histogram", "", "", NULL, 0), 1);
}
#else
static void *count(void *unused)
{
	hotpath_counter c = hotpath_counter_new("mixed.counter", "1", "", NULL, 0);
	int i;

	for (i = 0; i < 100000; i++) {
		const hotpath_attr attr = HOTPATH_INT("i", i % 4);
		hotpath_counter_add(c, 1);
		hotpath_counter_add_with(c, 1, &attr, 1);
	}
	hotpath_histogram_record(hotpath_histogram_new("mixed.histogram", "", "", NULL, 0), 1);
	second_file();
	return unused;
}

int main(void)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, count, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("ready %s\n", hotpath_status());
	fflush(stdout);
	return getchar() == 'x';
}
#endif
