/* rope_table, qk_norm_rope and its gradient: a token's heads stay in L1 between the sum of squares
 * and the rotation. */
#include "ops/rope.h"

#include "cpu/simd/norm_row.h"
#include "ops/ops.h"

/* ---- rope_table ---- */

enum { TABLE_TOKENS = 64, LEAST_TOKENS = 32 };

typedef struct table_job {
    const reel_call *c;
    const double *turn; /* [D / 2]: theta^(2 j / d) */
} table_job;

/* Neighbouring tokens mostly differ in w alone, so an axis whose position has not changed is copied
 * from the token before. */
static void table_task(void *context, int64_t index, int lane) {
    const table_job *job = context;
    const reel_rope_table_attr *attr = job->c->attr;
    (void)lane;
    const int32_t *position = job->c->in[0].data; /* [T,3] */
    float *table = job->c->out[0].data;           /* [T,D] */
    const int64_t T = job->c->in[0].shape.dim[0], D = attr->D, side = 2 * (D / 6);
    const int64_t from[4] = {0, D - 2 * side, D - side, D};
    const int64_t first = index * TABLE_TOKENS;
    const int64_t last = first + TABLE_TOKENS < T ? first + TABLE_TOKENS : T;
    for (int64_t t = first; t < last; t++)
        for (int axis = 0; axis < 3; axis++) {
            const int32_t at = position[3 * t + axis];
            float *to = table + t * D + from[axis];
            if (t > first && at == position[3 * (t - 1) + axis]) {
                memcpy(to, to - D, (size_t)(from[axis + 1] - from[axis]) * sizeof *to);
                continue;
            }
            for (int64_t k = from[axis]; k < from[axis + 1]; k += 2) {
                const double angle = (double)at / job->turn[k / 2];
                *to++ = (float)cos(angle);
                *to++ = (float)sin(angle);
            }
        }
}

static void table_run(const reel_call *c) {
    const reel_rope_table_attr *attr = c->attr;
    const int64_t D = attr->D, side = 2 * (D / 6);
    const int64_t width[3] = {D - 2 * side, side, side};
    double *turn = c->scratch;
    for (int64_t axis = 0, k = 0; axis < 3; axis++)
        for (int64_t j = 0; j < width[axis]; j += 2)
            turn[k++] = pow(attr->theta, (double)j / (double)width[axis]);
    table_job job = {c, turn};
    const int64_t T = c->in[0].shape.dim[0];
    reel_parallel_for(c->threads, (T + TABLE_TOKENS - 1) / TABLE_TOKENS, table_task, &job);
}

static int64_t table_scratch(const reel_call *c, int n_lanes) {
    const reel_rope_table_attr *attr = c->attr;
    (void)n_lanes;
    return attr->D / 2 * (int64_t)sizeof(double);
}

/* ---- turning ---- */

/* (a, b) -> (b, a) in each pair of lanes. */
VEC_INLINE vf swap_pairs(vf x) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_permute_ps((__m512)x, 0xb1);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_permute_ps((__m256)x, 0xb1);
#else
    return (vf){x[1], x[0], x[3], x[2]};
#endif
}

/* A row of the table as two: (cos, cos) and (-sin, sin) for each pair, so that a pair turns by
 * x cos + swap(x) sin, and back by x cos - swap(x) sin. */
VEC_INLINE void spread_turn(const float *row, int64_t D, float *cosine, float *sine) {
    int64_t k = 0;
#if REEL_ISA_LEVEL >= 2
    const __m512 sign = (__m512)(vf){-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};
    for (; k + VF_N <= D; k += VF_N) {
        vf_store(cosine + k, (vf)_mm512_moveldup_ps((__m512)vf_load(row + k)));
        vf_store(sine + k, (vf)(sign * _mm512_movehdup_ps((__m512)vf_load(row + k))));
    }
#elif REEL_ISA_LEVEL == 1
    const __m256 sign = (__m256)(vf){-1, 1, -1, 1, -1, 1, -1, 1};
    for (; k + VF_N <= D; k += VF_N) {
        vf_store(cosine + k, (vf)_mm256_moveldup_ps((__m256)vf_load(row + k)));
        vf_store(sine + k, (vf)(sign * _mm256_movehdup_ps((__m256)vf_load(row + k))));
    }
#endif
    for (; k < D; k += 2) {
        cosine[k] = cosine[k + 1] = row[k];
        sine[k] = -row[k + 1];
        sine[k + 1] = row[k + 1];
    }
}

/* ---- forward ---- */

typedef struct qk_job {
    const reel_call *c;
    reel_qk_size n;
    norm_blocks blocks; /* of tokens */
    const float *w;     /* [2, n_norm] */
    float *lanes;       /* [lanes, 2, D] */
    float *partial;     /* backward: [blocks, 2, n_norm], or NULL */
} qk_job;

VEC_INLINE float group_scale(const reel_qk_attr *attr, const void *x, int64_t at, int64_t n,
                             bool bf16) {
    if (attr->norm == REEL_QK_NORM_NONE) return 1;
    const norm_sums s = norm_row_sums(x, NULL, NULL, at, n, 0, (const bool[2]){bf16, false}, false);
    return 1 / sqrtf(s.dd / (float)n + attr->eps);
}

/* One part of a token, N heads from element `part` on. bf16: of x, of y. */
VEC_INLINE void turn_part(const qk_job *job, int64_t part, const float *w, const float *cosine,
                          const float *sine, const bool bf16[2], bool streams) {
    const reel_call *c = job->c;
    const reel_qk_size n = job->n;
    const void *x = c->in[0].data;
    const int64_t width = n.N * n.D;
    float r = 1;
    for (int64_t h = 0; h < n.N; h++) {
        const int64_t at = part + h * n.D;
        const int64_t k = h * n.D % n.n_norm;
        if (k == 0) r = group_scale(c->attr, x, at, n.n_norm, bf16[0]);
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        vec_prefetch(x, at + width + (i), bf16[0]);                                                \
        const vf v_ = norm_load(x, at + (i), bf16[0], n) * r * norm_load(w, k + (i), false, n);    \
        norm_put(c->out[0].data, at + (i), bf16[1], streams,                                       \
                 v_ * norm_load(cosine, i, false, n) +                                             \
                     swap_pairs(v_) * norm_load(sine, i, false, n),                                \
                 n);                                                                               \
    } while (0)
        NORM_FOR_VECTORS(job->n.D, STEP);
#undef STEP
    }
}

/* v passes through. */
VEC_INLINE void copy_part(const reel_tensor *from, const reel_tensor *to, int64_t part, int64_t n,
                          bool streams) {
    const bool a = from->dtype == REEL_BF16, b = to->dtype == REEL_BF16;
    if (a == b && from->data == to->data) return;
#define STEP(i, n_)                                                                                \
    do {                                                                                           \
        vec_prefetch(from->data, part + n + (i), a);                                               \
        norm_put(to->data, part + (i), b, streams, norm_load(from->data, part + (i), a, n_), n_);  \
    } while (0)
    NORM_FOR_VECTORS(n, STEP);
#undef STEP
}

VEC_INLINE void turn_tokens(const qk_job *job, int64_t index, int lane, const bool bf16[2]) {
    const reel_qk_size n = job->n;
    const float *table = job->c->in[1].data;
    float *cosine = job->lanes + lane * 2 * n.D, *sine = cosine + n.D;
    const bool streams = norm_streams(&job->c->out[0], job->n.D);
    int64_t from, to;
    norm_blocks_range(job->blocks, index, &from, &to);
    for (int64_t t = from; t < to; t++) {
        spread_turn(table + t % n.T_table * n.D, n.D, cosine, sine);
        for (int64_t p = 0; p < n.P; p++) {
            const int64_t part = (t * n.P + p) * n.N * n.D;
            if (p < 2)
                turn_part(job, part, job->w + p * n.n_norm, cosine, sine, bf16, streams);
            else
                copy_part(&job->c->in[0], &job->c->out[0], part, n.N * n.D, streams);
        }
    }
    if (streams) vec_stream_end();
}

static void turn_task(void *context, int64_t index, int lane) {
    const qk_job *job = context;
    const bool x = job->c->in[0].dtype == REEL_BF16, y = job->c->out[0].dtype == REEL_BF16;
    if (x && y)
        turn_tokens(job, index, lane, (const bool[2]){true, true});
    else if (!x && y)
        turn_tokens(job, index, lane, (const bool[2]){false, true});
    else if (!x && !y)
        turn_tokens(job, index, lane, (const bool[2]){false, false});
    else
        turn_tokens(job, index, lane, (const bool[2]){x, y});
}

/* The weights of both parts as f32 at the start of scratch, then the lanes' memory. */
static qk_job job_of(const reel_call *c, const reel_tensor *x, const reel_tensor *table,
                     const reel_tensor *w, int64_t least_tokens) {
    qk_job job = {.c = c, .n = reel_qk_size_of(c->attr, &x->shape, &table->shape)};
    job.blocks = norm_blocks_of(1, job.n.T, job.n.P * job.n.N * job.n.D, least_tokens);
    if (!c->scratch) return job;
    float *widened = c->scratch;
    for (int p = 0; p < 2; p++)
        norm_widen(widened + p * job.n.n_norm, w[p].data, 0, job.n.n_norm, w[p].dtype == REEL_BF16,
                   w[p].data ? 0 : 1);
    job.w = widened;
    job.lanes = widened + 2 * job.n.n_norm;
    return job;
}

static void turn_run(const reel_call *c) {
    qk_job job = job_of(c, &c->in[0], &c->in[1], &c->in[2], 1);
    reel_parallel_for(c->threads, norm_blocks_count(job.blocks), turn_task, &job);
}

static int64_t turn_scratch(const reel_call *c, int n_lanes) {
    const reel_qk_size n = reel_qk_size_of(c->attr, &c->in[0].shape, &c->in[1].shape);
    return 2 * (n.n_norm + n_lanes * n.D) * (int64_t)sizeof(float);
}

/* ---- gradient: e = dy turned back, g = e w; dx = r (g - xhat mean(g xhat)), dw = sum of e xhat */

/* The group of n_norm channels at element `at`, heads of D channels with the same turn. w: of the
 * group; sum [n_norm] or NULL: what the group adds to dw; first: it has no value yet. bf16: of x,
 * dy, dx. */
VEC_INLINE void group_backward(const qk_job *job, int64_t at, const float *w, const float *cosine,
                               const float *sine, float *sum, bool first, const bool bf16[3],
                               bool streams) {
    const reel_qk_attr *attr = job->c->attr;
    const void *dy = job->c->in[0].data, *x = job->c->in[1].data;
    void *dx = job->c->out[0].data;
    const int64_t D = job->n.D, C = job->n.n_norm;
    float r = 1, by_x = 0;
#define TURNED_BACK(e_, i, n)                                                                      \
    const vf dy_ = norm_load(dy, at + h + (i), bf16[1], n);                                        \
    const vf e_ =                                                                                  \
        dy_ * norm_load(cosine, i, false, n) - swap_pairs(dy_) * norm_load(sine, i, false, n)
    if (attr->norm != REEL_QK_NORM_NONE) {
        vf xx = {0}, gx = {0};
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        TURNED_BACK(e_, i, n);                                                                     \
        const vf x_ = norm_load(x, at + h + (i), bf16[0], n);                                      \
        xx += x_ * x_;                                                                             \
        gx += e_ * norm_load(w, h + (i), false, n) * x_;                                           \
    } while (0)
        for (int64_t h = 0; h < C; h += D)
            NORM_FOR_VECTORS(D, STEP);
#undef STEP
        r = 1 / sqrtf(vf_sum(xx) / (float)C + attr->eps);
        by_x = -r * r * r * vf_sum(gx) / (float)C;
    }
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        TURNED_BACK(e_, i, n);                                                                     \
        const vf x_ = norm_load(x, at + h + (i), bf16[0], n);                                      \
        vec_prefetch(x, at + h + C + (i), bf16[0]);                                                \
        vec_prefetch(dy, at + h + C + (i), bf16[1]);                                               \
        if (sum) {                                                                                 \
            vf s_ = e_ * x_ * r;                                                                   \
            if (!first) s_ += norm_load(sum, h + (i), false, n);                                   \
            norm_store(sum, h + (i), false, s_, n);                                                \
        }                                                                                          \
        if (dx)                                                                                    \
            norm_put(dx, at + h + (i), bf16[2], streams,                                           \
                     e_ * norm_load(w, h + (i), false, n) * r + x_ * by_x, n);                     \
    } while (0)
    for (int64_t h = 0; h < C; h += D)
        NORM_FOR_VECTORS(D, STEP);
#undef STEP
#undef TURNED_BACK
}

VEC_INLINE void turn_tokens_back(const qk_job *job, int64_t index, int lane, const bool bf16[3]) {
    const reel_qk_size n = job->n;
    const reel_call *c = job->c;
    const float *table = c->in[2].data;
    float *cosine = job->lanes + lane * 2 * n.D, *sine = cosine + n.D;
    const bool streams = norm_streams(&job->c->out[0], job->n.D);
    int64_t from, to;
    norm_blocks_range(job->blocks, index, &from, &to);
    for (int64_t t = from; t < to; t++) {
        spread_turn(table + t % n.T_table * n.D, n.D, cosine, sine);
        for (int64_t p = 0; p < n.P; p++) {
            const int64_t part = (t * n.P + p) * n.N * n.D;
            float *sum = job->partial ? job->partial + (2 * index + p) * n.n_norm : NULL;
            for (int64_t k = 0; p < 2 && k < n.N * n.D; k += n.n_norm)
                group_backward(job, part + k, job->w + p * n.n_norm, cosine, sine, sum,
                               t == from && k == 0, bf16, streams);
            if (p == 2 && c->out[0].data)
                copy_part(&c->in[0], &c->out[0], part, n.N * n.D, streams);
        }
    }
    if (streams) vec_stream_end();
}

/* The types of a DiT get loops of their own; others share one with branches. */
static void turn_back_task(void *context, int64_t index, int lane) {
    const qk_job *job = context;
    const bool bf16[3] = {job->c->in[1].dtype == REEL_BF16, job->c->in[0].dtype == REEL_BF16,
                          job->c->out[0].dtype == REEL_BF16};
    if (bf16[0] && bf16[1] && bf16[2])
        turn_tokens_back(job, index, lane, (const bool[3]){true, true, true});
    else if (!bf16[0] && !bf16[1] && !bf16[2])
        turn_tokens_back(job, index, lane, (const bool[3]){false, false, false});
    else
        turn_tokens_back(job, index, lane, bf16);
}

static bool wants(const reel_call *c, int p) {
    return c->present[3 + p] && c->out[1 + p].data;
}

static void turn_back_run(const reel_call *c) {
    qk_job job = job_of(c, &c->in[1], &c->in[2], &c->in[3], LEAST_TOKENS);
    const int64_t n_lanes = c->threads ? reel_threads_count(c->threads) : 1;
    if (wants(c, 0) || wants(c, 1)) job.partial = job.lanes + n_lanes * 2 * job.n.D;
    reel_parallel_for(c->threads, norm_blocks_count(job.blocks), turn_back_task, &job);
    for (int p = 0; p < 2; p++) {
        if (!wants(c, p)) continue;
        norm_totals t = {job.partial,      c->out[1 + p].data, 2 * job.n.n_norm,
                         p * job.n.n_norm, job.n.n_norm,       job.blocks};
        reel_parallel_for(c->threads, norm_totals_tasks(&t), norm_totals_task, &t);
    }
}

static int64_t turn_back_scratch(const reel_call *c, int n_lanes) {
    const qk_job job = job_of(c, &c->in[1], &c->in[2], &c->in[3], LEAST_TOKENS);
    return 2 * ((1 + norm_blocks_count(job.blocks)) * job.n.n_norm + n_lanes * job.n.D) *
           (int64_t)sizeof(float);
}

/* ---- registration ---- */

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_rope)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_rope)(reel_kernel_table *table) {
    static const reel_kernel table_kernel = {
        .name = "rope_table." REEL_ISA_TEXT, .scratch = table_scratch, .run = table_run};
    static const reel_kernel forward_kernel = {.name = "qk_norm_rope." REEL_ISA_TEXT,
                                               .refuse = refuse_f16,
                                               .scratch = turn_scratch,
                                               .run = turn_run};
    static const reel_kernel backward_kernel = {.name = "qk_norm_rope_backward." REEL_ISA_TEXT,
                                                .refuse = refuse_f16,
                                                .scratch = turn_back_scratch,
                                                .run = turn_back_run};
    reel_kernel_table_add(table, &reel_op_rope_table, &table_kernel);
    reel_kernel_table_add(table, &reel_op_qk_norm_rope, &forward_kernel);
    reel_kernel_table_add(table, &reel_op_qk_norm_rope_backward, &backward_kernel);
}
