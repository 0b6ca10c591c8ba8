#include "ops/concat.h"

#include "ops/element.h"
#include "ops/elementwise.h"

/* Moves part p of `joined` from or to `part`: [outer, size, inner] inside [outer, whole, inner].
 * part->data NULL: zeros are moved in. */
static void move_part(const reel_concat_attr *attr, int p, const reel_tensor *joined,
                      const reel_tensor *part, bool join) {
    const reel_shape *s = &joined->shape;
    const int64_t outer = reel_shape_span(s, 0, attr->axis), whole = s->dim[attr->axis];
    const int64_t inner = reel_shape_span(s, attr->axis + 1, s->rank);
    int64_t before = 0;
    for (int i = 0; i < p; i++)
        before += attr->size[i];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < attr->size[p] * inner; k++) {
            const int64_t at = (o * whole + before) * inner + k;
            if (!part->data)
                reel_put(joined, at, 0);
            else if (join)
                reel_move(joined, at, part, o * attr->size[p] * inner + k);
            else
                reel_move(part, o * attr->size[p] * inner + k, joined, at);
        }
}

/* ---- concat ---- */

/* A part may be absent (0), and then stands for zeros: split's gradient, where nothing flows. */
static reel_status concat_shape(reel_env *env, reel_call *c) {
    const reel_concat_attr *attr = c->attr;
    int first = 0;
    while (first < c->n_in && !c->present[first])
        first++;
    if (first == c->n_in) return reel_fail(env, REEL_E_SHAPE, "needs at least one part");
    const reel_tensor *x = &c->in[first];
    if (attr->axis < 0 || attr->axis >= x->shape.rank)
        return reel_fail(env, REEL_E_SHAPE, "x %s has no axis %d", REEL_SHAPE_STR(&x->shape),
                         attr->axis);
    c->n_out = 1;
    c->out[0] = *x;
    int64_t *whole = &c->out[0].shape.dim[attr->axis];
    *whole = 0;
    for (int i = 0; i < c->n_in; i++) {
        reel_shape wanted = x->shape;
        wanted.dim[attr->axis] = attr->size[i];
        if (c->present[i] &&
            (!reel_shape_equal(&c->in[i].shape, &wanted) || c->in[i].dtype != x->dtype))
            return reel_fail(env, REEL_E_SHAPE, "part %d must be %s %s, got %s %s", i,
                             reel_dtype_name(x->dtype), REEL_SHAPE_STR(&wanted),
                             reel_dtype_name(c->in[i].dtype), REEL_SHAPE_STR(&c->in[i].shape));
        if (__builtin_add_overflow(*whole, attr->size[i], whole))
            return reel_fail(env, REEL_E_SHAPE, "the parts are too long along axis %d", attr->axis);
    }
    return REEL_OK;
}

static void concat_ref(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        move_part(c->attr, i, &c->out[0], &c->in[i], true);
}
const reel_kernel reel_ref_concat = {.name = "concat.ref", .run = concat_ref};

static void concat_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_concat_attr *attr = (const void *)r->attr;
    reel_var part[REEL_MAX_PARTS];
    reel_split(t, dout[0], attr->axis, attr->size, attr->n, part);
    for (int i = 0; i < attr->n; i++)
        if (reel_tape_wants_grad(t, r->in[i]))
            reel_tape_add_grad(t, r->in[i],
                               reel_cast(t, part[i], reel_tape_grad_dtype(t, r->in[i])));
}

const reel_op reel_op_concat = {.name = "concat",
                                .id = REEL_OP_CONCAT,
                                .shape = concat_shape,
                                .optional = ~0u,
                                .grad = concat_grad};

reel_var reel_concat(reel_tape *t, const reel_var *x, int n, int axis) {
    if (n < 1 || n > REEL_MAX_PARTS) {
        reel_tape_fail(t, REEL_E_SHAPE, "concat: 1 to %d parts, got %d", REEL_MAX_PARTS, n);
        return 0;
    }
    reel_concat_attr attr = {.axis = axis, .n = n};
    for (int i = 0; i < n; i++) {
        if (!x[i]) reel_tape_fail(t, REEL_E_ARG, "concat: part %d of %d is absent", i, n);
        const reel_shape *shape = &reel_tape_value(t, x[i])->shape;
        attr.size[i] = axis >= 0 && axis < shape->rank ? shape->dim[axis] : 0;
    }
    if (n == 1 && axis >= 0 && axis < reel_tape_value(t, x[0])->shape.rank) return x[0];
    return reel_tape_record(t, &reel_op_concat, &attr, sizeof attr, x, n);
}

/* ---- split ---- */

static reel_status split_shape(reel_env *env, reel_call *c) {
    const reel_concat_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape;
    if (attr->axis < 0 || attr->axis >= x->rank)
        return reel_fail(env, REEL_E_SHAPE, "x %s has no axis %d", REEL_SHAPE_STR(x), attr->axis);
    int64_t rest = x->dim[attr->axis];
    c->n_out = attr->n;
    for (int i = 0; i < attr->n; i++) {
        if (attr->size[i] < 0 || attr->size[i] > rest)
            return reel_fail(
                env, REEL_E_SHAPE, "x %s: part %d of %lld does not fit the %lld left of axis %d",
                REEL_SHAPE_STR(x), i, (long long)attr->size[i], (long long)rest, attr->axis);
        rest -= attr->size[i];
        c->out[i] = c->in[0];
        c->out[i].shape.dim[attr->axis] = attr->size[i];
    }
    if (rest)
        return reel_fail(env, REEL_E_SHAPE, "x %s: the parts leave %lld of axis %d over",
                         REEL_SHAPE_STR(x), (long long)rest, attr->axis);
    return REEL_OK;
}

static void split_ref(const reel_call *c) {
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i].data) move_part(c->attr, i, &c->in[0], &c->out[i], false);
}
const reel_kernel reel_ref_split = {.name = "split.ref", .run = split_ref};

static void split_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_concat_attr *attr = (const void *)r->attr;
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    const reel_var dx = reel_tape_record(t, &reel_op_concat, attr, sizeof *attr, dout, attr->n);
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dx, reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_split = {
    .name = "split", .id = REEL_OP_SPLIT, .shape = split_shape, .grad = split_grad};

void reel_split(reel_tape *t, reel_var x, int axis, const int64_t *size, int n, reel_var *part) {
    for (int i = 0; i < n && i < REEL_MAX_PARTS; i++)
        part[i] = 0;
    if (n < 1 || n > REEL_MAX_PARTS) {
        reel_tape_fail(t, REEL_E_SHAPE, "split: 1 to %d parts, got %d", REEL_MAX_PARTS, n);
        return;
    }
    reel_concat_attr attr = {.axis = axis, .n = n};
    for (int i = 0; i < n; i++)
        attr.size[i] = size[i];
    const reel_var first = REEL_RECORD(t, &reel_op_split, &attr, sizeof attr, x);
    for (int i = 0; first && i < n; i++)
        part[i] = first + i;
}

void reel_split_evenly(reel_tape *t, reel_var x, int axis, int n, reel_var *part) {
    const reel_shape *shape = &reel_tape_value(t, x)->shape;
    const int64_t whole = axis >= 0 && axis < shape->rank ? shape->dim[axis] : 0;
    int64_t size[REEL_MAX_PARTS];
    for (int i = 0; i < n && i < REEL_MAX_PARTS; i++)
        size[i] = whole / n; /* what is left over is refused by the shape rule */
    reel_split(t, x, axis, size, n, part);
}
