#include "ops/timestep.h"

#include <math.h>

#include "ops/element.h"

reel_timestep_attr reel_timestep_attr_default(void) {
    return (reel_timestep_attr){.dim = 256, .flip_sin_to_cos = 1, .scale = 1, .max_period = 10000};
}

double reel_timestep_frequency(const reel_timestep_attr *attr, int64_t k) {
    const int64_t half = attr->dim / 2;
    return exp(-log((double)attr->max_period) * (double)k /
               ((double)half - (double)attr->downscale_freq_shift));
}

static reel_status timestep_shape(reel_env *env, reel_call *c) {
    const reel_timestep_attr *attr = c->attr;
    const reel_tensor *t = &c->in[0];
    if (t->dtype != REEL_F32)
        return reel_fail(env, REEL_E_SHAPE, "t must be f32, got %s", reel_dtype_name(t->dtype));
    if (attr->dim < 2 || !((float)(attr->dim / 2) > attr->downscale_freq_shift) ||
        !(attr->max_period > 0))
        return reel_fail(env, REEL_E_ARG,
                         "needs dim >= 2, shift < dim/2 and a period > 0, got %d, %g and %g",
                         attr->dim, (double)attr->downscale_freq_shift, (double)attr->max_period);
    if (t->shape.rank == REEL_MAX_RANK)
        return reel_fail(env, REEL_E_SHAPE, "t %s leaves no axis for the row",
                         REEL_SHAPE_STR(&t->shape));
    c->n_out = 1;
    c->out[0] = *t;
    c->out[0].shape.dim[c->out[0].shape.rank++] = attr->dim;
    return REEL_OK;
}

static void timestep_ref(const reel_call *c) {
    const reel_timestep_attr *attr = c->attr;
    const int64_t half = attr->dim / 2;
    const int64_t sines = attr->flip_sin_to_cos ? half : 0, cosines = half - sines;
    for (int64_t r = 0, n = reel_tensor_count(&c->in[0]); r < n; r++) {
        for (int64_t k = 0; k < half; k++) {
            const double angle =
                (double)attr->scale * reel_get(&c->in[0], r) * reel_timestep_frequency(attr, k);
            reel_put(&c->out[0], r * attr->dim + sines + k, sin(angle));
            reel_put(&c->out[0], r * attr->dim + cosines + k, cos(angle));
        }
        if (attr->dim % 2) reel_put(&c->out[0], r * attr->dim + attr->dim - 1, 0);
    }
}
const reel_kernel reel_ref_timestep = {.name = "timestep.ref", .run = timestep_ref};

const reel_op reel_op_timestep = {
    .name = "timestep", .id = REEL_OP_TIMESTEP, .shape = timestep_shape};

reel_var reel_timestep(reel_tape *t, reel_var levels, reel_timestep_attr attr) {
    return REEL_RECORD(t, &reel_op_timestep, &attr, sizeof attr, levels);
}
