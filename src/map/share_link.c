/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A peer's way home: finding it, and asking. */
#include <errno.h>

#include "map/host_map.h"
#include "map/share_layout.h"
#include "obs/obs.h"
#include "os/signal.h"

#define NAME_BEGINS "/memfd:"

_Atomic(struct share_link *) share_links;
static struct os_mutex links_lock = OS_MUTEX_INIT;

void share_link_lock(void)
{
	os_mutex_lock(&links_lock);
}

void share_link_unlock(void)
{
	os_mutex_unlock(&links_lock);
}

void share_link_after_fork(void)
{
	os_mutex_init(&links_lock);
}

/* ---- names ------------------------------------------------------------------------------------- */

struct place {
	uint32_t pid;
	int fd;
	uint64_t token[2], id;
};

static bool skip(const char **p, const char *text)
{
	const char *at = *p;

	while (*text)
		if (*at++ != *text++)
			return false;
	*p = at;
	return true;
}

static int digit(char c, unsigned int base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* At most max digits. False: there is none, or too large. */
static bool number(const char **p, unsigned int base, unsigned int max, uint64_t *out)
{
	unsigned int nr = 0;

	for (*out = 0; nr < max && digit(**p, base) >= 0; nr++)
		*out = *out * base + (uint64_t)digit(*(*p)++, base);
	return nr > 0;
}

/* "gmem.PID.FD.TOKEN.ID", as share_name() writes it, with or without what /proc puts around it. */
static bool parse(const char *name, struct place *at)
{
	uint64_t pid, fd;

	skip(&name, NAME_BEGINS);
	if (!skip(&name, "gmem.") || !number(&name, 10, 9, &pid) || !skip(&name, ".") ||
	    !number(&name, 10, 9, &fd) || !skip(&name, ".") ||
	    !number(&name, 16, 16, &at->token[0]) || !number(&name, 16, 16, &at->token[1]) ||
	    !skip(&name, ".") || !number(&name, 10, 19, &at->id))
		return false;
	at->pid = (uint32_t)pid;
	at->fd = (int)fd;
	return !*name || *name == ' ';
}

/* ---- links ------------------------------------------------------------------------------------- */

static bool is_share(const struct share *s, const uint64_t token[2])
{
	return s->token[0] == token[0] && s->token[1] == token[1];
}

static struct share_link *find_link(const uint64_t token[2])
{
	struct share_link *l = atomic_load(&share_links);

	while (l && !is_share(l->share, token))
		l = l->next;
	return l;
}

void share_link_add(struct share_link *l, struct share *s, int fd)
{
	l->share = s;
	l->fd = fd;
	l->child_fd = -1;
	os_mutex_init(&l->request);
	os_mutex_init(&l->apply);
	l->next = atomic_load(&share_links);
	atomic_store(&share_links, l);
}

struct share_link *share_link_new(struct share *s, int fd)
{
	struct share_link *l = os_alloc(sizeof(*l));

	if (l)
		share_link_add(l, s, fd);
	return l;
}

static int open_link(const struct place *at, struct share_link **out)
{
	struct share *s;
	int fd, err = share_open(at->pid, at->fd, at->token, &s, &fd);

	if (err)
		return err;
	*out = share_link_new(s, fd);
	if (*out)
		return 0;
	share_close(s, fd);
	return -ENOMEM;
}

int share_find(const char *name, struct share_link **link, uint64_t *id)
{
	struct share *own = share_own(NULL);
	struct place at;
	int err = 0;

	if (!parse(name, &at))
		return -ENOENT;
	*id = at.id;
	*link = NULL;
	if (own && is_share(own, at.token))
		return 0;
	os_mutex_lock(&links_lock);
	*link = find_link(at.token);
	if (!*link)
		err = open_link(&at, link);
	os_mutex_unlock(&links_lock);
	return err;
}

/* From here on each pin that comes or goes is counted there. */
static void show_pins(struct share_link *l, uint32_t nr)
{
	atomic_store(&share_link_slot(l)->nr_pins, nr);
	atomic_store(&l->has_slot, true);
}

static int open_again_locked(struct share_link *l)
{
	struct share *s = l->share;
	int fd, err = share_open(s->home_pid, s->home_fd, s->token, &s, &fd);

	if (err == -ESTALE)
		return -EIO;
	if (err)
		return err;
	os_unmap(s, sizeof(*s));
	l->fd = fd;
	return 0;
}

/* A child may have had no number left for a description of its own. No fork in between: its child would keep one
 * that it does not know of, and the locks with it. */
static int open_again(struct share_link *l)
{
	int err = 0;

	os_mutex_lock(&links_lock);
	if (l->fd < 0)
		err = open_again_locked(l);
	os_mutex_unlock(&links_lock);
	return err;
}

/* A slot for requests; the request lock is held. */
static int join(struct share_link *l)
{
	struct share_slot *s;
	int err;

	if (atomic_load(&l->has_slot))
		return 0;
	err = open_again(l);
	if (err)
		return err;
	err = share_claim(l->share, l->fd, &l->slot);
	if (err) {
		if (!l->refused)
			os_log(OS_LOG_WARN, "a guest_memfd has too many processes: all of it stays "
					    "hidden here");
		l->refused = true;
		return err;
	}
	s = share_link_slot(l);
	atomic_store(&s->pid_namespace, os_peer_namespace());
	atomic_store(&s->pid, os_peer_self());
	share_set_live(l->share, l->slot, true);
	pins_count(l, show_pins);
	return 0;
}

/* ---- asking ------------------------------------------------------------------------------------ */

bool share_is_gone(struct share_link *l)
{
	if (!atomic_load(&l->gone) && !share_home_lives(l->share, l->fd)) {
		atomic_store(&l->gone, true);
		os_log(OS_LOG_INFO, "the process that made a guest_memfd is gone: nothing of it "
				    "can be converted any more");
	}
	return atomic_load(&l->gone);
}

/* Who forks just now shall find no number that is another file's by then. */
void share_link_end(struct share_link *l)
{
	int fd;

	os_signals_begin();
	os_mutex_lock(&l->request);
	fd = l->fd;
	l->fd = -1;
	if (fd >= 0)
		os_fd_close(fd);
	os_mutex_unlock(&l->request);
	os_signals_end();
}

/* An answer that came when nobody waited for it any more is nobody's. */
static bool is_free(struct share_request *r)
{
	uint32_t done = SHARE_DONE;

	atomic_compare_exchange_strong(&r->state, &done, SHARE_FREE);
	return atomic_load(&r->state) == SHARE_FREE;
}

/* The one before that was given up may still be with the home. */
static bool wait_free(struct share_link *l, struct share_request *r)
{
	uint64_t end = os_clock_ns() + share_patience_ns();
	struct share_slot *s = share_link_slot(l);

	while (!is_free(r)) {
		uint32_t seen = atomic_load(&s->bell);

		if (os_clock_ns() >= end || share_is_gone(l))
			return false;
		if (!is_free(r))
			os_shared_wait(&s->bell, seen, SHARE_LOOK_NS);
	}
	return true;
}

/* Filled in next. 0: share_end_request() must follow. */
int share_begin_request(struct share_link *l, uint32_t kind, uint64_t file,
			struct share_request **out)
{
	struct share_request *r;
	int err;

	if (!l || atomic_load(&l->gone))
		return -EIO;
	os_mutex_lock(&l->request);
	err = join(l);
	r = &share_link_slot(l)->request;
	if (!err && !wait_free(l, r))
		err = share_is_gone(l) ? -EIO : -EAGAIN;
	if (err) {
		os_mutex_unlock(&l->request);
		return err;
	}
	r->kind = kind;
	r->file = file;
	r->max = 0;
	*out = r;
	return 0;
}

void share_end_request(struct share_link *l)
{
	struct share_request *r = &share_link_slot(l)->request;
	uint32_t done = SHARE_DONE;

	atomic_compare_exchange_strong(&r->state, &done, SHARE_FREE);
	os_mutex_unlock(&l->request);
}

/* Takes it back. False: too late, it is done or as good as done. */
static bool take_back(struct share_request *r)
{
	uint32_t state = atomic_load(&r->state);

	while (state == SHARE_POSTED || state == SHARE_TAKEN)
		if (atomic_compare_exchange_weak(&r->state, &state,
						 state == SHARE_POSTED ? SHARE_FREE : SHARE_LEFT))
			return true;
	return false;
}

/* Every answer to a command shows that the home is at it. */
struct patience {
	uint64_t end, look;
	uint32_t done;
};

static void be_patient(struct patience *p, struct share_slot *s)
{
	uint64_t now = os_clock_ns();

	p->done = atomic_load(&s->done);
	p->end = now + 2 * share_patience_ns();
	p->look = now + SHARE_LOOK_NS;
}

/* 0: go on waiting. */
static int check(struct share_link *l, struct share_request *r, struct patience *p)
{
	struct share_slot *s = share_link_slot(l);
	uint64_t now = os_clock_ns();

	/* What only asks must not come back with nothing: the pages would be hidden. */
	if (r->kind == SHARE_CONVERT && os_signal_pending() && take_back(r))
		return obs_refuse(RULE_CONVERT_SIGNAL_ASKED);
	if (now >= p->look) {
		p->look = now + SHARE_LOOK_NS;
		if (share_is_gone(l) && atomic_load(&r->state) != SHARE_DONE)
			return -EIO;
	}
	if (atomic_load(&s->done) != p->done)
		be_patient(p, s);
	if (now < p->end)
		return 0;
	if (take_back(r))
		return obs_refuse(RULE_GMEM_HOME_SILENT);
	/* A punch that came after its caller went on would free what he has written since. */
	return r->kind == SHARE_CONVERT ? -EINPROGRESS : 0;
}

/* The home's answer, or why there is none. -EINPROGRESS: a conversion that cannot be stopped any more. */
int share_ask(struct share_link *l, struct share_request *r)
{
	struct share_slot *s = share_link_slot(l);
	struct patience p;
	int err;

	be_patient(&p, s);
	atomic_store(&r->state, SHARE_POSTED);
	share_ring(&l->share->doorbell);
	for (;;) {
		uint32_t seen = atomic_load(&s->bell);

		if (atomic_load(&r->state) == SHARE_DONE)
			return r->result;
		if (agent_try_work(l))
			continue;
		err = check(l, r, &p);
		if (err && atomic_load(&r->state) != SHARE_DONE)
			return err;
		if (!err)
			os_shared_wait(&s->bell, seen, SHARE_LOOK_NS);
	}
}

/* ---- a file's life elsewhere --------------------------------------------------------------------- */

/* A memfd of huge pages has whole ones. */
static uint64_t store_size(const struct host_file *f)
{
	uint64_t block = (uint64_t)1 << (f->flags & GMEM_FILE_HUGETLB_1G ? 30 : 21);

	if (!(f->flags & GMEM_FILE_HUGETLB) || gmem_flags_mixed(f->flags))
		return f->size;
	return (f->size + block - 1) & ~(block - 1);
}

/* The number may be another file's: the home may have closed this one meanwhile. */
static int open_store(struct host_file *f, int number)
{
	uint64_t size;
	int err;

	if (number < 0)
		return 0; /* a store that no host maps: it is seen at home only */
	err = os_peer_open(f->link->share->home_pid, number, &f->store_fd);

	if (err)
		return err;
	err = os_peer_size(f->store_fd, &size);
	if (!err && size != store_size(f))
		err = -ESTALE;
	if (err) {
		os_fd_close(f->store_fd);
		f->store_fd = -1;
	}
	return err;
}

static int take_info(struct host_file *f, const struct share_file *info)
{
	uint32_t initial = ATTR_PRIVATE;
	int err;

	if (!info->size || info->size & (OS_PAGE_SIZE - 1) || info->size > INT64_MAX)
		return -ESTALE;
	f->size = info->size;
	f->flags = info->flags;
	if (!host_file_converts(f) && f->flags & GMEM_FILE_INIT_SHARED)
		initial = 0;
	err = attr_map_create_for(ATTR_PRIVATE, initial, f->size >> OS_PAGE_SHIFT, &f->state);
	if (err)
		return err;
	err = open_store(f, info->store_fd);
	if (err)
		attr_map_destroy(f->state);
	return err;
}

int share_inform(struct host_file *f)
{
	struct share_request *r;
	struct share_file info;
	int err = share_begin_request(f->link, SHARE_INFO, f->id, &r);

	if (err)
		return err == -EIO ? -ESTALE : err;
	err = share_ask(f->link, r);
	info = r->info;
	share_end_request(f->link);
	return err ? err : take_info(f, &info);
}

static int load(struct host_file *f)
{
	struct share_request *r;
	bool was;
	int err = share_begin_request(f->link, SHARE_ATTACH, f->id, &r);

	if (err)
		return err;
	/* Until the answer is there others ask too, and what cannot be shown meanwhile is noted anew. */
	was = atomic_exchange(&f->attached, false);
	atomic_store(&f->lacking, false);
	err = agent_start(f->link);
	if (!err)
		err = share_ask(f->link, r);
	if (err)
		atomic_store(&f->lacking, true);
	atomic_store(&f->attached, was || !err);
	share_end_request(f->link);
	return err;
}

void share_load(struct host_file *f)
{
	uint64_t end;
	int err;

	if (!host_file_converts(f) || host_file_is_loaded(f) || !f->link ||
	    atomic_load(&f->link->gone))
		return;
	end = os_clock_ns() + share_patience_ns();
	while ((err = load(f)) == -EBUSY && host_file_wait_a_moment(end))
		;
	if (err)
		os_log(OS_LOG_WARN,
		       "the state of a guest_memfd cannot be had (%d): all of it is hidden", err);
}

/* The slot keeps the file's bit: another file may have the same, and one that is not here is done at once. */
void share_detach(struct host_file *f)
{
	if (f->inherited)
		return;
	attr_map_destroy(f->state);
	if (f->store_fd >= 0)
		os_fd_close(f->store_fd);
}

void share_await_command(struct host_file *f)
{
	if (!f->link)
		return;
	os_mutex_lock(&f->link->apply);
	os_mutex_unlock(&f->link->apply);
}

void share_count_pins(struct host_file *f, int by)
{
	if (f->link && atomic_load(&f->link->has_slot))
		atomic_fetch_add(&share_link_slot(f->link)->nr_pins, (uint32_t)by);
}

/* ---- requests ---------------------------------------------------------------------------------- */

/* The home has answered, and goes on as long as there are more than an answer has room for. */
static void take_refused(struct share_link *l, struct share_request *r, struct gmem_conversion *c)
{
	uint32_t nr = c->refused ? c->max_refused : 0, at = 0, end;

	c->error_offset = r->error_offset;
	c->nr_refused = r->nr;
	nr = r->nr < nr ? r->nr : nr;
	while (at < nr) {
		end = nr - at < SHARE_NR_RUNS ? nr : at + SHARE_NR_RUNS;
		for (uint32_t i = at; i < end; i++)
			c->refused[i] = r->refused[i - at];
		at = end;
		r->kind = SHARE_REFUSED;
		r->offset = at;
		if (at < nr && share_ask(l, r)) {
			c->nr_refused = at;
			break;
		}
	}
}

static int ask_to_convert(struct share_link *l, struct share_request *r, struct gmem_conversion *c)
{
	int err;

	r->offset = c->offset;
	r->size = c->size;
	r->attributes = c->attributes;
	r->max = c->refused ? c->max_refused : 0;
	/* The home may be quicker than our first look for one. */
	if (os_signal_pending())
		return obs_refuse(RULE_CONVERT_SIGNAL_ELSEWHERE);
	err = share_ask(l, r);
	if (err == -EINPROGRESS)
		return 0;
	/* What is there without an answer is an older one. */
	if (err && atomic_load(&r->state) == SHARE_DONE)
		take_refused(l, r, c);
	return err;
}

/* What comes from the other process has a rule there, not here. */
static int name_failure(int err, uint32_t told)
{
	if (err == -ESTALE || err == -EIO)
		return obs_refuse(RULE_GMEM_HOME_GONE);
	return err ? obs_refuse_unless_told(RULE_CONVERT_AT_HOME, err, told) : 0;
}

int share_convert(struct host_file *f, struct gmem_conversion *c)
{
	uint32_t told = obs_refusals();
	struct share_request *r;
	int err;

	c->error_offset = c->offset;
	c->nr_refused = 0;
	share_load(f);
	err = share_begin_request(f->link, SHARE_CONVERT, f->id, &r);
	if (err)
		return name_failure(err, told);
	err = ask_to_convert(f->link, r, c);
	share_end_request(f->link);
	return name_failure(err, told);
}

int share_ask_range(struct host_file *f, uint32_t kind, uint64_t offset, uint64_t size)
{
	struct share_request *r;
	int err = share_begin_request(f->link, kind, f->id, &r);

	if (err)
		return err;
	r->offset = offset;
	r->size = size;
	err = share_ask(f->link, r);
	share_end_request(f->link);
	return err;
}

/* Nobody who must be told is left: the store is the same for all. A home that is only late (-EAGAIN) must do it
 * itself: consumers, the VM type and huge pages hear of it there. */
static bool is_nobody_home(int err)
{
	return err == -EIO || err == -ESTALE;
}

int share_punch(struct host_file *f, uint64_t offset, uint64_t size)
{
	int err = share_ask_range(f, SHARE_PUNCH, offset, size);

	return is_nobody_home(err) && f->store_fd >= 0 ? os_file_punch(f->store_fd, offset, size)
						       : err;
}

int share_allocate(struct host_file *f, uint64_t offset, uint64_t size)
{
	int err = share_ask_range(f, SHARE_ALLOCATE, offset, size);

	return is_nobody_home(err) && f->store_fd >= 0 ? os_file_allocate(f->store_fd, offset, size)
						       : err;
}

int share_ask_runs(struct share_link *l, uint64_t id, uint64_t offset, uint64_t size,
		   struct gmem_run *runs, uint32_t max, uint32_t *nr)
{
	struct share_request *r;
	int err = share_begin_request(l, SHARE_QUERY, id, &r);

	*nr = 0;
	if (err)
		return err;
	r->offset = offset;
	r->size = size;
	r->max = max = max < SHARE_NR_RUNS ? max : SHARE_NR_RUNS;
	err = share_ask(l, r);
	if (!err)
		*nr = r->nr < max ? r->nr : max;
	__builtin_memcpy(runs, r->runs, *nr * sizeof(*runs));
	share_end_request(l);
	return err;
}

/* A home that is gone: what is known here is what there is. */
int share_query(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		uint32_t max, uint32_t *nr)
{
	int err = 0;

	for (*nr = 0; *nr < max && size;) {
		uint32_t got;
		uint64_t end;

		err = share_ask_runs(f->link, f->id, offset, size, runs + *nr, max - *nr, &got);
		if (is_nobody_home(err)) {
			*nr += host_file_runs(f, offset, size, runs + *nr, max - *nr);
			return 0;
		}
		if (err || !got)
			return err;
		*nr += got;
		end = runs[*nr - 1].offset + runs[*nr - 1].size;
		size -= end - offset;
		offset = end;
	}
	return err;
}
