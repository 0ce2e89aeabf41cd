/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest that signals an eventfd whose counter is full goes on: nobody waits for a reader. */
#include "guest.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void a_full_eventfd_does_not_stop_the_guest(void **state)
{
	uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, 0);
	struct kvm_ioeventfd e = {
		.addr = PORT, .len = 1, .fd = fd, .flags = KVM_IOEVENTFD_FLAG_PIO
	};
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), 0);
	GUEST_CODE(&g, OUT_AL, OUT_AL, HLT);
	alarm(10);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_HLT);
	guest_free(&g);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_eventfd_does_not_stop_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
