/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A VM's life before guest_memfd: a file that no VM made, in which what is allocated is private (memfd-v5). */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmem/early.h>

#define PUNCH_IT (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define EARLY_PAGES 40u

static int memfd = -1;
static bool is_bound;

static int result(long ret)
{
	return ret < 0 ? -errno : 0;
}

static int make_file(struct world *w)
{
	int fd = memfd_create("guest", MFD_INACCESSIBLE | MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	memfd = fd;
	return 0;
}

static int give_size(struct world *w)
{
	return result(ftruncate(memfd, EARLY_PAGES * PAGE));
}

static int set_slot(struct world *w, uint64_t size)
{
	struct kvm_userspace_memory_region_v5 r = {
		.region = { .slot = FILE_SLOT,
			    .flags = size ? KVM_MEM_PRIVATE : 0,
			    .guest_phys_addr = BASE,
			    .memory_size = size,
			    .userspace_addr = (uintptr_t)w->plain },
		.private_fd = (uint32_t)memfd,
	};
	long ret = uapi_ioctl(w->u, w->vm, KVM_SET_USER_MEMORY_REGION, &r);

	if (!ret)
		is_bound = size;
	return (int)ret;
}

static int bind_file(struct world *w)
{
	return set_slot(w, EARLY_PAGES * PAGE);
}

static int unbind_file(struct world *w)
{
	return set_slot(w, 0);
}

static int allocate(struct world *w)
{
	return result(fallocate(memfd, 0, 2 * PAGE, 20 * PAGE));
}

static int punch(struct world *w)
{
	return result(fallocate(memfd, PUNCH_IT, 4 * PAGE, 4 * PAGE));
}

static int grow(struct world *w)
{
	return result(fallocate(memfd, 0, EARLY_PAGES * PAGE, PAGE));
}

static int close_file(struct world *w)
{
	int fd = memfd;

	memfd = -1;
	return result(close(fd));
}

GUEST_WRITES(write_shared, 1, 0x11)
GUEST_WRITES(write_private, 3, 0x33)
GUEST_WRITES(write_to_punch, 5, 0x55)
GUEST_WRITES(write_punched, 5, 0x56)
GUEST_WRITES(write_far, 30, 0x30)

static struct world *make(void)
{
	memfd = -1;
	is_bound = false;
	return world_make();
}

static void look_at_memfd(struct text *t)
{
	struct stat st;
	long data = 0, hole;

	if (fstat(memfd, &st))
		return;
	text_add(t, " size %ld backed %ld:", (long)st.st_size, (long)st.st_blocks);
	while ((data = lseek(memfd, data, SEEK_DATA)) >= 0) {
		hole = lseek(memfd, data, SEEK_HOLE);
		text_add(t, " %ld-%ld", data / (long)PAGE, hole / (long)PAGE);
		data = hole;
	}
	lseek(memfd, 0, SEEK_SET);
}

/* Where any call may fail once, a look takes a second one. */
static void look_at_page(struct world *w, struct text *t, unsigned int page)
{
	uint8_t value = 0;
	int err = guest_read(w, BASE + page * PAGE, &value);

	if (err)
		err = guest_read(w, BASE + page * PAGE, &value);
	text_add(t, err ? " guest %u: %d" : " guest %u: %02x", page, err ? err : value);
}

static void look(struct world *w, struct text *t)
{
	static const unsigned int pages[] = { 0, 1, 3, 5, 30 };

	world_look(w, t);
	if (memfd >= 0)
		look_at_memfd(t);
	for (unsigned int i = 0; is_bound && i < sizeof(pages) / sizeof(pages[0]); i++)
		look_at_page(w, t, pages[i]);
}

static void unmake(struct world *w)
{
	if (memfd >= 0)
		close(memfd);
	memfd = -1;
	world_unmake(w);
}

static const struct step steps[] = {
	STEPS_TO_RUN,
	{ "make the file", make_file },
	{ "give it a size", give_size },
	{ "bind", bind_file },
	{ "guest writes shared", write_shared },
	{ "allocate", allocate },
	{ "guest writes private", write_private },
	{ "guest writes private to punch", write_to_punch },
	{ "punch", punch },
	{ "guest writes what was punched", write_punched },
	{ "guest writes far", write_far },
	{ "grow", grow },
	{ "unbind", unbind_file },
	{ "bind again", bind_file },
	{ "close file", close_file },
	{ "unbind the last", unbind_file },
};

const struct scenario early_v5 = {
	.name = "early",
	.profile = "memfd-v5",
	STEPS(steps),
	.swept_from = 5,
	.make = make,
	.look = look,
	.unmake = unmake,
};
