/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the files of minivmm and its guest (miniguest.S) agree on. */
#ifndef MINIVMM_H
#define MINIVMM_H

/* Guest-physical addresses. The first 64 KiB are plain memory, with no guest_memfd behind it. */
#define PLAIN_SIZE 0x10000
#define PML4_GPA 0x1000
#define PDPT_GPA 0x2000
#define PD_GPA 0x3000
#define GUEST_GPA 0x4000
#define BARE_GPA 0x8000
#define STACK_GPA 0x10000
#define FIRST_REGION_GPA 0x200000

/* Ports the guest writes bytes to. */
#define PORT_CONSOLE 0x3f8 /* a character for the terminal */
#define PORT_SCENE 0xe0	   /* a scene begins */
#define PORT_LOOK 0xe1	   /* the host shall look at its memory now */

#define SCENE_SHARED 0
#define SCENE_SECRET 1
#define SCENE_STRIPES 2
#define SCENE_BACK 3
#define SCENE_VAULT 4
#define SCENE_BARE 5

/* Pages of the first region that the guest writes to or converts, of the second, and how much. */
#define SECRET_FIRST 16
#define SECRET_PAGES 64
#define SECRET_PAGE 20
#define STRIPES_FIRST 128
#define STRIPES_END 192
#define BACK_PAGES 32
#define VAULT_PAGES 16
#define VAULT_PAGE 3

#define TEXT_MAX 32

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096ul
#define REGIONS_MAX 8

struct region {
	const char *id;
	size_t size;
	bool share;
	uint64_t gpa;
	int guest_memfd;  /* the private pages, or all pages with share=on */
	int memfd;	  /* the shared pages; -1 with share=on */
	char *host;	  /* the host's mapping of the one or the other */
	bool *is_private; /* by page; KVM has no call to ask for attributes */
};

struct vmm {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	struct region regions[REGIONS_MAX];
	size_t nr_regions;
	char *plain;   /* the first 64 KiB */
	bool in_place; /* a page has one copy, which converts; the guest_memfd says what it is */
	unsigned int nr_hypercalls, nr_exits;
	bool at_line_start;
};

/* minishow.c: what the terminal shows */
void show_scene(unsigned char scene);
void show_look(struct vmm *v, unsigned char scene);
void show_console(struct vmm *v, char c);
void show_prepare(void);
#endif

#endif
