/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "guard_t.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "os/paths.h"
#include "os/window.h"

static struct t *current;
static const char *name_now;
static __thread sigjmp_buf env;
static __thread volatile sig_atomic_t armed;
static __thread struct t_fault last;

_Noreturn void t_fail(const char *file, int line, const char *what, long long a, long long b)
{
	fprintf(stderr, "# %s: %s:%d: %s (%lld, %lld)\n", name_now, file, line, what, a, b);
	fflush(stderr);
	_exit(1);
}

_Noreturn void t_skip(const char *why)
{
	fprintf(stderr, "# %s: %s\n", name_now, why);
	_exit(77);
}

/* ---- accesses -------------------------------------------------------------------------------- */

/* As the handler of the library: what a mark says on a kernel that knows bad memory is made SIGBUS proper. */
static void on_fault(int signo, siginfo_t *info, void *ucontext)
{
	uint64_t page = (uintptr_t)info->si_addr & ~(PAGE - 1);

	if (!armed)
		t_fail(__FILE__, __LINE__, "a fault where none was expected", signo,
		       (long long)(uintptr_t)info->si_addr);
	last = (struct t_fault){ signo, info->si_code, (uintptr_t)info->si_addr };
	if (signo == SIGBUS && info->si_code == BUS_MCEERR_AR && current &&
	    host_map_is_window(current->m, page))
		last.code = BUS_ADRERR;
	siglongjmp(env, 1);
}

struct t_fault t_read(struct t *t, const volatile uint8_t *p, uint8_t *value)
{
	struct t_fault none = { 0 };

	if (sigsetjmp(env, 1)) {
		armed = 0;
		return last;
	}
	armed = 1;
	*value = *p;
	armed = 0;
	return none;
}

struct t_fault t_write(struct t *t, volatile uint8_t *p, uint8_t value)
{
	struct t_fault none = { 0 };

	if (sigsetjmp(env, 1)) {
		armed = 0;
		return last;
	}
	armed = 1;
	*p = value;
	armed = 0;
	return none;
}

/* ---- the fixture ----------------------------------------------------------------------------- */

static void get(void *owner)
{
	++*(_Atomic int *)owner;
}

static void put(void *owner)
{
	T_OK((*(_Atomic int *)owner)-- > 0);
}

uint8_t t_stamp(uint64_t page)
{
	return (uint8_t)(page * 7 + 1);
}

bool t_has_marks(void)
{
	int fd, err;

	if (os_path_off(OS_PATH_MARKS))
		return false;
	err = os_marks_open(&fd);
	if (!err)
		os_fd_close(fd);
	return !err;
}

void t_need_marks(void)
{
	if (!t_has_marks())
		t_skip("no marks on this kernel, or for this process");
}

void t_init(struct t *t, enum mode mode, uint64_t nr_pages)
{
	static const struct host_map_ops ops = { .get = get, .put = put };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct host_file *f = &t->f;

	t->mode = mode;
	t->nr_pages = nr_pages;
	T_EQ(host_map_create(&ops, &t->m), 0);
	f->map = t->m;
	f->size = nr_pages * PAGE;
	f->flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_IN_PLACE;
	T_EQ(os_memfd_create("store", f->size, &f->store_fd), 0);
	T_EQ(attr_map_create(ATTR_PRIVATE, 0, &f->state), 0);
	t->store = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->store_fd, 0);
	T_OK(t->store != MAP_FAILED);
	for (uint64_t i = 0; i < nr_pages && i < 65536; i++)
		t->store[i * PAGE] = t_stamp(i);
	if (mode == MARKED) {
		t_need_marks();
		guard_set_limits(&t->m->guard, 0, 0);
	}
	current = t;
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

uint8_t *t_map(struct t *t, uint64_t page, uint64_t nr_pages)
{
	uint64_t at;

	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, 0, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED, page * PAGE, &at),
	     0);
	return (uint8_t *)(uintptr_t)at;
}

int t_hide(struct t *t, uint64_t page, uint64_t nr_pages)
{
	return host_map_hide(t->m, &t->f, page * PAGE, nr_pages * PAGE);
}

int t_show(struct t *t, uint64_t page, uint64_t nr_pages)
{
	return host_map_show(t->m, &t->f, page * PAGE, nr_pages * PAGE);
}

bool t_private(struct t *t, uint64_t page)
{
	return page >= t->nr_pages || attr_map_get(t->f.state, page);
}

static void check_page(struct t *t, const uint8_t *p, uint64_t page, int pipe_fd[2])
{
	struct t_fault f;
	uint8_t value = 0, back;

	f = t_read(t, p, &value);
	T_EQ(host_map_is_hidden(t->m, (uintptr_t)p), t_private(t, page));
	if (!t_private(t, page)) {
		T_EQ(f.signo, 0);
		T_EQ(value, t->store[page * PAGE]);
		T_EQ(write(pipe_fd[1], p, 1), 1);
		T_EQ(read(pipe_fd[0], &back, 1), 1);
		T_EQ(back, value);
		return;
	}
	T_EQ(f.signo, SIGBUS);
	T_EQ(f.code, BUS_ADRERR);
	T_EQ(f.addr, (uintptr_t)p);
	errno = 0;
	T_EQ(write(pipe_fd[1], p, 1), -1);
	T_EQ(errno, EFAULT);
}

void t_check_window(struct t *t, const uint8_t *window, uint64_t page, uint64_t nr_pages)
{
	int pipe_fd[2];

	T_EQ(pipe(pipe_fd), 0);
	for (uint64_t i = 0; i < nr_pages; i++)
		check_page(t, window + i * PAGE, page + i, pipe_fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

uint64_t t_nr_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	uint64_t nr = 0;

	T_OK(f);
	while (fgets(line, sizeof(line), f))
		nr += strstr(line, "/memfd:") != NULL;
	fclose(f);
	return nr;
}

void t_refuse_userfaultfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	T_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	T_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* ---- the program ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const struct t_case *cases;
} suites[] = {
	{ "semantics", t_semantics }, { "calls", t_calls }, { "race", t_race },
	{ "room", t_room },	      { "fork", t_fork },   { "failures", t_failures },
};

static bool run(const struct t_case *c, enum mode mode)
{
	static const char *const modes[] = { "overlaid", "marked" };
	static struct t t;
	uint64_t start = os_clock_ns();
	int status;
	pid_t pid;

	name_now = c->name;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		alarm(120);
		c->fn(&t, mode);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("ok - %s, %s # skipped\n", c->name, modes[mode]);
	else
		printf("%s - %s, %s (%llu ms)\n", status ? "not ok" : "ok", c->name, modes[mode],
		       (unsigned long long)(os_clock_ns() - start) / 1000000);
	if (status && !WIFEXITED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	return !status || (WIFEXITED(status) && WEXITSTATUS(status) == 77);
}

int main(int argc, char **argv)
{
	bool good = true;
	int from = 1;

	/* "-u": as nobody. "-f": under a filter that refuses userfaultfd. */
	for (; from < argc && argv[from][0] == '-'; from++) {
		if (!strcmp(argv[from], "-f"))
			t_refuse_userfaultfd();
		else if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			return 77;
	}
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		bool wanted = from >= argc;

		for (int a = from; a < argc; a++)
			wanted |= !strcmp(argv[a], suites[i].name);
		for (const struct t_case *c = suites[i].cases; wanted && c->name; c++)
			for (int mode = OVERLAID; mode <= MARKED; mode++)
				good &= run(c, (enum mode)mode);
	}
	return !good;
}
