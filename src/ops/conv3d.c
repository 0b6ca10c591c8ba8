#include "ops/conv3d.h"

#include "ops/element.h"
#include "ops/elementwise.h"

/* ---- sizes ---- */

enum { T, HEIGHT, WIDTH }; /* axes of sizes, strides and paddings */

/* Where channels, frames and batch lie in a shape of five axes. */
static int axis_of_channels(int32_t layout) {
    return layout == REEL_GRID_CHANNELS_LAST ? 4 : 1;
}
static int axis_of_frames(int32_t layout) {
    return layout == REEL_GRID_CHANNELS_LAST ? 1 : 2;
}

static reel_shape grid_shape(int32_t layout, int64_t B, int64_t C, const int64_t size[3]) {
    return layout == REEL_GRID_CHANNELS_LAST ? REEL_SHAPE(B, size[T], size[HEIGHT], size[WIDTH], C)
                                             : REEL_SHAPE(B, C, size[T], size[HEIGHT], size[WIDTH]);
}

static reel_conv3d_size measure(const reel_conv3d_attr *a, const int64_t x[5], int64_t O,
                                const int64_t kernel[3], int64_t n_cache) {
    const int f = axis_of_frames(a->layout);
    reel_conv3d_size n = {
        .B = x[0], .C = x[axis_of_channels(a->layout)], .O = O, .n_cache = n_cache};
    n.n_front = n_cache >= 0 ? n_cache : a->pad_lo[T];
    for (int i = 0; i < 3; i++) {
        n.in[i] = x[f + i];
        n.kernel[i] = kernel[i];
        const int64_t padded = (i == T ? n.n_front : a->pad_lo[i]) + n.in[i] + a->pad_hi[i];
        n.out[i] = padded < kernel[i] ? 0 : (padded - kernel[i]) / a->stride[i] + 1;
    }
    n.n_kept = n.n_front + n.in[T] - n.out[T] * a->stride[T];
    return n;
}

static reel_conv3d_size size_of_forward(const reel_call *c) {
    const int frames = axis_of_frames(((const reel_conv3d_attr *)c->attr)->layout);
    return measure(c->attr, c->in[0].shape.dim, c->in[1].shape.dim[0], c->in[1].shape.dim + 2,
                   c->present[3] ? c->in[3].shape.dim[frames] : -1);
}

static reel_conv3d_size size_of_gradient(const reel_conv3d_grad_attr *a, int64_t O) {
    const int64_t x[5] = {a->x_dim[0], a->x_dim[1], a->x_dim[2], a->x_dim[3], a->x_dim[4]};
    return measure(&a->conv, x, O, (const int64_t[]){a->kernel[0], a->kernel[1], a->kernel[2]},
                   a->n_cache);
}

reel_conv3d_size reel_conv3d_size_of(const reel_call *c) {
    if (c->op == &reel_op_conv3d) return size_of_forward(c);
    if (c->op == &reel_op_conv3d_dx) return size_of_gradient(c->attr, c->in[1].shape.dim[0]);
    const reel_conv3d_grad_attr *a = c->attr;
    return size_of_gradient(a, c->in[0].shape.dim[axis_of_channels(a->conv.layout)]);
}

reel_grid_stride reel_grid_stride_of(reel_grid_layout layout, int64_t C, const int64_t size[3]) {
    const int64_t frame = size[HEIGHT] * size[WIDTH];
    if (layout == REEL_GRID_CHANNELS_LAST)
        return (reel_grid_stride){
            .b = size[T] * frame * C, .c = 1, .f = frame * C, .h = size[WIDTH] * C, .w = C};
    return (reel_grid_stride){
        .b = C * size[T] * frame, .c = size[T] * frame, .f = frame, .h = size[WIDTH], .w = 1};
}

bool reel_conv3d_frame(const reel_conv3d_attr *a, const reel_conv3d_size *n, int64_t j,
                       bool *from_cache, int64_t *frame) {
    *from_cache = n->n_cache >= 0 && j < n->n_cache;
    *frame = *from_cache ? j : j - n->n_front;
    if (*frame < 0 && a->front == REEL_FRONT_REPLICATE) *frame = 0;
    return *from_cache || (*frame >= 0 && *frame < n->in[T]);
}

/* ---- contract ---- */

static reel_status check_attr(reel_env *env, const reel_conv3d_attr *a) {
    for (int i = 0; i < 3; i++)
        if (a->stride[i] < 1 || a->pad_lo[i] < 0 || a->pad_hi[i] < 0)
            return reel_fail(env, REEL_E_ARG,
                             "axis %d needs a stride >= 1 and paddings >= 0, got %d, %d and %d", i,
                             a->stride[i], a->pad_lo[i], a->pad_hi[i]);
    if (a->carry && a->pad_hi[T] > 0)
        return reel_fail(env, REEL_E_ARG, "a cache cannot be carried over %d frames of padding",
                         a->pad_hi[T]);
    return REEL_OK;
}

static reel_status check_operands(reel_env *env, const reel_call *c, const reel_conv3d_attr *a) {
    const reel_shape *x = &c->in[0].shape, *w = &c->in[1].shape, *b = &c->in[2].shape;
    const int channels = axis_of_channels(a->layout);
    if (x->rank != 5 || w->rank != 5 || x->dim[channels] != w->dim[1])
        return reel_fail(env, REEL_E_SHAPE, "x %s needs w [O,%lld,Kt,Kh,Kw], got %s",
                         REEL_SHAPE_STR(x), (long long)(x->rank == 5 ? x->dim[channels] : -1),
                         REEL_SHAPE_STR(w));
    if (w->dim[2] < 1 || w->dim[3] < 1 || w->dim[4] < 1)
        return reel_fail(env, REEL_E_SHAPE, "w %s has an empty kernel", REEL_SHAPE_STR(w));
    if (c->present[2] && (b->rank != 1 || b->dim[0] != w->dim[0]))
        return reel_fail(env, REEL_E_SHAPE, "w %s needs b [%lld], got %s", REEL_SHAPE_STR(w),
                         (long long)w->dim[0], REEL_SHAPE_STR(b));
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && c->in[i].dtype != REEL_F32 && c->in[i].dtype != REEL_BF16)
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be f32 or bf16, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    if (!c->present[3]) return REEL_OK;
    reel_shape cache = *x;
    const int frames = axis_of_frames(a->layout);
    cache.dim[frames] = c->in[3].shape.dim[frames];
    if (!reel_shape_equal(&cache, &c->in[3].shape) || c->in[3].dtype != c->in[0].dtype)
        return reel_fail(env, REEL_E_SHAPE, "x %s %s needs a cache alike but for frames, got %s %s",
                         reel_dtype_name(c->in[0].dtype), REEL_SHAPE_STR(x),
                         reel_dtype_name(c->in[3].dtype), REEL_SHAPE_STR(&c->in[3].shape));
    return REEL_OK;
}

static reel_status conv3d_shape(reel_env *env, reel_call *c) {
    const reel_conv3d_attr *a = c->attr;
    reel_status status = check_attr(env, a);
    if (status == REEL_OK) status = check_operands(env, c, a);
    if (status != REEL_OK) return status;
    const reel_conv3d_size n = size_of_forward(c);
    if (n.out[HEIGHT] < 1 || n.out[WIDTH] < 1 || (n.out[T] < 1 && !a->carry))
        return reel_fail(env, REEL_E_SHAPE, "x %s is smaller than the kernel of w %s",
                         REEL_SHAPE_STR(&c->in[0].shape), REEL_SHAPE_STR(&c->in[1].shape));
    if (a->carry && n.kernel[T] < a->stride[T])
        return reel_fail(env, REEL_E_ARG, "a cache cannot be carried with stride %d over kernel %d",
                         a->stride[T], (int)n.kernel[T]);
    c->n_out = a->carry ? 2 : 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)a->out_dtype,
                              .shape = grid_shape(a->layout, n.B, n.O, n.out)};
    const int64_t kept[3] = {n.n_kept, n.in[HEIGHT], n.in[WIDTH]};
    c->out[1] =
        (reel_tensor){.dtype = c->in[0].dtype, .shape = grid_shape(a->layout, n.B, n.C, kept)};
    return REEL_OK;
}

/* Arithmetic as if padding were data: what everybody counts. */
static double flops(const reel_call *c) {
    const reel_conv3d_size n = reel_conv3d_size_of(c);
    return 2.0 * (double)(n.B * n.out[T] * n.out[HEIGHT] * n.out[WIDTH]) *
           (double)(n.C * n.kernel[T] * n.kernel[HEIGHT] * n.kernel[WIDTH]) * (double)n.O;
}

/* ---- reference ---- */

/* A call's grids: element (b,c,f,h,w) of each is at the sum of index times stride. */
typedef struct grids {
    const reel_conv3d_attr *a;
    reel_conv3d_size n;
    reel_grid_stride x, y, cache, kept;
} grids;

static grids grids_of(const reel_call *c, const reel_conv3d_attr *a) {
    grids g = {.a = a, .n = reel_conv3d_size_of(c)};
    const reel_grid_layout layout = (reel_grid_layout)a->layout;
    const int64_t *in = g.n.in;
    g.x = reel_grid_stride_of(layout, g.n.C, in);
    g.y = reel_grid_stride_of(layout, g.n.O, g.n.out);
    g.cache = reel_grid_stride_of(layout, g.n.C, (const int64_t[]){g.n.n_cache, in[1], in[2]});
    g.kept = reel_grid_stride_of(layout, g.n.C, (const int64_t[]){g.n.n_kept, in[1], in[2]});
    return g;
}

static int64_t at(const reel_grid_stride *s, int64_t b, int64_t c, const int64_t p[3]) {
    return b * s->b + c * s->c + p[T] * s->f + p[HEIGHT] * s->h + p[WIDTH] * s->w;
}

/* The position of the stream that output position p meets with kernel position k; false: in the
 * spatial padding. */
static bool meet(const grids *g, const int64_t p[3], const int64_t k[3], int64_t q[3]) {
    for (int i = 0; i < 3; i++)
        q[i] = p[i] * g->a->stride[i] + k[i] - (i == T ? 0 : g->a->pad_lo[i]);
    return q[HEIGHT] >= 0 && q[HEIGHT] < g->n.in[HEIGHT] && q[WIDTH] >= 0 &&
           q[WIDTH] < g->n.in[WIDTH];
}

/* Position q of the stream, as a tensor and an element of it; false: zero. */
static bool locate(const grids *g, const reel_tensor *x, const reel_tensor *cache, int64_t b,
                   int64_t c, const int64_t q[3], const reel_tensor **tensor, int64_t *element) {
    bool from_cache;
    int64_t p[3] = {0, q[HEIGHT], q[WIDTH]};
    if (!reel_conv3d_frame(g->a, &g->n, q[T], &from_cache, &p[T])) return false;
    *tensor = from_cache ? cache : x;
    *element = at(from_cache ? &g->cache : &g->x, b, c, p);
    return true;
}

#define FOR_EACH(p, limit)                                                                         \
    for ((p)[T] = 0; (p)[T] < (limit)[T]; (p)[T]++)                                                \
        for ((p)[HEIGHT] = 0; (p)[HEIGHT] < (limit)[HEIGHT]; (p)[HEIGHT]++)                        \
            for ((p)[WIDTH] = 0; (p)[WIDTH] < (limit)[WIDTH]; (p)[WIDTH]++)

static int64_t weight_at(const reel_conv3d_size *n, int64_t o, int64_t c, const int64_t k[3]) {
    return (((o * n->C + c) * n->kernel[T] + k[T]) * n->kernel[HEIGHT] + k[HEIGHT]) *
               n->kernel[WIDTH] +
           k[WIDTH];
}

/* The frames the next piece starts with. */
static void carry_ref(const reel_call *c, const grids *g) {
    const int64_t kept[3] = {g->n.n_kept, g->n.in[HEIGHT], g->n.in[WIDTH]};
    const int64_t first = g->n.out[T] * g->a->stride[T];
    for (int64_t b = 0; b < g->n.B; b++)
        for (int64_t i = 0; i < g->n.C; i++) {
            int64_t p[3];
            FOR_EACH(p, kept) {
                const reel_tensor *from;
                int64_t element;
                const int64_t q[3] = {first + p[T], p[HEIGHT], p[WIDTH]};
                const bool there = locate(g, &c->in[0], &c->in[3], b, i, q, &from, &element);
                reel_put(&c->out[1], at(&g->kept, b, i, p), there ? reel_get(from, element) : 0);
            }
        }
}

static double output_ref(const reel_call *c, const grids *g, int64_t b, int64_t o,
                         const int64_t p[3]) {
    double sum = c->present[2] ? reel_get(&c->in[2], o) : 0;
    int64_t k[3], q[3], element;
    const reel_tensor *from;
    for (int64_t i = 0; i < g->n.C; i++)
        FOR_EACH(k, g->n.kernel) {
            if (!meet(g, p, k, q)) continue;
            if (!locate(g, &c->in[0], &c->in[3], b, i, q, &from, &element)) continue;
            sum += reel_get(from, element) * reel_get(&c->in[1], weight_at(&g->n, o, i, k));
        }
    return sum;
}

static void conv3d_ref(const reel_call *c) {
    const grids g = grids_of(c, c->attr);
    for (int64_t b = 0; c->out[0].data && b < g.n.B; b++)
        for (int64_t o = 0; o < g.n.O; o++) {
            int64_t p[3];
            FOR_EACH(p, g.n.out)
            reel_put(&c->out[0], at(&g.y, b, o, p), output_ref(c, &g, b, o, p));
        }
    if (c->n_out > 1 && c->out[1].data) carry_ref(c, &g); /* last: it may replace the cache */
}
const reel_kernel reel_ref_conv3d = {.name = "conv3d.ref", .run = conv3d_ref};

/* ---- gradient by x and cache ---- */

/* in: dy (0 when nothing flows), w, dkept (gradient of the carried cache, or 0) */
static reel_status conv3d_dx_shape(reel_env *env, reel_call *c) {
    const reel_conv3d_grad_attr *a = c->attr;
    const reel_conv3d_size n = size_of_gradient(a, c->in[1].shape.dim[0]);
    const reel_shape y = grid_shape(a->conv.layout, n.B, n.O, n.out);
    if (c->present[0] && !reel_shape_equal(&c->in[0].shape, &y))
        return reel_fail(env, REEL_E_SHAPE, "w %s needs dy %s, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(&y),
                         REEL_SHAPE_STR(&c->in[0].shape));
    c->n_out = n.n_cache >= 0 ? 2 : 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)a->dx_dtype,
                              .shape = grid_shape(a->conv.layout, n.B, n.C, n.in)};
    const int64_t cache[3] = {n.n_cache, n.in[HEIGHT], n.in[WIDTH]};
    c->out[1] = (reel_tensor){.dtype = (reel_dtype)a->dcache_dtype};
    if (c->n_out > 1) c->out[1].shape = grid_shape(a->conv.layout, n.B, n.C, cache);
    return REEL_OK;
}

/* The gradient of position q of the stream. */
static double stream_gradient(const reel_call *c, const grids *g, int64_t b, int64_t i,
                              const int64_t q[3]) {
    double sum = 0;
    int64_t k[3], p[3];
    const int64_t kept[3] = {q[T] - g->n.out[T] * g->a->stride[T], q[HEIGHT], q[WIDTH]};
    if (c->present[2] && kept[T] >= 0 && kept[T] < g->n.n_kept)
        sum = reel_get(&c->in[2], at(&g->kept, b, i, kept));
    if (!c->present[0]) return sum;
    FOR_EACH(k, g->n.kernel) {
        bool met = true;
        for (int d = 0; d < 3; d++) {
            const int64_t lead = q[d] + (d == T ? 0 : g->a->pad_lo[d]) - k[d];
            met &= lead >= 0 && lead % g->a->stride[d] == 0;
            p[d] = lead / g->a->stride[d];
            met &= p[d] < g->n.out[d];
        }
        for (int64_t o = 0; met && o < g->n.O; o++)
            sum += reel_get(&c->in[0], at(&g->y, b, o, p)) *
                   reel_get(&c->in[1], weight_at(&g->n, o, i, k));
    }
    return sum;
}

static void conv3d_dx_ref(const reel_call *c) {
    const reel_conv3d_grad_attr *a = c->attr;
    const grids g = grids_of(c, &a->conv);
    const reel_tensor *dx = &c->out[0], *dcache = &c->out[1];
    const bool replicate = g.n.n_cache < 0 && a->conv.front == REEL_FRONT_REPLICATE;
    const int64_t cache[3] = {g.n.n_cache, g.n.in[HEIGHT], g.n.in[WIDTH]};
    for (int64_t b = 0; b < g.n.B; b++)
        for (int64_t i = 0; i < g.n.C; i++) {
            int64_t p[3];
            FOR_EACH(p, g.n.in) {
                if (!dx->data) break;
                int64_t q[3] = {p[T] + g.n.n_front, p[HEIGHT], p[WIDTH]};
                double sum = stream_gradient(c, &g, b, i, q);
                for (q[T] = 0; replicate && p[T] == 0 && q[T] < g.n.n_front; q[T]++)
                    sum += stream_gradient(c, &g, b, i, q);
                reel_put(dx, at(&g.x, b, i, p), sum);
            }
            if (c->n_out < 2 || !dcache->data) continue;
            FOR_EACH(p, cache)
            reel_put(dcache, at(&g.cache, b, i, p), stream_gradient(c, &g, b, i, p));
        }
}
const reel_kernel reel_ref_conv3d_dx = {.name = "conv3d_dx.ref", .run = conv3d_dx_ref};

/* ---- gradient by w and b ---- */

/* in: dy, x, cache or 0 */
static reel_status conv3d_dw_shape(reel_env *env, reel_call *c) {
    const reel_conv3d_grad_attr *a = c->attr;
    const reel_conv3d_size n = reel_conv3d_size_of(c);
    const reel_shape y = grid_shape(a->conv.layout, n.B, n.O, n.out);
    if (!reel_shape_equal(&c->in[0].shape, &y))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs dy %s, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(&y),
                         REEL_SHAPE_STR(&c->in[0].shape));
    c->n_out = a->bias ? 2 : 1;
    c->out[0] = (reel_tensor){
        .dtype = REEL_F32,
        .shape = REEL_SHAPE(n.O, n.C, n.kernel[T], n.kernel[HEIGHT], n.kernel[WIDTH])};
    c->out[1] = (reel_tensor){.dtype = REEL_F32, .shape = REEL_SHAPE(n.O)};
    return REEL_OK;
}

static double weight_gradient(const reel_call *c, const grids *g, int64_t o, int64_t i,
                              const int64_t k[3]) {
    double sum = 0;
    int64_t p[3], q[3], element;
    const reel_tensor *from;
    for (int64_t b = 0; b < g->n.B; b++)
        FOR_EACH(p, g->n.out) {
            if (!meet(g, p, k, q)) continue;
            if (!locate(g, &c->in[1], &c->in[2], b, i, q, &from, &element)) continue;
            sum += reel_get(&c->in[0], at(&g->y, b, o, p)) * reel_get(from, element);
        }
    return sum;
}

static void conv3d_dw_ref(const reel_call *c) {
    const reel_conv3d_grad_attr *a = c->attr;
    const grids g = grids_of(c, &a->conv);
    int64_t k[3];
    for (int64_t o = 0; c->out[0].data && o < g.n.O; o++)
        for (int64_t i = 0; i < g.n.C; i++)
            FOR_EACH(k, g.n.kernel)
    reel_put(&c->out[0], weight_at(&g.n, o, i, k), weight_gradient(c, &g, o, i, k));
    for (int64_t o = 0; c->n_out > 1 && c->out[1].data && o < g.n.O; o++) {
        double sum = 0;
        int64_t p[3];
        for (int64_t b = 0; b < g.n.B; b++)
            FOR_EACH(p, g.n.out)
        sum += reel_get(&c->in[0], at(&g.y, b, o, p));
        reel_put(&c->out[1], o, sum);
    }
}
const reel_kernel reel_ref_conv3d_dw = {.name = "conv3d_dw.ref", .run = conv3d_dw_ref};

static reel_conv3d_grad_attr grad_attr_of(const reel_tape *t, const reel_record *r) {
    const reel_shape x = reel_tape_value(t, r->in[0])->shape;
    const reel_shape w = reel_tape_value(t, r->in[1])->shape;
    reel_conv3d_grad_attr a = {.conv = *(const reel_conv3d_attr *)(const void *)r->attr,
                               .n_cache = -1,
                               .dx_dtype = reel_tape_grad_dtype(t, r->in[0])};
    for (int i = 0; i < 5; i++)
        a.x_dim[i] = (int32_t)x.dim[i];
    for (int i = 0; i < 3; i++)
        a.kernel[i] = (int32_t)w.dim[i + 2];
    if (r->in[3]) {
        a.n_cache = (int32_t)reel_tape_value(t, r->in[3])->shape.dim[axis_of_frames(a.conv.layout)];
        a.dcache_dtype = reel_tape_grad_dtype(t, r->in[3]);
    }
    return a;
}

static void conv3d_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_var x = r->in[0], w = r->in[1], b = r->in[2], cache = r->in[3];
    const reel_var dkept = r->n_out > 1 ? dout[1] : 0;
    const bool wants_cache = cache && reel_tape_wants_grad(t, cache);
    reel_conv3d_grad_attr a = grad_attr_of(t, r);
    if (reel_tape_wants_grad(t, x) || wants_cache) {
        const reel_var dx = REEL_RECORD(t, &reel_op_conv3d_dx, &a, sizeof a, dout[0], w, dkept);
        if (dx && reel_tape_wants_grad(t, x)) reel_tape_add_grad(t, x, dx);
        if (dx && wants_cache) reel_tape_add_grad(t, cache, dx + 1);
    }
    const bool wants_w = reel_tape_wants_grad(t, w), wants_b = b && reel_tape_wants_grad(t, b);
    if (!dout[0] || (!wants_w && !wants_b)) return;
    a.bias = wants_b;
    const reel_var dw = REEL_RECORD(t, &reel_op_conv3d_dw, &a, sizeof a, dout[0], x, cache);
    if (dw && wants_w) reel_tape_add_grad(t, w, reel_cast(t, dw, reel_tape_grad_dtype(t, w)));
    if (dw && wants_b) reel_tape_add_grad(t, b, reel_cast(t, dw + 1, reel_tape_grad_dtype(t, b)));
}

/* ---- ops ---- */

const reel_op reel_op_conv3d = {.name = "conv3d",
                                .id = REEL_OP_CONV3D,
                                .shape = conv3d_shape,
                                .optional = 12,
                                .grad = conv3d_grad,
                                .flops = flops};
const reel_op reel_op_conv3d_dx = {.name = "conv3d_dx",
                                   .id = REEL_OP_CONV3D_DX,
                                   .shape = conv3d_dx_shape,
                                   .optional = 5,
                                   .flops = flops};
const reel_op reel_op_conv3d_dw = {.name = "conv3d_dw",
                                   .id = REEL_OP_CONV3D_DW,
                                   .shape = conv3d_dw_shape,
                                   .optional = 4,
                                   .flops = flops};

reel_conv3d_attr reel_conv3d_attr_default(int64_t kernel_t) {
    return (reel_conv3d_attr){.stride = {1, 1, 1},
                              .pad_lo = {(int32_t)kernel_t - 1, 0, 0},
                              .layout = REEL_GRID_CHANNELS_FIRST,
                              .front = REEL_FRONT_ZERO,
                              .out_dtype = REEL_F32};
}

reel_var reel_conv3d(reel_tape *t, const reel_conv3d_attr *attr, reel_var x, reel_var w, reel_var b,
                     reel_var cache) {
    return REEL_RECORD(t, &reel_op_conv3d, attr, sizeof *attr, x, w, b, cache);
}
