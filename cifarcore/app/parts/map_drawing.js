// How the explorer's maps are drawn: point by point on the CPU, so that they are smooth without a GPU. Put first.
const GAP = 16, MOST_THUMBS = 150, THUMB = 28, REACH = 8, CLASSES_FROM = 2;
const ROOM = 14000; // square pixels of a map for each name on it

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
const pixel = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const mixed = (from, to, share) => from.map((value, at) => Math.round(value + (to[at] - value) * share));

// Knows `data` and `maps` (what Python sent, unpacked), `views` (where each map is looked at), `shape` and `marked`
// (the selection), `hidden` (groups), `named`, `drag`, and the elements `root`, `frame` and `canvas`.
class Drawing {
  // Groups that matter most are drawn last, where the groups have an order.
  order(codes) {
    const order = Uint32Array.from(codes.keys());
    return this.data.ordered ? order.sort((i, j) => codes[i] - codes[j] || i - j) : order;
  }

  // The size and the theme of the moment.
  resize() {
    const style = getComputedStyle(this.root instanceof ShadowRoot ? this.root.host : this.root);
    const text = style.getPropertyValue("--st-text-color").trim() || "#222222";
    const ground = style.getPropertyValue("--st-background-color").trim() || "#ffffff";
    const [back, ink] = [ground, text].map((color) => /^#[0-9a-f]{6}$/i.test(color) ? channels(color) : null);
    this.ground = back ?? [255, 255, 255];
    const dark = (this.dark = this.ground[0] + this.ground[1] + this.ground[2] < 384);
    this.ink = `rgb(${(ink ?? (dark ? [250, 250, 250] : [40, 40, 40])).join(",")})`;
    this.paper = `rgb(${this.ground.join(",")})`;
    this.font = style.getPropertyValue("--st-font").trim() || "sans-serif";
    const colors = this.data.colors.map((pair) => channels(pair[dark ? 1 : 0]));
    this.full = Uint32Array.from(colors, pixel);
    this.dim = Uint32Array.from(colors, (color) => pixel(mixed(this.ground, color, 0.18)));
    this.css = colors.map((color) => `rgb(${color.join(",")})`);
    this.swatches?.forEach((swatch, code) => (swatch.style.background = this.css[code]));
    const width = Math.floor(this.frame.clientWidth), stacked = width < 640 && this.maps.length > 1;
    if (!width) return;
    const height = stacked ? 2 * Math.min(width, 420) + GAP : Math.min(620, Math.max(420, width / 2));
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.style.height = `${height}px`;
    const pixelsX = Math.round(width * this.ratio), pixelsY = Math.round(height * this.ratio);
    if (this.canvas.width !== pixelsX || this.canvas.height !== pixelsY) {
      this.canvas.width = pixelsX;
      this.canvas.height = pixelsY;
    }
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    const across = stacked || this.maps.length < 2 ? width : (width - GAP) / 2;
    const down = stacked ? (height - GAP) / 2 : height;
    const [x0, x1, y0, y1] = this.data.bounds;
    this.panels = this.maps.map((map, at) => ({
      map, left: stacked ? 0 : at * (across + GAP), top: stacked ? at * (down + GAP) : 0, width: across, height: down,
      scale: 0.94 * Math.min(across / (x1 - x0), down / (y1 - y0)),
    }));
    this.views = this.views.map((view) => view ?? { zoom: 1, x: (x0 + x1) / 2, y: (y0 + y1) / 2 });
    this.panels.forEach((panel, at) => (panel.view = this.views[at]));
    this.draw();
  }

  draw() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      this.paint();
    });
  }

  paint() {
    this.pixels.fill(pixel(this.ground));
    const visible = this.panels.map((panel) => this.points(panel));
    this.context.putImageData(this.image, 0, 0);
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.panels.forEach((panel, at) => this.furnish(panel, visible[at]));
  }

  // The points of one map, into the pixels; the first MOST_THUMBS + 1 that are seen.
  points(panel) {
    const { pixels, ratio, marked, labels } = this, stride = this.canvas.width;
    const { map, view } = panel, { xy, codes, order } = map;
    const [x0, x1, y0, y1] = this.data.bounds, size = panel.scale * view.zoom * ratio;
    const ax = (size * (x1 - x0)) / 65535, ay = (-size * (y1 - y0)) / 65535;
    const bx = (panel.left + panel.width / 2) * ratio + (x0 - view.x) * size;
    const by = (panel.top + panel.height / 2) * ratio - (y0 - view.y) * size;
    const base = Math.sqrt(Math.min(40, Math.max(4, 60000 / labels.length)) / Math.PI);
    const { radius, solid, edge, cover } = this.stamp(Math.min(6, base * view.zoom ** 0.3) * ratio, stride);
    const left = panel.left * ratio + radius, right = (panel.left + panel.width) * ratio - radius - 1;
    const top = panel.top * ratio + radius, bottom = (panel.top + panel.height) * ratio - radius - 1;
    const hidden = new Uint8Array(this.full.length), seen = [];
    for (const code of this.hidden) hidden[code] = 1;
    for (const wanted of marked ? [0, 1] : [2]) {
      const paint = wanted ? this.full : this.dim;
      for (let k = 0; k < order.length; k++) {
        const i = order[k];
        if (hidden[codes[i]] || (wanted < 2 && marked[i] !== wanted)) continue;
        const x = (ax * xy[2 * i] + bx + 0.5) | 0, y = (ay * xy[2 * i + 1] + by + 0.5) | 0;
        if (x < left || x > right || y < top || y > bottom) continue;
        if (seen.length <= MOST_THUMBS) seen.push(i);
        const at = y * stride + x, color = paint[codes[i]];
        for (let s = 0; s < solid.length; s++) pixels[at + solid[s]] = color;
        for (let s = 0; s < edge.length; s++) {
          const p = at + edge[s], share = cover[s], rest = 255 - share, under = pixels[p];
          const odd = (((color & 0xff00ff) * share + (under & 0xff00ff) * rest) >>> 8) & 0xff00ff;
          const green = (((color >>> 8) & 0xff) * share + ((under >>> 8) & 0xff) * rest) & 0xff00;
          pixels[p] = (0xff000000 | odd | green) >>> 0;
        }
      }
    }
    return seen;
  }

  // The pixels of a disc about a point: those it covers whole, and those at its edge with their share of 255.
  stamp(size, stride) {
    const key = `${Math.round(size * 8)} ${stride}`;
    if (this.stamped?.key === key) return this.stamped;
    const radius = Math.ceil(size), solid = [], edge = [], cover = [];
    for (let y = -radius; y <= radius; y++)
      for (let x = -radius; x <= radius; x++) {
        const share = Math.round(255 * Math.min(1, Math.max(0, size + 0.5 - Math.hypot(x, y))));
        if (share > 250) solid.push(y * stride + x);
        else if (share > 12) edge.push(y * stride + x), cover.push(share);
      }
    const parts = { solid: Int32Array.from(solid), edge: Int32Array.from(edge), cover: Uint8Array.from(cover) };
    return (this.stamped = { key, radius, ...parts });
  }

  place(panel, i) {
    const [x0, x1, y0, y1] = this.data.bounds, { xy } = panel.map;
    return this.onScreen(panel, x0 + (xy[2 * i] * (x1 - x0)) / 65535, y0 + (xy[2 * i + 1] * (y1 - y0)) / 65535);
  }

  onScreen({ left, top, width, height, scale, view }, x, y) {
    return [left + width / 2 + (x - view.x) * scale * view.zoom, top + height / 2 - (y - view.y) * scale * view.zoom];
  }

  onMap({ left, top, width, height, scale, view }, [x, y]) {
    const size = scale * view.zoom;
    return [view.x + (x - left - width / 2) / size, view.y - (y - top - height / 2) / size];
  }

  // Pictures, names, the selection's outline and the model's letter, within the map's part of the canvas.
  furnish(panel, seen) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(panel.left, panel.top, panel.width, panel.height);
    context.clip();
    if (this.data.picture_url && panel.view.zoom >= 1.5 && seen.length <= MOST_THUMBS) this.thumbs(panel, seen);
    if (this.named) this.names(panel);
    this.outline(panel);
    context.restore();
    context.font = `700 13px ${this.font}`;
    context.textAlign = "left";
    this.text(panel.map.letter, panel.left + 8, panel.top + 14, this.data.keys[panel.map.letter][this.dark ? 1 : 0]);
    context.strokeStyle = this.ink;
    context.globalAlpha = 0.25;
    context.lineWidth = 1;
    context.strokeRect(panel.left + 0.5, panel.top + 0.5, panel.width - 1, panel.height - 1);
    context.globalAlpha = 1;
  }

  thumbs(panel, seen) {
    const { context } = this;
    context.imageSmoothingEnabled = false;
    context.lineWidth = 2;
    for (const i of seen) {
      const picture = this.picture(i);
      if (!picture?.complete || !picture.naturalWidth) continue;
      const [x, y] = this.place(panel, i);
      context.globalAlpha = this.marked && !this.marked[i] ? 0.25 : 1;
      context.drawImage(picture, x - THUMB / 2, y - THUMB / 2, THUMB, THUMB);
      context.strokeStyle = this.css[panel.map.codes[i]];
      context.strokeRect(x - THUMB / 2, y - THUMB / 2, THUMB, THUMB);
    }
    context.globalAlpha = 1;
  }

  picture(i) {
    if (!this.pictured[i] || !this.data.picture_url) return null;
    const name = this.ids[i].toString(16).padStart(16, "0");
    if (!this.pictures.has(name)) {
      const picture = new Image();
      picture.src = `${this.data.picture_url}${name}.png`;
      picture.onload = () => this.draw();
      this.pictures.set(name, picture);
    }
    return this.pictures.get(name);
  }

  // The names of classes at their medians, or of superclasses while most of a map is seen; of two that would
  // cover each other, and of more than a small map has room for, those of the tighter clusters stand.
  names(panel) {
    const { context } = this, { names, superclasses } = panel.map, { left, top, width, height } = panel, taken = [];
    const written = superclasses.length && panel.view.zoom < CLASSES_FROM ? superclasses : names;
    context.font = `600 ${Math.min(14, 11 + Math.log2(panel.view.zoom))}px ${this.font}`;
    context.textAlign = "center";
    for (const [name, mapX, mapY] of written) {
      const [x, y] = this.onScreen(panel, mapX, mapY), half = context.measureText(name).width / 2 + 3;
      if (x < left || x > left + width || y < top || y > top + height) continue;
      if (taken.length * ROOM > width * height) break;
      const covers = ([otherX, otherY, other]) => Math.abs(x - otherX) < half + other && Math.abs(y - otherY) < 15;
      if (taken.some(covers)) continue;
      taken.push([x, y, half]);
      this.text(name, x, y, this.ink);
    }
  }

  text(text, x, y, color) {
    const { context } = this;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3.5;
    context.strokeStyle = this.paper;
    context.strokeText(text, x, y);
    context.fillStyle = color;
    context.fillText(text, x, y);
  }

  outline(panel) {
    const { context } = this, corners = this.corners(panel);
    context.strokeStyle = this.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    if (this.shape?.row >= 0) context.arc(...this.place(panel, this.shape.row), 9, 0, 7);
    else if (corners) {
      corners.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
    }
    context.stroke();
  }

  corners(panel) {
    if (this.drag?.panel === panel && this.drag.path) {
      const [[x0, y0], [x1, y1]] = [this.drag.path[0], this.drag.path.at(-1)];
      return this.drag.tool === "lasso" ? this.drag.path : [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
    }
    return this.shape?.letter === panel.map.letter && this.shape.corners.map(([x, y]) => this.onScreen(panel, x, y));
  }

  panelAt([x, y]) {
    return this.panels.find(
      ({ left, top, width, height }) => x >= left && x < left + width && y >= top && y < top + height,
    );
  }

  nearest(panel, [x, y]) {
    const [x0, x1, y0, y1] = this.data.bounds, { xy, codes } = panel.map, [mapX, mapY] = this.onMap(panel, [x, y]);
    const wantX = ((mapX - x0) / (x1 - x0)) * 65535, wantY = ((mapY - y0) / (y1 - y0)) * 65535;
    const sizeX = (x1 - x0) / 65535, sizeY = (y1 - y0) / 65535;
    let best = (REACH / (panel.scale * panel.view.zoom)) ** 2, found = -1;
    for (let i = 0; i < codes.length; i++) {
      const distance = ((xy[2 * i] - wantX) * sizeX) ** 2 + ((xy[2 * i + 1] - wantY) * sizeY) ** 2;
      if (distance <= best && !this.hidden.has(codes[i])) [best, found] = [distance, i];
    }
    return found;
  }
}
