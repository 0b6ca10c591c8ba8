#include "support/vae_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/op_check.h"

static reel_wan_vae_config small(vae_rig_kind kind) {
    const bool residual = kind != VAE_RIG_PLAIN;
    reel_wan_vae_config c = {.base_dim = 8,
                             .z_dim = VAE_RIG_Z,
                             .n_levels = 3,
                             .dim_mult = {1, 2, 2},
                             .num_res_blocks = 1,
                             .temperal_downsample = {true, true},
                             .is_residual = residual,
                             .in_channels = residual ? 12 : 3,
                             .out_channels = residual ? 12 : 3,
                             .patch_size = residual ? 2 : 1,
                             .linear_path = kind == VAE_RIG_LINEAR};
    for (int i = 0; i < VAE_RIG_Z; i++) {
        c.latents_mean[i] = 0.25f * (float)i - 0.5f;
        c.latents_std[i] = 1 + 0.5f * (float)i;
    }
    return c;
}

void vae_rig_must(const vae_rig *r, reel_status status) {
    if (status != REEL_OK) fail_msg("%s", reel_env_message(r->env));
}

reel_var vae_rig_record(vae_rig *r, bool decode, reel_shape shape, const float *x) {
    reel_tape_reset(r->tape);
    reel_nn nn = reel_nn_start(r->tape, r->params, r->compute);
    const reel_var in = reel_tape_input(r->tape, REEL_F32, shape, "x", x);
    return (decode ? reel_wan_vae_decode_piece
                   : reel_wan_vae_encode_piece)(&nn, &r->config, in, REEL_WAN_VAE_FIRST, NULL);
}

void vae_rig_open(vae_rig *r, vae_rig_kind kind, reel_dtype compute, reel_isa isa, int threads) {
    *r = (vae_rig){.env = op_test_env(threads), .config = small(kind), .compute = compute};
    vae_rig_must(r, isa == REEL_ISA_COUNT ? reel_ops_reference_table(r->env, &r->table)
                                          : reel_cpu_table(r->env, isa, &r->table));
    vae_rig_must(r, reel_ops_tape_new(r->env, &r->tape));
    vae_rig_must(r, reel_params_new(r->env, &r->params));
    vae_rig_record(r, false, REEL_SHAPE(1, 1, 16, 16, 3), NULL);
    vae_rig_record(r, true, REEL_SHAPE(1, 1, 2, 2, VAE_RIG_Z), NULL);
    vae_rig_must(r, reel_params_initialise(r->params, 3));
    reel_params_close(r->params);
}

void vae_rig_close(vae_rig *r) {
    reel_wan_vae_stream_close(&r->stream);
    reel_plan_free(&r->plan);
    reel_tape_free(&r->tape);
    reel_params_free(&r->params);
    reel_kernel_table_free(r->env, &r->table);
    reel_env_free(&r->env);
}

void vae_rig_expect_refused(vae_rig *r, bool encode, const reel_wan_vae_stream_options *o,
                            const char *part) {
    assert_int_equal((encode ? reel_wan_vae_encoder_open
                             : reel_wan_vae_decoder_open)(r->env, &r->config, o, &r->stream),
                     REEL_E_ARG);
    assert_null(r->stream);
    if (!strstr(reel_env_message(r->env), part))
        fail_msg("'%s' does not say '%s'", reel_env_message(r->env), part);
    reel_env_clear(r->env);
}
