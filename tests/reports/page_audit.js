// Put behind a report's own script by the test, to look at the page as a browser lays it out.
(() => {
  const wrong = [];
  const say = (what, element) => wrong.push(what + ": " + (element ? element.outerHTML.slice(0, 160) : ""));
  for (const details of document.querySelectorAll("details")) details.open = true;

  // Text and what is behind it: at least 4.5 to 1 (WCAG 2.2, 1.4.3).
  const parsed = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parsed(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = (ink, back) => {
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const seen = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 1;
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !seen(element) || element.closest("script, style, option")) continue;
    const ink = parsed(getComputedStyle(element).color);
    let backs = [behind(element)];
    if (element.matches(".lane span")) {
      // Names stand upon bars.
      backs = [...element.parentElement.querySelectorAll("i")].filter((bar) => {
        const a = bar.getBoundingClientRect(), b = element.getBoundingClientRect();
        return a.width > 6 && a.left < b.right && b.left < a.right;
      }).map(behind).concat(backs);
    }
    for (const back of backs) if (contrast(ink, back) < 4.5) say("contrast " + contrast(ink, back).toFixed(2), element);
  }

  // Nothing overlaps.
  const boxes = (selector, root) => [...root.querySelectorAll(selector)].filter(seen).map((e) => [e.getBoundingClientRect(), e]);
  const apart = (list, what) => {
    for (let i = 0; i < list.length; i += 1) for (let k = i + 1; k < list.length; k += 1) {
      const [a, b] = [list[i][0], list[k][0]];
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > 1) say(what + " overlap " + x.toFixed(1), list[i][1]);
    }
  };
  for (const axis of document.querySelectorAll(".axis")) {
    for (const lane of axis.querySelectorAll(".lane")) apart(boxes("span", lane), "names");
    apart(boxes(".lane", axis), "lanes");
  }
  for (const body of document.querySelectorAll(".body, article summary, header, form")) apart(boxes(":scope > *", body), "parts");
  if (document.documentElement.scrollWidth > innerWidth + 1) say("the page is wider than the window " + document.documentElement.scrollWidth);

  // Names, labels, order.
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) say("an id is there twice");
  for (const element of document.querySelectorAll("img:not([alt])")) say("no alt", element);
  for (const element of document.querySelectorAll("input")) if (!element.labels.length) say("no label", element);
  for (const element of document.querySelectorAll("button, a[href], summary")) if (!element.textContent.trim()) say("no name", element);
  for (const element of document.querySelectorAll("[role=region], [role=img], audio")) {
    const label = element.getAttribute("aria-label") || (document.getElementById(element.getAttribute("aria-labelledby")) || {}).textContent;
    if (!label) say("no name", element);
  }
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element);
    const scrolls = /auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
    if (scrolls && element.tabIndex < 0) say("scrolls, but not by keyboard", element);
  }
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((element) => Number(element.tagName[1]));
  levels.forEach((level, n) => { if (n && level > levels[n - 1] + 1) say("a heading leaves out a level", null); });

  // Sifting.
  const form = document.querySelector("form");
  const rows = () => document.querySelectorAll("tr[data-call]:not([hidden])").length;
  const press = (name, value) => { form.elements[name].value = value; form.dispatchEvent(new Event("change")); return rows(); };
  const counts = { all: rows(), fail: press("verdict", "fail"), text: press("text", "AMOUNT wrong"), none: press("text", "no such") };
  counts.said = document.getElementById("shown").textContent;
  press("text", "");
  form.elements.verdict[0].click();
  counts.again = rows();

  document.body.innerHTML = "";
  const told = document.body.appendChild(document.createElement("pre"));
  told.id = "told";
  told.textContent = JSON.stringify({ wrong: wrong.slice(0, 40), counts, width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches });
})();
