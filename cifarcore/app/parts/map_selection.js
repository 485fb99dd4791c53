// What is selected on the explorer's maps, to and from its words in the address. Between map_drawing.js and maps.js.
const MOST_CORNERS = 60;

class Selecting extends Drawing {
  // A selection as the address names it: a box "A,x0,x1,y0,y1", a lasso "A~x,y,x,y,…", an image "id-class".
  parsed(text) {
    const [, letter, kind, rest] = /^([AB])([,~])(.*)$/.exec(text) ?? [];
    if (letter) {
      const numbers = rest.split(",").map(Number), [x0, x1, y0, y1] = numbers;
      const pairs = numbers.flatMap((x, at) => (at % 2 ? [] : [[x, numbers[at + 1]]]));
      return { letter, text, corners: kind === "~" ? pairs : [[x0, y0], [x1, y0], [x1, y1], [x0, y1]] };
    }
    const [id] = text.split("-"), name = text.slice(id.length + 1), place = this.data.names.indexOf(name);
    if (!/^[0-9a-f]{1,16}$/.test(id)) return null;
    const sought = BigInt(`0x${id}`), ofLabel = place < 0 ? Number(name) : place; // which addresses once counted
    const row = this.ids.findIndex((each, i) => each === sought && this.labels[i] === ofLabel);
    return row < 0 ? null : { text, row };
  }

  mark(shape) {
    if (shape?.text && !shape.corners) shape = this.parsed(shape.text);
    this.shape = shape;
    const map = shape && this.maps.find((each) => each.letter === shape.letter);
    this.marked = null;
    if (map) {
      const [x0, x1, y0, y1] = this.data.bounds, box = !shape.text.includes("~"), corners = shape.corners;
      this.marked = Uint8Array.from(this.labels, (_, i) => {
        const x = x0 + (map.xy[2 * i] * (x1 - x0)) / 65535, y = y0 + (map.xy[2 * i + 1] * (y1 - y0)) / 65535;
        if (box) return x >= corners[0][0] && x <= corners[2][0] && y >= corners[0][1] && y <= corners[2][1];
        let inside = false;
        for (let k = 0, last = corners.length - 1; k < corners.length; last = k++) {
          const [xk, yk] = corners[k], [xl, yl] = corners[last];
          if (yk > y !== yl > y && x < ((xl - xk) * (y - yk)) / (yl - yk) + xk) inside = !inside;
        }
        return inside;
      });
    } else if (shape) (this.marked = new Uint8Array(this.labels.length))[shape.row] = 1;
  }

  boxText(panel, from, to) {
    const [[x0, y0], [x1, y1]] = [this.onMap(panel, from), this.onMap(panel, to)];
    const ends = [Math.min(x0, x1), Math.max(x0, x1), Math.min(y0, y1), Math.max(y0, y1)];
    return [panel.map.letter, ...ends.map((value) => Number(value.toPrecision(8)))].join(",");
  }

  lassoText(panel, path) {
    const every = Math.ceil(path.length / MOST_CORNERS);
    const corners = path.filter((_, at) => at % every === 0).map((at) => this.onMap(panel, at));
    return `${panel.map.letter}~${corners.flat().map((value) => Number(value.toPrecision(5))).join(",")}`;
  }

  imageText(row) {
    return `${this.ids[row].toString(16).padStart(16, "0")}-${this.data.names[this.labels[row]]}`;
  }
}
