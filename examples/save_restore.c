/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest's memory from its first image to a snapshot and back.
 *
 *	save_restore [FILE]	saves to FILE (without it one that goes again), and restores from it
 *
 * What it shows, in the order of a guest's life:
 *
 *	first image	gmem_populate() puts it where no window reaches; the rest of the guest's memory
 *			costs nothing until it is touched
 *	looking		gmem_query() says which pages are what, gmem_get_stats() what they cost
 *	refusals	a number says what went wrong, gmem_last_refusal() which rule it was
 *	saving		into a file beside the old one, renamed when it is whole: who reads FILE finds
 *			the old snapshot or the new one, whatever happens
 *	restoring	into another guest memory of the same size, of another program, perhaps
 *
 * Build: cc save_restore.c $(pkg-config --cflags --libs gmem)
 */
#include <errno.h>
#include <fcntl.h>
#include <gmem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE ((uint64_t)GMEM_PAGE_SIZE)
#define SIZE ((uint64_t)16 << 20)
#define NR_IMAGE 5 /* pages, from the second on */

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

static struct gmem *make_memory(void)
{
	struct gmem_create_args args = { .args_size = sizeof(args), .size = SIZE };
	struct gmem *g = NULL;

	must("gmem_create", gmem_create(&args, &g));
	return g;
}

/* ---- the first image --------------------------------------------------------------------------- */

static char image[NR_IMAGE * GMEM_PAGE_SIZE];

static void put_image(struct gmem *g)
{
	struct gmem_populate_args args = {
		.args_size = sizeof(args), .offset = PAGE, .size = sizeof(image), .source = image
	};

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (char)(1 + i / PAGE);
	must("gmem_populate", gmem_populate(g, &args));
	expect("all of the image is there", args.populated == sizeof(image));
}

/* A page that the host can see is no place for it. */
static void what_is_refused_has_a_rule(struct gmem *g)
{
	struct gmem_populate_args args = { .args_size = sizeof(args),
					   .offset = 8 * PAGE,
					   .size = PAGE };
	struct gmem_refusal why = { .args_size = sizeof(why) };
	int err;

	must("gmem_make_shared", gmem_make_shared(g, 8 * PAGE, 2 * PAGE, NULL));
	err = gmem_populate(g, &args);
	must("gmem_last_refusal", gmem_last_refusal(&why));
	expect("a shared page is refused, by a rule with a name",
	       err == -EINVAL && why.error == err && !strcmp(why.rule, "POPULATE_SHARED"));
}

/* ---- looking ----------------------------------------------------------------------------------- */

/* As many runs as there are, a few at a time. */
static uint64_t bytes_shared(struct gmem *g)
{
	struct gmem_extent runs[2];
	uint64_t at = 0, shared = 0;
	uint32_t nr;

	while (at < SIZE) {
		must("gmem_query", gmem_query(g, at, SIZE - at, runs, 2, &nr));
		for (uint32_t i = 0; i < nr; i++) {
			if (!(runs[i].attributes & GMEM_ATTRIBUTE_PRIVATE))
				shared += runs[i].size;
			at = runs[i].offset + runs[i].size;
		}
	}
	return shared;
}

static void look(struct gmem *g)
{
	struct gmem_stats stats = { .args_size = sizeof(stats) };

	must("gmem_get_stats", gmem_get_stats(g, &stats));
	expect("two pages are shared",
	       bytes_shared(g) == 2 * PAGE && stats.private_bytes == SIZE - 2 * PAGE);
	expect("and the image alone has memory", stats.backed_bytes == sizeof(image));
}

/* ---- saving and restoring ---------------------------------------------------------------------- */

static void save(struct gmem *g, const char *path)
{
	struct gmem_snapshot_args args = { .args_size = sizeof(args) };
	char beside[4096];
	int err;

	snprintf(beside, sizeof(beside), "%s.new", path);
	args.fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (args.fd < 0) {
		perror(beside);
		exit(1);
	}
	err = gmem_snapshot(g, &args);
	close(args.fd);
	if (err || rename(beside, path))
		unlink(beside);
	must("gmem_snapshot", err);
	expect("what is zero takes no room in the snapshot", args.file_bytes < 2 * sizeof(image));
}

static void restore(struct gmem *g, const char *path)
{
	struct gmem_snapshot_info info = { .args_size = sizeof(info) };
	struct gmem_restore_args args = { .args_size = sizeof(args) };

	args.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (args.fd < 0) {
		perror(path);
		exit(1);
	}
	must("gmem_snapshot_check", gmem_snapshot_check(args.fd, GMEM_CHECK_CONTENTS, &info));
	expect("the snapshot is whole, and has the image alone",
	       info.size == SIZE && info.data_bytes == sizeof(image));
	must("gmem_restore", gmem_restore(g, &args));
	close(args.fd);
}

/* As its guest reads it. */
static bool has_image(struct gmem *g)
{
	bool is_so = true;
	void *at;

	must("gmem_fault_begin", gmem_fault_begin(g));
	for (uint64_t i = 0; i < NR_IMAGE; i++) {
		must("gmem_page", gmem_page(g, (1 + i) * PAGE, &at, NULL));
		is_so &= !memcmp(at, image + i * PAGE, PAGE);
	}
	gmem_fault_end(g);
	return is_so;
}

int main(int argc, char **argv)
{
	char name[] = "/tmp/gmem-save-restore-XXXXXX";
	const char *path = argc > 1 ? argv[1] : name;
	struct gmem *g = make_memory();

	if (argc < 2 && (close(mkstemp(name)), access(name, W_OK))) {
		perror(name);
		return 1;
	}
	put_image(g);
	what_is_refused_has_a_rule(g);
	look(g);
	save(g, path);
	gmem_put(g);

	g = make_memory();
	restore(g, path);
	look(g);
	expect("the guest finds what it had", has_image(g));
	must("gmem_punch", gmem_punch(g, PAGE, sizeof(image)));
	expect("what is punched costs nothing, and is zero", !has_image(g));
	gmem_put(g);
	if (argc < 2)
		unlink(path);
	return 0;
}
