/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the buttons do. A place in the page can be linked to: #at=SECONDS&guest=N&block=BYTES&gpa=ADDRESS. */
const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
const model = new Model(data), view = new View($('map'), model);
const spaces = [];
let space = 0, now = data.now, timer = null;

for (const [i, s] of data.slots.entries()) {
	const name = `${data.processes[s.process] || 'process'}, VM ${s.vm}${s.as ? ', SMM' : ''}`;
	let known = spaces.find(k => k.name === name);
	if (!known)
		spaces.push(known = { name, slots: [] });
	known.slots.push(i);
}

function whoText(run) {
	const w = data.who[run[3]];
	const when = `${(run[4] / 1e9).toFixed(6)} s`;
	if (!w)
		return `last change: seen at ${when}`;
	const by = [w.where, w.pid && `process ${w.pid}`, w.thread && `thread ${w.thread}`, w.vcpu && `vCPU ${w.vcpu - 1}`];
	return `last change: ${w.kind} at ${when}\n${by.filter(x => x).join(', ')}`;
}

function tipText(cell) {
	const of = model.sum(view.slots, cell.start, cell.end), lines = [`${hex(cell.start)} - ${hex(cell.end)} (${sizeText(cell.end - cell.start)})`];
	for (const i of of.slots.slice(0, 3)) {
		const s = data.slots[i];
		const at = s.fo + Math.max(0, cell.start - s.gpa);
		lines.push(`slot ${s.id}${s.file ? `, guest_memfd ${s.file} at ${hex(at)}` : ''}`);
	}
	if (!of.slots.length)
		lines.push('no slot');
	data.classes.forEach((k, i) => {
		if (of.bytes[i])
			lines.push(of.bytes[i] === of.total ? k.name : `${k.name}: ${sizeText(of.bytes[i])}`);
	});
	if (of.pinned)
		lines.push(`pinned: ${sizeText(of.pinned)}`);
	if (of.last)
		lines.push(whoText(of.last));
	return lines.join('\n');
}

function showTip(x, y) {
	const cell = view.cellAt(x, y), tip = $('tip');
	tip.hidden = !cell;
	if (!cell)
		return;
	tip.textContent = tipText(cell);
	tip.style.left = `${Math.max(0, Math.min(x + 14, view.canvas.clientWidth - tip.offsetWidth - 4))}px`;
	tip.style.top = `${y + 18 + tip.offsetHeight > view.canvas.clientHeight ? Math.max(0, y - tip.offsetHeight - 8) : y + 18}px`;
}

function drawLegend(totals) {
	data.classes.forEach((k, i) => {
		const item = $('legend').children[i];
		item.lastChild.textContent = `${k.name}${totals.bytes[i] ? `: ${sizeText(totals.bytes[i])}` : ''}`;
		item.className = totals.bytes[i] ? '' : 'none';
	});
}

function draw() {
	const slots = spaces.length ? spaces[space].slots.filter(i => model.isThere(i, now)) : [];
	view.setSlots(slots);
	view.draw();
	drawLegend(model.sum(view.slots, 0, Infinity));
	$('block').textContent = sizeText(view.block);
	$('clock').textContent = `${(now / 1e9).toFixed(6)} s, change ${model.at} of ${data.changes.length}`;
	$('time').value = data.end > data.begin ? Math.round((now - data.begin) / (data.end - data.begin) * 10000) : 10000;
}

function setTime(ns) {
	now = Math.min(data.end, Math.max(data.begin, ns));
	model.go(model.count(now));
	draw();
}

/* Changes of one moment are one step. */
function step(by) {
	const changes = data.changes;
	if (by > 0 && model.at < changes.length)
		setTime(changes[model.at][0]);
	if (by < 0 && model.at > 0) {
		const before = model.count(changes[model.at - 1][0] - 1);
		setTime(before ? changes[before - 1][0] : data.begin);
	}
}

function play() {
	if (timer) {
		clearInterval(timer);
		timer = null;
	} else {
		if (now >= data.end)
			setTime(data.begin);
		timer = setInterval(() => {
			setTime(now + (data.end - data.begin) / 200);
			if (now >= data.end)
				play();
		}, 50);
	}
	$('play').textContent = timer ? 'stop' : 'play';
}

function zoom(by, x, y) {
	view.zoom(view.block * by, x === undefined ? LEFT : x, y === undefined ? TOP : y);
	draw();
}

function scroll(lines) {
	view.scrollTo(view.top + lines);
	draw();
}

const keys = {
	'+': () => zoom(1 / 2), '=': () => zoom(1 / 2), '-': () => zoom(2), '0': () => { view.fit(); draw(); },
	'ArrowUp': () => scroll(-1), 'ArrowDown': () => scroll(1),
	'PageUp': () => scroll(-view.visible()), 'PageDown': () => scroll(view.visible()),
	'ArrowLeft': () => step(-1), 'ArrowRight': () => step(1), ' ': play,
	'Home': () => setTime(data.begin), 'End': () => setTime(data.end),
};

function listen() {
	let grip = null;
	const canvas = view.canvas;
	canvas.addEventListener('wheel', e => {
		e.preventDefault();
		zoom(e.deltaY < 0 ? 1 / 2 : 2, e.offsetX, e.offsetY);
		showTip(e.offsetX, e.offsetY);
	}, { passive: false });
	canvas.addEventListener('pointerdown', e => { grip = { y: e.offsetY, top: view.top }; canvas.setPointerCapture(e.pointerId); });
	canvas.addEventListener('pointerup', () => { grip = null; });
	canvas.addEventListener('pointermove', e => {
		if (grip) {
			view.scrollTo(grip.top + (grip.y - e.offsetY) / view.rowHeight());
			draw();
		}
		showTip(e.offsetX, e.offsetY);
	});
	canvas.addEventListener('pointerleave', () => { $('tip').hidden = true; });
	document.addEventListener('keydown', e => {
		if (e.target.tagName === 'SELECT' || e.ctrlKey || e.altKey || e.metaKey || !keys[e.key] ||
		    (e.key === ' ' && e.target.tagName === 'BUTTON'))
			return;
		e.preventDefault();
		keys[e.key]();
	});
	$('time').addEventListener('input', e => setTime(e.target.value >= 10000 ? data.end :
		Math.round(data.begin + e.target.value / 10000 * (data.end - data.begin))));
	$('space').addEventListener('change', e => { space = Number(e.target.value); view.block = 0; draw(); });
	$('in').onclick = () => zoom(1 / 2);
	$('out').onclick = () => zoom(2);
	$('fit').onclick = keys['0'];
	$('back').onclick = () => step(-1);
	$('forth').onclick = () => step(1);
	$('play').onclick = play;
	window.addEventListener('resize', draw);
}

function fill() {
	document.title = $('title').textContent = data.title;
	$('notes').textContent = data.notes.join('\n');
	spaces.forEach((s, i) => $('space').add(new Option(s.name, i)));
	$('time-controls').hidden = !data.changes.length;
	$('time-controls').style.display = data.changes.length ? '' : 'none';
	data.classes.forEach(k => {
		const item = document.createElement('li'), swatch = document.createElement('canvas');
		swatch.width = 34;
		swatch.height = 18;
		const c = swatch.getContext('2d');
		c.fillStyle = makeTile(c, k);
		c.fillRect(0, 0, 34, 18);
		item.append(swatch, document.createElement('span'));
		$('legend').append(item);
	});
}

function start() {
	const place = new URLSearchParams(location.hash.slice(1));
	fill();
	listen();
	space = Math.min(Math.max(0, spaces.length - 1), Number(place.get('guest') || 0));
	$('space').value = space;
	setTime(place.has('at') ? Number(place.get('at')) * 1e9 : data.now);
	if (place.has('block')) {
		view.block = Number(place.get('block'));
		draw();
	}
	if (place.has('gpa')) {
		view.scrollTo(view.lineOf(Number(place.get('gpa'))));
		draw();
	}
}

start();
