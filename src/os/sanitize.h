/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * sanitize: which sanitizer this build runs under. A few places of os must let it see what they do:
 * the allocator (ASan), mappings (TSan), the copies that go past the compiler.
 */
#ifndef GMEM_OS_SANITIZE_H
#define GMEM_OS_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define OS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OS_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define OS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OS_TSAN 1
#endif
#endif

#ifndef OS_ASAN
#define OS_ASAN 0
#endif
#ifndef OS_TSAN
#define OS_TSAN 0
#endif

#endif
