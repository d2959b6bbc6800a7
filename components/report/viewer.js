// The slice viewer: image, truth, prediction and error of one case in up to three planes.
//
// A case is one picture of all its slices (tiles) and the label maps, deflated. Both are unpacked
// into arrays with X fastest, then Y, then Z, so that any plane can be cut out of them.
// X goes to the patient's right, Y to the front, Z to the head; of a photograph X goes to the right
// and Y down, and there is one slice.
"use strict";
(() => {
  const root = document.getElementById("viewer");
  if (!root) return;
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const state = document.getElementById("viewer-state");
  const OPACITY = 0.55;
  const ERRORS = { agreed: [150, 160, 170], missed: [86, 180, 233], false: [230, 110, 20], other: [240, 228, 66] };

  // Across the screen runs axis `u`, down it axis `v`, and the slider moves along axis `w`.
  const PLANES = {
    axial: { u: 0, v: 1, w: 2, letters: ["R", "L", "A", "P"] },
    coronal: { u: 0, v: 2, w: 1, letters: ["R", "L", "S", "I"] },
    sagittal: { u: 1, v: 2, w: 0, letters: ["A", "P", "S", "I"] },
    image: { u: 0, v: 1, w: 2, letters: null },
  };
  let current = null;
  let asked = 0; // which of several loads in flight is the last that was asked for

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function pixelsOf(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  async function load(item) {
    const [pixels, labels] = await Promise.all([pixelsOf(item.image), inflate(item.labels)]);
    const half = labels.length / 2;
    return { ...item, pixels, truth: labels.subarray(0, half), prediction: labels.subarray(half) };
  }

  // Where a voxel is in the tiles, as an index into RGBA values.
  function pixelAt(item, x, y, z) {
    const [sizeX, sizeY] = item.shape;
    const column = z % item.columns;
    const row = Math.floor(z / item.columns);
    return 4 * ((row * sizeY + y) * item.pixels.width + column * sizeX + x);
  }

  const KINDS = {
    plain: () => null,
    truth: (truth) => (truth ? data.labels[truth - 1].colour : null),
    prediction: (_, predicted) => (predicted ? data.labels[predicted - 1].colour : null),
    error: (truth, predicted) => ERRORS[errorOf(truth, predicted)] || null,
  };

  function errorOf(truth, predicted) {
    if (truth === predicted) return truth ? "agreed" : "";
    if (!predicted) return "missed";
    return truth ? "other" : "false";
  }

  // Draws a slice into the panels of a plane, and counts what is in it.
  function drawPlane(section, item) {
    const plane = PLANES[section.dataset.plane];
    const [width, height] = [item.shape[plane.u], item.shape[plane.v]];
    const slice = Number(section.querySelector("input").value) - 1;
    const mirrored = item.oriented; // others are shown as they are stored
    const canvases = [...section.querySelectorAll("canvas")];
    const targets = canvases.map((canvas) => {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      return new ImageData(width, height);
    });
    const counts = { agreed: 0, missed: 0, false: 0, other: 0 };
    const at = [0, 0, 0];
    at[plane.w] = slice;
    for (let row = 0; row < height; row++) {
      at[plane.v] = mirrored ? height - 1 - row : row;
      for (let column = 0; column < width; column++) {
        at[plane.u] = mirrored ? width - 1 - column : column;
        const voxel = at[0] + item.shape[0] * (at[1] + item.shape[1] * at[2]);
        const [truth, predicted] = [item.truth[voxel], item.prediction[voxel]];
        if (truth || predicted) counts[errorOf(truth, predicted)]++;
        const from = pixelAt(item, at[0], at[1], at[2]);
        const to = 4 * (row * width + column);
        canvases.forEach((canvas, i) => {
          const colour = KINDS[canvas.dataset.panel](truth, predicted);
          for (let c = 0; c < 3; c++) {
            const grey = item.pixels.data[from + c];
            targets[i].data[to + c] = colour ? (1 - OPACITY) * grey + OPACITY * colour[c] : grey;
          }
          targets[i].data[to + 3] = 255;
        });
      }
    }
    canvases.forEach((canvas, i) => canvas.getContext("2d").putImageData(targets[i], 0, 0));
    describe(section, canvases, slice + 1, item.shape[plane.w], counts);
  }

  function describe(section, canvases, slice, slices, counts) {
    const where = slices > 1 ? `slice ${slice} of ${slices}` : "";
    const unit = data.rank === 3 ? "voxels" : "pixels";
    const found = Object.entries(counts).filter(([, n]) => n).map(([name, n]) => `${name === "other" ? "other label" : name} ${n.toLocaleString("en")}`);
    const words = found.length ? `${unit}: ${found.join(", ")}` : "nothing labelled";
    section.querySelector("output").textContent = [where, words].filter(Boolean).join("; ");
    for (const canvas of canvases) {
      const name = canvas.closest("figure").querySelector("figcaption").textContent;
      canvas.setAttribute("aria-label", `${name} of case ${current.id}, ${section.dataset.plane} ${where}; ${words}`);
    }
    const slider = section.querySelector("input");
    slider.setAttribute("aria-valuetext", `${where}; ${words}`);
  }

  // Fits the panels to the size of the voxels in mm, and writes the letters of the sides.
  function layOut(section, item) {
    const plane = PLANES[section.dataset.plane];
    const [across, down] = [plane.u, plane.v].map((axis) => item.shape[axis] * item.spacing[axis]);
    for (const canvas of section.querySelectorAll("canvas")) {
      canvas.style.aspectRatio = `${across} / ${down}`;
      // voxels that are enlarged stay squares; pixels that are many are blended, or they flicker
      canvas.style.imageRendering = item.shape[plane.u] < canvas.clientWidth ? "pixelated" : "auto";
    }
    const panels = section.querySelector(".panels");
    for (const old of panels.querySelectorAll(".side")) old.remove();
    if (!item.oriented || !plane.letters) return;
    plane.letters.forEach((letter, i) => {
      const side = document.createElement("span");
      side.className = `side ${["left", "right", "top", "bottom"][i]}`;
      side.textContent = letter;
      side.setAttribute("aria-hidden", "true");
      panels.querySelector("canvas").after(side);
    });
  }

  async function show(index) {
    const turn = ++asked;
    state.textContent = "Unpacking the case …";
    try {
      const item = await load(data.cases[index]);
      if (turn !== asked) return; // another case was chosen meanwhile
      current = item;
    } catch (error) {
      state.textContent = `This browser cannot unpack the case (${error.message}): Firefox from 113 on and Chromium from 103 on can.`;
      return;
    }
    state.textContent = "";
    for (const section of root.querySelectorAll(".plane")) {
      const axis = PLANES[section.dataset.plane].w;
      const slider = section.querySelector("input");
      slider.max = current.shape[axis];
      slider.value = current.start[axis] + 1;
      section.querySelector(".slice").classList.toggle("single", current.shape[axis] === 1);
      slider.disabled = current.shape[axis] === 1;
      layOut(section, current);
      drawPlane(section, current);
    }
    root.dataset.ready = String(index);
  }

  for (const section of root.querySelectorAll(".plane")) {
    const slider = section.querySelector("input");
    slider.addEventListener("input", () => current && drawPlane(section, current));
    // At the first and the last slice the wheel moves the page again.
    section.querySelector(".panels").addEventListener("wheel", (event) => {
      if (!current || event.ctrlKey || !event.deltaY) return;
      const before = slider.value;
      slider.value = Number(before) + Math.sign(event.deltaY);
      if (slider.value === before) return;
      event.preventDefault();
      drawPlane(section, current);
    }, { passive: false });
  }
  root.addEventListener("change", (event) => {
    if (event.target.name === "case") show(Number(event.target.value));
  });
  root.hidden = false;
  const checked = root.querySelector("input[name=case]:checked"); // a reload may keep another one
  show(Number(checked.value));
})();
