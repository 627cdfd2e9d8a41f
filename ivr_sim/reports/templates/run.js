
"use strict";
(() => {
  // Without scripts everything is shown; with them the calls can be sifted.
  const form = document.querySelector("form");
  const shown = document.getElementById("shown");
  const calls = [...document.querySelectorAll("[data-call]")];
  const words = new Map(calls.map((call) => [call, call.dataset.words + " " + call.dataset.call]));
  const sections = [...document.querySelectorAll("section[data-of]")];
  let later = 0;
  const sift = () => {
    const verdict = form.elements.verdict.value;
    const wanted = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const call of calls) {
      const fits = (!verdict || call.dataset.verdict === verdict)
        && wanted.every((word) => words.get(call).toLowerCase().includes(word));
      call.hidden = !fits;
      if (fits && call.tagName === "TR") count += 1;
    }
    for (const section of sections) {
      section.hidden = !section.querySelector("[data-call]:not([hidden])");
    }
    shown.textContent = count === 1 ? "1 call shown" : count + " calls shown";
  };
  form.hidden = false;
  form.addEventListener("change", sift);
  form.addEventListener("input", () => { clearTimeout(later); later = setTimeout(sift, 120); });
  form.addEventListener("submit", (event) => { event.preventDefault(); sift(); });
  form.addEventListener("reset", () => setTimeout(sift));

  // A link to a call opens it.
  const open = () => {
    const call = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = call && call.querySelector("details");
    if (details) { details.open = true; call.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();

  // The recording and the axis go together.
  for (const article of document.querySelectorAll("article")) {
    const audio = article.querySelector("audio");
    const axis = article.querySelector(".axis");
    if (!audio || !axis) continue;
    const start = Number(axis.dataset.start);
    const length = Number(axis.dataset.end) - start;
    const over = axis.querySelector(".over");
    const now = over.appendChild(document.createElement("div"));
    now.className = "now";
    now.hidden = true;
    const play = (t) => { audio.currentTime = Math.max(0, t); audio.play().catch(() => {}); };
    audio.addEventListener("timeupdate", () => {
      now.hidden = false;
      now.style.left = (100 * (audio.currentTime - start)) / length + "%";
    });
    axis.addEventListener("click", (event) => {
      const box = over.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      if (share >= 0 && share <= 1) play(start + share * length);
    });
    article.addEventListener("click", (event) => {
      if (event.target.matches("button[data-t]")) play(Number(event.target.dataset.t));
    });
  }
})();
