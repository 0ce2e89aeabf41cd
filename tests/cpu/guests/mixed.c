/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest of compiled C: branches, calls, structures, byte loops, a hash, a sort, strings, a switch, a tree.
 * Runs without libc, at 0x10000 in long mode; RDI: how often. RAX: a sum over all results. Ends with HLT.
 *
 * src/bench/guest_mixed.h is this, compiled once by gcc -O2 (mixed.sh), so that figures of different
 * builds and compilers are of the same instructions.
 */
#include <stddef.h>
#include <stdint.h>

static uint64_t seed;

static uint32_t rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 33;
}

/* ---- bytes: a hash, copies, strings --------------------------------------------------------- */

static char text[1024], copy[1024];

static __attribute__((noinline)) uint32_t hash(const char *s, size_t n)
{
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

static __attribute__((noinline)) size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static __attribute__((noinline)) int compare(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (uint8_t)*a - (uint8_t)*b;
}

static __attribute__((noinline)) char *copy_upper(char *to, const char *from)
{
	char c;

	do {
		c = *from++;
		*to++ = c >= 'a' && c <= 'z' ? c - 32 : c;
	} while (c);
	return to;
}

static uint32_t strings(void)
{
	uint32_t sum = 0;

	for (int n = 0; n < 1000; n++)
		text[n] = rnd() % 11 ? 'a' + n % 26 : ' ';
	text[1000] = 0;
	for (int n = 0; n < 4; n++) {
		copy_upper(copy, text + n);
		sum += hash(copy, length(copy)) + compare(text, text + 26 * n);
	}
	return sum;
}

/* ---- a sort ---------------------------------------------------------------------------------- */

static int numbers[512];

static __attribute__((noinline)) void sort(int *a, int n)
{
	int i = 0, j = n - 1, pivot = a[n / 2];

	if (n < 2)
		return;
	while (i <= j) {
		while (a[i] < pivot)
			i++;
		while (a[j] > pivot)
			j--;
		if (i <= j) {
			int t = a[i];

			a[i++] = a[j];
			a[j--] = t;
		}
	}
	sort(a, j + 1);
	sort(a + i, n - i);
}

static uint32_t sorting(void)
{
	uint32_t sum = 0;

	for (int n = 0; n < 512; n++)
		numbers[n] = rnd();
	sort(numbers, 512);
	for (int n = 0; n < 512; n++)
		sum = sum * 31 + numbers[n];
	return sum;
}

/* ---- structures: a tree of nodes -------------------------------------------------------------- */

struct node {
	struct node *child[2];
	uint32_t key;
	uint16_t count;
	uint8_t depth;
};

static struct node nodes[256];

static __attribute__((noinline)) void insert(struct node **at, uint32_t key, struct node *fresh)
{
	uint8_t depth = 0;

	while (*at) {
		if ((*at)->key == key) {
			(*at)->count++;
			return;
		}
		at = &(*at)->child[key > (*at)->key];
		depth++;
	}
	*fresh = (struct node){ .key = key, .count = 1, .depth = depth };
	*at = fresh;
}

static __attribute__((noinline)) uint64_t walk(const struct node *n)
{
	if (!n)
		return 0;
	return walk(n->child[0]) + n->key * n->depth + n->count + walk(n->child[1]);
}

static uint64_t tree(void)
{
	struct node *root = NULL;

	for (int n = 0; n < 256; n++)
		insert(&root, rnd() % 1000, &nodes[n]);
	return walk(root);
}

/* ---- a switch, and calls by pointer ------------------------------------------------------------- */

static uint64_t op_add(uint64_t a, uint64_t b)
{
	return a + b;
}

static uint64_t op_rotate(uint64_t a, uint64_t b)
{
	return a << (b & 63) | a >> (-b & 63);
}

static uint64_t op_mix(uint64_t a, uint64_t b)
{
	return (a ^ b) * 0x9e3779b97f4a7c15u;
}

static uint64_t (*const ops[])(uint64_t, uint64_t) = { op_add, op_rotate, op_mix };

static __attribute__((noinline)) uint64_t machine(const uint8_t *program, unsigned int n)
{
	uint64_t stack[16] = { 1 };
	unsigned int sp = 1;

	for (unsigned int pc = 0; pc < n; pc++) {
		uint8_t op = program[pc];

		switch (op & 7) {
		case 0:
			stack[sp++ & 15] = op;
			break;
		case 1:
			sp--;
			stack[(sp - 1) & 15] += stack[sp & 15];
			break;
		case 2:
			stack[(sp - 1) & 15] ^= stack[(sp - 2) & 15];
			break;
		case 3:
			stack[sp & 15] = stack[(sp - 1) & 15];
			sp++;
			break;
		case 4:
			stack[(sp - 1) & 15] >>= 3;
			break;
		case 5:
			if (stack[(sp - 1) & 15] & 1)
				pc++;
			break;
		default:
			stack[(sp - 1) & 15] = ops[op % 3](stack[(sp - 1) & 15], pc);
		}
	}
	return stack[(sp - 1) & 15];
}

static uint64_t switching(void)
{
	uint8_t program[256];

	for (int n = 0; n < 256; n++)
		program[n] = rnd();
	return machine(program, 256) + machine(program, 200);
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static __attribute__((used)) uint64_t run(uint64_t rounds)
{
	uint64_t sum = 0;

	seed = 1;
	while (rounds--)
		sum = sum * 3 + strings() + sorting() + tree() + switching();
	return sum;
}

__attribute__((naked, section(".start"))) void _start(void)
{
	__asm__("call run\n\thlt");
}
