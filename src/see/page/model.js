/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the pages are at a time. A run is [first, end, states, who, ns]: pages of a slot, counted from its begin. Runs
 * are never changed, only replaced, so that a checkpoint is a copy of lists.
 */
'use strict';
const PAGE = 4096;

class Model {
	constructor(data) {
		this.data = data;
		this.changes = data.changes;
		this.every = Math.max(500, Math.ceil(this.changes.length / 100));
		this.first = data.slots.map(s => s.runs.map(r => [r[0], r[1], r[2], r[3], null]));
		this.checkpoints = [this.copy(this.first)];
		this.runs = this.copy(this.first);
		this.at = 0; /* so many changes are in it */
	}

	copy(lists) {
		return lists.map(l => l.slice());
	}

	/* The run of a list that has the page. */
	find(list, page) {
		let low = 0, high = list.length;
		while (high - low > 1) {
			const middle = (low + high) >> 1;
			if (list[middle][0] <= page)
				low = middle;
			else
				high = middle;
		}
		return low;
	}

	apply(c) {
		const [ns, slot, first, end, states, who] = c;
		const list = this.runs[slot], put = [];
		let from = this.find(list, first), to = from;
		while (to < list.length && list[to][0] < end)
			to++;
		if (from === to)
			return;
		const left = list[from], right = list[to - 1];
		if (left[0] < first)
			put.push([left[0], first, left[2], left[3], left[4]]);
		if (who)
			put.push([first, end, states, who, ns]);
		else /* it was seen: who made the change before that stays */
			for (const run of list.slice(from, to))
				put.push([Math.max(first, run[0]), Math.min(end, run[1]), states, run[3], run[3] ? run[4] : ns]);
		if (right[1] > end)
			put.push([end, right[1], right[2], right[3], right[4]]);
		list.splice(from, to - from, ...put);
	}

	/* So many changes are in it from now on. */
	go(nr) {
		const near = Math.min(Math.floor(nr / this.every), this.checkpoints.length - 1);
		if (nr < this.at || near * this.every > this.at) {
			this.runs = this.copy(this.checkpoints[near]);
			this.at = near * this.every;
		}
		while (this.at < nr) {
			this.apply(this.changes[this.at++]);
			if (this.at === this.checkpoints.length * this.every)
				this.checkpoints.push(this.copy(this.runs));
		}
	}

	/* How many changes there are up to a time. */
	count(ns) {
		let low = 0, high = this.changes.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.changes[middle][0] <= ns)
				low = middle + 1;
			else
				high = middle;
		}
		return low;
	}

	/* A VM that has ended is shown as it was last. */
	isThere(slot, ns) {
		const s = this.data.slots[slot];
		return (s.made === null || s.made <= ns) && (s.gone === null || s.gone > ns || s.endsWithVm);
	}

	classOf(state, slot) {
		const isPrivate = state & 4;
		switch (state & 3) {
		case 0: return isPrivate ? 2 : 0;
		case 2: return isPrivate ? 3 : this.data.slots[slot].allInFile ? 1 : 4;
		case 1: return isPrivate ? 5 : 1;
		default: return isPrivate ? 7 : 6;
		}
	}

	/* Bytes of each class between two guest physical addresses, and the run that changed last. */
	sum(slots, start, end) {
		const of = { bytes: new Array(8).fill(0), pinned: 0, total: 0, last: null, slots: [] };
		for (const i of slots) {
			const s = this.data.slots[i];
			const from = Math.max(start, s.gpa), to = Math.min(end, s.gpa + s.size);
			if (from >= to)
				continue;
			of.slots.push(i);
			of.total += to - from;
			this.sumSlot(of, i, (from - s.gpa) / PAGE, (to - s.gpa) / PAGE);
		}
		return of;
	}

	sumSlot(of, slot, first, end) {
		const list = this.runs[slot];
		for (let k = this.find(list, first); k < list.length && list[k][0] < end; k++) {
			const run = list[k];
			const bytes = (Math.min(run[1], end) - Math.max(run[0], first)) * PAGE;
			let kinds = 0;
			for (let s = 0; s < 8; s++)
				kinds += run[2] >> s & 1;
			for (let s = 0; s < 8; s++)
				if (run[2] >> s & 1)
					of.bytes[this.classOf(s, slot)] += bytes / kinds;
			if (run[2] & 256)
				of.pinned += bytes;
			if (run[4] !== null && (!of.last || run[4] >= of.last[4]))
				of.last = run;
		}
	}
}
