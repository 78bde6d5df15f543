// A pyramid of tiles to pan and zoom: what is there is shown at once, enlarged, until the finer tiles have come.
// Lengths are nm from the corner of the field. Level 0 is one tile; each next level has pixels half as large.
import panZoom, { SCALE_BAR, TOOLS } from "pan_zoom";

const TILE = 256, KEPT = 400;

export default {
  template: `
    <div class="viewer-frame">
      <div class="viewer-tools" role="toolbar" :aria-label="label + ': tools'">
        ${TOOLS}
        <a v-if="files" class="tool" :href="exported('png')" download>PNG</a>
        <a v-if="files" class="tool" :href="exported('tif')" download>TIFF</a>
        <span class="where" aria-hidden="true">{{ where }}</span>
      </div>
      <div ref="pane" class="viewer-pane" tabindex="0" role="img" :aria-label="label"
           @wheel.prevent="wheel" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up"
           @pointerleave="where = ''" @keydown="key">
        <canvas ref="canvas" class="viewer-marks"></canvas>
        ${SCALE_BAR}
        <div v-if="depth" class="viewer-depth"><i :style="{background: depth.gradient}"></i>
          <span>z {{ Math.round(depth.low) }}</span><span>{{ Math.round(depth.high) }} nm</span></div>
        <div v-if="missing" class="viewer-busy" role="status">{{ broken || 'Drawing ...' }}</div>
      </div>
    </div>`,
  mixins: [panZoom],
  props: { tiles: String, files: String, query: String, width: Number, height: Number, levels: Number,
           coarsest: Number, label: String, depth: Object, start: Array },
  data() { return { missing: 0, broken: "", nmPerUnit: 1 }; },
  watch: {
    query() {
      // What was asked for just before may not have come yet.
      if ([...this.images.keys()].some((key) => this.ready(this.images, key))) this.older = this.images;
      this.images = new Map();
      this.begun = performance.now();
      this.paint();
    },
    // The field of a run that goes on may grow: other tiles, in the same places.
    coarsest() {
      this.images = new Map();
      this.older = new Map();
      if (!this.touched) this.fit();
      this.paint();
    },
  },
  created() { this.images = new Map(); this.older = new Map(); this.begun = performance.now(); },
  methods: {
    resized() {
      const before = this.measure();
      if (!this.scale && this.start) {
        const [y0, x0, y1, x1] = this.start;
        this.scale = Math.min(this.size[0] / (x1 - x0), this.size[1] / (y1 - y0));
        this.x = this.size[0] / 2 - ((x0 + x1) / 2) * this.scale;
        this.y = this.size[1] / 2 - ((y0 + y1) / 2) * this.scale;
      } else if (!this.scale) this.fit();
      else { this.x += (this.size[0] - before[0]) / 2; this.y += (this.size[1] - before[1]) / 2; }
      this.paint();
    },
    whole() { this.fit(); this.settle(); this.touched = false; },
    most() { return 20; },
    place([x, y]) { return `x ${(x / 1000).toFixed(2)} µm, y ${(y / 1000).toFixed(2)} µm`; },
    settle() {
      this.touched = true;
      this.begun = performance.now();
      this.paint();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("shown", { box: this.box().map(Math.round) }), 300);
    },
    exported(ending) {
      if (!this.scale) return "#";
      const dense = window.devicePixelRatio || 1, box = this.box();
      const px = Math.ceil(Math.max(box[2] - box[0], box[3] - box[1]) * this.scale * dense * 2);
      return this.address(this.files) + `.${ending}?${this.query}&box=${box.join(":")}&px=${px}`;
    },
    fetchTile(level, row, column) {
      const key = `${level}/${row}/${column}`;
      if (this.images.has(key)) return;
      const image = new Image(), images = this.images;
      images.set(key, image);
      image.onload = () => this.paint();
      image.onerror = () => { this.broken = "This part could not be drawn."; this.paint(); };
      image.src = this.address(`${this.tiles}/${key}?${this.query}`);
      if (images.size > KEPT) images.delete(images.keys().next().value);
    },
    paint() {
      if (this.asked) return;
      this.asked = requestAnimationFrame(() => { this.asked = 0; this.draw(); });
    },
    draw() {
      const canvas = this.$refs.canvas;
      if (!canvas || !this.scale) return;
      const dense = window.devicePixelRatio || 1, pen = this.pen(canvas);
      pen.imageSmoothingEnabled = true;
      const best = Math.round(Math.log2(this.coarsest * this.scale * dense));
      const level = Math.min(Math.max(best, 0), this.levels - 1);
      const side = (this.coarsest * TILE) / 2 ** level, [y0, x0, y1, x1] = this.box();
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
