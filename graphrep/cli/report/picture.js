"use strict";
// Draws the packed points. Few points are circles; many are added up pixel by pixel, so that none hides another:
// a pixel's hue is the mean colour of its points and its strength grows with the logarithm of their number.
(function () {
  const data = JSON.parse(document.getElementById("points").textContent);
  if (!data) return;
  const canvas = document.getElementById("picture"), tip = document.getElementById("tip"), legend = document.getElementById("legend");
  const context = canvas.getContext("2d");
  const bytes = Uint8Array.from(atob(data.xy), (c) => c.charCodeAt(0));
  const xy = new Uint16Array(bytes.buffer);
  const count = xy.length / 2, many = count > 6000;
  const view = { scale: 1, dx: 0, dy: 0 };
  let face, group, rgb;  // the way to colour that is chosen
  let width = 0, height = 0, ratio = 1, chosen = -1, cells = null;

  function place(i) {
    const side = Math.min(width, height * 1.6) - 50, tall = height - 50;
    const x = (xy[2 * i] / 65535 - 0.5) * side, y = (0.5 - xy[2 * i + 1] / 65535) * tall;
    return [width / 2 + x * view.scale + view.dx, height / 2 + y * view.scale + view.dy];
  }

  function addUp() {
    const w = Math.round(width * ratio), h = Math.round(height * ratio), size = w * h;
    const sums = new Float32Array(3 * size), hits = new Float32Array(size);
    const reach = Math.max(0, Math.min(2, Math.floor(Math.log2((view.scale * 60000) / count))));
    let most = 1;
    for (let i = 0; i < count; i++) {
      if (chosen >= 0 && group[i] !== chosen) continue;
      const [px, py] = place(i), cx = Math.round(px * ratio), cy = Math.round(py * ratio), c = rgb[group[i]];
      for (let y = cy - reach; y <= cy + reach; y++) for (let x = cx - reach; x <= cx + reach; x++) {
        if (x < 0 || y < 0 || x >= w || y >= h) continue;
        const at = y * w + x;
        sums[3 * at] += c[0]; sums[3 * at + 1] += c[1]; sums[3 * at + 2] += c[2];
        most = Math.max(most, ++hits[at]);
      }
    }
    const image = context.createImageData(w, h), top = Math.log1p(most);
    for (let at = 0; at < size; at++) {
      if (!hits[at]) continue;
      for (let k = 0; k < 3; k++) image.data[4 * at + k] = sums[3 * at + k] / hits[at];
      image.data[4 * at + 3] = 255 * (0.45 + 0.55 * Math.log1p(hits[at]) / top);
    }
    context.putImageData(image, 0, 0);
  }

  function circles() {
    const radius = Math.max(2, Math.min(5, 130 / Math.sqrt(count)));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (let i = 0; i < count; i++) {
      context.globalAlpha = chosen < 0 ? 0.75 : group[i] === chosen ? 0.9 : 0.06;
      context.fillStyle = face.colors[group[i]];
      const [x, y] = place(i);
      context.beginPath(); context.arc(x, y, radius, 0, 7); context.fill();
    }
    context.globalAlpha = 1;
  }

  function names() {
    if (!face.centers) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "600 14px system-ui, sans-serif"; context.textAlign = "center"; context.textBaseline = "middle";
    const boxes = [];
    face.centers.forEach(([x, y], g) => {
      if (chosen >= 0 && g !== chosen) return;
      const side = Math.min(width, height * 1.6) - 50, tall = height - 50;
      const half = context.measureText(face.groups[g]).width / 2 + 4;
      const px = width / 2 + (x / 65535 - 0.5) * side * view.scale + view.dx;
      const py = height / 2 + (0.5 - y / 65535) * tall * view.scale + view.dy;
      boxes.push({ text: face.groups[g], half, x: px, y: py });
    });
    for (let round = 0; round < 60; round++) for (const a of boxes) for (const b of boxes) {
      const over = 19 - Math.abs(a.y - b.y);
      if (a === b || over <= 0 || Math.abs(a.x - b.x) >= a.half + b.half) continue;
      const up = a.y < b.y || (a.y === b.y && a.text < b.text) ? -1 : 1;
      a.y += up * over / 4; b.y -= up * over / 4;
    }
    for (const box of boxes) {
      context.lineWidth = 4; context.strokeStyle = "rgba(255,255,255,.9)"; context.strokeText(box.text, box.x, box.y);
      context.fillStyle = "#1c2329"; context.fillText(box.text, box.x, box.y);
    }
  }

  function draw() {
    ratio = window.devicePixelRatio || 1; width = canvas.clientWidth; height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    cells = null;
    if (many) addUp(); else circles();
    names();
  }

  function nearest(mx, my) {
    if (!cells) {
      cells = new Map();
      for (let i = 0; i < count; i++) {
        if (chosen >= 0 && group[i] !== chosen) continue;
        const [x, y] = place(i), key = Math.floor(x / 12) + "," + Math.floor(y / 12);
        if (cells.has(key)) cells.get(key).push(i); else cells.set(key, [i]);
      }
    }
    let best = -1, least = 144;
    for (let gx = -1; gx <= 1; gx++) for (let gy = -1; gy <= 1; gy++) {
      const key = Math.floor(mx / 12) + gx + "," + (Math.floor(my / 12) + gy);
      for (const i of cells.get(key) || []) {
        const [x, y] = place(i), away = (x - mx) ** 2 + (y - my) ** 2;
        if (away < least) { least = away; best = i; }
      }
    }
    return best;
  }

  let dragged = null;
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), mx = event.clientX - box.left, my = event.clientY - box.top;
    if (dragged) { view.dx += mx - dragged[0]; view.dy += my - dragged[1]; dragged = [mx, my]; tip.hidden = true; requestAnimationFrame(draw); return; }
    const i = nearest(mx, my);
    tip.hidden = i < 0;
    if (i < 0) return;
    const name = data.names ? data.names[i] : String(data.ids[i]);
    tip.textContent = face.groups.length > 1 ? name + "   " + face.what + " " + face.groups[group[i]] : name;
    tip.style.left = Math.min(mx + 12, width - 160) + "px"; tip.style.top = my + 14 + "px";
  });
  canvas.addEventListener("pointerdown", (event) => { const b = canvas.getBoundingClientRect(); dragged = [event.clientX - b.left, event.clientY - b.top]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("dblclick", () => { view.scale = 1; view.dx = 0; view.dy = 0; draw(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect(), mx = event.clientX - box.left - width / 2, my = event.clientY - box.top - height / 2;
    const factor = Math.exp(-event.deltaY / 400), scale = Math.max(0.5, Math.min(200, view.scale * factor)), real = scale / view.scale;
    view.dx = mx - (mx - view.dx) * real; view.dy = my - (my - view.dy) * real; view.scale = scale;
    requestAnimationFrame(draw);
  }, { passive: false });
  function fillLegend() {
    legend.replaceChildren();
    if (face.groups.length > 1) face.groups.forEach((name, g) => {
      const button = document.createElement("button"), dot = document.createElement("i");
      dot.style.background = face.colors[g];
      button.append(dot, name + " (" + face.sizes[g].toLocaleString("en").replaceAll(",", "\u2009") + ")");
      button.addEventListener("click", () => {
        chosen = chosen === g ? -1 : g;
        [...legend.children].forEach((b, k) => b.classList.toggle("off", chosen >= 0 && k !== chosen));
        draw();
      });
      legend.append(button);
    });
  }

  function wear(number) {
    face = data.faces[number]; chosen = -1;
    group = Uint8Array.from(atob(face.group), (c) => c.charCodeAt(0));
    rgb = face.colors.map((h) => [1, 3, 5].map((i) => parseInt(h.slice(i, i + 2), 16)));
    [...faces.children].forEach((b, k) => b.classList.toggle("on", k === number));
    fillLegend();
  }

  const faces = document.getElementById("faces");
  if (data.faces.length > 1) {
    faces.hidden = false;
    data.faces.forEach((other, number) => {
      const button = document.createElement("button");
      button.textContent = other.what;
      button.addEventListener("click", () => { wear(number); draw(); });
      faces.append(button);
    });
  }
  wear(0);
  window.addEventListener("resize", draw);
  draw();
})();
