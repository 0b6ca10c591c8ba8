/* conv3d forward, and its gradient by x: gather a slab, multiply, store; see conv.h. */
#include "cpu/simd/conv.h"

#include "ops/ops.h"

enum {
    SLAB_BYTES = 8 << 20,   /* fits a shared cache; smaller inputs are one slab */
    PIECE_PIXELS = 512,     /* of a piece of the product: long enough to pay for its weights */
    PIECES = 16,            /* blocks are dealt out, too, until there are so many */
    NEAR_BYTES = 160 << 10, /* of weights that stay in the L2 beside pixels and sums */
    FAN_OUTPUTS = 4,        /* as few outputs as this fill too little of a vector by themselves */
    PAIRS = CONV_RUNS,      /* most (frame, kernel frame) pairs an output frame sums over */
    ALIGN = 64,
    REST_BYTES = 2 * CONV_TILE * CONV_DEPTH * 2,
};

/* ---- which frames meet ---- */

/* A source frame, counted through both grids, and the kernel frame it is multiplied with. */
typedef struct frame_pair {
    int64_t frame, kt;
} frame_pair;

static int pairs_forward(const conv_job *j, int64_t frame, frame_pair *pair) {
    int n = 0;
    for (int64_t kt = 0; kt < j->kernel[0]; kt++) {
        bool cached;
        int64_t from;
        if (!reel_conv3d_frame(j->attr, &j->n, frame * j->attr->stride[0] + kt, &cached, &from))
            continue;
        pair[n++] = (frame_pair){cached ? from : j->n_source[0] + from, kt};
    }
    return n;
}

/* Frames of dy that position q of the stream was read for. */
static int pairs_of_position(const conv_job *j, int64_t q, frame_pair *pair, int n) {
    for (int64_t kt = 0; kt < j->kernel[0]; kt++) {
        const int64_t lead = q - kt, stride = j->attr->stride[0];
        if (lead >= 0 && lead % stride == 0 && lead / stride < j->n.out[0])
            pair[n++] = (frame_pair){lead / stride, kt};
    }
    return n;
}

static int pairs_backward(const conv_job *j, int64_t frame, frame_pair *pair) {
    if (j->n.n_cache >= 0) return pairs_of_position(j, frame, pair, 0);
    int n = pairs_of_position(j, j->n.n_front + frame, pair, 0);
    if (frame == 0 && j->attr->front == REEL_FRONT_REPLICATE)
        for (int64_t q = 0; q < j->n.n_front; q++)
            n = pairs_of_position(j, q, pair, n);
    return n;
}

static int pairs_of(const conv_job *j, int64_t frame, frame_pair *pair) {
    return j->gradient ? pairs_backward(j, frame, pair) : pairs_forward(j, frame, pair);
}

/* Source frames [*first, *last) that output frames [from, to) read. */
static void frames_read(const conv_job *j, int64_t from, int64_t to, int64_t *first,
                        int64_t *last) {
    *first = INT64_MAX;
    *last = 0;
    for (int64_t f = from; f < to; f++) {
        frame_pair pair[PAIRS];
        const int n = pairs_of(j, f, pair);
        for (int i = 0; i < n; i++) {
            if (pair[i].frame < *first) *first = pair[i].frame;
            if (pair[i].frame >= *last) *last = pair[i].frame + 1;
        }
    }
    if (*first > *last) *first = *last;
}

/* ---- the job ---- */

static int64_t made_frames(const conv_job *j) {
    return j->n_dest[0] + j->n_dest[1];
}

static void describe_forward(conv_job *j) {
    const reel_call *c = j->call;
    const reel_conv3d_size *n = &j->n;
    const int64_t cache[3] = {n->n_cache, n->in[1], n->in[2]};
    j->C = n->C;
    j->O = n->O;
    if (n->n_cache > 0) j->source[0] = conv_grid_of(&c->in[3], j->attr->layout, n->C, cache);
    j->n_source[0] = n->n_cache > 0 ? n->n_cache : 0;
    j->source[1] = conv_grid_of(&c->in[0], j->attr->layout, n->C, n->in);
    j->n_source[1] = n->in[0];
    j->dest[1] = conv_grid_of(&c->out[0], j->attr->layout, n->O, n->out);
    j->n_dest[1] = n->out[0];
    for (int i = 0; i < 2; i++) {
        j->in[i] = n->in[i + 1];
        j->out[i] = n->out[i + 1];
        j->pad[i] = j->attr->pad_lo[i + 1];
        j->step[i] = j->attr->stride[i + 1];
        j->dilate[i] = 1;
    }
}

static void describe_backward(conv_job *j) {
    const reel_call *c = j->call;
    const reel_conv3d_size *n = &j->n;
    const int64_t cache[3] = {n->n_cache, n->in[1], n->in[2]};
    j->gradient = true;
    j->C = n->O;
    j->O = n->C;
    j->source[1] = conv_grid_of(&c->in[0], j->attr->layout, n->O, n->out);
    j->n_source[1] = n->out[0];
    if (n->n_cache > 0) j->dest[0] = conv_grid_of(&c->out[1], j->attr->layout, n->C, cache);
    j->n_dest[0] = n->n_cache > 0 ? n->n_cache : 0;
    j->dest[1] = conv_grid_of(&c->out[0], j->attr->layout, n->C, n->in);
    j->n_dest[1] = n->in[0];
    for (int i = 0; i < 2; i++) {
        j->in[i] = n->out[i + 1];
        j->out[i] = n->in[i + 1];
        j->pad[i] = n->kernel[i + 1] - 1 - j->attr->pad_lo[i + 1];
        j->step[i] = 1;
        j->dilate[i] = j->attr->stride[i + 1];
    }
}

static conv_kind kind_of(const reel_call *c) {
    const bool bf16 = c->in[0].dtype == REEL_BF16 && c->in[1].dtype == REEL_BF16;
    if (!bf16 || REEL_ISA_LEVEL < 3) return CONV_F32;
    return REEL_ISA_LEVEL >= 4 ? CONV_TILES : CONV_BF16;
}

/* The most source frames a slab for this many output frames holds. */
static int64_t frames_needed(const conv_job *j, int64_t frames) {
    int64_t most = 1;
    for (int64_t f = 0; f < made_frames(j); f += frames) {
        int64_t first, last;
        frames_read(j, f, conv_least(f + frames, made_frames(j)), &first, &last);
        if (last - first > most) most = last - first;
    }
    return most;
}

/* How many output frames and rows one slab serves, and one piece of the product. */
static void size_slab(conv_job *j) {
    const int64_t row_bytes = j->pitch * conv_element_bytes(j->kind);
    const int64_t all = (j->out[0] - 1) * j->step[0] + j->kernel[1];
    const int64_t n_frames = made_frames(j);
    j->frames = n_frames > 0 ? n_frames : 1;
    while (j->frames > 4 && frames_needed(j, j->frames) * all * row_bytes > SLAB_BYTES)
        j->frames = (j->frames + 1) / 2;
    j->slab_frames = frames_needed(j, j->frames);
    const int64_t fit = SLAB_BYTES / (j->slab_frames * row_bytes + 1);
    const int64_t rows = fit <= j->kernel[1] ? 1 : (fit - j->kernel[1]) / j->step[0] + 1;
    j->rows = conv_least(rows, j->out[0]);
    j->slab_rows = (j->rows - 1) * j->step[0] + j->kernel[1];
    const int64_t piece = conv_round_up(PIECE_PIXELS / j->out[1] + 1, 2);
    j->piece_rows = conv_least(piece, j->rows);
    const int64_t n_pieces = j->frames * ((j->rows + j->piece_rows - 1) / j->piece_rows);
    const int64_t n_groups = conv_least((PIECES + n_pieces - 1) / n_pieces, j->n_blocks);
    j->group_blocks = j->fan ? j->n_blocks : (j->n_blocks + n_groups - 1) / n_groups;
}

static void describe(conv_job *j, const reel_call *c) {
    *j = (conv_job){.call = c, .n = reel_conv3d_size_of(c), .kind = kind_of(c)};
    const bool forward = c->op == &reel_op_conv3d;
    j->attr = forward ? c->attr : &((const reel_conv3d_grad_attr *)c->attr)->conv;
    j->B = j->n.B;
    for (int i = 0; i < 3; i++)
        j->kernel[i] = j->n.kernel[i];
    (forward ? describe_forward : describe_backward)(j);
    const bool fan = j->O <= FAN_OUTPUTS && j->step[0] == 1 && j->step[1] == 1 &&
                     j->kernel[1] * j->kernel[2] > 1;
    j->fan = fan ? j->O * j->kernel[1] * j->kernel[2] : 0;
    j->Cp = j->kind == CONV_F32 ? j->C : conv_round_up(j->C, 2);
    j->width = (j->out[1] - 1) * j->step[1] + j->kernel[2];
    j->pitch = j->width * j->Cp;
    j->run = (j->fan ? 1 : j->kernel[2]) * j->Cp;
    j->run_padded = j->kind == CONV_TILES ? conv_round_up(j->run, CONV_DEPTH) : j->run;
    j->n_blocks = ((j->fan ? j->fan : j->O) + CONV_N - 1) / CONV_N;
    size_slab(j);
}

/* The parts of the scratch, one behind the other. */
static int64_t lay_out(conv_job *j, int n_lanes) {
    const int64_t bytes = conv_element_bytes(j->kind);
    const int64_t taps = j->kernel[0] * (j->fan ? 1 : j->kernel[1]);
    const int64_t row_bytes = conv_round_up(j->width, CONV_TILE) * CONV_N * 4;
    const int64_t packed = j->n_blocks * taps * j->run_padded * CONV_N * bytes;
    /* Tiles read up to 15 pixels behind a row's last: of the last row, behind the slab. */
    const int64_t behind = (CONV_TILE + 1) * j->step[1] * j->Cp + CONV_DEPTH;
    j->tail = j->slab_frames * j->slab_rows * j->pitch;
    j->tail_bytes = behind * bytes;
    const int64_t slab = (j->tail + behind) * bytes;
    const int64_t fanned = (j->piece_rows + j->kernel[1] - 1) * j->n_blocks * row_bytes;
    const int64_t sums = j->fan ? fanned : (j->piece_rows > 2 ? j->piece_rows : 2) * row_bytes;
    j->lane_bytes = conv_round_up(REST_BYTES + row_bytes + sums, ALIGN);
    j->packed = j->call->scratch;
    const int64_t bias_at = conv_round_up(packed, ALIGN);
    const int64_t slab_at = bias_at + conv_round_up(conv_round_up(j->O, CONV_N) * 4, ALIGN);
    const int64_t lane_at = slab_at + conv_round_up(slab, ALIGN);
    if (j->packed) {
        j->bias = (float *)(void *)(j->packed + bias_at);
        j->slab = j->packed + slab_at;
        j->lane = j->packed + lane_at;
    }
    return lane_at + n_lanes * j->lane_bytes;
}

/* ---- one slab ---- */

typedef struct slab_job {
    const conv_job *j;
    int64_t b, frame, row;      /* first output frame and row */
    int64_t frames, rows;       /* outputs of this slab */
    int64_t first;              /* source frame in slab frame 0 */
    int64_t row_pieces, groups; /* pieces of a frame: of rows, and of blocks */
} slab_job;

/* The row of the source in a row of the slab; -1: zeros, which stand above, below and, for the
 * gradient of a stride, between. */
static int64_t source_row(const slab_job *s, int64_t row) {
    const conv_job *j = s->j;
    const int64_t position = s->row * j->step[0] + row - j->pad[0];
    const bool there =
        position >= 0 && position % j->dilate[0] == 0 && position / j->dilate[0] < j->in[0];
    return there ? position / j->dilate[0] : -1;
}

static void gather_task(void *context, int64_t index, int lane) {
    (void)lane;
    const slab_job *s = context;
    const conv_job *j = s->j;
    const int64_t frame = s->first + index / j->slab_rows, row = index % j->slab_rows;
    const int from = frame >= j->n_source[0];
    conv_gather_row(j, &j->source[from], s->b, frame - (from ? j->n_source[0] : 0),
                    source_row(s, row), j->slab + index * j->pitch * conv_element_bytes(j->kind));
}

/* The runs of output frame `frame`. */
static void walk_of(const slab_job *s, int64_t frame, conv_walk *walk) {
    const conv_job *j = s->j;
    frame_pair pair[PAIRS];
    const int n = pairs_of(j, frame, pair);
    const int64_t taps = j->fan ? 1 : j->kernel[1];
    walk->first = walk->n = 0;
    for (int i = 0; i < n; i++)
        for (int64_t kh = 0; kh < taps; kh++) {
            walk->a[walk->n] = ((pair[i].frame - s->first) * j->slab_rows + kh) * j->pitch;
            walk->b[walk->n++] = (pair[i].kt * taps + kh) * j->run_padded * CONV_N;
        }
}

/* n_pixels pixels of a slab row, from `a` on, times a block: c [n_pixels][CONV_N]. */
static void multiply_row(const conv_job *j, const conv_walk *walk, const char *a, const char *b,
                         int64_t n_pixels, int vectors, float *c) {
    const int64_t n_blocks = (n_pixels + CONV_ROWS - 1) / CONV_ROWS;
    const int64_t bytes = j->step[1] * j->Cp * conv_element_bytes(j->kind);
    int64_t at = 0;
    for (int64_t i = 0; i < n_blocks; i++) {
        const int64_t rows = (n_pixels - at) / (n_blocks - i);
        conv_block(j, walk, a + at * bytes, b, (int)rows, vectors, c + at * CONV_N);
        at += rows;
    }
}

/* Two rows on tiles: sixteen pixels at a time, in twos. */
static void multiply_tiles(const conv_job *j, const conv_walk *walk, const char *const a[2],
                           const char *b, int64_t n_pixels, float *const c[2], char *rest) {
    const int64_t bytes = CONV_TILE * j->step[1] * j->Cp * 2;
    const int64_t n = (n_pixels + CONV_TILE - 1) / CONV_TILE, all = n * (a[1] ? 2 : 1);
    for (int64_t i = 0; i < all; i += 2) {
        const int64_t k = i + 1 < all ? i + 1 : i;
        const char *const from[2] = {a[i / n] + i % n * bytes, a[k / n] + k % n * bytes};
        float *const to[2] = {c[i / n] + i % n * CONV_TILE * CONV_N,
                              c[k / n] + k % n * CONV_TILE * CONV_N};
        conv_tiles(j, walk, from, b, to, rest);
    }
}

/* A piece: rows [row, row + rows) of an output frame by some blocks. */
typedef struct conv_piece {
    const slab_job *s;
    conv_walk walk;
    const conv_grid *grid;
    int64_t frame, row, rows; /* of the grid; row counts from the slab's first */
    char *rest;
    float *row_sums, *sums;
} conv_piece;

static const char *block_weights(const conv_job *j, int64_t block) {
    const int64_t taps = j->kernel[0] * (j->fan ? 1 : j->kernel[1]);
    return j->packed + block * taps * j->run_padded * CONV_N * conv_element_bytes(j->kind);
}

static void store_row(const conv_piece *p, int64_t block, int64_t r, const float *c) {
    conv_store_row(p->s->j, p->grid, (const int64_t[]){p->s->b, p->frame, p->s->row + r},
                   block * CONV_N, c);
}

static void run_block_on_tiles(const conv_piece *p, int64_t block) {
    const conv_job *j = p->s->j;
    const int64_t row_bytes = j->pitch * j->step[0] * conv_element_bytes(j->kind);
    float *const c[2] = {p->row_sums, p->sums};
    for (int64_t r = p->row; r < p->row + p->rows; r += 2) {
        const bool two = r + 1 < p->row + p->rows;
        const char *const a[2] = {j->slab + r * row_bytes,
                                  two ? j->slab + (r + 1) * row_bytes : NULL};
        multiply_tiles(j, &p->walk, a, block_weights(j, block), j->out[1], c, p->rest);
        for (int i = 0; i < 1 + two; i++)
            store_row(p, block, r + i, c[i]);
    }
}

/* Runs [part->first, part->n) of row r without those of zeros, which at 16 rows are one in 24. */
static conv_walk without_zeros(const slab_job *s, int64_t r, const conv_walk *part) {
    conv_walk walk = {.first = part->first > 0};
    walk.n = walk.first;
    for (int i = part->first; i < part->n; i++) {
        const int64_t kh = part->a[i] / s->j->pitch % s->j->slab_rows;
        if (source_row(s, r * s->j->step[0] + kh) < 0) continue;
        walk.a[walk.n] = part->a[i];
        walk.b[walk.n++] = part->b[i];
    }
    return walk;
}

/* Where a block's weights are more than stay near, all rows of the piece take a part of the runs
 * before the next: each row alone would fetch all of them from afar. */
static void run_block(const conv_piece *p, int64_t block) {
    const conv_job *j = p->s->j;
    const int64_t bytes = conv_element_bytes(j->kind), row_bytes = j->pitch * j->step[0] * bytes;
    const int64_t run_bytes = j->run_padded * CONV_N * bytes, near = NEAR_BYTES / run_bytes;
    const bool far = p->walk.n * run_bytes > 2 * NEAR_BYTES;
    const int n_runs = !far ? CONV_RUNS : near > 1 ? (int)near : 1;
    const int vectors = j->O - block * CONV_N > VF_N ? 2 : 1;
    const int64_t at_once = far ? p->rows : 1, end = p->row + p->rows;
    conv_walk walk = p->walk;
    for (int64_t first = p->row; first < end; first += at_once) {
        for (walk.first = 0; walk.first == 0 || walk.first < p->walk.n; walk.first += n_runs) {
            walk.n = (int)conv_least(walk.first + n_runs, p->walk.n);
            for (int64_t r = first; r < first + at_once; r++) {
                const conv_walk runs = without_zeros(p->s, r, &walk);
                multiply_row(j, &runs, j->slab + r * row_bytes, block_weights(j, block), j->out[1],
                             vectors, p->sums + (r - first) * j->out[1] * CONV_N);
            }
        }
        for (int64_t r = first; r < first + at_once; r++)
            store_row(p, block, r, p->sums + (r - first) * j->out[1] * CONV_N);
    }
}

/* Sums what every kernel position made of its input: c [W][CONV_N], outputs 0.. of row r. */
static void sum_fan(const conv_piece *p, int64_t r, int64_t sums_row, float *c) {
    const conv_job *j = p->s->j;
    const int64_t n_rows = p->rows + j->kernel[1] - 1;
    const int O = (int)j->O; /* at most FAN_OUTPUTS, which a vector holds */
    for (int64_t w = 0; w < j->out[1]; w++) {
        vf sum = {0};
        int64_t n = 0;
        for (int64_t kh = 0; kh < j->kernel[1]; kh++)
            for (int64_t kw = 0; kw < j->kernel[2]; kw++, n += O) {
                const float *at = p->sums +
                                  ((n / CONV_N * n_rows + r + kh) * sums_row + w + kw) * CONV_N +
                                  n % CONV_N;
                if (n % CONV_N + O <= CONV_N) {
                    sum += vf_load_part(at, O);
                    continue;
                }
                const int here = CONV_N - (int)(n % CONV_N);
                float lane[FAN_OUTPUTS] = {0};
                for (int o = 0; o < O; o++)
                    lane[o] = o < here ? at[o] : at[(n_rows * sums_row - 1) * CONV_N + o];
                sum += vf_load_part(lane, O);
            }
        vf_store_part(c + w * CONV_N, sum, O);
    }
}

static void run_fan(const conv_piece *p) {
    const conv_job *j = p->s->j;
    const int64_t row_bytes = j->pitch * conv_element_bytes(j->kind);
    const int64_t sums_row = conv_round_up(j->width, CONV_TILE);
    const int64_t n_rows = p->rows + j->kernel[1] - 1;
    for (int64_t block = 0; block < j->n_blocks; block++) {
        const int vectors = j->fan - block * CONV_N > VF_N ? 2 : 1;
        const char *b = block_weights(j, block);
        for (int64_t r = 0; r < n_rows; r++) {
            float *const c[2] = {p->sums + (block * n_rows + r) * sums_row * CONV_N, NULL};
            const char *const a[2] = {j->slab + (p->row + r) * row_bytes, NULL};
            if (j->kind == CONV_TILES)
                multiply_tiles(j, &p->walk, a, b, j->width, c, p->rest);
            else
                multiply_row(j, &p->walk, a[0], b, j->width, vectors, c[0]);
        }
    }
    for (int64_t r = 0; r < p->rows; r++) {
        sum_fan(p, r, sums_row, p->row_sums);
        conv_store_row(j, p->grid, (const int64_t[]){p->s->b, p->frame, p->s->row + p->row + r}, 0,
                       p->row_sums);
    }
}

static void product_task(void *context, int64_t index, int lane) {
    const slab_job *s = context;
    const conv_job *j = s->j;
    const int64_t group = index % s->groups, rest = index / s->groups;
    const int64_t frame = s->frame + rest / s->row_pieces;
    const int to = frame >= j->n_dest[0];
    if (!j->dest[to].data) return;
    conv_piece p = {.s = s,
                    .grid = &j->dest[to],
                    .frame = frame - (to ? j->n_dest[0] : 0),
                    .row = rest % s->row_pieces * j->piece_rows};
    p.rows = conv_least(j->piece_rows, s->rows - p.row);
    p.rest = j->lane + lane * j->lane_bytes;
    p.row_sums = (float *)(void *)(p.rest + REST_BYTES);
    p.sums = p.row_sums + conv_round_up(j->width, CONV_TILE) * CONV_N;
    walk_of(s, frame, &p.walk);
    if (j->kind == CONV_TILES) conv_tiles_begin();
    if (j->fan)
        run_fan(&p);
    else
        for (int64_t i = group * j->group_blocks;
             i < conv_least((group + 1) * j->group_blocks, j->n_blocks); i++)
            (j->kind == CONV_TILES ? run_block_on_tiles : run_block)(&p, i);
    if (j->kind == CONV_TILES) conv_tiles_end();
}

static void run_slab(slab_job *s) {
    const conv_job *j = s->j;
    int64_t last;
    frames_read(j, s->frame, s->frame + s->frames, &s->first, &last);
    reel_parallel_for(j->call->threads, (last - s->first) * j->slab_rows, gather_task, s);
    s->row_pieces = (s->rows + j->piece_rows - 1) / j->piece_rows;
    s->groups = (j->n_blocks + j->group_blocks - 1) / j->group_blocks;
    reel_parallel_for(j->call->threads, s->frames * s->row_pieces * s->groups, product_task, s);
}

/* ---- the whole ---- */

static void pack_task(void *context, int64_t index, int lane) {
    (void)lane;
    const conv_job *j = context;
    conv_pack_weights(j, index / j->kernel[0], index % j->kernel[0]);
}

static void set_bias(const conv_job *j) {
    const reel_tensor *b = &j->call->in[2];
    memset(j->bias, 0, (size_t)(conv_round_up(j->O, CONV_N) * 4));
    if (j->gradient || !j->call->present[2]) return;
    for (int64_t o = 0; o < j->O; o++)
        j->bias[o] = reel_dtype_load(b->dtype, b->data, o);
}

static void run_job(conv_job *j) {
    lay_out(j, 0);
    set_bias(j);
    memset(j->slab + j->tail * conv_element_bytes(j->kind), 0, (size_t)j->tail_bytes);
    reel_parallel_for(j->call->threads, j->n_blocks * j->kernel[0], pack_task, j);
    for (int64_t b = 0; b < j->B; b++)
        for (int64_t f = 0; f < made_frames(j); f += j->frames)
            for (int64_t r = 0; r < j->out[0]; r += j->rows) {
                slab_job s = {.j = j,
                              .b = b,
                              .frame = f,
                              .row = r,
                              .frames = conv_least(j->frames, made_frames(j) - f),
                              .rows = conv_least(j->rows, j->out[0] - r)};
                run_slab(&s);
            }
}

static int64_t scratch(const reel_call *c, int n_lanes) {
    conv_job j;
    describe(&j, c);
    return lay_out(&j, n_lanes);
}

/* ---- caches ---- */

/* Row h of a frame: [b, from, to] of the source's and the destination's. It becomes what the
 * source has (zero without one), or is added to it. */
static void move_row(const conv_job *j, int64_t h, const conv_grid *source, const conv_grid *dest,
                     const int64_t b_from_to[3], bool add) {
    const bool last = dest->at.c == 1;
    const int64_t C = j->n.C, n = j->n.in[2] * (last ? C : 1);
    for (int64_t c = 0; c < (last ? 1 : C); c++) {
        const int64_t at =
            b_from_to[0] * dest->at.b + b_from_to[2] * dest->at.f + c * dest->at.c + h * dest->at.h;
        const int64_t from = source ? b_from_to[0] * source->at.b + b_from_to[1] * source->at.f +
                                          c * source->at.c + h * source->at.h
                                    : 0;
        for (int64_t i = 0; i < n; i += VF_N) {
            const int m = (int)conv_least(VF_N, n - i);
            vf x = {0};
            if (source) x = vec_load_part(source->data, from + i, source->bf16, m);
            if (add) x += vec_load_part(dest->data, at + i, dest->bf16, m);
            vec_store_part(dest->data, at + i, dest->bf16, x, m);
        }
    }
}

/* Output 1 of the forward pass: the frames the next piece starts with; a row of all of them. In
 * place of the cache, a frame goes where an earlier one was read. */
static void carry_task(void *context, int64_t index, int lane) {
    (void)lane;
    const conv_job *j = context;
    const int64_t kept[3] = {j->n.n_kept, j->n.in[1], j->n.in[2]};
    const conv_grid dest = conv_grid_of(&j->call->out[1], j->attr->layout, j->n.C, kept);
    const int64_t b = index / j->n.in[1], h = index % j->n.in[1];
    for (int64_t f = 0; f < j->n.n_kept; f++) {
        bool cached;
        int64_t from;
        const bool there =
            reel_conv3d_frame(j->attr, &j->n, j->n.out[0] * j->attr->stride[0] + f, &cached, &from);
        move_row(j, h, there ? &j->source[cached ? 0 : 1] : NULL, &dest,
                 (const int64_t[]){b, from, f}, false);
    }
}

/* The gradient of the carried cache belongs to the frames it was copied from. */
static void uncarry_task(void *context, int64_t index, int lane) {
    (void)lane;
    const conv_job *j = context;
    const int64_t kept[3] = {j->n.n_kept, j->n.in[1], j->n.in[2]};
    const conv_grid source = conv_grid_of(&j->call->in[2], j->attr->layout, j->n.C, kept);
    const int64_t b = index / j->n.in[1], h = index % j->n.in[1];
    for (int64_t f = 0; f < j->n.n_kept; f++) {
        bool cached;
        int64_t to;
        if (!reel_conv3d_frame(j->attr, &j->n, j->n.out[0] * j->attr->stride[0] + f, &cached, &to))
            continue;
        const conv_grid *dest = &j->dest[cached ? 0 : 1];
        if (dest->data) move_row(j, h, &source, dest, (const int64_t[]){b, f, to}, true);
    }
}

static void conv3d_run(const reel_call *c) {
    conv_job j;
    describe(&j, c);
    if (c->out[0].data && j.n.out[0] > 0) run_job(&j);
    if (c->n_out > 1 && c->out[1].data)
        reel_parallel_for(c->threads, j.B * j.n.in[1], carry_task, &j);
}

static void conv3d_dx_run(const reel_call *c) {
    conv_job j;
    describe(&j, c);
    run_job(&j);
    if (c->present[2]) reel_parallel_for(c->threads, j.B * j.n.in[1], uncarry_task, &j);
}

/* ---- kernels ---- */

static bool is_odd(const reel_tensor *t) {
    return t->dtype != REEL_F32 && t->dtype != REEL_BF16;
}

static const char *refuse(const reel_call *c) {
    const reel_conv3d_size n = reel_conv3d_size_of(c);
    if (n.kernel[0] * n.kernel[1] > CONV_RUNS) return "the kernel has too many rows";
    return is_odd(&c->out[0]) ? "y is neither f32 nor bf16" : NULL;
}

static const char *refuse_dx(const reel_call *c) {
    const reel_conv3d_grad_attr *a = c->attr;
    const reel_conv3d_size n = reel_conv3d_size_of(c);
    const bool replicate = a->conv.front == REEL_FRONT_REPLICATE;
    if (!c->present[0]) return "dy is absent";
    if (is_odd(&c->in[0]) || is_odd(&c->out[0]) || is_odd(&c->in[2]))
        return "an operand is neither f32 nor bf16";
    if (n.kernel[0] * n.kernel[1] * (replicate ? n.n_front + 1 : 1) > CONV_RUNS)
        return "the kernel has too many rows";
    for (int i = 1; i < 3; i++)
        if (a->conv.pad_lo[i] >= n.kernel[i]) return "the padding is wider than the kernel";
    return replicate && c->present[2] ? "the cache may repeat the first frame" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_conv)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_conv)(reel_kernel_table *table) {
    static const reel_kernel forward = {
        .name = "conv3d." REEL_ISA_TEXT, .refuse = refuse, .scratch = scratch, .run = conv3d_run};
    static const reel_kernel backward = {.name = "conv3d_dx." REEL_ISA_TEXT,
                                         .refuse = refuse_dx,
                                         .scratch = scratch,
                                         .run = conv3d_dx_run};
    reel_kernel_table_add(table, &reel_op_conv3d, &forward);
    reel_kernel_table_add(table, &reel_op_conv3d_dx, &backward);
}
