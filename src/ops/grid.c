#include "ops/grid.h"

#include "ops/element.h"
#include "ops/elementwise.h"

enum { T, HEIGHT, WIDTH };

static int axis_of_channels(int32_t layout) {
    return layout == REEL_GRID_CHANNELS_LAST ? 4 : 1;
}
static int axis_of_frames(int32_t layout) {
    return layout == REEL_GRID_CHANNELS_LAST ? 1 : 2;
}

static bool is_positive(const int32_t v[3]) {
    return v[T] > 0 && v[HEIGHT] > 0 && v[WIDTH] > 0;
}

/* ---- space_to_depth, depth_to_space ---- */

/* The shape of the other side. fold: from space to depth. REEL_E_SHAPE when it does not divide. */
static reel_status folded_shape(reel_env *env, const reel_fold_attr *a, const reel_shape *x,
                                reel_shape *y) {
    const int c = axis_of_channels(a->layout), f = axis_of_frames(a->layout);
    if (x->rank != 5)
        return reel_fail(env, REEL_E_SHAPE, "x needs five axes, got %s", REEL_SHAPE_STR(x));
    *y = *x;
    for (int i = 0; i < 3; i++) {
        if (x->dim[f + i] % a->patch[i] != 0)
            return reel_fail(env, REEL_E_SHAPE, "x %s does not divide into patches [%d,%d,%d]",
                             REEL_SHAPE_STR(x), a->patch[T], a->patch[HEIGHT], a->patch[WIDTH]);
        y->dim[f + i] /= a->patch[i];
        y->dim[c] *= a->patch[i];
    }
    if (a->tokens) *y = REEL_SHAPE(y->dim[0], reel_shape_span(y, f, f + 3), y->dim[c]);
    return REEL_OK;
}

static reel_status unfolded_shape(reel_env *env, const reel_fold_attr *a, const reel_shape *x,
                                  reel_shape *y) {
    const int c = axis_of_channels(a->layout), f = axis_of_frames(a->layout);
    const int64_t n_patch = (int64_t)a->patch[T] * a->patch[HEIGHT] * a->patch[WIDTH];
    const bool fits = x->rank == (a->tokens ? 3 : 5);
    const int64_t channels = fits ? x->dim[a->tokens ? 2 : c] : 0;
    if (!fits || channels % n_patch != 0)
        return reel_fail(env, REEL_E_SHAPE, "x %s has no channels of %lld to unfold",
                         REEL_SHAPE_STR(x), (long long)n_patch);
    *y = (reel_shape){.rank = 5};
    y->dim[0] = x->dim[0];
    y->dim[c] = channels / n_patch;
    int64_t n_tokens = 1;
    for (int i = 0; i < 3; i++) {
        y->dim[f + i] = a->tokens ? a->grid[i] : x->dim[f + i] * a->patch[i];
        n_tokens *= y->dim[f + i] / a->patch[i];
        if (y->dim[f + i] < 0 || y->dim[f + i] % a->patch[i] != 0)
            return reel_fail(env, REEL_E_SHAPE, "a grid of %s does not divide into its patches",
                             REEL_SHAPE_STR(y));
    }
    if (a->tokens && n_tokens != x->dim[1])
        return reel_fail(env, REEL_E_SHAPE, "x %s needs %lld tokens for %s", REEL_SHAPE_STR(x),
                         (long long)n_tokens, REEL_SHAPE_STR(y));
    return REEL_OK;
}

static reel_status fold_shape(reel_env *env, reel_call *c) {
    const reel_fold_attr *a = c->attr;
    if (!is_positive(a->patch))
        return reel_fail(env, REEL_E_ARG, "patch must be >= 1, got [%d,%d,%d]", a->patch[T],
                         a->patch[HEIGHT], a->patch[WIDTH]);
    c->n_out = 1;
    c->out[0].dtype = c->in[0].dtype;
    const bool fold = c->op == &reel_op_space_to_depth;
    return (fold ? folded_shape : unfolded_shape)(env, a, &c->in[0].shape, &c->out[0].shape);
}

reel_fold reel_fold_of(const reel_call *call) {
    const reel_fold_attr *a = call->attr;
    const bool fold = call->op == &reel_op_space_to_depth;
    const reel_shape *s = fold ? &call->in[0].shape : &call->out[0].shape;
    const int frames = axis_of_frames(a->layout);
    const int64_t *size = s->dim + frames, C = s->dim[axis_of_channels(a->layout)];
    const int64_t pt = a->patch[T], ph = a->patch[HEIGHT], pw = a->patch[WIDTH];
    const int64_t small[3] = {size[T] / pt, size[HEIGHT] / ph, size[WIDTH] / pw};
    const int64_t n_channels = C * pt * ph * pw;
    const reel_grid_stride x = reel_grid_stride_of((reel_grid_layout)a->layout, C, size);
    const reel_grid_stride y = reel_grid_stride_of(
        a->tokens ? REEL_GRID_CHANNELS_LAST : (reel_grid_layout)a->layout, n_channels, small);
    const bool last = a->order == REEL_FOLD_THWC;
    const int64_t unit = last ? C : 1; /* channels between neighbours in a patch */
    const bool w_slow = a->order == REEL_FOLD_CTWH;
    return (reel_fold){
        .dim = {s->dim[0], C, small[T], pt, small[HEIGHT], ph, small[WIDTH], pw},
        .space = {x.b, x.c, x.f * pt, x.f, x.h * ph, x.h, x.w * pw, x.w},
        .depth = {y.b, y.c * (last ? 1 : pt * ph * pw), y.f, y.c * unit * ph * pw, y.h,
                  y.c * unit * (w_slow ? 1 : pw), y.w, y.c * unit * (w_slow ? ph : 1)},
    };
}

static void fold_ref(const reel_call *c) {
    const reel_fold n = reel_fold_of(c);
    const bool fold = c->op == &reel_op_space_to_depth;
    const int64_t count = reel_tensor_count(&c->in[0]);
    const int64_t bytes = reel_dtype_bytes(c->in[0].dtype);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, space = 0, depth = 0;
        for (int k = REEL_FOLD_AXES - 1; k >= 0; k--) {
            space += rest % n.dim[k] * n.space[k];
            depth += rest % n.dim[k] * n.depth[k];
            rest /= n.dim[k];
        }
        memcpy((char *)c->out[0].data + (fold ? depth : space) * bytes,
               (const char *)c->in[0].data + (fold ? space : depth) * bytes, (size_t)bytes);
    }
}
const reel_kernel reel_ref_space_to_depth = {.name = "space_to_depth.ref", .run = fold_ref};
const reel_kernel reel_ref_depth_to_space = {.name = "depth_to_space.ref", .run = fold_ref};

static void fold_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    reel_fold_attr a = *(const reel_fold_attr *)(const void *)r->attr;
    const bool fold = r->op == &reel_op_space_to_depth;
    const reel_shape x = reel_tape_value(t, r->in[0])->shape;
    for (int i = 0; i < 3; i++)
        a.grid[i] = fold ? (int32_t)x.dim[axis_of_frames(a.layout) + i] : 0;
    const reel_var dx = (fold ? reel_depth_to_space : reel_space_to_depth)(t, &a, dout[0]);
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dx, reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_space_to_depth = {
    .name = "space_to_depth", .id = REEL_OP_SPACE_TO_DEPTH, .shape = fold_shape, .grad = fold_grad};
const reel_op reel_op_depth_to_space = {
    .name = "depth_to_space", .id = REEL_OP_DEPTH_TO_SPACE, .shape = fold_shape, .grad = fold_grad};

reel_var reel_space_to_depth(reel_tape *t, const reel_fold_attr *attr, reel_var x) {
    return REEL_RECORD(t, &reel_op_space_to_depth, attr, sizeof *attr, x);
}

reel_var reel_depth_to_space(reel_tape *t, const reel_fold_attr *attr, reel_var x) {
    return REEL_RECORD(t, &reel_op_depth_to_space, attr, sizeof *attr, x);
}

reel_var reel_patchify(reel_tape *t, reel_var x, const int32_t patch[3]) {
    const reel_fold_attr a = {.patch = {patch[T], patch[HEIGHT], patch[WIDTH]},
                              .order = REEL_FOLD_CTHW,
                              .layout = REEL_GRID_CHANNELS_FIRST,
                              .tokens = 1};
    return reel_space_to_depth(t, &a, x);
}

reel_var reel_unpatchify(reel_tape *t, reel_var x, const int32_t patch[3], const int32_t grid[3]) {
    const reel_fold_attr a = {.patch = {patch[T], patch[HEIGHT], patch[WIDTH]},
                              .order = REEL_FOLD_THWC,
                              .layout = REEL_GRID_CHANNELS_FIRST,
                              .tokens = 1,
                              .grid = {grid[T], grid[HEIGHT], grid[WIDTH]}};
    return reel_depth_to_space(t, &a, x);
}

/* ---- upsample: y[p] = x[p / factor]; backward: dx[q] = sum of dy over the block of q ---- */

static reel_status upsample_shape(reel_env *env, reel_call *c) {
    const reel_upsample_attr *a = c->attr;
    const reel_shape *x = &c->in[0].shape;
    if (!is_positive(a->factor))
        return reel_fail(env, REEL_E_ARG, "factors must be >= 1, got [%d,%d,%d]", a->factor[T],
                         a->factor[HEIGHT], a->factor[WIDTH]);
    if (x->rank != 5 || !reel_dtype_is_float(c->in[0].dtype))
        return reel_fail(env, REEL_E_SHAPE, "x needs five axes of a float type, got %s %s",
                         reel_dtype_name(c->in[0].dtype), REEL_SHAPE_STR(x));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = c->in[0].dtype, .shape = *x};
    for (int i = 0; i < 3; i++) {
        int64_t *dim = &c->out[0].shape.dim[axis_of_frames(a->layout) + i];
        if (c->op == &reel_op_upsample)
            *dim *= a->factor[i];
        else if (*dim % a->factor[i] == 0)
            *dim /= a->factor[i];
        else
            return reel_fail(env, REEL_E_SHAPE, "dy %s is no multiple of [%d,%d,%d]",
                             REEL_SHAPE_STR(x), a->factor[T], a->factor[HEIGHT], a->factor[WIDTH]);
    }
    return REEL_OK;
}

/* The element of the small grid that element i of the big one repeats. */
static int64_t source_of(const reel_upsample_attr *a, const reel_shape *big, int64_t i) {
    const int frames = axis_of_frames(a->layout);
    int64_t source = 0, stride = 1;
    for (int k = 4; k >= 0; k--) {
        const bool scaled = k >= frames && k < frames + 3;
        const int64_t factor = scaled ? a->factor[k - frames] : 1;
        source += i % big->dim[k] / factor * stride;
        stride *= big->dim[k] / factor;
        i /= big->dim[k];
    }
    return source;
}

static void upsample_ref(const reel_call *c) {
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++)
        reel_put(&c->out[0], i, reel_get(&c->in[0], source_of(c->attr, &c->out[0].shape, i)));
}
const reel_kernel reel_ref_upsample = {.name = "upsample.ref", .run = upsample_ref};

/* Sums a block in double: the position of its first element, then all of its offsets. */
static void upsample_backward_ref(const reel_call *c) {
    const reel_upsample_attr *a = c->attr;
    const reel_shape *small = &c->out[0].shape;
    const int frames = axis_of_frames(a->layout);
    const int64_t *size = c->in[0].shape.dim + frames;
    const int64_t C = small->dim[axis_of_channels(a->layout)];
    const reel_grid_stride s = reel_grid_stride_of((reel_grid_layout)a->layout, C, size);
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++) {
        int64_t p[5], rest = i;
        for (int k = 4; k >= 0; k--) {
            p[k] = rest % small->dim[k];
            rest /= small->dim[k];
        }
        const int64_t first =
            p[0] * s.b + p[axis_of_channels(a->layout)] * s.c + p[frames] * a->factor[T] * s.f +
            p[frames + 1] * a->factor[HEIGHT] * s.h + p[frames + 2] * a->factor[WIDTH] * s.w;
        double sum = 0;
        for (int64_t f = 0; f < a->factor[T]; f++)
            for (int64_t h = 0; h < a->factor[HEIGHT]; h++)
                for (int64_t w = 0; w < a->factor[WIDTH]; w++)
                    sum += reel_get(&c->in[0], first + f * s.f + h * s.h + w * s.w);
        reel_put(&c->out[0], i, sum);
    }
}
const reel_kernel reel_ref_upsample_backward = {.name = "upsample_backward.ref",
                                                .run = upsample_backward_ref};

static void upsample_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    const reel_upsample_attr *a = (const void *)r->attr;
    const reel_var dx = REEL_RECORD(t, &reel_op_upsample_backward, a, sizeof *a, dout[0]);
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dx, reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_upsample = {
    .name = "upsample", .id = REEL_OP_UPSAMPLE, .shape = upsample_shape, .grad = upsample_grad};
const reel_op reel_op_upsample_backward = {
    .name = "upsample_backward", .id = REEL_OP_UPSAMPLE_BACKWARD, .shape = upsample_shape};

reel_var reel_upsample(reel_tape *t, const reel_upsample_attr *attr, reel_var x) {
    return REEL_RECORD(t, &reel_op_upsample, attr, sizeof *attr, x);
}
