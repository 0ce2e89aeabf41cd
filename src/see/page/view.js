/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The canvas: rows of cells of one guest; rows without a slot are left out, but for one line that says so. */
const COLUMNS = 64, LEFT = 130, RIGHT = 190, TOP = 8;
const ORDER = [3, 2, 5, 7, 6, 4, 1, 0]; /* classes in a cell, from left to right */

function sizeText(bytes) {
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
	let i = 0;
	for (; bytes >= 1024 && i < units.length - 1; i++)
		bytes /= 1024;
	return `${Math.round(bytes * 100) / 100} ${units[i]}`;
}

function hex(n) {
	return '0x' + BigInt(n).toString(16);
}

function makeTile(ctx, kind) {
	const tile = document.createElement('canvas');
	tile.width = tile.height = 8;
	const c = tile.getContext('2d');
	c.fillStyle = kind.paper;
	c.fillRect(0, 0, 8, 8);
	c.fillStyle = kind.ink;
	for (let y = 0; y < 8; y++)
		for (let x = 0; x < 8; x++)
			if (kind.rows[y] >> x & 1)
				c.fillRect(x, y, 1, 1);
	return ctx.createPattern(tile, 'repeat');
}

class View {
	constructor(canvas, model) {
		this.canvas = canvas;
		this.model = model;
		this.ctx = canvas.getContext('2d');
		this.tiles = model.data.classes.map(k => makeTile(this.ctx, k));
		this.slots = [];
		this.block = 0;
		this.top = 0; /* the first line that is seen */
	}

	/* Those of a guest that are there now; the lines are made of them. */
	setSlots(slots) {
		const gpa = i => this.model.data.slots[i].gpa;
		this.slots = slots.slice().sort((a, b) => gpa(a) - gpa(b));
		if (!this.block)
			this.fit();
		this.makeParts();
	}

	countRows(row) {
		let nr = 0, next = 0;
		for (const i of this.slots) {
			const s = this.model.data.slots[i];
			const first = Math.max(next, Math.floor(s.gpa / row));
			const last = Math.floor((s.gpa + s.size - PAGE) / row);
			nr += Math.max(0, last + 1 - first);
			next = Math.max(next, last + 1);
		}
		return nr;
	}

	fit() {
		const room = Math.max(4, this.visible() - 2);
		this.block = PAGE;
		while (this.countRows(this.block * COLUMNS) > room && this.block < 2 ** 50)
			this.block *= 2;
		this.top = 0;
	}

	/* Rows that follow each other: where they begin, and on which line. */
	makeParts() {
		const row = this.block * COLUMNS;
		this.parts = [];
		this.lines = 0;
		for (const i of this.slots) {
			const s = this.model.data.slots[i], old = this.parts[this.parts.length - 1];
			let first = Math.floor(s.gpa / row);
			const last = Math.floor((s.gpa + s.size - PAGE) / row);
			if (old && first <= old.last + 1) {
				this.lines += Math.max(0, last - old.last);
				old.last = Math.max(old.last, last);
				continue;
			}
			if (old)
				this.lines++;
			this.parts.push({ line: this.lines, first, last });
			this.lines += last + 1 - first;
		}
		this.top = Math.max(0, Math.min(this.top, this.lines - this.visible()));
	}

	/* gpa of a line; null: it stands for what is left out, of so many bytes. */
	lineAt(line) {
		const row = this.block * COLUMNS;
		for (let i = 0; i < this.parts.length; i++) {
			const p = this.parts[i];
			if (line === p.line - 1)
				return { gpa: null, bytes: (p.first - this.parts[i - 1].last - 1) * row };
			if (line >= p.line && line <= p.line + p.last - p.first)
				return { gpa: (p.first + line - p.line) * row, bytes: 0 };
		}
		return null;
	}

	lineOf(gpa) {
		const row = Math.floor(gpa / (this.block * COLUMNS));
		for (const p of this.parts)
			if (row <= p.last)
				return p.line + Math.max(0, row - p.first);
		return 0;
	}

	pitch() {
		return Math.max(8, Math.floor((this.canvas.clientWidth - LEFT - RIGHT) / COLUMNS));
	}

	rowHeight() {
		return Math.min(22, Math.max(14, this.pitch() + 3));
	}

	visible() {
		return Math.max(1, Math.floor((this.canvas.clientHeight - TOP) / this.rowHeight()));
	}

	/* The cell under a point. */
	cellAt(x, y) {
		const line = this.lineAt(this.top + Math.floor((y - TOP) / this.rowHeight()));
		const column = Math.floor((x - LEFT) / this.pitch());
		if (!line || line.gpa === null || column < 0 || column >= COLUMNS)
			return null;
		return { start: line.gpa + column * this.block, end: line.gpa + (column + 1) * this.block };
	}

	pointOf(gpa) {
		const line = this.lineOf(gpa);
		const column = Math.floor(gpa % (this.block * COLUMNS) / this.block);
		return { x: LEFT + (column + 0.5) * this.pitch(), y: TOP + (line - this.top + 0.4) * this.rowHeight() };
	}

	/* Blocks become that size; what is at the point stays near it. */
	zoom(block, x, y) {
		const cell = this.cellAt(x, y);
		const at = Math.floor((y - TOP) / this.rowHeight());
		this.block = Math.min(2 ** 50, Math.max(PAGE, block));
		this.makeParts();
		if (cell)
			this.scrollTo(this.lineOf(cell.start) - at);
	}

	scrollTo(line) {
		this.top = Math.max(0, Math.min(Math.round(line), this.lines - this.visible()));
	}

	draw() {
		const ctx = this.ctx, scale = window.devicePixelRatio || 1;
		this.canvas.width = this.canvas.clientWidth * scale;
		this.canvas.height = this.canvas.clientHeight * scale;
		ctx.setTransform(scale, 0, 0, scale, 0, 0);
		ctx.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
		ctx.font = '13px "DejaVu Sans", Helvetica, Arial, sans-serif';
		ctx.textBaseline = 'middle';
		for (let i = 0; i < this.visible() && this.top + i < this.lines; i++)
			this.drawLine(this.lineAt(this.top + i), TOP + i * this.rowHeight());
	}

	drawLine(line, y) {
		const ctx = this.ctx, height = this.rowHeight() - 3;
		if (!line)
			return;
		ctx.fillStyle = '#555';
		if (line.gpa === null) {
			ctx.textAlign = 'left';
			ctx.fillText(`(${sizeText(line.bytes)} without a slot)`, LEFT, y + height / 2);
			return;
		}
		ctx.textAlign = 'right';
		ctx.fillText(hex(line.gpa), LEFT - 8, y + height / 2);
		for (let i = 0; i < COLUMNS; i++)
			this.drawCell(line.gpa + i * this.block, LEFT + i * this.pitch(), y, this.pitch() - 1, height);
		this.drawLabel(line.gpa, y + height / 2);
	}

	drawCell(gpa, x, y, width, height) {
		const ctx = this.ctx, of = this.model.sum(this.slots, gpa, gpa + this.block);
		let done = 0, at = 0;
		if (!of.total)
			return;
		ctx.fillStyle = '#b8b8b8';
		ctx.fillRect(x - 1, y - 1, width + 2, height + 2);
		for (const k of ORDER) {
			if (!of.bytes[k])
				continue;
			done += of.bytes[k];
			const end = Math.min(width, Math.max(at + 1, Math.round(done / this.block * width)));
			ctx.fillStyle = this.tiles[k];
			ctx.fillRect(x + Math.min(at, end - 1), y, Math.max(1, end - at), height);
			at = end;
		}
		if (of.pinned) {
			ctx.fillStyle = '#fff';
			ctx.fillRect(x, y, 6, 6);
			ctx.fillStyle = '#000';
			ctx.fillRect(x + 1, y + 1, 4, 4);
		}
	}

	drawLabel(gpa, y) {
		const end = gpa + this.block * COLUMNS, slots = this.model.data.slots;
		const begin = this.slots.filter(i => slots[i].gpa >= gpa && slots[i].gpa < end);
		if (!begin.length)
			return;
		const more = begin.length > 1 ? `, and ${begin.length - 1} more` : '';
		this.ctx.textAlign = 'left';
		this.ctx.fillStyle = '#111';
		this.ctx.fillText(`slot ${slots[begin[0]].id}: ${sizeText(slots[begin[0]].size)}${more}`,
			LEFT + COLUMNS * this.pitch() + 8, y, RIGHT - 12);
	}
}
