/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A store of one's own: guest memory that is an ordinary file of the file system, sparse, and there
 * again after the program has ended.
 *
 *	file_store [PATH]	makes the file, 1 MiB (without PATH one that goes again), and uses it
 *				twice: the second guest memory finds what the first has left
 *
 * A store (gmem_create_args.store) is where contents of pages are; what the pages are, private or
 * shared, is not its business. This one hands the library the descriptor of a file. So it is mapped
 * by the library, windows can be had, and most operations can be left to the library: a punch makes
 * a hole in the file, and a page that was never touched is one. What it does itself:
 *
 *	allocate	counts: this store gives no more than QUOTA bytes on request, and then says
 *			-ENOSPC, which is what the caller of gmem_allocate() gets
 *	release		the guest memory is gone; the contents are to stay: they are brought to the
 *			disk. (Without a release of its own a store is punched at the end, as a
 *			guest_memfd is.)
 *	destroy		the very last call
 *
 * How long it lives: from the gmem_create() that succeeds (after one that fails it is still ours) to
 * destroy(), which comes when references, windows and faults are gone: so `struct file_store` must
 * outlive gmem_put() where anything else may hold the file. The library has a duplicate of the
 * descriptor: ours may be closed at any time, and is kept here for fallocate() and fsync().
 *
 * Under which lock: allocate() is called with the file's lock held shared, several times side by side,
 * hence the atomic count; release() with it held exclusively, alone; destroy() with none. From inside
 * they call nothing of the library on this file: it would wait for itself. They may wait for a disk,
 * and whoever wants to change the file waits with them.
 *
 * What is *not* kept is which pages were private: that ends with the guest memory (gmem_snapshot()
 * saves it, too). And who can read the file can read what is private: it is as safe as its
 * permissions.
 *
 * Build: cc file_store.c $(pkg-config --cflags --libs gmem)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <gmem.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE ((uint64_t)GMEM_PAGE_SIZE)
#define SIZE ((uint64_t)1 << 20)
#define QUOTA (16 * PAGE)

static void expect(const char *what, bool is_so)
{
	if (!is_so) {
		fprintf(stderr, "it is not so that %s\n", what);
		exit(1);
	}
	printf("%s\n", what);
}

static void must(const char *what, int ret)
{
	struct gmem_refusal why = { .args_size = sizeof(why) };

	if (ret >= 0)
		return;
	fprintf(stderr, "%s: %s", what, gmem_strerror(ret));
	if (!gmem_last_refusal(&why) && why.error == ret)
		fprintf(stderr, " (%s: %s)", why.rule, why.reason);
	fprintf(stderr, "\n");
	exit(1);
}

/* ---- the store --------------------------------------------------------------------------------- */

struct file_store {
	int fd;
	_Atomic uint64_t given;
	bool is_released, is_destroyed;
};

static int store_allocate(void *data, uint64_t offset, uint64_t size)
{
	struct file_store *s = data;

	if (atomic_fetch_add(&s->given, size) + size > QUOTA) {
		atomic_fetch_sub(&s->given, size);
		return -ENOSPC;
	}
	if (fallocate(s->fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size)) {
		atomic_fetch_sub(&s->given, size);
		return -errno;
	}
	return 0;
}

static void store_release(void *data)
{
	struct file_store *s = data;

	fsync(s->fd);
	s->is_released = true;
}

static void store_destroy(void *data)
{
	struct file_store *s = data;

	close(s->fd);
	s->is_destroyed = true;
}

static const struct gmem_store_ops ops = {
	.ops_size = sizeof(ops),
	.allocate = store_allocate,
	.release = store_release,
	.destroy = store_destroy,
};

static struct gmem *open_memory(struct file_store *s, const char *path)
{
	struct gmem_store store = { .args_size = sizeof(store), .ops = &ops, .data = s };
	struct gmem_create_args make = { .args_size = sizeof(make),
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED,
					 .size = SIZE,
					 .store = &store };
	struct gmem *g = NULL;

	memset(s, 0, sizeof(*s));
	s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)SIZE)) {
		perror(path);
		exit(1);
	}
	store.fd = s->fd;
	must("gmem_create", gmem_create(&make, &g));
	return g;
}

/* ---- what happens ------------------------------------------------------------------------------ */

static char *map(struct gmem *g)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .size = SIZE,
				      .prot = PROT_READ | PROT_WRITE };
	void *at = NULL;

	must("gmem_map", gmem_map(g, &args, &at));
	return at;
}

static uint64_t on_disk(struct gmem *g)
{
	struct gmem_stats stats = { .args_size = sizeof(stats) };

	must("gmem_get_stats", gmem_get_stats(g, &stats));
	return stats.backed_bytes;
}

static void first_run(const char *path)
{
	struct file_store s;
	struct gmem *g = open_memory(&s, path);
	char *window = map(g);
	uint64_t before;

	strcpy(window + 3 * PAGE, "kept");
	strcpy(window + 4 * PAGE, "secret");
	strcpy(window + 5 * PAGE, "gone");
	must("gmem_make_private", gmem_make_private(g, 4 * PAGE, PAGE, NULL));
	expect("a private page is hidden from the window", gmem_is_hidden(window + 4 * PAGE));
	fsync(s.fd);
	expect("the file is sparse", on_disk(g) < SIZE / 2);
	before = on_disk(g);
	must("gmem_punch", gmem_punch(g, 5 * PAGE, PAGE));
	expect("a page that is punched is a hole", !window[5 * PAGE] && on_disk(g) <= before);
	must("gmem_allocate", gmem_allocate(g, 0, QUOTA));
	expect("more than the quota is refused by the store",
	       gmem_allocate(g, QUOTA, PAGE) == -ENOSPC);
	must("gmem_unmap", gmem_unmap(window, SIZE));
	expect("the store lives as long as the guest memory", !s.is_released);
	gmem_put(g);
	expect("and is told of the end", s.is_released && s.is_destroyed);
}

static void second_run(const char *path)
{
	struct file_store s;
	struct gmem *g = open_memory(&s, path);
	char *window = map(g);

	expect("contents are there again", !strcmp(window + 3 * PAGE, "kept"));
	expect("what was private is too, and shared now", !strcmp(window + 4 * PAGE, "secret"));
	expect("what was punched is not", !window[5 * PAGE]);
	must("gmem_unmap", gmem_unmap(window, SIZE));
	gmem_put(g);
}

int main(int argc, char **argv)
{
	char name[] = "/tmp/gmem-file-store-XXXXXX";
	const char *path = argv[1];

	if (argc < 2) {
		int fd = mkstemp(name);

		if (fd < 0) {
			perror(name);
			return 1;
		}
		close(fd);
		path = name;
	}
	first_run(path);
	second_run(path);
	if (argc < 2)
		unlink(path);
	return 0;
}
