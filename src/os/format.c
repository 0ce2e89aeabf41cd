/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/format.h"

#include <stdbool.h>
#include <stdint.h>

struct sink {
	char *buf;
	size_t size, len;
};

struct spec {
	bool zero, left, alt;
	int width, precision;
	int length; /* bytes of an integer argument */
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->buf[s->len++] = c;
}

static void pad(struct sink *s, char c, int nr)
{
	while (nr-- > 0)
		put(s, c);
}

static void put_string(struct sink *s, const struct spec *spec, const char *str)
{
	int len = 0;
	int i;

	if (!str)
		str = "(null)";
	while ((spec->precision < 0 || len < spec->precision) && str[len])
		len++;
	if (!spec->left)
		pad(s, ' ', spec->width - len);
	for (i = 0; i < len; i++)
		put(s, str[i]);
	if (spec->left)
		pad(s, ' ', spec->width - len);
}

static void put_number(struct sink *s, const struct spec *spec, uint64_t value, unsigned int base,
		       const char *prefix, const char *digits)
{
	char buf[24];
	int len = 0;
	int total;

	do {
		buf[len++] = digits[value % base];
		value /= base;
	} while (value);
	for (total = len; prefix[total - len];)
		total++;
	if (!spec->left && !spec->zero)
		pad(s, ' ', spec->width - total);
	while (*prefix)
		put(s, *prefix++);
	if (!spec->left && spec->zero)
		pad(s, '0', spec->width - total);
	while (len)
		put(s, buf[--len]);
	if (spec->left)
		pad(s, ' ', spec->width - total);
}

static int64_t sign_extend(uint64_t value, int bytes)
{
	int shift = 64 - 8 * bytes;

	return (int64_t)(value << shift) >> shift;
}

static const char *parse_number(const char *fmt, int *out, int star)
{
	if (*fmt == '*') {
		*out = star;
		return fmt + 1;
	}
	for (*out = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
		*out = *out * 10 + (*fmt - '0');
	return fmt;
}

static const char *parse_length(const char *fmt, struct spec *spec)
{
	spec->length = sizeof(int);
	for (;; fmt++) {
		if (*fmt == 'h')
			spec->length /= 2;
		else if (*fmt == 'l' || *fmt == 'z' || *fmt == 'j' || *fmt == 't')
			spec->length = 8;
		else
			return fmt;
	}
}

static const char *parse_flags(const char *fmt, struct spec *spec)
{
	*spec = (struct spec){ .precision = -1 };
	for (;; fmt++) {
		if (*fmt == '0')
			spec->zero = true;
		else if (*fmt == '-')
			spec->left = true;
		else if (*fmt == '#')
			spec->alt = true;
		else
			return fmt;
	}
}

static void put_integer(struct sink *s, const struct spec *spec, char conv, uint64_t raw)
{
	int64_t value = sign_extend(raw, spec->length);
	uint64_t mask = spec->length == 8 ? ~(uint64_t)0 : ((uint64_t)1 << (8 * spec->length)) - 1;

	if (conv == 'd' || conv == 'i')
		put_number(s, spec, value < 0 ? -(uint64_t)value : (uint64_t)value, 10,
			   value < 0 ? "-" : "", "0123456789");
	else if (conv == 'u')
		put_number(s, spec, raw & mask, 10, "", "0123456789");
	else
		put_number(s, spec, raw & mask, 16, spec->alt ? "0x" : "",
			   conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
}

/* A va_list by pointer: one function takes an argument, its caller goes on behind it. */
struct args {
	va_list list;
};

static void put_argument(struct sink *s, const struct spec *spec, char conv, struct args *args)
{
	switch (conv) {
	case 's':
		put_string(s, spec, va_arg(args->list, const char *));
		break;
	case 'c':
		put(s, (char)va_arg(args->list, int));
		break;
	case 'p':
		put_number(s, spec, (uintptr_t)va_arg(args->list, void *), 16, "0x",
			   "0123456789abcdef");
		break;
	case '%':
		put(s, '%');
		break;
	default:
		put_integer(s, spec, conv,
			    spec->length == 8 ? va_arg(args->list, uint64_t)
					      : va_arg(args->list, unsigned int));
	}
}

static const char *parse_spec(const char *fmt, struct spec *spec, struct args *args)
{
	fmt = parse_flags(fmt, spec);
	fmt = parse_number(fmt, &spec->width, *fmt == '*' ? va_arg(args->list, int) : 0);
	if (*fmt == '.') {
		fmt++;
		fmt = parse_number(fmt, &spec->precision,
				   *fmt == '*' ? va_arg(args->list, int) : 0);
	}
	return parse_length(fmt, spec);
}

size_t os_vformat(char *buf, size_t size, const char *fmt, va_list list)
{
	struct sink s = { .buf = buf, .size = size };
	struct args args;
	struct spec spec;

	va_copy(args.list, list);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&s, *fmt);
			continue;
		}
		fmt = parse_spec(fmt + 1, &spec, &args);
		if (!*fmt)
			break;
		put_argument(&s, &spec, *fmt, &args);
	}
	va_end(args.list);
	if (size)
		buf[s.len] = 0;
	return s.len;
}

size_t os_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = os_vformat(buf, size, fmt, args);
	va_end(args);
	return len;
}
