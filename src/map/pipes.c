/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/pipes.h"

#include <errno.h>
#include <stddef.h>

#include "map/host_file.h"
#include "map/pins.h"
#include "os/os.h"
#include "os/pipe.h"

/* From here on a push asks first what has gone, so that lists stay short where nobody converts. */
#define MANY_SEGMENTS 64
#define MANY_PIPES 16

enum place {
	OPEN,	 /* the call that puts it there runs */
	GROUPED, /* in the pipe, behind or before what other calls still put there */
	PLACED,	 /* [start, end) has it; start == end: ends there, and nothing of it before */
	LOST,	 /* nobody knows */
};

struct segment {
	struct segment *next;
	struct pin *pin;
	struct host_file *file;
	struct pipe_push *push; /* OPEN */
	enum place place;
	uint64_t at, size;   /* in the call */
	uint64_t start, end; /* positions */
	uint64_t done;	     /* bytes at the front that have been taken out */
};

struct pipe {
	struct pipe *next;
	struct os_pipe_id id;
	int fd;
	uint32_t nr_open; /* calls */
	bool crowded;	  /* of those that are open or were meanwhile, there were two at once */
	uint64_t pushed, drained, left;
	uint32_t nr_segments;
	struct segment *segments;
};

struct pipe_push {
	struct pipe *pipe;
};

struct pipe_pass {
	struct pipe_pass *next;
	struct os_pipe_id in;
	int out_fd;
	struct pipe_push push; /* pipe NULL: no page can have gone this way */
	bool late; /* it was opened when the call may have put bytes in before others did */
};

static struct os_mutex lock = OS_MUTEX_INIT;
static struct pipe *pipes;
static struct pipe_pass *passes;
static uint32_t nr_pipes, nr_many = MANY_PIPES;
static _Atomic uint32_t nr_any; /* pipes and passes */

bool pipes_any(void)
{
	return atomic_load_explicit(&nr_any, memory_order_relaxed);
}

/* ---- segments ---------------------------------------------------------------------------- */

static void free_segment(struct pipe *p, struct segment **at)
{
	struct segment *s = *at;

	*at = s->next;
	p->nr_segments--;
	pin_drop(s->pin);
	os_free(s, sizeof(*s));
}

/* At the end: oldest first. */
static struct segment *add_segment(struct pipe_push *push, struct host_file *f, struct pin *pin)
{
	struct segment *s = os_alloc(sizeof(*s)), **end = &push->pipe->segments;

	if (!s)
		return NULL;
	while (*end)
		end = &(*end)->next;
	*end = s;
	push->pipe->nr_segments++;
	s->pin = pin;
	s->file = f;
	s->push = push;
	s->place = OPEN;
	return s;
}

static bool is_gone(const struct pipe *p, const struct segment *s)
{
	if (s->place == OPEN)
		return false;
	return !p->left || (s->place == PLACED && s->end <= p->drained);
}

static void advance(struct pipe *p, struct segment *s)
{
	uint64_t done;

	if (s->place != PLACED || s->start >= p->drained)
		return;
	done = p->drained - s->start;
	if (s->start < s->end && done > s->done) {
		pin_advance(s->pin, done - s->done);
		s->done = done;
	}
}

static void drop_what_is_gone(struct pipe *p)
{
	struct segment **at = &p->segments;

	while (*at) {
		if (is_gone(p, *at)) {
			free_segment(p, at);
			continue;
		}
		advance(p, *at);
		at = &(*at)->next;
	}
}

/* ---- pipes ------------------------------------------------------------------------------- */

/* pushed is what calls that have returned put in, so what is in the pipe beyond it is of calls that are
 * open, or of others: either makes drained too low, never too high. */
static void look(struct pipe *p)
{
	uint64_t drained;

	if (os_pipe_left(p->fd, &p->left))
		return;
	drained = p->pushed > p->left ? p->pushed - p->left : 0;
	if (drained > p->drained)
		p->drained = drained;
	drop_what_is_gone(p);
}

static void free_if_done(struct pipe **at)
{
	struct pipe *p = *at;

	if (p->segments || p->nr_open)
		return;
	*at = p->next;
	os_fd_close(p->fd);
	os_free(p, sizeof(*p));
	nr_pipes--;
	atomic_fetch_sub(&nr_any, 1);
}

static void free_pipes_that_are_done(void)
{
	struct pipe **at = &pipes;

	while (*at) {
		struct pipe *p = *at;

		free_if_done(at);
		if (*at == p)
			at = &p->next;
	}
}

/* Before a call that is followed begins. */
static void tidy(void)
{
	for (struct pipe *p = pipes; p; p = p->next)
		if (nr_pipes >= nr_many || p->nr_segments >= MANY_SEGMENTS)
			look(p);
	free_pipes_that_are_done();
	if (nr_pipes >= nr_many || nr_many > MANY_PIPES)
		nr_many = nr_pipes < MANY_PIPES / 2 ? MANY_PIPES : 2 * nr_pipes;
}

static struct pipe *find_pipe(const struct os_pipe_id *id)
{
	struct pipe *p = pipes;

	while (p && (p->id.dev != id->dev || p->id.ino != id->ino))
		p = p->next;
	return p;
}

static struct pipe *new_pipe(int fd, const struct os_pipe_id *id)
{
	struct pipe *p = os_alloc(sizeof(*p));

	if (!p)
		return NULL;
	p->id = *id;
	if (os_pipe_hold(fd, &p->fd)) {
		os_free(p, sizeof(*p));
		return NULL;
	}
	p->next = pipes;
	pipes = p;
	nr_pipes++;
	atomic_fetch_add(&nr_any, 1);
	return p;
}

/* ---- a call that puts bytes in ----------------------------------------------------------- */

static void open_push(struct pipe_push *push, struct pipe *p)
{
	push->pipe = p;
	if (p->nr_open++)
		p->crowded = true;
}

static void set_place(struct segment *s, enum place place, uint64_t start, uint64_t end)
{
	s->push = NULL;
	s->place = place;
	s->start = start;
	s->end = end;
}

static void close_group(struct pipe *p)
{
	for (struct segment *s = p->segments; s; s = s->next)
		if (s->place == GROUPED)
			set_place(s, PLACED, p->pushed, p->pushed);
	p->crowded = false;
}

/* n bytes have come to the pipe by this call. */
static void close_push(struct pipe_push *push, uint64_t n)
{
	struct pipe *p = push->pipe;

	p->pushed += n;
	if (!--p->nr_open)
		close_group(p);
	free_pipes_that_are_done();
}

static void lose_push(struct pipe_push *push)
{
	for (struct segment *s = push->pipe->segments; s; s = s->next)
		if (s->push == push)
			set_place(s, LOST, 0, 0);
	close_push(push, 0);
}

static void drop_push(struct pipe_push *push)
{
	struct segment **at = &push->pipe->segments;

	while (*at) {
		if ((*at)->push == push)
			free_segment(push->pipe, at);
		else
			at = &(*at)->next;
	}
	close_push(push, 0);
}

static void place(struct pipe *p, struct segment *s)
{
	uint64_t start = p->pushed + s->at;

	if (p->crowded)
		set_place(s, GROUPED, 0, 0);
	else
		set_place(s, PLACED, start, start + s->size);
}

/* Of what was to be put in, the first n bytes were. */
static void settle_push(struct pipe_push *push, uint64_t n)
{
	struct segment **at = &push->pipe->segments;

	while (*at) {
		struct segment *s = *at;

		if (s->push == push && s->at >= n) {
			free_segment(push->pipe, at);
			continue;
		}
		if (s->push == push) {
			s->size = s->size < n - s->at ? s->size : n - s->at;
			pin_settle(s->pin, s->size);
			place(push->pipe, s);
		}
		at = &s->next;
	}
	close_push(push, n);
}

/* ---- a call that moves them -------------------------------------------------------------- */

static int follow(struct pipe *p, struct segment *s);

static bool has_same(struct pipe_push *push, struct segment *s)
{
	for (struct segment *t = push->pipe->segments; t; t = t->next)
		if (t->push == push && t->file == s->file && pin_same(t->pin, s->pin))
			return true;
	return false;
}

static int open_pass(struct pipe_pass *pass)
{
	struct os_pipe_id id;
	struct pipe *p;

	if (os_pipe_id(pass->out_fd, &id))
		return -ENOMEM;
	p = find_pipe(&id);
	pass->late = p;
	if (!p)
		p = new_pipe(pass->out_fd, &id);
	if (!p)
		return -ENOMEM;
	open_push(&pass->push, p);
	return 0;
}

/* s may go by this call, or not: which bytes it takes depends on who else takes some and when. */
static int pass_segment(struct pipe_pass *pass, struct segment *s)
{
	struct segment *copy;
	struct pin *pin;

	if (!pass->push.pipe && open_pass(pass))
		return -ENOMEM;
	if (has_same(&pass->push, s))
		return 0;
	if (pin_copy(s->pin, 0, UINT64_MAX, &pin))
		return -ENOMEM;
	copy = add_segment(&pass->push, s->file, pin);
	if (!copy) {
		pin_drop(pin);
		return -ENOMEM;
	}
	return follow(pass->push.pipe, copy);
}

/* Whoever takes from p now may take s as well, and hand it on. */
static int follow(struct pipe *p, struct segment *s)
{
	int ret = 0;

	for (struct pipe_pass *pass = passes; pass && !ret; pass = pass->next)
		if (pass->in.dev == p->id.dev && pass->in.ino == p->id.ino)
			ret = pass_segment(pass, s);
	return ret;
}

/* What is there already. The list may grow at its end, when pipes pass to each other. */
static int pass_segments(struct pipe_pass *pass, struct pipe *in)
{
	struct segment *s = in->segments;
	uint32_t nr = in->nr_segments;
	int ret = 0;

	for (; nr-- && !ret; s = s->next)
		ret = pass_segment(pass, s);
	return ret;
}

/* All of them end with the n bytes that have come. */
static void settle_pass(struct pipe_pass *pass, uint64_t n)
{
	struct pipe *p = pass->push.pipe;

	for (struct segment *s = p->segments; s; s = s->next) {
		if (s->push != &pass->push)
			continue;
		if (p->crowded)
			set_place(s, GROUPED, 0, 0);
		else
			set_place(s, PLACED, p->pushed + n, p->pushed + n);
	}
	close_push(&pass->push, n);
}

/* ---- calls ------------------------------------------------------------------------------- */

static int push_piece(struct pipe_push *push, const struct pipe_piece *piece, uint64_t at)
{
	struct segment *s;
	struct pin *pin;

	if (!piece->file || !piece->size)
		return 0;
	if (pin_intend(piece->file, piece->offset, piece->size, &pin))
		return -ENOMEM;
	s = add_segment(push, piece->file, pin);
	if (!s) {
		pin_drop(pin);
		return -ENOMEM;
	}
	s->at = at;
	s->size = piece->size;
	return follow(push->pipe, s);
}

static int begin_push(int fd, const struct os_pipe_id *id, struct pipe_push *push,
		      const struct pipe_piece *pieces, uint32_t nr)
{
	struct pipe *p = find_pipe(id);
	uint64_t at = 0;
	int ret = 0;

	if (!p)
		p = new_pipe(fd, id);
	if (!p)
		return -ENOMEM;
	open_push(push, p);
	for (uint32_t i = 0; i < nr && !ret; i++) {
		ret = push_piece(push, &pieces[i], at);
		at += pieces[i].size;
	}
	if (ret)
		drop_push(push);
	return ret;
}

int pipe_push_begin(int fd, const struct pipe_piece *pieces, uint32_t nr, struct pipe_push **out)
{
	struct os_pipe_id id;
	struct pipe_push *push;
	int ret;

	*out = NULL;
	if (os_pipe_id(fd, &id))
		return 0;
	push = os_alloc(sizeof(*push));
	if (!push)
		return -ENOMEM;
	os_mutex_lock(&lock);
	tidy();
	ret = begin_push(fd, &id, push, pieces, nr);
	os_mutex_unlock(&lock);
	if (ret)
		os_free(push, sizeof(*push));
	else
		*out = push;
	return ret;
}

void pipe_push_end(struct pipe_push *push, int64_t result)
{
	if (!push)
		return;
	os_mutex_lock(&lock);
	if (result == PIPE_RESULT_LOST)
		lose_push(push);
	else
		settle_push(push, result > 0 ? (uint64_t)result : 0);
	os_mutex_unlock(&lock);
	os_free(push, sizeof(*push));
}

static void unlink_pass(struct pipe_pass *pass)
{
	struct pipe_pass **at = &passes;

	while (*at != pass)
		at = &(*at)->next;
	*at = pass->next;
	atomic_fetch_sub(&nr_any, 1);
}

static int begin_pass(struct pipe_pass *pass, struct pipe *to)
{
	struct pipe *in = find_pipe(&pass->in);
	int ret = 0;

	pass->next = passes;
	passes = pass;
	atomic_fetch_add(&nr_any, 1);
	if (to)
		open_push(&pass->push, to);
	if (in) {
		look(in);
		ret = pass_segments(pass, in);
	}
	if (ret) {
		unlink_pass(pass);
		if (pass->push.pipe)
			drop_push(&pass->push);
	}
	return ret;
}

/* A socket and a device may keep the page when it has left the pipe. */
static void leaves_pipes(const struct os_pipe_id *in, int out)
{
	struct pipe *p;

	if (os_splice_copies(out))
		return;
	os_mutex_lock(&lock);
	p = find_pipe(in);
	if (p && p->segments)
		pins_say_unseen();
	os_mutex_unlock(&lock);
}

static int new_pass(const struct os_pipe_id *in, const struct os_pipe_id *out, int out_fd,
		    struct pipe_pass **result)
{
	struct pipe_pass *pass = os_alloc(sizeof(*pass));
	int ret;

	if (!pass)
		return -ENOMEM;
	pass->in = *in;
	pass->out_fd = out_fd;
	os_mutex_lock(&lock);
	tidy();
	ret = begin_pass(pass, find_pipe(out));
	os_mutex_unlock(&lock);
	if (ret)
		os_free(pass, sizeof(*pass));
	else
		*result = pass;
	return ret;
}

int pipe_pass_begin(int in, int out, struct pipe_pass **result)
{
	struct os_pipe_id id_in = { 0 }, id_out;
	bool from_pipe = os_pipe_id(in, &id_in) == 0, to_pipe = os_pipe_id(out, &id_out) == 0;

	*result = NULL;
	if (from_pipe && to_pipe)
		return new_pass(&id_in, &id_out, out, result);
	if (from_pipe)
		leaves_pipes(&id_in, out);
	return 0;
}

static void end_pass(struct pipe_pass *pass, int64_t result)
{
	if (!pass->push.pipe)
		return;
	if (result <= 0 && result != PIPE_RESULT_LOST)
		drop_push(&pass->push);
	else if (result == PIPE_RESULT_LOST || pass->late)
		lose_push(&pass->push);
	else
		settle_pass(pass, (uint64_t)result);
}

void pipe_pass_end(struct pipe_pass *pass, int64_t result)
{
	if (!pass)
		return;
	os_mutex_lock(&lock);
	unlink_pass(pass);
	end_pass(pass, result);
	os_mutex_unlock(&lock);
	os_free(pass, sizeof(*pass));
}

/* ---- files ------------------------------------------------------------------------------- */

static bool has_pages_of(const struct pipe *p, const struct host_file *f)
{
	const struct segment *s = p->segments;

	while (s && s->file != f)
		s = s->next;
	return s;
}

void pipes_look(struct host_file *f)
{
	os_mutex_lock(&lock);
	for (struct pipe *p = pipes; p; p = p->next)
		if (has_pages_of(p, f))
			look(p);
	free_pipes_that_are_done();
	os_mutex_unlock(&lock);
}

void pipes_forget(struct host_file *f)
{
	os_mutex_lock(&lock);
	for (struct pipe *p = pipes; p; p = p->next) {
		struct segment **at = &p->segments;

		while (*at) {
			if ((*at)->file == f)
				free_segment(p, at);
			else
				at = &(*at)->next;
		}
	}
	free_pipes_that_are_done();
	os_mutex_unlock(&lock);
}

/* ---- fork -------------------------------------------------------------------------------- */

void pipes_before_fork(void)
{
	os_mutex_lock(&lock);
}

void pipes_after_fork_in_parent(void)
{
	os_mutex_unlock(&lock);
}

void pipes_after_fork_in_child(void)
{
	for (struct pipe *p = pipes; p; p = p->next) {
		while (p->segments)
			free_segment(p, &p->segments);
		p->nr_open = 0;
	}
	free_pipes_that_are_done();
	while (passes) {
		struct pipe_pass *pass = passes;

		unlink_pass(pass);
		os_free(pass, sizeof(*pass));
	}
	os_mutex_unlock(&lock);
}
