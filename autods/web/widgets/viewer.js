// A picture to pan, zoom and draw a region on, with marks and a scale bar. Sizes and marks are in units of the
// picture (camera pixels, or nm of a reconstruction); `nmPerUnit` makes the scale bar.
import panZoom, { SCALE_BAR, TOOLS, roundAbove } from "pan_zoom";

export default {
  template: `
    <div class="viewer-frame">
      <div class="viewer-tools" role="toolbar" :aria-label="label + ': tools'">
        ${TOOLS}
        <button v-if="drawable" type="button" :aria-pressed="drawing ? 'true' : 'false'" class="draw"
                :class="{on: drawing}" @click="drawing = !drawing">Draw region</button>
        <button v-if="drawable && region" type="button" class="clear" @click="$emit('region', {box: null})">
          Whole field</button>
        <span class="where" aria-hidden="true">{{ where }}</span>
      </div>
      <div ref="pane" class="viewer-pane" tabindex="0" role="img" :aria-label="label" :class="{draw: drawing}"
           @wheel.prevent="wheel" @pointerdown="begin" @pointermove="move" @pointerup="end"
           @pointercancel="cancel" @pointerleave="where = ''" @keydown="key">
        <div class="viewer-stage" :style="stageStyle">
          <img :src="address(src)" alt="" draggable="false" :class="{sharp: sharp}" @load="loaded" @error="failed"
               :style="{width: width + 'px', height: height + 'px'}">
        </div>
        <canvas ref="marks" class="viewer-marks"></canvas>
        ${SCALE_BAR}
        <div v-if="broken" class="viewer-broken">The picture could not be drawn.</div>
      </div>
    </div>`,
  mixins: [panZoom],
  props: {
    src: String, width: Number, height: Number, nmPerUnit: Number, label: String, drawable: Boolean,
    sharp: Boolean, points: Array, region: Array, axes: Object,
  },
  data() { return { drawing: false, drawn: null, start: null, broken: false }; },
  computed: {
    stageStyle() { return { transform: `translate(${this.x}px, ${this.y}px) scale(${this.scale})` }; },
  },
  watch: {
    points() { this.paint(); },
    region() { this.paint(); },
    drawn() { this.paint(); },
    width() { this.whole(); },
    height() { this.whole(); },
  },
  methods: {
    resized() { this.measure(); this.whole(); },
    most(least) { return 1000 * least; },
    place([x, y]) { return `x ${Math.floor(x)}, y ${Math.floor(y)}`; },
    loaded() { this.broken = false; this.$refs.pane.dataset.loaded = this.src; },
    failed() { this.broken = true; },
    begin(event) {
      if (this.down(event) === 1 && this.drawing) this.start = this.unit(this.at(event));
    },
    dragged(at) {
      if (this.start) this.drawn = this.limited(this.start, this.unit(at));
      return this.start;
    },
    end(event) {
      this.up(event);
      if (this.start && this.drawn) {
        const [y0, x0, y1, x1] = this.drawn;
        if (y1 - y0 >= 2 && x1 - x0 >= 2) this.$emit("region", { box: this.drawn });
        this.drawing = false;
      }
      this.start = this.drawn = null;
    },
    cancel(event) { this.up(event); this.start = this.drawn = null; },
    pressed(key) {
      if (key !== "Escape") return false;
      this.drawing = false;
      this.start = this.drawn = null;
      return true;
    },
    limited(a, b) {
      const inside = (value, top) => Math.min(Math.max(value, 0), top);
      const xs = [a[0], b[0]].sort((p, q) => p - q), ys = [a[1], b[1]].sort((p, q) => p - q);
      return [Math.floor(inside(ys[0], this.height)), Math.floor(inside(xs[0], this.width)),
              Math.ceil(inside(ys[1], this.height)), Math.ceil(inside(xs[1], this.width))];
    },
    drawAxes(pen) {
      const step = roundAbove(50 / this.scale);
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
    settle() { this.paint(); },
    paint() {
      const canvas = this.$refs.marks;
      if (!canvas) return;
      const pen = this.pen(canvas);
      pen.lineWidth = 1.5;
      pen.strokeStyle = "#00e5a8";
      const flat = this.points || [], radius = Math.max(2.5 * this.scale, 4);
      for (let i = 0; i + 1 < flat.length; i += 2) {
        pen.beginPath();
        pen.arc(flat[i] * this.scale + this.x, flat[i + 1] * this.scale + this.y, radius, 0, 2 * Math.PI);
        pen.stroke();
      }
      if (this.axes) this.drawAxes(pen);
      const box = this.drawn || this.region;
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
