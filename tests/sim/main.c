/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem-sim. */
#include "os/sim/sim.h"

int main(int argc, char **argv)
{
	return sim_main(argc, argv);
}
