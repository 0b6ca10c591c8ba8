/* Whole networks: a small transformer, and hundreds of random tapes. However a tape is run
 * (planned, without in-place, without reuse, eagerly, recomputing), the bytes are the same, and no
 * memory is written while somebody still has to read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "ops/activation.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/permute.h"
#include "ops/reduce.h"
#include "ops/slice.h"
#include "support/small_dit.h"
#include "support/tape_rig.h"

enum { MAX_RESULTS = 80, MAX_BYTES = 1 << 18 };

/* What a run gave: the bytes of its results, one after another. */
typedef struct results {
    int64_t bytes;
    char data[MAX_BYTES];
} results;

static void add_result(results *r, const tape_rig *g, reel_var var, bool eager) {
    const reel_value *v = reel_tape_value(g->tape, var);
    const int64_t bytes = reel_shape_count(&v->shape) * reel_dtype_bytes(v->dtype);
    const void *data = eager ? v->data : tape_rig_data(g, var);
    assert_non_null(data);
    assert_true(r->bytes + bytes <= MAX_BYTES);
    memcpy(r->data + r->bytes, data, (size_t)bytes);
    r->bytes += bytes;
}

/* ---- nothing is written while it is alive ---- */

typedef struct range {
    const char *from, *to;
} range;

static range range_of(const void *data, int64_t bytes) {
    return (range){data, data ? (const char *)data + bytes : NULL};
}
static bool overlap(range a, range b) {
    return a.from && b.from && a.from < b.to && b.from < a.to;
}

/* Whether call c writes into r: outputs and scratch, except the output that is exactly r. */
static bool spoils(const reel_call *c, range r) {
    for (int i = 0; i < c->n_out; i++) {
        const range out = range_of(c->out[i].data, reel_tensor_bytes(&c->out[i]));
        if (overlap(out, r) && !(out.from == r.from && out.to == r.to)) return true;
    }
    return overlap(range_of(c->scratch, c->scratch_bytes), r);
}

/* Every operand is read as its last writer left it, and what a call writes is apart from what it
 * reads but for in-place operands. */
static void check_no_overlap(const tape_rig *g) {
    const int n = reel_plan_get_stats(g->plan).n_records;
    for (int k = 0; k < n; k++) {
        const reel_call *c = reel_plan_call(g->plan, k);
        for (int i = 0; i < c->n_in; i++) {
            const range r = range_of(c->in[i].data, reel_tensor_bytes(&c->in[i]));
            if (spoils(c, r)) fail_msg("call %d (%s) writes over operand %d", k, c->op->name, i);
            bool written = false;
            for (int j = k - 1; j >= 0 && !written; j--) {
                const reel_call *w = reel_plan_call(g->plan, j);
                if (spoils(w, r))
                    fail_msg("call %d (%s) writes over operand %d of call %d (%s)", j, w->op->name,
                             i, k, c->op->name);
                for (int o = 0; o < w->n_out; o++)
                    written |= w->out[o].data == c->in[i].data;
            }
        }
        for (int i = 0; i < c->n_out; i++)
            for (int j = 0; j < i; j++)
                if (overlap(range_of(c->out[i].data, reel_tensor_bytes(&c->out[i])),
                            range_of(c->out[j].data, reel_tensor_bytes(&c->out[j]))))
                    fail_msg("outputs %d and %d of call %d (%s) overlap", j, i, k, c->op->name);
    }
}

/* ---- ways of running one tape ---- */

typedef enum way { PLANNED, WITHOUT_INPLACE, WITHOUT_REUSE, EAGER, N_WAYS } way;

static const char *const way_name[N_WAYS] = {"planned", "without in-place", "without reuse",
                                             "eager"};

/* Records a tape and lists what to look at; returns how many. */
typedef int record_fn(reel_tape *tape, reel_var *result, const void *context);

static void run(tape_rig *g, way how, record_fn *record, const void *context, results *r) {
    r->bytes = 0;
    reel_tape_reset(g->tape);
    reel_tape_set_eager(g->tape, how == EAGER ? g->table : NULL);
    reel_var result[MAX_RESULTS];
    const int n = record(g->tape, result, context);
    if (reel_tape_status(g->tape) != REEL_OK) fail_msg("%s", reel_env_message(g->env));
    if (how != EAGER) {
        const reel_plan_options options = {.reuse = how != WITHOUT_REUSE,
                                           .inplace = how == PLANNED};
        tape_rig_run(g, &options);
        const reel_plan_stats stats = reel_plan_get_stats(g->plan);
        assert_int_equal(stats.planned_bytes, stats.peak_bytes);
        assert_int_equal(stats.n_run_allocations, 0);
        assert_true(stats.planned_bytes <= stats.sum_bytes);
        check_no_overlap(g);
    }
    for (int i = 0; i < n; i++)
        add_result(r, g, result[i], how == EAGER);
    reel_tape_reset(g->tape); /* gives eager memory back while the tape is still eager */
    reel_tape_set_eager(g->tape, NULL);
}

static void expect_one_result(tape_rig *g, const char *name, record_fn *record,
                              const void *context) {
    static results wanted, got;
    run(g, PLANNED, record, context, &wanted);
    for (way how = WITHOUT_INPLACE; how < N_WAYS; how++) {
        run(g, how, record, context, &got);
        if (got.bytes != wanted.bytes || memcmp(got.data, wanted.data, (size_t)got.bytes) != 0)
            fail_msg("%s: planned and %s differ", name, way_name[how]);
    }
}

/* A rig whose table is the machine's, so that kernels that work in place are run too. */
static void open_with_kernels(tape_rig *g) {
    tape_rig_open(g);
    reel_kernel_table_free(g->env, &g->table);
    assert_int_equal(reel_cpu_table(g->env, REEL_ISA_COUNT, &g->table), REEL_OK);
}

/* ---- a transformer ---- */

static int record_dit(reel_tape *tape, reel_var *result, const void *context) {
    small_dit dit = *(const small_dit *)context;
    small_dit_record(&dit, tape);
    int n = 0;
    result[n++] = dit.out;
    for (int i = 0; i < dit.n_params; i++)
        result[n++] = reel_tape_grad(tape, dit.param[i]);
    return n;
}

static void test_network_runs_alike_in_every_way(void **state) {
    (void)state;
    for (int table = 0; table < 2; table++) {
        tape_rig g;
        if (table)
            open_with_kernels(&g);
        else
            tape_rig_open(&g);
        for (int d = 0; d < 2; d++)
            for (int r = SMALL_DIT_KEEP; r <= SMALL_DIT_NESTED; r++) {
                const small_dit dit = {.n_blocks = 4,
                                       .recompute = (small_dit_recompute)r,
                                       .dtype = d ? REEL_BF16 : REEL_F32};
                char name[64];
                snprintf(name, sizeof name, "dit, table %d, dtype %d, recompute %d", table, d, r);
                expect_one_result(&g, name, record_dit, &dit);
            }
        tape_rig_close(&g);
    }
}

/* ---- random tapes ---- */

/* Values all have 24 elements, under these shapes. */
static const reel_shape shapes[4] = {{.rank = 2, .dim = {4, 6}},
                                     {.rank = 2, .dim = {6, 4}},
                                     {.rank = 1, .dim = {24}},
                                     {.rank = 3, .dim = {2, 3, 4}}};

enum { POOL = 64, N_PARAMS = 4 };

typedef struct random_case {
    uint64_t seed;
    bool recompute; /* scopes that ask for it get it */
} random_case;

typedef struct builder {
    reel_tape *tape;
    uint64_t state;
    reel_var pool[POOL], weight[4]; /* weight[s] is square, of the last axis of shapes[s] */
    int n, depth;
    bool recompute;
} builder;

static int pick(builder *b, int n) {
    b->state = b->state * 6364136223846793005u + 1442695040888963407u;
    return (int)((b->state >> 33) % (uint64_t)n);
}

static reel_var any(builder *b) {
    /* rather recent ones, so that tapes are deep */
    const int back = pick(b, 3) ? pick(b, b->n < 4 ? b->n : 4) : pick(b, b->n);
    return b->pool[b->n - 1 - back];
}

static reel_var shaped_like(builder *b, reel_var x, reel_var like) {
    return reel_reshape(b->tape, x, reel_tape_value(b->tape, like)->shape);
}

/* Cuts x apart along its first axis and joins the parts again, turned around. */
static reel_var turn_around(builder *b, reel_var x) {
    const int64_t whole = reel_tape_value(b->tape, x)->shape.dim[0];
    const int64_t size[2] = {1, whole - 1};
    reel_var part[2];
    reel_split(b->tape, x, 0, size, 2, part);
    return reel_concat(b->tape, (const reel_var[]){part[1], part[0]}, 2, 0);
}

/* Cuts off the first row and pads it back with a constant or its neighbour. */
static reel_var cut_and_pad(builder *b, reel_var x) {
    const int64_t whole = reel_tape_value(b->tape, x)->shape.dim[0];
    const reel_pad_attr border = {
        .before = {1}, .mode = pick(b, 2) ? REEL_PAD_REPLICATE : REEL_PAD_CONSTANT, .value = 0.25f};
    return reel_pad(b->tape, reel_slice(b->tape, x, 0, 1, whole - 1), border);
}

static reel_var layer(builder *b, reel_var x) {
    const reel_shape *shape = &reel_tape_value(b->tape, x)->shape;
    for (int s = 0; s < 4; s++)
        if (reel_shape_equal(shape, &shapes[s]))
            return reel_linear(b->tape, x, b->weight[s], 0,
                               pick(b, 2) ? REEL_ACT_SILU : REEL_ACT_NONE, REEL_F32);
    return x;
}

static reel_var any_op(builder *b) {
    const reel_var x = any(b), y = any(b);
    switch (pick(b, 10)) {
    case 0:
        return reel_add(b->tape, x, shaped_like(b, y, x));
    case 1:
        return reel_activate(b->tape, reel_mul(b->tape, x, shaped_like(b, y, x)), REEL_ACT_SILU);
    case 2:
        return reel_activate(b->tape, x, REEL_ACT_GELU_TANH);
    case 3:
        return reel_reshape(b->tape, x, shapes[pick(b, 4)]);
    case 4:
        return turn_around(b, x);
    case 5:
        return cut_and_pad(b, x);
    case 6:
        return shaped_like(b, reel_transpose(b->tape, reel_reshape(b->tape, x, shapes[0]), 0, 1),
                           x);
    case 7:
        return reel_scale(b->tape, x, 0.75f, 0.125f);
    case 8:
        return reel_combine(b->tape, x, 0.5f, shaped_like(b, y, x), -0.5f);
    default:
        return layer(b, x);
    }
}

static void begin_or_end_a_scope(builder *b) {
    if (b->depth < 3 && pick(b, 2)) {
        const bool recompute = pick(b, 2) && b->recompute;
        reel_scope_begin(b->tape, "scope", recompute ? REEL_RECOMPUTE : REEL_SCOPE_PLAIN);
        b->depth++;
    } else if (b->depth > 0) {
        reel_scope_end(b->tape);
        b->depth--;
    }
}

static int record_random(reel_tape *tape, reel_var *result, const void *context) {
    static float data[1024];
    const random_case *c = context;
    builder b = {.tape = tape, .state = c->seed * 77 + 1, .recompute = c->recompute};
    tape_rig_fill(data, 1024, 3);
    int n = 0;
    for (int i = 0; i < N_PARAMS; i++)
        b.pool[b.n++] = reel_tape_param(tape, REEL_F32, shapes[i], "p", data + 24 * i);
    b.pool[b.n++] = reel_tape_input(tape, REEL_F32, shapes[0], "x", data + 24 * N_PARAMS);
    for (int s = 0; s < 4; s++) {
        const int64_t width = reel_shape_last(&shapes[s]);
        b.weight[s] = reel_tape_param(tape, REEL_F32, REEL_SHAPE(width, width), "w", data + 200);
    }
    const int length = 5 + pick(&b, 40);
    for (int i = 0; i < length && b.n < POOL; i++) {
        if (pick(&b, 3) == 0) begin_or_end_a_scope(&b);
        const reel_var made = any_op(&b);
        b.pool[b.n++] = made;
        if (pick(&b, 8) == 0) {
            reel_tape_keep(tape, made);
            result[n++] = made;
        }
    }
    while (b.depth-- > 0)
        reel_scope_end(tape);
    const reel_var last = b.pool[b.n - 1];
    const reel_var loss =
        reel_dot(tape, reel_scale(tape, last, 1, 0), shaped_like(&b, any(&b), last));
    reel_tape_keep(tape, loss);
    result[n++] = loss;
    reel_tape_backward(tape, loss);
    for (int i = 0; i < N_PARAMS + 1 + 4; i++) {
        const reel_var p = i < N_PARAMS + 1 ? b.pool[i] : b.weight[i - N_PARAMS - 1];
        if (reel_tape_grad(tape, p)) result[n++] = reel_tape_grad(tape, p);
    }
    assert_true(n <= MAX_RESULTS);
    return n;
}

static void test_random_tapes_run_alike_in_every_way(void **state) {
    (void)state;
    static results kept, recomputed;
    tape_rig g;
    int n_inplace = 0, n_dropped = 0;
    for (int table = 0; table < 2; table++) {
        if (table)
            open_with_kernels(&g);
        else
            tape_rig_open(&g);
        for (uint64_t seed = 1; seed <= 250; seed++) {
            const random_case plain = {seed, false}, scoped = {seed, true};
            char name[32];
            snprintf(name, sizeof name, "table %d, seed %d", table, (int)seed);
            expect_one_result(&g, name, record_random, &scoped);
            run(&g, PLANNED, record_random, &plain, &kept);
            run(&g, PLANNED, record_random, &scoped, &recomputed);
            n_inplace += reel_plan_get_stats(g.plan).n_inplace;
            n_dropped += reel_plan_get_stats(g.plan).n_dropped;
            if (kept.bytes != recomputed.bytes ||
                memcmp(kept.data, recomputed.data, (size_t)kept.bytes) != 0)
                fail_msg("%s: with and without recompute differ", name);
        }
        tape_rig_close(&g);
    }
    assert_true(n_inplace > 1000 && n_dropped > 1000); /* both did occur */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network_runs_alike_in_every_way),
        cmocka_unit_test(test_random_tapes_run_alike_in_every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
