// Network coordinates have eight axes, and a screen has two. This finds the two directions in which points differ most
// (principal component analysis), and turns the points so that these lie along the axes. Distances are not stretched.

const AXES = 8;
const ROUNDS = 30;

export class Projection {
  #centre = new Array(AXES).fill(0);
  #axes = [unit(0), unit(1)];
  /** How much of the spread of the points the two directions show, from 0 to 1. */
  share = 1;

  /** Fits the directions to points. They begin from the last ones, so that the picture does not jump. */
  fit(points) {
    if (!points.length) return;
    this.#centre = unit(0).map((_, axis) => sum(points.map((point) => point[axis])) / points.length);
    let rest = points.map((point) => minus(point, this.#centre));
    const all = spread(rest);
    this.#axes = this.#axes.map((start) => {
      const axis = widest(rest, start);
      rest = rest.map((point) => without(point, axis));
      return axis;
    });
    this.share = all ? 1 - spread(rest) / all : 1;
  }

  /** Where a point is on the screen, in the unit of its axes. */
  place(point) {
    const from = minus(point, this.#centre);
    return this.#axes.map((axis) => dot(from, axis));
  }
}

/** The direction in which points differ most, by power iteration. */
function widest(points, start) {
  let axis = start;
  for (let round = 0; round < ROUNDS; round++) {
    const next = new Array(AXES).fill(0);
    for (const point of points) {
      const along = dot(point, axis);
      for (let n = 0; n < AXES; n++) next[n] += along * point[n];
    }
    const length = Math.hypot(...next);
    if (!length) return start;
    axis = next.map((part) => part / length);
  }
  return axis;
}

/** Not quite along one axis, so that an iteration finds its way from there. */
const unit = (axis) => Array.from({ length: AXES }, (_, n) => (n === axis ? 1 : 0.01 * (n + 1)));
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const dot = (a, b) => sum(a.map((part, n) => part * b[n]));
const minus = (a, b) => a.map((part, n) => part - b[n]);
const without = (point, axis) => {
  const along = dot(point, axis);
  return point.map((part, n) => part - along * axis[n]);
};
const spread = (points) => sum(points.map((point) => dot(point, point)));
