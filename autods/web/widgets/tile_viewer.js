// A pyramid of tiles to pan and zoom: what is there is shown at once, enlarged, until the finer tiles have come.
// Lengths are nm from the corner of the field. Level 0 is one tile; each next level has pixels half as large.
const TILE = 256, KEPT = 400, ROUND = [5, 2, 1];

export default {
  template: `
    <div class="viewer-frame">
      <div class="viewer-tools" role="toolbar" :aria-label="label + ': tools'">
        <button type="button" @click="zoom(1.5)" title="Zoom in (+)" aria-label="Zoom in">+</button>
        <button type="button" @click="zoom(1 / 1.5)" title="Zoom out (-)" aria-label="Zoom out">&minus;</button>
        <button type="button" @click="fit(); settle()" title="Whole field (0)">Fit</button>
        <a class="tool" :href="exported('png')" download>PNG</a>
        <a class="tool" :href="exported('tif')" download>TIFF</a>
        <span class="where" aria-hidden="true">{{ where }}</span>
      </div>
      <div ref="pane" class="viewer-pane" tabindex="0" role="img" :aria-label="label"
           @wheel.prevent="wheel" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up"
           @pointerleave="where = ''" @keydown="key">
        <canvas ref="canvas" class="viewer-marks"></canvas>
        <div v-if="bar.px" class="viewer-bar" :style="{width: bar.px + 'px'}"><span>{{ bar.text }}</span></div>
        <div v-if="depth" class="viewer-depth"><i :style="{background: depth.gradient}"></i>
          <span>z {{ Math.round(depth.low) }}</span><span>{{ Math.round(depth.high) }} nm</span></div>
        <div v-if="missing" class="viewer-busy" role="status">{{ broken || 'Drawing ...' }}</div>
      </div>
    </div>`,
  props: { tiles: String, files: String, query: String, width: Number, height: Number, levels: Number,
           finest: Number, label: String, depth: Object, start: Array },
  data() {
    return { scale: 0, x: 0, y: 0, size: [1, 1], pointers: {}, pinch: null, where: "", missing: 0, broken: "" };
  },
  computed: {
    bar() {
      if (!this.scale) return { px: 0, text: "" };
      const longest = (this.size[0] * 0.25) / this.scale, power = 10 ** Math.floor(Math.log10(longest));
      const nm = ROUND.map((step) => step * power).find((step) => step <= longest) || power;
      return { px: nm * this.scale, text: nm >= 1000 ? nm / 1000 + " µm" : nm + " nm" };
    },
  },
  watch: {
    query() { this.older = this.images; this.images = new Map(); this.begun = performance.now(); this.paint(); },
  },
  created() { this.images = new Map(); this.older = new Map(); this.begun = performance.now(); },
  mounted() {
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.$refs.pane);
    this.resized();
  },
  unmounted() { this.observer.disconnect(); clearTimeout(this.timer); },
  methods: {
    resized() {
      const pane = this.$refs.pane, before = this.size;
      this.size = [pane.clientWidth, pane.clientHeight];
      if (!this.scale && this.start) {
        const [y0, x0, y1, x1] = this.start;
        this.scale = Math.min(this.size[0] / (x1 - x0), this.size[1] / (y1 - y0));
        this.x = this.size[0] / 2 - ((x0 + x1) / 2) * this.scale;
        this.y = this.size[1] / 2 - ((y0 + y1) / 2) * this.scale;
      } else if (!this.scale) this.fit();
      else { this.x += (this.size[0] - before[0]) / 2; this.y += (this.size[1] - before[1]) / 2; }
      this.paint();
    },
    fit() {
      this.scale = Math.min(this.size[0] / this.width, this.size[1] / this.height) || 1e-3;
      this.x = (this.size[0] - this.width * this.scale) / 2;
      this.y = (this.size[1] - this.height * this.scale) / 2;
    },
    zoom(factor, at) {
      const [px, py] = at || [this.size[0] / 2, this.size[1] / 2];
      const least = 0.5 * Math.min(this.size[0] / this.width, this.size[1] / this.height);
      const scale = Math.min(Math.max(this.scale * factor, least), 20);
      this.x = px - ((px - this.x) * scale) / this.scale;
      this.y = py - ((py - this.y) * scale) / this.scale;
      this.scale = scale;
      this.settle();
    },
    pan(dx, dy) { this.x += dx; this.y += dy; this.settle(); },
    wheel(event) { this.zoom(event.deltaY < 0 ? 1.25 : 1 / 1.25, this.at(event)); },
    at(event) {
      const frame = this.$refs.pane.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    },
    down(event) {
      this.$refs.pane.setPointerCapture(event.pointerId);
      this.pointers[event.pointerId] = this.at(event);
      const held = Object.values(this.pointers);
      this.pinch = held.length === 2 ? Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]) : null;
    },
    move(event) {
      const at = this.at(event), before = this.pointers[event.pointerId];
      const um = [(at[0] - this.x) / this.scale / 1000, (at[1] - this.y) / this.scale / 1000];
      this.where = `x ${um[0].toFixed(2)} µm, y ${um[1].toFixed(2)} µm`;
      if (!before) return;
      this.pointers[event.pointerId] = at;
      const held = Object.values(this.pointers);
      if (held.length === 2) {
        const gap = Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]);
        this.zoom(gap / (this.pinch || gap), [(held[0][0] + held[1][0]) / 2, (held[0][1] + held[1][1]) / 2]);
        this.pinch = gap;
      } else this.pan(at[0] - before[0], at[1] - before[1]);
    },
    up(event) { delete this.pointers[event.pointerId]; },
    key(event) {
      const step = 60, moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (moves[event.key]) this.pan(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1.5);
      else if (event.key === "-") this.zoom(1 / 1.5);
      else if (event.key === "0") { this.fit(); this.settle(); }
      else return;
      event.preventDefault();
    },
    settle() {
      this.begun = performance.now();
      this.paint();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("shown", { box: this.box().map(Math.round) }), 300);
    },
    box() {
      const limited = (value, top) => Math.min(Math.max(value, 0), top);
      return [limited(-this.y / this.scale, this.height), limited(-this.x / this.scale, this.width),
              limited((this.size[1] - this.y) / this.scale, this.height),
              limited((this.size[0] - this.x) / this.scale, this.width)];
    },
    exported(ending) {
      if (!this.scale) return "#";
      const dense = window.devicePixelRatio || 1, box = this.box();
      const px = Math.ceil(Math.max(box[2] - box[0], box[3] - box[1]) * this.scale * dense * 2);
      return `${window.path_prefix || ""}${this.files}.${ending}?${this.query}&box=${box.join(":")}&px=${px}`;
    },
    fetchTile(level, row, column) {
      const key = `${level}/${row}/${column}`;
      if (this.images.has(key)) return;
      const image = new Image(), images = this.images;
      images.set(key, image);
      image.onload = () => this.paint();
      image.onerror = () => { this.broken = "This part could not be drawn."; this.paint(); };
      image.src = `${window.path_prefix || ""}${this.tiles}/${key}?${this.query}`;
      if (images.size > KEPT) images.delete(images.keys().next().value);
    },
    paint() {
      if (this.asked) return;
      this.asked = requestAnimationFrame(() => { this.asked = 0; this.draw(); });
    },
    draw() {
      const canvas = this.$refs.canvas;
      if (!canvas || !this.scale) return;
      const dense = window.devicePixelRatio || 1;
      canvas.width = this.size[0] * dense;
      canvas.height = this.size[1] * dense;
      const pen = canvas.getContext("2d");
      pen.scale(dense, dense);
      pen.imageSmoothingEnabled = true;
      const best = Math.round(Math.log2(this.finest * this.scale * dense));
      const level = Math.min(Math.max(best, 0), this.levels - 1);
      const side = (this.finest * TILE) / 2 ** level, [y0, x0, y1, x1] = this.box();
      let missing = 0;
      for (let row = Math.floor(y0 / side); row * side < y1; row++)
        for (let column = Math.floor(x0 / side); column * side < x1; column++) {
          if (row >= 2 ** level || column >= 2 ** level) continue;
          this.fetchTile(level, row, column);
          if (!this.drawTile(pen, level, row, column, side)) missing++;
        }
      this.missing = missing;
      const pane = this.$refs.pane;
      if (missing) delete pane.dataset.loaded;
      else {
        this.broken = "";
        pane.dataset.loaded = this.query + level;
        if (this.begun) pane.dataset.ms = Math.round(performance.now() - this.begun);
        this.begun = 0;
      }
    },
    ready(images, key) { const image = images.get(key); return image && image.complete && image.naturalWidth ? image : null; },
    drawTile(pen, level, row, column, side) {
      const px = side * this.scale, left = column * px + this.x, top = row * px + this.y;
      for (const images of [this.images, this.older])
        for (let up = 0; up <= level; up++) {
          const parts = 2 ** up, image = this.ready(images, `${level - up}/${row >> up}/${column >> up}`);
          if (!image) continue;
          const cut = TILE / parts;
          pen.drawImage(image, (column % parts) * cut, (row % parts) * cut, cut, cut, left, top, px + 0.5, px + 0.5);
          return up === 0 && images === this.images;
        }
      return false;
    },
  },
};
