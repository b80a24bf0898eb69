// Reads the page again and puts its main part in place of the one shown, while somebody looks and has not paused it.
"use strict";
const live = document.getElementById("live");
const everyMs = Number(live.dataset.refresh || 0) * 1000;
const pause = document.getElementById("pause");
let paused = false;

function inUse() {
  const chosen = window.getSelection();
  const focused = document.activeElement;
  return (chosen && !chosen.isCollapsed) || (live.contains(focused) && focused !== live);
}

async function readAgain() {
  if (paused || document.hidden || inUse()) return;
  const made = document.getElementById("made");
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = [...live.querySelectorAll("details")].map((each) => each.open);
    live.replaceChildren(...page.getElementById("live").childNodes);
    live.querySelectorAll("details").forEach((each, number) => { each.open = open[number] || false; });
    made.textContent = page.getElementById("made").textContent;
  } catch (error) {
    made.textContent = made.textContent.replace(/ \(.*/, "") + " (the server does not answer; trying again)";
  }
}

if (everyMs) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on refreshing" : "Pause the refreshing";
  });
  if (live.textContent.includes("Being read") || live.querySelector(".headline.unknown")) setTimeout(readAgain, 2000);
  setInterval(readAgain, everyMs);
}
