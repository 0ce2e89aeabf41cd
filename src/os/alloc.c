/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * os_alloc: size classes carved from chunks, large sizes in mappings of their own.
 *
 * A chunk is CHUNK_SIZE bytes at a multiple of CHUNK_SIZE and belongs to one class:
 *
 *	| head: magic, class, next unused byte | object | object | ... | unused |
 *
 * Freed objects are chained through their first word; the second holds a tag that tells a second
 * free. Every change of a class is published by one store, so that the child of a fork finds lists
 * that hold together even when another thread was in the middle here: the locks are reset, at the
 * most an object is lost.
 */
#include <errno.h>
#include <linux/mman.h>
#include <string.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/place.h"
#include "os/sanitize.h"
#include "os/sys.h"

#if OS_ASAN || OS_TSAN
#include <stdlib.h>
#endif

#define CHUNK_SIZE ((size_t)256 << 10)
#define CHUNK_MAGIC 0x6b6e756863656d67ull
#define FREE_TAG 0x9e3779b97f4a7c15ull
#define LINEAR_MAX ((size_t)128)
#define SMALL_MAX ((size_t)32 << 10)
#define NR_CLASSES 40

struct chunk {
	uint64_t magic;
	uint32_t class;
	_Atomic uint32_t next; /* offset of the first byte never handed out */
	char pad[48];
};

struct object {
	struct object *next;
	uint64_t tag;
};

struct class
{
	struct os_mutex lock;
	_Atomic(struct chunk *) chunk; /* the one that is being carved */
	_Atomic(struct object *) free;
	_Atomic uint64_t live; /* bytes handed out */
};

static struct class classes[NR_CLASSES];
static _Atomic uint64_t large_live;

static unsigned int class_of(size_t size)
{
	unsigned int shift;

	if (size <= LINEAR_MAX)
		return (unsigned int)((size + 15) / 16 - 1);
	/* Four steps to each doubling. */
	shift = 63 - (unsigned int)__builtin_clzll(size - 1);
	return 8 + (shift - 7) * 4 + (unsigned int)(((size - 1) >> (shift - 2)) & 3);
}

static size_t class_size(unsigned int class)
{
	unsigned int shift = 7 + (class - 8) / 4;

	if (class < 8)
		return (size_t)(class + 1) * 16;
	return ((size_t)1 << shift) + (size_t)((class - 8) % 4 + 1) * ((size_t)1 << (shift - 2));
}

static void *pages_get(size_t size, size_t align)
{
	long ret = os_place_map(size, align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

	return os_sys_failed(ret) ? NULL : (void *)ret;
}

static struct chunk *chunk_make(unsigned int class)
{
	struct chunk *chunk = pages_get(CHUNK_SIZE, CHUNK_SIZE);

	if (!chunk)
		return NULL;
	chunk->magic = CHUNK_MAGIC;
	chunk->class = class;
	atomic_store_explicit(&chunk->next, sizeof(*chunk), memory_order_relaxed);
	return chunk;
}

/* Fresh memory is zero already. */
static void *carve(struct class *c, unsigned int class)
{
	struct chunk *chunk = atomic_load_explicit(&c->chunk, memory_order_relaxed);
	size_t size = class_size(class);
	uint32_t next;

	next = chunk ? atomic_load_explicit(&chunk->next, memory_order_relaxed) : 0;
	if (!chunk || next + size > CHUNK_SIZE) {
		chunk = chunk_make(class);
		if (!chunk)
			return NULL;
		next = sizeof(*chunk);
		atomic_store_explicit(&c->chunk, chunk, memory_order_release);
	}
	atomic_store_explicit(&chunk->next, next + (uint32_t)size, memory_order_release);
	return (char *)chunk + next;
}

static void *small_alloc(size_t size)
{
	unsigned int class = class_of(size);
	struct class *c = &classes[class];
	struct object *o;
	bool used;

	os_mutex_lock(&c->lock);
	o = atomic_load_explicit(&c->free, memory_order_relaxed);
	used = o;
	if (o)
		atomic_store_explicit(&c->free, o->next, memory_order_release);
	else
		o = carve(c, class);
	if (o)
		os_racy_store(&c->live, os_racy_load(&c->live) + class_size(class));
	os_mutex_unlock(&c->lock);

	if (used)
		memset(o, 0, class_size(class));
	return o;
}

static uint64_t free_tag(const struct object *o)
{
	return FREE_TAG ^ (uintptr_t)o;
}

static void small_free(void *ptr, size_t size)
{
	struct chunk *chunk = (struct chunk *)((uintptr_t)ptr & ~(CHUNK_SIZE - 1));
	unsigned int class = class_of(size);
	struct class *c = &classes[class];
	struct object *o = ptr;

	os_assert(chunk->magic == CHUNK_MAGIC);
	os_assert(chunk->class == class);
	os_assert(o->tag != free_tag(o));
	os_mutex_lock(&c->lock);
	o->next = atomic_load_explicit(&c->free, memory_order_relaxed);
	o->tag = free_tag(o);
	atomic_store_explicit(&c->free, o, memory_order_release);
	os_racy_store(&c->live, os_racy_load(&c->live) - class_size(class));
	os_mutex_unlock(&c->lock);
}

static void *own_alloc(size_t size)
{
	void *ptr;

	if (size <= SMALL_MAX)
		return small_alloc(size ? size : 1);
	if (size > SIZE_MAX - OS_PAGE_SIZE)
		return NULL;
	ptr = pages_get(os_page_up(size), OS_PAGE_SIZE);
	if (ptr)
		atomic_fetch_add_explicit(&large_live, os_page_up(size), memory_order_relaxed);
	return ptr;
}

static void own_free(void *ptr, size_t size)
{
	if (size <= SMALL_MAX) {
		small_free(ptr, size ? size : 1);
		return;
	}
	os_assert(!((uintptr_t)ptr & (OS_PAGE_SIZE - 1)));
	atomic_fetch_sub_explicit(&large_live, os_page_up(size), memory_order_relaxed);
	os_unmap(ptr, os_page_up(size));
}

#if OS_ASAN || OS_TSAN

/*
 * The sanitizers know the life of memory only through libc's allocator. Theirs takes no care of forks: in the
 * child its locks may be held for ever by a thread that is not there, so the child has ours, and what came from
 * theirs stays.
 */
static bool forked;

#define ASAN_FIRST 0x600000000000ull
#define ASAN_END 0x640000000000ull

/* Their small objects have a place of their own, their large ones never begin a page. */
static bool is_own(const void *ptr, size_t size)
{
	uintptr_t at = (uintptr_t)ptr;

	return size <= SMALL_MAX ? at < ASAN_FIRST || at >= ASAN_END : !(at & (OS_PAGE_SIZE - 1));
}

void *os_alloc(size_t size)
{
	void *ptr;

	if (os_fail(OS_FAIL_ALLOC))
		return NULL;
	if (forked)
		return own_alloc(size);
	ptr = calloc(1, size ? size : 1);
	if (ptr)
		atomic_fetch_add_explicit(&large_live, size, memory_order_relaxed);
	return ptr;
}

void os_free(void *ptr, size_t size)
{
	if (!ptr)
		return;
	if (!forked) {
		atomic_fetch_sub_explicit(&large_live, size, memory_order_relaxed);
		free(ptr);
	} else if (is_own(ptr, size)) {
		own_free(ptr, size);
	}
}

#else

void *os_alloc(size_t size)
{
	return os_fail(OS_FAIL_ALLOC) ? NULL : own_alloc(size);
}

void os_free(void *ptr, size_t size)
{
	if (ptr)
		own_free(ptr, size);
}

#endif

uint64_t os_alloc_live(void)
{
	uint64_t live = atomic_load_explicit(&large_live, memory_order_relaxed);
	unsigned int i;

	for (i = 0; i < NR_CLASSES; i++)
		live += atomic_load_explicit(&classes[i].live, memory_order_relaxed);
	return live;
}

void os_alloc_after_fork(void)
{
	unsigned int i;

	for (i = 0; i < NR_CLASSES; i++)
		os_mutex_init(&classes[i].lock);
#if OS_ASAN
	forked = true;
#endif
}
