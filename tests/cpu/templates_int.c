/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Integer instructions: every form that the engine implements and 64-bit user code can run. */
#include "diff.h"

#define LOGIC 0
#define MUL_UNDEFINED (DF_SF | DF_ZF | DF_AF | DF_PF)
#define DIV_UNDEFINED (DF_CF | DF_PF | DF_AF | DF_ZF | DF_SF | DF_OF)
#define BT_UNDEFINED (DF_OF | DF_SF | DF_AF | DF_PF)
#define SCAN_UNDEFINED (DF_CF | DF_OF | DF_SF | DF_AF | DF_PF)

/* op r/m, r; op r, r/m; op acc, imm: 00..05 + 8 * n */
#define ALU(name, n, lock)                                                        \
	{ name, MAP_1, 8 * n + 0, 0, 0, T_RM | T_BYTE | lock, 0 },                \
		{ name, MAP_1, 8 * n + 1, 0, 0, T_RM | lock, 0 },                 \
		{ name, MAP_1, 8 * n + 2, 0, 0, T_RM | T_BYTE, 0 },               \
		{ name, MAP_1, 8 * n + 3, 0, 0, T_RM, 0 },                        \
		{ name, MAP_1, 8 * n + 4, 0, 0, T_BYTE | T_IMM8, 0 },             \
		{ name, MAP_1, 8 * n + 5, 0, 0, T_IMMZ, 0 },                      \
		{ name, MAP_1, 0x80, 0, n, T_DIGIT | T_BYTE | T_IMM8 | lock, 0 }, \
		{ name, MAP_1, 0x81, 0, n, T_DIGIT | T_IMMZ | lock, 0 },          \
	{                                                                         \
		name, MAP_1, 0x83, 0, n, T_DIGIT | T_IMM8 | lock, 0               \
	}

#define SHIFT(name, n)                                                       \
	{ name, MAP_1, 0xc0, 0, n, T_DIGIT | T_BYTE | T_IMM8 | T_SHIFT, 0 }, \
		{ name, MAP_1, 0xc1, 0, n, T_DIGIT | T_IMM8 | T_SHIFT, 0 },  \
		{ name, MAP_1, 0xd0, 0, n, T_DIGIT | T_BYTE, DF_AF },        \
		{ name, MAP_1, 0xd1, 0, n, T_DIGIT, DF_AF },                 \
		{ name, MAP_1, 0xd2, 0, n, T_DIGIT | T_BYTE | T_SHIFT, 0 },  \
	{                                                                    \
		name, MAP_1, 0xd3, 0, n, T_DIGIT | T_SHIFT, 0                \
	}

#define STRING(name, op)                                         \
	{ name, MAP_1, op, 0, 0, T_BYTE | T_STRING | T_REP, 0 }, \
	{                                                        \
		name, MAP_1, op + 1, 0, 0, T_STRING | T_REP, 0   \
	}

#define CONDITION(n)                                                      \
	{ "cmov", MAP_0F, 0x40 + n, 0, 0, T_RM, 0 },                      \
		{ "set", MAP_0F, 0x90 + n, 0, 0, T_DIGIT | T_BYTE, 0 },   \
	{                                                                 \
		"j", MAP_1, 0x70 + n, 0, 0, T_NOSIZE | T_IMM8 | T_SKIP, 0 \
	}

#define GROUP8(name, n, lock)                                                   \
	{                                                                       \
		name, MAP_0F, 0xba, 0, n, T_DIGIT | T_IMM8 | lock, BT_UNDEFINED \
	}

const struct diff_template templates_int[] = {
	ALU("add", 0, T_LOCK),
	ALU("or", 1, T_LOCK),
	ALU("adc", 2, T_LOCK),
	ALU("sbb", 3, T_LOCK),
	ALU("and", 4, T_LOCK),
	ALU("sub", 5, T_LOCK),
	ALU("xor", 6, T_LOCK),
	ALU("cmp", 7, 0),
	{ "test", MAP_1, 0x84, 0, 0, T_RM | T_BYTE, 0 },
	{ "test", MAP_1, 0x85, 0, 0, T_RM, 0 },
	{ "test", MAP_1, 0xa8, 0, 0, T_BYTE | T_IMM8, 0 },
	{ "test", MAP_1, 0xa9, 0, 0, T_IMMZ, 0 },
	{ "test", MAP_1, 0xf6, 0, 0, T_DIGIT | T_BYTE | T_IMM8, 0 },
	{ "test", MAP_1, 0xf7, 0, 0, T_DIGIT | T_IMMZ, 0 },
	{ "not", MAP_1, 0xf6, 0, 2, T_DIGIT | T_BYTE | T_LOCK, 0 },
	{ "not", MAP_1, 0xf7, 0, 2, T_DIGIT | T_LOCK, 0 },
	{ "neg", MAP_1, 0xf6, 0, 3, T_DIGIT | T_BYTE | T_LOCK, 0 },
	{ "neg", MAP_1, 0xf7, 0, 3, T_DIGIT | T_LOCK, 0 },
	{ "inc", MAP_1, 0xfe, 0, 0, T_DIGIT | T_BYTE | T_LOCK, 0 },
	{ "inc", MAP_1, 0xff, 0, 0, T_DIGIT | T_LOCK, 0 },
	{ "dec", MAP_1, 0xfe, 0, 1, T_DIGIT | T_BYTE | T_LOCK, 0 },
	{ "dec", MAP_1, 0xff, 0, 1, T_DIGIT | T_LOCK, 0 },

	{ "mul", MAP_1, 0xf6, 0, 4, T_DIGIT | T_BYTE, MUL_UNDEFINED },
	{ "mul", MAP_1, 0xf7, 0, 4, T_DIGIT, MUL_UNDEFINED },
	{ "imul", MAP_1, 0xf6, 0, 5, T_DIGIT | T_BYTE, MUL_UNDEFINED },
	{ "imul", MAP_1, 0xf7, 0, 5, T_DIGIT, MUL_UNDEFINED },
	{ "imul", MAP_0F, 0xaf, 0, 0, T_RM, MUL_UNDEFINED },
	{ "imul", MAP_1, 0x69, 0, 0, T_RM | T_IMMZ, MUL_UNDEFINED },
	{ "imul", MAP_1, 0x6b, 0, 0, T_RM | T_IMM8, MUL_UNDEFINED },
	{ "div", MAP_1, 0xf6, 0, 6, T_DIGIT | T_BYTE | T_DIVIDE, DIV_UNDEFINED },
	{ "div", MAP_1, 0xf7, 0, 6, T_DIGIT | T_DIVIDE, DIV_UNDEFINED },
	{ "idiv", MAP_1, 0xf6, 0, 7, T_DIGIT | T_BYTE | T_DIVIDE, DIV_UNDEFINED },
	{ "idiv", MAP_1, 0xf7, 0, 7, T_DIGIT | T_DIVIDE, DIV_UNDEFINED },
	{ "mulx", MAP_38, 0xf6, 0xf2, 0, T_RM | T_W | T_VEX | T_NDS, 0 },

	{ "mov", MAP_1, 0x88, 0, 0, T_RM | T_BYTE, 0 },
	{ "mov", MAP_1, 0x89, 0, 0, T_RM, 0 },
	{ "mov", MAP_1, 0x8a, 0, 0, T_RM | T_BYTE, 0 },
	{ "mov", MAP_1, 0x8b, 0, 0, T_RM, 0 },
	{ "mov", MAP_1, 0xb0, 0, 0, T_O | T_BYTE | T_IMM8, 0 },
	{ "mov", MAP_1, 0xb8, 0, 0, T_O | T_IMMV, 0 },
	{ "mov", MAP_1, 0xc6, 0, 0, T_DIGIT | T_BYTE | T_IMM8, 0 },
	{ "mov", MAP_1, 0xc7, 0, 0, T_DIGIT | T_IMMZ, 0 },
	{ "movzx", MAP_0F, 0xb6, 0, 0, T_RM | T_MEM, 0 },
	{ "movzx", MAP_0F, 0xb7, 0, 0, T_RM, 0 },
	{ "movsx", MAP_0F, 0xbe, 0, 0, T_RM | T_MEM, 0 },
	{ "movsx", MAP_0F, 0xbf, 0, 0, T_RM, 0 },
	{ "movsxd", MAP_1, 0x63, 0, 0, T_RM | T_W, 0 },
	{ "lea", MAP_1, 0x8d, 0, 0, T_RM | T_MEM, 0 },
	{ "cbw", MAP_1, 0x98, 0, 0, 0, 0 },
	{ "cwd", MAP_1, 0x99, 0, 0, 0, 0 },
	{ "bswap", MAP_0F, 0xc8, 0, 0, T_O | T_W, 0 },
	{ "movbe", MAP_38, 0xf0, 0, 0, T_RM | T_MEM, 0 },
	{ "movbe", MAP_38, 0xf1, 0, 0, T_RM | T_MEM, 0 },
	{ "xchg", MAP_1, 0x86, 0, 0, T_RM | T_BYTE | T_LOCK, 0 },
	{ "xchg", MAP_1, 0x87, 0, 0, T_RM | T_LOCK, 0 },
	{ "xchg", MAP_1, 0x90, 0, 0, T_O, 0 },
	{ "xlat", MAP_1, 0xd7, 0, 0, T_NOSIZE | T_POINTERS, 0 },
	{ "xadd", MAP_0F, 0xc0, 0, 0, T_RM | T_BYTE | T_LOCK, 0 },
	{ "xadd", MAP_0F, 0xc1, 0, 0, T_RM | T_LOCK, 0 },
	{ "cmpxchg", MAP_0F, 0xb0, 0, 0, T_RM | T_BYTE | T_LOCK, 0 },
	{ "cmpxchg", MAP_0F, 0xb1, 0, 0, T_RM | T_LOCK, 0 },
	{ "cmpxchg8b", MAP_0F, 0xc7, 0, 1, T_DIGIT | T_MEM | T_W | T_LOCK | T_ALIGN, 0 },
	{ "nop", MAP_0F, 0x1f, 0, 0, T_DIGIT, 0 },

	{ "push", MAP_1, 0x50, 0, 0, T_O | T_D64, 0 },
	{ "pop", MAP_1, 0x58, 0, 0, T_O | T_D64, 0 },
	{ "push", MAP_1, 0x68, 0, 0, T_NOSIZE | T_IMMZ, 0 },
	{ "push", MAP_1, 0x6a, 0, 0, T_D64 | T_IMM8, 0 },
	{ "push", MAP_1, 0xff, 0, 6, T_DIGIT | T_D64, 0 },
	{ "pop", MAP_1, 0x8f, 0, 0, T_DIGIT | T_D64, 0 },
	{ "pushf", MAP_1, 0x9c, 0, 0, T_D64, 0 },
	{ "popf", MAP_1, 0x9d, 0, 0, T_NOSIZE | T_PUSH_FLAGS, 0 },
	{ "ret", MAP_1, 0xc3, 0, 0, T_NOSIZE | T_PUSH_NEXT, 0 },
	{ "ret", MAP_1, 0xc2, 0, 0, T_NOSIZE | T_PUSH_NEXT | T_IMM16, 0 },
	{ "enter", MAP_1, 0xc8, 0, 0, T_D64 | T_IMM16 | T_IMM8, 0 },
	{ "leave", MAP_1, 0xc9, 0, 0, T_NOSIZE | T_POINTERS, 0 },
	{ "clc", MAP_1, 0xf8, 0, 0, T_NOSIZE, 0 },
	{ "stc", MAP_1, 0xf9, 0, 0, T_NOSIZE, 0 },
	{ "cmc", MAP_1, 0xf5, 0, 0, T_NOSIZE, 0 },
	{ "cld", MAP_1, 0xfc, 0, 0, T_NOSIZE, 0 },
	{ "std", MAP_1, 0xfd, 0, 0, T_NOSIZE, 0 },
	{ "lahf", MAP_1, 0x9f, 0, 0, T_NOSIZE, 0 },
	{ "sahf", MAP_1, 0x9e, 0, 0, T_NOSIZE, 0 },
	{ "ud2", MAP_0F, 0x0b, 0, 0, T_NOSIZE, 0 },
	{ "int3", MAP_1, 0xcc, 0, 0, T_NOSIZE, 0 },
	{ "call", MAP_1, 0xff, 0, 2, T_DIGIT | T_REG | T_NOSIZE | T_NEXT, 0 },
	{ "jmp", MAP_1, 0xff, 0, 4, T_DIGIT | T_REG | T_NOSIZE | T_NEXT, 0 },
	{ "loopne", MAP_1, 0xe0, 0, 0, T_NOSIZE | T_IMM8 | T_SKIP, 0 },
	{ "loope", MAP_1, 0xe1, 0, 0, T_NOSIZE | T_IMM8 | T_SKIP, 0 },
	{ "loop", MAP_1, 0xe2, 0, 0, T_NOSIZE | T_IMM8 | T_SKIP, 0 },
	{ "jrcxz", MAP_1, 0xe3, 0, 0, T_NOSIZE | T_IMM8 | T_SKIP, 0 },
	{ "jmp", MAP_1, 0xeb, 0, 0, T_NOSIZE | T_IMM8 | T_SKIP, 0 },

	SHIFT("rol", 0),
	SHIFT("ror", 1),
	SHIFT("rcl", 2),
	SHIFT("rcr", 3),
	SHIFT("shl", 4),
	SHIFT("shr", 5),
	SHIFT("shl", 6),
	SHIFT("sar", 7),
	{ "shld", MAP_0F, 0xa4, 0, 0, T_RM | T_SHRD16 | T_IMM8 | T_SHIFT, 0 },
	{ "shld", MAP_0F, 0xa5, 0, 0, T_RM | T_SHRD16 | T_SHIFT, 0 },
	{ "shrd", MAP_0F, 0xac, 0, 0, T_RM | T_SHRD16 | T_IMM8 | T_SHIFT, 0 },
	{ "shrd", MAP_0F, 0xad, 0, 0, T_RM | T_SHRD16 | T_SHIFT, 0 },
	{ "shlx", MAP_38, 0xf7, 0x66, 0, T_RM | T_W | T_VEX | T_NDS, 0 },
	{ "shrx", MAP_38, 0xf7, 0xf2, 0, T_RM | T_W | T_VEX | T_NDS, 0 },
	{ "sarx", MAP_38, 0xf7, 0xf3, 0, T_RM | T_W | T_VEX | T_NDS, 0 },
	{ "rorx", MAP_3A, 0xf0, 0xf2, 0, T_RM | T_W | T_VEX | T_IMM8, 0 },

	{ "bt", MAP_0F, 0xa3, 0, 0, T_RM | T_BITS, BT_UNDEFINED },
	{ "bts", MAP_0F, 0xab, 0, 0, T_RM | T_BITS | T_LOCK, BT_UNDEFINED },
	{ "btr", MAP_0F, 0xb3, 0, 0, T_RM | T_BITS | T_LOCK, BT_UNDEFINED },
	{ "btc", MAP_0F, 0xbb, 0, 0, T_RM | T_BITS | T_LOCK, BT_UNDEFINED },
	GROUP8("bt", 4, 0),
	GROUP8("bts", 5, T_LOCK),
	GROUP8("btr", 6, T_LOCK),
	GROUP8("btc", 7, T_LOCK),
	{ "bsf", MAP_0F, 0xbc, 0, 0, T_RM, SCAN_UNDEFINED },
	{ "bsr", MAP_0F, 0xbd, 0, 0, T_RM, SCAN_UNDEFINED },
	{ "tzcnt", MAP_0F, 0xbc, 0xf3, 0, T_RM, DF_OF | DF_SF | DF_AF | DF_PF },
	{ "lzcnt", MAP_0F, 0xbd, 0xf3, 0, T_RM, DF_OF | DF_SF | DF_AF | DF_PF },
	{ "popcnt", MAP_0F, 0xb8, 0xf3, 0, T_RM, 0 },
	{ "andn", MAP_38, 0xf2, 0, 0, T_RM | T_W | T_VEX | T_NDS, DF_AF | DF_PF },
	{ "bextr", MAP_38, 0xf7, 0, 0, T_RM | T_W | T_VEX | T_NDS, DF_AF | DF_PF | DF_SF },
	{ "blsr", MAP_38, 0xf3, 0, 1, T_DIGIT | T_W | T_VEX | T_NDS, DF_AF | DF_PF },
	{ "blsmsk", MAP_38, 0xf3, 0, 2, T_DIGIT | T_W | T_VEX | T_NDS, DF_AF | DF_PF },
	{ "blsi", MAP_38, 0xf3, 0, 3, T_DIGIT | T_W | T_VEX | T_NDS, DF_AF | DF_PF },
	{ "bzhi", MAP_38, 0xf5, 0, 0, T_RM | T_W | T_VEX | T_NDS, DF_AF | DF_PF },
	{ "pdep", MAP_38, 0xf5, 0xf2, 0, T_RM | T_W | T_VEX | T_NDS, 0 },
	{ "pext", MAP_38, 0xf5, 0xf3, 0, T_RM | T_W | T_VEX | T_NDS, 0 },

	STRING("movs", 0xa4),
	STRING("cmps", 0xa6),
	STRING("stos", 0xaa),
	STRING("lods", 0xac),
	STRING("scas", 0xae),

	CONDITION(0x0),
	CONDITION(0x1),
	CONDITION(0x2),
	CONDITION(0x3),
	CONDITION(0x4),
	CONDITION(0x5),
	CONDITION(0x6),
	CONDITION(0x7),
	CONDITION(0x8),
	CONDITION(0x9),
	CONDITION(0xa),
	CONDITION(0xb),
	CONDITION(0xc),
	CONDITION(0xd),
	CONDITION(0xe),
	CONDITION(0xf),
};

const unsigned int nr_templates_int = sizeof(templates_int) / sizeof(templates_int[0]);
