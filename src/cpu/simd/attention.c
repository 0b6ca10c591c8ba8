/* attention forward: FlashAttention over packed blocks (Dao 2023, algorithm 1).
 *
 * Keys and values are packed once for each head, by the task that reads them where there is one
 * only (those of a short span in the task's own memory, which stays in its caches). A block of
 * query rows goes over the blocks of keys of its span. A strip of rows is multiplied with a slice
 * of the keys, whose scores become weights while the first cache holds them; the weights of all
 * slices of a block are multiplied with the values.
 */
#include "cpu/simd/attention_tiling.h"
#include "tape/op.h"

#if REEL_ISA_LEVEL >= 4
enum { ROWS_Q = 192, ROWS_K = 192, STRIP = 32, SLICE = 64 };
#else
enum { ROWS_Q = 96, ROWS_K = 128, STRIP = 24, SLICE = 128 };
#endif

enum { WANTED_TASKS = 16 };

/* The running maximum may stay this far (in powers of 2) below the true one before sums are scaled
 * anew: with random scores that saves nearly all rescaling, and weights up to 2^8 are as exact as
 * weights up to 1. */
static const float slack = 8;

typedef struct forward {
    tiling t;
    elem *k, *v; /* [N][slots_k][Dp]: panels of k's transpose, panels of v, block by block */
    char *lane;
    int64_t lane_bytes;
} forward;

/* What a task works in. */
typedef struct workplace {
    elem *q, *p;           /* rows [ROWS_Q][Dp], [STRIP][ROWS_K] */
    float *s, *o;          /* [STRIP][SLICE], [ROWS_Q][Dp] */
    float *greatest, *sum; /* [ROWS_Q], [ROWS_Q][VF_N]: lanes are added up at the end */
    elem *k, *v;           /* [near_slots][Dp]: the keys of a span */
} workplace;

static void workplace_cut(workplace *w, const tiling *t, cutter *c) {
    w->q = cut(c, (int64_t)ROWS_Q * t->Dp, sizeof(elem));
    w->p = cut(c, STRIP * ROWS_K, sizeof(elem));
    w->s = cut(c, STRIP * SLICE, sizeof(float));
    w->o = cut(c, (int64_t)ROWS_Q * t->Dp, sizeof(float));
    w->greatest = cut(c, ROWS_Q, sizeof(float));
    w->sum = cut(c, ROWS_Q * VF_N, sizeof(float));
    w->k = cut(c, near_slots(t) * t->Dp, sizeof(elem));
    w->v = cut(c, near_slots(t) * t->Dp, sizeof(elem));
}

static void forward_cut(forward *f, cutter *c) {
    tiling_cut(&f->t, c);
    f->k = cut(c, f->t.s.N * f->t.slots_k * f->t.Dp, sizeof(elem));
    f->v = cut(c, f->t.s.N * f->t.slots_k * f->t.Dp, sizeof(elem));
    cutter lane = {0};
    workplace_cut(&(workplace){0}, &f->t, &lane);
    f->lane_bytes = lane.used;
    f->lane = cut(c, 0, 1);
}

static int64_t forward_scratch(const reel_call *c, int n_lanes) {
    forward f = {.t = tiling_of(c, ROWS_Q, ROWS_K)};
    cutter all = {0};
    forward_cut(&f, &all);
    return all.used + n_lanes * f.lane_bytes;
}

/* Packs one block of keys for one head. */
static void pack_block(const forward *f, const block *b, int64_t head, elem *to_k, elem *to_v) {
    const tiling *t = &f->t;
    const matrix k = block_matrix(t, b, t->c->in[t->s.k.operand].data, &t->s.k, head, true);
    const matrix v = block_matrix(t, b, t->c->in[t->s.v.operand].data, &t->s.v, head, true);
    pack_across(to_k, &k, t->Dp);
    pack_along(to_v, &v, t->Dp);
}

static void pack_task(void *context, int64_t index, int lane) {
    (void)lane;
    const forward *f = context;
    const block *b = &f->t.k_block[index / f->t.s.N];
    const int64_t head = index % f->t.s.N, at = (head * f->t.slots_k + b->slot) * f->t.Dp;
    pack_block(f, b, head, f->k + at, f->v + at);
}

/* ---- one strip of rows and one block of keys ---- */

typedef struct strip {
    const forward *f;
    const workplace *w;
    const block *q, *k;
    int64_t head;
    const elem *packed_k, *packed_v; /* the block's */
    int row, n_rows;                 /* in the block of rows */
    bool first;                      /* the span's first keys: sums begin */
} strip;

/* The running maximum of a row moves to found: what it has summed so far is scaled, and so are the
 * n_before weights of this block that stand before p. */
static void raise_greatest(const workplace *w, int row, elem *p, int n_before, float found, int Dp,
                           bool first) {
    const float before = w->greatest[row];
    /* weights there are must not be rounded again: they are scaled by whole powers of 2 */
    const bool by_powers = SLICE < ROWS_K && before != -INFINITY;
    const float rise = by_powers ? ceilf(found - before) : found - before;
    w->greatest[row] = by_powers ? before + rise : found;
    if (before == -INFINITY) return; /* there are only zeros */
    const vf shrink = power_of_2(vf_set(-rise));
    float *o = w->o + (int64_t)row * Dp;
    for (int d = 0; d < Dp && !first; d += VF_N)
        vf_store(o + d, vf_load(o + d) * shrink);
    for (int j = -n_before; j < 0; j += VF_N)
        vec_store(p, j, PAIR == 2, vec_load(p, j, PAIR == 2) * shrink);
    float *sum = w->sum + row * VF_N;
    vf_store(sum, vf_load(sum) * shrink);
}

/* n scores s factor of a row become weights p, relative to the running maximum. */
VEC_INLINE void weigh_row(const workplace *w, int row, const float *s, elem *p, int n, float factor,
                          int n_before, int Dp, bool first) {
    vf top = vf_set(-INFINITY), top2 = top;
    int j = 0;
    for (; j + 2 * VF_N <= n; j += 2 * VF_N) {
        top = vf_max(vf_load(s + j), top);
        top2 = vf_max(vf_load(s + j + VF_N), top2);
    }
    if (j < n) top = vf_max(vf_load(s + j), top);
    top = vf_max(top, top2) * factor;
    if (vf_any_above(top, w->greatest[row] + slack))
        raise_greatest(w, row, p, n_before, vf_greatest(top), Dp, first);
    const float greatest = w->greatest[row];
    /* a row that has seen nothing yet: any finite reference gives 2^-inf = 0 */
    const float reference = greatest == -INFINITY ? 0 : greatest;
    vf sum = vf_load(w->sum + row * VF_N);
    for (j = 0; j + 2 * VF_N <= n; j += 2 * VF_N) {
        const vf x = power_of_2(vf_load(s + j) * factor - reference);
        const vf y = power_of_2(vf_load(s + j + VF_N) * factor - reference);
        sum = sum + x;
        sum = sum + y;
        elem_store_two(p + j, x, y);
    }
    if (j < n) {
        const vf x = power_of_2(vf_load(s + j) * factor - reference);
        sum = sum + x;
        vec_store(p, j, PAIR == 2, x);
    }
    vf_store(w->sum + row * VF_N, sum);
}

/* Scores of keys [from,from+columns) of the block, and weights of them. */
static void take_slice(const strip *a, int from, int columns) {
    const tiling *t = &a->f->t;
    const workplace *w = a->w;
    multiply(&(product){.c = w->s,
                        .a = w->q + (int64_t)a->row * t->Dp,
                        .b = a->packed_k + (int64_t)from * t->Dp,
                        .ldc = SLICE,
                        .lda = t->Dp,
                        .panel = (int64_t)t->Dp * VF_N,
                        .m = a->n_rows,
                        .n = columns,
                        .k = round_up((int)t->s.D, DEPTH)});
    const bool whole = is_whole(t, a->k);
    const float factor = t->scale * log2_e;
    /* the maximum of s factor is that of s times factor only where factor > 0 */
    const bool plain = whole && !t->bias && factor > 0;
    for (int r = 0; r < a->n_rows; r++) {
        const int row = a->row + r;
        float *s = w->s + r * SLICE;
        if (!plain)
            score_row(s, columns, factor, whole ? NULL : t->keep + a->k->slot + from,
                      t->bias ? t->bias + bias_index(t, a->q->row + row, a->k->row + from, a->head)
                              : NULL,
                      a->k->n - from);
        weigh_row(w, row, s, w->p + r * ROWS_K + from, columns, plain ? factor : 1, from, t->Dp,
                  a->first);
    }
}

/* o += p v, slice after slice. */
static void take_strip(const strip *a) {
    const tiling *t = &a->f->t;
    const workplace *w = a->w;
    const int columns = round_up(a->k->n, VF_N), depth = round_up(a->k->n, DEPTH);
    for (int j = 0; j < columns; j += SLICE)
        take_slice(a, j, columns - j < SLICE ? columns - j : SLICE);
    for (int r = 0; r < a->n_rows; r++)
        for (int j = columns; j < depth; j += VF_N)
            vec_store(w->p + r * ROWS_K, j, PAIR == 2, (vf){0});
    multiply(&(product){.c = w->o + (int64_t)a->row * t->Dp,
                        .a = w->p,
                        .b = a->packed_v,
                        .ldc = t->Dp,
                        .lda = ROWS_K,
                        .panel = (int64_t)round_up(a->k->n, STEP) * VF_N,
                        .m = a->n_rows,
                        .n = round_up((int)t->s.D, VF_N),
                        .k = depth,
                        .add = !a->first});
}

/* o = sums / total, lse = log of the total; zeros and -inf where a row has seen nothing. */
static void finish_rows(const forward *f, const workplace *w, const block *qb, int64_t head,
                        bool any) {
    const tiling *t = &f->t;
    const int D = (int)t->s.D;
    void *out = t->c->out[0].data;
    float *lse = t->c->out[1].data;
    for (int r = 0; r < qb->n; r++) {
        const float total = any ? vf_sum(vf_load(w->sum + r * VF_N)) : 0;
        const float share = total == 0 ? 0 : 1 / total;
        const int64_t at = ((qb->row + r) * t->s.N + head) * D;
        for (int d = 0; out && d < D; d += VF_N) {
            const vf x =
                any && total != 0 ? vf_load(w->o + (int64_t)r * t->Dp + d) * share : (vf){0};
            if (D - d >= VF_N)
                vec_store(out, at + d, t->bf16, x);
            else
                vec_store_part(out, at + d, t->bf16, x, D - d);
        }
        if (lse)
            lse[lse_index(t, qb->row + r, head)] =
                total == 0 ? -INFINITY : w->greatest[r] * ln_2 + logf(total);
    }
}

/* One block of query rows of one head against the keys of its span, packed at k and v. */
static void take_rows(const forward *f, const workplace *w, const block *qb, int64_t head,
                      const elem *k, const elem *v) {
    const tiling *t = &f->t;
    const stretch *span = &t->stretch[qb->span];
    const matrix q = block_matrix(t, qb, t->c->in[0].data, &t->s.q, head, false);
    pack_rows(w->q, &q, t->Dp);
    for (int r = 0; r < qb->n; r++) {
        w->greatest[r] = -INFINITY;
        vf_store(w->sum + r * VF_N, (vf){0});
    }
    tiles_begin();
    for (int i = span->k0; i < span->k1; i++) {
        const block *kb = &t->k_block[i];
        const int64_t at = (kb->slot - t->k_block[span->k0].slot) * t->Dp;
        for (int row = 0; row < qb->n; row += STRIP)
            take_strip(&(strip){.f = f,
                                .w = w,
                                .q = qb,
                                .k = kb,
                                .head = head,
                                .packed_k = k + at,
                                .packed_v = v + at,
                                .row = row,
                                .n_rows = qb->n - row < STRIP ? qb->n - row : STRIP,
                                .first = i == span->k0});
    }
    tiles_end();
    finish_rows(f, w, qb, head, span->k1 > span->k0);
}

static workplace workplace_of(const forward *f, int lane) {
    workplace w = {0};
    cutter c = {.memory = f->lane + lane * f->lane_bytes};
    workplace_cut(&w, &f->t, &c);
    return w;
}

/* Where the call keeps the keys of a span of one head. */
static int64_t far_keys(const tiling *t, const stretch *span, int64_t head) {
    const bool any = span->k1 > span->k0;
    return (head * t->slots_k + (any ? t->k_block[span->k0].slot : 0)) * t->Dp;
}

/* Heads share lines and pages, so they come in a row. */
static void block_task(void *context, int64_t index, int lane) {
    const forward *f = context;
    const tiling *t = &f->t;
    const int64_t head = index % t->s.N;
    const block *qb = &t->q_block[index / t->s.N];
    const int64_t at = far_keys(t, &t->stretch[qb->span], head);
    const workplace w = workplace_of(f, lane);
    take_rows(f, &w, qb, head, f->k + at, f->v + at);
}

static void span_task(void *context, int64_t index, int lane) {
    const forward *f = context;
    const tiling *t = &f->t;
    const int64_t head = index % t->s.N;
    const stretch *span = &t->stretch[index / t->s.N];
    if (span->q1 == span->q0) return;
    const workplace w = workplace_of(f, lane);
    const bool is_near = slots_of(t->k_block, span->k0, span->k1) <= near_slots(t);
    const int64_t far = far_keys(t, span, head);
    elem *k = is_near ? w.k : f->k + far, *v = is_near ? w.v : f->v + far;
    for (int i = span->k0; i < span->k1; i++) {
        const int64_t at = (t->k_block[i].slot - t->k_block[span->k0].slot) * t->Dp;
        pack_block(f, &t->k_block[i], head, k + at, v + at);
    }
    for (int i = span->q0; i < span->q1; i++)
        take_rows(f, &w, &t->q_block[i], head, k, v);
}

/* Whole spans are tasks where each has one block of rows, or where all are near and many. */
static bool wants_span_tasks(const tiling *t) {
    bool one_block = true, are_near = true;
    int64_t n = 0;
    for (int64_t i = 0; i < t->n_spans; i++) {
        const stretch *s = &t->stretch[i];
        one_block &= s->q1 - s->q0 <= 1;
        are_near &= slots_of(t->q_block, s->q0, s->q1) <= near_slots(t) &&
                    slots_of(t->k_block, s->k0, s->k1) <= near_slots(t);
        n += s->q1 > s->q0;
    }
    return one_block || (are_near && n * t->s.N >= WANTED_TASKS);
}

static void forward_run(const reel_call *c) {
    forward f = {.t = tiling_of(c, ROWS_Q, ROWS_K)};
    cutter all = {.memory = c->scratch};
    forward_cut(&f, &all);
    tiling_fill(&f.t);
    const int64_t N = f.t.s.N;
    if (wants_span_tasks(&f.t)) {
        reel_parallel_for(c->threads, N * f.t.n_spans, span_task, &f);
    } else {
        reel_parallel_for(c->threads, N * f.t.n_k, pack_task, &f);
        reel_parallel_for(c->threads, N * f.t.n_q, block_task, &f);
    }
}

void REEL_ISA_NAME(reel_cpu_register_attention)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_attention)(reel_kernel_table *table) {
    static const reel_kernel kernel = {.name = "attention." REEL_ISA_TEXT,
                                       .refuse = refuse_dtypes,
                                       .scratch = forward_scratch,
                                       .run = forward_run};
    reel_kernel_table_add(table, &reel_op_attention, &kernel);
}
