/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/page_probe.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "os/btf.h"
#include "os/os.h"
#include "os/sys.h"

/* ---- the kernel's layout ----------------------------------------------------------------- */

static int find_folio(const struct os_btf *b, struct page_layout *at)
{
	int ret = os_btf_offset(b, "folio", "flags", &at->folio_flags) |
		  os_btf_offset(b, "folio", "mapping", &at->folio_mapping) |
		  os_btf_offset(b, "folio", "index", &at->folio_index) |
		  os_btf_offset(b, "folio", "_mapcount", &at->folio_mapcount) |
		  os_btf_offset(b, "folio", "_refcount", &at->folio_refcount) |
		  os_btf_offset(b, "folio", "_large_mapcount", &at->folio_large_mapcount) |
		  os_btf_enumerator(b, "pageflags", "PG_head", &at->head_bit);

	/* It was renamed. */
	if (os_btf_offset(b, "folio", "_nr_pages", &at->folio_nr_pages))
		ret |= os_btf_offset(b, "folio", "_folio_nr_pages", &at->folio_nr_pages);
	return ret;
}

static bool fits(const struct page_layout *at)
{
	return at->folio_flags + 8 <= FOLIO_BYTES && at->folio_mapping + 8 <= FOLIO_BYTES &&
	       at->folio_index + 8 <= FOLIO_BYTES && at->folio_mapcount + 4 <= FOLIO_BYTES &&
	       at->folio_refcount + 4 <= FOLIO_BYTES && at->folio_nr_pages + 4 <= FOLIO_BYTES &&
	       at->folio_large_mapcount + 4 <= FOLIO_BYTES && at->head_bit < 64;
}

int os_page_layout(struct page_layout *at)
{
	struct os_btf b;
	int ret = os_btf_open(&b);

	if (ret)
		return ret == -ENOENT ? -ENOSYS : ret;
	ret = os_btf_offset(&b, "task_struct", "files", &at->task_files) |
	      os_btf_offset(&b, "files_struct", "fdt", &at->files_fdt) |
	      os_btf_offset(&b, "fdtable", "fd", &at->fdt_fd) |
	      os_btf_offset(&b, "file", "f_mapping", &at->file_mapping) |
	      os_btf_offset(&b, "address_space", "i_pages", &at->mapping_pages) |
	      os_btf_offset(&b, "xarray", "xa_head", &at->pages_head) |
	      os_btf_offset(&b, "xa_node", "shift", &at->node_shift) |
	      os_btf_offset(&b, "xa_node", "slots", &at->node_slots) | find_folio(&b, at);
	os_btf_close(&b);
	return ret || !fits(at) ? -ENOTSUP : 0;
}

/* ---- the program ------------------------------------------------------------------------- */

#define MAX_LEVELS 11
#define MAX_CODE 200
#define MAX_JUMPS 40

enum label { FAIL, WALK, SINGLE, KNOWN, ABSENT, LEAF, PAGES, NEXT, DONE, NR_LABELS };

struct writer {
	struct bpf_insn code[MAX_CODE];
	int nr;
	int labels[NR_LABELS];
	struct {
		int from;
		enum label to;
	} jumps[MAX_JUMPS];
	int nr_jumps;
};

static void put(struct writer *w, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	os_assert(w->nr < MAX_CODE);
	w->code[w->nr++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm
	};
}

static void set(struct writer *w, uint8_t dst, int32_t value)
{
	put(w, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static void copy(struct writer *w, uint8_t dst, uint8_t src)
{
	put(w, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void calc(struct writer *w, uint8_t op, uint8_t dst, int32_t value)
{
	put(w, BPF_ALU64 | op | BPF_K, dst, 0, 0, value);
}

static void add(struct writer *w, uint8_t dst, uint8_t src)
{
	put(w, BPF_ALU64 | BPF_ADD | BPF_X, dst, src, 0, 0);
}

static void load(struct writer *w, uint8_t dst, uint8_t src, size_t off)
{
	put(w, BPF_LDX | BPF_MEM | BPF_DW, dst, src, (int16_t)off, 0);
}

static void store(struct writer *w, uint8_t dst, size_t off, uint8_t src)
{
	put(w, BPF_STX | BPF_MEM | BPF_DW, dst, src, (int16_t)off, 0);
}

static void here(struct writer *w, enum label l)
{
	w->labels[l] = w->nr;
}

static void note_jump(struct writer *w, enum label to)
{
	os_assert(w->nr_jumps < MAX_JUMPS);
	w->jumps[w->nr_jumps].from = w->nr;
	w->jumps[w->nr_jumps++].to = to;
}

static void jump(struct writer *w, enum label to)
{
	note_jump(w, to);
	put(w, BPF_JMP | BPF_JA, 0, 0, 0, 0);
}

static void jump_if(struct writer *w, uint8_t op, uint8_t reg, int32_t value, enum label to)
{
	note_jump(w, to);
	put(w, BPF_JMP | op | BPF_K, reg, 0, 0, value);
}

static void jump_if_reg(struct writer *w, uint8_t op, uint8_t reg, uint8_t other, enum label to)
{
	note_jump(w, to);
	put(w, BPF_JMP | op | BPF_X, reg, other, 0, 0);
}

static void call(struct writer *w, int32_t helper)
{
	put(w, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

enum {
	R0,
	R1,
	R2,
	R3,
	R4,
	R5,
	LOOK,
	COUNT,
	ENTRY,
	LEVEL,
	FRAME
}; /* LOOK: struct look; r6 to r9 last */
#define FRAME_WORD (-8)
#define FRAME_NODE (-16)

/* dst = the word at src + off of the kernel. */
static void read_word(struct writer *w, uint8_t dst, uint8_t src, uint32_t off)
{
	copy(w, R1, FRAME);
	calc(w, BPF_ADD, R1, FRAME_WORD);
	set(w, R2, 8);
	copy(w, R3, src);
	calc(w, BPF_ADD, R3, (int32_t)off);
	call(w, BPF_FUNC_probe_read_kernel);
	jump_if(w, BPF_JNE, R0, 0, FAIL);
	put(w, BPF_LDX | BPF_MEM | BPF_DW, dst, FRAME, FRAME_WORD, 0);
}

/* size bytes at src + off of the kernel to the place that R1 has. */
static void read_bytes(struct writer *w, int32_t size, uint8_t src, int32_t off)
{
	set(w, R2, size);
	copy(w, R3, src);
	calc(w, BPF_ADD, R3, off);
	call(w, BPF_FUNC_probe_read_kernel);
	jump_if(w, BPF_JNE, R0, 0, FAIL);
}

/* ENTRY = the root of the tree. */
static void write_start(struct writer *w, const struct page_layout *at, int map_fd)
{
	put(w, BPF_LD | BPF_DW | BPF_IMM, LOOK, BPF_PSEUDO_MAP_VALUE, 0, map_fd);
	put(w, 0, 0, 0, 0, 0);
	call(w, BPF_FUNC_get_current_task);
	copy(w, ENTRY, R0);
	read_word(w, ENTRY, ENTRY, at->task_files);
	read_word(w, ENTRY, ENTRY, at->files_fdt);
	read_word(w, ENTRY, ENTRY, at->fdt_fd);
	load(w, R1, LOOK, offsetof(struct look, fd));
	calc(w, BPF_LSH, R1, 3);
	add(w, ENTRY, R1);
	read_word(w, ENTRY, ENTRY, 0);
	jump_if(w, BPF_JEQ, ENTRY, 0, FAIL);
	read_word(w, ENTRY, ENTRY, at->file_mapping);
	store(w, LOOK, offsetof(struct look, mapping), ENTRY);
	read_word(w, ENTRY, ENTRY, at->mapping_pages + at->pages_head);
	set(w, LEVEL, 0);
}

/* Down one node: R1 = the slot. A node is told by its lowest bits, which its address does not have. */
static void write_step(struct writer *w, const struct page_layout *at)
{
	copy(w, R1, ENTRY);
	calc(w, BPF_AND, R1, ENTRY_KIND);
	jump_if(w, BPF_JNE, R1, ENTRY_INTERNAL, SINGLE);
	jump_if(w, BPF_JLE, ENTRY, ENTRY_LAST_RESERVED, SINGLE);
	calc(w, BPF_ADD, LEVEL, 1);
	jump_if(w, BPF_JGT, LEVEL, MAX_LEVELS, FAIL);
	calc(w, BPF_SUB, ENTRY, ENTRY_INTERNAL);
	put(w, BPF_STX | BPF_MEM | BPF_DW, FRAME, ENTRY, FRAME_NODE, 0);
	read_word(w, COUNT, ENTRY, at->node_shift);
	calc(w, BPF_AND, COUNT, 63);
	store(w, LOOK, offsetof(struct look, shift), COUNT);
	load(w, R1, LOOK, offsetof(struct look, index));
	put(w, BPF_ALU64 | BPF_RSH | BPF_X, R1, COUNT, 0, 0);
	put(w, BPF_JMP | BPF_JNE | BPF_K, LEVEL, 0, 1, 1);
	jump_if(w, BPF_JGT, R1, SLOTS - 1, ABSENT);
	calc(w, BPF_AND, R1, SLOTS - 1);
	jump_if(w, BPF_JEQ, COUNT, 0, LEAF);
}

/* A large folio has several slots of one node: the first has it, the others tell which that is. */
static void write_walk(struct writer *w, const struct page_layout *at)
{
	here(w, WALK);
	write_step(w, at);
	calc(w, BPF_LSH, R1, 3);
	add(w, ENTRY, R1);
	read_word(w, ENTRY, ENTRY, at->node_slots);
	copy(w, R1, ENTRY);
	calc(w, BPF_AND, R1, ENTRY_KIND);
	jump_if(w, BPF_JNE, R1, ENTRY_INTERNAL, WALK);
	jump_if(w, BPF_JGT, ENTRY, ENTRY_LAST_SIBLING, WALK);
	calc(w, BPF_RSH, ENTRY, 2);
	calc(w, BPF_LSH, ENTRY, 3);
	put(w, BPF_LDX | BPF_MEM | BPF_DW, R1, FRAME, FRAME_NODE, 0);
	add(w, ENTRY, R1);
	read_word(w, ENTRY, ENTRY, at->node_slots);
	jump(w, WALK);
}

/* COUNT = how many slots there are to see. */
static void write_ends(struct writer *w, const struct page_layout *at)
{
	here(w, LEAF);
	copy(w, R1, LOOK);
	calc(w, BPF_ADD, R1, offsetof(struct look, slots));
	read_bytes(w, SLOTS * 8, ENTRY, (int32_t)at->node_slots);
	set(w, COUNT, SLOTS);
	jump(w, PAGES);

	/* Not a node: what all from here on have in common, at the root one page alone. */
	here(w, SINGLE);
	jump_if(w, BPF_JNE, LEVEL, 0, KNOWN);
	load(w, R1, LOOK, offsetof(struct look, index));
	jump_if(w, BPF_JNE, R1, 0, ABSENT);
	store(w, LOOK, offsetof(struct look, shift), R1);
	here(w, KNOWN);
	store(w, LOOK, offsetof(struct look, slots), ENTRY);
	set(w, COUNT, 1);
	store(w, LOOK, offsetof(struct look, single), COUNT);
	jump(w, PAGES);

	here(w, ABSENT);
	set(w, R1, SHIFT_ALL);
	store(w, LOOK, offsetof(struct look, shift), R1);
	set(w, R1, 0);
	store(w, LOOK, offsetof(struct look, slots), R1);
	set(w, COUNT, 1);
	store(w, LOOK, offsetof(struct look, single), COUNT);
}

/* The folios; LEVEL counts slots. */
static void write_pages(struct writer *w)
{
	int loop;

	here(w, PAGES);
	set(w, LEVEL, 0);
	loop = w->nr;
	jump_if(w, BPF_JGE, LEVEL, SLOTS, DONE);
	jump_if_reg(w, BPF_JGE, LEVEL, COUNT, DONE);
	load(w, R1, LOOK, offsetof(struct look, first));
	jump_if_reg(w, BPF_JLT, LEVEL, R1, NEXT);
	load(w, R1, LOOK, offsetof(struct look, last));
	jump_if_reg(w, BPF_JGT, LEVEL, R1, DONE);
	copy(w, R1, LEVEL);
	calc(w, BPF_LSH, R1, 3);
	add(w, R1, LOOK);
	load(w, ENTRY, R1, offsetof(struct look, slots));
	jump_if(w, BPF_JEQ, ENTRY, 0, NEXT);
	copy(w, R1, ENTRY);
	calc(w, BPF_AND, R1, ENTRY_KIND);
	jump_if(w, BPF_JNE, R1, 0, NEXT);
	copy(w, R1, LEVEL);
	calc(w, BPF_MUL, R1, FOLIO_BYTES);
	add(w, R1, LOOK);
	calc(w, BPF_ADD, R1, offsetof(struct look, folios));
	read_bytes(w, FOLIO_BYTES, ENTRY, 0);
	here(w, NEXT);
	calc(w, BPF_ADD, LEVEL, 1);
	put(w, BPF_JMP | BPF_JA, 0, 0, (int16_t)(loop - w->nr - 1), 0);
	here(w, DONE);
	set(w, R1, 1);
	store(w, LOOK, offsetof(struct look, walked), R1);
	here(w, FAIL);
	set(w, R0, 0);
	put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

long os_bpf(int cmd, union bpf_attr *attr)
{
	return os_sys3(SYS_bpf, cmd, attr, sizeof(*attr));
}

#define LOAD_TRIES 100

/* The kernel breaks off its check of a program when something waits for the thread. So signals wait longer than
 * that; what cannot be kept off, such as the end of a ring, is done with when the call has returned. */
static long load_undisturbed(union bpf_attr *attr)
{
	uint64_t every = ~(uint64_t)0, old;
	int tries = 0;
	long ret;

	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &every, &old, sizeof(old));
	do {
		ret = os_bpf(BPF_PROG_LOAD, attr);
	} while (ret == -EAGAIN && ++tries < LOAD_TRIES);
	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	return ret;
}

static int load_program(const struct writer *w, int *fd)
{
	union bpf_attr attr;
	long ret;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SYSCALL;
	attr.prog_flags = BPF_F_SLEEPABLE;
	attr.insns = (uintptr_t)w->code;
	attr.insn_cnt = (uint32_t)w->nr;
	attr.license = (uintptr_t) "Dual MIT/GPL";
	memcpy(attr.prog_name, "gmem_page_refs", sizeof("gmem_page_refs"));
	ret = load_undisturbed(&attr);
	if (ret == -EPERM || ret == -EAGAIN || ret == -ENOMEM)
		return (int)ret;
	if (ret < 0)
		return -ENOTSUP;
	*fd = (int)ret;
	return os_fd_adopt(fd);
}

int os_page_probe_load(const struct page_layout *at, int map_fd, int *prog_fd)
{
	struct writer *w = os_alloc(sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	write_start(w, at, map_fd);
	write_walk(w, at);
	write_ends(w, at);
	write_pages(w);
	for (int i = 0; i < w->nr_jumps; i++)
		w->code[w->jumps[i].from].off =
			(int16_t)(w->labels[w->jumps[i].to] - w->jumps[i].from - 1);
	ret = load_program(w, prog_fd);
	os_free(w, sizeof(*w));
	return ret;
}
