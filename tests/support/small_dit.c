#include "support/small_dit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/modulate.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "support/tape_rig.h"

enum { B = 2, T = 7, N = 2, D = 6, C = N * D, STORE = 1 << 16 };

static float store_f32[STORE];
static reel_bf16 store_bf16[STORE];

typedef struct maker {
    small_dit *dit;
    reel_tape *tape;
    int64_t used;
    reel_var seed; /* of dropout */
    uint64_t n_dropouts;
} maker;

static reel_var param(maker *m, reel_dtype dtype, reel_shape shape) {
    char name[16];
    snprintf(name, sizeof name, "p%d", m->dit->n_params);
    const int64_t at = m->used;
    m->used += reel_shape_count(&shape);
    assert_true(m->used <= STORE && m->dit->n_params < SMALL_DIT_MAX_PARAMS);
    const void *data =
        dtype == REEL_BF16 ? (const void *)(store_bf16 + at) : (const void *)(store_f32 + at);
    return m->dit->param[m->dit->n_params++] = reel_tape_param(m->tape, dtype, shape, name, data);
}

static reel_var linear(maker *m, reel_var x, int64_t I, int64_t O, reel_activation act,
                       reel_dtype out) {
    const reel_var w = param(m, m->dit->dtype, REEL_SHAPE(O, I));
    const reel_var b = param(m, REEL_F32, REEL_SHAPE(O));
    return reel_linear(m->tape, x, w, b, act, out);
}

static reel_var attend(maker *m, reel_var x, bool recompute) {
    reel_tape *t = m->tape;
    reel_scope_begin(t, "attn", recompute ? REEL_RECOMPUTE : REEL_SCOPE_PLAIN);
    const reel_var qkv = linear(m, x, C, 3 * C, REEL_ACT_NONE, m->dit->dtype);
    const reel_attention_in in = {.qkv = reel_reshape(t, qkv, REEL_SHAPE(B, T, 3, N, D))};
    const reel_var o = reel_reshape(t, reel_attention(t, &in), REEL_SHAPE(B, T, C));
    reel_var y = linear(m, o, C, C, REEL_ACT_NONE, m->dit->dtype);
    y = reel_dropout(t, y, m->seed, m->n_dropouts++, 0.25f);
    reel_scope_end(t);
    return y;
}

/* x [B,T,C] f32, c [B,C] -> x [B,T,C] f32 */
static reel_var block(maker *m, reel_var x, reel_var c, bool recompute, bool nested) {
    reel_tape *t = m->tape;
    const reel_modulate_attr norm = {
        .kind = REEL_NORM_LAYER, .out_dtype = m->dit->dtype, .eps = 1e-6f};
    reel_scope_begin(t, "block", recompute ? REEL_RECOMPUTE : REEL_SCOPE_PLAIN);
    reel_var part[6];
    reel_split_evenly(t, linear(m, c, C, 6 * C, REEL_ACT_NONE, REEL_F32), 1, 6, part);
    reel_var h = reel_norm_modulate(t, x, part[0], part[1], 0, &norm);
    x = reel_gate(t, x, attend(m, h, nested), part[2], 0);
    h = reel_norm_modulate(t, x, part[3], part[4], 0, &norm);
    h = linear(m, h, C, 4 * C, REEL_ACT_GELU_TANH, m->dit->dtype);
    h = linear(m, h, 4 * C, C, REEL_ACT_NONE, m->dit->dtype);
    x = reel_gate(t, x, h, part[5], 0);
    reel_scope_end(t);
    return x;
}

void small_dit_record(small_dit *dit, reel_tape *t) {
    tape_rig_fill(store_f32, STORE, 5);
    for (int i = 0; i < STORE; i++) {
        store_f32[i] *= 0.5f;
        store_bf16[i] = reel_f32_to_bf16(store_f32[i]);
    }
    dit->n_params = 0;
    static const int64_t seed[2] = {7, 3};
    maker m = {.dit = dit, .tape = t};
    m.seed = reel_tape_input(t, REEL_I64, REEL_SHAPE(2), "seed", seed);
    reel_var x = param(&m, REEL_F32, REEL_SHAPE(B, T, C));
    const reel_var target = param(&m, REEL_F32, REEL_SHAPE(B, T, C));
    const reel_var c = reel_cast(t, param(&m, REEL_F32, REEL_SHAPE(B, C)), dit->dtype);
    const bool nested = dit->recompute == SMALL_DIT_NESTED;
    for (int i = 0; i < dit->n_blocks; i++) {
        if (nested && i % 2 == 0) reel_scope_begin(t, "pair", REEL_RECOMPUTE);
        x = block(&m, x, c, dit->recompute != SMALL_DIT_KEEP, nested);
        if (nested && (i % 2 == 1 || i == dit->n_blocks - 1)) reel_scope_end(t);
    }
    dit->out = x;
    dit->loss = reel_dot(t, x, target);
    reel_tape_keep(t, dit->out);
    reel_tape_keep(t, dit->loss);
    reel_tape_backward(t, dit->loss);
}
