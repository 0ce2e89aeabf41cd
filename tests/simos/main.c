/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The simulator with the toys, for looking at what it tells: build/tests/simos/sim-toys --scenario toy_dekker */
#include "os/sim/sim.h"

int main(int argc, char **argv)
{
	return sim_main(argc, argv);
}
