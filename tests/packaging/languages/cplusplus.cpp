/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The library from C++: files, windows and pins are objects that let go by themselves, refusals are exceptions, a
 * consumer is a class. It fails by an exception that nobody catches.
 *
 *	g++ -std=c++17 -Wall -Wextra -Wpedantic cplusplus.cpp $(pkg-config --cflags --libs gmem)
 */
#include <gmem.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace
{

constexpr std::uint64_t page = GMEM_PAGE_SIZE;

struct Refused : std::runtime_error {
	Refused(int result, const std::string &reason)
		: std::runtime_error(reason + ": " + gmem_strerror(result)), error(result)
	{
	}
	int error;
};

int must(int result)
{
	gmem_refusal why{};

	if (result >= 0)
		return result;
	why.args_size = sizeof(why);
	throw Refused(result, gmem_last_refusal(&why) ? "" : why.reason);
}

void expect(bool is_so, const char *what)
{
	if (!is_so)
		throw std::logic_error(std::string("it is not so that ") + what);
}

class Memory
{
	struct Put {
		void operator()(gmem *g) const
		{
			gmem_put(g);
		}
	};
	std::unique_ptr<gmem, Put> g;

      public:
	Memory(std::uint64_t size, std::uint32_t flags, const gmem_store *store = nullptr)
	{
		gmem_create_args args{};
		gmem *made;

		args.args_size = sizeof(args);
		args.size = size;
		args.flags = flags;
		args.store = store;
		must(gmem_create(&args, &made));
		g.reset(made);
	}
	gmem *get() const
	{
		return g.get();
	}
	void make_private(std::uint64_t offset, std::uint64_t size) const
	{
		must(gmem_make_private(get(), offset, size, nullptr));
	}
	void make_shared(std::uint64_t offset, std::uint64_t size) const
	{
		must(gmem_make_shared(get(), offset, size, nullptr));
	}
	void populate(std::uint64_t offset, const std::string &contents) const
	{
		gmem_populate_args args{};

		args.args_size = sizeof(args);
		args.offset = offset;
		args.size = contents.size();
		args.source = contents.data();
		must(gmem_populate(get(), &args));
		expect(args.populated == contents.size(), "all of it is populated");
	}
	/* As a guest reads it, private or shared. */
	std::string guest(std::uint64_t offset, std::size_t size) const
	{
		void *at;
		std::uint64_t room;

		must(gmem_fault_begin(get()));
		int result = gmem_page(get(), offset, &at, &room);
		std::string found;
		if (!result && room >= size)
			found.assign(static_cast<char *>(at), size);
		gmem_fault_end(get());
		must(result);
		return found;
	}
	std::vector<gmem_extent> extents(std::uint64_t size) const
	{
		std::vector<gmem_extent> found(16);
		std::uint32_t nr;

		must(gmem_query(get(), 0, size, found.data(), 16, &nr));
		found.resize(nr);
		return found;
	}
};

class Window
{
	void *at = nullptr;
	std::uint64_t size;

      public:
	Window(const Memory &m, std::uint64_t bytes) : size(bytes)
	{
		gmem_map_args args{};

		args.args_size = sizeof(args);
		args.prot = PROT_READ | PROT_WRITE;
		args.size = bytes;
		must(gmem_map(m.get(), &args, &at));
	}
	Window(const Window &) = delete;
	Window &operator=(const Window &) = delete;
	~Window()
	{
		gmem_unmap(at, size);
	}
	char *data() const
	{
		return static_cast<char *>(at);
	}
};

/* What a device model has in place of a TLB. */
class Watcher
{
	gmem *g;
	gmem_consumer *consumer;

	/* No exception may pass through the library. */
	static int begin(void *self, const gmem_change *change) noexcept
	{
		auto *w = static_cast<Watcher *>(self);
		gmem_change_info info{};

		info.args_size = sizeof(info);
		if (gmem_change_describe(change, &info))
			return -ENOMEM;
		w->begun++;
		w->bytes += info.size;
		return 0;
	}
	static void end(void *self, const gmem_change *) noexcept
	{
		static_cast<Watcher *>(self)->ended++;
	}

      public:
	std::atomic<unsigned> begun{ 0 }, ended{ 0 };
	std::uint64_t bytes = 0;

	explicit Watcher(const Memory &m) : g(m.get())
	{
		gmem_consumer_callbacks ops{};

		ops.ops_size = sizeof(ops);
		ops.begin = begin;
		ops.end = end;
		must(gmem_consumer_add(g, &ops, this, &consumer));
	}
	Watcher(const Watcher &) = delete;
	Watcher &operator=(const Watcher &) = delete;
	~Watcher()
	{
		gmem_consumer_remove(g, consumer);
	}
};

/* Whether a system call gets it. */
bool reaches(const char *at)
{
	int ends[2];

	if (pipe(ends))
		throw std::runtime_error("pipe");
	ssize_t written = write(ends[1], at, 1);
	int error = errno;

	close(ends[0]);
	close(ends[1]);
	expect(written == 1 || error == EFAULT, "a hidden page is EFAULT");
	return written == 1;
}

void pages_are_hidden_and_come_back()
{
	Memory m(16 * page, GMEM_MMAP | GMEM_INIT_SHARED);
	Window w(m, 16 * page);
	Watcher watcher(m);

	std::memset(w.data(), 0x5a, 16 * page);
	m.make_private(4 * page, 2 * page);
	expect(!reaches(w.data() + 4 * page) && reaches(w.data() + 6 * page),
	       "two pages are hidden");
	auto runs = m.extents(16 * page);
	expect(runs.size() == 3 && runs[1].offset == 4 * page && runs[1].size == 2 * page,
	       "a query sees three runs");
	expect(runs[1].attributes == GMEM_ATTRIBUTE_PRIVATE, "the second is private");
	m.make_shared(0, 16 * page);
	expect(w.data()[4 * page] == 0x5a, "contents stay");
	expect(watcher.begun == 2 && watcher.ended == 2 && watcher.bytes == 4 * page,
	       "a consumer was told of both changes");
}

void refusals_are_exceptions()
{
	Memory m(4 * page, GMEM_INIT_SHARED);
	gmem_pinned *pin;

	must(gmem_pin(m.get(), page, 1, &pin));
	try {
		m.make_private(0, 4 * page);
		expect(false, "a pinned page stays shared");
	} catch (const Refused &refused) {
		expect(refused.error == -EAGAIN && std::strlen(refused.what()) > 20, "it says why");
	}
	gmem_unpin(pin);
	m.make_private(0, 4 * page);
	try {
		Window w(m, page);
		expect(false, "a file without GMEM_MMAP has no windows");
	} catch (const Refused &refused) {
		expect(refused.error == -ENODEV, "it is ENODEV");
	}
}

/* Pages in a vector, and how often they were asked for. */
class Pages
{
	std::vector<char> room;
	std::uint64_t shift;
	gmem_store_ops ops{};

	static Pages *of(void *self)
	{
		return static_cast<Pages *>(self);
	}
	static int address(void *self, std::uint64_t offset, void **addr) noexcept
	{
		*addr = of(self)->at() + offset;
		return 0;
	}
	static int punch(void *self, std::uint64_t offset, std::uint64_t size) noexcept
	{
		std::memset(of(self)->at() + offset, 0, size);
		of(self)->punched += size;
		return 0;
	}
	static void destroy(void *self) noexcept
	{
		of(self)->destroyed++;
	}

      public:
	std::atomic<std::uint64_t> punched{ 0 };
	std::atomic<unsigned> destroyed{ 0 };
	gmem_store store{};

	explicit Pages(std::uint64_t size) : room(size + page)
	{
		auto odd = reinterpret_cast<std::uintptr_t>(room.data()) % page;

		shift = odd ? page - odd : 0;
		ops.ops_size = sizeof(ops);
		ops.address = address;
		ops.punch = punch;
		ops.destroy = destroy;
		store.args_size = sizeof(store);
		store.fd = -1;
		store.ops = &ops;
		store.data = this;
	}
	char *at()
	{
		return room.data() + shift;
	}
};

void a_class_is_a_store()
{
	Pages pages(8 * page);

	{
		Memory m(8 * page, 0, &pages.store);

		m.populate(2 * page, std::string(page, 'p'));
		expect(pages.at()[2 * page] == 'p', "the store has what was populated");
		expect(m.guest(2 * page, 3) == "ppp", "and the guest reads it there");
		must(gmem_punch(m.get(), 2 * page, page));
		expect(pages.punched == page && m.guest(2 * page, 1)[0] == 0,
		       "a punch is the store's");
		expect(!pages.destroyed, "the file has it still");
	}
	expect(pages.destroyed == 1, "it is given back once, with the file");
}

void what_is_saved_comes_back()
{
	Memory m(8 * page, GMEM_MMAP | GMEM_INIT_SHARED), other(8 * page, GMEM_MMAP);
	Watcher watcher(m);
	std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::tmpfile(), std::fclose);
	gmem_snapshot_args save{};
	gmem_restore_args load{};
	gmem_snapshot_info info{};

	expect(file != nullptr, "there is room for a temporary file");
	m.make_private(3 * page, page);
	m.populate(3 * page, std::string(page, 's'));
	save.args_size = sizeof(save);
	save.fd = load.fd = fileno(file.get());
	must(gmem_snapshot(m.get(), &save));
	info.args_size = sizeof(info);
	must(gmem_snapshot_check(save.fd, GMEM_CHECK_CONTENTS, &info));
	expect(info.private_bytes == page && info.file_bytes == save.file_bytes, "it is checked");
	load.args_size = sizeof(load);
	must(gmem_restore(other.get(), &load));
	expect(other.guest(3 * page, 2) == "ss" && other.extents(8 * page).size() == 3,
	       "contents and states are back");
	expect(watcher.begun == watcher.ended && watcher.begun >= 2,
	       "a consumer was told that the file stands still");
}

void one_consumer_hears_of_several_files()
{
	Memory one(page, GMEM_INIT_SHARED), two(page, GMEM_INIT_SHARED);
	std::atomic<unsigned> of[2] = {};
	gmem_consumer_callbacks ops{};
	gmem_consumer_file files[2] = {};
	gmem_consumer *consumers[2];

	ops.ops_size = sizeof(ops);
	ops.begin = [](void *count, const gmem_change *) noexcept {
		++*static_cast<std::atomic<unsigned> *>(count);
		return 0;
	};
	ops.end = [](void *, const gmem_change *) noexcept {};
	files[0].g = one.get();
	files[1].g = two.get();
	files[0].data = &of[0];
	files[1].data = &of[1];
	must(gmem_consumer_add_several(files, 2, &ops, consumers));
	two.make_private(0, page);
	two.make_shared(0, page);
	one.make_private(0, page);
	gmem_consumer_remove(two.get(), consumers[1]);
	gmem_consumer_remove(one.get(), consumers[0]);
	two.make_private(0, page);
	expect(of[0] == 1 && of[1] == 2, "it is told of which file");
}

/* A process may have any number, and their threads nothing to do with each other. */
void many_memories_know_nothing_of_each_other()
{
	std::vector<std::thread> threads;
	std::atomic<unsigned> right{ 0 };

	for (unsigned char i = 0; i < 8; i++)
		threads.emplace_back([i, &right] {
			std::vector<Memory> all;

			for (unsigned j = 0; j < 32; j++)
				all.emplace_back(8 * page, GMEM_MMAP | GMEM_INIT_SHARED);
			for (unsigned j = 0; j < 32; j++) {
				Window w(all[j], 8 * page);

				w.data()[0] = static_cast<char>(i ^ j);
				all[j].make_private(page * (j % 8), page);
			}
			for (unsigned j = 0; j < 32; j++) {
				all[j].make_shared(0, 8 * page);
				Window w(all[j], 8 * page);

				right += w.data()[0] == static_cast<char>(i ^ j);
			}
		});
	for (auto &t : threads)
		t.join();
	expect(right == 8 * 32, "256 memories have what was written to them");
}

} /* namespace */

int main()
{
	expect(gmem_version() >> 16 == GMEM_VERSION_MAJOR, "library and header are of one version");
	pages_are_hidden_and_come_back();
	refusals_are_exceptions();
	a_class_is_a_store();
	what_is_saved_comes_back();
	one_consumer_hears_of_several_files();
	many_memories_know_nothing_of_each_other();
	std::cout << "C++: 6 of 6 hold\n";
}
