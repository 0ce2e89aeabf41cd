/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the preloaded library adds: calls on descriptors that are none of gmem's, and an exit by the real ioctl(). */
#include "hot.h"

#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../e2e/guest.h"

#define NR 2000u

static int foreign[2];
static struct guest guest;

static void make_foreign(void)
{
	if (!foreign[1])
		assert_int_equal(pipe(foreign), 0);
	/* What is found out once is found out. */
	assert_int_equal(ioctl(foreign[0], FIONREAD, &(int){ 0 }), 0);
}

static void shim_ioctl_foreign(void)
{
	int nr;

	for (unsigned int i = 0; i < NR; i++)
		ioctl(foreign[0], FIONREAD, &nr);
}

static void shim_write_read_foreign(void)
{
	for (unsigned int i = 0; i < NR; i++)
		if (write(foreign[1], "", 1) != 1 || read(foreign[0], &(char){ 0 }, 1) != 1)
			_exit(1);
}

static void shim_mmap_munmap(void)
{
	for (unsigned int i = 0; i < NR; i++) {
		void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		munmap(p, 4096);
	}
}

static void make_guest(void)
{
	static const uint8_t code[] = { 0xe6, 0x10, 0xeb, 0xfc }; /* 1: out 0x10, al; jmp 1b */

	guest_make(&guest, 0);
	guest_code(&guest, code, sizeof(code));
	assert_int_equal(guest_run(&guest), 0);
	assert_int_equal(guest.run->exit_reason, KVM_EXIT_IO);
}

static void shim_exit_out(void)
{
	for (unsigned int i = 0; i < NR; i++)
		if (guest_run(&guest) || guest.run->exit_reason != KVM_EXIT_IO)
			_exit(1);
}

static const struct hot_path paths[] = {
	{ "shim_ioctl_foreign", NR, make_foreign, shim_ioctl_foreign },
	{ "shim_write_read_foreign", NR, make_foreign, shim_write_read_foreign },
	{ "shim_mmap_munmap", NR, make_foreign, shim_mmap_munmap },
	{ "shim_exit_out", NR, make_guest, shim_exit_out },
	{ 0 },
};

const struct hot_path *const hot_tables[] = { paths, NULL };
