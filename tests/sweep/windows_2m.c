/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Two windows of a file in huge pages of the pool: a block that is shared all through is one in both, and is closed, copied
 * and opened when a page in it becomes private, and again when the last is shared. Every page has contents of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "steps.h"
#include "windows_2m.h"

#define BLOCK_PAGES 512u
#define BLOCK_SIZE (BLOCK_PAGES * PAGE)
#define WORDS (PAGE / 8)
#define TRIES 3 /* of a look: where any call may fail once */

const char *windows_2m_lack(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return "no userfaultfd for the kernel's own faults";
	close((int)fd);
	if (syscall(SYS_capget, &head, caps) || !(caps[CAP_BPF / 32].effective >> CAP_BPF % 32 & 1))
		return "references to pages cannot be counted";
	return NULL;
}

/* ---- looking ----------------------------------------------------------------------------------- */

static uint64_t sum_of(const uint64_t *words, uint64_t nr, uint64_t sum)
{
	for (uint64_t i = 0; i < nr; i++)
		sum = (sum + words[i]) * 0x9e3779b97f4a7c15u;
	return sum;
}

/* Pages from the first on that a system call can read, to at; 0: that one is hidden. */
static uint64_t read_pages(const struct world *w, int window, uint64_t first, uint64_t *at)
{
	uint64_t end = w->window_nr[window];
	struct iovec from = { w->window[window] + first * PAGE }, to = { at };
	ssize_t size = -1;

	if (window && w->hole_nr && first < w->hole_first)
		end = w->hole_first;
	from.iov_len = to.iov_len = (end - first) * PAGE;
	errno = 0;
	for (int i = 0; size < 0 && errno != EFAULT && i < TRIES; i++)
		size = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	return size < 0 ? 0 : (uint64_t)size / PAGE;
}

/* Where pages begin to be hidden and to be seen, and what is in all that are seen. */
static void look_at_window(struct world *w, struct text *t, int window)
{
	static uint64_t contents[FILE_SIZE / 8];
	bool last = false;
	uint64_t sum = 0, run;

	text_add(t, "\n  all of window %d:", window);
	for (uint64_t page = 0; page < w->window_nr[window]; page += run) {
		run = w->hole_nr;
		if (window && w->hole_nr && page == w->hole_first)
			continue;
		run = read_pages(w, window, page, contents);
		if (!page || (run > 0) != last)
			text_add(t, " %llu:%s", (unsigned long long)page, run ? "yes" : "no");
		last = run > 0;
		sum = sum_of(contents, run * WORDS, sum + page);
		if (!run)
			run = 1;
	}
	text_add(t, " %llx", (unsigned long long)sum);
}

void windows_2m_look(struct world *w, struct text *t)
{
	world_look(w, t);
	for (int i = 0; i < 2; i++)
		if (w->window[i])
			look_at_window(w, t, i);
}

static bool is_huge(const uint8_t *at)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long long start, end, kb, sum = 0;
	bool inside = false;
	char line[512], rights[8];

	(void)*(const volatile uint8_t *)at;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx %7s", &start, &end, rights) == 3)
			inside = start <= (uintptr_t)at && end > (uintptr_t)at;
		else if (inside && (sscanf(line, "Shared_Hugetlb: %llu kB", &kb) == 1 ||
				    sscanf(line, "Private_Hugetlb: %llu kB", &kb) == 1))
			sum += kb;
	}
	if (f)
		fclose(f);
	return sum;
}

/* Where nothing has failed, the first block is huge or small in each window, as it should be. */
static int expect(struct world *w, bool huge)
{
	if (world_is_disturbed())
		return 0;
	for (int i = 0; i < 2; i++)
		if (w->window[i] && w->window_nr[i] == NR_PAGES &&
		    is_huge(w->window[i] + BLOCK_SIZE - PAGE) != huge)
			return -EBADMSG;
	return 0;
}

int windows_2m_huge(struct world *w)
{
	return expect(w, true);
}

int windows_2m_small(struct world *w)
{
	return expect(w, false);
}

/* ---- steps ------------------------------------------------------------------------------------- */

int windows_2m_map_again(struct world *w)
{
	return world_map(w, 1, 0, NR_PAGES);
}

int windows_2m_fill(struct world *w)
{
	for (uint64_t page = 0; page < NR_PAGES; page++) {
		uint64_t *word = (void *)(w->window[0] + page * PAGE);

		for (uint64_t i = 1; i < WORDS; i++)
			word[i] = (page << 32 | i) * 0x9e3779b97f4a7c15u;
	}
	return 0;
}

static int unmap(struct world *w, int window)
{
	int err = w->u->unmap(w->window[window], w->window_nr[window] * PAGE);

	if (!err)
		w->window[window] = NULL;
	return err;
}

int windows_2m_unmap(struct world *w)
{
	return unmap(w, 0);
}

int windows_2m_unmap_again(struct world *w)
{
	int err = unmap(w, 1);

	if (!err)
		w->hole_nr = 0;
	return err;
}

CONVERT(all_to_private, 0, NR_PAGES, true)
CONVERT(all_to_shared, 0, NR_PAGES, false)
CONVERT(page_to_private, 3, 1, true)
CONVERT(page_to_shared, 3, 1, false)
CONVERT(some_to_private, 100, 60, true)
CONVERT(some_to_shared, 100, 60, false)
CONVERT(block_to_private, 0, BLOCK_PAGES, true)
CONVERT(block_to_shared, 0, BLOCK_PAGES, false)
CONVERT(end_to_private, 500, 60, true)
CONVERT(end_to_shared, 500, 60, false)
GUEST_WRITES(write_shared, 4, 0x44)
GUEST_WRITES(write_private, 3, 0x33)
GUEST_WRITES(write_block, 511, 0x51)

/* Refused is right: the pipe has a page of it. */
static int convert_spliced(struct world *w, const int ends[2])
{
	struct iovec iov = { w->window[1] + 30 * PAGE, 8 };
	char data[8];
	int err;

	if (vmsplice(ends[1], &iov, 1, 0) != 8)
		return -errno;
	err = world_convert(w, 200, 1, true);
	if (read(ends[0], data, 8) != 8 || (!err && !world_is_disturbed()))
		return -EBADMSG;
	return err == -EAGAIN ? 0 : err;
}

int windows_2m_convert_held(struct world *w)
{
	int ends[2], err, undone;

	world_may_hold();
	if (pipe(ends))
		return -errno;
	err = convert_spliced(w, ends);
	undone = world_convert(w, 200, 1, false);
	close(ends[0]);
	close(ends[1]);
	return err ? err : undone;
}

static const struct step steps[] = {
	STEPS_TO_RUN,
	{ "file", step_shared_file },
	{ "map all", step_map_all },
	{ "map again", windows_2m_map_again },
	{ "bind", step_bind },
	{ "fill", windows_2m_fill },
	{ "all to private", all_to_private },
	{ "all to shared", all_to_shared },
	{ "huge", windows_2m_huge },
	{ "guest writes shared", write_shared },
	{ "page to private", page_to_private },
	{ "small", windows_2m_small },
	{ "guest writes private", write_private },
	{ "some to private", some_to_private },
	{ "page to shared", page_to_shared },
	{ "some to shared", some_to_shared },
	{ "huge again", windows_2m_huge },
	{ "convert what is held", windows_2m_convert_held },
	{ "huge all the same", windows_2m_huge },
	{ "block to private", block_to_private },
	{ "guest writes the block", write_block },
	{ "block to shared", block_to_shared },
	{ "huge as a whole", windows_2m_huge },
	{ "end to private", end_to_private },
	{ "end to shared", end_to_shared, .calm = true },
	{ "punch", step_punch },
	{ "allocate", step_allocate },
	{ "page to private after all", page_to_private },
	{ "page to shared after all", page_to_shared, .calm = true },
	{ "huge after all", windows_2m_huge },
	{ "unmap one", windows_2m_unmap_again },
	{ "all to private again", all_to_private, .calm = true },
	{ "all to shared again", all_to_shared, .calm = true },
	{ "page to private in one", page_to_private },
	{ "unmap", windows_2m_unmap },
	{ "page to shared in none", page_to_shared },
	{ "unbind", step_unbind },
	{ "close file", step_close_file },
};

const struct scenario windows_2m = {
	.name = "windows-2m",
	.profile = "in-place",
	.pages = "2m-shared",
	.lack = windows_2m_lack,
	STEPS(steps),
	.swept_from = 10,
	.make = world_make,
	.look = windows_2m_look,
	.unmake = world_unmake,
};

/* ---- what mappings of huge pages cannot follow ------------------------------------------------- */

static int hole(struct world *w, int err, uint64_t first, uint64_t nr)
{
	if (!err) {
		w->hole_first = first;
		w->hole_nr = nr;
	}
	return err;
}

static int cut(struct world *w)
{
	return hole(w, w->u->unmap(w->window[1] + 50 * PAGE, 50 * PAGE), 50, 50);
}

static int cut_at_a_block(struct world *w)
{
	return hole(w, w->u->unmap(w->window[1] + BLOCK_SIZE, FILE_SIZE - BLOCK_SIZE), BLOCK_PAGES,
		    NR_PAGES - BLOCK_PAGES);
}

static int replace(struct world *w)
{
	return hole(w, w->u->map_at(w->window[1] + 50 * PAGE, UAPI_NOTHING, 0, 50 * PAGE), 50, 50);
}

static int advise(struct world *w)
{
	return w->u->madvise(w->window[1] + 50 * PAGE, 50 * PAGE, MADV_DONTDUMP);
}

/* Where no huge page could be mapped. */
static int map_odd(struct world *w)
{
	return world_map(w, 1, 20, 20);
}

/* Each in a file of its own: one that has gone to small pages stays there. */
#define IN_A_FILE(name, fn, then)                                                              \
	{ "file", step_shared_file, .calm = true }, { "map all", step_map_all, .calm = true }, \
		{ "map again", windows_2m_map_again, .calm = true },                           \
		{ "fill", windows_2m_fill, .calm = true },                                     \
		{ "all to private", all_to_private, .calm = true },                            \
		{ "all to shared", all_to_shared, .calm = true },                              \
		{ "huge", windows_2m_huge, .calm = true }, { name, fn },                       \
		{ "then", then, .calm = true },                                                \
		{ "page to private", page_to_private, .calm = true },                          \
		{ "page to shared", page_to_shared, .calm = true },                            \
		{ "then as before", then, .calm = true },                                      \
		{ "unmap again", windows_2m_unmap_again, .calm = true },                       \
		{ "unmap", windows_2m_unmap, .calm = true },                                   \
	{                                                                                      \
		"close file", step_close_file, .calm = true                                    \
	}

static const struct step loose_steps[] = {
	{ "open", step_open, .calm = true },
	{ "vm", step_vm, .calm = true },
	IN_A_FILE("cut", cut, windows_2m_small),
	IN_A_FILE("cut at a block", cut_at_a_block, windows_2m_huge),
	IN_A_FILE("replace", replace, windows_2m_small),
	IN_A_FILE("advise", advise, windows_2m_small),
	{ "file", step_shared_file, .calm = true },
	{ "map all", step_map_all, .calm = true },
	{ "all to private", all_to_private, .calm = true },
	{ "all to shared", all_to_shared, .calm = true },
	{ "huge", windows_2m_huge, .calm = true },
	{ "map odd", map_odd },
	{ "small", windows_2m_small, .calm = true },
};

const struct scenario windows_2m_loose = {
	.name = "windows-2m-loose",
	.profile = "in-place",
	.pages = "2m-shared",
	.lack = windows_2m_lack,
	STEPS(loose_steps),
	.make = world_make,
	.look = windows_2m_look,
	.unmake = world_unmake,
};
