// Tiles of images. All text comes from run files, so it is only ever set as textContent.
export default function ({ data, parentElement, setTriggerValue }) {
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    element.className = className;
    if (text) element.textContent = text;
    return element;
  };

  const grid = make("div", data.compact ? "grid compact" : "grid");
  data.items.forEach((item, index) => {
    const card = make(data.clickable ? "button" : "div", "card");
    if (data.clickable) {
      card.type = "button";
      card.onclick = () => setTriggerValue("clicked", index);
    }
    card.dataset.id = item.id;
    if (item.image) {
      const picture = make("img", "picture");
      picture.src = item.image;
      picture.alt = item.label;
      picture.loading = "lazy";
      card.append(picture);
    } else {
      card.append(make("span", "picture missing", "no picture here"));
    }
    card.append(make("span", "label", item.label));
    for (const model of item.models ?? []) {
      const line = make("span", model.right ? "model right" : "model wrong");
      const letter = make("span", "letter", model.letter);
      letter.style.background = data.colors[model.letter];
      line.append(letter, make("span", "name", model.name), make("span", "confidence", model.confidence));
      line.append(make("span", "mark", model.right ? "✓" : "✗"));
      line.title = `${model.letter}: ${model.name}, ${model.confidence}, ${model.right ? "right" : "wrong"}`;
      card.append(line);
      if (model.seeds) {
        const seeds = make("span", "seeds", model.seeds);
        seeds.title = `${model.letter}: ${model.seeds}`;
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
