#include "nn/module.h"

#include <stdio.h>
#include <string.h>

#include "ops/elementwise.h"
#include "ops/linear.h"

reel_nn reel_nn_start(reel_tape *tape, reel_params *params, reel_dtype compute) {
    reel_params_begin_recording(params);
    return (reel_nn){.tape = tape, .params = params, .weights = compute, .compute = compute};
}

/* ---- names ---- */

static void enter(reel_nn *nn, reel_scope_flags flags, const char *part) {
    const size_t used = strlen(nn->name), more = strlen(part);
    if (used + more + 2 > sizeof nn->name) {
        reel_tape_fail(nn->tape, REEL_E_ARG, "name %s.%s is longer than %d bytes", nn->name, part,
                       REEL_NN_NAME_BYTES - 1);
        return;
    }
    snprintf(nn->name + used, sizeof nn->name - used, "%s%s", used ? "." : "", part);
    reel_scope_begin(nn->tape, part, flags);
}

void reel_nn_begin(reel_nn *nn, const char *format, ...) {
    char part[REEL_NN_NAME_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(part, sizeof part, format, args);
    va_end(args);
    enter(nn, REEL_SCOPE_PLAIN, part);
}

void reel_nn_begin_recompute(reel_nn *nn, const char *format, ...) {
    char part[REEL_NN_NAME_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(part, sizeof part, format, args);
    va_end(args);
    enter(nn, REEL_RECOMPUTE, part);
}

void reel_nn_end(reel_nn *nn) {
    const char *part = reel_tape_open_scope_name(nn->tape);
    const size_t used = strlen(nn->name), gone = strlen(part);
    if (reel_tape_status(nn->tape) != REEL_OK) return;
    nn->name[used > gone ? used - gone - 1 : 0] = 0;
    reel_scope_end(nn->tape);
}

/* ---- parameters ---- */

static reel_param *find_or_declare(reel_nn *nn, const char *name, reel_shape shape,
                                   reel_init init) {
    reel_param *p = reel_params_find(nn->params, name);
    if (p) return p;
    if (reel_params_closed(nn->params)) {
        reel_tape_fail(nn->tape, REEL_E_FORMAT, "parameter %s %s is missing", name,
                       REEL_SHAPE_STR(&shape));
        return NULL;
    }
    const reel_status status = reel_params_declare(nn->params, name, nn->weights, shape, init);
    if (status != REEL_OK) {
        reel_tape_fail(nn->tape, status, "parameter %s", name);
        return NULL;
    }
    return reel_params_find(nn->params, name);
}

reel_var reel_nn_param_stored(reel_nn *nn, const char *name, reel_shape shape, reel_init init) {
    if (reel_tape_status(nn->tape) != REEL_OK) return 0;
    char full[REEL_NN_NAME_BYTES + 64];
    snprintf(full, sizeof full, "%s%s%s", nn->name, nn->name[0] ? "." : "", name);
    reel_param *p = find_or_declare(nn, full, shape, init);
    if (!p) return 0;
    if (!reel_shape_equal(&p->shape, &shape)) {
        reel_tape_fail(nn->tape, REEL_E_SHAPE, "parameter %s must be %s, got %s", full,
                       REEL_SHAPE_STR(&shape), REEL_SHAPE_STR(&p->shape));
        return 0;
    }
    return reel_params_record(nn->params, p, nn->tape);
}

reel_var reel_nn_param(reel_nn *nn, const char *name, reel_shape shape, reel_init init) {
    const reel_var w = reel_nn_param_stored(nn, name, shape, init);
    return reel_tape_value(nn->tape, w)->dtype == REEL_F16 ? reel_cast(nn->tape, w, nn->compute)
                                                           : w;
}

/* ---- linear ---- */

reel_nn_linear_options reel_nn_linear_default(const reel_nn *nn) {
    return (reel_nn_linear_options){.act = REEL_ACT_NONE,
                                    .init = {REEL_INIT_FAN_IN, 1},
                                    .out_dtype = nn->compute,
                                    .bias = true};
}

/* act(y + (x A^T) B^T): x [...,I] y [...,O] */
static reel_var add_low_rank(reel_nn *nn, reel_var x, reel_var y, reel_activation act) {
    reel_tape *t = nn->tape;
    const int64_t I = reel_shape_last(&reel_tape_value(t, x)->shape),
                  O = reel_shape_last(&reel_tape_value(t, y)->shape), r = nn->lora_rank;
    const reel_init random = {REEL_INIT_FAN_IN, 1}, zero = {REEL_INIT_ZERO, 0};
    const reel_var a = reel_nn_param(nn, "lora_A.weight", REEL_SHAPE(r, I), random);
    const reel_var b = reel_nn_param(nn, "lora_B.weight", REEL_SHAPE(O, r), zero);
    const reel_dtype narrow = reel_tape_value(t, a)->dtype, wide = reel_tape_value(t, y)->dtype;
    reel_var h = reel_linear(t, reel_cast(t, x, narrow), a, 0, REEL_ACT_NONE, narrow); /* [...,r] */
    h = reel_linear(t, h, b, 0, REEL_ACT_NONE, wide);                                  /* [...,O] */
    y = reel_add(t, y, h);
    return act == REEL_ACT_NONE ? y : reel_activate(t, y, act);
}

reel_var reel_nn_linear_with(reel_nn *nn, const char *name, reel_var x, int64_t O,
                             const reel_nn_linear_options *options) {
    reel_nn_begin(nn, "%s", name);
    const int64_t I = reel_shape_last(&reel_tape_value(nn->tape, x)->shape);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(O, I), options->init);
    const reel_init zero = {REEL_INIT_ZERO, 0};
    const reel_var b = options->bias ? reel_nn_param(nn, "bias", REEL_SHAPE(O), zero) : 0;
    const reel_dtype stored = reel_tape_value(nn->tape, w)->dtype;
    /* 8-bit weights have x rounded by the product itself */
    const reel_var input = stored == REEL_Q8_0 ? x : reel_cast(nn->tape, x, stored);
    const reel_activation act = nn->lora_rank > 0 ? REEL_ACT_NONE : options->act;
    reel_var y = reel_linear(nn->tape, input, w, b, act, options->out_dtype);
    if (nn->lora_rank > 0) y = add_low_rank(nn, x, y, options->act);
    reel_nn_end(nn);
    return y; /* [...,O] */
}

reel_var reel_nn_linear(reel_nn *nn, const char *name, reel_var x, int64_t O, reel_activation act) {
    reel_nn_linear_options options = reel_nn_linear_default(nn);
    options.act = act;
    return reel_nn_linear_with(nn, name, x, O, &options);
}
