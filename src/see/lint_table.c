/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the codes are called, and what `gmem explain` tells of them. */
#include <string.h>
#include <strings.h>

#include "see/explain.h"
#include "see/lint.h"

#define CODE(name, text, why)                             \
	{                                                 \
		.id = name, .sentence = text, .more = why \
	}

static const struct explain_entry codes[LINT_NR_CODES] = {
	CODE("L1", "shared page still backed in the guest_memfd",
	     "The page is shared, so the guest uses the program's mapping, but the guest_memfd has memory "
	     "for it as well: it is held twice. Nobody let go of it, or it came back: an allocation of the "
	     "whole guest_memfd (fallocate without a hole), or a hole that was punched too early. Punch "
	     "the range when it becomes shared (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), and allocate "
	     "only what is private. The place is that of the allocation, else of the discard that came too "
	     "early, else of the conversion, else of the slot."),
	CODE("L2", "private page still backed in the shared mapping",
	     "The page is private, so the guest uses the guest_memfd, but the program's memory behind the "
	     "slot has it as well: it is held twice, with whatever was in it. MADV_DONTNEED frees private "
	     "anonymous memory; of a memfd or other shared memory it frees nothing: that needs a hole in the "
	     "file (fallocate, or MADV_REMOVE). Or the program has written to the page since. The place is "
	     "that of the discard that freed nothing, else of the conversion, else of the slot."),
	CODE("L3", "attribute changed, the other side never discarded before the next entry",
	     "A conversion chooses which of two memories the guest uses; what is in the other one stays "
	     "until somebody lets go of it. After this conversion the vCPU was entered, the other side had "
	     "memory, and nothing had been punched or advised away. When a range becomes private, discard "
	     "the program's mapping of it; when it becomes shared, punch the guest_memfd. A guest_memfd "
	     "that converts in place has one memory, and nothing to discard. The place is that of the "
	     "conversion."),
	CODE("L4", "conversion failed, and the guest was resumed as if it had not",
	     "The vCPU asked for the conversion, by KVM_HC_MAP_GPA_RANGE or a memory fault; the call that was "
	     "to do it failed, nothing made up for it, and the vCPU was entered again. The guest now "
	     "believes what is not so. Try again where that can help (EAGAIN, EINTR), tell the guest by "
	     "hypercall.ret, or stop the vCPU. The place is that of the call that failed."),
	CODE("L5", "range crosses slots, and only a part of it was handled",
	     "What the guest asked for, or what one call converted, has pages of several slots, and those of "
	     "some were converted, or their other side discarded, and those of another not at all. Cut a "
	     "range at the ends of slots, and do for each part all that there is to do. The place is that "
	     "of the conversion."),
	CODE("L6", "page size of the hypercall ignored",
	     "KVM_HC_MAP_GPA_RANGE says by the low four bits of its third argument in which pages the guest "
	     "will use the range; it was converted in pieces that end inside such a page. Each cut takes "
	     "apart a large page of the host's tables, and the guest may accept the page in the one size "
	     "alone. Convert whole pages of that size. The place is that of the call that cut one."),
	CODE("L7", "descriptor leaked at the end of its VM",
	     "The program closed its last descriptor of the VM, and had others of the same VM, a guest_memfd or "
	     "a vCPU, still open when it ended. Each keeps the VM and its memory alive. Close them with it. "
	     "The place is where the descriptor was made."),
	CODE("L8", "converted one page at a time where one call would do",
	     "Eight or more calls from one place convert pages that follow each other, to the same state, with no "
	     "entry of a vCPU and no new request of a guest between. One call with the whole range costs "
	     "about as much as one of them. The place is that of the call in the loop."),
	CODE("L9", "EAGAIN retried hot",
	     "A request failed with EAGAIN eight times or more, each try within 100 us after the one before. A "
	     "page that somebody holds stays so until he lets go, which takes him time. Wait between tries "
	     "(sleep, or until whoever holds the page is done), and begin at error_offset. The place is "
	     "that of the request."),
	CODE("L10", "memory-fault exit ignored",
	     "KVM_RUN returned EFAULT with KVM_EXIT_MEMORY_FAULT; the vCPU was entered again although nobody had "
	     "asked for a conversion of that page, and left for the same reason at once. The guest makes no "
	     "step, and the program burns a processor. Convert the page to what "
	     "KVM_MEMORY_EXIT_FLAG_PRIVATE says, or stop the vCPU. The place is that of KVM_RUN."),
};

const struct explain_table explain_lint = { .what = "lint", .entries = codes, .nr = LINT_NR_CODES };

const char *lint_code_name(unsigned int code)
{
	return code && code <= LINT_NR_CODES ? codes[code - 1].id : "?";
}

const char *lint_code_text(unsigned int code)
{
	return code && code <= LINT_NR_CODES ? codes[code - 1].sentence : "?";
}

unsigned int lint_code_by_name(const char *name, size_t size)
{
	for (unsigned int i = 0; i < LINT_NR_CODES; i++) {
		if (strlen(codes[i].id) == size && !strncasecmp(codes[i].id, name, size))
			return i + 1;
	}
	return 0;
}
