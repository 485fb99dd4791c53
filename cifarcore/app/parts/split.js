// One bar in parts, each with its name and its count above; a click on a part names it.
export default function ({ data, parentElement, setTriggerValue }) {
  const make = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
  };

  const legend = make("div", "legend");
  const bar = make("div", "bar");
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Test images by which of the two models is correct");
  for (const { name, said, images, share, color } of data.parts) {
    const count = images.toLocaleString("en");
    const key = make("span", "key", `${said} ${count}`);
    key.style.setProperty("--part", color);
    legend.append(key);
    const part = make("button", "part");
    part.type = "button";
    part.style.flexGrow = share;
    part.style.background = color;
    part.title = `${name}\n${count} images\n${(100 * share).toFixed(1)}%`;
    part.dataset.name = name;
    part.setAttribute("aria-label", `${name}: ${count} images`);
    part.setAttribute("aria-pressed", name === data.chosen);
    part.onclick = () => setTriggerValue("clicked", name);
    if (images) bar.append(part);
  }
  // the keyboard's focus stays where it was
  const focused = parentElement.querySelector("button:focus")?.dataset.name;
  for (const element of parentElement.querySelectorAll(".legend, .bar")) element.remove();
  parentElement.append(legend, bar);
  [...bar.children].find((part) => part.dataset.name === focused)?.focus({ preventScroll: true });
}
