/* attention backward: the weights again from lse, five products a pair of blocks (Dao 2023,
 * algorithm 2).
 *
 * Each task takes one stretch of the keys of one head, block by block, and for each block goes over
 * the rows of its span: dk and dv of the block stay in the task's own memory, dq goes into sums of
 * the stretch's own, which are added up in order at the end. So the order of every sum is fixed by
 * shapes and offsets, and memory is linear in T: the stretches of a head are at most MAX_PARTS.
 */
#include "cpu/simd/attention_tiling.h"
#include "tape/op.h"

#if REEL_ISA_LEVEL >= 4
enum { ROWS_Q = 256, ROWS_K = 128, STRIP = 32 };
#else
enum { ROWS_Q = 128, ROWS_K = 128, STRIP = 16 };
#endif

enum {
    MAX_PARTS = 4,        /* stretches of keys with sums of dq of their own */
    MIN_PART_KEYS = 1024, /* shorter ones are not worth another set of sums */
    WANTED_TASKS = 16,
};

/* Operands block by block: the left factors in rows [slots][Dp], their transposes in rows
 * [Dp][block], the right factors in panels. */
typedef struct packed {
    elem *q, *d_o, *q_turned, *do_turned; /* [slots][Dp] */
    elem *k_across, *v_across, *k_along;  /* [slots][Dp] */
    float *level, *delta;   /* [slots]: lse in units of ln 2 (inf: sees nothing), do o */
    float *dq_sum;          /* [slots][Dp] */
    int64_t from_q, from_k; /* slots before the first one here, counted over all heads */
} packed;

typedef struct backward {
    tiling t;
    const float *lse;
    float *dbias;
    void *dq, *dk, *dv; /* outputs, NULL where nobody reads them */
    bool dq_bf16, dk_bf16, dv_bf16;
    int blocks_in_part; /* key blocks of a stretch */
    int max_parts;
    packed far; /* all heads, all slots; dq_sum [max_parts][N][slots_q][Dp] */
    char *lane;
    int64_t lane_bytes;
} backward;

/* What a task works in. */
typedef struct workplace {
    float *s, *dp;            /* [STRIP][ROWS_K] */
    elem *p_along, *ds_along; /* panels [ROWS_K][ROWS_Q]: depth is the rows */
    elem *ds;                 /* rows [ROWS_Q][ROWS_K] */
    float *dk, *dv;           /* transposed: [Dp][ROWS_K] */
    packed near;              /* one head of a span of at most near_slots rows and keys */
} workplace;

static void packed_cut(packed *p, int64_t slots_q, int64_t slots_k, int Dp, int n_sums, cutter *c) {
    p->q = cut(c, slots_q * Dp, sizeof(elem));
    p->d_o = cut(c, slots_q * Dp, sizeof(elem));
    p->q_turned = cut(c, slots_q * Dp, sizeof(elem));
    p->do_turned = cut(c, slots_q * Dp, sizeof(elem));
    p->k_across = cut(c, slots_k * Dp, sizeof(elem));
    p->v_across = cut(c, slots_k * Dp, sizeof(elem));
    p->k_along = cut(c, slots_k * Dp, sizeof(elem));
    p->level = cut(c, slots_q, sizeof(float));
    p->delta = cut(c, slots_q, sizeof(float));
    p->dq_sum = cut(c, n_sums * slots_q * Dp, sizeof(float));
}

static void workplace_cut(workplace *w, const tiling *t, cutter *c) {
    w->s = cut(c, STRIP * ROWS_K, sizeof(float));
    w->dp = cut(c, STRIP * ROWS_K, sizeof(float));
    w->p_along = cut(c, ROWS_Q * ROWS_K, sizeof(elem));
    w->ds_along = cut(c, ROWS_Q * ROWS_K, sizeof(elem));
    w->ds = cut(c, ROWS_Q * ROWS_K, sizeof(elem));
    w->dk = cut(c, (int64_t)t->Dp * ROWS_K, sizeof(float));
    w->dv = cut(c, (int64_t)t->Dp * ROWS_K, sizeof(float));
    packed_cut(&w->near, near_slots(t), near_slots(t), t->Dp, 1, c);
}

static void backward_cut(backward *f, cutter *c) {
    tiling *t = &f->t;
    tiling_cut(t, c);
    packed_cut(&f->far, t->s.N * t->slots_q, t->s.N * t->slots_k, t->Dp, f->max_parts, c);
    cutter lane = {0};
    workplace_cut(&(workplace){0}, t, &lane);
    f->lane_bytes = lane.used;
    f->lane = cut(c, 0, 1);
}

static backward backward_of(const reel_call *c) {
    const reel_attention_attr *attr = c->attr;
    backward f = {.t = tiling_of(c, ROWS_Q, ROWS_K), .lse = c->in[REEL_ATTENTION_LSE].data};
    const reel_attention_size *s = &f.t.s;
    const reel_tensor *dq = &c->out[s->q.operand], *dk = &c->out[s->k.operand],
                      *dv = &c->out[s->v.operand];
    f.dq = dq->data;
    f.dk = dk->data;
    f.dv = dv->data;
    f.dq_bf16 = dq->dtype == REEL_BF16;
    f.dk_bf16 = dk->dtype == REEL_BF16;
    f.dv_bf16 = dv->dtype == REEL_BF16;
    if (attr->bias_grad) f.dbias = c->out[s->n_parts].data;
    /* Cut the keys of a head when there are few heads. dbias is summed over the batch, so that one
     * task has the whole head anyway. */
    const int64_t n_tasks = s->N * (s->n_segments ? s->n_segments : s->B);
    int64_t n_parts = n_tasks > 0 ? (WANTED_TASKS + n_tasks - 1) / n_tasks : 1;
    if (n_parts > MAX_PARTS) n_parts = MAX_PARTS;
    if (n_parts > s->Tk / MIN_PART_KEYS) n_parts = s->Tk / MIN_PART_KEYS;
    if (n_parts < 1 || attr->bias_grad) n_parts = 1;
    const int64_t n_blocks = (s->Tk + ROWS_K - 1) / ROWS_K;
    f.blocks_in_part = (int)((n_blocks + n_parts - 1) / n_parts);
    if (f.blocks_in_part < 1) f.blocks_in_part = 1;
    f.max_parts = (int)n_parts;
    return f;
}

static int64_t backward_scratch(const reel_call *c, int n_lanes) {
    backward f = backward_of(c);
    cutter all = {0};
    backward_cut(&f, &all);
    return all.used + n_lanes * f.lane_bytes;
}

/* ---- packing ---- */

static float dot_rows(const void *a, const void *b, int64_t at, bool bf16, int n) {
    vf sum = {0};
    int i = 0;
    for (; i + VF_N <= n; i += VF_N)
        sum += vec_load(a, at + i, bf16) * vec_load(b, at + i, bf16);
    if (i < n) sum += vec_load_part(a, at + i, bf16, n - i) * vec_load_part(b, at + i, bf16, n - i);
    return vf_sum(sum);
}

/* The slots of a block of one head in p. */
static int64_t place_q(const backward *f, const packed *p, const block *b, int64_t head) {
    return head * f->t.slots_q + b->slot - p->from_q;
}
static int64_t place_k(const backward *f, const packed *p, const block *b, int64_t head) {
    return head * f->t.slots_k + b->slot - p->from_k;
}

static void pack_q(const backward *f, const packed *p, const block *b, int64_t head) {
    const tiling *t = &f->t;
    const reel_call *c = t->c;
    const int64_t slot = place_q(f, p, b, head), at = slot * t->Dp;
    const reel_attention_part o = part_of_o(t);
    const matrix q = block_matrix(t, b, c->in[0].data, &t->s.q, head, false);
    const matrix d_o = block_matrix(t, b, c->in[REEL_ATTENTION_DO].data, &o, head, false);
    pack_rows(p->q + at, &q, t->Dp);
    pack_rows(p->d_o + at, &d_o, t->Dp);
    pack_turned(p->q_turned + at, &q, t->Dp);
    pack_turned(p->do_turned + at, &d_o, t->Dp);
    for (int i = 0; i < round_up(b->n, STEP); i++) {
        const float lse = i < b->n ? f->lse[lse_index(t, b->row + i, head)] : -INFINITY;
        p->level[slot + i] = lse == -INFINITY ? INFINITY : lse * log2_e;
        p->delta[slot + i] = i < b->n ? dot_rows(d_o.data, c->in[REEL_ATTENTION_O].data,
                                                 d_o.at + i * d_o.stride, t->bf16, d_o.D)
                                      : 0;
    }
}

static void pack_k(const backward *f, const packed *p, const block *b, int64_t head) {
    const tiling *t = &f->t;
    const int64_t at = place_k(f, p, b, head) * t->Dp;
    const matrix k = block_matrix(t, b, t->c->in[t->s.k.operand].data, &t->s.k, head, true);
    const matrix v = block_matrix(t, b, t->c->in[t->s.v.operand].data, &t->s.v, head, true);
    pack_across(p->k_across + at, &k, t->Dp);
    pack_across(p->v_across + at, &v, t->Dp);
    pack_along(p->k_along + at, &k, t->Dp);
}

/* ---- one pair of blocks ---- */

/* A pair of blocks: head, rows, keys, and their extents. */
typedef struct pair {
    const packed *p;
    const block *q, *k;
    int64_t head, at_q, at_k; /* first element of the blocks in the packed operands */
    int columns, depth_k;     /* keys as columns and as a reduction */
    int rows, depth_q;        /* rows, and rows as a reduction */
} pair;

/* Stores weights x (or their gradients) of PAIR rows at columns j on as one line of a panel. */
VEC_INLINE void store_line(elem *panel, int i, const vf x[PAIR]) {
#if REEL_ISA_LEVEL >= 3
    const __m512bh both = _mm512_cvtne2ps_pbh((__m512)x[1], (__m512)x[0]);
    const __m512i mixed =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    lanes_store(panel + i * VF_N, (lanes)_mm512_permutexvar_epi16(mixed, (__m512i)both));
#else
    lanes_store(panel + i * VF_N, (lanes)x[0]);
#endif
}

/* PAIR rows of scores (times factor, in units of ln 2) and of do v: stores p and ds of each in all
 * the forms the products need. i: the row in its block; s, dp: the strip's rows. */
VEC_INLINE void weigh_rows(const backward *f, const workplace *w, const pair *a, int i,
                           const float *s, float *dp, float factor, float *const dbias[PAIR]) {
    const int64_t slot = a->at_q / f->t.Dp + i;
    vf level[PAIR], delta[PAIR];
    for (int r = 0; r < PAIR; r++) {
        level[r] = vf_set(a->p->level[slot + r]);
        delta[r] = vf_set(a->p->delta[slot + r]);
    }
    for (int j = 0; j < a->columns; j += VF_N) {
        vf p[PAIR], ds[PAIR];
        for (int r = 0; r < PAIR; r++) {
            p[r] = power_of_2(vf_load(s + r * ROWS_K + j) * factor - level[r]);
            ds[r] = p[r] * (vf_load(dp + r * ROWS_K + j) - delta[r]);
            vec_store(w->ds + (i + r) * ROWS_K, j, PAIR == 2, ds[r]);
        }
        store_line(w->p_along + j * ROWS_Q, i, p);
        store_line(w->ds_along + j * ROWS_Q, i, ds);
        for (int r = 0; r < PAIR; r++) {
            const int there = a->k->n - j < VF_N ? a->k->n - j : VF_N;
            if (!dbias[r] || there <= 0) continue;
            vf_store_part(dbias[r] + j, vf_load_part(dbias[r] + j, there) + ds[r], there);
        }
    }
    for (int j = a->columns; j < a->depth_k; j += VF_N)
        for (int r = 0; r < PAIR; r++)
            vec_store(w->ds + (i + r) * ROWS_K, j, PAIR == 2, (vf){0});
}

/* Rows [i,i+n) of the pair: their scores, do v, weights. */
static void take_strip(const backward *f, const workplace *w, const pair *a, int i, int n) {
    const tiling *t = &f->t;
    const int D = round_up((int)t->s.D, DEPTH);
    product m = {.c = w->s,
                 .a = a->p->q + a->at_q + (int64_t)i * t->Dp,
                 .b = a->p->k_across + a->at_k,
                 .ldc = ROWS_K,
                 .lda = t->Dp,
                 .panel = (int64_t)t->Dp * VF_N,
                 .m = n,
                 .n = a->columns,
                 .k = D};
    multiply(&m);
    m.c = w->dp;
    m.a = a->p->d_o + a->at_q + (int64_t)i * t->Dp;
    m.b = a->p->v_across + a->at_k;
    multiply(&m);
    float factor = t->scale * log2_e;
    const bool whole = is_whole(t, a->k);
    if (!whole || t->bias) {
        for (int r = 0; r < n; r++)
            score_row(w->s + r * ROWS_K, a->columns, factor, whole ? NULL : t->keep + a->k->slot,
                      t->bias && i + r < a->q->n
                          ? t->bias + bias_index(t, a->q->row + i + r, a->k->row, a->head)
                          : NULL,
                      a->k->n);
        factor = 1;
    }
    for (int r = 0; r < n; r += PAIR) {
        float *dbias[PAIR];
        for (int h = 0; h < PAIR; h++)
            dbias[h] = f->dbias && i + r + h < a->q->n
                           ? f->dbias + bias_index(t, a->q->row + i + r + h, a->k->row, a->head)
                           : NULL;
        weigh_rows(f, w, a, i + r, w->s + r * ROWS_K, w->dp + r * ROWS_K, factor, dbias);
    }
}

/* dv += p^T do, dk += ds^T q (both transposed), dq += ds k. first_k, first_q: nothing is there yet
 * to add to, in dq or in dk and dv. */
static void take_products(const backward *f, const workplace *w, const pair *a, float *dq,
                          bool first_k, bool first_q) {
    const tiling *t = &f->t;
    const int D = round_up((int)t->s.D, VF_N);
    product m = {.c = w->dv,
                 .a = a->p->do_turned + a->at_q,
                 .b = w->p_along,
                 .ldc = ROWS_K,
                 .lda = round_up(a->q->n, STEP),
                 .panel = (int64_t)ROWS_Q * VF_N,
                 .m = (int)t->s.D,
                 .n = a->columns,
                 .k = a->depth_q,
                 .add = !first_q};
    if (f->dv) multiply(&m);
    m.c = w->dk;
    m.a = a->p->q_turned + a->at_q;
    m.b = w->ds_along;
    if (f->dk) multiply(&m);
    if (f->dq)
        multiply(&(product){.c = dq + a->at_q,
                            .a = w->ds,
                            .b = a->p->k_along + a->at_k,
                            .ldc = t->Dp,
                            .lda = ROWS_K,
                            .panel = (int64_t)round_up(a->k->n, STEP) * VF_N,
                            .m = a->rows,
                            .n = D,
                            .k = a->depth_k,
                            .add = !first_k});
}

/* ---- writing out ---- */

VEC_INLINE void write_row(void *to, int64_t at, bool bf16, const float *x, float factor, int D) {
    int d = 0;
    for (; d + VF_N <= D; d += VF_N)
        vec_store(to, at + d, bf16, vf_load(x + d) * factor);
    if (d < D) vec_store_part(to, at + d, bf16, vf_load(x + d) * factor, D - d);
}

/* A block of dk or dv from its transpose [Dp][ROWS_K]. x NULL: zeros. */
static void write_turned(const tiling *t, const block *b, const reel_attention_part *part,
                         int64_t head, void *to, bool bf16, const float *x, float factor) {
    const int D = (int)t->s.D;
    for (int j = 0; j < b->n; j += VF_N)
        for (int d = 0; d < D; d += VF_N) {
            lanes l[VF_N];
            for (int r = 0; r < VF_N; r++)
                l[r] =
                    x && d + r < D ? (lanes)vf_load(x + (int64_t)(d + r) * ROWS_K + j) : (lanes){0};
            transpose(l);
            for (int r = 0; r < VF_N && j + r < b->n; r++) {
                const int64_t at = part->at + (b->row + j + r) * part->stride + head * D + d;
                if (D - d >= VF_N)
                    vec_store(to, at, bf16, (vf)l[r] * factor);
                else
                    vec_store_part(to, at, bf16, (vf)l[r] * factor, D - d);
            }
        }
}

/* dq of a block of rows: the sums of its span's stretches, in order. */
static void finish_q(const backward *f, const packed *p, const block *b, int64_t head) {
    const tiling *t = &f->t;
    const int64_t n_sums = t->s.N * t->slots_q * t->Dp;
    const stretch *s = &t->stretch[b->span];
    const int n_parts = (s->k1 - s->k0 + f->blocks_in_part - 1) / f->blocks_in_part;
    for (int i = 0; i < b->n; i++) {
        float *sum = p->dq_sum + (place_q(f, p, b, head) + i) * t->Dp;
        for (int d = 0; d < t->Dp; d += VF_N) {
            vf x = n_parts ? vf_load(sum + d) : (vf){0};
            for (int k = 1; k < n_parts; k++)
                x += vf_load(sum + k * n_sums + d);
            vf_store(sum + d, x);
        }
        write_row(f->dq, t->s.q.at + (b->row + i) * t->s.q.stride + head * t->s.D, f->dq_bf16, sum,
                  t->scale, (int)t->s.D);
    }
}

/* ---- tasks ---- */

/* One block of keys against all rows of its span. */
static void take_keys(const backward *f, const workplace *w, const packed *p, const block *kb,
                      int64_t head, float *dq, bool first_k) {
    const tiling *t = &f->t;
    const stretch *span = &t->stretch[kb->span];
    for (int i = span->q0; i < span->q1; i++) {
        const block *qb = &t->q_block[i];
        const pair a = {.p = p,
                        .q = qb,
                        .k = kb,
                        .head = head,
                        .at_q = place_q(f, p, qb, head) * t->Dp,
                        .at_k = place_k(f, p, kb, head) * t->Dp,
                        .columns = round_up(kb->n, VF_N),
                        .depth_k = round_up(kb->n, DEPTH),
                        .rows = qb->n,
                        .depth_q = round_up(qb->n, DEPTH)};
        for (int r = 0; r < a.depth_q; r += STRIP)
            take_strip(f, w, &a, r, a.depth_q - r < STRIP ? a.depth_q - r : STRIP);
        take_products(f, w, &a, dq, first_k, i == span->q0);
    }
    const bool any = span->q1 > span->q0;
    if (f->dk) write_turned(t, kb, &t->s.k, head, f->dk, f->dk_bf16, any ? w->dk : NULL, t->scale);
    if (f->dv) write_turned(t, kb, &t->s.v, head, f->dv, f->dv_bf16, any ? w->dv : NULL, 1);
}

static workplace workplace_of(const backward *f, int lane) {
    workplace w = {0};
    cutter c = {.memory = f->lane + lane * f->lane_bytes};
    workplace_cut(&w, &f->t, &c);
    return w;
}

/* Stretch `part` of the keys of one head in one span. */
static void take_part(const backward *f, const workplace *w, const packed *p, int64_t head,
                      int64_t span, int part) {
    const tiling *t = &f->t;
    const stretch *s = &t->stretch[span];
    const int from = s->k0 + part * f->blocks_in_part;
    const int to = s->k1 - from < f->blocks_in_part ? s->k1 : from + f->blocks_in_part;
    float *dq = p->dq_sum + part * t->s.N * t->slots_q * t->Dp;
    tiles_begin();
    for (int k = from; k < to; k++)
        take_keys(f, w, p, &t->k_block[k], head, dq, k == from);
    tiles_end();
}

/* A span of one head from packing to dq: what it packs is still in its caches when it is read. */
static void take_span(const backward *f, int64_t head, int64_t span, int lane) {
    const tiling *t = &f->t;
    const stretch *s = &t->stretch[span];
    workplace w = workplace_of(f, lane);
    const packed *p = &f->far;
    if (slots_of(t->q_block, s->q0, s->q1) <= near_slots(t) &&
        slots_of(t->k_block, s->k0, s->k1) <= near_slots(t)) {
        p = &w.near;
        if (s->q1 > s->q0) w.near.from_q = head * t->slots_q + t->q_block[s->q0].slot;
        if (s->k1 > s->k0) w.near.from_k = head * t->slots_k + t->k_block[s->k0].slot;
    }
    for (int i = s->q0; i < s->q1; i++)
        pack_q(f, p, &t->q_block[i], head);
    for (int k = s->k0; k < s->k1; k++)
        pack_k(f, p, &t->k_block[k], head);
    take_part(f, &w, p, head, span, 0);
    for (int i = s->q0; f->dq && i < s->q1; i++)
        finish_q(f, p, &t->q_block[i], head);
}

static void span_task(void *context, int64_t index, int lane) {
    const backward *f = context; /* heads share lines and pages, so they come in a row */
    take_span(f, index % f->t.s.N, index / f->t.s.N, lane);
}

/* A whole head, the batch in order, since all of it adds to the head's dbias. */
static void head_task(void *context, int64_t head, int lane) {
    const backward *f = context;
    const int64_t n = f->t.s.Tq * f->t.s.Tk;
    memset(f->dbias + head * n, 0, (size_t)n * sizeof *f->dbias);
    for (int64_t i = 0; i < f->t.n_spans; i++)
        take_span(f, head, i, lane);
}

/* The same in steps, for few and long spans: packing, stretches of keys, dq. */

static void pack_q_task(void *context, int64_t index, int lane) {
    (void)lane;
    const backward *f = context;
    pack_q(f, &f->far, &f->t.q_block[index % f->t.n_q], index / f->t.n_q);
}

static void pack_k_task(void *context, int64_t index, int lane) {
    (void)lane;
    const backward *f = context;
    pack_k(f, &f->far, &f->t.k_block[index % f->t.n_k], index / f->t.n_k);
}

static void part_task(void *context, int64_t index, int lane) {
    const backward *f = context;
    const int64_t n_parts = f->t.n_spans * f->max_parts;
    const workplace w = workplace_of(f, lane);
    take_part(f, &w, &f->far, index / n_parts, index % n_parts / f->max_parts,
              (int)(index % f->max_parts));
}

static void finish_task(void *context, int64_t index, int lane) {
    (void)lane;
    const backward *f = context;
    finish_q(f, &f->far, &f->t.q_block[index % f->t.n_q], index / f->t.n_q);
}

static void backward_run(const reel_call *c) {
    backward f = backward_of(c);
    cutter all = {.memory = c->scratch};
    backward_cut(&f, &all);
    tiling_fill(&f.t);
    const tiling *t = &f.t;
    if (f.dbias) {
        reel_parallel_for(c->threads, t->s.N, head_task, &f);
    } else if (f.max_parts == 1) {
        reel_parallel_for(c->threads, t->s.N * t->n_spans, span_task, &f);
    } else {
        reel_parallel_for(c->threads, t->s.N * t->n_q, pack_q_task, &f);
        reel_parallel_for(c->threads, t->s.N * t->n_k, pack_k_task, &f);
        reel_parallel_for(c->threads, t->s.N * t->n_spans * f.max_parts, part_task, &f);
        if (f.dq) reel_parallel_for(c->threads, t->s.N * t->n_q, finish_task, &f);
    }
}

static const char *refuse(const reel_call *c) {
    const reel_dtype dtype = c->in[REEL_ATTENTION_Q].dtype;
    if (c->in[REEL_ATTENTION_DO].dtype != dtype) return "do is not of q's dtype";
    if (c->in[REEL_ATTENTION_O].dtype != dtype) return "o is not of q's dtype";
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i].dtype == REEL_F16) return "a gradient is f16";
    return refuse_dtypes(c);
}

void REEL_ISA_NAME(reel_cpu_register_attention_backward)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_attention_backward)(reel_kernel_table *table) {
    static const reel_kernel kernel = {.name = "attention_backward." REEL_ISA_TEXT,
                                       .refuse = refuse,
                                       .scratch = backward_scratch,
                                       .run = backward_run};
    reel_kernel_table_add(table, &reel_op_attention_backward, &kernel);
}
