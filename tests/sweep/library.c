/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The library: a file with windows, pins, bindings, a consumer, a guest's way to it, and children that have it. */
#include <errno.h>
#include <fcntl.h>
#include <gmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"
#include "scenario.h"

#define PAGE 4096ull
#define NR_PAGES 600u
#define SIZE (NR_PAGES * PAGE)
#define NR_WINDOWS 2
#define TRIES 3

struct world {
	struct gmem *g;
	struct gmem_pinned *pin;
	struct gmem_binding *binding;
	struct gmem_consumer *consumer;
	uint8_t *window[NR_WINDOWS];
	uint64_t first[NR_WINDOWS], nr[NR_WINDOWS];
	int begun, ended; /* brackets that the consumer has seen */
	uint8_t guest_saw;
	bool has_failed; /* page 11 */
	int pipe[2];
	int disk; /* what is saved goes there */
};

static struct world *make(void)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || pipe2(w->pipe, O_CLOEXEC))
		abort();
	w->disk = memfd_create("disk", MFD_CLOEXEC);
	if (w->disk < 0)
		abort();
	return w;
}

/* What is refused, as any munmap() may be, has changed nothing and goes when it is asked for again. */
static void give_back(void *at, uint64_t size)
{
	if (gmem_unmap(at, size) && gmem_unmap(at, size))
		abort();
}

static void unmake(struct world *w)
{
	gmem_unpin(w->pin);
	if (w->consumer)
		gmem_consumer_remove(w->g, w->consumer);
	if (w->binding)
		gmem_unbind(w->g, w->binding);
	for (int i = 0; i < NR_WINDOWS; i++)
		if (w->window[i])
			give_back(w->window[i], w->nr[i] * PAGE);
	gmem_put(w->g);
	close(w->pipe[0]);
	close(w->pipe[1]);
	close(w->disk);
	free(w);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static int host_read(struct world *w, const uint8_t *at, uint8_t *value)
{
	if (write(w->pipe[1], at, 1) != 1)
		return -errno;
	return read(w->pipe[0], value, 1) == 1 ? 0 : -EIO;
}

static const uint16_t seen[] = { 0,  1,	  2,   3,   5,	 7,   20,  30,	50,
				 99, 100, 150, 199, 250, 300, 350, 520, 599 };

static void look_at_window(struct world *w, struct text *t, int i)
{
	text_add(t, "\n  window %d:", i);
	for (size_t n = 0; n < sizeof(seen) / sizeof(seen[0]); n++) {
		uint64_t page = seen[n] - w->first[i];
		uint8_t value = 0;
		int err;

		if (seen[n] < w->first[i] || page >= w->nr[i])
			continue;
		err = host_read(w, w->window[i] + page * PAGE, &value);
		if (err)
			text_add(t, " %d:%s", seen[n], err == -EFAULT ? "no" : strerror(-err));
		else if (value)
			text_add(t, " %d:%x", seen[n], value);
	}
}

static bool page_fails(struct world *w)
{
	void *at;
	int err;

	if (gmem_fault_begin(w->g))
		return false;
	err = gmem_page(w->g, 11 * PAGE, &at, NULL);
	gmem_fault_end(w->g);
	return err == -EHWPOISON;
}

static void look(struct world *w, struct text *t)
{
	struct gmem_extent extents[32];
	uint32_t nr = 0;
	int err = -1;

	text_add(t, "file %d pin %d bound %d consumer %d", !!w->g, !!w->pin, !!w->binding,
		 !!w->consumer);
	if (w->has_failed)
		text_add(t, " fails %d", page_fails(w));
	if (w->begun != w->ended)
		text_add(t, ", which waits for an end");
	if (w->g) {
		for (int i = 0; i < TRIES && err; i++)
			err = gmem_query(w->g, 0, SIZE, extents, 32, &nr);
		text_add(t, " guest saw %x %s", w->guest_saw, err ? strerror(-err) : "");
	}
	for (uint32_t i = 0; i < nr; i++)
		text_add(t, " %llu+%llu:%u", (unsigned long long)(extents[i].offset / PAGE),
			 (unsigned long long)(extents[i].size / PAGE), extents[i].attributes);
	for (int i = 0; i < NR_WINDOWS; i++)
		if (w->window[i])
			look_at_window(w, t, i);
}

/* ---- steps ------------------------------------------------------------------------------------- */

static int create(struct world *w)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .size = SIZE,
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED };

	return gmem_create(&args, &w->g);
}

static int map(struct world *w, int i, uint64_t first, uint64_t nr)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .prot = PROT_READ | PROT_WRITE,
				      .size = nr * PAGE,
				      .offset = first * PAGE };
	void *at;
	int err = gmem_map(w->g, &args, &at);

	if (err)
		return err;
	w->window[i] = at;
	w->first[i] = first;
	w->nr[i] = nr;
	return 0;
}

static int map_all(struct world *w)
{
	int err = map(w, 0, 0, NR_PAGES);

	for (uint64_t page = 0; !err && page < NR_PAGES; page += 50)
		w->window[0][page * PAGE] = (uint8_t)(1 + page / 50);
	return err;
}

static int map_part(struct world *w)
{
	return map(w, 1, 100, 200);
}

static int convert(struct world *w, uint64_t first, uint64_t nr, uint64_t attributes)
{
	return gmem_convert_simply(w->g, first * PAGE, nr * PAGE, attributes, NULL);
}

#define CONVERT(name, first, nr, attributes)              \
	static int name(struct world *w)                  \
	{                                                 \
		return convert(w, first, nr, attributes); \
	}
CONVERT(to_private, 1, 300, GMEM_ATTRIBUTE_PRIVATE)
CONVERT(share_3, 3, 1, 0)
CONVERT(share_5, 5, 1, 0)
CONVERT(share_50, 50, 101, 0)
CONVERT(unpinned_to_private, 40, 80, GMEM_ATTRIBUTE_PRIVATE)
CONVERT(all_to_shared, 0, NR_PAGES, 0)
CONVERT(some_to_private, 0, 60, GMEM_ATTRIBUTE_PRIVATE)

static int pin(struct world *w)
{
	return gmem_pin(w->g, 100 * PAGE, 2 * PAGE, &w->pin);
}

/* Refused is right; and all that refuse are told. */
static int convert_pinned(struct world *w)
{
	struct gmem_range refused[4];
	struct gmem_convert_args args = { .args_size = sizeof(args),
					  .offset = 40 * PAGE,
					  .size = 80 * PAGE,
					  .attributes = GMEM_ATTRIBUTE_PRIVATE,
					  .refused = refused,
					  .max_refused = 4 };
	int err = gmem_convert(w->g, &args);

	if (err != -EAGAIN)
		return err ? err : -EBADMSG;
	return args.nr_refused == 1 && refused[0].offset == 100 * PAGE ? 0 : -EAGAIN;
}

static int unpin(struct world *w)
{
	gmem_unpin(w->pin);
	w->pin = NULL;
	return 0;
}

static int bind(struct world *w)
{
	return gmem_bind(w->g, 0, 100 * PAGE, w, &w->binding);
}

static int on_begin(void *data, const struct gmem_change *change)
{
	((struct world *)data)->begun++;
	return 0;
}

static void on_end(void *data, const struct gmem_change *change)
{
	((struct world *)data)->ended++;
}

static int consume(struct world *w)
{
	static const struct gmem_consumer_callbacks ops = {
		.ops_size = sizeof(ops),
		.begin = on_begin,
		.end = on_end,
	};

	return gmem_consumer_add(w->g, &ops, w, &w->consumer);
}

static int guest_access(struct world *w)
{
	void *at = NULL;
	int err = gmem_fault_begin(w->g);

	if (err)
		return err;
	err = gmem_page(w->g, 250 * PAGE, &at, NULL);
	if (!err)
		w->guest_saw = *(uint8_t *)at;
	gmem_fault_end(w->g);
	return err;
}

static int remap(struct world *w)
{
	void *at;
	int err = gmem_remap(w->window[1], 200 * PAGE, 260 * PAGE, MREMAP_MAYMOVE, NULL, &at);

	if (err)
		return err;
	w->window[1] = at;
	w->nr[1] = 260;
	return 0;
}

static int protect(struct world *w)
{
	int err = gmem_protect(w->window[0] + 2 * PAGE, 8 * PAGE, PROT_READ);

	return err ? err : gmem_protect(w->window[0], SIZE, PROT_READ | PROT_WRITE);
}

static int lock(struct world *w)
{
	int err = gmem_lock(w->window[0] + 350 * PAGE, 2 * PAGE, 0);

	return err ? err : gmem_unlock(w->window[0] + 350 * PAGE, 2 * PAGE);
}

static int advise(struct world *w)
{
	return gmem_advise(w->window[0], 400 * PAGE, MADV_DONTNEED);
}

static int punch(struct world *w)
{
	return gmem_punch(w->g, 300 * PAGE, 20 * PAGE);
}

static int allocate(struct world *w)
{
	return gmem_allocate(w->g, 300 * PAGE, 20 * PAGE);
}

static int ask(struct world *w)
{
	struct gmem_stats stats = { .args_size = sizeof(stats) };
	struct gmem_extent extent;
	uint32_t nr;
	int err = gmem_get_stats(w->g, &stats);

	return err ? err : gmem_query(w->g, 0, SIZE, &extent, 1, &nr);
}

/* What it has put in before it fails it puts in again. */
static int populate(struct world *w)
{
	static char source[40 * PAGE];
	struct gmem_populate_args args = { .args_size = sizeof(args),
					   .offset = 2 * PAGE,
					   .size = sizeof(source),
					   .source = source };

	memset(source, 'p', sizeof(source));
	return gmem_populate(w->g, &args);
}

static int save(struct world *w)
{
	struct gmem_snapshot_args args = { .args_size = sizeof(args), .fd = w->disk };

	return ftruncate(w->disk, 0) ? -errno : gmem_snapshot(w->g, &args);
}

static int check_saved(struct world *w)
{
	struct gmem_snapshot_info info = { .args_size = sizeof(info) };
	int err = gmem_snapshot_check(w->disk, GMEM_CHECK_CONTENTS, &info);

	if (err)
		return err;
	return info.private_bytes == 60 * PAGE ? 0 : -EBADMSG;
}

/* What is there is what was saved: half-way is the way back, too. */
static int restore(struct world *w)
{
	struct gmem_restore_args args = { .args_size = sizeof(args), .fd = w->disk };
	int err = gmem_restore(w->g, &args);

	for (int i = 0, again = err; i < TRIES && again; i++)
		again = gmem_restore(w->g, &args);
	return err;
}

static int fail_pages(struct world *w)
{
	int err = gmem_poison(w->g, 10 * PAGE, 2 * PAGE);

	w->has_failed = !err;
	return err;
}

static int save_rest(struct world *w)
{
	struct gmem_snapshot_args args = { .args_size = sizeof(args),
					   .flags = GMEM_SNAPSHOT_LOST,
					   .fd = w->disk };
	int err = ftruncate(w->disk, 0) ? -errno : gmem_snapshot(w->g, &args);

	return err || args.lost_bytes == 2 * PAGE ? err : -EBADMSG;
}

/* A store of our own: ours to destroy while there is no file, and the file's afterwards. */
static int nr_destroyed;

static int own_address(void *data, uint64_t offset, void **addr)
{
	*addr = (uint8_t *)data + offset;
	return 0;
}

static int own_punch(void *data, uint64_t offset, uint64_t size)
{
	memset((uint8_t *)data + offset, 0, size);
	return 0;
}

static void own_destroy(void *data)
{
	nr_destroyed++;
}

static int own_store(struct world *w)
{
	static _Alignas(4096) uint8_t memory[2 * PAGE];
	static const struct gmem_store_ops ops = { .ops_size = sizeof(ops),
						   .address = own_address,
						   .punch = own_punch,
						   .destroy = own_destroy };
	struct gmem_store store = {
		.args_size = sizeof(store), .fd = -1, .ops = &ops, .data = memory
	};
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .size = sizeof(memory),
					 .store = &store };
	struct gmem *g;
	int err = gmem_create(&args, &g);

	if (!err)
		gmem_put(g);
	if (nr_destroyed != !err)
		abort();
	nr_destroyed = 0;
	return err;
}

/* ---- children ---------------------------------------------------------------------------------- */

/* What could not be had at once is when it is mapped again. */
static int child_sees(struct world *w, uint64_t page, uint8_t expected)
{
	uint8_t value = 0;
	int err = host_read(w, w->window[0] + page * PAGE, &value);

	for (int i = 0; err && i < TRIES; i++) {
		err = map(w, 0, 0, NR_PAGES);
		if (!err)
			err = host_read(w, w->window[0] + page * PAGE, &value);
	}
	if (err)
		return 1;
	return value != expected;
}

static int child(struct world *w)
{
	uint8_t value;
	int err = -1;

	if (child_sees(w, 350, 8))
		return 10;
	if (host_read(w, w->window[0] + 20 * PAGE, &value) != -EFAULT)
		return 11;
	for (int i = 0; err && i < TRIES; i++)
		err = convert(w, 400, 10, GMEM_ATTRIBUTE_PRIVATE);
	if (err || host_read(w, w->window[0] + 400 * PAGE, &value) != -EFAULT)
		return 12;
	for (err = -1; err;)
		err = convert(w, 400, 10, 0);
	return 0;
}

static int end_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	if (status)
		fprintf(stderr, "a child ends with status %x\n", status);
	return status ? -ECHILD : 0;
}

static int fork_child(struct world *w)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(child(w));
	return pid < 0 ? -errno : end_of(pid);
}

/* This program anew: helper_main(). */
static int exec_child(struct world *w)
{
	char text[16];
	char *argv[] = { (char *)"sweep-library", (char *)"serve", text, NULL };
	int fd, err = gmem_descriptor(w->g, &fd);
	pid_t pid;

	if (err)
		return err;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		fcntl(fd, F_SETFD, 0);
		snprintf(text, sizeof(text), "%d", fd);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(fd);
	return pid < 0 ? -errno : end_of(pid);
}

int helper_main(int argc, char **argv)
{
	struct world *w = make();
	int err = -1;

	for (int i = 0; err && i < TRIES; i++)
		err = gmem_open(atoi(argv[2]), 0, &w->g);
	if (err)
		return 13;
	for (err = -1; err;)
		err = map(w, 0, 0, NR_PAGES);
	return child(w);
}

static const struct step steps[] = {
	{ "create", create },
	{ "map all", map_all },
	{ "map part", map_part },
	{ "to private", to_private },
	{ "share 3", share_3 },
	{ "share 5", share_5 },
	{ "share 50", share_50 },
	{ "pin", pin },
	{ "convert what is pinned", convert_pinned },
	{ "unpin", unpin },
	{ "convert what was pinned", unpinned_to_private },
	{ "bind", bind },
	{ "consume", consume },
	{ "guest access", guest_access },
	{ "remap", remap },
	{ "protect", protect },
	{ "lock", lock },
	{ "advise", advise },
	{ "punch", punch },
	{ "allocate", allocate },
	{ "ask", ask },
	{ "fork", fork_child },
	{ "exec", exec_child },
	{ "all to shared", all_to_shared },
	{ "some to private", some_to_private },
	{ "populate", populate },
	{ "save", save },
	{ "check what is saved", check_saved },
	{ "pages fail", fail_pages },
	{ "save what is left", save_rest },
	{ "restore what is left", restore },
	{ "a store of our own", own_store },
};

static const struct scenario library = {
	.name = "library",
	STEPS(steps),
	.make = make,
	.look = look,
	.unmake = unmake,
};

const struct scenario *const kvm_scenarios[] = { &library, NULL };
