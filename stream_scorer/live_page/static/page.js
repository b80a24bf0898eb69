// Reads the page again and puts its main part in place of the one shown, while somebody looks and has not paused it.
// What is opened, scrolled or focused stays so; what is not read again says how old it is and why.
"use strict";
const live = document.getElementById("live");
const age = document.getElementById("age");
const made = document.getElementById("made");
const pause = document.getElementById("pause");
const everyMs = Number(live.dataset.refresh || 0) * 1000;
let paused = false, readMs = Date.now();

// elements are known by what they are about: their number changes with each new letter
const named = (each) => each.closest("details[data-key]")?.dataset.key
  ?? each.getAttribute("aria-labelledby") ?? each.getAttribute("aria-label") ?? each.getAttribute("href");
const like = (each) => `${each.tagName} ${named(each)}`;

function selecting() {
  const chosen = window.getSelection();
  return Boolean(chosen) && !chosen.isCollapsed && live.contains(chosen.anchorNode);
}

function replaced(page) {
  const open = new Set([...live.querySelectorAll("details[open]")].map(named));
  const scrolled = new Map([...live.querySelectorAll(".scroll, pre")].map((each) => [like(each), [each.scrollLeft, each.scrollTop]]));
  const focused = live.contains(document.activeElement) && document.activeElement !== live ? like(document.activeElement) : null;
  live.replaceChildren(...page.getElementById("live").childNodes);
  live.querySelectorAll("details").forEach((each) => { each.open = open.has(named(each)); });
  live.querySelectorAll(".scroll, pre").forEach((each) => {
    [each.scrollLeft, each.scrollTop] = scrolled.get(like(each)) ?? [0, 0];
  });
  if (focused) [...live.querySelectorAll("summary, a, [tabindex]")].find((each) => like(each) === focused)?.focus({ preventScroll: true });
}

function stale(why) {
  const old = Math.round((Date.now() - readMs) / 1000);
  age.hidden = false;
  age.textContent = `This is ${old} s old: ${why}`;
  live.classList.add("old");
}

async function readAgain() {
  if (document.hidden) return;
  if (paused) return stale("you paused the refreshing.");
  if (selecting()) return stale("it is not read again while text in it is selected.");
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) return stale(`the server answers with ${answer.status}; trying again.`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (paused || selecting()) return; // since it was asked for
    replaced(page);
    made.textContent = page.getElementById("made").textContent;
  } catch (error) {
    return stale("the server does not answer; trying again.");
  }
  readMs = Date.now();
  age.hidden = true;
  live.classList.remove("old");
}

if (everyMs) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on refreshing" : "Pause the refreshing";
    if (!paused) readAgain();
  });
  document.addEventListener("visibilitychange", readAgain);
  if (live.textContent.includes("Being read") || live.querySelector(".headline.unknown")) setTimeout(readAgain, 2000);
  setInterval(readAgain, everyMs);
}
