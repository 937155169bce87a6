"use strict";
(() => {
  const paper = document.querySelector("main");
  const svg = paper.querySelector("svg");
  const whole = svg.viewBox.baseVal;
  const size = { width: whole.width, height: whole.height };
  let x = 0, y = 0, scale = 1;
  const show = () => {
    const { clientWidth: w, clientHeight: h } = paper;
    svg.setAttribute("width", w);
    svg.setAttribute("height", h);
    svg.setAttribute("viewBox", `${x} ${y} ${w / scale} ${h / scale}`);
  };
  const fit = () => {
    scale = Math.min(1.25, Math.max(0.8, paper.clientWidth / size.width));
    x = 0; y = 0;
    show();
  };
  const zoom = (factor, at) => {
    const next = Math.min(8, Math.max(0.02, scale * factor));
    x += at.x / scale - at.x / next;
    y += at.y / scale - at.y / next;
    scale = next;
    show();
  };
  const middle = () => ({ x: paper.clientWidth / 2, y: paper.clientHeight / 2 });
  const move = (dx, dy) => { x -= dx / scale; y -= dy / scale; show(); };
  paper.classList.add("moved");
  document.querySelector("nav").hidden = false;
  paper.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = paper.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      zoom(Math.exp(-event.deltaY / 200), { x: event.clientX - box.left, y: event.clientY - box.top });
    } else {
      move(-event.deltaX, -event.deltaY);
    }
  }, { passive: false });
  const fingers = new Map();
  paper.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    paper.setPointerCapture(event.pointerId);
  });
  paper.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const box = paper.getBoundingClientRect();
      zoom(apart(event) / Math.max(1, apart(last)), { x: other.clientX - box.left, y: other.clientY - box.top });
    } else {
      move(event.clientX - last.clientX, event.clientY - last.clientY);
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    paper.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  const keys = {
    "+": () => zoom(1.25, middle()), "=": () => zoom(1.25, middle()), "-": () => zoom(0.8, middle()), "0": fit,
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    PageUp: () => move(0, paper.clientHeight), PageDown: () => move(0, -paper.clientHeight),
  };
  paper.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });
  document.querySelector("nav").addEventListener("click", (event) => {
    const how = event.target.dataset.zoom;
    if (how === "in") zoom(1.25, middle());
    if (how === "out") zoom(0.8, middle());
    if (how === "fit") fit();
  });
  addEventListener("resize", show);
  fit();
})();
