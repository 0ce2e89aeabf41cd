/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* memfd-v5: what is allocated in the file is private. fallocate() is the conversion. */
#include "gen.h"
#include "memfd.h"

#include <linux/capability.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FOUR (4 * PAGE)
#define TMPFS_MAGIC 0x01021994

/* The file that conversions of the test are made in; its first page is at DATA. */
static int file;

static int set_slot_at(struct guest *g, uint32_t nr, uint32_t flags, unsigned int gpa_page,
		       uint64_t nr_pages, void *hva, int fd, uint64_t offset)
{
	struct kvm_userspace_memory_region_v5 r = {
		.region = { .slot = 1 + nr,
			    .flags = flags,
			    .guest_phys_addr = DATA + gpa_page * PAGE,
			    .memory_size = nr_pages * PAGE,
			    .userspace_addr = (uintptr_t)hva },
		.private_offset = offset,
		.private_fd = (uint32_t)fd,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static int set_slot(struct guest *g, uint32_t flags, uint64_t nr_pages, void *hva, int fd,
		    uint64_t offset)
{
	return set_slot_at(g, 0, flags, 0, nr_pages, hva, fd, offset);
}

static uint64_t convert(struct guest *g, uint64_t gpa, uint64_t size, bool is_private)
{
	WORKS(fallocate(file, is_private ? 0 : PUNCH, (off_t)(gpa - DATA), (off_t)size));
	return 0;
}

static int make_file(uint64_t size)
{
	file = memfd_create("guest", MFD_INACCESSIBLE | MFD_CLOEXEC);
	assert_true(file >= 0);
	WORKS(ftruncate(file, (off_t)size));
	return file;
}

static void row_1_flags(void **state)
{
	FAILS_WITH(memfd_create("x", MFD_INACCESSIBLE | MFD_ALLOW_SEALING), EINVAL);
	FAILS_WITH(memfd_create("x", MFD_INACCESSIBLE | 0x10), EINVAL);
}

static void row_2_it_is_the_tmpfs_file_itself(void **state)
{
	int fd = make_file(FOUR);
	char text[256];

	assert_int_equal(gen_fs_type(fd), TMPFS_MAGIC);
	gen_link(fd, text);
	assert_string_equal(text, "/memfd:guest (deleted)");
	close(fd);
}

static void row_4_the_size_is_given_once_and_can_be_bypassed(void **state)
{
	memfd_sizes(memfd_create("", MFD_INACCESSIBLE));
}

static void rows_5_and_6_inaccessible_but_at_its_end(void **state)
{
	int fd = memfd_create("", MFD_INACCESSIBLE);
	char byte;

	assert_int_equal(read(fd, &byte, 1), 0);
	FAILS_WITH(write(fd, "x", 1), EPERM);
	WORKS(ftruncate(fd, FOUR));
	FAILS_WITH(read(fd, &byte, 1), EPERM);
	FAILS_WITH(write(fd, "x", 1), EPERM);
	FAILS_WITH(pread(fd, &byte, 1, FOUR - 1), EPERM);
	assert_int_equal(pread(fd, &byte, 1, FOUR), 0);
	FAILS_WITH(pread(fd, &byte, 1, -1), EINVAL);
	FAILS_WITH(pwrite(fd, "x", 1, FOUR), EPERM);
	assert_int_equal(lseek(fd, 0, SEEK_END), FOUR);
	assert_int_equal(read(fd, &byte, 1), 0);
	FAILS_WITH(lseek(fd, -1, SEEK_SET), EINVAL);
	errno = 0;
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	WORKS(fsync(fd));
	close(fd);
}

static void row_8_fallocate_is_that_of_tmpfs(void **state)
{
	memfd_allocates(make_file(FOUR));
}

/* What is private can be seen by anybody who has the descriptor. */
static void row_8_what_is_allocated_can_be_looked_for(void **state)
{
	int fd = make_file(FOUR);

	WORKS(fallocate(fd, 0, PAGE, PAGE));
	assert_int_equal(lseek(fd, 0, SEEK_DATA), PAGE);
	assert_int_equal(lseek(fd, PAGE, SEEK_HOLE), 2 * PAGE);
	FAILS_WITH(lseek(fd, 2 * PAGE, SEEK_DATA), ENXIO);
	FAILS_WITH(lseek(fd, FOUR, SEEK_HOLE), ENXIO);
	close(fd);
}

static void row_10_no_seal_but_that_there_are_no_more(void **state)
{
	int fd = make_file(PAGE);

	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	FAILS_WITH(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	FAILS_WITH(fcntl(fd, F_ADD_SEALS, 0x100), EINVAL);
	close(fd);
}

/* The path for huge pages has never heard of the flag: where there is such memory, anybody maps it. */
static void row_11_with_hugetlb_the_flag_is_ignored(void **state)
{
	int fd = memfd_create("huge", MFD_INACCESSIBLE | MFD_HUGETLB);

	if (fd < 0) {
		assert_int_not_equal(errno, EINVAL);
		return;
	}
	errno = 0;
	/* Nor has the kernel of today, where the bit means other things. */
	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	FAILS_WITH(set_slot(*state, KVM_MEM_PRIVATE, 1, guest_memory(PAGE), fd, 0), EOPNOTSUPP);
	FAILS_WITH(write(fd, "x", 1), EINVAL); /* hugetlbfs has no write() */
	close(fd);
}

static void rows_17_to_21_slots(void **state)
{
	struct guest *g = *state;
	void *hva = guest_memory(FOUR);
	int fd = make_file(FOUR);

	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, 4, hva, 999, 0), EINVAL);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, 4, hva, g->vm, 0), EOPNOTSUPP);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, 4, hva, 0, 0), EOPNOTSUPP);
	WORKS(set_slot(g, KVM_MEM_PRIVATE, 4, hva, fd, 0));
	FAILS_WITH(set_slot_at(g, 1, KVM_MEM_PRIVATE, 3, 1, hva, fd, FOUR), EEXIST);
	FAILS_WITH(set_slot(g, KVM_MEM_PRIVATE, 4, hva, fd, 0), EINVAL);
	FAILS_WITH(set_slot(g, 0, 4, hva, fd, 0), EINVAL);
	WORKS(set_slot(g, 0, 0, hva, 0, 0));
	close(fd);
}

/* Pages are counted from what is left of it, and the address of the other half may be any. */
static void row_20_nobody_looks_at_the_offset(void **state)
{
	struct guest *g = *state;
	int fd = make_file(FOUR);
	uint8_t found = 0;

	WORKS(set_slot(g, KVM_MEM_PRIVATE, 1, (void *)(uintptr_t)-PAGE, fd, PAGE + 123));
	WORKS(fallocate(fd, 0, PAGE, PAGE));
	assert_int_equal(gen_exchange(g, 1), 0);
	WORKS(fallocate(fd, PUNCH, PAGE, PAGE));
	assert_int_equal(gen_try(g, 2, &found), -EFAULT);
	close(fd);
}

static void row_22_many_slots_of_one_file_and_a_punch_across_them(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(2 * PAGE);
	int fd = make_file(2 * PAGE);

	WORKS(set_slot_at(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, PAGE));
	WORKS(set_slot_at(g, 1, KVM_MEM_PRIVATE, 1, 1, hva + PAGE, fd, 0));
	WORKS(fallocate(fd, 0, 0, 2 * PAGE));
	gen_exchange_at(g, 0, 1);
	gen_exchange_at(g, 1, 2);
	WORKS(fallocate(fd, PUNCH, 0, 2 * PAGE));
	assert_int_equal(gen_backed(fd), 0);
	assert_int_equal(gen_exchange_at(g, 0, 3), 0);
	assert_int_equal(gen_exchange_at(g, 1, 4), 0);
	assert_int_equal(hva[0], 3);
	assert_int_equal(hva[PAGE], 4);
	close(fd);
}

static void rows_25_and_26_what_is_allocated_is_private(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(FOUR);
	int fd = make_file(FOUR);

	WORKS(set_slot(g, KVM_MEM_PRIVATE, 4, hva, fd, 0));
	/* Never touched: shared. The touch allocates nothing in the file. */
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(hva[0], 1);
	assert_int_equal(gen_backed(fd), 0);
	/* A byte of the page is enough, and it takes the pages of both ends. */
	WORKS(fallocate(fd, 0, PAGE - 1, 2));
	assert_int_equal(gen_exchange_at(g, 0, 2), 0);
	assert_int_equal(gen_exchange_at(g, 1, 3), 0);
	assert_int_equal(gen_exchange_at(g, 2, 4), 0);
	assert_int_equal(hva[0], 1);
	assert_int_equal(hva[PAGE], 0);
	assert_int_equal(hva[2 * PAGE], 4);
	/* Row 48: to punch is to convert. Row 29: nothing is kept. */
	WORKS(fallocate(fd, PUNCH, 0, FOUR));
	assert_int_equal(gen_exchange(g, 5), 1);
	WORKS(fallocate(fd, 0, 0, PAGE));
	assert_int_equal(gen_exchange(g, 6), 0);
	assert_int_equal(hva[0], 5);
	close(fd);
}

static void row_28_an_allocation_that_fails_is_undone(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(FOUR);
	int fd = make_file(FOUR);
	bool fails = getenv("GENERATION_ONLY");

	WORKS(set_slot(g, KVM_MEM_PRIVATE, 4, hva, fd, 0));
	WORKS(fallocate(fd, 0, PAGE, PAGE));
	gen_exchange_at(g, 1, 1);
	if (fails)
		FAILS_WITH(fallocate(fd, 0, 0, FOUR), ENOMEM);
	else
		WORKS(fallocate(fd, 0, 0, FOUR));
	assert_int_equal(gen_backed(fd), fails ? PAGE : FOUR);
	assert_int_equal(gen_exchange_at(g, 0, 2), 0);
	assert_int_equal(hva[0], fails ? 2 : 0);
	assert_int_equal(gen_exchange_at(g, 1, 3), 1);
	close(fd);
}

static void rows_35_and_36_the_exit_and_the_failure_beside_it(void **state)
{
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE), found;
	struct kvm_run_memory_v5 memory;
	int fd = make_file(PAGE);

	WORKS(set_slot(g, KVM_MEM_PRIVATE, 1, hva, fd, 0));
	gen_guest_takes(g, 0, true);
	assert_int_equal(gen_try(g, 1, &found), -EPERM);
	assert_int_equal(g->run->exit_reason, 36);
	memcpy(&memory, &g->run->memory_fault, sizeof(memory));
	assert_int_equal(memory.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE_V5);
	assert_int_equal(memory.padding, 0);
	assert_int_equal(memory.gpa, DATA);
	assert_int_equal(memory.size, PAGE);
	set_slot(g, 0, 0, hva, 0, 0);
	close(fd);
}

/* memfd_fault_matrix() sets a slot by the longer structure, of which this kernel reads the beginning. */
static void fault_matrix(void **state)
{
	memfd_fault_matrix(*state, KVM_EXIT_MEMORY_ERROR, -EPERM, make_file(PAGE), convert);
}

static void row_39_neither_logging_nor_read_only_is_excluded(void **state)
{
	memfd_log_and_read_only(*state, make_file(2 * PAGE), convert);
}

static void row_40_the_slot_holds_the_file(void **state)
{
	memfd_slot_holds(*state, make_file(PAGE), convert);
}

static void row_42_no_capability(void **state)
{
	struct guest *g = *state;

	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2), 0);
	assert_int_equal(ioctl(g->vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), 1);
}

/* Race 14: the host touches the half that the guest does not see, and the page is there twice. */
static void both_halves_can_hold_memory(void **state)
{
	struct guest *g = *state;
	int shared = memfd_create("shared", 0), fd = make_file(PAGE);
	uint8_t *hva;

	WORKS(ftruncate(shared, PAGE));
	hva = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	assert_ptr_not_equal(hva, MAP_FAILED);
	WORKS(set_slot(g, KVM_MEM_PRIVATE, 1, hva, fd, 0));
	WORKS(fallocate(fd, 0, 0, PAGE));
	assert_int_equal(gen_backed(shared), 0);
	hva[0] = 1;
	assert_int_equal(gen_backed(shared), PAGE);
	assert_int_equal(gen_backed(fd), PAGE);
	assert_int_equal(gen_exchange(g, 2), 0);
	close(shared);
	close(fd);
}

/* ---- RLIMIT_MEMLOCK ------------------------------------------------------------------------------------ */

static void without_capability(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	WORKS(syscall(SYS_capget, &head, data));
	data[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
	WORKS(syscall(SYS_capset, &head, data));
}

/* In a child, which has nothing charged and gets its capability and its limit back. */
static void with_limit(uint64_t nr_pages, void (*test)(void))
{
	struct rlimit limit = { nr_pages * PAGE, nr_pages * PAGE };
	int status;
	pid_t pid = fork();

	if (!pid) {
		without_capability();
		WORKS(setrlimit(RLIMIT_MEMLOCK, &limit));
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define EXPECT(condition)                          \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 255 + 1); \
	} while (0)

static bool allocates(int fd, unsigned int page, unsigned int nr)
{
	bool done = !fallocate(fd, 0, (off_t)(page * PAGE), (off_t)(nr * PAGE));

	EXPECT(done || errno == ENOMEM);
	return done;
}

static void charge_two_files(void)
{
	int a = make_file(FOUR), b = make_file(FOUR);

	EXPECT(allocates(a, 0, 2));
	EXPECT(!allocates(b, 0, 2));
	EXPECT(gen_backed(b) == 0);
	/* What is allocated is not charged again. */
	EXPECT(allocates(a, 0, 3));
	EXPECT(!allocates(b, 0, 1));
	EXPECT(!fallocate(a, PUNCH, PAGE, PAGE));
	EXPECT(allocates(b, 3, 1));
	close(a);
	EXPECT(allocates(b, 0, 2));
	EXPECT(!allocates(b, 2, 1));
	close(b);
	EXPECT(allocates(make_file(FOUR), 0, 3));
}

static void row_16_allocations_count_against_what_may_be_locked(void **state)
{
	with_limit(3, charge_two_files);
}

/* What FALLOC_FL_KEEP_SIZE allocates behind the end is charged, and comes back as all else does. */
static void charge_behind_the_end(void)
{
	int fd = make_file(PAGE);

	for (int i = 0; i < 2; i++) {
		EXPECT(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 5 * PAGE, 3 * PAGE));
		EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE) && errno == ENOMEM);
		EXPECT(!fallocate(fd, PUNCH, 2 * PAGE, 100 * PAGE));
	}
	EXPECT(allocates(fd, 0, 3));
	EXPECT(!allocates(fd, 3, 1));
}

static void row_16_what_is_behind_the_end_is_returned_too(void **state)
{
	with_limit(3, charge_behind_the_end);
}

/* The last to let go of a file may be a slot, or a VM. */
static void charge_what_slots_hold(void)
{
	int a = make_file(FOUR), b;
	struct guest g;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	EXPECT(!set_slot(&g, KVM_MEM_PRIVATE, 4, guest_memory(FOUR), a, 0));
	EXPECT(allocates(a, 0, 3));
	close(a);
	b = make_file(FOUR);
	EXPECT(!allocates(b, 0, 1));
	EXPECT(!set_slot(&g, 0, 0, NULL, 0, 0));
	EXPECT(allocates(b, 0, 3));
	EXPECT(!set_slot(&g, KVM_MEM_PRIVATE, 4, guest_memory(FOUR), b, 0));
	close(b);
	EXPECT(!allocates(make_file(FOUR), 0, 1));
	guest_free(&g);
	EXPECT(allocates(make_file(FOUR), 0, 3));
}

static void row_16_what_a_slot_held_comes_back_with_it(void **state)
{
	with_limit(3, charge_what_slots_hold);
}

static void punch_holes(void)
{
	int a = make_file(FOUR), b = make_file(FOUR);

	EXPECT(allocates(a, 0, 3));
	EXPECT(!allocates(a, 3, 1));
	EXPECT(!fallocate(b, PUNCH, 0, FOUR));
	EXPECT(allocates(b, 0, 4));
}

/* One of the two things that were wrong with it. */
static void row_16_a_hole_is_returned_that_nobody_was_charged_for(void **state)
{
	with_limit(3, punch_holes);
}

static void allocate_much(void)
{
	struct rlimit limit = { PAGE, PAGE };

	EXPECT(!setrlimit(RLIMIT_MEMLOCK, &limit));
	EXPECT(allocates(make_file(FOUR), 0, 4));
}

static void row_16_who_may_lock_memory_is_not_asked(void **state)
{
	int status;
	pid_t pid = geteuid() ? 0 : fork();

	if (geteuid())
		skip();
	if (!pid) {
		allocate_much();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A deviation: a kernel's file can be used by whoever has it. */
static void a_child_has_the_descriptor_and_no_more(void **state)
{
	int fd = make_file(PAGE), status;
	pid_t pid = fork();

	if (!pid) {
		bool same = fallocate(fd, 0, 0, PAGE) == -1 && errno == EIO;

		same &= gen_size(fd) == PAGE;
		_exit(!same);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	WORKS(fallocate(fd, 0, 0, PAGE));
	close(fd);
}

static void a_limit_of_the_process_is_where_a_file_ends(void **state)
{
	struct rlimit before, low;
	int fd;

	WORKS(getrlimit(RLIMIT_FSIZE, &before));
	low = before;
	low.rlim_cur = 1000 * PAGE + 1;
	WORKS(setrlimit(RLIMIT_FSIZE, &low));
	fd = make_file(1000 * PAGE);
	WORKS(setrlimit(RLIMIT_FSIZE, &before));
	WORKS(fallocate(fd, 0, 999 * PAGE, PAGE));
	FAILS_WITH(fallocate(fd, 0, 1000 * PAGE, PAGE), EFBIG);
	close(fd);
}

/* ---- while the guest runs ----------------------------------------------------------------------------- */

/* What is so while phase stands; a change is under way while it is odd. */
enum { SHARED = 0, PRIVATE = 2, NR_PHASES = 4 };

struct converter {
	int fd;
	atomic_uint phase, runs;
	atomic_bool stop;
};

/* Until the guest has run a whole time in what is so now. */
static void rest(struct converter *c)
{
	unsigned int before = atomic_load(&c->runs);

	while (atomic_load(&c->runs) - before < 2 && !atomic_load(&c->stop))
		sched_yield();
}

static void *convert_on(void *arg)
{
	struct converter *c = arg;

	while (!atomic_load(&c->stop)) {
		bool is_private = atomic_fetch_add(&c->phase, 1) % NR_PHASES == PRIVATE;

		assert_int_equal(fallocate(c->fd, is_private ? PUNCH : 0, 0, PAGE), 0);
		atomic_fetch_add(&c->phase, 1);
		rest(c);
	}
	return NULL;
}

/*
 * The guest looks, and finds what the host has left in its half, or a 0 of the file's. Where nothing has changed while it ran it
 * is what is so: it has been told of the allocation as of the punch.
 */
static void conversions_beside_a_guest_that_runs(void **state)
{
	static const uint8_t look[] = { LOAD_AL, OUT_AL, HLT };
	struct guest *g = *state;
	uint8_t *hva = guest_memory(PAGE), found;
	struct converter c = { .fd = make_file(PAGE) };
	unsigned int phase, nr_sure = 0;
	pthread_t thread;

	hva[0] = 9;
	WORKS(set_slot(g, KVM_MEM_PRIVATE, 1, hva, c.fd, 0));
	assert_int_equal(pthread_create(&thread, NULL, convert_on, &c), 0);
	for (int i = 0; i < 2000; i++) {
		phase = atomic_load(&c.phase);
		guest_code(g, look, sizeof(look));
		WORKS(guest_run(g));
		found = *((uint8_t *)g->run + g->run->io.data_offset);
		assert_true(found == 0 || found == 9);
		if (phase % 2 == 0 && phase == atomic_load(&c.phase)) {
			assert_int_equal(found, phase % NR_PHASES == PRIVATE ? 0 : 9);
			nr_sure++;
		}
		atomic_fetch_add(&c.runs, 1);
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	assert_true(nr_sure);
	WORKS(fallocate(c.fd, PUNCH, 0, PAGE));
	assert_int_equal(gen_backed(c.fd), 0);
	assert_int_equal(hva[0], 9);
	close(c.fd);
}

static void row_3_one_file_for_several_vms(void **state)
{
	memfd_two_vms(*state, make_file(2 * PAGE), convert);
}

static void row_37_the_guest_asks_its_program(void **state)
{
	memfd_hypercall_exits(*state, KVM_EXIT_MEMORY_ERROR);
}

static void row_38_a_page_that_failed(void **state)
{
	memfd_bad_page(*state, KVM_EXIT_MEMORY_ERROR, make_file(PAGE), convert);
}

static void row_36_a_fault_that_is_told_late(void **state)
{
	memfd_late_fault(*state, KVM_EXIT_MEMORY_ERROR, -EPERM, make_file(PAGE), convert);
}

int main(void)
{
	/* Under gmem run --inject or --limit, one at a time. */
	const struct CMUnitTest failing[] = {
		ROW(row_28_an_allocation_that_fails_is_undone),
		ROW(row_36_a_fault_that_is_told_late),
		ROW(row_38_a_page_that_failed),
	};
	const struct CMUnitTest tests[] = {
		ROW(row_1_flags),
		ROW(row_2_it_is_the_tmpfs_file_itself),
		ROW(row_4_the_size_is_given_once_and_can_be_bypassed),
		ROW(rows_5_and_6_inaccessible_but_at_its_end),
		ROW(row_8_fallocate_is_that_of_tmpfs),
		ROW(row_8_what_is_allocated_can_be_looked_for),
		ROW(row_10_no_seal_but_that_there_are_no_more),
		ROW(row_11_with_hugetlb_the_flag_is_ignored),
		ROW(rows_17_to_21_slots),
		ROW(row_20_nobody_looks_at_the_offset),
		ROW(row_22_many_slots_of_one_file_and_a_punch_across_them),
		ROW(rows_25_and_26_what_is_allocated_is_private),
		ROW(row_28_an_allocation_that_fails_is_undone),
		ROW(rows_35_and_36_the_exit_and_the_failure_beside_it),
		ROW(fault_matrix),
		ROW(row_39_neither_logging_nor_read_only_is_excluded),
		ROW(row_40_the_slot_holds_the_file),
		ROW(row_42_no_capability),
		ROW(both_halves_can_hold_memory),
		ROW(row_16_allocations_count_against_what_may_be_locked),
		ROW(row_16_what_is_behind_the_end_is_returned_too),
		ROW(row_16_what_a_slot_held_comes_back_with_it),
		ROW(row_16_a_hole_is_returned_that_nobody_was_charged_for),
		ROW(row_16_who_may_lock_memory_is_not_asked),
		ROW(a_child_has_the_descriptor_and_no_more),
		ROW(a_limit_of_the_process_is_where_a_file_ends),
		ROW(conversions_beside_a_guest_that_runs),
		ROW(row_3_one_file_for_several_vms),
		ROW(row_37_the_guest_asks_its_program),
	};

	return gen_run(tests, failing);
}
