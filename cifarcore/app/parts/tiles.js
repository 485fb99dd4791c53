// Tiles of images. All text comes from run files, so it is only ever set as textContent.
let watching = null;

// Once the dialog that a tile opened is closed, the keyboard's focus is on the tile of the image that it showed last.
const returnFocus = (root, opened) => {
  let shown = false, last = opened;
  watching?.disconnect();
  watching = new MutationObserver(() => {
    if (document.querySelector("[role=dialog]")) {
      shown = true;
      last = new URLSearchParams(location.search).get("image")?.split("-")[0] ?? last;
    } else if (shown) {
      watching.disconnect();
      const tile = (id) => [...root.querySelectorAll("button.card")].find((card) => card.dataset.id === id);
      setTimeout(() => (tile(last) ?? tile(opened))?.focus());
    }
  });
  watching.observe(document.body, { childList: true, subtree: true });
};

export default function ({ data, parentElement, setTriggerValue }) {
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    element.className = className;
    if (text) element.textContent = text;
    return element;
  };

  const picture = (source, text) => {
    const element = make("img", "picture");
    element.src = source;
    element.alt = text;
    element.loading = "lazy";
    return element;
  };

  const paired = data.items.some((item) => item.twin || item.images?.length > 1);
  const grid = make("div", data.compact ? "grid compact" : paired ? "grid paired" : "grid");
  data.items.forEach((item, index) => {
    const card = make(data.clickable ? "button" : "div", "card");
    if (data.clickable) {
      card.type = "button";
      card.onclick = () => {
        if (!parentElement.host?.closest("[role=dialog]")) returnFocus(parentElement, item.id);
        setTriggerValue("clicked", index);
      };
    }
    card.dataset.id = item.id;
    const pictures = make("span", "pictures");
    for (const source of item.images ?? (item.image ? [item.image] : [])) pictures.append(picture(source, item.label));
    if (!pictures.children.length && data.pictured) pictures.append(make("span", "picture missing", "no picture here"));
    if (item.twin) {
      const twin = make("span", "twin");
      twin.append(picture(item.twin, "training image"), make("span", "", "in training"));
      if (item.twin_label) twin.append(make("b", "", item.twin_label));
      pictures.append(twin);
    }
    card.append(pictures);
    card.append(make("span", "label", item.label));
    for (const model of item.models ?? []) {
      const line = make("span", model.right ? "model right" : "model wrong");
      const letter = make("span", "letter", model.letter);
      letter.style.background = data.colors[model.letter];
      line.append(letter, make("span", "name", model.name));
      if (model.confidence) line.append(make("span", "confidence", model.confidence));
      line.append(make("span", "mark", model.right ? "✓" : "✗"));
      const said = [model.name, model.confidence, model.right ? "correct" : "wrong"];
      line.title = `${model.letter}: ${said.filter(Boolean).join(", ")}`;
      card.append(line);
      if (model.seeds) {
        const seeds = make("span", "seeds", model.dots || model.seeds);
        seeds.title = `${model.letter}: ${model.seeds}`;
        if (model.dots) {
          seeds.setAttribute("role", "img");
          seeds.setAttribute("aria-label", seeds.title);
        }
        card.append(seeds);
      }
    }
    if (item.note) card.append(make("span", "note", item.note));
    grid.append(card);
  });
  // new pictures take the place of the old ones, and the keyboard's focus stays where it was
  const focused = [...parentElement.querySelectorAll("button.card")].findIndex((card) => card.matches(":focus"));
  parentElement.querySelector(".grid")?.remove();
  parentElement.append(grid);
  if (focused >= 0) grid.children[Math.min(focused, grid.children.length - 1)]?.focus({ preventScroll: true });
}
