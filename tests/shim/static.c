/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Linked statically: no preloaded library reaches it. It must never run. */
int main(void)
{
	return 0;
}
