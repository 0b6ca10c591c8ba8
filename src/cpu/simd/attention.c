/* attention forward: FlashAttention over packed blocks (Dao 2023, algorithm 1).
 *
 * First every block of keys is packed once for each head (by the task that reads it, where there is
 * one only; a short one in the task's own memory, which stays in its caches); then each task takes
 * one block of query rows and goes over the keys of its span. A strip of rows small enough for L1
 * is multiplied with a block of keys, turned into weights, and multiplied with the values.
 */
#include "cpu/simd/attention_tiling.h"
#include "tape/op.h"

#if REEL_ISA_LEVEL >= 4
enum { ROWS_Q = 256, ROWS_K = 256, STRIP = 32 };
#else
enum { ROWS_Q = 96, ROWS_K = 128, STRIP = 24 };
#endif

/* The running maximum may stay this far (in powers of 2) below the true one before sums are scaled
 * anew: with random scores that saves nearly all rescaling, and weights up to 2^8 are as exact as
 * weights up to 1. */
static const float slack = 8;

typedef struct forward {
    tiling t;
    elem *k, *v;      /* [N][slots_k][Dp]: panels of k's transpose, panels of v, block by block */
    bool short_spans; /* no span has more than one block of rows: its task packs its keys */
    char *lane;
    int64_t lane_bytes;
} forward;

/* What a task works in. */
typedef struct workplace {
    elem *q, *p[2];        /* rows [ROWS_Q][Dp], [STRIP][ROWS_K] */
    float *s[2], *o;       /* [STRIP][ROWS_K], [ROWS_Q][Dp] */
    float *greatest, *sum; /* [ROWS_Q], [ROWS_Q][VF_N]: lanes are added up at the end */
    elem *k, *v;           /* [ROWS_K][Dp]: the keys of a span that has one block of them */
} workplace;

static void workplace_cut(workplace *w, const tiling *t, cutter *c) {
    w->q = cut(c, (int64_t)ROWS_Q * t->Dp, sizeof(elem));
    for (int i = 0; i < 2; i++) {
        w->p[i] = cut(c, STRIP * ROWS_K, sizeof(elem));
        w->s[i] = cut(c, STRIP * ROWS_K, sizeof(float));
    }
    w->o = cut(c, (int64_t)ROWS_Q * t->Dp, sizeof(float));
    w->greatest = cut(c, ROWS_Q, sizeof(float));
    w->sum = cut(c, ROWS_Q * VF_N, sizeof(float));
    w->k = cut(c, (int64_t)ROWS_K * t->Dp, sizeof(elem));
    w->v = cut(c, (int64_t)ROWS_K * t->Dp, sizeof(elem));
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

/* ---- one strip ---- */

/* n scores s factor of a row become weights p (zeros up to `depth`), relative to the running
 * maximum; what the row has summed so far is scaled when that moves. */
VEC_INLINE void weigh_row(const workplace *w, int row, const float *s, elem *p, int n, int depth,
                          float factor, int Dp, bool first) {
    vf top = vf_set(-INFINITY), top2 = top;
    int j = 0;
    for (; j + 2 * VF_N <= n; j += 2 * VF_N) {
        top = vf_max(vf_load(s + j), top);
        top2 = vf_max(vf_load(s + j + VF_N), top2);
    }
    if (j < n) top = vf_max(vf_load(s + j), top);
    const float found = vf_greatest(vf_max(top, top2)) * factor;
    float greatest = first ? -INFINITY : w->greatest[row];
    vf sum = first ? (vf){0} : vf_load(w->sum + row * VF_N);
    if (found > greatest + slack) {
        const vf shrink = power_of_2(vf_set(greatest - found));
        float *o = w->o + (int64_t)row * Dp;
        for (int d = 0; d < Dp && !first; d += VF_N)
            vf_store(o + d, vf_load(o + d) * shrink);
        sum = sum * shrink;
        greatest = found;
    }
    /* a row that has seen nothing yet: any finite reference gives 2^-inf = 0 */
    const float reference = greatest == -INFINITY ? 0 : greatest;
    for (j = 0; j < n; j += VF_N) {
        const vf x = power_of_2(vf_load(s + j) * factor - reference);
        sum = sum + x;
        vec_store(p, j, PAIR == 2, x);
    }
    for (; j < depth; j += VF_N)
        vec_store(p, j, PAIR == 2, (vf){0});
    vf_store(w->sum + row * VF_N, sum);
    w->greatest[row] = greatest;
}

/* One block of query rows of one head against the keys of its span, cut into strips of rows: strip
 * z is strip z % n_strips of the rows against block z / n_strips of the keys. */
typedef struct pass {
    const forward *f;
    const workplace *w;
    const block *q, *k; /* k: the span's first block */
    int64_t head;
    const elem *packed_k, *packed_v; /* the first block's; those after it follow by slots */
    int n_strips, n;                 /* n: all of them, 0 when there are no keys */
} pass;

static const block *strip_keys(const pass *a, int z) {
    return &a->k[z / a->n_strips];
}
static int strip_row(const pass *a, int z) {
    return z % a->n_strips * STRIP;
}
static int strip_rows(const pass *a, int z) {
    const int left = a->q->n - strip_row(a, z);
    return left < STRIP ? left : STRIP;
}
static int64_t strip_packed(const pass *a, int z) {
    return (strip_keys(a, z)->slot - a->k->slot) * a->f->t.Dp;
}

/* s = q k^T of a strip. */
static product score_product(const pass *a, int z) {
    const tiling *t = &a->f->t;
    return (product){.c = a->w->s[z & 1],
                     .a = a->w->q + (int64_t)strip_row(a, z) * t->Dp,
                     .b = a->packed_k + strip_packed(a, z),
                     .ldc = ROWS_K,
                     .lda = t->Dp,
                     .panel = (int64_t)t->Dp * VF_N,
                     .m = strip_rows(a, z),
                     .n = round_up(strip_keys(a, z)->n, VF_N),
                     .k = round_up((int)t->s.D, DEPTH)};
}

/* o += p v of a strip. */
static product sum_product(const pass *a, int z) {
    const tiling *t = &a->f->t;
    const block *k = strip_keys(a, z);
    return (product){.c = a->w->o + (int64_t)strip_row(a, z) * t->Dp,
                     .a = a->w->p[z & 1],
                     .b = a->packed_v + strip_packed(a, z),
                     .ldc = t->Dp,
                     .lda = ROWS_K,
                     .panel = (int64_t)round_up(k->n, STEP) * VF_N,
                     .m = strip_rows(a, z),
                     .n = round_up((int)t->s.D, VF_N),
                     .k = round_up(k->n, DEPTH),
                     .add = z >= a->n_strips};
}

/* Rows [from,to) of strip z: scores become weights. */
static void weigh_rows(const pass *a, int z, int from, int to) {
    const tiling *t = &a->f->t;
    const block *k = strip_keys(a, z);
    const int columns = round_up(k->n, VF_N), depth = round_up(k->n, DEPTH);
    const bool whole = is_whole(t, k);
    const float factor = t->scale * log2_e;
    /* the maximum of s factor is that of s times factor only where factor > 0 */
    const bool plain = whole && !t->bias && factor > 0;
    for (int r = from; r < to; r++) {
        const int row = strip_row(a, z) + r;
        float *s = a->w->s[z & 1] + r * ROWS_K;
        if (!plain)
            score_row(s, columns, factor, whole ? NULL : t->keep + k->slot,
                      t->bias ? t->bias + bias_index(t, a->q->row + row, k->row, a->head) : NULL,
                      k->n);
        weigh_row(a->w, row, s, a->w->p[z & 1] + r * ROWS_K, columns, depth, plain ? factor : 1,
                  t->Dp, z < a->n_strips);
    }
}

/* One beat of the pipeline: the scores of strip z + 1, the weights of strip z, the sums of strip
 * z - 1, those there are. Parts of products alternate with rows of weights, since the tile unit
 * works by itself while the vector units take exponentials: 4% on 1024 x (1 x 128) with tiles, none
 * without. */
static void beat(const pass *a, int z) {
    const bool has_scores = z + 1 < a->n, has_sums = z > 0;
    const product scores = has_scores ? score_product(a, z + 1) : (product){0};
    const product sums = has_sums ? sum_product(a, z - 1) : (product){0};
    const int n_scores = product_parts(&scores), n_parts = n_scores + product_parts(&sums);
    const int n_rows = z >= 0 && z < a->n ? strip_rows(a, z) : 0;
    int done = 0;
    for (int i = 0; i < n_parts; i++) {
        if (i < n_scores)
            multiply_part(&scores, i);
        else
            multiply_part(&sums, i - n_scores);
        const int to = n_rows * (i + 1) / n_parts;
        if (to > done) weigh_rows(a, z, done, to);
        done = to;
    }
    if (done < n_rows) weigh_rows(a, z, done, n_rows);
}

/* All strips. A strip's weights may scale its rows of o, so the strip before it must be of other
 * rows; with one strip everything waits for everything. */
static void take_strips(const pass *a) {
    if (a->n_strips > 1) {
        for (int z = -1; z <= a->n; z++)
            beat(a, z);
        return;
    }
    for (int z = 0; z < a->n; z++) {
        const product scores = score_product(a, z), sums = sum_product(a, z);
        multiply(&scores);
        weigh_rows(a, z, 0, strip_rows(a, z));
        multiply(&sums);
    }
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

static void forward_task(void *context, int64_t index, int lane) {
    const forward *f = context;
    const tiling *t = &f->t;
    const int64_t head = index % t->s.N; /* heads share lines and pages, so they come in a row */
    const block *qb = &t->q_block[index / t->s.N];
    const stretch *span = &t->stretch[qb->span];
    workplace w;
    cutter c = {.memory = f->lane + lane * f->lane_bytes};
    workplace_cut(&w, t, &c);
    const matrix q = block_matrix(t, qb, t->c->in[0].data, &t->s.q, head, false);
    pack_rows(w.q, &q, t->Dp);
    elem *packed_k = w.k, *packed_v = w.v;
    if (span->k1 > span->k0 && !(f->short_spans && span->k1 == span->k0 + 1)) {
        const int64_t at = (head * t->slots_k + t->k_block[span->k0].slot) * t->Dp;
        packed_k = f->k + at;
        packed_v = f->v + at;
    }
    for (int k = span->k0; f->short_spans && k < span->k1; k++) {
        const int64_t at = (t->k_block[k].slot - t->k_block[span->k0].slot) * t->Dp;
        pack_block(f, &t->k_block[k], head, packed_k + at, packed_v + at);
    }
    tiles_begin();
    const int n_strips = (qb->n + STRIP - 1) / STRIP;
    take_strips(&(pass){.f = f,
                        .w = &w,
                        .q = qb,
                        .k = t->k_block + span->k0,
                        .head = head,
                        .packed_k = packed_k,
                        .packed_v = packed_v,
                        .n_strips = n_strips,
                        .n = (span->k1 - span->k0) * n_strips});
    tiles_end();
    finish_rows(f, &w, qb, head, span->k1 > span->k0);
}

static void forward_run(const reel_call *c) {
    forward f = {.t = tiling_of(c, ROWS_Q, ROWS_K)};
    cutter all = {.memory = c->scratch};
    forward_cut(&f, &all);
    tiling_fill(&f.t);
    f.short_spans = true;
    for (int64_t i = 0; i < f.t.n_spans; i++)
        f.short_spans &= f.t.stretch[i].q1 - f.t.stretch[i].q0 <= 1;
    if (!f.short_spans) reel_parallel_for(c->threads, f.t.s.N * f.t.n_k, pack_task, &f);
    reel_parallel_for(c->threads, f.t.s.N * f.t.n_q, forward_task, &f);
}

void REEL_ISA_NAME(reel_cpu_register_attention)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_attention)(reel_kernel_table *table) {
    static const reel_kernel kernel = {.name = "attention." REEL_ISA_TEXT,
                                       .refuse = refuse_dtypes,
                                       .scratch = forward_scratch,
                                       .run = forward_run};
    reel_kernel_table_add(table, &reel_op_attention, &kernel);
}
