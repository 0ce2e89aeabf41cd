/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/share.h"

#include <errno.h>

#include "os/format.h"
#include "os/os.h"
#include "os/sys.h"

void share_hide_begin(struct share_round *r, struct host_file *f, const struct gmem_change *ch)
{
	r->err = 0;
}
int share_hide_end(struct share_round *r)
{
	return r->err;
}
void share_show(struct host_file *f, uint64_t offset, uint64_t size)
{
}
int share_ask_pins(struct host_file *f, const struct gmem_change *ch)
{
	return 0;
}
bool share_commit(const struct gmem_change *ch)
{
	return true;
}
int share_start(void)
{
	return 0;
}
int share_name(uint64_t id, char name[HOST_FILE_NAME_MAX])
{
	os_format(name, HOST_FILE_NAME_MAX, "gmem.%ld.0.0.%lu", os_sys0(SYS_getpid), id);
	return 0;
}
int share_attach(struct host_file *f, const char *name)
{
	return -ENOENT;
}
void share_detach(struct host_file *f)
{
}
int share_convert(struct host_file *f, struct gmem_conversion *c)
{
	return -EIO;
}
int share_punch(struct host_file *f, uint64_t offset, uint64_t size)
{
	return -EIO;
}
int share_allocate(struct host_file *f, uint64_t offset, uint64_t size)
{
	return -EIO;
}
int share_query(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		uint32_t max, uint32_t *nr)
{
	return -EIO;
}
bool share_run_pending(void)
{
	return false;
}
void share_before_fork(struct host_map *m)
{
}
void share_after_fork_in_parent(struct host_map *m)
{
}
void share_after_fork_in_child(struct host_map *m)
{
}
