/* Writes one event: id 2, value 42.    gcc -O2 write.c -o write && ./write */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

struct __attribute__((packed)) user_reg { /* linux/user_events.h */
	uint32_t size;
	uint8_t enable_bit, enable_size;
	uint16_t flags;
	uint64_t enable_addr, name_args;
	uint32_t write_index;
};

static volatile uint32_t enabled; /* the kernel sets bit 0 while somebody listens */

int main(void)
{
	struct user_reg reg = {sizeof reg, 0, sizeof enabled, 0, (uint64_t)(uintptr_t)&enabled,
		(uint64_t)(uintptr_t)"my_counter u32 id; u64 value", 0};
	uint32_t id = 2;
	uint64_t value = 42;
	int file = open("/sys/kernel/tracing/user_events_data", O_RDWR | O_CLOEXEC);

	if (file < 0 || ioctl(file, _IOC(_IOC_READ | _IOC_WRITE, '*', 0, 8), &reg) != 0) {
		perror("register my_counter");
		return 1;
	}
	if (!enabled) {
		fputs("nobody listens to my_counter\n", stderr);
		return 1;
	}
	struct iovec event[] = {{&reg.write_index, 4}, {&id, 4}, {&value, 8}};
	if (writev(file, event, 3) < 0) {
		perror("write my_counter");
		return 1;
	}
	return 0;
}
