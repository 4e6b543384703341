#include <arpa/inet.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(8125)};
	int statsd = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
	connect(statsd, (struct sockaddr *)&server, sizeof server);
	send(statsd, "http.requests:1|c", 17, 0);
}
