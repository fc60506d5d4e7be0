// Elements without markup: text goes in as text, never as HTML, whatever a flow or a label says.

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((event: never) => void) | undefined>;

/** An HTML element. Attributes that are functions are listeners (`onclick`), `false` ones are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => !!child || child === ""));
  return element;
}

/** Puts new children in place of the old ones. Who is among them with the keyboard stays where they are. */
export function swap(element: Element, ...children: Child[]): void {
  const focused = way(element, document.activeElement);
  element.replaceChildren(...children.filter((child): child is Node | string => !!child));
  if (focused) element.querySelector<HTMLElement | SVGElement>(focused)?.focus({ preventScroll: true });
}

/** How to come from an element to one in it: by name where there is one, otherwise by number. */
function way(root: Element, to: Element | null): string {
  if (!to || to === root || !root.contains(to)) return "";
  const steps: string[] = [];
  for (let at = to; at !== root; at = at.parentElement!) {
    const { id, policy } = (at as HTMLElement | SVGElement).dataset;
    const name = id ? `[data-id="${CSS.escape(id)}"]` : policy ? `[data-policy="${CSS.escape(policy)}"]` : "";
    steps.unshift(name || `:nth-child(${[...at.parentElement!.children].indexOf(at) + 1})`);
  }
  return `:scope > ${steps.join(" > ")}`;
}

/** A button that copies text, and says that it did. */
export function copyButton(text: string, label: string, done: string): HTMLButtonElement {
  const button = h("button", { class: "small", onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = done;
    setTimeout(() => { button.textContent = label; }, 1500);
  } }, label);
  return button;
}
