#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "ops/element.h"

/* ---- contract ---- */

/* Rank of the first operand with a leading B. */
static int batched_rank(int n_parts) {
    return n_parts == 1 ? 5 : 4;
}

static int count_parts(const reel_call *c) {
    return !c->present[REEL_ATTENTION_K] ? 1 : !c->present[REEL_ATTENTION_V] ? 2 : 3;
}

reel_attention_size reel_attention_size_of(const reel_call *c) {
    reel_attention_size s = {.n_parts = count_parts(c)};
    const reel_shape *q = &c->in[REEL_ATTENTION_Q].shape;
    const reel_shape *k = &c->in[s.n_parts == 1 ? REEL_ATTENTION_Q : REEL_ATTENTION_K].shape;
    const bool batched = q->rank == batched_rank(s.n_parts);
    s.B = batched ? q->dim[0] : 1;
    s.Tq = q->dim[batched];
    s.Tk = k->dim[batched];
    s.N = q->dim[q->rank - 2];
    s.D = q->dim[q->rank - 1];
    const int64_t width = s.N * s.D;
    const int in_q = s.n_parts == 1 ? 3 : 1, in_k = s.n_parts == 3 ? 1 : 4 - s.n_parts;
    s.q = (reel_attention_part){0, 0, in_q * width};
    s.k = (reel_attention_part){s.n_parts > 1, s.n_parts == 1 ? width : 0, in_k * width};
    s.v = (reel_attention_part){s.n_parts - 1, (3 - s.n_parts) * width, in_k * width};
    if (c->present[REEL_ATTENTION_Q_OFFSETS]) {
        s.n_segments = c->in[REEL_ATTENTION_Q_OFFSETS].shape.dim[0] - 1;
        s.Tq *= s.B;
        s.Tk *= s.B;
        s.B = 1;
    }
    return s;
}

/* q, k and v (or what packs them) against each other. */
static reel_status check_parts(reel_env *env, const reel_call *c) {
    const int n_parts = count_parts(c), rank = batched_rank(n_parts);
    const reel_shape *q = &c->in[REEL_ATTENTION_Q].shape, *k = &c->in[REEL_ATTENTION_K].shape;
    if ((q->rank != rank && q->rank != rank - 1) || (n_parts == 1 && q->dim[q->rank - 3] != 3))
        return reel_fail(env, REEL_E_SHAPE,
                         n_parts == 1 ? "qkv needs [B,T,3,N,D] or [T,3,N,D], got %s"
                                      : "q needs [B,Tq,N,D] or [Tq,N,D], got %s",
                         REEL_SHAPE_STR(q));
    if (reel_shape_last(q) == 0)
        return reel_fail(env, REEL_E_SHAPE, "the head dim must not be 0, got %s",
                         REEL_SHAPE_STR(q));
    for (int i = 0; i < n_parts; i++)
        if (!reel_dtype_is_float(c->in[i].dtype) || c->in[i].dtype != c->in[0].dtype)
            return reel_fail(env, REEL_E_SHAPE, "q, k and v need one float type, got %s and %s",
                             reel_dtype_name(c->in[0].dtype), reel_dtype_name(c->in[i].dtype));
    if (n_parts == 1) return REEL_OK;
    /* k may differ from q in its tokens; kv has an axis of 2 besides */
    const int64_t n_tokens = k->rank > 1 ? k->dim[q->rank == rank] : 0;
    reel_shape wanted = *q;
    wanted.dim[q->rank - 3] = n_tokens;
    if (n_parts == 2) {
        wanted.rank++;
        memmove(&wanted.dim[q->rank - 1], &q->dim[q->rank - 2], 2 * sizeof wanted.dim[0]);
        wanted.dim[q->rank - 2] = 2;
    }
    if (!reel_shape_equal(k, &wanted))
        return reel_fail(env, REEL_E_SHAPE, "q %s needs %s, got %s", REEL_SHAPE_STR(q),
                         n_parts == 2 ? "kv [..,Tk,2,N,D]" : "k [..,Tk,N,D]", REEL_SHAPE_STR(k));
    if (n_parts == 3 && !reel_shape_equal(k, &c->in[REEL_ATTENTION_V].shape))
        return reel_fail(env, REEL_E_SHAPE, "k %s needs v of its shape, got %s", REEL_SHAPE_STR(k),
                         REEL_SHAPE_STR(&c->in[REEL_ATTENTION_V].shape));
    return REEL_OK;
}

static reel_status check_keys(reel_env *env, const reel_call *c, const reel_attention_size *s) {
    const reel_tensor *keys = &c->in[REEL_ATTENTION_KEYS];
    if (!c->present[REEL_ATTENTION_KEYS]) return REEL_OK;
    const reel_shape lengths = REEL_SHAPE(s->B), mask = REEL_SHAPE(s->B, s->Tk);
    if (keys->dtype == REEL_I32 && s->n_segments == 0 && reel_shape_equal(&keys->shape, &lengths))
        return REEL_OK;
    /* with offsets the mask is still [B,Tk]: only its number of elements is known here */
    const bool fits = s->n_segments ? keys->shape.rank == 2 && reel_tensor_count(keys) == s->Tk
                                    : reel_shape_equal(&keys->shape, &mask);
    if (keys->dtype == REEL_U8 && fits) return REEL_OK;
    return reel_fail(
        env, REEL_E_SHAPE, "keys that count need lengths i32 %s or key_mask u8 %s, got %s %s",
        s->n_segments ? "(not with offsets)" : REEL_SHAPE_STR(&lengths), REEL_SHAPE_STR(&mask),
        reel_dtype_name(keys->dtype), REEL_SHAPE_STR(&keys->shape));
}

static reel_status check_offsets(reel_env *env, const reel_call *c, const reel_attention_size *s) {
    const reel_tensor *q = &c->in[REEL_ATTENTION_Q_OFFSETS];
    const reel_tensor *k = &c->in[REEL_ATTENTION_K_OFFSETS];
    if (!c->present[REEL_ATTENTION_Q_OFFSETS]) {
        if (!c->present[REEL_ATTENTION_K_OFFSETS]) return REEL_OK;
        return reel_fail(env, REEL_E_SHAPE, "k_offsets need q_offsets");
    }
    if (q->dtype != REEL_I32 || q->shape.rank != 1 || q->shape.dim[0] < 2)
        return reel_fail(env, REEL_E_SHAPE, "q_offsets need i32 [n+1], got %s %s",
                         reel_dtype_name(q->dtype), REEL_SHAPE_STR(&q->shape));
    if (!c->present[REEL_ATTENTION_K_OFFSETS]) {
        if (s->Tq == s->Tk) return REEL_OK;
        return reel_fail(env, REEL_E_SHAPE, "k of %lld rows needs k_offsets, q has %lld rows",
                         (long long)s->Tk, (long long)s->Tq);
    }
    if (k->dtype != REEL_I32 || !reel_shape_equal(&q->shape, &k->shape))
        return reel_fail(env, REEL_E_SHAPE,
                         "q_offsets %s need k_offsets i32 of their shape, got "
                         "%s %s",
                         REEL_SHAPE_STR(&q->shape), reel_dtype_name(k->dtype),
                         REEL_SHAPE_STR(&k->shape));
    return REEL_OK;
}

static reel_status check_bias(reel_env *env, const reel_call *c, const reel_attention_size *s) {
    const reel_tensor *bias = &c->in[REEL_ATTENTION_BIAS];
    if (!c->present[REEL_ATTENTION_BIAS]) return REEL_OK;
    const reel_shape plain = REEL_SHAPE(s->N, s->Tq, s->Tk);
    const reel_shape broadcast = REEL_SHAPE(1, s->N, s->Tq, s->Tk);
    if (bias->dtype == REEL_F32 &&
        (reel_shape_equal(&bias->shape, &plain) || reel_shape_equal(&bias->shape, &broadcast)))
        return REEL_OK;
    return reel_fail(env, REEL_E_SHAPE, "bias needs f32 %s, got %s %s", REEL_SHAPE_STR(&plain),
                     reel_dtype_name(bias->dtype), REEL_SHAPE_STR(&bias->shape));
}

static reel_status check_operands(reel_env *env, const reel_call *c) {
    reel_status status = check_parts(env, c);
    if (status != REEL_OK) return status;
    const reel_attention_size s = reel_attention_size_of(c);
    if ((status = check_offsets(env, c, &s)) != REEL_OK) return status;
    if ((status = check_keys(env, c, &s)) != REEL_OK) return status;
    return check_bias(env, c, &s);
}

/* The shape of o: q's without the axis of 3. */
static reel_shape shape_of_o(const reel_call *c) {
    reel_shape o = c->in[REEL_ATTENTION_Q].shape;
    if (count_parts(c) > 1) return o;
    memmove(&o.dim[o.rank - 3], &o.dim[o.rank - 2], 2 * sizeof o.dim[0]);
    o.dim[--o.rank] = 0;
    return o;
}

static reel_status attention_shape(reel_env *env, reel_call *c) {
    const reel_status status = check_operands(env, c);
    if (status != REEL_OK) return status;
    const reel_attention_size s = reel_attention_size_of(c);
    c->n_out = 2;
    c->out[0] = (reel_tensor){.dtype = c->in[0].dtype, .shape = shape_of_o(c)};
    c->out[1] = (reel_tensor){.dtype = REEL_F32, .shape = REEL_SHAPE(s.B, s.N, s.Tq)};
    return REEL_OK;
}

/* ---- who sees whom ---- */

int64_t reel_attention_max_spans(const reel_attention_size *s) {
    return s->n_segments ? s->n_segments + 4 : 2 * s->B;
}

static int64_t clamp(int64_t x, int64_t lo, int64_t hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

/* Offsets cut rows and keys into consecutive stretches: segment i, from 1 on, begins where the one
 * before it ends, and segment 0 is empty and ends where the first one begins. */
static reel_attention_span segment_span(const reel_call *c, const reel_attention_size *s, int64_t i,
                                        reel_attention_span before) {
    const bool own = c->present[REEL_ATTENTION_K_OFFSETS];
    const int32_t *qo = c->in[REEL_ATTENTION_Q_OFFSETS].data;
    const int32_t *ko = own ? c->in[REEL_ATTENTION_K_OFFSETS].data : qo;
    const int64_t q1 = clamp(qo[i], before.q1, s->Tq), k1 = clamp(ko[i], before.k1, s->Tk);
    return i ? (reel_attention_span){before.q1, q1, before.k1, k1}
             : (reel_attention_span){q1, q1, k1, k1};
}

/* What lies before the first offset or after the last belongs to no segment: rows and keys apart,
 * so that they do not see each other. */
static int64_t segment_spans(const reel_call *c, const reel_attention_size *s,
                             reel_attention_span *span) {
    const reel_attention_span first = segment_span(c, s, 0, (reel_attention_span){0});
    reel_attention_span at = first;
    int64_t n = 0;
    for (int64_t i = 1; i <= s->n_segments; i++)
        span[n++] = at = segment_span(c, s, i, at);
    span[n++] = (reel_attention_span){.q1 = first.q0};
    span[n++] = (reel_attention_span){.k1 = first.k0};
    span[n++] = (reel_attention_span){.q0 = at.q1, .q1 = s->Tq};
    span[n++] = (reel_attention_span){.k0 = at.k1, .k1 = s->Tk};
    return n;
}

int64_t reel_attention_spans(const reel_call *c, const reel_attention_size *s,
                             reel_attention_span *span) {
    if (s->n_segments) return segment_spans(c, s, span);
    const reel_tensor *keys = &c->in[REEL_ATTENTION_KEYS];
    const int32_t *length =
        c->present[REEL_ATTENTION_KEYS] && keys->dtype == REEL_I32 ? keys->data : NULL;
    int64_t n = 0;
    for (int64_t b = 0; b < s->B; b++) {
        const int64_t k0 = b * s->Tk, k1 = k0 + (length ? clamp(length[b], 0, s->Tk) : s->Tk);
        span[n++] = (reel_attention_span){b * s->Tq, (b + 1) * s->Tq, k0, k1};
        if (k1 < k0 + s->Tk) span[n++] = (reel_attention_span){.k0 = k1, .k1 = k0 + s->Tk};
    }
    return n;
}

const uint8_t *reel_attention_key_mask(const reel_call *c) {
    const reel_tensor *keys = &c->in[REEL_ATTENTION_KEYS];
    return c->present[REEL_ATTENTION_KEYS] && keys->dtype == REEL_U8 ? keys->data : NULL;
}

/* ---- counting ---- */

/* Pairs of a row and a key that are multiplied, of one head. Offsets are values: before they are
 * there, segments are taken as of one size. Keys that a mask or lengths leave out count. */
static double count_pairs(const reel_call *c, const reel_attention_size *s) {
    const bool own = c->present[REEL_ATTENTION_K_OFFSETS];
    const bool known =
        c->in[REEL_ATTENTION_Q_OFFSETS].data && (!own || c->in[REEL_ATTENTION_K_OFFSETS].data);
    const double all = (double)s->B * (double)s->Tq * (double)s->Tk;
    if (!s->n_segments) return all;
    if (!known) return all / (double)s->n_segments;
    reel_attention_span at = segment_span(c, s, 0, (reel_attention_span){0});
    double pairs = 0;
    for (int64_t i = 1; i <= s->n_segments; i++) {
        at = segment_span(c, s, i, at);
        pairs += (double)(at.q1 - at.q0) * (double)(at.k1 - at.k0);
    }
    return pairs;
}

static double n_products(const reel_call *c) {
    const reel_attention_size s = reel_attention_size_of(c);
    return count_pairs(c, &s) * (double)s.N * (double)s.D;
}
static double attention_flops(const reel_call *c) {
    return 4 * n_products(c);
}
static double attention_backward_flops(const reel_call *c) {
    return 10 * n_products(c);
}

/* ---- reference ---- */

/* A call taken apart, and the head and span at hand. */
typedef struct view {
    const reel_call *c;
    reel_attention_size s;
    const uint8_t *mask;
    double scale;
    int64_t n; /* head */
    reel_attention_span span;
} view;

static view view_of(const reel_call *c) {
    const reel_attention_attr *attr = c->attr;
    return (view){.c = c,
                  .s = reel_attention_size_of(c),
                  .mask = reel_attention_key_mask(c),
                  .scale = (double)attr->scale};
}

/* Index of (row, head, 0) in the operand that holds a part. */
static int64_t part_at(const view *a, const reel_attention_part *part, int64_t row) {
    return part->at + row * part->stride + a->n * a->s.D;
}
static double part_get(const view *a, const reel_attention_part *part, int64_t row, int64_t d) {
    return reel_get(&a->c->in[part->operand], part_at(a, part, row) + d);
}
/* Index of (row, head, 0) in o, and of (row, head) in lse. */
static int64_t o_at(const view *a, int64_t i) {
    return (i * a->s.N + a->n) * a->s.D;
}
static int64_t lse_at(const view *a, int64_t i) {
    return (i / a->s.Tq * a->s.N + a->n) * a->s.Tq + i % a->s.Tq;
}
static int64_t bias_at(const view *a, int64_t i, int64_t j) {
    return (a->n * a->s.Tq + i % a->s.Tq) * a->s.Tk + j % a->s.Tk;
}
static bool counts(const view *a, int64_t j) {
    return !a->mask || a->mask[j];
}

/* scale q_i k_j + bias_ij; -inf for a key that does not count. */
static double score(const view *a, int64_t i, int64_t j) {
    if (!counts(a, j)) return -HUGE_VAL;
    double sum = 0;
    for (int64_t d = 0; d < a->s.D; d++)
        sum += part_get(a, &a->s.q, i, d) * part_get(a, &a->s.k, j, d);
    sum *= a->scale;
    if (a->c->present[REEL_ATTENTION_BIAS])
        sum += reel_get(&a->c->in[REEL_ATTENTION_BIAS], bias_at(a, i, j));
    return sum;
}

static int64_t spans_bytes(const reel_attention_size *s) {
    const int64_t bytes = reel_attention_max_spans(s) * (int64_t)sizeof(reel_attention_span);
    return (bytes + 7) / 8 * 8;
}

/* ---- forward: p_ij = exp(s_ij - lse_i), o_i = sum_j p_ij v_j ---- */

/* One row; p has room for its span's keys. */
static void forward_row(const view *a, int64_t i, double *p) {
    const reel_attention_span t = a->span;
    double greatest = -HUGE_VAL, sum = 0;
    for (int64_t j = t.k0; j < t.k1; j++) {
        p[j - t.k0] = score(a, i, j);
        if (p[j - t.k0] > greatest || isnan(p[j - t.k0])) greatest = p[j - t.k0];
    }
    const bool sees_none = greatest == -HUGE_VAL;
    for (int64_t j = t.k0; j < t.k1; j++) {
        p[j - t.k0] = sees_none ? 0 : exp(p[j - t.k0] - greatest);
        sum += p[j - t.k0];
    }
    for (int64_t d = 0; a->c->out[0].data && d < a->s.D; d++) {
        double o = 0;
        for (int64_t j = t.k0; j < t.k1; j++)
            if (counts(a, j)) o += p[j - t.k0] * part_get(a, &a->s.v, j, d);
        reel_put(&a->c->out[0], o_at(a, i) + d, sees_none ? 0 : o / sum);
    }
    if (a->c->out[1].data)
        reel_put(&a->c->out[1], lse_at(a, i), sees_none ? -HUGE_VAL : greatest + log(sum));
}

static int64_t forward_ref_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const reel_attention_size s = reel_attention_size_of(c);
    return spans_bytes(&s) + s.Tk * (int64_t)sizeof(double);
}

static void forward_ref(const reel_call *c) {
    view a = view_of(c);
    reel_attention_span *span = c->scratch;
    double *p = (double *)((char *)c->scratch + spans_bytes(&a.s));
    const int64_t n_spans = reel_attention_spans(c, &a.s, span);
    for (int64_t k = 0; k < n_spans; k++)
        for (a.n = 0; a.n < a.s.N; a.n++) {
            a.span = span[k];
            for (int64_t i = span[k].q0; i < span[k].q1; i++)
                forward_row(&a, i, p);
        }
}
const reel_kernel reel_ref_attention = {
    .name = "attention.ref", .scratch = forward_ref_scratch, .run = forward_ref};

/* ---- gradient: dp_ij = do_i v_j, delta_i = do_i o_i, ds_ij = p_ij (dp_ij - delta_i);
 *      dv_j = sum_i p_ij do_i, dq_i = scale sum_j ds_ij k_j, dk_j = scale sum_i ds_ij q_i,
 *      dbias_ij = ds_ij, summed over the batch ---- */

static double do_get(const view *a, int64_t i, int64_t d) {
    return reel_get(&a->c->in[REEL_ATTENTION_DO], o_at(a, i) + d);
}

/* p_ij and ds_ij. lse_i is -inf for a row that sees nothing: p is 0 there. */
static double weight(const view *a, int64_t i, int64_t j, double delta, double *ds) {
    const double lse = reel_get(&a->c->in[REEL_ATTENTION_LSE], lse_at(a, i));
    const double s = score(a, i, j);
    const double p = s == -HUGE_VAL || lse == -HUGE_VAL ? 0 : exp(s - lse);
    double dp = 0;
    for (int64_t d = 0; counts(a, j) && d < a->s.D; d++)
        dp += do_get(a, i, d) * part_get(a, &a->s.v, j, d);
    *ds = counts(a, j) && lse != -HUGE_VAL ? p * (dp - delta) : 0;
    return p;
}

static double delta_of(const view *a, int64_t i) {
    double sum = 0;
    for (int64_t d = 0; d < a->s.D; d++)
        sum += do_get(a, i, d) * reel_get(&a->c->in[REEL_ATTENTION_O], o_at(a, i) + d);
    return sum;
}

/* One row: writes dq_i, adds to dk, dv [keys of the span, D] and dbias [Tq,Tk] of the head. */
static void backward_row(const view *a, int64_t i, double *dq, double *dk, double *dv,
                         double *dbias) {
    const reel_attention_span t = a->span;
    const int64_t D = a->s.D;
    const double delta = delta_of(a, i);
    memset(dq, 0, (size_t)D * sizeof *dq);
    for (int64_t j = t.k0; j < t.k1; j++) {
        double ds;
        const double p = weight(a, i, j, delta, &ds);
        if (!counts(a, j)) continue;
        for (int64_t d = 0; d < D; d++) {
            dq[d] += a->scale * ds * part_get(a, &a->s.k, j, d);
            dk[(j - t.k0) * D + d] += a->scale * ds * part_get(a, &a->s.q, i, d);
            dv[(j - t.k0) * D + d] += p * do_get(a, i, d);
        }
        if (dbias) dbias[bias_at(a, i, j) - bias_at(a, 0, 0)] += ds;
    }
}

static void put_row(const view *a, const reel_attention_part *part, int64_t row, const double *x) {
    for (int64_t d = 0; a->c->out[part->operand].data && d < a->s.D; d++)
        reel_put(&a->c->out[part->operand], part_at(a, part, row) + d, x[d]);
}

static const reel_tensor *dbias_of(const reel_call *c, const reel_attention_size *s) {
    const reel_attention_attr *attr = c->attr;
    return attr->bias_grad && c->out[s->n_parts].data ? &c->out[s->n_parts] : NULL;
}

static int64_t backward_ref_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const reel_attention_size s = reel_attention_size_of(c);
    const reel_attention_attr *attr = c->attr;
    const int64_t n_bias = attr->bias_grad ? s.Tq * s.Tk : 0;
    return spans_bytes(&s) + (s.D + 2 * s.Tk * s.D + n_bias) * (int64_t)sizeof(double);
}

static void backward_ref(const reel_call *c) {
    view a = view_of(c);
    const int64_t D = a.s.D, n_bias = a.s.Tq * a.s.Tk;
    reel_attention_span *span = c->scratch;
    double *dq = (double *)((char *)c->scratch + spans_bytes(&a.s));
    double *dk = dq + D, *dv = dk + a.s.Tk * D;
    const reel_tensor *out = dbias_of(c, &a.s);
    double *dbias = out ? dv + a.s.Tk * D : NULL;
    const int64_t n_spans = reel_attention_spans(c, &a.s, span);
    for (a.n = 0; a.n < a.s.N; a.n++) {
        if (dbias) memset(dbias, 0, (size_t)n_bias * sizeof *dbias);
        for (int64_t k = 0; k < n_spans; k++) {
            const reel_attention_span t = a.span = span[k];
            memset(dk, 0, (size_t)(2 * a.s.Tk * D) * sizeof *dk);
            for (int64_t i = t.q0; i < t.q1; i++) {
                backward_row(&a, i, dq, dk, dv, dbias);
                put_row(&a, &a.s.q, i, dq);
            }
            for (int64_t j = t.k0; j < t.k1; j++) {
                put_row(&a, &a.s.k, j, dk + (j - t.k0) * D);
                put_row(&a, &a.s.v, j, dv + (j - t.k0) * D);
            }
        }
        for (int64_t k = 0; dbias && k < n_bias; k++)
            reel_put(out, a.n * n_bias + k, dbias[k]);
    }
}
const reel_kernel reel_ref_attention_backward = {
    .name = "attention_backward.ref", .scratch = backward_ref_scratch, .run = backward_ref};

static reel_status attention_backward_shape(reel_env *env, reel_call *c) {
    const reel_attention_attr *attr = c->attr;
    const reel_status status = check_operands(env, c);
    if (status != REEL_OK) return status;
    const reel_attention_size s = reel_attention_size_of(c);
    const reel_shape o = shape_of_o(c), lse = REEL_SHAPE(s.B, s.N, s.Tq);
    if (!reel_shape_equal(&c->in[REEL_ATTENTION_O].shape, &o) ||
        !reel_shape_equal(&c->in[REEL_ATTENTION_DO].shape, &o))
        return reel_fail(env, REEL_E_SHAPE, "o and do need %s, got %s and %s", REEL_SHAPE_STR(&o),
                         REEL_SHAPE_STR(&c->in[REEL_ATTENTION_O].shape),
                         REEL_SHAPE_STR(&c->in[REEL_ATTENTION_DO].shape));
    if (c->in[REEL_ATTENTION_LSE].dtype != REEL_F32 ||
        !reel_shape_equal(&c->in[REEL_ATTENTION_LSE].shape, &lse))
        return reel_fail(env, REEL_E_SHAPE, "lse needs f32 %s, got %s", REEL_SHAPE_STR(&lse),
                         REEL_SHAPE_STR(&c->in[REEL_ATTENTION_LSE].shape));
    for (int i = 0; i < s.n_parts; i++) {
        c->out[i] = c->in[i];
        c->out[i].dtype = (reel_dtype)attr->out_dtype[i];
    }
    c->n_out = s.n_parts;
    if (attr->bias_grad) c->out[c->n_out++] = c->in[REEL_ATTENTION_BIAS];
    return REEL_OK;
}

static void attention_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_var bias = r->in[REEL_ATTENTION_BIAS];
    if (dout[1]) {
        reel_tape_fail(t, REEL_E_UNSUPPORTED, "attention: no gradient flows through lse");
        return;
    }
    reel_attention_attr attr = *(const reel_attention_attr *)(const void *)r->attr;
    attr.bias_grad = reel_tape_wants_grad(t, bias);
    reel_var in[REEL_ATTENTION_N_BACKWARD_IN];
    memcpy(in, r->in, REEL_ATTENTION_N_IN * sizeof *in);
    in[REEL_ATTENTION_O] = r->out;
    in[REEL_ATTENTION_LSE] = r->out + 1;
    in[REEL_ATTENTION_DO] = dout[0];
    int n_parts = 0;
    for (; n_parts < 3 && in[n_parts]; n_parts++)
        attr.out_dtype[n_parts] = reel_tape_grad_dtype(t, in[n_parts]);
    const reel_var dx = reel_tape_record(t, &reel_op_attention_backward, &attr, sizeof attr, in,
                                         REEL_ATTENTION_N_BACKWARD_IN);
    if (!dx) return;
    for (int i = 0; i < n_parts; i++)
        reel_tape_add_grad(t, in[i], dx + i);
    if (attr.bias_grad) reel_tape_add_grad(t, bias, dx + n_parts);
}

/* ---- ops ---- */

const reel_op reel_op_attention = {.name = "attention",
                                   .id = REEL_OP_ATTENTION,
                                   .shape = attention_shape,
                                   .optional = ~1u,
                                   .grad = attention_grad,
                                   .flops = attention_flops};
const reel_op reel_op_attention_backward = {.name = "attention_backward",
                                            .id = REEL_OP_ATTENTION_BACKWARD,
                                            .shape = attention_backward_shape,
                                            .optional =
                                                ~(1u << REEL_ATTENTION_Q | 7u << REEL_ATTENTION_O),
                                            .flops = attention_backward_flops};

reel_var reel_attention(reel_tape *t, const reel_attention_in *in) {
    if (reel_tape_status(t) != REEL_OK) return 0;
    const bool parts = in->q && in->k && in->v && !in->kv && !in->qkv;
    const bool pair = in->q && in->kv && !in->k && !in->v && !in->qkv;
    const bool one = in->qkv && !in->q && !in->k && !in->v && !in->kv;
    if (!parts && !pair && !one) {
        reel_tape_fail(t, REEL_E_ARG, "attention: give q, k and v, or q and kv, or qkv");
        return 0;
    }
    const reel_var keys = in->lengths ? in->lengths : in->key_mask;
    if (in->lengths && (in->key_mask || in->q_offsets)) {
        reel_tape_fail(t, REEL_E_ARG, "attention: lengths exclude key_mask and offsets");
        return 0;
    }
    if (keys && reel_tape_value(t, keys)->dtype != (in->lengths ? REEL_I32 : REEL_U8)) {
        reel_tape_fail(t, REEL_E_SHAPE, "attention: lengths need i32 and key_mask u8, got %s",
                       reel_dtype_name(reel_tape_value(t, keys)->dtype));
        return 0;
    }
    const reel_var q = one ? in->qkv : in->q, k = pair ? in->kv : in->k;
    const reel_shape *shape = &reel_tape_value(t, q)->shape;
    const int64_t D = shape->rank ? shape->dim[shape->rank - 1] : 1;
    const reel_attention_attr attr = {.scale = in->scale != 0 ? in->scale : 1 / sqrtf((float)D)};
    return REEL_RECORD(t, &reel_op_attention, &attr, sizeof attr, q, k, in->v, keys, in->q_offsets,
                       in->k_offsets, in->bias);
}
