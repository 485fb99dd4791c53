// Two maps of the test images on one canvas: zoom, pan, box and lasso, a legend that hides groups, a picture at the
// pointer. All text comes from run files: it is only ever drawn, or set as textContent. Nothing moves on its own.
const CLOSEST = 400;
const TOOLS = { box: "Box", lasso: "Lasso", pan: "Move" };
const KEYS = { b: "box", l: "lasso", m: "pan" };
const MOVES = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const HELP = "Arrow keys move both maps, plus and minus zoom, 0 fits, Enter selects what the left map shows, " +
  "Shift and Enter what the right one shows, Escape clears the selection.";

const unpack = (text) => {
  const [kind, body] = text.split(":");
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new { u1: Uint8Array, u2: Uint16Array, u8: BigUint64Array }[kind](bytes.buffer);
};
const make = (tag, className, text = "") => {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  return element;
};
const pressed = (label, hint, act) => {
  const button = make("button", "", label);
  button.type = "button";
  button.title = hint;
  button.onclick = act;
  return button;
};

class Maps extends Selecting {
  constructor(root) {
    super();
    this.frame = make("div", "frame");
    this.canvas = make("canvas", "maps");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.tip = make("div", "tip");
    this.tip.hidden = true;
    this.frame.append(this.canvas, this.tip);
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.legend = make("div", "legend");
    this.legend.setAttribute("role", "group");
    this.legend.setAttribute("aria-label", "Groups shown");
    root.replaceChildren(...root.querySelectorAll("style, link"), this.bar(), this.frame, this.legend);
    this.root = root;
    this.hidden = new Set();
    this.pictures = new Map();
    this.pointers = new Map();
    this.scrolledElsewhere = -Infinity;
    this.listen();
  }

  bar() {
    const bar = make("div", "bar"), tools = make("div", "group"), zoom = make("div", "group");
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", "Dragging");
    this.tools = {};
    for (const [name, label] of Object.entries(TOOLS)) {
      const hint = `Dragging: ${label.toLowerCase()} (key ${name === "pan" ? "M" : label[0]})`;
      this.tools[name] = pressed(label, hint, () => this.use(name));
      tools.append(this.tools[name]);
    }
    zoom.append(
      pressed("+", "Zoom in", () => this.zoomAll(1.6)),
      pressed("−", "Zoom out", () => this.zoomAll(1 / 1.6)),
      pressed("Fit", "Show the whole of both maps", () => this.fit()),
    );
    this.named = true;
    this.naming = pressed("Names", "Show or hide the names of classes (key N)", () => this.name());
    this.naming.setAttribute("aria-pressed", true);
    const shown = make("div", "group");
    shown.append(this.naming);
    bar.append(tools, zoom, shown);
    this.use("box");
    return bar;
  }

  use(tool) {
    this.tool = tool;
    for (const [name, button] of Object.entries(this.tools)) button.setAttribute("aria-pressed", name === tool);
    this.canvas.style.cursor = tool === "pan" ? "grab" : "crosshair";
    this.canvas.style.touchAction = tool === "box" ? "pan-y" : "none"; // a finger that moves down the page scrolls it
  }

  name() {
    this.named = !this.named;
    this.naming.setAttribute("aria-pressed", this.named);
    this.draw();
  }

  // What Python sent: unpacked once for each version; the view stays where the reader moved it.
  show(data) {
    if (data.version !== this.version) {
      this.version = data.version;
      const before = this.data;
      this.data = data;
      this.maps = data.maps.map((map) => ({
        ...map, xy: unpack(map.xy), codes: unpack(map.codes), given: unpack(map.given), sure: unpack(map.sure),
      }));
      this.labels = unpack(data.labels);
      this.ids = unpack(data.ids);
      this.pictured = unpack(data.pictured);
      for (const map of this.maps) map.order = this.order(map.codes);
      const alike = (value) => JSON.stringify([value?.bounds, value?.maps.map((map) => map.title)]);
      if (alike(before) !== alike(data)) this.views = this.maps.map(() => null);
      if (JSON.stringify(before?.groups) !== JSON.stringify(data.groups)) this.hidden.clear();
      this.canvas.setAttribute("aria-label", `${data.description} ${HELP}`);
      this.drawLegend();
    }
    if (data.turn !== this.turn) {
      this.turn = data.turn;
      this.mark(this.parsed(data.start));
    } else this.mark(this.shape);
    this.resize();
  }

  drawLegend() {
    const { groups, ramp } = this.data;
    const same = this.maps.every((map) => map.codes.every((code, at) => code === this.maps[0].codes[at]));
    if (ramp) {
      const bar = make("span", "ramp");
      bar.style.background = `linear-gradient(90deg, ${this.data.colors.map(([light]) => light).join(", ")})`;
      this.legend.replaceChildren(make("span", "", ramp[0]), bar, make("span", "", ramp[1]));
      return;
    }
    const counts = new Uint32Array(groups.length);
    if (same) for (const code of this.maps[0].codes) counts[code] += 1;
    this.swatches = [];
    this.legend.replaceChildren(...groups.map((name, code) => {
      const button = pressed("", "Show or hide these points", () => {
        this.hidden.has(code) ? this.hidden.delete(code) : this.hidden.add(code);
        button.setAttribute("aria-pressed", !this.hidden.has(code));
        this.draw();
      });
      const swatch = make("span", "swatch");
      this.swatches.push(swatch);
      button.append(swatch, make("span", "", name));
      if (same) button.append(make("span", "count", counts[code].toLocaleString("en")));
      button.setAttribute("aria-pressed", !this.hidden.has(code));
      return button;
    }));
  }

  choose(text) {
    this.mark(text ? this.parsed(text) : null);
    this.send(text);
    this.draw();
  }

  zoom(panel, factor, at) {
    const { view } = panel, zoom = Math.min(CLOSEST, Math.max(1, view.zoom * factor)), [x, y] = this.onMap(panel, at);
    view.x = x + ((view.x - x) * view.zoom) / zoom;
    view.y = y + ((view.y - y) * view.zoom) / zoom;
    view.zoom = zoom;
    this.draw();
  }

  zoomAll(factor) {
    for (const panel of this.panels) {
      this.zoom(panel, factor, [panel.left + panel.width / 2, panel.top + panel.height / 2]);
    }
  }

  fit() {
    this.views = this.maps.map(() => null);
    this.resize();
  }

  pan(panel, x, y) {
    panel.view.x -= x / (panel.scale * panel.view.zoom);
    panel.view.y += y / (panel.scale * panel.view.zoom);
    this.draw();
  }

  listen() {
    const { canvas } = this, at = (event) => [event.offsetX, event.offsetY];
    canvas.onpointerdown = (event) => {
      canvas.focus({ preventScroll: true });
      const panel = this.panelAt(at(event));
      if (!panel) return;
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      const pinching = this.pointers.size > 1;
      const tool = event.button === 1 || event.shiftKey || pinching ? "pan" : this.tool;
      this.drag = { panel, tool, pinching, path: null, start: at(event), last: at(event) };
      this.tip.hidden = true;
      if (event.button === 1) event.preventDefault();
    };
    canvas.onpointermove = (event) => {
      if (!this.drag) return this.hover(at(event));
      if (!this.pointers.has(event.pointerId)) return;
      const spread = () => {
        const [one, other] = this.pointers.values();
        return other ? Math.hypot(other[0] - one[0], other[1] - one[1]) : 0;
      };
      const before = spread();
      this.pointers.set(event.pointerId, at(event));
      const { panel, tool, start, last } = this.drag, [x, y] = at(event);
      if (this.pointers.size > 1) this.zoom(panel, spread() / Math.max(1, before), [x, y]);
      else if (this.drag.path || Math.hypot(x - start[0], y - start[1]) > 4) {
        this.drag.path ??= [start];
        if (tool === "pan") this.pan(panel, x - last[0], y - last[1]);
        else {
          const inX = Math.min(Math.max(x, panel.left), panel.left + panel.width);
          this.drag.path.push([inX, Math.min(Math.max(y, panel.top), panel.top + panel.height)]);
        }
      }
      this.drag.last = [x, y];
      this.draw();
    };
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      this.pointers.delete(event.pointerId);
      const { drag } = this;
      this.drag = null;
      if (!drag) return;
      // the browser took the finger to scroll, or two of them zoomed
      if (event.type === "pointercancel" || drag.pinching) return this.draw();
      const { panel, tool, path, start } = drag, row = path ? -1 : this.nearest(panel, start);
      if (path && tool === "box") this.choose(this.boxText(panel, start, path.at(-1)));
      else if (path && tool === "lasso" && path.length > 2) this.choose(this.lassoText(panel, path));
      else if (row >= 0) this.choose(this.imageText(row));
      this.draw();
    };
    canvas.onpointerleave = () => (this.tip.hidden = true);
    canvas.ondblclick = () => this.choose("");
    canvas.onwheel = (event) => {
      const panel = this.panelAt(at(event));
      // a page that is being scrolled past goes on, and at the whole map a turn outwards scrolls the page
      if (event.timeStamp - this.scrolledElsewhere < 300) return (this.scrolledElsewhere = event.timeStamp);
      if (!panel || (event.deltaY > 0 && panel.view.zoom <= 1)) return;
      event.preventDefault();
      this.zoom(panel, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), at(event));
      this.tip.hidden = true;
    };
    canvas.onkeydown = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const panel = this.panels[event.shiftKey ? this.panels.length - 1 : 0], { key } = event;
      if (MOVES[key]) this.panels.forEach((each) => this.pan(each, 60 * MOVES[key][0], 60 * MOVES[key][1]));
      else if (key === "+" || key === "=") this.zoomAll(1.6);
      else if (key === "-") this.zoomAll(1 / 1.6);
      else if (key === "0") this.fit();
      else if (key === "Escape") this.choose("");
      else if (key === "Enter") {
        const { left, top, width, height } = panel;
        this.choose(this.boxText(panel, [left, top], [left + width, top + height]));
      }
      else if (KEYS[key]) this.use(KEYS[key]);
      else if (key === "n") this.name();
      else return;
      event.preventDefault();
    };
    window.addEventListener("wheel", (event) => {
      if (!event.composedPath().includes(canvas)) this.scrolledElsewhere = event.timeStamp;
    }, { passive: true });
    new ResizeObserver(() => this.data && this.resize()).observe(this.frame);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => setTimeout(() => this.data && this.resize(), 300));
  }

  hover(at) {
    const panel = this.panelAt(at), row = panel ? this.nearest(panel, at) : -1;
    this.tip.hidden = row < 0;
    if (row < 0) return;
    const { names } = this.data, picture = this.picture(row), lines = [make("b", "", names[this.labels[row]])];
    for (const map of this.maps) {
      const right = map.given[row] === this.labels[row], sure = map.sure[row] > 100 ? "" : `, ${map.sure[row]}%`;
      lines.push(make("span", "", `${map.letter}: ${names[map.given[row]]}${sure} ${right ? "✓" : "✗"}`));
    }
    if (picture) {
      const shown = make("img", "");
      shown.src = picture.src;
      shown.alt = "";
      lines.unshift(shown);
    }
    this.tip.replaceChildren(...lines);
    const [x, y] = this.place(panel, row), right = x + this.tip.offsetWidth + 14 > this.frame.clientWidth;
    this.tip.style.left = `${Math.max(0, right ? x - this.tip.offsetWidth - 12 : x + 12)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(y - 20, this.frame.clientHeight - this.tip.offsetHeight))}px`;
  }
}

const drawn = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  if (!drawn.get(parentElement)?.frame.isConnected) drawn.set(parentElement, new Maps(parentElement));
  const maps = drawn.get(parentElement);
  maps.send = (text) => setTriggerValue("marked", text);
  maps.show(data);
}
