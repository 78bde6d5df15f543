// A picture to pan, zoom and draw a region on, with marks and a scale bar. Sizes and marks are in units of the
// picture (camera pixels, or nm of a reconstruction); `nmPerUnit` makes the scale bar.
const ROUND = [5, 2, 1];

export default {
  template: `
    <div class="viewer-frame">
      <div class="viewer-tools" role="toolbar" :aria-label="label + ': tools'">
        <button type="button" @click="zoom(1.5)" title="Zoom in (+)" aria-label="Zoom in">+</button>
        <button type="button" @click="zoom(1 / 1.5)" title="Zoom out (-)" aria-label="Zoom out">&minus;</button>
        <button type="button" @click="fit" title="Whole picture (0)">Fit</button>
        <button v-if="drawable" type="button" :aria-pressed="drawing ? 'true' : 'false'" class="draw"
                :class="{on: drawing}" @click="drawing = !drawing">Draw region</button>
        <button v-if="drawable && region" type="button" class="clear" @click="$emit('region', {box: null})">
          Whole field</button>
        <span class="where" aria-hidden="true">{{ where }}</span>
      </div>
      <div ref="pane" class="viewer-pane" tabindex="0" role="img" :aria-label="label" :class="{draw: drawing}"
           @wheel.prevent="wheel" @pointerdown="down" @pointermove="move" @pointerup="up"
           @pointercancel="cancel" @pointerleave="where = ''" @keydown="key">
        <div class="viewer-stage" :style="stageStyle">
          <img :src="address(src)" alt="" draggable="false" :class="{sharp: sharp}" @load="loaded" @error="failed"
               :style="{width: width + 'px', height: height + 'px'}">
          <img v-if="detail" :src="address(detail.src)" alt="" draggable="false" class="detail"
               :style="detailStyle">
        </div>
        <canvas ref="marks" class="viewer-marks"></canvas>
        <div v-if="bar.px" class="viewer-bar" :style="{width: bar.px + 'px'}"><span>{{ bar.text }}</span></div>
        <div v-if="broken" class="viewer-broken">The picture could not be drawn.</div>
      </div>
    </div>`,
  props: {
    src: String, width: Number, height: Number, nmPerUnit: Number, label: String, drawable: Boolean,
    sharp: Boolean, points: Array, region: Array, detail: Object, radius: Number, axes: Object,
  },
  data() {
    return { scale: 1, x: 0, y: 0, drawing: false, box: null, start: null, pointers: {}, pinch: null,
             where: "", broken: false, size: [1, 1] };
  },
  computed: {
    stageStyle() { return { transform: `translate(${this.x}px, ${this.y}px) scale(${this.scale})` }; },
    detailStyle() {
      const [y0, x0, y1, x1] = this.detail.box;
      return { left: x0 + "px", top: y0 + "px", width: x1 - x0 + "px", height: y1 - y0 + "px" };
    },
    bar() {
      if (!this.nmPerUnit) return { px: 0, text: "" };
      const longest = (this.size[0] * 0.25 / this.scale) * this.nmPerUnit;
      const power = 10 ** Math.floor(Math.log10(longest));
      const nm = ROUND.map((step) => step * power).find((step) => step <= longest) || power;
      return { px: (nm / this.nmPerUnit) * this.scale, text: nm >= 1000 ? nm / 1000 + " µm" : nm + " nm" };
    },
  },
  watch: {
    points() { this.paint(); },
    region() { this.paint(); },
    box() { this.paint(); },
    width() { this.fit(); },
    height() { this.fit(); },
  },
  mounted() {
    this.observer = new ResizeObserver(() => { this.fit(); });
    this.observer.observe(this.$refs.pane);
    this.fit();
  },
  unmounted() { this.observer.disconnect(); clearTimeout(this.timer); },
  methods: {
    address(path) { return path ? (window.path_prefix || "") + path : undefined; },
    loaded() { this.broken = false; this.$refs.pane.dataset.loaded = this.src; },
    failed() { this.broken = true; },
    fit() {
      const pane = this.$refs.pane;
      this.size = [pane.clientWidth, pane.clientHeight];
      this.scale = Math.min(this.size[0] / this.width, this.size[1] / this.height) || 1;
      this.x = (this.size[0] - this.width * this.scale) / 2;
      this.y = (this.size[1] - this.height * this.scale) / 2;
      this.settle();
    },
    zoom(factor, at) {
      const [px, py] = at || [this.size[0] / 2, this.size[1] / 2];
      const least = 0.5 * Math.min(this.size[0] / this.width, this.size[1] / this.height);
      const scale = Math.min(Math.max(this.scale * factor, least), 1000 * least);
      this.x = px - ((px - this.x) * scale) / this.scale;
      this.y = py - ((py - this.y) * scale) / this.scale;
      this.scale = scale;
      this.settle();
    },
    pan(dx, dy) { this.x += dx; this.y += dy; this.settle(); },
    wheel(event) { this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.at(event)); },
    at(event) {
      const frame = this.$refs.pane.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    },
    unit(at) { return [(at[0] - this.x) / this.scale, (at[1] - this.y) / this.scale]; },
    down(event) {
      this.$refs.pane.setPointerCapture(event.pointerId);
      this.pointers[event.pointerId] = this.at(event);
      const held = Object.values(this.pointers);
      this.pinch = held.length === 2 ? Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]) : null;
      if (this.drawing && held.length === 1) this.start = this.unit(this.at(event));
    },
    move(event) {
      const at = this.at(event), [ux, uy] = this.unit(at), before = this.pointers[event.pointerId];
      this.where = `x ${Math.floor(ux)}, y ${Math.floor(uy)}`;
      if (!before) return;
      this.pointers[event.pointerId] = at;
      const held = Object.values(this.pointers);
      if (held.length === 2) {
        const gap = Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]);
        this.zoom(gap / (this.pinch || gap), [(held[0][0] + held[1][0]) / 2, (held[0][1] + held[1][1]) / 2]);
        this.pinch = gap;
      } else if (this.start) {
        this.box = this.limited(this.start, [ux, uy]);
      } else {
        this.pan(at[0] - before[0], at[1] - before[1]);
      }
    },
    up(event) {
      delete this.pointers[event.pointerId];
      if (this.start && this.box) {
        const [y0, x0, y1, x1] = this.box;
        if (y1 - y0 >= 2 && x1 - x0 >= 2) this.$emit("region", { box: this.box });
        this.drawing = false;
      }
      this.start = this.box = null;
    },
    cancel(event) { delete this.pointers[event.pointerId]; this.start = this.box = null; },
    limited(a, b) {
      const inside = (value, top) => Math.min(Math.max(value, 0), top);
      const xs = [a[0], b[0]].sort((p, q) => p - q), ys = [a[1], b[1]].sort((p, q) => p - q);
      return [Math.floor(inside(ys[0], this.height)), Math.floor(inside(xs[0], this.width)),
              Math.ceil(inside(ys[1], this.height)), Math.ceil(inside(xs[1], this.width))];
    },
    key(event) {
      const step = 40, moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step],
                                 ArrowDown: [0, -step] };
      if (moves[event.key]) this.pan(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1.5);
      else if (event.key === "-") this.zoom(1 / 1.5);
      else if (event.key === "0") this.fit();
      else if (event.key === "Escape") { this.drawing = false; this.start = this.box = null; }
      else return;
      event.preventDefault();
    },
    drawAxes(pen) {
      const most = 70 / this.scale, power = 10 ** Math.floor(Math.log10(most));
      const step = [10, 5, 2, 1].map((each) => each * power).find((each) => each <= most) || power;
      const [x0, y0] = this.unit([0, 0]), [x1, y1] = this.unit(this.size), text = (nm) => String(Math.round(nm));
      pen.fillStyle = pen.strokeStyle = "#ffffffcc";
      pen.font = "11px system-ui, sans-serif";
      pen.lineWidth = 1;
      pen.beginPath();
      for (let x = Math.ceil(x0 / step) * step; x < x1; x += step) {
        const at = x * this.scale + this.x;
        pen.moveTo(at, this.size[1]); pen.lineTo(at, this.size[1] - 6);
        pen.fillText(text(x), at + 3, this.size[1] - 4);
      }
      const top = this.axes.top;
      for (let z = Math.ceil((top - y1) / step) * step; z < top - y0; z += step) {
        const at = (top - z) * this.scale + this.y;
        pen.moveTo(0, at); pen.lineTo(6, at);
        pen.fillText(text(z), 9, at + 4);
      }
      pen.stroke();
      pen.fillText(`${this.axes.across} (nm) \u2192   ${this.axes.up} (nm) \u2191`, 9, 13);
    },
    settle() {
      this.paint();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        const a = this.unit([0, 0]), b = this.unit(this.size), whole = this.limited(a, b);
        this.$emit("shown", { box: whole, px: Math.max(...this.size), scale: this.scale });
      }, 350);
    },
    paint() {
      const canvas = this.$refs.marks;
      if (!canvas) return;
      const dense = window.devicePixelRatio || 1;
      canvas.width = this.size[0] * dense;
      canvas.height = this.size[1] * dense;
      const pen = canvas.getContext("2d");
      pen.scale(dense, dense);
      pen.lineWidth = 1.5;
      pen.strokeStyle = "#00e5a8";
      const flat = this.points || [], radius = Math.max((this.radius || 2.5) * this.scale, 4);
      for (let i = 0; i + 1 < flat.length; i += 2) {
        pen.beginPath();
        pen.arc(flat[i] * this.scale + this.x, flat[i + 1] * this.scale + this.y, radius, 0, 2 * Math.PI);
        pen.stroke();
      }
      if (this.axes) this.drawAxes(pen);
      const box = this.box || this.region;
      if (box) {
        pen.lineWidth = 2;
        pen.strokeStyle = "#ffb000";
        pen.setLineDash([6, 4]);
        pen.strokeRect(box[1] * this.scale + this.x, box[0] * this.scale + this.y,
                       (box[3] - box[1]) * this.scale, (box[2] - box[0]) * this.scale);
      }
    },
  },
};
