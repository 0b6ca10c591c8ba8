/* Products in two phases: b (and, for tiles, an awkward a) is packed into panels by all lanes, then
 * blocks of y are computed, each by one lane: MB x NB sums over K in slices that fit the caches.
 *
 * Letters: Q 32-bit words along K, W the width of a panel (gemm_pack.h), MB NB a block of y.
 */
#include "cpu/simd/gemm.h"

#include "cpu/simd/activation.h"
#include "cpu/simd/gemm_kernel.h"

/* How a product is cut up: a function of its shape, dtypes and the level alone. */
typedef struct schedule {
    bool pairs; /* words are bf16 pairs */
    bool tiles;
    bool a_packed;  /* tiles only: a's rows are not where tiles can be loaded from */
    bool in_y;      /* sums live in y: nothing is added, applied or rounded, no block overhangs */
    bool sliced;    /* both phases are done slice by slice, sums in y; else all of K is packed */
    int64_t Q, QB;  /* words along K, and in one slice of it */
    int64_t QP;     /* words of a packed panel */
    int64_t W;      /* width of b's panels */
    int64_t NP, MS; /* panels of b, packed strips of a, in one batch */
    int64_t MB, NB, n_m, n_n;
    int64_t sum_words, lane_words; /* scratch of a lane: for sums, and in all */
    int64_t n_packs; /* pieces of the packing phase in a batch: PW panels (or strips), PQ words */
    int64_t PW, PQ;
} schedule;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t parts(int64_t n, int64_t of) {
    return (n + of - 1) / of;
}

/* MB, NB: blocks at most as large as the L2 likes, small enough for many lanes, yet each worth the
 * some hundred nanoseconds a piece costs. */
static void cut_blocks(const reel_gemm *g, schedule *s) {
    const int64_t unit_m = s->tiles ? 32 : MR, unit_n = s->tiles ? 32 : NR;
    const int64_t max_m = s->tiles ? 512 : 128, max_n = s->tiles ? 512 : 8 * NR;
    const double piece_flops = s->tiles ? 4e6 : 1e6;
    const double flops = 2.0 * (double)g->M * (double)g->N * (double)g->K;
    const int64_t wanted = (int64_t)(flops / piece_flops < 32 ? flops / piece_flops : 32) + 1;
    int64_t n_n = most(1, parts(g->N, max_n));
    const int64_t n_m = most(parts(g->M, max_m), parts(wanted, n_n));
    s->MB = most(1, parts(parts(g->M, most(1, n_m)), unit_m)) * unit_m;
    s->n_m = parts(g->M, s->MB);
    n_n = most(n_n, wanted / most(1, s->n_m));
    s->NB = most(1, parts(parts(g->N, n_n), unit_n)) * unit_n;
    s->n_n = parts(g->N, s->NB);
}

static schedule schedule_of(const reel_gemm *g) {
    schedule s = {.pairs = REEL_ISA_LEVEL >= 3 && g->a.bf16 && g->b.bf16};
    s.tiles = REEL_ISA_LEVEL >= 4 && s.pairs;
    s.Q = s.pairs ? parts(g->K, 2) : g->K;
    s.QB = 512;
    s.W = NR;
#if REEL_ISA_LEVEL >= 4
    if (s.tiles) {
        s.a_packed = !g->a.k_inside || g->K % 32 != 0 || g->M % TILE != 0;
        s.Q = parts(s.Q, TILE) * TILE;
        s.W = TILE;
        /* Two strips of a slice, one of a and one of b, share the L1. */
        s.QB = most(1, parts(parts(s.Q, most(1, parts(s.Q, 256))), TILE)) * TILE;
    }
#endif
    cut_blocks(g, &s);
    s.in_y = !g->bias && !g->pre && g->act == REEL_ACT_NONE && !g->y_bf16 &&
             g->M % (s.tiles ? 16 : MR) == 0 && g->N % (s.tiles ? 32 : VF_N) == 0;
    /* With K outside in both, as in a weight's gradient, packing all of K would go to memory and
     * back; a slice stays in the L2. */
    s.sliced = s.in_y && !g->a.k_inside && !g->b.k_inside && s.Q > s.QB;
    s.QP = s.sliced ? s.QB : s.Q;
    s.NP = parts(g->N, s.W);
    if (s.tiles) s.NP += s.NP % 2;
    s.MS = s.a_packed ? parts(g->M, 32) * 2 : 0;
    /* With K inside a panel's lines are read along memory; outside, a piece is as wide as the
     * hardware needs to see rows to read ahead of, 1 KiB of bf16. */
    s.PW = most(1, (g->b.k_inside ? 128 : 512) / s.W);
    s.PQ = g->b.k_inside ? 512 : 64;
    s.n_packs = parts(s.NP + s.MS, s.PW) * parts(s.QP, s.PQ);
    s.sum_words = s.Q > s.QB && !s.in_y ? s.MB * s.NB : 0;
    const int64_t n_rows = g->a.k_inside ? MR : s.MB; /* rearranged at a time */
    s.lane_words = parts(s.sum_words + (s.tiles ? 0 : n_rows * s.QB), 16) * 16;
    return s;
}

static int64_t packed_words(const reel_gemm *g, const schedule *s) {
    return g->n_batches * (s->NP * s->W + s->MS * 16) * s->QP;
}

int64_t REEL_ISA_NAME(reel_gemm_scratch)(const reel_gemm *g, int n_lanes) {
    const schedule s = schedule_of(g);
    return 4 * (packed_words(g, &s) + n_lanes * s.lane_words);
}

typedef struct job {
    const reel_gemm *g;
    schedule s;
    int64_t from, to; /* words of this pass */
    float *b, *a;     /* packed: [n_batches,NP,QP,W], [n_batches,MS,QP/16,16,16] */
    float *lane;
} job;

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

/* Words [q,end) of the panel of lines at.. at+W; that of word q lies at to. */
VEC_INLINE void pack_lines(const gemm_source *from, int64_t at, int64_t q, int64_t end, float *to,
                           int W) {
    for (int v = 0; v < W; v += VF_N)
        pack_column(from, at + v, q, end, to + v, W);
}

/* The branches on layout and dtype are outside the loops. */
static void pack_panel(const gemm_source *from, int64_t at, int64_t q, int64_t end, float *to,
                       int W) {
    gemm_source x = *from;
#define WITH(inside, half, pair)                                                                   \
    if (x.k_inside == (inside) && x.bf16 == (half) && x.pairs == (pair)) {                         \
        x.k_inside = (inside), x.bf16 = (half), x.pairs = (pair);                                  \
        if (W == NR)                                                                               \
            pack_lines(&x, at, q, end, to, NR);                                                    \
        else                                                                                       \
            pack_lines(&x, at, q, end, to, VF_N);                                                  \
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
        float block[TILE_WORDS] __attribute__((aligned(64)));
        if (count == TILE && q + TILE <= n_words) {
            for (int r = 0; r < TILE; r++)
                vf_store(block + r * TILE, load_across_full(&x, i, q + r));
        } else {
            for (int r = 0; r < TILE; r++)
                vf_store(block + r * TILE,
                         q + r < n_words && count ? load_across(&x, i, q + r, count) : (vf){0});
        }
        transpose_words(block, TILE, to, TILE);
    }
}
#endif

/* PW neighbouring panels: where K is outside, a few rows of memory at a time, so that their cache
 * lines and pages serve all panels. */
static void pack_task(void *context, int64_t index, int lane) {
    (void)lane;
    const job *j = context;
    const schedule *s = &j->s;
    const int64_t step = j->g->b.k_inside ? s->PQ : 16;
    const int64_t batch = index / s->n_packs, n_q = parts(s->QP, s->PQ);
    const int64_t first = index % s->n_packs / n_q * s->PW, q0 = j->from + index % n_q * s->PQ;
    const int64_t last = least(first + s->PW, s->NP + s->MS), q1 = least(q0 + s->PQ, j->to);
    const gemm_source b = source_of(j->g, &j->g->b, j->g->N, batch, s->pairs);
    for (int64_t q = q0; q < q1; q += step)
        for (int64_t k = first; k < last; k++) {
            const int64_t end = least(q + step, q1);
            if (k < s->NP) {
                float *to = j->b + ((batch * s->NP + k) * s->QP + q - j->from) * s->W;
                pack_panel(&b, k * s->W, q, end, to, (int)s->W);
                continue;
            }
#if REEL_ISA_LEVEL >= 4
            const gemm_source a = source_of(j->g, &j->g->a, j->g->M, batch, true);
            const int64_t strip = k - s->NP;
            float *to = j->a + ((batch * s->MS + strip) * s->QP + q - j->from) * TILE;
            pack_strip(&a, strip * TILE, q, end, to);
#endif
        }
}

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
    switch (g->act) {
    case REEL_ACT_GELU_TANH:
        finish_rows(g, p, REEL_ACT_GELU_TANH);
        break;
    case REEL_ACT_GELU_ERF:
        finish_rows(g, p, REEL_ACT_GELU_ERF);
        break;
    case REEL_ACT_SILU:
        finish_rows(g, p, REEL_ACT_SILU);
        break;
    default:
        finish_rows(g, p, REEL_ACT_NONE);
    }
}

/* ---- blocks ---- */

typedef struct block {
    int64_t batch, m0, m1, n0, n1;
    float *sums; /* [MB,NB], or NULL: a patch of y, or kept in a tile */
    float *rows; /* a's rows or panel, where they must be rearranged */
} block;

/* Where the sums of the patch at row i and column n of y are. */
static float *sums_at(const job *j, const block *k, int64_t i, int64_t n, float *tile,
                      int64_t tile_width, int64_t *ldc) {
    *ldc = j->s.in_y ? j->g->N : k->sums ? j->s.NB : tile_width;
    if (j->s.in_y) return (float *)j->g->y + (k->batch * j->g->M + i) * j->g->N + n;
    return k->sums ? k->sums + (i - k->m0) * j->s.NB + (n - k->n0) : tile;
}

/* a with K outside: all rows of the block, words q0.. q0+n, as panels [QB,MR] one after the other.
 */
VEC_INLINE void turn_rows(const gemm_source *a, const block *k, int64_t q0, int64_t n, int64_t QB) {
    for (int64_t q = 0; q < n; q++) {
        float *to = k->rows + q * MR;
        for (int64_t i = k->m0; i < k->m1; i += MR, to += QB * MR) {
            const vf words = i + VF_N <= a->n ? load_across_full(a, i, q0 + q)
                                              : load_across(a, i, q0 + q, (int)least(MR, a->n - i));
            memcpy(to, &words, MR * sizeof *to);
        }
    }
}

static void turn_any_rows(gemm_source a, const block *k, int64_t q0, int64_t n, int64_t QB) {
    a.k_inside = false;
    if (!a.bf16) {
        a.bf16 = a.pairs = false;
        turn_rows(&a, k, q0, n, QB);
    } else if (!a.pairs) {
        a.bf16 = true, a.pairs = false;
        turn_rows(&a, k, q0, n, QB);
    } else {
        a.bf16 = a.pairs = true;
        turn_rows(&a, k, q0, n, QB);
    }
}

/* Rows i.. i+MR of a with K inside, words q0.. q0+n: where they are, unless they must be widened or
 * filled up with zeros. */
static gemm_rows rows_at(const gemm_source *a, const block *k, int64_t i, int64_t q0, int64_t n,
                         int64_t QB) {
    const int count = (int)least(MR, a->n - i);
    const bool in_place = count == MR && (a->pairs ? a->K % 2 == 0 : !a->bf16);
    const int64_t stride = a->pairs ? a->K / 2 : a->K;
    if (in_place) return (gemm_rows){(const float *)a->data + i * stride + q0, stride};
    for (int r = 0; r < MR; r++)
        for (int64_t q = 0; q < n; q += VF_N)
            vf_store(k->rows + r * QB + q,
                     r < count ? load_along_k(a, i + r, q0 + q, (int)least(VF_N, n - q)) : (vf){0});
    return (gemm_rows){k->rows, QB};
}

/* Rows outside, panels of b inside: MR rows of a stay in L1, b streams from L2. */
static void block_by_vectors(const job *j, const block *k) {
    const schedule *s = &j->s;
    const gemm_source from = source_of(j->g, &j->g->a, j->g->M, k->batch, s->pairs);
    float tile[MR * NR] __attribute__((aligned(64)));
    for (int64_t q0 = j->from; q0 == 0 || q0 < j->to; q0 += s->QB) {
        const int64_t n = least(s->QB, j->to - q0);
        if (!from.k_inside) turn_any_rows(from, k, q0, n, s->QB);
        for (int64_t i = k->m0; i < k->m1; i += MR) {
            const gemm_rows a = from.k_inside ? rows_at(&from, k, i, q0, n, s->QB)
                                              : (gemm_rows){.data = k->rows + (i - k->m0) * s->QB};
            for (int64_t at = k->n0; at < k->n1; at += NR) {
                const float *b = j->b + ((k->batch * s->NP + at / NR) * s->QP + q0 - j->from) * NR;
                const int n_cols = (int)least(NR, k->n1 - at);
                int64_t ldc;
                float *c = sums_at(j, k, i, at, tile, NR, &ldc);
                block_sums_of[s->pairs][a.stride == 0][parts(n_cols, VF_N) - 1](n, a, b, c, ldc,
                                                                                q0 > 0);
                if (s->in_y || q0 + n < s->Q) continue;
                finish(j->g, &(patch){k->batch, i, at, (int)least(MR, k->m1 - i), n_cols, c, ldc});
            }
        }
    }
}

#if REEL_ISA_LEVEL >= 4
static tile_rows tile_rows_at(const job *j, const block *k, int64_t i, int64_t q0) {
    const schedule *s = &j->s;
    if (s->a_packed) {
        const float *strip = j->a + ((k->batch * s->MS + i / TILE) * s->QP + q0 - j->from) * TILE;
        return (tile_rows){strip, TILE, TILE_WORDS, s->QP * TILE};
    }
    const float *a = (const float *)j->g->a.data + (k->batch * j->g->M + i) * s->Q;
    return (tile_rows){a + q0, s->Q, TILE, s->Q * TILE};
}

/* Panels of b outside, rows inside: 32 columns of a slice stay in L1, a streams from L2. */
static void block_by_tiles(const job *j, const block *k) {
    const schedule *s = &j->s;
    float tile[32 * 32] __attribute__((aligned(64)));
    tiles_begin();
    for (int64_t q0 = j->from; q0 == 0 || q0 < j->to; q0 += s->QB) {
        const int64_t n = least(s->QB, j->to - q0);
        for (int64_t at = k->n0; at < k->n1; at += 32) {
            const float *b = j->b + ((k->batch * s->NP + at / TILE) * s->QP + q0 - j->from) * TILE;
            const int n_cols = (int)least(32, k->n1 - at);
            for (int64_t i = k->m0; i < k->m1; i += 32) {
                const tile_rows a = tile_rows_at(j, k, i, q0);
                int64_t ldc;
                float *c = sums_at(j, k, i, at, tile, 32, &ldc);
                if (k->m1 - i > TILE)
                    tile_sums(n, a, b, s->QP * TILE, c, ldc, q0 > 0, true);
                else
                    tile_sums(n, a, b, s->QP * TILE, c, ldc, q0 > 0, false);
                if (s->in_y || q0 + n < s->Q) continue;
                finish(j->g, &(patch){k->batch, i, at, (int)least(32, k->m1 - i), n_cols, c, ldc});
            }
        }
    }
    _tile_release();
}
#endif

static void block_task(void *context, int64_t index, int lane) {
    const job *j = context;
    const schedule *s = &j->s;
    float *scratch = j->lane + lane * s->lane_words;
    const int64_t m = index % s->n_m, n = index / s->n_m % s->n_n;
    const block k = {.batch = index / s->n_m / s->n_n,
                     .m0 = m * s->MB,
                     .m1 = least(j->g->M, (m + 1) * s->MB),
                     .n0 = n * s->NB,
                     .n1 = least(j->g->N, (n + 1) * s->NB),
                     .sums = s->sum_words ? scratch : NULL,
                     .rows = scratch + s->sum_words};
#if REEL_ISA_LEVEL >= 4
    if (s->tiles) {
        block_by_tiles(j, &k);
        return;
    }
#endif
    block_by_vectors(j, &k);
}

void REEL_ISA_NAME(reel_gemm_run)(const reel_gemm *g) {
    if (g->n_batches == 0 || g->M == 0 || g->N == 0) return;
    job j = {.g = g, .s = schedule_of(g), .b = g->scratch};
    j.a = j.b + g->n_batches * j.s.NP * j.s.W * j.s.QP;
    j.lane = j.b + packed_words(g, &j.s);
    do {
        j.to = least(j.from + most(1, j.s.QP), j.s.Q);
        reel_parallel_for(g->threads, g->n_batches * j.s.n_packs, pack_task, &j);
        reel_parallel_for(g->threads, g->n_batches * j.s.n_m * j.s.n_n, block_task, &j);
        j.from = j.to;
    } while (j.from < j.s.Q);
}
