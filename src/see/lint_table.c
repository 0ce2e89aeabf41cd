/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the codes are called, what to do about each, and what `gmem explain` tells of them. */
#include <string.h>
#include <strings.h>

#include "see/explain.h"
#include "see/lint.h"

#define CODE(name, text, why, code)                                        \
	{                                                                  \
		.id = name, .sentence = text, .more = why, .example = code \
	}

static const struct explain_entry codes[LINT_NR_CODES] = {
	CODE("L1", "shared page still backed in the guest_memfd",
	     "The page is shared, so the guest uses the program's mapping, but the guest_memfd has memory "
	     "for it as well: the host pays twice. Usual causes: fallocate() of the whole guest_memfd, or a "
	     "hole that was punched before the conversion, so that the guest filled it again. Punch the "
	     "range after it became shared, and allocate only what is private. The place is that of the "
	     "allocation, else of the punch that came too early, else of the conversion, else of the slot. "
	     "Like AMDESE/AMDSEV 250: a guest of 4 GB that takes 7 GB of the host.",
	     "wrong:  fallocate(gmem, FALLOC_FL_KEEP_SIZE, 0, size_of_ram);\n"
	     "right:  fallocate(gmem, FALLOC_FL_KEEP_SIZE, offset, size_that_is_private);\n"
	     "        set_attributes(gpa, size, 0);   /* to shared */\n"
	     "        fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);\n"),
	CODE("L2", "private page still backed in the shared mapping",
	     "The page is private, so the guest uses the guest_memfd, but the memory behind the slot's "
	     "userspace_addr has it as well: the host pays twice, and what the guest left there can be read. "
	     "Usual cause: MADV_DONTNEED, which frees private anonymous memory, but nothing of a memfd or "
	     "other shared memory: that wants a hole in the file (fallocate or MADV_REMOVE). Or the program "
	     "has written to the page since. The place is that of the discard that freed nothing, else of the "
	     "conversion, else of the slot. Like firecracker 6167, 6235 and 6237.",
	     "wrong:  madvise(hva, size, MADV_DONTNEED);   /* hva is MAP_SHARED */\n"
	     "right:  fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);\n"),
	CODE("L3", "attribute changed, the other side never discarded before the next entry",
	     "A conversion chooses which of two memories the guest uses; what is in the other one stays until "
	     "somebody lets go of it. After this conversion the vCPU was entered, the other side had memory, "
	     "and nothing had been punched or advised away: the host pays twice. A discard that failed counts as "
	     "none. A guest_memfd that converts in place has one memory, and nothing to discard. The place is "
	     "that of the conversion. Like cloud-hypervisor, which punched after the hypercall, but not after "
	     "a memory-fault exit.",
	     "wrong:  set_attributes(gpa, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);\n"
	     "        ioctl(vcpu, KVM_RUN, 0);\n"
	     "right:  set_attributes(gpa, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);\n"
	     "        discard(hva, size);          /* to shared: punch the guest_memfd */\n"
	     "        ioctl(vcpu, KVM_RUN, 0);\n"),
	CODE("L4", "conversion failed, and the guest was resumed as if it had not",
	     "The vCPU asked for the conversion, by KVM_HC_MAP_GPA_RANGE or a memory fault; the call that was "
	     "to do it failed, nothing made up for it, and the vCPU was entered again. The guest now "
	     "believes what is not so: it will fault without end, or read what it did not write. Try again "
	     "where that can help (EAGAIN, EINTR), tell the guest by hypercall.ret, or stop the vCPU. The "
	     "place is that of the call that failed. Like libkrun's convert_memory, which answers a failure "
	     "with no, and then with yes.",
	     "wrong:  if (set_attributes(gpa, size, attributes))\n"
	     "                warn(\"conversion\");\n"
	     "        run->hypercall.ret = 0;\n"
	     "right:  run->hypercall.ret = set_attributes(gpa, size, attributes) ? -errno : 0;\n"),
	CODE("L5", "range crosses slots, and only a part of it was handled",
	     "What the guest asked for, or what one call converted, has pages of several slots, and those of "
	     "some were converted, or their other side discarded, and those of another not at all. Cut a "
	     "range at the ends of slots, and do for each part all that there is to do; or answer the guest "
	     "with an error. The place is that of the conversion. Like libkrun, which looks up one region for "
	     "a range that may be in two.",
	     "wrong:  slot = find_slot(gpa);\n"
	     "        convert(slot, gpa, min(size, slot_end(slot) - gpa));\n"
	     "right:  for (; size; gpa += part, size -= part) {\n"
	     "                slot = find_slot(gpa);\n"
	     "                part = min(size, slot_end(slot) - gpa);\n"
	     "                convert(slot, gpa, part);\n"
	     "        }\n"),
	CODE("L6", "page size of the hypercall ignored",
	     "KVM_HC_MAP_GPA_RANGE says by the low four bits of its third argument in which pages the guest "
	     "will use the range; it was converted in pieces that end inside such a page. Each cut takes "
	     "apart a large page of the host's tables, and the guest may accept the page in the one size "
	     "alone. Convert whole pages of that size. Pieces are no sin after a refusal, nor where a slot "
	     "ends. The place is that of the call that cut one. Like cloud-hypervisor, which does not look "
	     "at these bits.",
	     "wrong:  for (at = gpa; at < gpa + size; at += 4096)\n"
	     "                set_attributes(at, 4096, attributes);\n"
	     "right:  page = (args[2] & 0xf) == KVM_MAP_GPA_RANGE_PAGE_SZ_2M ? 2 << 20 : 4096;\n"
	     "        /* pieces of whole pages: best the range in one call */\n"),
	CODE("L7", "descriptor leaked at the end of its VM",
	     "The program closed its last descriptor of the VM, and had others of the same VM, a guest_memfd or "
	     "a vCPU, still open when it ended. Each keeps the VM and its memory alive: a program that makes "
	     "VM after VM runs out of memory or descriptors. Close them with it. The place is where the "
	     "descriptor was made. Like kata-containers 13066, where a guest_memfd was neither stored nor closed.",
	     "wrong:  close(vcpu), close(vm);\n"
	     "right:  close(vcpu), close(gmem), close(vm);\n"),
	CODE("L8", "converted one page at a time where one call would do",
	     "Eight or more calls from one place convert pages that follow each other, to the same state, with no "
	     "entry of a vCPU and no new request of a guest between. One call with the whole range costs "
	     "about as much as one of them. The place is that of the call in the loop. Like AMDESE/AMDSEV 225: "
	     "slow starts of large guests.",
	     "wrong:  for (i = 0; i < nr_pages; i++)\n"
	     "                set_attributes(gpa + i * 4096, 4096, attributes);\n"
	     "right:  set_attributes(gpa, nr_pages * 4096, attributes);\n"),
	CODE("L9", "EAGAIN retried hot",
	     "A request failed with EAGAIN eight times or more, each try within 100 us after the one before, and "
	     "no page that was held in the file was let go between. A page that somebody holds (a pipe, direct I/O, "
	     "a device) stays held until he lets go, which takes him time, and this loop a processor. Wait between "
	     "tries, or until whoever holds the page is done; error_offset says which page. The place is that "
	     "of the request. Conversion in place is in no released kernel, so nobody has reported it yet; pages "
	     "that VFIO maps will be where it comes from.",
	     "wrong:  while (ioctl(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a) && errno == EAGAIN)\n"
	     "                ;\n"
	     "right:  while (ioctl(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a) && errno == EAGAIN)\n"
	     "                let_go_of(a.error_offset) || usleep(1000);\n"),
	CODE("L10", "memory-fault exit ignored",
	     "KVM_RUN returned EFAULT with KVM_EXIT_MEMORY_FAULT; the vCPU was entered again although nobody had "
	     "asked for a conversion of that page or changed its slot, and left for the same reason at once. The "
	     "guest makes no step, and the program burns a processor. Convert the page to what "
	     "KVM_MEMORY_EXIT_FLAG_PRIVATE says, or stop the vCPU. The place is that of KVM_RUN. Like libkrun "
	     "479: a guest that spins at 100 %.",
	     "wrong:  while (ioctl(vcpu, KVM_RUN, 0) < 0 && (errno == EINTR || errno == EFAULT))\n"
	     "                ;\n"
	     "right:  if (errno == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT)\n"
	     "                convert(run->memory_fault.gpa, run->memory_fault.size,\n"
	     "                        run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE);\n"),
};

/* In the line of a finding. */
static const char *const fixes[LINT_NR_CODES] = {
	"punch what becomes shared, allocate only what is private",
	"punch a hole in the memory behind the mapping, and write there no more",
	"punch or discard it after each conversion",
	"try again, or answer the guest with an error",
	"cut it at the ends of slots, and handle each part",
	"convert whole pages of that size",
	"close it with the VM",
	"convert the whole range",
	"wait before the next try",
	"convert the page as the exit says, or stop the vCPU",
};

const struct explain_table explain_lint = { .what = "lint", .entries = codes, .nr = LINT_NR_CODES };

static bool is_code(unsigned int code)
{
	return code && code <= LINT_NR_CODES;
}

const char *lint_code_name(unsigned int code)
{
	return is_code(code) ? codes[code - 1].id : "?";
}

const char *lint_code_text(unsigned int code)
{
	return is_code(code) ? codes[code - 1].sentence : "?";
}

const char *lint_code_fix(unsigned int code)
{
	return is_code(code) ? fixes[code - 1] : "?";
}

unsigned int lint_code_by_name(const char *name, size_t size)
{
	for (unsigned int i = 0; i < LINT_NR_CODES; i++) {
		if (strlen(codes[i].id) == size && !strncasecmp(codes[i].id, name, size))
			return i + 1;
	}
	return 0;
}
