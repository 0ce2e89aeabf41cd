/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/ask.h"

#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <gmem/early.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The descriptors a question may use; vm is one with private memory where there is such a type. */
struct seen {
	int kvm;
	int kvm_errno;
	int vm;
};

struct question {
	const char *text;
	void (*answer)(const struct seen *s, const struct question *q, char *out);
	int number; /* a capability or a VM type */
};

static void put(char *out, const char *text)
{
	snprintf(out, ASK_ANSWER_MAX, "%s", text);
}

static void answer_open(const struct seen *s, const struct question *q, char *out)
{
	if (s->kvm >= 0)
		put(out, "yes");
	else
		snprintf(out, ASK_ANSWER_MAX, "no (%s)", strerror(s->kvm_errno));
}

static void answer_version(const struct seen *s, const struct question *q, char *out)
{
	snprintf(out, ASK_ANSWER_MAX, "%d", ioctl(s->kvm, KVM_GET_API_VERSION, 0));
}

static void answer_cap(const struct seen *s, const struct question *q, char *out)
{
	int value = ioctl(s->kvm, KVM_CHECK_EXTENSION, (long)q->number);

	if (value < 0)
		put(out, strerror(errno));
	else if (value == 0)
		put(out, "no");
	else if (value == 1)
		put(out, "yes");
	else
		snprintf(out, ASK_ANSWER_MAX, value < 100 ? "%d" : "0x%x", value);
}

static void answer_slots(const struct seen *s, const struct question *q, char *out)
{
	snprintf(out, ASK_ANSWER_MAX, "%d", ioctl(s->kvm, KVM_CHECK_EXTENSION, (long)q->number));
}

static void answer_type(const struct seen *s, const struct question *q, char *out)
{
	int types = ioctl(s->kvm, KVM_CHECK_EXTENSION, (long)KVM_CAP_VM_TYPES);

	put(out, types >= 0 && types & 1 << q->number ? "yes" : "no");
}

static void answer_create(const struct seen *s, const struct question *q, char *out)
{
	struct kvm_create_guest_memfd create = {
		.size = 0x1000,
		.flags = (unsigned int)q->number,
	};
	int fd = ioctl(s->vm, KVM_CREATE_GUEST_MEMFD, &create);

	put(out, fd >= 0 ? "yes" : strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void answer_attributes(const struct seen *s, const struct question *q, char *out)
{
	struct kvm_memory_attributes attributes = {
		.size = 0x1000,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};

	put(out,
	    ioctl(s->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes) == 0 ? "yes" : strerror(errno));
}

/* Two versions of the series have two numbers. */
static void answer_in_place_cap(const struct seen *s, const struct question *q, char *out)
{
	const struct question old = { .number = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES_V7 };

	if (ioctl(s->kvm, KVM_CHECK_EXTENSION, (long)q->number) > 0)
		answer_cap(s, q, out);
	else
		answer_cap(s, &old, out);
}

static void answer_in_place(const struct seen *s, const struct question *q, char *out)
{
	struct kvm_create_guest_memfd create = { .size = 0x1000 };
	struct kvm_memory_attributes2 attributes = { .size = 0x1000 };
	int fd = ioctl(s->vm, KVM_CREATE_GUEST_MEMFD, &create);

	put(out, fd >= 0 && ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &attributes) == 0
			 ? "yes"
			 : strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* ---- the generations before guest_memfd ---------------------------------------------------------------- */

static void put_result(char *out, int result)
{
	put(out, result >= 0 ? "yes" : strerror(errno));
}

/* The flag has another meaning today: a file that anybody maps. */
static void answer_inaccessible(const struct seen *s, const struct question *q, char *out)
{
	int fd = memfd_create("gmem", MFD_INACCESSIBLE);
	void *map = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, 0x1000) == 0)
		map = mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, fd, 0);
	put(out, fd < 0 ? strerror(errno) : map == MAP_FAILED ? "yes" : "no");
	if (map != MAP_FAILED)
		munmap(map, 0x1000);
	if (fd >= 0)
		close(fd);
}

static void answer_restricted(const struct seen *s, const struct question *q, char *out)
{
	int fd = memfd_restricted(0);

	put_result(out, fd);
	if (fd >= 0)
		close(fd);
}

static void answer_encrypt(const struct seen *s, const struct question *q, char *out)
{
	struct kvm_enc_region r = { .addr = 0x1000, .size = 0x1000 };

	put_result(out, ioctl(s->vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &r));
}

static void answer_attributes_v10(const struct seen *s, const struct question *q, char *out)
{
	struct kvm_memory_attributes a = {
		.size = 0x1000,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};

	put_result(out, ioctl(s->vm, KVM_SET_MEMORY_ATTRIBUTES_V10, &a));
}

static const struct question questions[] = {
	{ "/dev/kvm opens", answer_open },
	{ "API version", answer_version },
	{ "VM type: default", answer_type, KVM_X86_DEFAULT_VM },
	{ "VM type: software-protected", answer_type, KVM_X86_SW_PROTECTED_VM },
	{ "VM type: SEV-SNP", answer_type, KVM_X86_SNP_VM },
	{ "VM type: TDX", answer_type, KVM_X86_TDX_VM },
	{ "memory slots", answer_slots, KVM_CAP_NR_MEMSLOTS },
	{ "slots with a guest_memfd (USER_MEMORY2)", answer_cap, KVM_CAP_USER_MEMORY2 },
	{ "guest_memfd (GUEST_MEMFD)", answer_cap, KVM_CAP_GUEST_MEMFD },
	{ "guest_memfd flags (1 mmap, 2 shared first)", answer_cap, KVM_CAP_GUEST_MEMFD_FLAGS },
	{ "memory attributes (8 = private)", answer_cap, KVM_CAP_MEMORY_ATTRIBUTES },
	{ "conversion in place (8 = private)", answer_in_place_cap,
	  KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES },
	{ "memory fault exits (MEMORY_FAULT_INFO)", answer_cap, KVM_CAP_MEMORY_FAULT_INFO },
	{ "conversion hypercall exits (EXIT_HYPERCALL)", answer_cap, KVM_CAP_EXIT_HYPERCALL },
	{ "prefault of guest memory", answer_cap, KVM_CAP_PRE_FAULT_MEMORY },
	{ "read-only slots", answer_cap, KVM_CAP_READONLY_MEM },
	{ "dirty log, manual protect", answer_cap, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 },
	{ "address spaces", answer_cap, KVM_CAP_MULTI_ADDRESS_SPACE },
	{ "quirks that can be turned off", answer_cap, KVM_CAP_DISABLE_QUIRKS2 },
	{ "tried: create a guest_memfd", answer_create, 0 },
	{ "tried: create one that can be mapped", answer_create, GUEST_MEMFD_FLAG_MMAP },
	{ "tried: make a page private", answer_attributes },
	{ "tried: convert a page in place", answer_in_place },
	{ "v5, v8: memfd_create(MFD_INACCESSIBLE)", answer_inaccessible },
	{ "v8: pages shared by ENCRYPT_UNREG_REGION", answer_encrypt },
	{ "v10: memfd_restricted()", answer_restricted },
	{ "v10: attributes by number 0xd3", answer_attributes_v10 },
	{ "v13: guest_memfd (USER_MEMORY2 of number 230)", answer_cap, KVM_CAP_USER_MEMORY2_V13 },
};

#define NR_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

size_t ask_nr_questions(void)
{
	return NR_QUESTIONS;
}

const char *ask_question(size_t i)
{
	return questions[i].text;
}

static int create_vm(int kvm)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, (long)KVM_X86_SW_PROTECTED_VM);

	return vm >= 0 ? vm : ioctl(kvm, KVM_CREATE_VM, (long)KVM_X86_DEFAULT_VM);
}

void ask_all(char (*answers)[ASK_ANSWER_MAX])
{
	struct seen s = { .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC) };

	s.kvm_errno = errno;
	s.vm = s.kvm >= 0 ? create_vm(s.kvm) : -1;
	for (size_t i = 0; i < NR_QUESTIONS; i++) {
		if (s.kvm >= 0 || questions[i].answer == answer_open)
			questions[i].answer(&s, &questions[i], answers[i]);
		else
			put(answers[i], "-");
	}
	if (s.vm >= 0)
		close(s.vm);
	if (s.kvm >= 0)
		close(s.kvm);
}

static int ask(const struct cmd *cmd, int argc, char **argv)
{
	char answers[NR_QUESTIONS][ASK_ANSWER_MAX];

	ask_all(answers);
	for (size_t i = 0; i < NR_QUESTIONS; i++)
		puts(answers[i]);
	return EXIT_OK;
}

/* For features: run by it under gmem. */
const struct cmd cmd_ask = {
	.name = "__ask",
	.synopsis = "",
	.run = ask,
};
