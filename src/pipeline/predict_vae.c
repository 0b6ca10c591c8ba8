/* What the autoencoder's turns take: pictures and clips into latents, and latents into frames; and
 * how frames are cut so that they take no more than they should. */
#include <string.h>

#include "base/clock.h"
#include "pipeline/predict_state.h"

/* How frames are cut: into bands, or into tiles with a stride, height first, in pixels. */
typedef struct cutting {
    int64_t n_bands;
    int64_t tile[2], stride[2];
} cutting;

static const cutting uncut = {.n_bands = 1};

/* Of the whole picture or of a part of it. */
static reel_status open_stream(const reel_generate *g, bool decode, reel_params *params,
                               const int64_t size[2], const cutting *cut,
                               reel_wan_vae_stream **stream) {
    const reel_wan_vae_stream_options options = {.params = params,
                                                 .table = g->backend.table,
                                                 .compute = g->bf16 ? REEL_BF16 : REEL_F32,
                                                 .height = size[0],
                                                 .width = size[1],
                                                 .n_bands = cut->n_bands,
                                                 .tile_height = cut->tile[0],
                                                 .tile_width = cut->tile[1],
                                                 .stride_height = cut->stride[0],
                                                 .stride_width = cut->stride[1]};
    return (decode ? reel_wan_vae_decoder_open : reel_wan_vae_encoder_open)(
        g->env, &reel_generate_config(g, REEL_COMPONENT_VAE)->vae, &options, stream);
}

static reel_status make(const reel_generate *g, bool filled, reel_params **params) {
    const reel_make how = {.dtype = g->bf16 ? REEL_BF16 : REEL_F32, .filled = filled};
    return reel_predict_make(g->env, reel_generate_config(g, REEL_COMPONENT_VAE), how, params);
}

/* What one way through the autoencoder takes. */
typedef struct turn {
    int64_t bytes; /* beside what the process holds already */
    double flops;  /* of a later latent frame */
} turn;

/* ---- memory ---- */

/* What the video encoder holds, by what was measured of each: some MiB, and bytes for each pixel,
 * of which H.264 has some for each frame that it looks ahead to. */
static int64_t encoder_bytes(const reel_generate *g) {
    static const struct {
        const char *extension;
        double mib, per_pixel, per_frame; /* the last for up to 44 frames */
    } row[] = {{".mkv", 4, 178, 0},
               {".webm", 22, 205, 0},
               {".gif", 3, 8, 0},
               {".png", 4, 10, 0},
               {"", 8, 40, 4.5}};
    enum { AHEAD = 44 };
    const reel_settings *s = &g->settings;
    const char *output = g->request->output ? g->request->output : "";
    const size_t n = strlen(output);
    const double frames = s->frames < AHEAD ? (double)s->frames : AHEAD;
    size_t i = 0;
    for (; row[i].extension[0]; i++) {
        const size_t k = strlen(row[i].extension);
        if (n >= k && strcmp(output + n - k, row[i].extension) == 0) break;
    }
    return (int64_t)(row[i].mib * 1048576 + (row[i].per_pixel + row[i].per_frame * frames) *
                                                (double)(s->width * s->height));
}

/* Of the half that works. */
static int64_t weight_bytes(reel_params *params, bool decode) {
    int64_t bytes = 0;
    for (int i = 0; i < reel_params_count(params); i++) {
        const reel_param *p = reel_params_at(params, i);
        if (reel_wan_vae_decodes(p->name) == decode)
            bytes += reel_dtype_size(p->dtype, reel_shape_count(&p->shape));
    }
    return bytes;
}

static reel_status measure_turn(const reel_generate *g, bool decode, reel_params *params,
                                const cutting *cut, turn *t) {
    const reel_settings *s = &g->settings;
    const reel_wan_vae_config *c = &reel_generate_config(g, REEL_COMPONENT_VAE)->vae;
    const int64_t size[2] = {s->height, s->width}, f = reel_predict_length(s);
    const int64_t picture = 3 * s->width * s->height;
    reel_wan_vae_stream *stream = NULL;
    const reel_status status = open_stream(g, decode, params, size, cut, &stream);
    if (status != REEL_OK) return status;
    const reel_wan_vae_stream_stats stats = reel_wan_vae_stream_get_stats(stream);
    t->bytes = weight_bytes(params, decode) + reel_wan_vae_stream_peak(stream, f) + picture;
    t->bytes += decode ? encoder_bytes(g) /* else latents of the canvas, twice */
                       : 2 * f * c->z_dim * s->h * s->w * (int64_t)sizeof(float);
    t->flops = stats.flops * (double)stats.n_tiles;
    reel_wan_vae_stream_close(&stream);
    return REEL_OK;
}

/* Cuts an edge into n tiles that overlap by 64 pixels or a little more. */
static void cut_edge(int64_t size, int n, int64_t unit, int64_t *tile, int64_t *stride) {
    const int64_t overlap = (64 + unit - 1) / unit * unit;
    *stride = ((size - overlap + n - 1) / n + unit - 1) / unit * unit;
    *tile = *stride + overlap;
    if (n == 1 || *stride < overlap || *tile >= size) *tile = *stride = 0;
}

enum { PROGRAM = 56 << 20 }; /* the process without a model, about */

/* The fewest tiles with which a turn keeps to max_memory; the most there are when none do, and the
 * prediction says so. */
static reel_status choose_tiles(const reel_generate *g, bool decode, reel_params *params,
                                cutting *cut, turn *t) {
    static const int grid[][2] = {{1, 1}, {1, 2}, {2, 2}, {2, 3}, {3, 3}, {3, 4}, {4, 4}};
    const reel_settings *s = &g->settings;
    const int64_t factor = reel_wan_vae_factor_s(&reel_generate_config(g, REEL_COMPONENT_VAE)->vae);
    const bool tall = s->height > s->width;
    *cut = uncut;
    for (size_t i = 0; i < sizeof grid / sizeof *grid; i++) {
        cut_edge(s->height, grid[i][tall], factor, &cut->tile[0], &cut->stride[0]);
        cut_edge(s->width, grid[i][!tall], factor, &cut->tile[1], &cut->stride[1]);
        const reel_status status = measure_turn(g, decode, params, cut, t);
        if (status != REEL_OK) return status;
        if (!g->request->max_memory || PROGRAM + t->bytes <= g->request->max_memory) break;
    }
    return REEL_OK;
}

/* The fewest bands with which the decoder keeps to max_memory, or to 1.5 GiB where the request has
 * no limit: they give the same pixels, so what they cost is time alone, and without a limit they
 * may cost a tenth. */
static reel_status choose_bands(const reel_generate *g, reel_params *params, cutting *cut,
                                turn *t) {
    enum { USUAL = 1536 << 20, MOST = 16 };
    const reel_settings *s = &g->settings;
    const int64_t asked = g->request->max_memory, limit = asked ? asked : USUAL;
    const int64_t latents = s->w > s->h ? s->w : s->h;
    const double most_cost = asked ? 1.5 : 1.1;
    *cut = uncut;
    reel_status status = measure_turn(g, true, params, cut, t);
    const double flops = t->flops;
    for (int64_t n = 2; n <= MOST && n <= latents; n++) {
        if (status != REEL_OK || PROGRAM + t->bytes <= limit) break;
        const cutting more = {.n_bands = n};
        turn next;
        status = measure_turn(g, true, params, &more, &next);
        if (status != REEL_OK || next.flops > most_cost * flops) break;
        if (next.bytes >= t->bytes) continue;
        *cut = more;
        *t = next;
    }
    return status;
}

static reel_status predict_decode_bytes(reel_generate *g, reel_params *params, int64_t base,
                                        reel_generate_cost *cost) {
    reel_settings *s = &g->settings;
    cutting cut;
    turn t;
    reel_status status = choose_bands(g, params, &cut, &t);
    if (status == REEL_OK && g->request->max_memory && PROGRAM + t.bytes > g->request->max_memory)
        status = choose_tiles(g, true, params, &cut, &t);
    if (status != REEL_OK) return status;
    s->n_bands = cut.n_bands;
    memcpy(s->tile, cut.tile, sizeof s->tile);
    memcpy(s->stride, cut.stride, sizeof s->stride);
    cost->decode_bytes = base + t.bytes;
    return REEL_OK;
}

/* What pictures and clips take to be encoded: those that are shown beside the latents in tiles,
 * where memory is limited. */
static reel_status predict_encode_bytes(reel_generate *g, reel_params *params, int64_t base,
                                        reel_generate_cost *cost) {
    reel_settings *s = &g->settings;
    cutting cut = uncut;
    turn t;
    if (!g->task.n_inputs) return REEL_OK;
    const reel_status status = g->task.condition ? choose_tiles(g, false, params, &cut, &t)
                                                 : measure_turn(g, false, params, &cut, &t);
    if (status != REEL_OK) return status;
    memcpy(s->encode_tile, cut.tile, sizeof s->encode_tile);
    memcpy(s->encode_stride, cut.stride, sizeof s->encode_stride);
    cost->encode_bytes = base + t.bytes;
    return REEL_OK;
}

reel_status reel_predict_vae_bytes(reel_generate *g, int64_t base, reel_generate_cost *cost) {
    reel_params *params = NULL;
    reel_status status = make(g, false, &params);
    if (status == REEL_OK) status = predict_decode_bytes(g, params, base, cost);
    if (status == REEL_OK) status = predict_encode_bytes(g, params, base, cost);
    reel_params_free(&params);
    return status;
}

/* ---- time ---- */

enum { SIDE = 16 }; /* latent rows and columns of the sample */

/* Seconds of a first and of a later latent frame of the sample, and its arithmetic. */
typedef struct sample {
    double first_s, next_s, flops;
} sample;

static reel_status run_sample(const reel_generate *g, bool decode, reel_params *params,
                              sample *result) {
    const reel_settings *s = &g->settings;
    const reel_wan_vae_config *c = &reel_generate_config(g, REEL_COMPONENT_VAE)->vae;
    const int64_t h = s->h < SIDE ? s->h : SIDE, w = s->w < SIDE ? s->w : SIDE;
    const int64_t factor = reel_wan_vae_factor_s(c), size[2] = {h * factor, w * factor};
    const int64_t n = size[0] * size[1] * 3 * reel_wan_vae_factor_t(c);
    reel_wan_vae_stream *stream = NULL;
    float *latent = reel_calloc(g->env, c->z_dim * h * w + n, sizeof *latent, "sample");
    if (!latent) return REEL_E_NOMEM;
    float *pixels = latent + c->z_dim * h * w;
    reel_status status = open_stream(g, decode, params, size, &uncut, &stream);
    for (int i = 0; i < 3 && status == REEL_OK; i++) {
        int64_t frames;
        const double start = reel_clock_s();
        status = decode ? reel_wan_vae_decoder_push(stream, latent, h * w, pixels, &frames)
                        : reel_wan_vae_encoder_push(stream, pixels, latent, NULL, h * w);
        *(i == 0 ? &result->first_s : &result->next_s) = reel_clock_s() - start;
    }
    if (status == REEL_OK) result->flops = reel_wan_vae_stream_get_stats(stream).flops;
    reel_wan_vae_stream_close(&stream);
    reel_free(g->env, latent);
    return status;
}

/* Seconds of so many first and later latent frames, cut as they will be. */
static reel_status predict_turn_s(const reel_generate *g, bool decode, const cutting *cut,
                                  const int64_t n[2], double *seconds) {
    reel_params *params = NULL, *planned = NULL;
    sample measured = {0};
    turn t = {0};
    reel_status status = make(g, true, &params);
    if (status == REEL_OK) status = run_sample(g, decode, params, &measured);
    if (status == REEL_OK) status = make(g, false, &planned);
    if (status == REEL_OK) status = measure_turn(g, decode, planned, cut, &t);
    reel_params_free(&params);
    reel_params_free(&planned);
    if (status == REEL_OK && measured.flops > 0)
        *seconds = t.flops / measured.flops *
                   (measured.first_s * (double)n[0] + measured.next_s * (double)n[1]);
    return status;
}

/* First and later latent frames of what is encoded. A picture inside the canvas stands behind a
 * first frame of its own. */
static void count_encoded(const reel_generate *g, int64_t n[2]) {
    const reel_job *task = &g->task;
    n[0] = n[1] = 0;
    if (task->condition) {
        n[0] = 1;
        n[1] = reel_predict_length(&g->settings) - 1;
        return;
    }
    for (int i = 0; i < task->n_inputs; i++) {
        n[0]++;
        n[1] += task->input[i].latents - 1 + (task->input[i].at > 0);
    }
    for (int i = 0; i < 2 && task->n_steps; i++)
        n[i] *= task->n_steps;
}

reel_status reel_predict_vae_s(reel_generate *g, reel_generate_cost *cost) {
    const reel_settings *s = &g->settings;
    const cutting decoder = {s->n_bands, {s->tile[0], s->tile[1]}, {s->stride[0], s->stride[1]}};
    const cutting encoder = {
        1, {s->encode_tile[0], s->encode_tile[1]}, {s->encode_stride[0], s->encode_stride[1]}};
    const int64_t frames[2] = {1, s->F - 1};
    reel_status status = predict_turn_s(g, true, &decoder, frames, &cost->decode_s);
    if (status != REEL_OK || !g->task.n_inputs) return status;
    int64_t encoded[2];
    count_encoded(g, encoded);
    return predict_turn_s(g, false, &encoder, encoded, &cost->encode_s);
}
