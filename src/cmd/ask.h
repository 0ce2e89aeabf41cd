/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * ask: what does the /dev/kvm in sight have? One list of questions, answered in words. features
 * asks here for the host's column, and has a child under gmem ask for the other.
 */
#ifndef GMEM_CMD_ASK_H
#define GMEM_CMD_ASK_H

#include <stddef.h>

#define ASK_ANSWER_MAX 80

size_t ask_nr_questions(void);
/* What is asked, for the reader of a table. */
const char *ask_question(size_t i);
/* Fills answers[0 .. ask_nr_questions()). */
void ask_all(char (*answers)[ASK_ANSWER_MAX]);

#endif
