/* norm_modulate, gate and their gradients: one pass over memory; with a map two for the gradients.
 *
 * Without a map the tokens of one row of modulation are neighbours, so a block of tokens sums what
 * it adds to that row's gradient while it makes dx. With a map they may lie anywhere: the tokens
 * are sorted by row, and each row gathers its own in rising order.
 */
#include "ops/modulate.h"

#include "cpu/simd/norm_row.h"
#include "ops/ops.h"

enum { LEAST_TOKENS = 32, GATHER_COLUMNS = 256 };

/* ---- rows of modulation ---- */

typedef struct modulation {
    const int32_t *map; /* [T] or NULL */
    int64_t T, C, R, tokens_a_row;
    norm_blocks blocks; /* of tokens: within one row, or with a map anywhere */
} modulation;

static modulation modulation_of(const reel_tensor *x, const reel_tensor *m, const reel_tensor *map,
                                bool mapped, int64_t least_tokens) {
    modulation n = {.map = mapped ? map->data : NULL,
                    .T = reel_shape_rows(&x->shape),
                    .C = reel_shape_last(&x->shape),
                    .R = reel_shape_rows(&m->shape)};
    n.tokens_a_row = n.T / n.R;
    n.blocks = norm_blocks_of(mapped ? 1 : n.R, mapped ? n.T : n.tokens_a_row, n.C, least_tokens);
    return n;
}

/* The row in `row` of m plus `add` as f32: m's own memory where that will do, else buffer [C]. Row
 * -1 is NaN. */
VEC_INLINE const float *f32_row(const reel_tensor *m, int64_t row, int64_t C, float add,
                                float *buffer) {
    if (row >= 0 && add == 0 && m->dtype == REEL_F32) return (const float *)m->data + row * C;
    norm_widen(buffer, row < 0 ? NULL : m->data, row * C, C, m->dtype == REEL_BF16,
               row < 0 ? NAN : add);
    return buffer;
}

/* ---- norm_modulate ---- */

typedef struct modulate_job {
    const reel_call *c;
    modulation n;
    float *lanes;   /* [lanes, LANE_ROWS, C] */
    float *partial; /* backward: [blocks, 2, C] sums of dy xhat, of dy; NULL: none or in place */
    norm_row *rows; /* backward with a map: [T], else NULL */
    bool sums;      /* backward: somebody wants dshift or dscale */
} modulate_job;

enum { LANE_ROWS = 3 };

VEC_INLINE void modulate_tokens(const modulate_job *job, int64_t index, int lane,
                                reel_norm_kind kind, const bool bf16[2]) {
    const reel_call *c = job->c;
    const reel_modulate_attr *attr = c->attr;
    const int64_t C = job->n.C;
    float *buffer = job->lanes + lane * LANE_ROWS * C;
    const float *a = NULL, *s = NULL;
    const bool streams = norm_streams(&c->out[0], C);
    int64_t from, to, held = -2;
    norm_blocks_range(job->n.blocks, index, &from, &to);
    for (int64_t t = from; t < to; t++) {
        const int64_t row = reel_modulate_row(job->n.map, t, job->n.tokens_a_row, job->n.R);
        if (row != held) {
            a = f32_row(&c->in[2], row, C, 1, buffer);
            s = f32_row(&c->in[1], row, C, 0, buffer + C);
            held = row;
        }
        norm_sums sums;
        const norm_row r =
            norm_row_stats(kind, attr->eps, c->in[0].data, NULL, NULL, t * C, C, bf16, &sums);
        norm_row_apply(r, c->in[0].data, c->out[0].data, a, s, t * C, C, bf16, streams);
    }
    if (streams) vec_stream_end();
}

VEC_INLINE void modulate_any(const modulate_job *job, int64_t index, int lane,
                             reel_norm_kind kind) {
    const bool x = job->c->in[0].dtype == REEL_BF16, y = job->c->out[0].dtype == REEL_BF16;
    if (x && y)
        modulate_tokens(job, index, lane, kind, (const bool[2]){true, true});
    else if (x)
        modulate_tokens(job, index, lane, kind, (const bool[2]){true, false});
    else if (y)
        modulate_tokens(job, index, lane, kind, (const bool[2]){false, true});
    else
        modulate_tokens(job, index, lane, kind, (const bool[2]){false, false});
}

static void modulate_task(void *context, int64_t index, int lane) {
    const modulate_job *job = context;
    const reel_modulate_attr *attr = job->c->attr;
    if (attr->kind == REEL_NORM_LAYER)
        modulate_any(job, index, lane, REEL_NORM_LAYER);
    else
        modulate_any(job, index, lane, REEL_NORM_RMS);
}

static void modulate_run(const reel_call *c) {
    modulate_job job = {.c = c, .lanes = c->scratch};
    job.n = modulation_of(&c->in[0], &c->in[2], &c->in[3], c->present[3], 1);
    reel_parallel_for(c->threads, norm_blocks_count(job.n.blocks), modulate_task, &job);
}

static int64_t modulate_scratch(const reel_call *c, int n_lanes) {
    return n_lanes * LANE_ROWS * reel_shape_last(&c->in[0].shape) * (int64_t)sizeof(float);
}

/* ---- tokens sorted by row ---- */

/* start [R + 1] and order [T]: the tokens of row r are order[start[r] .. start[r + 1]), rising. */
static void sort_tokens(const modulation *n, int32_t *start, int32_t *order) {
    memset(start, 0, (size_t)(n->R + 1) * sizeof *start);
    for (int64_t t = 0; t < n->T; t++)
        if (n->map[t] >= 0 && n->map[t] < n->R) start[n->map[t] + 1]++;
    for (int64_t r = 0; r < n->R; r++)
        start[r + 1] += start[r];
    for (int64_t t = 0; t < n->T; t++)
        if (n->map[t] >= 0 && n->map[t] < n->R) order[start[n->map[t]]++] = (int32_t)t;
    for (int64_t r = n->R; r > 0; r--) /* every start has moved to the next one's place */
        start[r] = start[r - 1];
    start[0] = 0;
}

static int64_t sort_bytes(const modulation *n) {
    return (n->R + 1 + n->T) * (int64_t)sizeof(int32_t);
}

/* Row and columns of a gathering task. */
typedef struct gather {
    const reel_call *c;
    modulation n;
    const int32_t *start, *order;
    const norm_row *rows;
} gather;

static int64_t gather_tasks(const modulation *n) {
    return n->R * ((n->C + GATHER_COLUMNS - 1) / GATHER_COLUMNS);
}

VEC_INLINE int64_t gather_range(const modulation *n, int64_t index, int64_t *from, int64_t *width) {
    const int64_t chunks = (n->C + GATHER_COLUMNS - 1) / GATHER_COLUMNS;
    *from = index % chunks * GATHER_COLUMNS;
    *width = n->C - *from < GATHER_COLUMNS ? n->C - *from : GATHER_COLUMNS;
    return index / chunks;
}

/* ---- gradient of norm_modulate ---- */

VEC_INLINE void backward_tokens(const modulate_job *job, int64_t index, int lane,
                                reel_norm_kind kind, const bool bf16[3]) {
    const reel_call *c = job->c;
    const reel_modulate_attr *attr = c->attr;
    const int64_t C = job->n.C;
    float *buffer = job->lanes + lane * LANE_ROWS * C;
    const float *a = NULL;
    const bool streams = norm_streams(&c->out[0], C);
    int64_t from, to, held = -2;
    const int64_t group = norm_blocks_range(job->n.blocks, index, &from, &to);
    float *dshift = c->out[1].data, *dscale = c->out[2].data;
    norm_block block = {dscale ? dscale + group * C : buffer + C,
                        dshift ? dshift + group * C : buffer + 2 * C, true};
    if (job->partial) {
        block.sum_a = job->partial + index * 2 * C;
        block.sum_s = block.sum_a + C;
    }
    for (int64_t t = from; t < to; t++) {
        const int64_t row = reel_modulate_row(job->n.map, t, job->n.tokens_a_row, job->n.R);
        if (row != held) a = f32_row(&c->in[2], row, C, 1, buffer);
        held = row;
        norm_sums sums;
        const norm_row r =
            norm_row_stats(kind, attr->eps, c->in[1].data, c->in[0].data, a, t * C, C, bf16, &sums);
        if (job->rows) job->rows[t] = r;
        if (job->sums && !job->rows)
            norm_row_backward(r, sums, c->in[1].data, c->in[0].data, c->out[0].data, a, t * C, C,
                              bf16, streams, &block);
        else if (c->out[0].data)
            norm_row_backward(r, sums, c->in[1].data, c->in[0].data, c->out[0].data, a, t * C, C,
                              bf16, streams, NULL);
        block.first = false;
    }
    if (streams) vec_stream_end();
}

/* The types of a DiT get loops of their own; others share one with branches. */
VEC_INLINE void backward_any(const modulate_job *job, int64_t index, int lane,
                             reel_norm_kind kind) {
    const reel_call *c = job->c;
    const bool bf16[3] = {c->in[1].dtype == REEL_BF16, c->in[0].dtype == REEL_BF16,
                          c->out[0].dtype == REEL_BF16};
    if (!bf16[0] && bf16[1] && !bf16[2])
        backward_tokens(job, index, lane, kind, (const bool[3]){false, true, false});
    else if (!bf16[0] && !bf16[1] && !bf16[2])
        backward_tokens(job, index, lane, kind, (const bool[3]){false, false, false});
    else
        backward_tokens(job, index, lane, kind, bf16);
}

static void backward_task(void *context, int64_t index, int lane) {
    const modulate_job *job = context;
    const reel_modulate_attr *attr = job->c->attr;
    if (attr->kind == REEL_NORM_LAYER)
        backward_any(job, index, lane, REEL_NORM_LAYER);
    else
        backward_any(job, index, lane, REEL_NORM_RMS);
}

/* Columns of one row of dshift and dscale, from that row's tokens in rising order. */
static void backward_gather_task(void *context, int64_t index, int lane) {
    const gather *g = context;
    const reel_call *c = g->c;
    (void)lane;
    int64_t from, width;
    const int64_t row = gather_range(&g->n, index, &from, &width);
    const bool x_bf16 = c->in[1].dtype == REEL_BF16, dy_bf16 = c->in[0].dtype == REEL_BF16;
    float shift[GATHER_COLUMNS] = {0}, scale[GATHER_COLUMNS] = {0};
    for (int64_t k = g->start[row]; k < g->start[row + 1]; k++) {
        const norm_row r = g->rows[g->order[k]];
        const int64_t at = g->order[k] * g->n.C + from;
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        const vf dy_ = norm_load(c->in[0].data, at + (i), dy_bf16, n);                             \
        const vf xhat_ =                                                                           \
            (norm_load(c->in[1].data, at + (i), x_bf16, n) - r.origin) * r.r + r.offset;           \
        vf_store(shift + (i), vf_load(shift + (i)) + dy_);                                         \
        vf_store(scale + (i), vf_load(scale + (i)) + dy_ * xhat_);                                 \
    } while (0)
        NORM_FOR_VECTORS(width, STEP);
#undef STEP
    }
    const size_t bytes = (size_t)width * sizeof(float);
    if (c->out[1].data) memcpy((float *)c->out[1].data + row * g->n.C + from, shift, bytes);
    if (c->out[2].data) memcpy((float *)c->out[2].data + row * g->n.C + from, scale, bytes);
}

static modulation backward_modulation(const reel_call *c) {
    return modulation_of(&c->in[1], &c->in[2], &c->in[3], c->present[3], LEAST_TOKENS);
}

static void modulate_backward_run(const reel_call *c) {
    const modulation n = backward_modulation(c);
    modulate_job job = {.c = c, .n = n, .lanes = c->scratch};
    job.sums = c->out[1].data || c->out[2].data;
    const int64_t n_lanes = c->threads ? reel_threads_count(c->threads) : 1;
    float *after = job.lanes + n_lanes * LANE_ROWS * n.C;
    if (c->present[3])
        job.rows = (norm_row *)(void *)after;
    else if (job.sums && n.blocks.blocks_a_group != 1)
        job.partial = after;
    reel_parallel_for(c->threads, norm_blocks_count(n.blocks), backward_task, &job);
    if (job.sums && c->present[3]) {
        int32_t *start = (int32_t *)(void *)(job.rows + n.T);
        gather g = {c, n, start, start + n.R + 1, job.rows};
        sort_tokens(&n, start, start + n.R + 1);
        reel_parallel_for(c->threads, gather_tasks(&n), backward_gather_task, &g);
    }
    for (int i = 1; job.partial && i < 3; i++) {
        if (!c->out[i].data) continue;
        norm_totals t = {job.partial, c->out[i].data, 2 * n.C, (2 - i) * n.C, n.C, n.blocks};
        reel_parallel_for(c->threads, norm_totals_tasks(&t), norm_totals_task, &t);
    }
}

static int64_t modulate_backward_scratch(const reel_call *c, int n_lanes) {
    const modulation n = backward_modulation(c);
    int64_t bytes = n_lanes * LANE_ROWS * n.C * (int64_t)sizeof(float);
    if (c->present[3])
        bytes += n.T * (int64_t)sizeof(norm_row) + sort_bytes(&n);
    else if (n.blocks.blocks_a_group != 1)
        bytes += norm_blocks_count(n.blocks) * 2 * n.C * (int64_t)sizeof(float);
    return bytes;
}

/* ---- gate: y = x + g b ---- */

VEC_INLINE void gate_tokens(const modulate_job *job, int64_t index, int lane, const bool bf16[2]) {
    const reel_call *c = job->c;
    const int64_t C = job->n.C;
    const float *g = NULL;
    const bool streams = norm_streams(&c->out[0], C);
    int64_t from, to, held = -2;
    norm_blocks_range(job->n.blocks, index, &from, &to);
    for (int64_t t = from; t < to; t++) {
        const int64_t row = reel_modulate_row(job->n.map, t, job->n.tokens_a_row, job->n.R);
        if (row != held) g = f32_row(&c->in[2], row, C, 0, job->lanes + lane * LANE_ROWS * C);
        held = row;
        const int64_t at = t * C;
#define STEP(i, n)                                                                                 \
    norm_put(c->out[0].data, at + (i), false, streams,                                             \
             norm_load(c->in[0].data, at + (i), bf16[0], n) +                                      \
                 norm_load(g, i, false, n) * norm_load(c->in[1].data, at + (i), bf16[1], n),       \
             n)
        NORM_FOR_VECTORS(C, STEP);
#undef STEP
    }
    if (streams) vec_stream_end();
}

static void gate_task(void *context, int64_t index, int lane) {
    const modulate_job *job = context;
    const bool x = job->c->in[0].dtype == REEL_BF16, b = job->c->in[1].dtype == REEL_BF16;
    if (!x && b)
        gate_tokens(job, index, lane, (const bool[2]){false, true});
    else if (!x && !b)
        gate_tokens(job, index, lane, (const bool[2]){false, false});
    else
        gate_tokens(job, index, lane, (const bool[2]){x, b});
}

static void gate_run(const reel_call *c) {
    modulate_job job = {.c = c, .lanes = c->scratch};
    job.n = modulation_of(&c->in[0], &c->in[2], &c->in[3], c->present[3], 1);
    reel_parallel_for(c->threads, norm_blocks_count(job.n.blocks), gate_task, &job);
}

/* ---- its gradient: db = g dy, dg = sum of dy b ---- */

VEC_INLINE void gate_backward_tokens(const modulate_job *job, int64_t index, int lane,
                                     const bool bf16[3], bool sums) {
    const reel_call *c = job->c;
    const int64_t C = job->n.C;
    const float *g = NULL;
    const bool streams = norm_streams(&c->out[0], C);
    void *db = c->out[0].data;
    int64_t from, to, held = -2;
    const int64_t group = norm_blocks_range(job->n.blocks, index, &from, &to);
    float *sum = NULL;
    if (sums) sum = job->partial ? job->partial + index * C : (float *)c->out[1].data + group * C;
    for (int64_t t = from; t < to; t++) {
        const int64_t row = reel_modulate_row(job->n.map, t, job->n.tokens_a_row, job->n.R);
        if (row != held) g = f32_row(&c->in[2], row, C, 0, job->lanes + lane * LANE_ROWS * C);
        held = row;
        const int64_t at = t * C;
        const bool first = t == from;
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        const vf dy_ = norm_load(c->in[0].data, at + (i), bf16[0], n);                             \
        if (sums) {                                                                                \
            vf s_ = dy_ * norm_load(c->in[1].data, at + (i), bf16[1], n);                          \
            if (!first) s_ += norm_load(sum, i, false, n);                                         \
            norm_store(sum, i, false, s_, n);                                                      \
        }                                                                                          \
        if (db) norm_put(db, at + (i), bf16[2], streams, dy_ * norm_load(g, i, false, n), n);      \
    } while (0)
        NORM_FOR_VECTORS(C, STEP);
#undef STEP
    }
    if (streams) vec_stream_end();
}

static void gate_backward_task(void *context, int64_t index, int lane) {
    const modulate_job *job = context;
    const reel_call *c = job->c;
    const bool bf16[3] = {c->in[0].dtype == REEL_BF16, c->in[1].dtype == REEL_BF16,
                          c->out[0].dtype == REEL_BF16};
    if (!bf16[0] && bf16[1] && bf16[2] && job->sums)
        gate_backward_tokens(job, index, lane, (const bool[3]){false, true, true}, true);
    else if (!bf16[0] && !bf16[1] && !bf16[2] && job->sums)
        gate_backward_tokens(job, index, lane, (const bool[3]){false, false, false}, true);
    else
        gate_backward_tokens(job, index, lane, bf16, job->sums);
}

static void gate_gather_task(void *context, int64_t index, int lane) {
    const gather *g = context;
    const reel_call *c = g->c;
    (void)lane;
    int64_t from, width;
    const int64_t row = gather_range(&g->n, index, &from, &width);
    const bool dy_bf16 = c->in[0].dtype == REEL_BF16, b_bf16 = c->in[1].dtype == REEL_BF16;
    float sum[GATHER_COLUMNS] = {0};
    for (int64_t k = g->start[row]; k < g->start[row + 1]; k++) {
        const int64_t at = g->order[k] * g->n.C + from;
#define STEP(i, n)                                                                                 \
    vf_store(sum + (i), vf_load(sum + (i)) + norm_load(c->in[0].data, at + (i), dy_bf16, n) *      \
                                                 norm_load(c->in[1].data, at + (i), b_bf16, n))
        NORM_FOR_VECTORS(width, STEP);
#undef STEP
    }
    memcpy((float *)c->out[1].data + row * g->n.C + from, sum, (size_t)width * sizeof(float));
}

static void gate_backward_run(const reel_call *c) {
    const modulation n = backward_modulation(c);
    modulate_job job = {.c = c, .n = n, .lanes = c->scratch};
    job.sums = c->out[1].data && !c->present[3];
    const int64_t n_lanes = c->threads ? reel_threads_count(c->threads) : 1;
    float *after = job.lanes + n_lanes * LANE_ROWS * n.C;
    if (c->out[1].data && c->present[3]) { /* first, since db may take the place of dy or b */
        int32_t *start = (int32_t *)(void *)after;
        gather g = {c, n, start, start + n.R + 1, NULL};
        sort_tokens(&n, start, start + n.R + 1);
        reel_parallel_for(c->threads, gather_tasks(&n), gate_gather_task, &g);
    }
    if (job.sums && n.blocks.blocks_a_group != 1) job.partial = after;
    if (c->out[0].data || job.sums)
        reel_parallel_for(c->threads, norm_blocks_count(n.blocks), gate_backward_task, &job);
    if (!job.partial) return;
    norm_totals t = {job.partial, c->out[1].data, n.C, 0, n.C, n.blocks};
    reel_parallel_for(c->threads, norm_totals_tasks(&t), norm_totals_task, &t);
}

static int64_t gate_backward_scratch(const reel_call *c, int n_lanes) {
    const modulation n = backward_modulation(c);
    int64_t bytes = n_lanes * LANE_ROWS * n.C * (int64_t)sizeof(float);
    if (c->present[3])
        bytes += sort_bytes(&n);
    else if (n.blocks.blocks_a_group != 1)
        bytes += norm_blocks_count(n.blocks) * n.C * (int64_t)sizeof(float);
    return bytes;
}

/* ---- registration ---- */

static const char *refuse(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && c->in[i].dtype == REEL_F16) return "an operand is f16";
    if (c->present[3] && reel_tensor_count(&c->in[3]) > INT32_MAX) return "the map is too long";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_modulate)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_modulate)(reel_kernel_table *table) {
    static const reel_kernel kernel[4] = {{.name = "norm_modulate." REEL_ISA_TEXT,
                                           .refuse = refuse,
                                           .scratch = modulate_scratch,
                                           .run = modulate_run},
                                          {.name = "norm_modulate_backward." REEL_ISA_TEXT,
                                           .refuse = refuse,
                                           .scratch = modulate_backward_scratch,
                                           .run = modulate_backward_run},
                                          {.name = "gate." REEL_ISA_TEXT,
                                           .refuse = refuse,
                                           .scratch = modulate_scratch,
                                           .run = gate_run},
                                          {.name = "gate_backward." REEL_ISA_TEXT,
                                           .refuse = refuse,
                                           .scratch = gate_backward_scratch,
                                           .run = gate_backward_run}};
    reel_kernel_table_add(table, &reel_op_norm_modulate, &kernel[0]);
    reel_kernel_table_add(table, &reel_op_norm_modulate_backward, &kernel[1]);
    reel_kernel_table_add(table, &reel_op_gate, &kernel[2]);
    reel_kernel_table_add(table, &reel_op_gate_backward, &kernel[3]);
}
