/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* System calls in records (OBS_CALL): their names, and what they were asked how. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "see/names.h"

struct bit {
	uint64_t value;
	const char *name;
};

static const char *find(const struct bit *table, size_t nr, uint64_t value)
{
	for (size_t i = 0; i < nr; i++) {
		if (table[i].value == value)
			return table[i].name;
	}
	return NULL;
}
#define FIND(table, value) find(table, sizeof(table) / sizeof((table)[0]), value)

const char *see_call(uint64_t call)
{
#define CALL(name)                \
	{                         \
		SYS_##name, #name \
	}
	static const struct bit calls[] = {
		CALL(fallocate),
		CALL(ftruncate),
		CALL(mmap),
		CALL(munmap),
		CALL(mremap),
		CALL(mprotect),
		CALL(madvise),
		CALL(mlock),
		CALL(munlock),
		CALL(mlock2),
		CALL(pkey_mprotect),
		CALL(write),
		CALL(writev),
		CALL(pwrite64),
		CALL(pwritev),
		CALL(pwritev2),
		CALL(mbind),
		CALL(get_mempolicy),
		CALL(set_mempolicy_home_node),
	};
#undef CALL

	return FIND(calls, OBS_CALL_NUMBER(call));
}

/* Those that are set, and what is left as a number. */
static void put_bits(const struct bit *bits, size_t nr, uint64_t value, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < nr && used < size; i++) {
		if (!(value & bits[i].value))
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "|" : "",
					 bits[i].name);
		value &= ~bits[i].value;
	}
	if (value && used < size)
		snprintf(text + used, size - used, "%s0x%llx", used ? "|" : "",
			 (unsigned long long)value);
}
#define PUT_BITS(bits, value, text, size) \
	put_bits(bits, sizeof(bits) / sizeof((bits)[0]), value, text, size)

static void put_protection(uint64_t prot, char text[4])
{
	text[0] = prot & PROT_READ ? 'r' : '-';
	text[1] = prot & PROT_WRITE ? 'w' : '-';
	text[2] = prot & PROT_EXEC ? 'x' : '-';
	text[3] = 0;
}

/* Of mmap; a type of 3 is MAP_SHARED_VALIDATE. */
static void put_mapping(uint64_t how, char *text, size_t size)
{
	static const struct bit flags[] = {
		{ MAP_SHARED, "SHARED" },     { MAP_PRIVATE, "PRIVATE" },
		{ MAP_FIXED, "FIXED" },	      { MAP_FIXED_NOREPLACE, "FIXED_NOREPLACE" },
		{ MAP_LOCKED, "LOCKED" },     { MAP_NORESERVE, "NORESERVE" },
		{ MAP_POPULATE, "POPULATE" }, { MAP_HUGETLB, "HUGETLB" },
	};
	char prot[4], list[96] = "";

	put_protection(how, prot);
	PUT_BITS(flags, how >> 8, list, sizeof(list));
	snprintf(text, size, "%s %s", prot, list);
}

static const char *advice_name(uint64_t advice)
{
#define ADVICE(name)               \
	{                          \
		MADV_##name, #name \
	}
	static const struct bit names[] = {
		ADVICE(NORMAL),
		ADVICE(RANDOM),
		ADVICE(SEQUENTIAL),
		ADVICE(WILLNEED),
		ADVICE(DONTNEED),
		ADVICE(FREE),
		ADVICE(REMOVE),
		ADVICE(DONTFORK),
		ADVICE(DOFORK),
		ADVICE(MERGEABLE),
		ADVICE(UNMERGEABLE),
		ADVICE(HUGEPAGE),
		ADVICE(NOHUGEPAGE),
		ADVICE(DONTDUMP),
		ADVICE(DODUMP),
		ADVICE(WIPEONFORK),
		ADVICE(KEEPONFORK),
		ADVICE(COLD),
		ADVICE(PAGEOUT),
		ADVICE(POPULATE_READ),
		ADVICE(POPULATE_WRITE),
		ADVICE(HWPOISON),
		{ 24, "DONTNEED_LOCKED" },
		{ 25, "COLLAPSE" },
	};
#undef ADVICE

	return FIND(names, advice);
}

static void put_advice(uint64_t advice, char *text, size_t size)
{
	const char *name = advice_name(advice);

	if (name)
		snprintf(text, size, "%s", name);
	else
		snprintf(text, size, "%llu", (unsigned long long)advice);
}

/* Of mbind: the policy, its nodes ("...": and higher ones), and what of the pages that are there. */
static void put_policy(uint64_t how, char *text, size_t size)
{
	static const char *const modes[] = { "DEFAULT",	   "PREFERRED", "BIND",
					     "INTERLEAVE", "LOCAL",	"PREFERRED_MANY" };
	static const struct bit flags[] = {
		{ MPOL_F_STATIC_NODES, "STATIC_NODES" },
		{ MPOL_F_RELATIVE_NODES, "RELATIVE_NODES" },
		{ MPOL_MF_STRICT << 16, "STRICT" },
		{ MPOL_MF_MOVE << 16, "MOVE" },
		{ MPOL_MF_MOVE_ALL << 16, "MOVE_ALL" },
	};
	uint64_t mode = how & 0x0fff, nodes = how >> 24 & 0x7fffff;
	char list[96] = "", mask[32] = "", name[16];

	snprintf(name, sizeof(name), "%llu", (unsigned long long)mode);
	if (nodes || how >> 47)
		snprintf(mask, sizeof(mask), " nodes 0x%llx%s", (unsigned long long)nodes,
			 how >> 47 ? "..." : "");
	PUT_BITS(flags, how & 0xfff000, list, sizeof(list));
	snprintf(text, size, "%s%s%s%s", mode < 6 ? modes[mode] : name, mask, *list ? " " : "",
		 list);
}

static void put_home(uint64_t how, char *text, size_t size)
{
	snprintf(text, size, "node %u", (unsigned int)(how & 0xffff));
}

static void put_get_policy(uint64_t how, char *text, size_t size)
{
	static const struct bit flags[] = {
		{ MPOL_F_NODE, "NODE" },
		{ MPOL_F_ADDR, "ADDR" },
		{ MPOL_F_MEMS_ALLOWED, "MEMS_ALLOWED" },
	};

	PUT_BITS(flags, how, text, size);
}

/* Of write and its like. */
static void put_written(uint64_t how, char *text, size_t size)
{
	if (how)
		snprintf(text, size, "0x%llx written", (unsigned long long)how);
}

void see_call_how(uint64_t call, char *text, size_t size)
{
	static const struct bit modes[] = {
		{ FALLOC_FL_PUNCH_HOLE, "PUNCH_HOLE" },
		{ FALLOC_FL_KEEP_SIZE, "KEEP_SIZE" },
		{ FALLOC_FL_ZERO_RANGE, "ZERO_RANGE" },
		{ FALLOC_FL_COLLAPSE_RANGE, "COLLAPSE_RANGE" },
		{ FALLOC_FL_INSERT_RANGE, "INSERT_RANGE" },
		{ FALLOC_FL_UNSHARE_RANGE, "UNSHARE_RANGE" },
	};
	static const struct bit moves[] = {
		{ MREMAP_MAYMOVE, "MAYMOVE" },
		{ MREMAP_FIXED, "FIXED" },
		{ MREMAP_DONTUNMAP, "DONTUNMAP" },
	};
	uint64_t how = call >> OBS_CALL_SHIFT;
	char prot[4];

	text[0] = 0;
	switch (OBS_CALL_NUMBER(call)) {
	case SYS_fallocate:
		PUT_BITS(modes, how, text, size);
		break;
	case SYS_mmap:
		put_mapping(how, text, size);
		break;
	case SYS_mremap:
		PUT_BITS(moves, how, text, size);
		break;
	case SYS_mprotect:
	case SYS_pkey_mprotect:
		put_protection(how, prot);
		snprintf(text, size, "%s", prot);
		break;
	case SYS_madvise:
		put_advice(how, text, size);
		break;
	case SYS_write:
	case SYS_writev:
	case SYS_pwrite64:
	case SYS_pwritev:
	case SYS_pwritev2:
		put_written(how, text, size);
		break;
	case SYS_mbind:
		put_policy(how, text, size);
		break;
	case SYS_set_mempolicy_home_node:
		put_home(how, text, size);
		break;
	case SYS_get_mempolicy:
		put_get_policy(how, text, size);
		break;
	default:
		break;
	}
}
