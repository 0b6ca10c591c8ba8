/* Products block by block: a task takes MB rows and NB columns of y and walks along K in slices. It
 * packs its part of a slice of b (and, for tiles, of an awkward a) into its lane's scratch, which
 * stays in the L2, and multiplies.
 *
 * Packing b once for all lanes, in a phase of its own, was tried: what one core has written,
 * another fetches so slowly (8 GB/s where this was measured) that a second core gained nothing at
 * 80 rows.
 *
 * Letters: Q 32-bit words along K, QB of them in a slice, W the width of a panel (gemm_pack.h).
 */
#include "cpu/simd/gemm.h"

#include <math.h>

#include "cpu/simd/activation.h"
#include "cpu/simd/cut.h"
#include "cpu/simd/gemm_kernel.h"
#include "cpu/simd/gemm_tiles.h"

/* How a product is cut up: a function of its shape, dtypes and the level alone. */
typedef struct schedule {
    bool pairs; /* words are bf16 pairs */
    bool tiles;
    bool a_packed; /* tiles only: a's rows are not where tiles can be loaded from */
    bool in_y;     /* sums live in y: nothing is added, applied or rounded, no block overhangs */
    int64_t Q, QB; /* words along K, and in one slice of it */
    int64_t W;     /* width of b's panels */
    int64_t strip; /* rows of a with K outside that are turned at once: a line of memory */
    int64_t MB, NB, n_m, n_n;
    bool b_kept;     /* tiles only: panels of b outside */
    int64_t at_once; /* tiles only: words that 32 rows or columns in the L1 have */
    int64_t b_words, a_words, sum_words, row_words; /* scratch of a lane: see block */
} schedule;

/* ---- cutting ---- */

/* Bounds of blocks, and the work of a piece beside its products, which count 1 for each word of a
 * and of b that meet: for each word of its slices, for each word of its part of y, for being one.
 */
typedef struct limits {
    int64_t unit_m, unit_n, max_m, max_n;
    double per_a, per_b, per_y, piece;
} limits;

/* Up to so many rows, panels of b are packed one by one where they are used, and a is what is read
 * again: 10 to 20% faster from 320 to 640 rows, slower at 1024. Where packing b means to turn it,
 * only a small one. */
enum { FEW_ROWS = 640, SMALL_B = 1 << 16 };

static limits limits_of(const reel_gemm *g, const schedule *s) {
    /* a slice of b and half as much of a or of sums are what the L2 is for */
    const int64_t wide = most(2, least(8, (72 << 10) / s->QB / NR)) * NR;
    if (!s->tiles)
        return g->a.k_inside ? (limits){MR, VF_N, 640, wide, 1, 8, 10, 1e4}
                             : (limits){MR, VF_N, 1024, (128 << 10) / s->QB, 9, 12, 10, 1e4};
    /* tiles are eight times as fast, all else is not */
    if (s->b_kept) return (limits){32, 32, FEW_ROWS, 1 << 20, 4, 60, 80, 2e5};
    if (s->a_packed) return (limits){32, 32, 512, 512, 48, 32, 80, 2e5};
    /* a slice of b, 1.25 MiB at most, is read again for every 32 rows: it is what the L2 is for */
    const int64_t max_n = least(512, (320 << 10) / s->QB / 32 * 32);
    return (limits){32, 32, 1280, max_n, 16, 32, 80, 2e5};
}

/* The next larger count of parts that makes them smaller, when `size` of n units is their size. */
static int64_t finer(int64_t n, int64_t size) {
    return size > 1 ? parts(n, size - 1) : n + 1;
}

/* The cut that is cheapest on two lanes and on four: the same for any number, so that the bytes
 * are. What suits four suits two, and is cut no finer than it pays; large products have pieces for
 * all. */
static void cut_blocks(const reel_gemm *g, schedule *s) {
    enum { MOST_PIECES = 32 };
    const limits l = limits_of(g, s);
    const int64_t all_m = most(1, parts(g->M, l.unit_m)), all_n = most(1, parts(g->N, l.unit_n));
    const int64_t least_m = most(1, parts(g->M, l.max_m)), least_n = most(1, parts(g->N, l.max_n));
    const double Q = (double)s->Q;
    double cheapest = HUGE_VAL;
    int64_t size_m, size_n; /* of a block, in units */
    for (int64_t n_n = least_n; n_n <= most(least_n, least(all_n, MOST_PIECES));
         n_n = finer(all_n, size_n)) {
        size_n = parts(all_n, n_n);
        const double n = (double)(size_n * l.unit_n);
        const int64_t columns = parts(all_n, size_n) * g->n_batches;
        for (int64_t n_m = least_m; n_m <= most(least_m, least(all_m, MOST_PIECES / n_n));
             n_m = finer(all_m, size_m)) {
            size_m = parts(all_m, n_m);
            const double m = (double)(size_m * l.unit_m);
            const double piece =
                Q * (m * n + l.per_a * m + l.per_b * n) + l.per_y * m * n + l.piece;
            const int64_t pieces = columns * parts(all_m, size_m);
            const double cost = (double)((pieces + 1) / 2 * 2 + (pieces + 3) / 4 * 4) * piece;
            if (cost >= cheapest) continue;
            cheapest = cost;
            s->MB = size_m * l.unit_m, s->NB = size_n * l.unit_n;
        }
    }
    s->n_m = parts(g->M, s->MB);
    s->n_n = parts(g->N, s->NB);
}

/* Q in slices of about the same length, at most `longest`, a multiple of unit. */
static int64_t slice_of(int64_t Q, int64_t longest, int64_t unit) {
    return most(1, parts(parts(Q, most(1, parts(Q, longest))), unit)) * unit;
}

/* From one panel [QB,MR] of a to the next: a cache line more than it is long, since as many as
 * there are would all want the same lines. */
static int64_t a_panel_words(const schedule *s) {
    return s->QB * MR + 16;
}

static schedule schedule_of(const reel_gemm *g) {
    schedule s = {.pairs = REEL_ISA_LEVEL >= 3 && g->a.bf16 && g->b.bf16, .W = NR};
    s.tiles = REEL_ISA_LEVEL >= 4 && s.pairs;
    s.Q = s.pairs ? parts(g->K, 2) : g->K;
    s.strip = g->a.bf16 ? 32 : 16;
    s.QB = slice_of(s.Q, g->a.k_inside ? 1024 : 256, VF_N); /* both operands stay in the L2 */
#if REEL_ISA_LEVEL >= 4
    if (s.tiles) {
        s.a_packed = !g->a.k_inside || g->K % 32 != 0 || g->M % TILE != 0;
        s.Q = parts(s.Q, TILE) * TILE;
        s.QB = slice_of(s.Q, s.a_packed ? 256 : 1024, TILE);
        s.W = TILE;
        s.b_kept = !s.a_packed && g->M <= FEW_ROWS && (!g->b.k_inside || g->N * g->K <= SMALL_B);
    }
#endif
    cut_blocks(g, &s);
    s.in_y = !g->bias && !g->pre && g->act == REEL_ACT_NONE && !g->y_bf16 &&
             g->M % (s.tiles ? 16 : MR) == 0 && g->N % (s.tiles ? 32 : VF_N) == 0;
    s.b_words = parts(s.NB, s.W) * s.W * s.QB;
    if (s.tiles)
        s.a_words = s.a_packed ? s.MB * s.QB : 0;
    else
        s.a_words = g->a.k_inside ? MR * s.QB : 2 * (s.strip / MR) * a_panel_words(&s);
    s.sum_words = s.Q > s.QB && !s.in_y ? s.MB * s.NB : 0;
#if REEL_ISA_LEVEL >= 4
    if (s.tiles) {
        s.at_once = s.b_kept ? slice_of(s.Q, 256, TILE) : slice_of(s.QB, 288, TILE);
        if (s.b_kept) s.b_words = 32 * s.at_once, s.sum_words = 0;
        if (s.Q > s.at_once && !s.sum_words && !s.in_y) s.row_words = 32 * (s.b_kept ? s.MB : s.NB);
    }
#endif
    return s;
}

static int64_t lane_words(const schedule *s) {
    return parts(s->b_words + s->a_words + s->sum_words + s->row_words, 16) * 16;
}

int64_t REEL_ISA_NAME(reel_gemm_scratch)(const reel_gemm *g, int n_lanes) {
    const schedule s = schedule_of(g);
    return 4 * n_lanes * lane_words(&s);
}

/* The task's part of the product and of its lane's scratch. */
typedef struct block {
    const reel_gemm *g;
    const schedule *s;
    int64_t batch, m0, m1, n0, n1;
    float *b;    /* the slice of b: panels [NB/W,QB,W] */
    float *a;    /* of a, where it is rearranged: tiles [MB/16,QB/16,16,16], two strips of panels
                  * [strip/MR,QB,MR], or rows [MR,QB] of the moment */
    float *sums; /* [MB,NB], or NULL: they are in y, or only in a tile */
    float *row;  /* tiles only: sums of 32 rows [32,NB], or of 32 columns [MB,32], where K is cut
                  * for the L1 alone */
} block;

static const void *offset(const void *p, int64_t n, bool bf16) {
    return (const char *)p + n * (bf16 ? 2 : 4);
}

/* Batch i of a or b as packing reads it. */
static gemm_source source_of(const reel_gemm *g, const reel_gemm_operand *x, int64_t n,
                             int64_t batch, bool pairs) {
    return (gemm_source){.data = offset(x->data, batch * n * g->K, x->bf16),
                         .n = n,
                         .K = g->K,
                         .bf16 = x->bf16,
                         .k_inside = x->k_inside,
                         .pairs = pairs};
}

/* ---- packing ---- */

/* Lines i.. i+n (a multiple of VF_N) of a source, words q.. q+n_q, into panels. */
VEC_INLINE void pack_lines(const gemm_source *from, int64_t i, int64_t n, int64_t q, int64_t n_q,
                           gemm_panels p) {
    if (!from->k_inside) {
        pack_across(from, i, n, q, n_q, p);
        return;
    }
    for (int64_t at = 0; at < n; at += VF_N)
        pack_column(from, i + at, q, q + n_q, p.to + at / p.W * p.next + at % p.W, p.W);
}

/* The branches on layout and dtype are outside the loops. */
VEC_INLINE void pack_any(gemm_source from, int64_t i, int64_t n, int64_t q, int64_t n_q,
                         gemm_panels p) {
#define WITH(inside, half, pair)                                                                   \
    if (from.k_inside == (inside) && from.bf16 == (half) && from.pairs == (pair)) {                \
        from.k_inside = (inside), from.bf16 = (half), from.pairs = (pair);                         \
        pack_lines(&from, i, n, q, n_q, p);                                                        \
        return;                                                                                    \
    }
    WITH(true, false, false)
    WITH(true, true, false)
    WITH(false, false, false)
    WITH(false, true, false)
#if REEL_ISA_LEVEL >= 3
    WITH(true, true, true)
    WITH(false, true, true)
#endif
#undef WITH
}

#if REEL_ISA_LEVEL >= 4
/* Rows i.. i+16 of a, words [q,end), as tiles [16,16] one after the other. */
static void pack_strip(const gemm_source *from, int64_t i, int64_t q, int64_t end, float *to) {
    gemm_source x = *from;
    x.bf16 = x.pairs = true;
    const int64_t n_words = words_of(&x);
    const int count = (int)most(0, least(TILE, x.n - i));
    for (; q < end; q += TILE, to += TILE_WORDS) {
        if (x.k_inside) {
            load_block(&x, i, q, n_words, to);
            continue;
        }
        float words[TILE_WORDS] __attribute__((aligned(64)));
        if (count == TILE && q + TILE <= n_words) {
            for (int r = 0; r < TILE; r++)
                vf_store(words + r * TILE, load_across_full(&x, i, q + r));
        } else {
            for (int r = 0; r < TILE; r++)
                vf_store(words + r * TILE,
                         q + r < n_words && count ? load_across(&x, i, q + r, count) : (vf){0});
        }
        transpose_words(words, TILE, to, TILE);
    }
}
#endif

/* Words q0.. q0+n of the block's b. */
static void pack_b(const block *k, int64_t q0, int64_t n) {
    const schedule *s = k->s;
    const gemm_source b = source_of(k->g, &k->g->b, k->g->N, k->batch, s->pairs);
    /* tiles come in pairs of panels, the second of which may be empty */
    const int64_t unit = s->tiles ? 32 : VF_N, n_lines = parts(k->n1 - k->n0, unit) * unit;
    if (s->W == NR)
        pack_any(b, k->n0, n_lines, q0, n, (gemm_panels){k->b, s->QB * NR, NR, 4});
    else
        pack_any(b, k->n0, n_lines, q0, n, (gemm_panels){k->b, s->QB * VF_N, VF_N, 4});
}

#if REEL_ISA_LEVEL >= 4
static void pack_a(const block *k, int64_t q0, int64_t n) {
    const schedule *s = k->s;
    const gemm_source a = source_of(k->g, &k->g->a, k->g->M, k->batch, true);
    const int64_t step = a.k_inside ? n : TILE;
    for (int64_t q = 0; q < n; q += step)
        for (int64_t i = k->m0; i < k->m1; i += TILE)
            pack_strip(&a, i, q0 + q, q0 + q + step, k->a + (i - k->m0) * s->QB + q * TILE);
}
#endif

/* ---- epilogue ---- */

/* A block of y: rows m.., columns n.., sums c. */
typedef struct patch {
    int64_t batch, m, n;
    int n_rows, n_cols;
    const float *c;
    int64_t ldc;
} patch;

/* n <= 2 VF_N columns from i on, all rows. */
VEC_INLINE void finish_columns(const reel_gemm *g, const patch *p, int i, int n,
                               reel_activation act, bool bf16) {
    const int low = n < VF_N ? n : VF_N, high = n - low;
    vf bias[2] = {{0}, {0}};
    if (g->bias) {
        const int64_t at = p->batch * g->N + p->n + i;
        bias[0] = vec_load_part(g->bias, at, g->bias_bf16, low);
        if (high) bias[1] = vec_load_part(g->bias, at + VF_N, g->bias_bf16, high);
    }
    int64_t at = (p->batch * g->M + p->m) * g->N + p->n + i;
    const float *c = p->c + i;
    for (int r = 0; r < p->n_rows; r++, at += g->N, c += p->ldc) {
        const vf x0 = vf_load(c) + bias[0];
        const vf x1 = high ? vf_load(c + VF_N) + bias[1] : bias[1];
        if (high == VF_N) {
            if (g->pre) vec_store(g->pre, at, bf16, x0);
            if (g->pre) vec_store(g->pre, at + VF_N, bf16, x1);
            vec_store(g->y, at, bf16, vec_activation(act, x0));
            vec_store(g->y, at + VF_N, bf16, vec_activation(act, x1));
            continue;
        }
        if (g->pre) vec_store_part(g->pre, at, bf16, x0, low);
        vec_store_part(g->y, at, bf16, vec_activation(act, x0), low);
        if (high == 0) continue;
        if (g->pre) vec_store_part(g->pre, at + VF_N, bf16, x1, high);
        vec_store_part(g->y, at + VF_N, bf16, vec_activation(act, x1), high);
    }
}

VEC_INLINE void finish_rows(const reel_gemm *g, const patch *p, reel_activation act) {
    for (int i = 0; i < p->n_cols; i += 2 * VF_N) {
        const int n = p->n_cols - i;
        if (g->y_bf16)
            finish_columns(g, p, i, n < 2 * VF_N ? n : 2 * VF_N, act, true);
        else
            finish_columns(g, p, i, n < 2 * VF_N ? n : 2 * VF_N, act, false);
    }
}

static void finish(const reel_gemm *g, const patch *p) {
#define CALL(f) finish_rows(g, p, f)
    VEC_WITH_ACTIVATION(g->act, CALL)
#undef CALL
}

/* ---- blocks ---- */

/* Where the sums of the patch at row i and column n of y are. */
static float *sums_at(const block *k, int64_t i, int64_t n, float *tile, int64_t tile_width,
                      int64_t *ldc) {
    *ldc = k->s->in_y ? k->g->N : k->sums ? k->s->NB : tile_width;
    if (k->s->in_y) return (float *)k->g->y + (k->batch * k->g->M + i) * k->g->N + n;
    return k->sums ? k->sums + (i - k->m0) * k->s->NB + (n - k->n0) : tile;
}

/* ---- a with K outside: strips, turned while others are multiplied ---- */

/* Strip after strip of a slice, then those of the next one, each into the buffer that the one
 * before it is not in. A strip is as wide as a line of memory, and there are as many lines as K is
 * long, too far apart for the hardware to follow: so each product of rows of a strip by a panel of
 * b asks for the lines of a few words of the next strip, which are turned after it. */
typedef struct turning {
    const block *k;
    gemm_source from;
    int64_t i, q0, n; /* the strip: rows i.. i+strip, words q0.. q0+n */
    int64_t at, step; /* words turned so far, and to turn at once */
    int which;        /* buffer it goes to */
} turning;

static turning turning_of(const block *k, const gemm_source *a) {
    const schedule *s = k->s;
    const int64_t n = least(s->QB, s->Q), products = s->strip / MR * parts(k->n1 - k->n0, NR);
    return (turning){.k = k, .from = *a, .i = k->m0, .n = n, .step = parts(n, products)};
}

/* The next n words of the strip. */
static void turn_words(turning *t, int64_t n) {
    const schedule *s = t->k->s;
    n = least(n, t->n - t->at);
    if (n <= 0) return;
    float *to = t->k->a + t->which * (s->strip / MR) * a_panel_words(s) + t->at * MR;
    const int64_t rows = least(s->strip, parts(t->k->m1 - t->i, VF_N) * VF_N);
    gemm_source from = t->from;
    from.k_inside = false; /* known here: the other cases are not compiled */
    pack_any(from, t->i, rows, t->q0 + t->at, n, (gemm_panels){to, a_panel_words(s), MR, 0});
    t->at += n;
}

/* Finishes the strip, begins with the next one and returns where the finished one is. */
static const float *next_strip(turning *t) {
    const schedule *s = t->k->s;
    turn_words(t, t->n);
    const float *done = t->k->a + t->which * (s->strip / MR) * a_panel_words(s);
    t->i += s->strip;
    if (t->i >= t->k->m1) {
        t->i = t->k->m0;
        t->q0 += s->QB;
        t->n = least(s->QB, s->Q - t->q0); /* none after the last slice */
    }
    t->at = 0;
    t->which = !t->which;
    return done;
}

/* The slice of b after the present one, which is asked for while this one is used: a piece of a
 * column of lines with each product. */
typedef struct coming {
    gemm_source from;
    int64_t n0, n1, q0, n_rows; /* columns n0.. n1, rows of memory from word q0 on */
    int64_t per_line;           /* elements in a line */
    int64_t n_pieces, rows;     /* of a column, rows of each */
    int64_t n_asked;            /* pieces */
} coming;

static int64_t rows_per_word(const gemm_source *x) {
    return x->pairs ? 2 : 1;
}

static coming coming_of(const block *k, int64_t q0) {
    const schedule *s = k->s;
    coming c = {.from = source_of(k->g, &k->g->b, k->g->N, k->batch, s->pairs),
                .n0 = k->n0,
                .n1 = k->n1,
                .q0 = q0};
    if (c.from.k_inside || q0 >= s->Q) return c;
    const int64_t n_products = parts(k->m1 - k->m0, MR) * parts(k->n1 - k->n0, NR);
    c.per_line = c.from.bf16 ? 32 : 16;
    c.n_rows = least(s->QB, s->Q - q0) * rows_per_word(&c.from);
    c.n_pieces = most(1, n_products / parts(k->n1 - k->n0, c.per_line));
    c.rows = parts(c.n_rows, c.n_pieces);
    return c;
}

/* n rows of memory, a line each, from word q of line i on, where there are any. */
static gemm_ask ask_for(const gemm_source *x, int64_t i, int64_t q, int64_t n) {
    n = least(n, x->K - q * rows_per_word(x));
    if (n <= 0) return (gemm_ask){x->data, 0, 1};
    return (gemm_ask){offset(x->data, q * rows_per_word(x) * x->n + i, x->bf16),
                      x->n * (x->bf16 ? 2 : 4), n};
}

static gemm_ask ask_for_b(coming *c) {
    if (c->n_rows == 0) return (gemm_ask){c->from.data, 0, 1};
    const int64_t n = c->n0 + c->n_asked / c->n_pieces * c->per_line;
    const int64_t row = c->n_asked % c->n_pieces * c->rows;
    c->n_asked++;
    return ask_for(&c->from, n, c->q0 + row / rows_per_word(&c->from),
                   n < c->n1 ? least(c->rows, c->n_rows - row) : 0);
}

static gemm_ask ask_for_a(const turning *t) {
    const int64_t n = least(t->step, t->n - t->at);
    return ask_for(&t->from, t->i, t->q0 + t->at, n * rows_per_word(&t->from));
}

/* Rows i.. i+MR of a with K inside, words q0.. q0+n: where they are, unless they must be widened or
 * filled up with zeros. */
static gemm_rows rows_at(const gemm_source *a, const block *k, int64_t i, int64_t q0, int64_t n,
                         int64_t QB) {
    const int count = (int)least(MR, a->n - i);
    const bool in_place = count == MR && (a->pairs ? a->K % 2 == 0 : !a->bf16);
    const int64_t stride = a->pairs ? a->K / 2 : a->K;
    if (in_place)
        return (gemm_rows){.data = (const float *)a->data + i * stride + q0, .stride = stride};
    for (int r = 0; r < MR; r++)
        for (int64_t q = 0; q < n; q += VF_N)
            vf_store(k->a + r * QB + q,
                     r < count ? load_along_k(a, i + r, q0 + q, (int)least(VF_N, n - q)) : (vf){0});
    return (gemm_rows){.data = k->a, .stride = QB};
}

/* MR rows of a from row i on by all of the slice of b, words q0.. q0+n. */
static void row_by_panels(const block *k, int64_t i, gemm_rows a, int64_t q0, int64_t n,
                          turning *turn, coming *next) {
    const schedule *s = k->s;
    const bool panel = a.stride == 0;
    float tile[MR * NR] __attribute__((aligned(64)));
    for (int64_t at = k->n0; at < k->n1; at += NR) {
        const int n_cols = (int)least(NR, k->n1 - at);
        int64_t ldc;
        float *c = sums_at(k, i, at, tile, NR, &ldc);
        if (panel) a.ask[0] = ask_for_a(turn), a.ask[1] = ask_for_b(next);
        block_sums_of[s->pairs][panel][parts(n_cols, VF_N) - 1](n, a, k->b + (at - k->n0) * s->QB,
                                                                c, ldc, q0 > 0);
        if (panel) turn_words(turn, turn->step);
        if (s->in_y || q0 + n < s->Q) continue;
        finish(k->g, &(patch){k->batch, i, at, (int)least(MR, k->m1 - i), n_cols, c, ldc});
    }
}

/* Rows outside, panels of b inside: MR rows of a stay in L1, b streams from L2. */
static void block_by_vectors(const block *k) {
    const schedule *s = k->s;
    const gemm_source from = source_of(k->g, &k->g->a, k->g->M, k->batch, s->pairs);
    turning turn = turning_of(k, &from);
    const float *strip = NULL;
    for (int64_t q0 = 0; q0 == 0 || q0 < s->Q; q0 += s->QB) {
        const int64_t n = least(s->QB, s->Q - q0);
        pack_b(k, q0, n);
        coming next = coming_of(k, q0 + s->QB);
        for (int64_t i = k->m0; i < k->m1; i += MR) {
            const int64_t in_strip = (i - k->m0) % s->strip;
            gemm_rows a;
            if (from.k_inside) {
                a = rows_at(&from, k, i, q0, n, s->QB);
            } else {
                if (in_strip == 0) strip = next_strip(&turn);
                a = (gemm_rows){.data = strip + in_strip / MR * a_panel_words(s)};
            }
            row_by_panels(k, i, a, q0, n, &turn, &next);
        }
    }
}

#if REEL_ISA_LEVEL >= 4
static tile_rows tile_rows_at(const block *k, int64_t i, int64_t q0) {
    const schedule *s = k->s;
    if (s->a_packed) return (tile_rows){k->a + (i - k->m0) * s->QB, TILE, TILE_WORDS, s->QB * TILE};
    const float *a = (const float *)k->g->a.data + (k->batch * k->g->M + i) * s->Q;
    return (tile_rows){a + q0, s->Q, TILE, s->Q * TILE};
}

/* The patches of a block, one after the other. The rows of y of a patch are finished during the
 * products of the next one. */
typedef struct walk {
    const block *k;
    int64_t q0, n; /* words of K at once */
    int which;     /* of two tiles, where sums are needed for no longer, in turn */
    float *tile[2];
    tile_side side;
} walk;

/* Where the sums of the patch at row i and column `at` go. */
static float *patch_sums(walk *w, int64_t i, int64_t at, int64_t *ldc) {
    const block *k = w->k;
    if (k->s->in_y || k->sums) return sums_at(k, i, at, NULL, 0, ldc);
    *ldc = 32;
    if (w->n == k->s->Q) return w->tile[w->which ^= 1];
    if (k->s->b_kept) return k->row + (i - k->m0) * 32;
    *ldc = k->s->NB;
    return k->row + (at - k->n0);
}

/* Rows i.. by the panels of b for columns at... */
static void multiply_patch(walk *w, int64_t i, int64_t at, tile_rows a, const float *b,
                           int64_t b_next) {
    const block *k = w->k;
    const reel_gemm *g = k->g;
    const bool accumulate = w->q0 > 0, two = k->m1 - i > TILE;
    int64_t ldc;
    float *c = patch_sums(w, i, at, &ldc);
    tile_side *side = &w->side;
    if (side->finish.c0 == c) tile_finish_rows(&side->finish, 32);
    if (k->s->b_kept) {
        if (two)
            tile_sums(w->n, a, b, b_next, c, ldc, accumulate, true, TILE_KEEP_B, side);
        else
            tile_sums(w->n, a, b, b_next, c, ldc, accumulate, false, TILE_KEEP_B, side);
    } else if (two) {
        tile_sums(w->n, a, b, b_next, c, ldc, accumulate, true, TILE_KEEP_A, side);
    } else {
        tile_sums(w->n, a, b, b_next, c, ldc, accumulate, false, TILE_KEEP_A, side);
    }
    tile_finish_rows(&side->finish, 32);
    if (k->s->in_y || w->q0 + w->n < k->s->Q) return;
    const int n_rows = (int)least(32, k->m1 - i), n_cols = (int)least(32, k->n1 - at);
    if (n_cols < 32)
        finish(g, &(patch){k->batch, i, at, n_rows, n_cols, c, ldc});
    else
        side->finish = (tile_finish){.g = g,
                                     .c = c,
                                     .c0 = c,
                                     .ldc = ldc,
                                     .at = (k->batch * g->M + i) * g->N + at,
                                     .bias_at = k->batch * g->N + at,
                                     .n = n_rows};
}

/* Words q0.. q0+n are next. */
static void walk_along(walk *w, int64_t q0, int64_t n) {
    w->q0 = q0;
    w->n = n;
    w->side.rows = parts(32, most(1, n / TILE));
}

/* Rows outside, panels of b inside: a is read from afar once, b streams from L2. */
static void rows_by_panels(walk *w) {
    const block *k = w->k;
    const schedule *s = k->s;
    for (int64_t q0 = 0; q0 == 0 || q0 < s->Q; q0 += s->QB) {
        const int64_t n = least(s->QB, s->Q - q0);
        pack_b(k, q0, n);
        if (s->a_packed) pack_a(k, q0, n);
        for (int64_t i = k->m0; i < k->m1; i += 32) {
            tile_rows a = tile_rows_at(k, i, q0);
            const char *next = (const char *)(a.data + 32 * a.stride);
            const int64_t n_next = s->a_packed ? 0 : most(0, least(32, k->m1 - i - 32));
            w->side.ask = (tile_ask){next, next, n * 4, a.stride * 4, n_next};
            w->side.lines = parts(32 * 32, k->n1 - k->n0);
            for (int64_t q = 0; q == 0 || q < n; q += s->at_once) {
                walk_along(w, q0 + q, least(s->at_once, n - q));
                for (int64_t at = k->n0; at < k->n1; at += 32)
                    multiply_patch(w, i, at, a, k->b + (at - k->n0) * s->QB + q * TILE,
                                   s->QB * TILE);
                a.data += w->n / TILE * a.step;
            }
        }
    }
}

/* Asks for 32 columns of b, words q.. */
static void ask_for_panel(walk *w, const gemm_source *b, int64_t at, int64_t q) {
    const int64_t n = least(32, b->n - at), rows = least(2 * w->k->s->at_once, b->K - 2 * q);
    const reel_bf16 *from =
        (const reel_bf16 *)b->data + (b->k_inside ? at * b->K + 2 * q : 2 * q * b->n + at);
    tile_ask *ask = &w->side.ask;
    *ask = (tile_ask){.row = (const char *)from, .at = (const char *)from};
    ask->row_bytes = 2 * (b->k_inside ? rows : n);
    ask->stride = 2 * (b->k_inside ? b->K : b->n);
    ask->n = rows <= 0 ? 0 : b->k_inside ? n : rows;
    const int64_t steps = parts(w->k->m1 - w->k->m0, 32) * most(1, w->n / TILE);
    w->side.lines = parts(ask->n * parts(ask->row_bytes, 64), steps);
}

/* Panels of b outside: packed one by one for few rows, they never leave the L1. */
static void panels_by_rows(walk *w) {
    const block *k = w->k;
    const schedule *s = k->s;
    const gemm_source b = source_of(k->g, &k->g->b, k->g->N, k->batch, s->pairs);
    for (int64_t at = k->n0; at < k->n1; at += 32)
        for (int64_t q = 0; q == 0 || q < s->Q; q += s->at_once) {
            walk_along(w, q, least(s->at_once, s->Q - q));
            pack_any(b, at, 32, q, w->n, (gemm_panels){k->b, s->at_once * TILE, TILE, 4});
            if (w->q0 + w->n < s->Q)
                ask_for_panel(w, &b, at, w->q0 + w->n);
            else if (at + 32 < k->n1)
                ask_for_panel(w, &b, at + 32, 0);
            for (int64_t i = k->m0; i < k->m1; i += 32)
                multiply_patch(w, i, at, tile_rows_at(k, i, q), k->b, s->at_once * TILE);
        }
}

static void block_by_tiles(const block *k) {
    float tile[2][32 * 32] __attribute__((aligned(64)));
    walk w = {.k = k, .tile = {tile[0], tile[1]}, .side.finish.g = k->g};
    tiles_begin();
    if (k->s->b_kept)
        panels_by_rows(&w);
    else
        rows_by_panels(&w);
    tile_finish_rows(&w.side.finish, 32);
    _tile_release();
}
#endif

typedef struct job {
    const reel_gemm *g;
    schedule s;
} job;

static void block_task(void *context, int64_t index, int lane) {
    const job *j = context;
    const schedule *s = &j->s;
    float *scratch = (float *)j->g->scratch + lane * lane_words(s);
    const int64_t m = index % s->n_m, n = index / s->n_m % s->n_n;
    const block k = {.g = j->g,
                     .s = s,
                     .batch = index / s->n_m / s->n_n,
                     .m0 = m * s->MB,
                     .m1 = least(j->g->M, (m + 1) * s->MB),
                     .n0 = n * s->NB,
                     .n1 = least(j->g->N, (n + 1) * s->NB),
                     .b = scratch,
                     .a = scratch + s->b_words,
                     .sums = s->sum_words ? scratch + s->b_words + s->a_words : NULL,
                     .row = scratch + s->b_words + s->a_words + s->sum_words};
#if REEL_ISA_LEVEL >= 4
    if (s->tiles) {
        block_by_tiles(&k);
        return;
    }
#endif
    block_by_vectors(&k);
}

void REEL_ISA_NAME(reel_gemm_run)(const reel_gemm *g) {
    if (g->n_batches == 0 || g->M == 0 || g->N == 0) return;
    job j = {.g = g, .s = schedule_of(g)};
    reel_parallel_for(g->threads, g->n_batches * j.s.n_m * j.s.n_n, block_task, &j);
}
