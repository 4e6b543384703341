#!/bin/sh
# Writes one event from the shell: id 1, value 42. The shell itself can't, since the registration is an ioctl(2);
# perl-base, which Debian and Ubuntu always have, can.
exec perl -e '
	open(my $file, "+<", "/sys/kernel/tracing/user_events_data") or die "user_events_data: $!\n";
	my ($enabled, $declaration) = ("\0" x 4, "my_counter u32 id; u64 value\0");
	my $address = sub { unpack("Q", pack("P", $_[0])) };
	my $reg = pack("LCCSQQL", 28, 0, 4, 0, $address->($enabled), $address->($declaration), 0);
	ioctl($file, 0xC0082A00, $reg) or die "register my_counter: $!\n";
	my $index = unpack("x24 L", $reg);
	unpack("L", $enabled) or die "nobody listens to my_counter\n";
	defined syswrite($file, pack("LLQ", $index, 1, 42)) or die "write my_counter: $!\n";'
