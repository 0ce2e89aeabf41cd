/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Notes each input in a file before it is tried (GMEM_FUZZ_LAST), since a fault that gmem's own handler of signals
 * passes on ends the program before libFuzzer can say which input it was.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define NOTE_SIZE 65536u

struct note {
	uint32_t size;
	uint8_t data[NOTE_SIZE - 4];
};

static struct note *open_note(void)
{
	const char *path = getenv("GMEM_FUZZ_LAST");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *at;

	if (fd < 0)
		return NULL;
	must(ftruncate(fd, NOTE_SIZE) == 0);
	at = mmap(NULL, NOTE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED);
	close(fd);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct note *note;
	static bool asked;

	if (!asked)
		note = open_note();
	asked = true;
	if (note && size <= sizeof(note->data)) {
		note->size = (uint32_t)size;
		if (size)
			memcpy(note->data, data, size);
	}
	target(data, size);
	return 0;
}
