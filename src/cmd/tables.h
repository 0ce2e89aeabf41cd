/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * tables: what can be written behind "gmem", by the tables of commands and options: what completion and the manual pages
 * are made of, so that they cannot be out of date.
 */
#ifndef GMEM_CMD_TABLES_H
#define GMEM_CMD_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cmd;
struct opt;

enum words_kind {
	WORDS_NONE,
	WORDS_LIST,    /* one of some words */
	WORDS_SEVERAL, /* some of them, with commas between */
	WORDS_FILE,
	WORDS_FOLDER,
	WORDS_PID,
	WORDS_PROGRAM, /* a program and its arguments */
};

#define WORDS_MAX 16384u

/* Calls for each command that is no secret, and for the parts of it ("trace record"), which come after it. */
void tables_each(void (*take)(const struct cmd *cmd, void *arg), void *arg);

/* What an option's value can be. words: of one or several, with spaces between. */
enum words_kind tables_value(const struct opt *o, char words[WORDS_MAX]);
/* What the command's words that are no options can be. */
enum words_kind tables_arguments(const struct cmd *cmd, char words[WORDS_MAX]);

/* Part of a command ("trace record"): where the name of the part begins; else NULL. */
const char *tables_part(const struct cmd *cmd);

void complete_bash(FILE *to);
void complete_zsh(FILE *to);
void complete_fish(FILE *to);

#endif
