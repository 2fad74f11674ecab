"use strict";
(() => {
  const root = document.documentElement;
  const section = document.getElementById("regions");
  const form = section.querySelector(".jump");
  const input = form.querySelector("input");
  const answer = document.getElementById("answer");
  const panels = [...section.querySelectorAll(".region")];
  const links = [...section.querySelectorAll(".tabs a")];
  const contigs = JSON.parse(section.dataset.contigs);
  const window_ = Number(section.dataset.window);
  const byGene = section.dataset.adds === "--gene";

  const show = (panel) => {
    panels.forEach((other, index) => {
      other.classList.toggle("active", other === panel);
      if (other === panel) links[index].setAttribute("aria-current", "true");
      else links[index].removeAttribute("aria-current");
    });
  };

  const bare = (name) => name.toLowerCase().replace(/^chr/, "");
  const spelled = (name, names) =>
    names.includes(name) ? name : names.find((known) => bare(known) === bare(name));
  const quoted = (text) =>
    /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
  const number = (value) => value.toLocaleString("en");

  // Returns {contig, start, end} (1-based inclusive) or {problem}.
  const parse = (text) => {
    const found = text.trim().match(/^(.+?):([\d,]+)(?:\s*(?:-|\u2013|\.\.)\s*([\d,]+))?$/);
    if (!found)
      return { problem: `“${text}” is neither a region nor a gene of this page; write CONTIG:START-END, for example ${input.placeholder}.` };
    const read = (digits) => Number(digits.replaceAll(",", ""));
    const start = read(found[2]);
    const end = found[3] === undefined ? start : read(found[3]);
    if (!(start >= 1 && end >= start))
      return { problem: `“${text}” is not a region: positions count from 1, and the start comes first.` };
    const names = Object.keys(contigs);
    const known = spelled(found[1], names);
    if (names.length && known === undefined)
      return { problem: `The dataset has no contig “${found[1]}”.` };
    const contig = known ?? spelled(found[1], panels.map((p) => p.dataset.contig)) ?? found[1];
    if (known !== undefined && end > contigs[known])
      return { problem: `${known} ends at ${number(contigs[known])}.` };
    return { contig, start, end };
  };

  const holding = ({ contig, start, end }) =>
    panels.find(
      ({ dataset }) =>
        dataset.contig === contig && Number(dataset.start) <= start && end <= Number(dataset.end),
    );

  const say = (message, command) => {
    answer.textContent = message;
    if (!command) return;
    const code = document.createElement("code");
    code.textContent = command;
    answer.append(" ", code);
  };

  // A single base gets its surroundings, so that the command shows something.
  const command = ({ contig, start, end }) => {
    const reach = start === end ? Math.min(500, Math.floor((window_ - 1) / 2)) : 0;
    const last = contigs[contig] ?? Infinity;
    const text = `${contig}:${Math.max(1, start - reach)}-${Math.min(last, end + reach)}`;
    return `${section.dataset.command} --region ${quoted(text)}`;
  };

  const open = (panel, name) => {
    say(`${name} lies in ${panel.getAttribute("aria-label")}, shown below.`);
    if (decodeURIComponent(location.hash.slice(1)) === panel.id) show(panel);
    else location.hash = encodeURIComponent(panel.id).replaceAll("%3A", ":");
  };

  const go = (text) => {
    const wanted = text.trim().toLowerCase();
    for (const panel of panels) {
      const gene = JSON.parse(panel.dataset.genes).find((one) => one.toLowerCase() === wanted);
      if (gene) return open(panel, gene);
    }
    const region = parse(text);
    if (byGene && (region.problem || !holding(region)))
      return say(`This page does not show ${region.problem ? "the gene" : "a gene with all of"} ` +
        `“${text.trim()}”. This command adds a gene of the dataset:`,
        `${section.dataset.command} --gene ${region.problem ? quoted(text.trim()) : "NAME"}`);
    if (region.problem) return say(region.problem);
    const panel = holding(region);
    const name = `${region.contig}:${number(region.start)}` +
      (region.end > region.start ? `-${number(region.end)}` : "");
    if (panel) return open(panel, name);
    const length = region.end - region.start + 1;
    if (length > window_)
      return say(`${name} has ${number(length)} bases; the page takes regions of up to ` +
        `${number(window_)}, the model’s window.`);
    say(`This page does not hold ${name}. This command adds it:`, command(region));
  };

  const follow = () => {
    let wanted = location.hash.slice(1);
    try { wanted = decodeURIComponent(wanted); } catch { /* not encoded: as it is */ }
    const panel = panels.find((one) => one.id === wanted);
    if (panel) {
      show(panel);
      section.querySelector(".tabs").scrollIntoView();
      panel.focus({ preventScroll: true });
    } else if (wanted.includes(":")) {
      section.scrollIntoView();
      go(wanted);
    }
  };

  section.querySelector(".tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    links[(at + step + links.length) % links.length].focus();
  });
  links.forEach((link, index) =>
    link.addEventListener("click", () => { say(""); show(panels[index]); }),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) go(input.value);
  });
  document.querySelectorAll("figure:has(img)").forEach((figure) => {
    const button = document.createElement("button");
    button.className = "zoom";
    button.textContent = "Full size";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const full = figure.classList.toggle("full");
      button.textContent = full ? "Fit to width" : "Full size";
      button.setAttribute("aria-pressed", String(full));
    });
    figure.querySelector("figcaption").prepend(button);
  });
  window.addEventListener("hashchange", follow);

  root.classList.add("js");
  show(panels[0]);
  follow();
})();
