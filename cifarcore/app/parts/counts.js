// Lists of names with their counts as bars. All text comes from run files, so it is only ever set as textContent.
export default function ({ data, parentElement, setTriggerValue }) {
  const make = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
  };

  const lists = make("div", "lists");
  for (const { key, title, items, chosen } of data.lists) {
    const list = make("div", "list");
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", title);
    list.append(make("div", "title", title));
    const most = Math.max(1, ...items.map((item) => item.count));
    for (const { value, name, count } of items) {
      const button = make("button", "item");
      button.type = "button";
      button.setAttribute("aria-pressed", value === chosen);
      button.dataset.value = `${key}:${value}`;
      button.onclick = () => setTriggerValue("chosen", [key, value === chosen ? "" : value]);
      const bar = make("span", "bar");
      bar.style.width = `${(100 * count) / most}%`;
      if (key === "outcome" && Object.hasOwn(data.colors, value)) bar.style.background = data.colors[value];
      const track = make("span", "track");
      track.append(bar);
      button.append(make("span", "name", name), make("span", "count", count.toLocaleString("en")), track);
      list.append(button);
    }
    lists.append(list);
  }
  // the keyboard's focus stays where it was
  const focused = parentElement.querySelector("button:focus")?.dataset.value;
  parentElement.querySelector(".lists")?.remove();
  parentElement.append(lists);
  const again = [...lists.querySelectorAll("button")].find((button) => button.dataset.value === focused);
  again?.focus({ preventScroll: true });
}
