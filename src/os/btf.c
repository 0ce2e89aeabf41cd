/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/stat.h>

#include "os/os.h"
#include "os/sys.h"

/* Newer than some headers. */
#define KIND_DECL_TAG 17
#define KIND_ENUM64 19
#define MAX_DEPTH 8

static const struct btf_type *type_of(const struct os_btf *b, uint32_t id)
{
	if (!id || id >= b->nr_types)
		return NULL;
	return (const struct btf_type *)((const char *)b->file + b->types[id]);
}

static const char *name_of(const struct os_btf *b, uint32_t offset)
{
	if (offset >= b->names_end - b->names)
		return "";
	return (const char *)b->file + b->names + offset;
}

/* Bytes of what follows a type's head. */
static uint32_t size_of_rest(uint32_t info)
{
	uint32_t nr = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return nr * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return nr * sizeof(struct btf_enum);
	case KIND_ENUM64:
	case BTF_KIND_DATASEC:
		return nr * 12;
	case BTF_KIND_FUNC_PROTO:
		return nr * sizeof(struct btf_param);
	default:
		return 0;
	}
}

/* ---- the file ---------------------------------------------------------------------------- */

static int read_all(int fd, char *to, uint64_t size)
{
	while (size) {
		long n = os_sys3(SYS_read, fd, to, size);

		if (n <= 0)
			return n ? (int)n : -ENOTSUP;
		to += n;
		size -= (uint64_t)n;
	}
	return 0;
}

static int read_file(struct os_btf *b, int fd)
{
	struct stat st;
	int ret = (int)os_sys2(SYS_fstat, fd, &st);

	if (ret)
		return ret;
	if ((uint64_t)st.st_size < sizeof(struct btf_header) || st.st_size > INT32_MAX)
		return -ENOTSUP;
	b->file_size = (uint64_t)st.st_size;
	ret = os_map_anon(b->file_size, OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &b->file);
	return ret ? ret : read_all(fd, b->file, b->file_size);
}

static int check_header(struct os_btf *b, uint32_t *from, uint32_t *to)
{
	const struct btf_header *h = b->file;
	uint64_t types = (uint64_t)h->hdr_len + h->type_off;
	uint64_t names = (uint64_t)h->hdr_len + h->str_off;

	if (h->magic != BTF_MAGIC || h->version != BTF_VERSION)
		return -ENOTSUP;
	if (types + h->type_len > b->file_size || names + h->str_len > b->file_size)
		return -ENOTSUP;
	*from = (uint32_t)types;
	*to = (uint32_t)types + h->type_len;
	b->names = (uint32_t)names;
	b->names_end = b->names + h->str_len;
	/* The last name ends, so all do. */
	return h->str_len && !((char *)b->file)[b->names_end - 1] ? 0 : -ENOTSUP;
}

/* How many types there are; where to put where they start, or NULL. */
static uint32_t walk(const struct os_btf *b, uint32_t at, uint32_t end, uint32_t *types)
{
	uint32_t nr = 1;

	while (at + sizeof(struct btf_type) <= end) {
		const struct btf_type *t = (const void *)((const char *)b->file + at);
		uint64_t next = at + sizeof(*t) + (uint64_t)size_of_rest(t->info);

		if (next > end)
			break;
		if (types)
			types[nr] = at;
		nr++;
		at = (uint32_t)next;
	}
	return nr;
}

static int index_types(struct os_btf *b)
{
	uint32_t from, to;
	void *types;
	int ret = check_header(b, &from, &to);

	if (ret)
		return ret;
	b->nr_types = walk(b, from, to, NULL);
	b->types_size = b->nr_types * sizeof(uint32_t);
	ret = os_map_anon(b->types_size, OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &types);
	if (ret)
		return ret;
	b->types = types;
	walk(b, from, to, b->types);
	return 0;
}

int os_btf_open(struct os_btf *b)
{
	long fd = os_sys4(SYS_openat, AT_FDCWD, "/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC, 0);
	int ret;

	memset(b, 0, sizeof(*b));
	if (fd < 0)
		return (int)fd;
	ret = read_file(b, (int)fd);
	os_sys1(SYS_close, fd);
	if (!ret)
		ret = index_types(b);
	if (ret)
		os_btf_close(b);
	return ret;
}

void os_btf_close(struct os_btf *b)
{
	if (b->file)
		os_unmap(b->file, b->file_size);
	if (b->types)
		os_unmap(b->types, b->types_size);
	memset(b, 0, sizeof(*b));
}

/* ---- questions --------------------------------------------------------------------------- */

static const struct btf_type *find(const struct os_btf *b, unsigned int kind, const char *name)
{
	for (uint32_t id = 1; id < b->nr_types; id++) {
		const struct btf_type *t = type_of(b, id);

		if (BTF_INFO_KIND(t->info) == kind && !strcmp(name_of(b, t->name_off), name))
			return t;
	}
	return NULL;
}

static bool is_composite(const struct btf_type *t)
{
	return t && (BTF_INFO_KIND(t->info) == BTF_KIND_STRUCT ||
		     BTF_INFO_KIND(t->info) == BTF_KIND_UNION);
}

static int member_of(const struct os_btf *b, const struct btf_type *t, const char *name, int depth,
		     uint32_t *offset)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);

	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++, m++) {
		uint32_t bits =
			BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset;
		const char *own = name_of(b, m->name_off);
		const struct btf_type *inner = type_of(b, m->type);

		*offset = bits / 8;
		if (*own && !strcmp(own, name))
			return bits % 8 ? -ENOENT : 0;
		if (!*own && depth && is_composite(inner)) {
			uint32_t more;

			if (member_of(b, inner, name, depth - 1, &more))
				continue;
			*offset = bits / 8 + more;
			return 0;
		}
	}
	return -ENOENT;
}

int os_btf_offset(const struct os_btf *b, const char *structure, const char *member,
		  uint32_t *offset)
{
	const struct btf_type *t = find(b, BTF_KIND_STRUCT, structure);

	return t ? member_of(b, t, member, MAX_DEPTH, offset) : -ENOENT;
}

int os_btf_enumerator(const struct os_btf *b, const char *enumeration, const char *name,
		      uint32_t *value)
{
	const struct btf_type *t = find(b, BTF_KIND_ENUM, enumeration);
	const struct btf_enum *e = (const struct btf_enum *)(t + 1);

	for (uint32_t i = 0; t && i < BTF_INFO_VLEN(t->info); i++) {
		if (strcmp(name_of(b, e[i].name_off), name))
			continue;
		*value = (uint32_t)e[i].val;
		return 0;
	}
	return -ENOENT;
}
