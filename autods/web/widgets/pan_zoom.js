// What both viewers share: panning and zooming with mouse, touch and keyboard, and the scale bar. A component
// that mixes it in has `width`, `height` and `nmPerUnit` of its picture, `settle()` for when the view has
// changed, `most(least)` for the largest scale, `place(at)` for the text beside the tools, and may take drags
// itself (`dragged`).
const ROUND = [5, 2, 1];

export const TOOLS = `
  <button type="button" @click="zoom(1.5)" title="Zoom in (+)" aria-label="Zoom in">+</button>
  <button type="button" @click="zoom(1 / 1.5)" title="Zoom out (-)" aria-label="Zoom out">&minus;</button>
  <button type="button" @click="whole" title="Whole field (0)">Fit</button>`;

export const SCALE_BAR =
  `<div v-if="bar.px" class="viewer-bar" :style="{width: bar.px + 'px'}"><span>{{ bar.text }}</span></div>`;

function roundBelow(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return ROUND.map((step) => step * power).find((step) => step <= most) || power;
}
// The smallest round number above `least`.
export function roundAbove(least) { return 10 / (roundBelow(10 / least)); }

export default {
  data() { return { scale: 0, x: 0, y: 0, size: [1, 1], pointers: {}, pinch: null, where: "" }; },
  computed: {
    bar() {
      if (!this.scale || !this.nmPerUnit) return { px: 0, text: "" };
      const nm = roundBelow((this.size[0] * 0.25 / this.scale) * this.nmPerUnit);
      return { px: (nm / this.nmPerUnit) * this.scale, text: nm >= 1000 ? nm / 1000 + " µm" : nm + " nm" };
    },
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.$refs.pane);
    this.resized();
  },
  unmounted() { this.observer.disconnect(); clearTimeout(this.timer); },
  methods: {
    measure() {
      const pane = this.$refs.pane, before = this.size;
      this.size = [pane.clientWidth, pane.clientHeight];
      return before;
    },
    fit() {
      this.scale = Math.min(this.size[0] / this.width, this.size[1] / this.height) || 1e-3;
      this.x = (this.size[0] - this.width * this.scale) / 2;
      this.y = (this.size[1] - this.height * this.scale) / 2;
    },
    whole() { this.fit(); this.settle(); },
    zoom(factor, at) {
      const [px, py] = at || [this.size[0] / 2, this.size[1] / 2];
      const least = 0.5 * Math.min(this.size[0] / this.width, this.size[1] / this.height);
      const scale = Math.min(Math.max(this.scale * factor, least), this.most(least));
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
    unit(at) { return [(at[0] - this.x) / this.scale, (at[1] - this.y) / this.scale]; },
    // What is seen, within the picture: y0, x0, y1, x1.
    box() {
      const inside = (value, top) => Math.min(Math.max(value, 0), top);
      const [x0, y0] = this.unit([0, 0]), [x1, y1] = this.unit(this.size);
      return [inside(y0, this.height), inside(x0, this.width), inside(y1, this.height), inside(x1, this.width)];
    },
    gap(held) { return Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]); },
    down(event) {
      this.$refs.pane.setPointerCapture(event.pointerId);
      this.pointers[event.pointerId] = this.at(event);
      const held = Object.values(this.pointers);
      this.pinch = held.length === 2 ? this.gap(held) : null;
      return held.length;
    },
    move(event) {
      const at = this.at(event), before = this.pointers[event.pointerId];
      this.where = this.place(this.unit(at));
      if (!before) return;
      this.pointers[event.pointerId] = at;
      const held = Object.values(this.pointers);
      if (held.length === 2) {
        const gap = this.gap(held), middle = [(held[0][0] + held[1][0]) / 2, (held[0][1] + held[1][1]) / 2];
        this.zoom(gap / (this.pinch || gap), middle);
        this.pinch = gap;
      } else if (!this.dragged || !this.dragged(at)) this.pan(at[0] - before[0], at[1] - before[1]);
    },
    up(event) { delete this.pointers[event.pointerId]; },
    key(event) {
      const step = 60, moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step],
                                 ArrowDown: [0, -step] };
      if (moves[event.key]) this.pan(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1.5);
      else if (event.key === "-") this.zoom(1 / 1.5);
      else if (event.key === "0") this.whole();
      else if (!this.pressed || !this.pressed(event.key)) return;
      event.preventDefault();
    },
    // A canvas of the size of the pane, in the dots of the screen.
    pen(canvas) {
      const dense = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
      canvas.width = this.size[0] * dense;
      canvas.height = this.size[1] * dense;
      pen.scale(dense, dense);
      return pen;
    },
    address(path) { return path ? (window.path_prefix || "") + path : undefined; },
  },
};
