#include "models/wan/vae.h"

#include <math.h>

/* The statistics of Wan 2.1's latents, as its config.json has them. */
static const float mean_of_latents[16] = {
    -0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,  -0.1517f, 1.5508f,
    0.4134f,  -0.0715f, 0.5517f,  -0.3632f, -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
static const float std_of_latents[16] = {2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f,
                                         2.6052f, 2.0743f, 3.2687f, 2.1526f, 2.8652f, 1.5579f,
                                         1.6382f, 1.1253f, 2.8251f, 1.9160f};

reel_wan_vae_config reel_wan_vae_config_default(void) {
    reel_wan_vae_config c = {.base_dim = 96,
                             .z_dim = 16,
                             .n_levels = 4,
                             .dim_mult = {1, 2, 4, 4},
                             .num_res_blocks = 2,
                             .temperal_downsample = {false, true, true},
                             .in_channels = 3,
                             .out_channels = 3,
                             .patch_size = 1,
                             .scale_factor_temporal = 4,
                             .scale_factor_spatial = 8};
    for (int i = 0; i < 16; i++) {
        c.latents_mean[i] = mean_of_latents[i];
        c.latents_std[i] = std_of_latents[i];
    }
    return c;
}

int64_t reel_wan_vae_factor_t(const reel_wan_vae_config *c) {
    int64_t factor = 1;
    for (int i = 0; i + 1 < c->n_levels && i + 1 < REEL_WAN_VAE_LEVELS; i++)
        factor *= c->temperal_downsample[i] ? 2 : 1;
    return factor;
}

int64_t reel_wan_vae_factor_s(const reel_wan_vae_config *c) {
    int64_t factor = c->patch_size;
    for (int i = 0; i + 1 < c->n_levels && i + 1 < REEL_WAN_VAE_LEVELS; i++)
        factor *= 2;
    return factor;
}

void reel_wan_vae_normalise(const reel_wan_vae_config *c, float *latent, int64_t n) {
    for (int64_t k = 0; k < c->z_dim; k++)
        for (int64_t i = 0; i < n; i++)
            latent[k * n + i] = (latent[k * n + i] - c->latents_mean[k]) / c->latents_std[k];
}

void reel_wan_vae_denormalise(const reel_wan_vae_config *c, float *latent, int64_t n) {
    for (int64_t k = 0; k < c->z_dim; k++)
        for (int64_t i = 0; i < n; i++)
            latent[k * n + i] = latent[k * n + i] * c->latents_std[k] + c->latents_mean[k];
}

/* ---- check ---- */

static reel_status check_ranges(reel_env *env, const reel_wan_vae_config *c) {
    const struct {
        const char *name;
        int64_t value, least, most;
    } field[] = {
        {"base_dim", c->base_dim, 1, 4096},
        {"decoder_base_dim", c->decoder_base_dim, 0, 4096},
        {"z_dim", c->z_dim, 1, REEL_WAN_VAE_CHANNELS},
        {"dim_mult's length", c->n_levels, 1, REEL_WAN_VAE_LEVELS},
        {"num_res_blocks", c->num_res_blocks, 1, REEL_WAN_VAE_BLOCKS},
        {"in_channels", c->in_channels, 1, 65536},
        {"out_channels", c->out_channels, 1, 65536},
        {"patch_size", c->patch_size, 1, 64},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        if (field[i].value < field[i].least || field[i].value > field[i].most)
            return reel_fail(env, REEL_E_ARG, "wan vae: %s must be in %lld..%lld, got %lld",
                             field[i].name, (long long)field[i].least, (long long)field[i].most,
                             (long long)field[i].value);
    for (int64_t i = 0; i < c->n_levels; i++)
        if (c->dim_mult[i] < 1 || c->dim_mult[i] > 64)
            return reel_fail(env, REEL_E_ARG, "wan vae: dim_mult[%d] must be in 1..64, got %lld",
                             (int)i, (long long)c->dim_mult[i]);
    for (int64_t i = 0; i < c->z_dim; i++)
        if (!isfinite(c->latents_mean[i]) || !isfinite(c->latents_std[i]) ||
            !(c->latents_std[i] > 0))
            return reel_fail(env, REEL_E_ARG,
                             "wan vae: channel %d needs a finite latents_mean and a positive "
                             "latents_std, got %g and %g",
                             (int)i, (double)c->latents_mean[i], (double)c->latents_std[i]);
    return REEL_OK;
}

static reel_status check_factors(reel_env *env, const reel_wan_vae_config *c) {
    const int64_t t = reel_wan_vae_factor_t(c), s = reel_wan_vae_factor_s(c);
    if (c->scale_factor_temporal && c->scale_factor_temporal != t)
        return reel_fail(env, REEL_E_ARG, "wan vae: scale_factor_temporal must be %lld, got %lld",
                         (long long)t, (long long)c->scale_factor_temporal);
    if (c->scale_factor_spatial && c->scale_factor_spatial != s)
        return reel_fail(env, REEL_E_ARG, "wan vae: scale_factor_spatial must be %lld, got %lld",
                         (long long)s, (long long)c->scale_factor_spatial);
    const int64_t patch = c->patch_size * c->patch_size;
    if (c->in_channels % patch || c->out_channels % patch)
        return reel_fail(env, REEL_E_ARG,
                         "wan vae: in_channels and out_channels must be multiples of %lld, the "
                         "patch, got %lld and %lld",
                         (long long)patch, (long long)c->in_channels, (long long)c->out_channels);
    return REEL_OK;
}

/* Groups of channels must come out even: halves in the first generation, the averages and
 * repetitions of the shortcuts in the second. */
static reel_status check_widths(reel_env *env, const reel_wan_vae_config *c) {
    const int64_t dim = c->decoder_base_dim ? c->decoder_base_dim : c->base_dim;
    const int last = (int)c->n_levels - 1;
    for (int i = 0; i <= last; i++) {
        const int64_t here = c->dim_mult[i], above = i ? c->dim_mult[i - 1] : 1;
        const int64_t below = c->dim_mult[i < last ? i + 1 : i]; /* the decoder comes from there */
        const int64_t down = i == last ? 1 : c->temperal_downsample[i] ? 8 : 4;
        const int64_t up = i == 0 ? 1 : c->temperal_downsample[i - 1] ? 8 : 4;
        const int64_t width = dim * here, averaged = above * down, repeated = here * up;
        if (!c->is_residual && i && width % 2)
            return reel_fail(env, REEL_E_ARG,
                             "wan vae: level %d of the decoder needs an even width, got %lld", i,
                             (long long)width);
        if (c->is_residual && averaged % here)
            return reel_fail(env, REEL_E_ARG,
                             "wan vae: dim_mult[%d] must divide %lld for its shortcut, got %lld", i,
                             (long long)averaged, (long long)here);
        if (c->is_residual && i && repeated % below)
            return reel_fail(env, REEL_E_ARG,
                             "wan vae: dim_mult[%d] must divide %lld for its shortcut, got %lld",
                             i + 1, (long long)repeated, (long long)below);
    }
    return REEL_OK;
}

reel_status reel_wan_vae_config_check(reel_env *env, const reel_wan_vae_config *c) {
    reel_status status = check_ranges(env, c);
    if (status == REEL_OK) status = check_factors(env, c);
    if (status == REEL_OK) status = check_widths(env, c);
    return status;
}
