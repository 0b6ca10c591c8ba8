#include "models/wan/vae_bands.h"

#include <math.h>
#include <string.h>

#include "models/wan/vae_layers.h"
#include "models/wan/vae_runner.h"

enum { HEIGHT = 0, WIDTH = 1 };

static const char tag_bands[] = "vae bands";

struct reel_vae_bands {
    reel_env *env;
    reel_wan_vae_config config;
    reel_wan_vae_stream_options options;
    int64_t factor_t, factor_s;
    int axis;        /* that is cut: HEIGHT or WIDTH */
    int64_t size[2]; /* of a frame, in latents */
    int64_t C;       /* of the middle */
    reel_dtype dtype;
    reel_vae_runner middle, bands;
    /* of a piece, channels last */
    float *latent;    /* [h,w,z], and the band's part of it */
    void *middle_out; /* [h,w,C] */
    void *band_in;    /* the range of the largest band, of C channels */
    float *band_out;  /* [factor_t,H,W,3] of the largest band */
    /* of a clip, while it runs */
    void *store;        /* [f,h,w,C]: the middle of all of it */
    uint8_t *canvas;    /* [F,H,W,3] of all bands but the last */
    int64_t canvas_end; /* of the canvas along the axis, in pixels */
    double done, all;   /* arithmetic */
    double middle_flops, band_flops;
};

/* ---- geometry ---- */

static reel_wan_vae_band band_at(const reel_vae_bands *s, int64_t k) {
    const int64_t n = s->options.n_bands, size = s->size[s->axis];
    return (reel_wan_vae_band){
        .axis = s->axis, .size = size, .begin = size * k / n, .end = size * (k + 1) / n};
}

/* h and w of a part of a frame that reaches from begin to end along the axis. */
static void part_size(const reel_vae_bands *s, int64_t begin, int64_t end, int64_t size[2]) {
    size[!s->axis] = s->size[!s->axis];
    size[s->axis] = end - begin;
}

/* Positions of the middle that band k takes. */
static int64_t positions_of(const reel_vae_bands *s, int64_t k) {
    const reel_wan_vae_band band = band_at(s, k);
    int64_t range[2];
    reel_wan_vae_band_range(&s->config, &band, range);
    return (range[1] - range[0]) * s->size[!s->axis];
}

/* The band that takes most. */
static int64_t largest(const reel_vae_bands *s) {
    int64_t best = 0;
    for (int64_t k = 1; k < s->options.n_bands; k++)
        if (positions_of(s, k) > positions_of(s, best)) best = k;
    return best;
}

static int64_t most_pixels(const reel_vae_bands *s) {
    const int64_t n = s->options.n_bands, size = s->size[s->axis];
    return (size + n - 1) / n * s->factor_s * s->size[!s->axis] * s->factor_s * s->factor_t * 3;
}

/* Copies the part [begin, end) along an axis of frames [n,h,w] of items, to or from one that holds
 * nothing else. */
typedef struct cut {
    int axis;
    int64_t h, w;       /* of the whole */
    int64_t begin, end; /* of the part */
    int64_t item_bytes;
} cut;

static void cut_out(const cut *c, const void *whole, void *part) {
    const int64_t columns = c->axis == WIDTH ? c->end - c->begin : c->w;
    const int64_t rows = c->axis == HEIGHT ? c->end - c->begin : c->h;
    const int64_t y0 = c->axis == HEIGHT ? c->begin : 0, x0 = c->axis == WIDTH ? c->begin : 0;
    for (int64_t y = 0; y < rows; y++)
        memcpy((char *)part + y * columns * c->item_bytes,
               (const char *)whole + ((y0 + y) * c->w + x0) * c->item_bytes,
               (size_t)(columns * c->item_bytes));
}

/* ---- recording ---- */

static reel_status record_middle(void *context, reel_tape *tape, reel_wan_vae_piece piece,
                                 const int64_t size[2], reel_wan_vae_caches *caches) {
    const reel_vae_bands *s = context;
    reel_nn nn = reel_nn_start(tape, s->options.params, s->options.compute);
    const reel_shape shape = REEL_SHAPE(1, 1, size[HEIGHT], size[WIDTH], s->config.z_dim);
    const reel_var z = reel_tape_input(tape, REEL_F32, shape, "latent", s->latent);
    const reel_var x = reel_wan_vae_decode_middle(&nn, &s->config, z, piece, caches);
    if (reel_tape_status(tape) == REEL_OK) reel_tape_bind(tape, x, s->middle_out);
    return reel_tape_status(tape);
}

/* size: where the band begins and ends */
static reel_status record_band(void *context, reel_tape *tape, reel_wan_vae_piece piece,
                               const int64_t size[2], reel_wan_vae_caches *caches) {
    const reel_vae_bands *s = context;
    const reel_wan_vae_band band = {s->axis, s->size[s->axis], size[0], size[1]};
    int64_t range[2], n[2];
    reel_wan_vae_band_range(&s->config, &band, range);
    reel_nn nn = reel_nn_start(tape, s->options.params, s->options.compute);
    reel_wan_vae_band_in in = {0};
    part_size(s, range[0], range[1], n);
    in.middle = reel_tape_input(tape, s->dtype, REEL_SHAPE(1, 1, n[HEIGHT], n[WIDTH], s->C),
                                "middle", s->band_in);
    part_size(s, band.begin, band.end, n);
    if (s->config.linear_path)
        in.z =
            reel_tape_input(tape, REEL_F32, REEL_SHAPE(1, 1, n[HEIGHT], n[WIDTH], s->config.z_dim),
                            "latent", s->latent);
    const reel_var x = reel_wan_vae_decode_band(&nn, &s->config, &band, &in, piece, caches);
    if (reel_tape_status(tape) == REEL_OK) reel_tape_bind(tape, x, s->band_out);
    return reel_tape_status(tape);
}

/* ---- opening ---- */

/* Bands are made for the sake of memory, so frames are made one by one sooner than where they are
 * whole: of 832 x 480 in three it saves 70 MiB. */
enum { LARGE = 4 << 20 };

static reel_status new_runner(reel_vae_bands *s, reel_vae_record *record, reel_vae_runner *r) {
    *r = (reel_vae_runner){.env = s->env,
                           .table = s->options.table,
                           .record = record,
                           .context = s,
                           .single_from = s->options.single_from ? s->options.single_from : LARGE};
    return reel_vae_runner_init(r);
}

static int64_t held(const reel_vae_runner *r) {
    return r->cache_bytes + reel_plan_get_stats(r->plan).planned_bytes;
}

/* What the middle's turn takes, which is over before that of the bands. */
static reel_status plan_middle(reel_vae_bands *s, reel_wan_vae_stream_stats *stats) {
    reel_status status = new_runner(s, record_middle, &s->middle);
    if (status == REEL_OK) status = reel_vae_runner_prepare(&s->middle, REEL_WAN_VAE_NEXT, s->size);
    if (status != REEL_OK) return status;
    stats->middle_bytes = held(&s->middle);
    s->middle_flops = reel_plan_get_stats(s->middle.plan).flops;
    reel_vae_runner_deinit(&s->middle);
    return REEL_OK;
}

static reel_status plan_bands(reel_vae_bands *s, reel_wan_vae_stream_stats *stats) {
    const int64_t most = largest(s);
    reel_status status = new_runner(s, record_band, &s->bands);
    for (int64_t i = s->options.n_bands - 1; i >= 0 && status == REEL_OK; i--) {
        const int64_t k = i ? i <= most ? i - 1 : i : most; /* the largest one last */
        const reel_wan_vae_band band = band_at(s, k);
        status = reel_vae_runner_prepare(&s->bands, REEL_WAN_VAE_NEXT,
                                         (const int64_t[]){band.begin, band.end});
        if (status == REEL_OK) s->band_flops += reel_plan_get_stats(s->bands.plan).flops;
    }
    if (status != REEL_OK) return status;
    stats->cache_bytes = s->bands.cache_bytes;
    stats->plan_bytes = reel_plan_get_stats(s->bands.plan).planned_bytes;
    stats->flops = s->middle_flops + s->band_flops;
    return REEL_OK;
}

static reel_status set_up(reel_vae_bands *s, reel_wan_vae_stream_stats *stats) {
    const reel_wan_vae_stream_options *o = &s->options;
    s->factor_t = reel_wan_vae_factor_t(&s->config);
    s->factor_s = reel_wan_vae_factor_s(&s->config);
    s->size[HEIGHT] = o->height / s->factor_s;
    s->size[WIDTH] = o->width / s->factor_s;
    s->axis = s->size[WIDTH] >= s->size[HEIGHT] ? WIDTH : HEIGHT;
    s->C = reel_wan_vae_middle_channels(&s->config);
    s->dtype = reel_vae_dtype(&(reel_nn){.compute = o->compute}, s->C);
    if (o->n_bands > s->size[s->axis])
        return reel_fail(s->env, REEL_E_ARG, "wan vae: n_bands must be in 1..%lld, got %lld",
                         (long long)s->size[s->axis], (long long)o->n_bands);
    s->canvas_end = band_at(s, o->n_bands - 1).begin * s->factor_s;
    const int64_t area = s->size[HEIGHT] * s->size[WIDTH];
    const int64_t middle = reel_dtype_size(s->dtype, s->C), latent = area * s->config.z_dim * 4;
    const int64_t part = positions_of(s, largest(s)) * middle, pixels = most_pixels(s) * 4;
    s->latent = reel_alloc(s->env, latent, tag_bands);
    s->middle_out = s->latent ? reel_alloc(s->env, area * middle, tag_bands) : NULL;
    s->band_in = s->middle_out ? reel_alloc(s->env, part, tag_bands) : NULL;
    s->band_out = s->band_in ? reel_alloc(s->env, pixels, tag_bands) : NULL;
    if (!s->band_out) return REEL_E_NOMEM;
    *stats = (reel_wan_vae_stream_stats){.n_tiles = 1, .n_bands = o->n_bands};
    reel_status status = plan_middle(s, stats);
    if (status == REEL_OK) status = plan_bands(s, stats);
    stats->middle_bytes += latent + area * middle + part + pixels;
    stats->plan_bytes += latent + area * middle + part + pixels;
    stats->store_bytes = area * middle;
    stats->canvas_bytes =
        s->canvas_end * 3 * (s->axis == WIDTH ? s->options.height : s->options.width);
    return status;
}

reel_status reel_vae_bands_open(reel_env *env, const reel_wan_vae_config *config,
                                const reel_wan_vae_stream_options *options,
                                reel_wan_vae_stream_stats *stats, reel_vae_bands **bands) {
    reel_vae_bands *s = reel_calloc(env, 1, sizeof *s, tag_bands);
    if (!s) return REEL_E_NOMEM;
    s->env = env;
    s->config = *config;
    s->options = *options;
    const reel_status status = set_up(s, stats);
    if (status == REEL_OK)
        *bands = s;
    else
        reel_vae_bands_close(&s);
    return status;
}

void reel_vae_bands_close(reel_vae_bands **bands) {
    reel_vae_bands *s = *bands;
    if (!s) return;
    reel_vae_runner_deinit(&s->middle);
    reel_vae_runner_deinit(&s->bands);
    reel_free(s->env, s->latent);
    reel_free(s->env, s->middle_out);
    reel_free(s->env, s->band_in);
    reel_free(s->env, s->band_out);
    reel_free(s->env, s);
    *bands = NULL;
}

/* ---- running ---- */

static reel_status advance(reel_vae_bands *s, double flops) {
    s->done += flops;
    if (!s->options.tick) return REEL_OK;
    return s->options.tick(s->options.tick_context, s->done < s->all ? s->done / s->all : 1);
}

/* The part of a latent frame, element (c,y,x) of which is latent[c * stride + y * w + x], that lies
 * in [begin, end) along the axis -> s->latent [h,w,z]. */
static void take_latent(reel_vae_bands *s, const float *latent, int64_t stride, int64_t begin,
                        int64_t end) {
    const reel_wan_vae_config *g = &s->config;
    int64_t n[2], at[2] = {0, 0};
    part_size(s, begin, end, n);
    at[s->axis] = begin;
    float *to = s->latent;
    for (int64_t y = 0; y < n[HEIGHT]; y++)
        for (int64_t x = 0; x < n[WIDTH]; x++)
            for (int64_t c = 0; c < g->z_dim; c++) {
                const float v =
                    latent[c * stride + (at[HEIGHT] + y) * s->size[WIDTH] + at[WIDTH] + x];
                *to++ = s->options.raw ? v : v * g->latents_std[c] + g->latents_mean[c];
            }
}

/* All frames through the middle, into the store. */
static reel_status run_middle(reel_vae_bands *s, const float *latents, int64_t f) {
    const int64_t area = s->size[HEIGHT] * s->size[WIDTH];
    const int64_t bytes = reel_dtype_size(s->dtype, area * s->C);
    reel_status status = new_runner(s, record_middle, &s->middle);
    for (int64_t i = 0; i < f && status == REEL_OK; i++) {
        take_latent(s, latents + i * area, f * area, 0, s->size[s->axis]);
        status = reel_vae_runner_run(&s->middle, s->size);
        if (status == REEL_OK) {
            memcpy((char *)s->store + i * bytes, s->middle_out, (size_t)bytes);
            status = advance(s, s->middle_flops);
        }
    }
    reel_vae_runner_deinit(&s->middle);
    return status;
}

/* As they will be in a file: 256 levels, rounded half up. */
static uint8_t level_of(float x) {
    const float level = (x + 1) * 127.5f + 0.5f;
    return (uint8_t)(level >= 0 ? level < 255 ? level : 255 : 0);
}

static reel_status check_numbers(const reel_vae_bands *s, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (isnan(s->band_out[i]))
            return reel_fail(s->env, REEL_E_FORMAT,
                             "the vae gives pixels that are no numbers: its weights are damaged");
    return REEL_OK;
}

/* s->band_out [n,H,W,3] of a band -> frames of the canvas. */
static void keep(reel_vae_bands *s, const reel_wan_vae_band *band, int64_t first, int64_t n) {
    const int64_t fs = s->factor_s, wide = s->axis == WIDTH;
    const int64_t H = wide ? s->options.height : s->canvas_end;
    const int64_t W = wide ? s->canvas_end : s->options.width;
    const int64_t rows = wide ? H : (band->end - band->begin) * fs;
    const int64_t columns = wide ? (band->end - band->begin) * fs : W;
    const float *from = s->band_out;
    for (int64_t i = 0; i < n * rows; i++) {
        const int64_t y = i % rows + (wide ? 0 : band->begin * fs);
        uint8_t *to =
            s->canvas + (((first + i / rows) * H + y) * W + (wide ? band->begin * fs : 0)) * 3;
        for (int64_t k = 0; k < columns * 3; k++)
            *to++ = level_of(*from++);
    }
}

/* Frame i of the canvas, and frame k of the last band -> pixels [H,W,3] */
static void compose(const reel_vae_bands *s, int64_t i, int64_t k, float *pixels) {
    const int64_t H = s->options.height, W = s->options.width, wide = s->axis == WIDTH;
    const int64_t kept_w = wide ? s->canvas_end : W, kept_h = wide ? H : s->canvas_end;
    const int64_t last_w = wide ? W - kept_w : W, last_h = wide ? H : H - kept_h;
    const uint8_t *kept = s->canvas + i * kept_h * kept_w * 3;
    const float *last = s->band_out + k * last_h * last_w * 3;
    for (int64_t y = 0; y < H; y++) {
        if (wide || y < kept_h)
            for (int64_t x = 0; x < kept_w * 3; x++)
                *pixels++ = (float)*kept++ / 127.5f - 1;
        if (wide || y >= kept_h)
            for (int64_t x = 0; x < last_w * 3; x++)
                *pixels++ = (float)level_of(*last++) / 127.5f - 1;
    }
}

typedef struct receiver {
    reel_wan_vae_write *write;
    void *context;
    float *pixels; /* [H,W,3] */
} receiver;

/* Piece i of a band is in band_out: kept, or of the last band handed out with what was kept. */
static reel_status take_piece(reel_vae_bands *s, const reel_wan_vae_band *band, int64_t i,
                              const receiver *to) {
    const int64_t first = i ? 1 + (i - 1) * s->factor_t : 0, n = i ? s->factor_t : 1;
    int64_t size[2];
    part_size(s, band->begin, band->end, size);
    reel_status status =
        check_numbers(s, n * size[HEIGHT] * s->factor_s * size[WIDTH] * s->factor_s * 3);
    if (status == REEL_OK && band->end < band->size) keep(s, band, first, n);
    for (int64_t k = 0; band->end == band->size && k < n && status == REEL_OK; k++) {
        compose(s, first + k, k, to->pixels);
        status = to->write(to->context, first + k, 1, to->pixels);
    }
    return status;
}

static reel_status run_band(reel_vae_bands *s, int64_t k, const float *latents, int64_t f,
                            const receiver *to) {
    const reel_wan_vae_band band = band_at(s, k);
    const int64_t area = s->size[HEIGHT] * s->size[WIDTH];
    int64_t range[2];
    reel_wan_vae_band_range(&s->config, &band, range);
    const cut c = {.axis = s->axis,
                   .h = s->size[HEIGHT],
                   .w = s->size[WIDTH],
                   .begin = range[0],
                   .end = range[1],
                   .item_bytes = reel_dtype_size(s->dtype, s->C)};
    reel_status status = REEL_OK;
    reel_vae_runner_begin(&s->bands);
    for (int64_t i = 0; i < f && status == REEL_OK; i++) {
        cut_out(&c, (const char *)s->store + i * area * c.item_bytes, s->band_in);
        if (s->config.linear_path)
            take_latent(s, latents + i * area, f * area, band.begin, band.end);
        status = reel_vae_runner_run(&s->bands, (const int64_t[]){band.begin, band.end});
        if (status == REEL_OK) status = take_piece(s, &band, i, to);
        if (status == REEL_OK) status = advance(s, s->band_flops / (double)s->options.n_bands);
    }
    return status;
}

reel_status reel_vae_bands_run(reel_vae_bands *s, const float *latents, int64_t f,
                               reel_wan_vae_write *write, void *context) {
    const int64_t frames = 1 + (f - 1) * s->factor_t, H = s->options.height, W = s->options.width;
    const int64_t area = s->size[HEIGHT] * s->size[WIDTH];
    receiver to = {.write = write, .context = context};
    /* plan and caches of the bands are not wanted while the middle has its own */
    reel_vae_runner_deinit(&s->bands);
    s->done = 0;
    s->all = (double)f * (s->middle_flops + s->band_flops);
    reel_status status = new_runner(s, record_band, &s->bands);
    s->store = reel_alloc(s->env, f * reel_dtype_size(s->dtype, area * s->C), tag_bands);
    if (!s->store) status = REEL_E_NOMEM;
    if (status == REEL_OK) status = run_middle(s, latents, f);
    if (status == REEL_OK) {
        s->canvas =
            reel_alloc(s->env, frames * s->canvas_end * 3 * (s->axis == WIDTH ? H : W), tag_bands);
        to.pixels =
            s->canvas ? reel_alloc(s->env, H * W * 3 * (int64_t)sizeof(float), tag_bands) : NULL;
        if (!to.pixels) status = REEL_E_NOMEM;
    }
    for (int64_t k = 0; k < s->options.n_bands && status == REEL_OK; k++)
        status = run_band(s, k, latents, f, &to);
    reel_free(s->env, to.pixels);
    reel_free(s->env, s->canvas);
    reel_free(s->env, s->store);
    s->canvas = NULL;
    s->store = NULL;
    return status;
}
