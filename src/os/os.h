/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * os: everything gmem asks of the world.
 *
 * Every layer above takes its memory, locks, waits, threads, clock, mappings, files, faults and
 * messages from here, so that an os of another kind (a simulated one) can drive the objects that
 * ship, and every call is a place to inject a failure. The files of this folder are the real thing.
 *
 * Nothing here uses libc's allocator, stdio or system call wrappers: a program's signal handler
 * may enter gmem in the middle of the program's own malloc(), and libgmem-kvm.so exports names
 * such as close() and mmap() itself.
 *
 * Results are 0 or -errno. Unless a comment says otherwise, any thread may call anything here.
 */
#ifndef GMEM_OS_OS_H
#define GMEM_OS_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OS_PAGE_SHIFT 12
#define OS_PAGE_SIZE ((size_t)1 << OS_PAGE_SHIFT)

/* Rounded up to pages; wraps to 0 above the last whole page. */
static inline uint64_t os_page_up(uint64_t size)
{
	return (size + OS_PAGE_SIZE - 1) & ~(uint64_t)(OS_PAGE_SIZE - 1);
}

/* ---- assertions: they stay on in release builds ------------------------------------------- */

_Noreturn void os_panic(const char *file, int line, const char *what);
#define os_assert(cond) ((cond) ? (void)0 : os_panic(__FILE__, __LINE__, #cond))

/* ---- memory: zeroed on allocation, size handed back on free ------------------------------- */

/* Returns NULL when there is no memory. Small sizes come from size classes, large ones from
 * their own mapping. Aligned to 16, from 64 bytes on to 64. Async-signal-safe as long as gmem holds signals (shim). */
void *os_alloc(size_t size);
void os_free(void *ptr, size_t size);
/* Bytes handed out and not given back: tests ask whether every byte is gone. */
uint64_t os_alloc_live(void);

/* ---- locks ------------------------------------------------------------------------------- */

struct os_mutex {
	_Atomic uint32_t word;
};
struct os_rwlock {
	_Atomic uint32_t word;
	_Atomic uint32_t writers_waiting;
};

#define OS_MUTEX_INIT \
	{             \
		0     \
	}

void os_mutex_init(struct os_mutex *m);
void os_mutex_lock(struct os_mutex *m);
bool os_mutex_trylock(struct os_mutex *m);
void os_mutex_unlock(struct os_mutex *m);

/* Writers are not starved by readers. Not recursive. */
void os_rwlock_init(struct os_rwlock *l);
void os_rwlock_read_lock(struct os_rwlock *l);
void os_rwlock_read_unlock(struct os_rwlock *l);
void os_rwlock_write_lock(struct os_rwlock *l);
void os_rwlock_write_unlock(struct os_rwlock *l);

/* ---- waits ------------------------------------------------------------------------------- */

/* Sleeps while *word == expected, at most timeout_ns (< 0: forever). 0 when woken or when the word
 * differs; -ETIMEDOUT; -EINTR when a signal arrived. Spurious wake-ups happen. */
int os_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void os_wake(_Atomic uint32_t *word, uint32_t nr_waiters);
void os_wake_all(_Atomic uint32_t *word);
/* One turn of a short spin (pause); os_yield gives the processor away. */
void os_relax(void);
void os_yield(void);

/* A load or store that races on purpose, marked so that the simulator can make it a scheduling
 * point. Ordering is the caller's to add. */
#define os_racy_load(p) atomic_load_explicit((p), memory_order_relaxed)
#define os_racy_store(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)

/* ---- threads, processes, time ------------------------------------------------------------ */

struct os_thread;
/* -EPERM: the process has filtered its system calls (spare.h). */
int os_thread_create(void (*fn)(void *), void *arg, const char *name, struct os_thread **out);
void os_thread_join(struct os_thread *t);
/* Nobody will join it. */
void os_thread_detach(struct os_thread *t);

/* First thing in a forked child, before any other call: frees what threads that the child does not
 * have held of os (locks of the allocator). Harmless at home only while there is one thread. */
void os_after_fork(void);

uint64_t os_clock_ns(void);	/* monotonic */
uint64_t os_wallclock_ns(void); /* since the epoch */
uint64_t os_tsc(void);
uint64_t os_tsc_khz(void); /* of this machine, measured */
uint64_t os_random(void);

/* True when a signal for this thread has been held since os_signals_begin() (shim): whoever can
 * block or runs for long returns -EINTR soon. */
bool os_signal_pending(void);
/* The shim's word for this thread; callable in a signal handler. */
void os_signal_set_pending(bool pending);

/* ---- files and mappings ------------------------------------------------------------------ */

/* File descriptors of ours are moved high, are CLOEXEC and survive the program's close loops. */
int os_memfd_create(const char *name, uint64_t size, int *fd);
/* Of huge pages of page_size bytes (2 MiB, 1 GiB) that are set aside for it now, so size is a multiple of that; what it is
 * mapped and punched by, too. -ENOMEM: the system has not so many; -EMFILE: also after a filter (spare.h); -EINVAL, -ENOENT,
 * -ENODEV, -ENOSYS: there are none here. */
int os_memfd_create_huge(const char *name, uint64_t size, uint64_t page_size, int *fd);
/* Closes one of our own descriptors. */
void os_fd_close(int fd);
/* Takes over *fd: it is closed, and *fd becomes a high CLOEXEC copy of ours; -1 and -EMFILE when there
 * is no number left. */
int os_fd_adopt(int *fd);
/* No lock, no system call: for the shim to keep the program's close() and dup2() off. */
bool os_fd_is_ours(int fd);
/* The first number of ours from fd (>= 0) on, -1: none. */
int os_fd_next(int fd);
int os_file_punch(int fd, uint64_t offset, uint64_t size);
int os_file_allocate(int fd, uint64_t offset, uint64_t size);
int os_file_resize(int fd, uint64_t size);
/* Bytes that the file holds in memory. */
int os_file_backed(int fd, uint64_t *bytes);
/* The first run of pages at offset or behind it that have contents. -ENXIO: there is none. A page that was
 * allocated and never touched has none. */
int os_file_data(int fd, uint64_t offset, uint64_t *start, uint64_t *end);
/* Writes what is at an address of the program, as pwrite(2): how much, or -errno (-EFAULT: it cannot be read). */
long os_file_write_from(int fd, uint64_t from, uint64_t size, uint64_t offset);
/* Signals an eventfd: adds 1. */
int os_eventfd_signal(int fd);

#define OS_MAP_READ 1u
#define OS_MAP_WRITE 2u
#define OS_MAP_HIDDEN 4u /* kept out of forks and core dumps */
/* Address space and nothing in it, for the program: where the kernel would put it, at an address that is offset modulo align (a power of two, at least a page; offset
 * and size are of whole pages). -ENOMEM. os_unmap() gives it back, or a fixed mapping comes there. */
int os_reserve(size_t size, size_t align, uint64_t offset, void **out);
/* A shared mapping of a file, at a place of ours (place.h), aligned to align (a power of two, at
 * least a page; 0 = a page). */
int os_map_file(int fd, uint64_t offset, size_t size, size_t align, unsigned int flags, void **out);
/* The same of private zeroed memory, lazily backed. */
int os_map_anon(size_t size, unsigned int flags, void **out);
void os_unmap(void *addr, size_t size);
/* Makes pages present for reading (or writing); -EFAULT when the mapping cannot be touched. */
int os_populate(void *addr, size_t size, bool write);
/* Copies what is at an address of the program, which may lose it meanwhile: -EFAULT, and no signal, also without
 * os_fault_init(); then a part may have been copied. */
int os_read_program(void *to, uint64_t from, size_t size);
/* Puts a range of a shared file mapping, aligned to 2 MiB, on huge pages, contents kept; needs a page there.
 * -EINVAL: none, or not possible here; -EAGAIN: somebody holds a page; -ENOMEM; nothing is lost. */
int os_collapse(void *addr, size_t size);

/* ---- messages ---------------------------------------------------------------------------- */

enum os_log_level { OS_LOG_ERROR, OS_LOG_WARN, OS_LOG_INFO, OS_LOG_DEBUG };
void os_log_set_level(enum os_log_level level);
bool os_log_enabled(enum os_log_level level);
/* Who wants to know what happens often (obs/obs.h): in one word, so that one look is all it costs when nobody does. */
#define OS_WANTED_BY_TRACERS \
	0xffffu /* how many of the system's; they count themselves (obs/probes.h) */
#define OS_WANTED_BY_LOG 0x10000u /* os_log_enabled(OS_LOG_DEBUG) */
#define OS_WANTED_BY_OBSERVER 0x20000u
extern __attribute__((visibility("hidden"))) _Atomic uint32_t os_wanted;
/* As GMEM_LOG says: a level's name, or "why"; anything else, and NULL, changes nothing. */
void os_log_set(const char *wanted);
/* Whether refused calls name the rule that refused them (GMEM_LOG=why; implied by DEBUG). */
void os_log_set_why(bool why);
bool os_log_why(void);
/* "gmem: EINVAL: REQUEST: RULE [ID]". request: NULL: not known. The same again and again is said once, and how often it
 * came again before another, or in os_log_end(); not with OS_LOG_DEBUG. */
void os_log_refusal(int err, const char *request, const char *rule, const char *id);
/* The process ends, or becomes another program. Any thread; from signal handlers. */
void os_log_end(void);
/* In the child: what is still to be said is the parent's. */
void os_log_after_fork(void);
/* Where lines go; 2 at first. */
void os_log_set_fd(int fd);
/* One line on stderr, "gmem: " in front. */
__attribute__((format(printf, 2, 3))) void os_log(enum os_log_level level, const char *fmt, ...);

#endif
