#include "models/wan/vae_stream.h"

#include <math.h>
#include <string.h>

#include "models/wan/vae_bands.h"
#include "models/wan/vae_runner.h"

enum { HEIGHT = 0, WIDTH = 1 };

/* How an edge is cut: tile k starts at k stride and ends tile further on, or with the edge. */
typedef struct cut {
    int64_t size, tile, stride, n; /* in latents */
} cut;

/* A part of the frame, in latents. */
typedef struct area {
    int64_t start[2], size[2];
    int64_t tile[2]; /* its number along each edge */
} area;

struct reel_wan_vae_stream {
    reel_env *env;
    reel_wan_vae_config config;
    reel_wan_vae_stream_options options;
    bool decode;
    int64_t factor_t, factor_s;
    cut cut[2];
    reel_vae_bands *bands; /* does all the work; NULL: there are none */
    reel_vae_runner runner;
    float *in, *out; /* of a piece, channels last, with room for the largest tile */
    reel_wan_vae_stream_stats stats;
};

/* ---- recording ---- */

/* size: of an area, in latents. */
static reel_status record(void *context, reel_tape *tape, reel_wan_vae_piece piece,
                          const int64_t size[2], reel_wan_vae_caches *caches) {
    const reel_wan_vae_stream *s = context;
    const int64_t h = size[HEIGHT], w = size[WIDTH], fs = s->factor_s;
    const int64_t F = piece == REEL_WAN_VAE_FIRST ? 1 : s->factor_t;
    const int64_t C = s->config.in_channels / (s->config.patch_size * s->config.patch_size);
    reel_nn nn = reel_nn_start(tape, s->options.params, s->options.compute);
    const reel_shape shape =
        s->decode ? REEL_SHAPE(1, 1, h, w, s->config.z_dim) : REEL_SHAPE(1, F, h * fs, w * fs, C);
    const reel_var in = reel_tape_input(tape, REEL_F32, shape, "piece", s->in);
    const reel_var out = (s->decode ? reel_wan_vae_decode_piece : reel_wan_vae_encode_piece)(
        &nn, &s->config, in, piece, caches);
    if (reel_tape_status(tape) == REEL_OK) reel_tape_bind(tape, out, s->out);
    return reel_tape_status(tape);
}

/* ---- opening ---- */

static reel_status check_size(reel_env *env, const char *what, int64_t value, int64_t factor,
                              int64_t most) {
    if (value >= factor && value % factor == 0 && value <= most) return REEL_OK;
    const int64_t last = most / factor * factor;
    return reel_fail(env, REEL_E_ARG,
                     "wan vae: %s must be a multiple of %lld in %lld..%lld, got %lld", what,
                     (long long)factor, (long long)factor, (long long)last, (long long)value);
}

/* size, tile and stride in pixels; tile 0: none. */
static reel_status make_cut(reel_wan_vae_stream *s, const char *const name[3], int64_t size,
                            int64_t tile, int64_t stride, cut *c) {
    const int64_t fs = s->factor_s;
    reel_status status = check_size(s->env, name[0], size, fs, 1 << 16);
    if (tile || stride) {
        if (status == REEL_OK) status = check_size(s->env, name[1], tile, fs, 1 << 16);
        if (status == REEL_OK) status = check_size(s->env, name[2], stride, fs, tile);
    }
    if (status != REEL_OK) return status;
    *c = (cut){.size = size / fs, .tile = size / fs, .stride = size / fs, .n = 1};
    if (!tile || tile >= size) return REEL_OK;
    c->tile = tile / fs;
    c->stride = stride / fs;
    c->n = 1 + (c->size - c->tile + c->stride - 1) / c->stride;
    return REEL_OK;
}

static area area_of(const reel_wan_vae_stream *s, int64_t row, int64_t column) {
    area a = {.tile = {row, column}};
    for (int i = 0; i < 2; i++) {
        const cut *c = &s->cut[i];
        a.start[i] = a.tile[i] * c->stride;
        a.size[i] = c->size - a.start[i] < c->tile ? c->size - a.start[i] : c->tile;
    }
    return a;
}

/* Floats of a tile's pixels in one piece, and of its latents. */
static int64_t most_pixels(const reel_wan_vae_stream *s) {
    const int64_t fs = s->factor_s;
    return s->factor_t * s->cut[HEIGHT].tile * fs * s->cut[WIDTH].tile * fs * 3;
}
static int64_t most_latents(const reel_wan_vae_stream *s) {
    return s->cut[HEIGHT].tile * s->cut[WIDTH].tile * 2 * s->config.z_dim;
}

static reel_status set_up_bands(reel_wan_vae_stream *s) {
    if (!s->decode || s->cut[HEIGHT].n * s->cut[WIDTH].n > 1)
        return reel_fail(s->env, REEL_E_ARG, "wan vae: bands are a decoder's, and not of tiles");
    return reel_vae_bands_open(s->env, &s->config, &s->options, &s->stats, &s->bands);
}

static reel_status start_runner(reel_wan_vae_stream *s) {
    s->runner = (reel_vae_runner){.env = s->env,
                                  .table = s->options.table,
                                  .record = record,
                                  .context = s,
                                  .single_from = s->options.single_from};
    return reel_vae_runner_init(&s->runner);
}

static reel_status set_up(reel_wan_vae_stream *s) {
    const reel_wan_vae_stream_options *o = &s->options;
    static const char *const high[3] = {"height", "tile_height", "stride_height"};
    static const char *const wide[3] = {"width", "tile_width", "stride_width"};
    reel_status status = reel_wan_vae_config_check(s->env, &s->config);
    if (status != REEL_OK) return status;
    s->factor_t = reel_wan_vae_factor_t(&s->config);
    s->factor_s = reel_wan_vae_factor_s(&s->config);
    const int64_t patch = s->config.patch_size * s->config.patch_size;
    if (s->config.in_channels != 3 * patch || s->config.out_channels != 3 * patch)
        return reel_fail(s->env, REEL_E_UNSUPPORTED,
                         "wan vae: frames of %lld and %lld channels, not 3",
                         (long long)(s->config.in_channels / patch),
                         (long long)(s->config.out_channels / patch));
    status = make_cut(s, high, o->height, o->tile_height, o->stride_height, &s->cut[HEIGHT]);
    if (status == REEL_OK)
        status = make_cut(s, wide, o->width, o->tile_width, o->stride_width, &s->cut[WIDTH]);
    if (status == REEL_OK && o->n_bands > 1) return set_up_bands(s);
    if (status == REEL_OK) status = start_runner(s);
    if (status != REEL_OK) return status;
    const int64_t pixels = most_pixels(s) * 4, latents = most_latents(s) * 4;
    s->in = reel_alloc(s->env, s->decode ? latents : pixels, "vae frames");
    s->out = s->in ? reel_alloc(s->env, s->decode ? pixels : latents, "vae frames") : NULL;
    if (!s->out) return REEL_E_NOMEM;
    /* the largest pieces are planned at once: what does not fit is known before work begins */
    status = reel_vae_runner_prepare(&s->runner, REEL_WAN_VAE_NEXT, area_of(s, 0, 0).size);
    if (status != REEL_OK) return status;
    const reel_plan_stats plan = reel_plan_get_stats(s->runner.plan);
    const int64_t n_tiles = s->cut[HEIGHT].n * s->cut[WIDTH].n;
    s->stats = (reel_wan_vae_stream_stats){
        .cache_bytes = s->runner.cache_bytes,
        .plan_bytes = plan.planned_bytes + pixels + latents,
        .canvas_bytes = n_tiles > 1 && s->decode ? o->height * o->width * 3 * 2 : 0,
        .n_tiles = n_tiles,
        .n_bands = 1,
        .flops = plan.flops};
    return REEL_OK;
}

static reel_status open_stream(reel_env *env, const reel_wan_vae_config *config,
                               const reel_wan_vae_stream_options *options, bool decode,
                               reel_wan_vae_stream **stream) {
    reel_wan_vae_stream *s = reel_calloc(env, 1, sizeof *s, "vae");
    if (!s) return REEL_E_NOMEM;
    s->env = env;
    s->config = *config;
    s->options = *options;
    s->decode = decode;
    const reel_status status = set_up(s);
    if (status == REEL_OK)
        *stream = s;
    else
        reel_wan_vae_stream_close(&s);
    return status;
}

reel_status reel_wan_vae_decoder_open(reel_env *env, const reel_wan_vae_config *config,
                                      const reel_wan_vae_stream_options *options,
                                      reel_wan_vae_stream **stream) {
    return open_stream(env, config, options, true, stream);
}

reel_status reel_wan_vae_encoder_open(reel_env *env, const reel_wan_vae_config *config,
                                      const reel_wan_vae_stream_options *options,
                                      reel_wan_vae_stream **stream) {
    return open_stream(env, config, options, false, stream);
}

void reel_wan_vae_stream_close(reel_wan_vae_stream **stream) {
    reel_wan_vae_stream *s = *stream;
    if (!s) return;
    reel_vae_bands_close(&s->bands);
    if (s->runner.env) reel_vae_runner_deinit(&s->runner);
    reel_free(s->env, s->in);
    reel_free(s->env, s->out);
    reel_free(s->env, s);
    *stream = NULL;
}

reel_wan_vae_stream_stats reel_wan_vae_stream_get_stats(const reel_wan_vae_stream *s) {
    return s->stats;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t reel_wan_vae_stream_peak(const reel_wan_vae_stream *s, int64_t f) {
    const reel_wan_vae_stream_stats *n = &s->stats;
    const int64_t frames = 1 + (f - 1) * s->factor_t;
    const int64_t frame = s->options.height * s->options.width * 3 * (int64_t)sizeof(float);
    if (n->n_bands > 1)
        return f * n->store_bytes + most(n->middle_bytes, n->cache_bytes + n->plan_bytes +
                                                              frames * n->canvas_bytes + frame);
    return n->cache_bytes + n->plan_bytes + frames * n->canvas_bytes + s->factor_t * frame;
}

/* ---- a piece ---- */

void reel_wan_vae_stream_begin(reel_wan_vae_stream *s) {
    reel_vae_runner_begin(&s->runner);
}

/* Frames of pixels of the piece that comes next. */
static int64_t n_frames(const reel_wan_vae_stream *s) {
    return s->runner.n_run ? s->factor_t : 1;
}

/* s->in -> s->out */
static reel_status run_piece(reel_wan_vae_stream *s, const area *a) {
    return reel_vae_runner_run(&s->runner, a->size);
}

/* Fades tile k in over the overlap with the one before, and out over that with the next: position
 * i of n, in steps of which `scale` make a latent. */
static float fade(const cut *c, int64_t k, int64_t i, int64_t scale) {
    const int64_t overlap = (c->tile - c->stride) * scale, stride = c->stride * scale;
    float weight = 1;
    if (k > 0 && i < overlap) weight = (float)i / (float)overlap;
    if (k + 1 < c->n && i >= stride) weight *= 1 - (float)(i - stride) / (float)overlap;
    return weight;
}

/* Latent frame at latent[c * stride + ...], of the whole frame, -> s->in [h,w,z] of an area. */
static void take_latent(reel_wan_vae_stream *s, const area *a, const float *latent,
                        int64_t stride) {
    const reel_wan_vae_config *g = &s->config;
    const int64_t w = s->cut[WIDTH].size;
    float *to = s->in;
    for (int64_t y = 0; y < a->size[HEIGHT]; y++)
        for (int64_t x = 0; x < a->size[WIDTH]; x++)
            for (int64_t c = 0; c < g->z_dim; c++) {
                const float v =
                    latent[c * stride + (a->start[HEIGHT] + y) * w + a->start[WIDTH] + x];
                *to++ = s->options.raw ? v : v * g->latents_std[c] + g->latents_mean[c];
            }
}

/* s->out [h,w,2z] of an area, faded, -> added to the whole frame's mean and logvar. */
static void add_moments(const reel_wan_vae_stream *s, const area *a, float *mean, float *logvar,
                        int64_t stride) {
    const reel_wan_vae_config *g = &s->config;
    const int64_t w = s->cut[WIDTH].size, z = g->z_dim;
    const float *from = s->out;
    for (int64_t y = 0; y < a->size[HEIGHT]; y++)
        for (int64_t x = 0; x < a->size[WIDTH]; x++, from += 2 * z) {
            const float weight = fade(&s->cut[HEIGHT], a->tile[HEIGHT], y, 1) *
                                 fade(&s->cut[WIDTH], a->tile[WIDTH], x, 1);
            const int64_t at = (a->start[HEIGHT] + y) * w + a->start[WIDTH] + x;
            for (int64_t c = 0; c < z; c++) {
                const float shift = s->options.raw ? 0 : g->latents_mean[c];
                const float scale = s->options.raw ? 1 : g->latents_std[c];
                mean[c * stride + at] += weight * (from[c] - shift) / scale;
                if (!logvar) continue;
                const float v = fminf(fmaxf(from[z + c], -30), 20);
                logvar[c * stride + at] += weight * (v - 2 * logf(scale));
            }
        }
}

static void clear_frame(const reel_wan_vae_stream *s, float *x, int64_t stride) {
    for (int64_t c = 0; x && c < s->config.z_dim; c++)
        memset(x + c * stride, 0, (size_t)(s->cut[HEIGHT].size * s->cut[WIDTH].size) * sizeof *x);
}

/* ---- piece by piece ---- */

static reel_status expect_whole(reel_wan_vae_stream *s, bool decode) {
    if (s->decode == decode && s->stats.n_tiles == 1 && s->stats.n_bands == 1) return REEL_OK;
    return reel_fail(s->env, REEL_E_ARG, "wan vae: pieces of a clip need %s without tiles or bands",
                     decode ? "a decoder" : "an encoder");
}

static float clamped(float x) {
    return x < -1 ? -1 : x > 1 ? 1 : x; /* NaN stays NaN */
}

reel_status reel_wan_vae_decoder_push(reel_wan_vae_stream *s, const float *latent, int64_t stride,
                                      float *pixels, int64_t *n) {
    reel_status status = expect_whole(s, true);
    if (status != REEL_OK) return status;
    const area whole = area_of(s, 0, 0);
    const int64_t frames = n_frames(s);
    take_latent(s, &whole, latent, stride);
    status = run_piece(s, &whole);
    if (status != REEL_OK) return status;
    const int64_t count = frames * s->options.height * s->options.width * 3;
    for (int64_t i = 0; i < count; i++)
        pixels[i] = clamped(s->out[i]);
    *n = frames;
    return REEL_OK;
}

reel_status reel_wan_vae_encoder_push(reel_wan_vae_stream *s, const float *pixels, float *mean,
                                      float *logvar, int64_t stride) {
    reel_status status = expect_whole(s, false);
    if (status != REEL_OK) return status;
    const area whole = area_of(s, 0, 0);
    memcpy(s->in, pixels,
           (size_t)(n_frames(s) * s->options.height * s->options.width * 3) * sizeof *pixels);
    status = run_piece(s, &whole);
    if (status != REEL_OK) return status;
    clear_frame(s, mean, stride);
    clear_frame(s, logvar, stride);
    add_moments(s, &whole, mean, logvar, stride);
    return REEL_OK;
}

/* ---- whole clips ---- */

/* Of latent frame i: its first frame of pixels. */
static int64_t frame_of(const reel_wan_vae_stream *s, int64_t i) {
    return i ? 1 + (i - 1) * s->factor_t : 0;
}

/* s->out [n,H,W,3] of an area, faded, -> added to frames [first, first + n) of canvas [F,H,W,3]. */
static void add_pixels(const reel_wan_vae_stream *s, const area *a, int64_t n, uint16_t *canvas) {
    const int64_t fs = s->factor_s, H = s->options.height, W = s->options.width;
    const int64_t h = a->size[HEIGHT] * fs, w = a->size[WIDTH] * fs;
    const float *from = s->out;
    for (int64_t f = 0; f < n; f++)
        for (int64_t y = 0; y < h; y++) {
            const float row = fade(&s->cut[HEIGHT], a->tile[HEIGHT], y, fs);
            const int64_t at = ((f * H + a->start[HEIGHT] * fs + y) * W + a->start[WIDTH] * fs) * 3;
            for (int64_t i = 0; i < 3 * w; i++, from++) {
                const float weight = row * fade(&s->cut[WIDTH], a->tile[WIDTH], i / 3, fs);
                const float before = reel_dtype_load(REEL_F16, canvas, at + i);
                reel_dtype_store(REEL_F16, canvas, at + i, before + weight * clamped(*from));
            }
        }
}

/* Runs every tile through the clip, into canvas. */
static reel_status decode_tiles(reel_wan_vae_stream *s, const float *latents, int64_t f,
                                uint16_t *canvas) {
    const int64_t area_of_frame = s->cut[HEIGHT].size * s->cut[WIDTH].size;
    const int64_t frame = s->options.height * s->options.width * 3;
    for (int64_t tile = 0; tile < s->stats.n_tiles; tile++) {
        const area a = area_of(s, tile / s->cut[WIDTH].n, tile % s->cut[WIDTH].n);
        reel_wan_vae_stream_begin(s);
        for (int64_t i = 0; i < f; i++) {
            const int64_t n = n_frames(s);
            take_latent(s, &a, latents + i * area_of_frame, f * area_of_frame);
            const reel_status status = run_piece(s, &a);
            if (status != REEL_OK) return status;
            add_pixels(s, &a, n, canvas + frame_of(s, i) * frame);
        }
    }
    return REEL_OK;
}

static reel_status run_tiled(reel_wan_vae_stream *s, const float *latents, int64_t f, float *pixels,
                             reel_wan_vae_write *write, void *context) {
    const int64_t frame = s->options.height * s->options.width * 3;
    uint16_t *canvas = reel_calloc(s->env, frame_of(s, f), frame * 2, "vae canvas");
    if (!canvas) return REEL_E_NOMEM;
    reel_status status = decode_tiles(s, latents, f, canvas);
    for (int64_t i = 0; i < f && status == REEL_OK; i++) {
        const int64_t first = frame_of(s, i), n = frame_of(s, i + 1) - first;
        reel_dtype_cast(REEL_F32, pixels, REEL_F16, canvas + first * frame, n * frame);
        status = write(context, first, n, pixels);
    }
    reel_free(s->env, canvas);
    return status;
}

static reel_status check_run(reel_wan_vae_stream *s, bool decode, int64_t f) {
    if (s->decode != decode)
        return reel_fail(s->env, REEL_E_ARG, "wan vae: needs %s",
                         decode ? "a decoder" : "an encoder");
    if (f < 1 || f > 1 << 20)
        return reel_fail(s->env, REEL_E_ARG, "wan vae: needs 1 to %d latent frames, got %lld",
                         1 << 20, (long long)f);
    return REEL_OK;
}

reel_status reel_wan_vae_decoder_run(reel_wan_vae_stream *s, const float *latents, int64_t f,
                                     reel_wan_vae_write *write, void *context) {
    reel_status status = check_run(s, true, f);
    if (status != REEL_OK) return status;
    if (s->bands) return reel_vae_bands_run(s->bands, latents, f, write, context);
    const int64_t area_of_frame = s->cut[HEIGHT].size * s->cut[WIDTH].size;
    float *pixels = reel_alloc(
        s->env, s->factor_t * s->options.height * s->options.width * 3 * (int64_t)sizeof *pixels,
        "vae frames");
    if (!pixels) return REEL_E_NOMEM;
    if (s->stats.n_tiles > 1) status = run_tiled(s, latents, f, pixels, write, context);
    reel_wan_vae_stream_begin(s);
    for (int64_t i = 0; i < f && s->stats.n_tiles == 1 && status == REEL_OK; i++) {
        int64_t n = 0;
        status = reel_wan_vae_decoder_push(s, latents + i * area_of_frame, f * area_of_frame,
                                           pixels, &n);
        if (status == REEL_OK) status = write(context, frame_of(s, i), n, pixels);
    }
    reel_free(s->env, pixels);
    return status;
}

/* An area of frames [n,H,W,3] -> s->in [n,h,w,3] */
static void take_pixels(reel_wan_vae_stream *s, const area *a, const float *pixels, int64_t n) {
    const int64_t fs = s->factor_s, H = s->options.height, W = s->options.width;
    const int64_t h = a->size[HEIGHT] * fs, w = a->size[WIDTH] * fs;
    for (int64_t i = 0; i < n * h; i++) {
        const int64_t y = a->start[HEIGHT] * fs + i % h, x = a->start[WIDTH] * fs;
        memcpy(s->in + i * w * 3, pixels + ((i / h * H + y) * W + x) * 3,
               (size_t)(w * 3) * sizeof *pixels);
    }
}

/* One tile through the clip, added to mean and logvar. */
static reel_status encode_tile(reel_wan_vae_stream *s, const area *a, float *pixels,
                               reel_wan_vae_read *read, void *context, int64_t f,
                               float *const moments[2]) {
    const int64_t area_of_frame = s->cut[HEIGHT].size * s->cut[WIDTH].size;
    reel_wan_vae_stream_begin(s);
    for (int64_t i = 0; i < f; i++) {
        const int64_t n = n_frames(s), at = i * area_of_frame;
        reel_status status = read(context, frame_of(s, i), n, pixels);
        if (status != REEL_OK) return status;
        take_pixels(s, a, pixels, n);
        status = run_piece(s, a);
        if (status != REEL_OK) return status;
        add_moments(s, a, moments[0] + at, moments[1] ? moments[1] + at : NULL, f * area_of_frame);
    }
    return REEL_OK;
}

reel_status reel_wan_vae_encoder_run(reel_wan_vae_stream *s, reel_wan_vae_read *read, void *context,
                                     int64_t f, float *mean, float *logvar) {
    reel_status status = check_run(s, false, f);
    if (status != REEL_OK) return status;
    const size_t count = (size_t)(s->config.z_dim * f * s->cut[HEIGHT].size * s->cut[WIDTH].size);
    float *pixels = reel_alloc(
        s->env, s->factor_t * s->options.height * s->options.width * 3 * (int64_t)sizeof *pixels,
        "vae frames");
    if (!pixels) return REEL_E_NOMEM;
    float *const moments[2] = {mean, logvar};
    memset(mean, 0, count * sizeof *mean);
    if (logvar) memset(logvar, 0, count * sizeof *logvar);
    for (int64_t tile = 0; tile < s->stats.n_tiles && status == REEL_OK; tile++) {
        const area a = area_of(s, tile / s->cut[WIDTH].n, tile % s->cut[WIDTH].n);
        status = encode_tile(s, &a, pixels, read, context, f, moments);
    }
    reel_free(s->env, pixels);
    return status;
}
