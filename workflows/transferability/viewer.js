// Balls and sticks on a canvas, turned by dragging; no library, no network.
// Every canvas has data-case, the index of its molecule in the JSON element "cases":
// {numbers, positions (Angstrom), bonds (pairs of atoms), values (error of each atom, or null)}.
"use strict";

const COLOURS = { 1: "#f4f4f4", 5: "#ffb5b5", 6: "#8a8a8a", 7: "#4a66d8", 8: "#d8362c",
  9: "#7fc95a", 13: "#b09a9a", 14: "#d9b68a", 15: "#e88a1a", 16: "#e0c020", 17: "#3fb03f",
  35: "#a03a30", 53: "#8020a0" };
const radius = (number) => (number === 1 ? 0.26 : number < 10 ? 0.38 : 0.48);

class Viewer {
  constructor(canvas, molecule) {
    this.canvas = canvas;
    this.molecule = molecule;
    this.turn = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    const reach = Math.max(...molecule.positions.map((p) => Math.hypot(...p)), 1);
    this.size = reach + 0.6;
    this.largest = Math.max(...(molecule.values || []).map(Math.abs), 1e-12);
    this.rotate(-0.5, 0.35);
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      this.rotate((event.clientX - this.last[0]) / 90, (event.clientY - this.last[1]) / 90);
      this.last = [event.clientX, event.clientY];
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => { this.last = null; });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2],
        ArrowDown: [0, 0.2] }[event.key];
      if (step) { this.rotate(...step); event.preventDefault(); }
    });
  }

  rotate(aboutY, aboutX) {
    const [c, s, d, t] = [Math.cos(aboutY), Math.sin(aboutY), Math.cos(aboutX), Math.sin(aboutX)];
    const move = [c, 0, s, t * s, d, -t * c, -d * s, t, d * c];
    const old = this.turn;
    this.turn = move.map((_, k) => {
      const [row, column] = [3 * Math.floor(k / 3), k % 3];
      return move[row] * old[column] + move[row + 1] * old[column + 3] + move[row + 2] * old[column + 6];
    });
    this.draw();
  }

  draw() {
    const { canvas, molecule, turn } = this;
    const pixels = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth || 260, canvas.clientHeight || 220];
    canvas.width = width * pixels;
    canvas.height = height * pixels;
    const context = canvas.getContext("2d");
    context.scale(pixels, pixels);
    const scale = Math.min(width, height) / 2 / this.size;
    const atoms = molecule.positions.map(([x, y, z], k) => ({
      x: width / 2 + scale * (turn[0] * x + turn[1] * y + turn[2] * z),
      y: height / 2 - scale * (turn[3] * x + turn[4] * y + turn[5] * z),
      z: turn[6] * x + turn[7] * y + turn[8] * z,
      number: molecule.numbers[k],
      value: molecule.values ? Math.abs(molecule.values[k]) / this.largest : 0,
    }));
    const items = atoms.map((atom) => ({ z: atom.z, paint: () => ball(context, atom, scale) }));
    for (const [i, j] of molecule.bonds) {
      const [a, b] = [atoms[i], atoms[j]];
      items.push({ z: Math.min(a.z, b.z) - 0.01, paint: () => stick(context, a, b, scale) });
    }
    items.sort((a, b) => a.z - b.z).forEach((item) => item.paint());
    canvas.dataset.drawn = String(atoms.length);
  }
}

function ball(context, atom, scale) {
  const r = radius(atom.number) * scale;
  if (atom.value > 0.05) {  // a halo as wide as the error of this atom
    context.fillStyle = `rgba(214, 39, 120, ${0.15 + 0.35 * atom.value})`;
    circle(context, atom.x, atom.y, r + 0.45 * scale * atom.value);
  }
  const shade = context.createRadialGradient(
    atom.x - r / 3, atom.y - r / 3, r / 8, atom.x, atom.y, r);
  shade.addColorStop(0, "#ffffff");
  shade.addColorStop(0.45, COLOURS[atom.number] || "#c060c0");
  shade.addColorStop(1, "#404040");
  context.fillStyle = shade;
  circle(context, atom.x, atom.y, r);
}

function circle(context, x, y, r) {
  context.beginPath();
  context.arc(x, y, r, 0, 2 * Math.PI);
  context.fill();
}

function stick(context, a, b, scale) {
  context.strokeStyle = "#7a7a7a";
  context.lineWidth = 0.14 * scale;
  context.beginPath();
  context.moveTo(a.x, a.y);
  context.lineTo(b.x, b.y);
  context.stroke();
}

document.addEventListener("DOMContentLoaded", () => {
  const cases = JSON.parse(document.getElementById("cases").textContent);
  for (const canvas of document.querySelectorAll("canvas[data-case]"))
    new Viewer(canvas, cases[Number(canvas.dataset.case)]);
});
