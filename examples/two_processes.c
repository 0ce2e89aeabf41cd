/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest memory without KVM: two processes, and a guest that is forty lines of C.
 *
 *	A  makes a guest memory and plays the guest: it keeps its own translations, as a software CPU or
 *	   a device model does, and is a *consumer* of the file
 *	B  another program (this one, exec'ed anew) that is sent a descriptor and maps the memory: a device
 *	   back-end, say
 *
 * They talk over a socket, one letter at a time. What happens:
 *
 *	1. B maps what A has made: what one writes, the other reads
 *	2. A converts a page to private. The guest still has it. A and B get SIGBUS from their windows, and
 *	   EFAULT from a system call, and this is true when gmem_convert() returns, not some time later
 *	3. A converts it back: what the guest wrote meanwhile is there for both
 *	4. B converts a page: any process that has the file may. A's guest is told before it happens
 *	5. B pins a page. A's conversion of a range with that page fails, says where, and has changed nothing
 *
 * Build: cc two_processes.c $(pkg-config --cflags --libs gmem)
 */
#include <errno.h>
#include <gmem.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((uint64_t)GMEM_PAGE_SIZE)
#define NR_PAGES 16
#define SIZE (NR_PAGES * PAGE)

static const char *who;

static void say(const char *what)
{
	printf("%s: %s\n", who, what);
	fflush(stdout);
}

/* Functions of the library return a negative errno. */
static int must(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s: %s\n", who, what, strerror(-ret));
		exit(1);
	}
	return ret;
}

static void expect(const char *what, int is_so)
{
	if (!is_so) {
		fprintf(stderr, "%s: it is not so that %s\n", who, what);
		exit(1);
	}
	say(what);
}

/* ---- SIGBUS ----------------------------------------------------------------------------------- */

/*
 * A host that touches a private page gets SIGBUS. The handler asks whether that is why: any other SIGBUS is
 * a bug of ours. (gmem_is_hidden() is one of the few functions that a handler may call.)
 */
static sigjmp_buf out_of_fault;

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	if (info->si_code > 0 && gmem_is_hidden(info->si_addr))
		siglongjmp(out_of_fault, 1);
	abort();
}

static void catch_sigbus(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_sigbus;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGBUS, &sa, NULL);
}

static int touch_faults(volatile char *at)
{
	if (sigsetjmp(out_of_fault, 1))
		return 1;
	(void)*at;
	return 0;
}

/* The kernel is asked to read from the page: it must not be able to either. */
static int system_call_fails(const char *at)
{
	int pipefd[2];
	ssize_t ret;
	int failed;

	must("pipe", pipe(pipefd) ? -errno : 0);
	ret = write(pipefd[1], at, 16);
	failed = ret < 0 && errno == EFAULT;
	close(pipefd[0]);
	close(pipefd[1]);
	return failed;
}

static char *map_all(struct gmem *g)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .prot = PROT_READ | PROT_WRITE,
				      .size = SIZE };
	void *at;

	must("gmem_map", gmem_map(g, &args, &at));
	return at;
}

/* ---- the guest -------------------------------------------------------------------------------- */

/*
 * It has a table of translations: host addresses of the pages it has touched, in the library's hidden view, which
 * reaches private and shared pages alike. The rule for whoever keeps such a table: an entry is made
 * between gmem_fault_begin() and gmem_fault_end(), and dropped in begin().
 */
struct guest {
	struct gmem *g;
	pthread_mutex_t lock;
	char *translation[NR_PAGES];
	int nr_told, nr_dropped;
};

static int guest_begin(void *data, const struct gmem_change *change)
{
	struct guest *guest = data;
	uint64_t at = 0, offset, size;

	pthread_mutex_lock(&guest->lock);
	guest->nr_told++;
	/* Only what really changes; the rest of the range stays as it is. */
	while (gmem_change_next_part(change, &at, &offset, &size))
		for (uint64_t page = offset / PAGE; page < (offset + size) / PAGE; page++) {
			guest->nr_dropped += guest->translation[page] != NULL;
			guest->translation[page] = NULL;
		}
	pthread_mutex_unlock(&guest->lock);
	return 0;
}

static void guest_end(void *data, const struct gmem_change *change)
{
	(void)data;
	(void)change;
}

static const struct gmem_consumer_callbacks guest_callbacks = { .ops_size = sizeof(guest_callbacks),
								.begin = guest_begin,
								.end = guest_end };

/* A guest fault: the page is looked up, and what is found is kept until begin() says otherwise. */
static void guest_fault(struct guest *guest, unsigned int page)
{
	void *addr;

	must("gmem_fault_begin", gmem_fault_begin(guest->g));
	must("gmem_page", gmem_page(guest->g, page * PAGE, &addr, NULL));
	pthread_mutex_lock(&guest->lock);
	guest->translation[page] = addr;
	pthread_mutex_unlock(&guest->lock);
	gmem_fault_end(guest->g);
}

/* The lock is what begin() waits for: a translation is not used after it has been dropped. */
static void guest_store(struct guest *guest, unsigned int page, const char *text)
{
	for (;;) {
		pthread_mutex_lock(&guest->lock);
		if (guest->translation[page])
			break;
		pthread_mutex_unlock(&guest->lock);
		guest_fault(guest, page);
	}
	strcpy(guest->translation[page], text);
	pthread_mutex_unlock(&guest->lock);
}

/* ---- talking ---------------------------------------------------------------------------------- */

static void send_letter(int sock, char letter)
{
	must("send", send(sock, &letter, 1, MSG_NOSIGNAL) == 1 ? 0 : -errno);
}

static void wait_for_letter(int sock, char letter)
{
	char got = 0;

	if (recv(sock, &got, 1, 0) != 1 || got != letter) {
		fprintf(stderr, "%s: the other has gone\n", who);
		exit(1);
	}
}

/* One does its part while the other waits: the letter hands over. */
static void hand_over(int sock, char mine, char theirs)
{
	send_letter(sock, mine);
	wait_for_letter(sock, theirs);
}

union rights {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int sock, int fd)
{
	char letter = 'd';
	struct iovec iov = { .iov_base = &letter, .iov_len = 1 };
	union rights rights;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	memset(&rights, 0, sizeof(rights));
	msg.msg_control = &rights;
	msg.msg_controllen = sizeof(rights.room);
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	must("sendmsg", sendmsg(sock, &msg, 0) == 1 ? 0 : -errno);
}

static int receive_descriptor(int sock)
{
	char letter;
	struct iovec iov = { .iov_base = &letter, .iov_len = 1 };
	union rights rights;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	int fd = -1;

	msg.msg_control = &rights;
	msg.msg_controllen = sizeof(rights.room);
	must("recvmsg", recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1 ? 0 : -errno);
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return must("a descriptor", fd < 0 ? -EBADMSG : fd);
}

/* ---- B ---------------------------------------------------------------------------------------- */

static void b_is_shut_out(int sock, char *window)
{
	wait_for_letter(sock, '2');
	expect("touching page 3 is SIGBUS here, too", touch_faults(window + 3 * PAGE));
	expect("and a system call gets EFAULT", system_call_fails(window + 3 * PAGE));
	expect("page 2 is as it was", !touch_faults(window + 2 * PAGE));
	send_letter(sock, '2');
	wait_for_letter(sock, '3');
	expect("page 3 is shared again, with what the guest wrote",
	       !strcmp(window + 3 * PAGE, "written by the guest"));
	send_letter(sock, '3');
}

static void b_converts_and_pins(int sock, struct gmem *g)
{
	struct gmem_pinned *pin;

	wait_for_letter(sock, '4');
	must("gmem_make_private", gmem_make_private(g, 5 * PAGE, PAGE, NULL));
	say("converted page 5 to private");
	hand_over(sock, '4', '5');
	must("gmem_pin", gmem_pin(g, 7 * PAGE, 100, &pin));
	say("pinned page 7");
	hand_over(sock, '5', '6');
	gmem_unpin(pin);
	say("unpinned it");
	hand_over(sock, '6', '7');
}

static int be_b(int sock)
{
	struct gmem *g;
	char *window;
	int fd;

	who = "B";
	catch_sigbus();
	fd = receive_descriptor(sock);
	must("gmem_open", gmem_open(fd, 0, &g));
	close(fd);
	window = map_all(g);
	expect("what A wrote is here", !strcmp(window + 3 * PAGE, "hello from A"));
	strcpy(window + 2 * PAGE, "hello from B");
	send_letter(sock, '1');
	b_is_shut_out(sock, window);
	b_converts_and_pins(sock, g);
	must("gmem_unmap", gmem_unmap(window, SIZE));
	gmem_put(g);
	return 0;
}

/* ---- A ---------------------------------------------------------------------------------------- */

static pid_t start_b(char *self, int sock, int other)
{
	char number[16];
	char *argv[] = { self, number, NULL };
	pid_t pid;

	snprintf(number, sizeof(number), "%d", other);
	pid = fork();
	if (pid)
		return must("fork", pid < 0 ? -errno : pid);
	close(sock);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static void a_hides_a_page(int sock, struct guest *guest, char *window)
{
	guest_store(guest, 3, "hello from A");
	must("gmem_make_private", gmem_make_private(guest->g, 3 * PAGE, PAGE, NULL));
	expect("the guest was told, and dropped its translation",
	       guest->nr_told == 1 && guest->nr_dropped == 1);
	expect("touching page 3 is SIGBUS", touch_faults(window + 3 * PAGE));
	expect("a system call gets EFAULT", system_call_fails(window + 3 * PAGE));
	guest_store(guest, 3, "written by the guest");
	hand_over(sock, '2', '2');
	must("gmem_make_shared", gmem_make_shared(guest->g, 3 * PAGE, PAGE, NULL));
	expect("page 3 has what the guest wrote",
	       !strcmp(window + 3 * PAGE, "written by the guest"));
	hand_over(sock, '3', '3');
}

/* Room for all refusals: one call tells what k pins would need k + 1 calls for. */
static void a_meets_a_pin(int sock, struct guest *guest, char *window)
{
	struct gmem_range refused[4];
	struct gmem_convert_args args = { .args_size = sizeof(args),
					  .size = SIZE,
					  .attributes = GMEM_ATTRIBUTE_PRIVATE,
					  .refused = refused,
					  .max_refused = 4 };

	expect("the conversion of all pages is refused", gmem_convert(guest->g, &args) == -EAGAIN);
	expect("page 7 is why, and nothing else",
	       args.error_offset == 7 * PAGE && args.nr_refused == 1 &&
		       refused[0].offset == 7 * PAGE && refused[0].size == PAGE);
	expect("nothing has changed", !touch_faults(window) && !touch_faults(window + 7 * PAGE));
	hand_over(sock, '6', '6');
	must("gmem_convert", gmem_convert(guest->g, &args));
	expect("now all of it is private", touch_faults(window) && touch_faults(window + 7 * PAGE));
}

static void be_a(int sock, struct guest *guest)
{
	struct gmem_consumer *consumer;
	char *window = map_all(guest->g);
	int fd;

	must("gmem_consumer_add", gmem_consumer_add(guest->g, &guest_callbacks, guest, &consumer));
	strcpy(window + 3 * PAGE, "hello from A");
	must("gmem_descriptor", gmem_descriptor(guest->g, &fd));
	send_descriptor(sock, fd);
	close(fd);
	wait_for_letter(sock, '1');
	expect("what B wrote is here", !strcmp(window + 2 * PAGE, "hello from B"));

	a_hides_a_page(sock, guest, window);

	guest_store(guest, 5, "the guest has page 5 in use");
	guest->nr_dropped = 0;
	hand_over(sock, '4', '4');
	expect("the guest let go of page 5 when B asked", guest->nr_dropped == 1);
	expect("touching page 5 is SIGBUS", touch_faults(window + 5 * PAGE));

	hand_over(sock, '5', '5');
	a_meets_a_pin(sock, guest, window);
	send_letter(sock, '7');

	gmem_consumer_remove(guest->g, consumer);
	must("gmem_unmap", gmem_unmap(window, SIZE));
}

int main(int argc, char **argv)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED,
					 .size = SIZE };
	struct guest guest = { .lock = PTHREAD_MUTEX_INITIALIZER };
	int pair[2], status;
	pid_t b;

	if (argc > 1)
		return be_b(atoi(argv[1]));
	who = "A";
	catch_sigbus();
	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? -errno : 0);
	b = start_b(argv[0], pair[0], pair[1]);
	close(pair[1]);

	must("gmem_create", gmem_create(&args, &guest.g));
	be_a(pair[0], &guest);
	must("waitpid", waitpid(b, &status, 0) == b ? 0 : -errno);
	expect("B is done, too", status == 0);
	gmem_put(guest.g);
	return 0;
}
