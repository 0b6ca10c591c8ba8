#include "pipeline/decode.h"

#include <math.h>
#include <string.h>

#include "pipeline/deblock.h"

static const char tag_decode[] = "decode";

void reel_decode_bytes(const float *x, int64_t n, uint8_t *bytes) {
    for (int64_t i = 0; i < n; i++) {
        const float level = (x[i] + 1) * 127.5f + 0.5f;
        bytes[i] = (uint8_t)(level >= 0 ? level < 255 ? level : 255 : 0);
    }
}

/* The share of the work in frames. context is const reel_decode_options. */
static reel_status tick(void *context, double done) {
    const reel_decode_options *o = context;
    const int64_t frames = 1 + (o->f - 1) * reel_wan_vae_factor_t(o->config);
    return o->progress(o->context, (int64_t)(done * (double)frames + 1e-6));
}

static reel_status open_decoder(reel_env *env, const reel_decode_options *o, int64_t height,
                                int64_t width, bool cut, reel_wan_vae_stream **stream) {
    reel_wan_vae_stream_options options = {.params = o->params,
                                           .table = o->table,
                                           .compute = o->compute,
                                           .height = height,
                                           .width = width};
    if (cut) {
        options.tile_height = o->tile[0];
        options.tile_width = o->tile[1];
        options.stride_height = o->stride[0];
        options.stride_width = o->stride[1];
        options.n_bands = o->n_bands;
        options.tick = o->progress ? tick : NULL;
        options.tick_context = (void *)(uintptr_t)o;
    }
    return reel_wan_vae_decoder_open(env, o->config, &options, stream);
}

/* ---- into a file ---- */

typedef struct sink {
    reel_env *env;
    const reel_decode_options *options;
    reel_video_writer *writer;
    uint8_t *picture;     /* [H,W,3] */
    reel_deblock deblock; /* of no share: unused */
} sink;

static reel_status write_frames(void *context, int64_t first, int64_t n, const float *pixels) {
    sink *s = context;
    const reel_decode_options *o = s->options;
    const int64_t picture = 3 * o->width * o->height;
    for (int64_t i = 0; i < n * picture; i++)
        if (isnan(pixels[i]))
            return reel_fail(s->env, REEL_E_FORMAT,
                             "the vae gives pixels that are no numbers: its weights are damaged");
    for (int64_t i = 0; i < n; i++) {
        reel_decode_bytes(pixels + i * picture, picture, s->picture);
        if (o->deblock > 0) reel_deblock_frame(&s->deblock, first + i, s->picture);
        const reel_status status = o->frame ? o->frame(o->frame_context, first + i, s->picture)
                                            : reel_video_writer_push(s->writer, s->picture);
        if (status != REEL_OK) return status;
    }
    return o->progress && o->n_bands <= 1 ? o->progress(o->context, first + n) : REEL_OK;
}

reel_status reel_decode(reel_env *env, const reel_decode_options *o, const float *latents,
                        reel_video_writer *writer) {
    sink s = {.env = env, .options = o, .writer = writer};
    const int64_t picture = 3 * o->width * o->height;
    s.picture = reel_alloc(env, picture, tag_decode);
    reel_wan_vae_stream *stream = NULL;
    reel_status status = s.picture ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK && o->deblock > 0)
        status = reel_deblock_init(env, picture, reel_wan_vae_factor_t(o->config), o->deblock,
                                   &s.deblock);
    if (status == REEL_OK) status = open_decoder(env, o, o->height, o->width, true, &stream);
    if (status == REEL_OK)
        status = reel_wan_vae_decoder_run(stream, latents, o->f, write_frames, &s);
    reel_wan_vae_stream_close(&stream);
    reel_deblock_deinit(&s.deblock);
    reel_free(env, s.picture);
    return status;
}

/* ---- the preview's map ---- */

enum { SAMPLE = 16 }; /* latent rows and columns of the picture it is fitted to */

typedef struct shrinker {
    int64_t factor;
    float *rgb; /* [3,SAMPLE,SAMPLE] */
} shrinker;

/* The mean colour of the pixels of each latent. */
static reel_status shrink(void *context, int64_t first, int64_t n, const float *pixels) {
    shrinker *s = context;
    const int64_t side = SAMPLE * s->factor;
    if (first > 0 || n < 1) return REEL_OK;
    memset(s->rgb, 0, 3 * SAMPLE * SAMPLE * sizeof *s->rgb);
    for (int64_t y = 0; y < side; y++)
        for (int64_t x = 0; x < side; x++)
            for (int c = 0; c < 3; c++)
                s->rgb[(c * SAMPLE + y / s->factor) * SAMPLE + x / s->factor] +=
                    pixels[(y * side + x) * 3 + c] / (float)(s->factor * s->factor);
    return REEL_OK;
}

reel_status reel_decode_fit_preview(reel_env *env, const reel_decode_options *o,
                                    reel_preview_map *map) {
    const int64_t z = o->config->z_dim, n = SAMPLE * SAMPLE;
    shrinker s = {.factor = reel_wan_vae_factor_s(o->config)};
    float *latents = reel_alloc(env, (z + 3) * n * (int64_t)sizeof *latents, tag_decode);
    if (!latents) return REEL_E_NOMEM;
    s.rgb = latents + z * n;
    reel_preview_samples(z, SAMPLE, SAMPLE, latents);
    reel_wan_vae_stream *stream = NULL;
    reel_status status = open_decoder(env, o, SAMPLE * s.factor, SAMPLE * s.factor, false, &stream);
    if (status == REEL_OK) status = reel_wan_vae_decoder_run(stream, latents, 1, shrink, &s);
    reel_wan_vae_stream_close(&stream);
    if (status == REEL_OK) status = reel_preview_fit(env, z, n, latents, s.rgb, map);
    reel_free(env, latents);
    return status;
}
