/* permute, concat, split, slice and pad: moving data, all through one box copier.
 *
 * A box is a set of elements with a step in memory along each axis, on either side. Every op here
 * is a few boxes; the copier drops and joins axes until the shortest description is left, and then
 * takes one of four ways: runs that are contiguous on both sides (memcpy), one element repeated
 * (fill), rows against columns (transposition in squares), and single elements.
 *
 * Nothing here depends on the instruction set: memcpy picks its own, and the blocks are of 16 bytes
 * a row, which every machine has. So the unit has one level, the lowest.
 */
#include "cpu/simd/vec.h"
#include "ops/concat.h"
#include "ops/permute.h"
#include "ops/slice.h"

void REEL_ISA_NAME(reel_cpu_register_layout)(reel_kernel_table *table);

#if REEL_ISA_LEVEL > 0
void REEL_ISA_NAME(reel_cpu_register_layout)(reel_kernel_table *table) {
    (void)table;
}
#else

enum {
    TASK_BYTES = 1 << 16, /* what a task moves: a fraction of L2 */
    TILE = 128,           /* elements on a side of what a transposition does at a time */
    LINE = 64,            /* bytes of a cache line */
};

typedef struct box {
    int rank;
    int64_t n[REEL_MAX_RANK];
    int64_t from[REEL_MAX_RANK]; /* bytes between neighbours in the source; 0: repeated */
    int64_t to[REEL_MAX_RANK];   /* and in the destination */
    int64_t item;                /* bytes of an element: 1, 2, 4 or 8 */
    const char *src;
    char *dst;
    int column; /* transposition: the axis along which the source is contiguous */
    /* how the box is cut into tasks; by shape alone */
    int64_t run, run_chunk;        /* elements of the last axis, and those one step takes */
    int64_t n_steps, steps_a_task; /* steps in all */
} box;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t pieces(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

/* Bytes between neighbours along each axis of a contiguous tensor. */
static void steps_of(const reel_tensor *t, int64_t *step) {
    int64_t bytes = reel_dtype_bytes(t->dtype);
    for (int k = t->shape.rank - 1; k >= 0; k--) {
        step[k] = bytes;
        bytes *= t->shape.dim[k];
    }
}

/* Drops axes of 1 and joins neighbours that are one axis on both sides. False: nothing to copy. */
static bool simplify(box *b) {
    int rank = 0;
    for (int k = 0; k < b->rank; k++) {
        if (b->n[k] == 0) return false;
        if (b->n[k] == 1) continue;
        const int last = rank - 1;
        if (rank > 0 && b->from[last] == b->n[k] * b->from[k] &&
            b->to[last] == b->n[k] * b->to[k]) {
            b->n[last] *= b->n[k];
            b->from[last] = b->from[k];
            b->to[last] = b->to[k];
            continue;
        }
        b->n[rank] = b->n[k];
        b->from[rank] = b->from[k];
        b->to[rank++] = b->to[k];
    }
    if (rank == 0) { /* a single element */
        b->n[0] = 1;
        b->from[0] = b->to[0] = b->item;
        rank = 1;
    }
    b->rank = rank;
    return true;
}

/* ---- runs along the last axis ---- */

VEC_INLINE void copy_strided(char *dst, int64_t to, const char *src, int64_t from, int64_t n,
                             size_t item) {
    for (int64_t i = 0; i < n; i++)
        memcpy(dst + i * to, src + i * from, item);
}

/* n elements; from and to are steps in bytes. */
static void copy_run(char *dst, int64_t to, const char *src, int64_t from, int64_t n,
                     int64_t item) {
    if (from == item && to == item) {
        memcpy(dst, src, (size_t)(n * item));
        return;
    }
    switch (item) {
    case 1:
        copy_strided(dst, to, src, from, n, 1);
        return;
    case 2:
        if (to == 2 && from == 0)
            copy_strided(dst, 2, src, 0, n, 2); /* constants: the compiler makes wide stores */
        else
            copy_strided(dst, to, src, from, n, 2);
        return;
    case 4:
        if (to == 4 && from == 0)
            copy_strided(dst, 4, src, 0, n, 4);
        else
            copy_strided(dst, to, src, from, n, 4);
        return;
    default:
        copy_strided(dst, to, src, from, n, 8);
    }
}

/* Steps [index * steps_a_task, ...): a step is one chunk of one run, the last axis innermost. */
static void runs_task(void *context, int64_t index, int lane) {
    (void)lane;
    const box *b = context;
    const int last = b->rank - 1;
    const int64_t chunks = pieces(b->run, b->run_chunk);
    const int64_t end = least((index + 1) * b->steps_a_task, b->n_steps);
    int64_t step = index * b->steps_a_task, at[REEL_MAX_RANK], chunk = step % chunks;
    int64_t src = 0, dst = 0, rest = step / chunks;
    for (int k = last - 1; k >= 0; k--) {
        at[k] = rest % b->n[k];
        rest /= b->n[k];
        src += at[k] * b->from[k];
        dst += at[k] * b->to[k];
    }
    for (; step < end; step++) {
        const int64_t first = chunk * b->run_chunk;
        copy_run(b->dst + dst + first * b->to[last], b->to[last],
                 b->src + src + first * b->from[last], b->from[last],
                 least(b->run_chunk, b->run - first), b->item);
        if (++chunk < chunks) continue;
        chunk = 0;
        for (int k = last - 1; k >= 0; k--) {
            src += b->from[k];
            dst += b->to[k];
            if (++at[k] < b->n[k]) break;
            src -= b->n[k] * b->from[k];
            dst -= b->n[k] * b->to[k];
            at[k] = 0;
        }
    }
}

static void copy_runs(reel_threads *threads, box *b) {
    const int last = b->rank - 1;
    b->run = b->n[last];
    b->run_chunk = least(b->run, TASK_BYTES / b->item);
    b->n_steps = pieces(b->run, b->run_chunk);
    for (int k = 0; k < last; k++)
        b->n_steps *= b->n[k];
    b->steps_a_task = most(1, TASK_BYTES / (b->run_chunk * b->item));
    reel_parallel_for(threads, pieces(b->n_steps, b->steps_a_task), runs_task, b);
}

/* ---- rows against columns ---- */

typedef uint16_t half8 __attribute__((vector_size(16)));
typedef uint32_t word4 __attribute__((vector_size(16)));

/* Transposition by perfect shuffles: interleaving row i with row i + n/2 log2(n) times. */
VEC_INLINE void transpose_8x8(const char *src, int64_t from, char *dst, int64_t to) {
    half8 a[8], b[8];
    for (int i = 0; i < 8; i++)
        memcpy(&a[i], src + i * from, sizeof a[i]);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 8; i++)
        memcpy(dst + i * to, &a[i], sizeof a[i]);
}

VEC_INLINE void transpose_4x4(const char *src, int64_t from, char *dst, int64_t to) {
    word4 a[4], b[4];
    for (int i = 0; i < 4; i++)
        memcpy(&a[i], src + i * from, sizeof a[i]);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 2], 0, 4, 1, 5);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 6, 3, 7);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 4; i++)
        memcpy(dst + i * to, &a[i], sizeof a[i]);
}

/* A square of LINE / item elements on a side, through a buffer: each line of the destination, and
 * each of the source but for its neighbours, is touched once. Without the buffer the lines of one
 * side push each other out of the cache where rows are a power of two apart. */
VEC_INLINE void transpose_square(const char *src, int64_t from, char *dst, int64_t to,
                                 int64_t item) {
    char line[LINE / 2][LINE]; /* [column][row], as many as item asks for */
    const int64_t n = LINE / item, side = 16 / item;
    for (int64_t i = 0; i < n; i += side)
        for (int64_t j = 0; j < n; j += side) {
            if (item == 2)
                transpose_8x8(src + i * from + j * 2, from, &line[j][i * 2], LINE);
            else
                transpose_4x4(src + i * from + j * 4, from, &line[j][i * 4], LINE);
        }
    for (int64_t j = 0; j < n; j++)
        memcpy(dst + j * to, line[j], LINE);
}

/* dst[j][i] = src[i][j] for i in [0,rows), j in [0,columns): from between the rows of the source,
 * to between those of the destination, both contiguous in themselves. */
static void transpose_tile(const char *src, int64_t from, char *dst, int64_t to, int64_t rows,
                           int64_t columns, int64_t item) {
    const int64_t side = item == 2 || item == 4 ? LINE / item : 0;
    const int64_t whole_rows = side ? rows / side * side : 0;
    const int64_t whole_columns = side ? columns / side * side : 0;
    for (int64_t j = 0; j < whole_columns; j += side)
        for (int64_t i = 0; i < whole_rows; i += side) {
            const char *x = src + i * from + j * item;
            char *y = dst + j * to + i * item;
            if (item == 2)
                transpose_square(x, from, y, to, 2);
            else
                transpose_square(x, from, y, to, 4);
        }
    /* below the squares, and right of them */
    for (int64_t j = 0; j < columns; j++) {
        const int64_t first = j < whole_columns ? whole_rows : 0;
        copy_run(dst + j * to + first * item, item, src + first * from + j * item, from,
                 rows - first, item);
    }
}

/* A step is one tile; rows of the source (the box's last axis) innermost. */
static void tiles_task(void *context, int64_t index, int lane) {
    (void)lane;
    const box *b = context;
    const int last = b->rank - 1;
    const int64_t n_rows = b->n[last], n_columns = b->n[b->column];
    const int64_t down = pieces(n_rows, TILE), across = pieces(n_columns, TILE);
    const int64_t end = least((index + 1) * b->steps_a_task, b->n_steps);
    for (int64_t step = index * b->steps_a_task; step < end; step++) {
        const int64_t row = step % down * TILE, column = step / down % across * TILE;
        int64_t rest = step / down / across;
        const char *src = b->src + row * b->from[last] + column * b->item;
        char *dst = b->dst + row * b->item + column * b->to[b->column];
        for (int k = last - 1; k >= 0; k--) {
            if (k == b->column) continue;
            src += rest % b->n[k] * b->from[k];
            dst += rest % b->n[k] * b->to[k];
            rest /= b->n[k];
        }
        transpose_tile(src, b->from[last], dst, b->to[b->column], least(TILE, n_rows - row),
                       least(TILE, n_columns - column), b->item);
    }
}

static void copy_tiles(reel_threads *threads, box *b, int column) {
    const int last = b->rank - 1;
    b->column = column;
    b->n_steps = pieces(b->n[last], TILE) * pieces(b->n[column], TILE);
    for (int k = 0; k < last; k++)
        if (k != column) b->n_steps *= b->n[k];
    const int64_t tile = least(TILE, b->n[last]) * least(TILE, b->n[column]) * b->item;
    b->steps_a_task = most(1, TASK_BYTES / tile);
    reel_parallel_for(threads, pieces(b->n_steps, b->steps_a_task), tiles_task, b);
}

static void copy_box(reel_threads *threads, box *b) {
    if (!simplify(b)) return;
    const int last = b->rank - 1;
    int column = -1;
    if (b->from[last] > b->item && b->to[last] == b->item)
        for (int k = 0; k < last; k++)
            if (b->from[k] == b->item) column = k;
    if (column >= 0)
        copy_tiles(threads, b, column);
    else
        copy_runs(threads, b);
}

/* ---- the ops as boxes ---- */

static void permute_run(const reel_call *c) {
    const reel_permute_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    box b = {
        .rank = y->shape.rank, .item = reel_dtype_bytes(y->dtype), .src = x->data, .dst = y->data};
    int64_t from[REEL_MAX_RANK];
    steps_of(x, from);
    steps_of(y, b.to);
    for (int k = 0; k < b.rank; k++) {
        b.n[k] = y->shape.dim[k];
        b.from[k] = from[attr->axis[k]];
    }
    copy_box(c->threads, &b);
}

static void slice_run(const reel_call *c) {
    const reel_slice_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    box b = {
        .rank = y->shape.rank, .item = reel_dtype_bytes(y->dtype), .src = x->data, .dst = y->data};
    steps_of(x, b.from);
    steps_of(y, b.to);
    for (int k = 0; k < b.rank; k++) {
        b.n[k] = y->shape.dim[k];
        b.src += attr->start.dim[k] * b.from[k];
    }
    copy_box(c->threads, &b);
}

static const int64_t zero = 0; /* of every type */

/* Joins part p into `joined`, or cuts it out; join without data joins zeros. */
static void move_part(const reel_call *c, int p, const reel_tensor *joined, const reel_tensor *part,
                      bool join) {
    const reel_concat_attr *attr = c->attr;
    box b = {.rank = joined->shape.rank, .item = reel_dtype_bytes(joined->dtype)};
    reel_tensor shaped = *joined;
    shaped.shape.dim[attr->axis] = attr->size[p];
    int64_t before = 0, *whole = join ? b.to : b.from, *own = join ? b.from : b.to;
    steps_of(joined, whole);
    steps_of(&shaped, own);
    for (int i = 0; i < p; i++)
        before += attr->size[i];
    for (int k = 0; k < b.rank; k++)
        b.n[k] = shaped.shape.dim[k];
    char *inside = (char *)joined->data + before * whole[attr->axis];
    b.src = join ? part->data : inside;
    b.dst = join ? inside : part->data;
    if (!b.src) {
        b.src = (const char *)&zero;
        memset(b.from, 0, sizeof b.from);
    }
    copy_box(c->threads, &b);
}

static void concat_run(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        move_part(c, i, &c->out[0], &c->in[i], true);
}

static void split_run(const reel_call *c) {
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i].data) move_part(c, i, &c->in[0], &c->out[i], false);
}

/* The border along one axis, before or after. It spans what is inside along the axes above `axis`
 * and everything along those below, which are done: so a replicated border is copied from the
 * destination itself, corners included. */
static void pad_side(const reel_call *c, const char *value, int axis, bool after) {
    const reel_pad_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    box b = {.rank = y->shape.rank, .item = reel_dtype_bytes(y->dtype), .dst = y->data};
    int64_t step[REEL_MAX_RANK];
    steps_of(y, step);
    steps_of(y, b.to);
    for (int k = 0; k < b.rank; k++) {
        b.n[k] = k < axis ? x->shape.dim[k] : y->shape.dim[k];
        b.dst += k <= axis ? attr->before[k] * step[k] : 0;
    }
    const char *inside = b.dst; /* the first element along axis that is not border */
    const int64_t length = x->shape.dim[axis];
    b.n[axis] = after ? attr->after[axis] : attr->before[axis];
    b.dst += (after ? length : -attr->before[axis]) * step[axis];
    if (attr->mode == REEL_PAD_CONSTANT) {
        b.src = value;
    } else {
        b.src = inside + (after ? (length - 1) * step[axis] : 0);
        memcpy(b.from, step, sizeof b.from);
        b.from[axis] = 0;
    }
    copy_box(c->threads, &b);
}

static void pad_run(const reel_call *c) {
    const reel_pad_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    int64_t value = 0; /* of any type */
    reel_dtype_store(y->dtype, &value, 0, attr->value);
    box b = {
        .rank = y->shape.rank, .item = reel_dtype_bytes(y->dtype), .src = x->data, .dst = y->data};
    steps_of(x, b.from);
    steps_of(y, b.to);
    for (int k = 0; k < b.rank; k++) {
        b.n[k] = x->shape.dim[k];
        b.dst += attr->before[k] * b.to[k];
    }
    copy_box(c->threads, &b);
    for (int axis = y->shape.rank - 1; axis >= 0; axis--) {
        pad_side(c, (const char *)&value, axis, false);
        pad_side(c, (const char *)&value, axis, true);
    }
}

void REEL_ISA_NAME(reel_cpu_register_layout)(reel_kernel_table *table) {
    static const reel_kernel permute = {.name = "permute.box", .run = permute_run},
                             slice = {.name = "slice.box", .run = slice_run},
                             concat = {.name = "concat.box", .run = concat_run},
                             split = {.name = "split.box", .run = split_run},
                             pad = {.name = "pad.box", .run = pad_run};
    reel_kernel_table_add(table, &reel_op_permute, &permute);
    reel_kernel_table_add(table, &reel_op_slice, &slice);
    reel_kernel_table_add(table, &reel_op_concat, &concat);
    reel_kernel_table_add(table, &reel_op_split, &split);
    reel_kernel_table_add(table, &reel_op_pad, &pad);
}

#endif
