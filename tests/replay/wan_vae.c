#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "replay/replay.h"
#include "zoo/config.h"

typedef struct vae_case {
    replay *r;
    const reel_wan_vae_config *config;
    reel_params *params;
} vae_case;

/* ---- whole clips ---- */

/* out = min(max(x, low), high) in place */
static void clamp(float *x, int64_t n, float low, float high) {
    for (int64_t i = 0; i < n; i++)
        x[i] = fminf(fmaxf(x[i], low), high);
}

static int64_t count_of(const replay_run *run, reel_var var) {
    return reel_shape_count(&reel_tape_value(run->tape, var)->shape);
}

/* Encodes a clip [1,3,F,H,W]; compares what the names say (NULL: nothing) and hands the mean over
 * in memory of the caller, when mean is not NULL. */
typedef struct encoded_names {
    const char *mean, *logvar, *normalised;
} encoded_names;

static reel_status encode(const vae_case *v, const reel_tensor *video, encoded_names names,
                          float **mean, reel_shape *shape) {
    replay_run run = {0};
    reel_var logvar = 0;
    reel_status status = replay_begin(v->r, v->params, &run);
    if (status != REEL_OK) return status;
    const reel_var mu =
        reel_wan_vae_encode(&run.nn, v->config, replay_var(&run, "video", video), &logvar);
    reel_tape_keep(run.tape, mu);
    reel_tape_keep(run.tape, logvar);
    status = replay_finish(v->r, &run);
    if (status == REEL_OK) {
        const int64_t n = count_of(&run, mu);
        float *x = reel_plan_data(run.plan, mu), *l = reel_plan_data(run.plan, logvar);
        *shape = reel_tape_value(run.tape, mu)->shape;
        if (names.mean) replay_compare(v->r, names.mean, x, n);
        clamp(l, n, -30, 20); /* as the reference hands it out */
        if (names.logvar) replay_compare(v->r, names.logvar, l, n);
        *mean = reel_alloc(v->r->env, n * 4, "replay");
        status = *mean ? REEL_OK : REEL_E_NOMEM;
        if (*mean) memcpy(*mean, x, (size_t)n * 4);
        for (int64_t b = 0; names.normalised && b < shape->dim[0]; b++)
            reel_wan_vae_normalise(v->config, x + b * (n / shape->dim[0]),
                                   reel_shape_span(shape, 2, 5));
        if (names.normalised) replay_compare(v->r, names.normalised, x, n);
    }
    replay_end(&run);
    return status;
}

/* Decodes latents that are not normalised; name: clamped to [-1,1], unclamped: as they are. */
static reel_status decode(const vae_case *v, const reel_tensor *z, const char *name,
                          const char *unclamped) {
    replay_run run = {0};
    reel_status status = replay_begin(v->r, v->params, &run);
    if (status != REEL_OK) return status;
    const reel_var x = reel_wan_vae_decode(&run.nn, v->config, replay_var(&run, "latent", z));
    reel_tape_keep(run.tape, x);
    status = replay_finish(v->r, &run);
    if (status == REEL_OK) {
        float *got = reel_plan_data(run.plan, x);
        if (unclamped) replay_compare(v->r, unclamped, got, count_of(&run, x));
        clamp(got, count_of(&run, x), -1, 1);
        replay_compare(v->r, name, got, count_of(&run, x));
    }
    replay_end(&run);
    return status;
}

/* ---- pieces, for the intermediates ---- */

/* "enc.down3#1" -> the scope and the piece; false for another name. */
static bool piece_scope(const char *name, const char *side, char scope[96], int *piece) {
    const char *hash = strchr(name, '#');
    if (strncmp(name, side, 3) != 0 || name[3] != '.') return false;
    *piece = hash ? atoi(hash + 1) : 0;
    const int length = hash ? (int)(hash - name) - 4 : (int)strlen(name) - 4;
    const char *model = side[0] == 'e' ? "encoder" : "decoder";
    int level, used = 0;
    char part[48];
    snprintf(part, sizeof part, "%.*s", length < 47 ? length : 47, name + 4);
    if (sscanf(part, "down%d%n", &level, &used) == 1 || sscanf(part, "up%d%n", &level, &used) == 1)
        snprintf(scope, 96, "%s.%s_blocks.%d%.32s", model, part[0] == 'd' ? "down" : "up", level,
                 part + used);
    else
        snprintf(scope, 96, "%s.%.48s", model, part);
    return true;
}

/* Memory of what one piece leaves to the next. */
typedef struct carried {
    reel_env *env;
    void *data[REEL_WAN_VAE_CACHES];
} carried;

static reel_status bind_cache(carried *c, replay_run *run, const reel_wan_vae_caches *caches,
                              int i) {
    const reel_var var = caches->out[i] ? caches->out[i] : caches->in[i];
    if (!var) return REEL_OK;
    const reel_value *value = reel_tape_value(run->tape, var);
    const int64_t bytes = reel_shape_count(&value->shape) * reel_dtype_bytes(value->dtype);
    if (!c->data[i]) c->data[i] = reel_calloc(c->env, bytes, 1, "replay");
    if (!c->data[i]) return REEL_E_NOMEM;
    reel_wan_vae_cache_bind(run->tape, caches, i, c->data[i]);
    return REEL_OK;
}

/* The piece as channels last: frames [first, first + n) of x [1,C,F,H,W]. */
static float *cut(replay *r, const reel_tensor *x, int64_t first, int64_t n) {
    const int64_t *d = x->shape.dim, plane = d[3] * d[4];
    float *piece = reel_alloc(r->env, d[0] * d[1] * n * plane * 4, "replay");
    for (int64_t b = 0; piece && b < d[0]; b++)
        for (int64_t c = 0; c < d[1]; c++)
            for (int64_t f = 0; f < n; f++)
                for (int64_t i = 0; i < plane; i++)
                    piece[((b * n + f) * plane + i) * d[1] + c] = reel_dtype_load(
                        x->dtype, x->data, ((b * d[1] + c) * d[2] + first + f) * plane + i);
    return piece;
}

static void visit_outputs(replay *r, replay_run *run, const char *side, int piece, bool compare) {
    const replay_view grid = {.channels_last = true};
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++) {
        const char *name = reel_safetensors_at(r->outputs, i)->name;
        char scope[96];
        int of;
        if (!piece_scope(name, side, scope, &of) || of != piece) continue;
        const reel_var var = replay_made_in(run, scope, NULL);
        if (compare && var) replay_compare_var(r, run, name, var, grid);
    }
}

static reel_status run_piece(const vae_case *v, const char *side, int piece, const float *data,
                             reel_shape shape, carried *memory) {
    const reel_wan_vae_piece which = piece ? REEL_WAN_VAE_NEXT : REEL_WAN_VAE_FIRST;
    reel_wan_vae_caches *caches = reel_calloc(v->r->env, 1, sizeof *caches, "replay");
    replay_run run = {0};
    if (!caches) return REEL_E_NOMEM;
    reel_status status = replay_begin(v->r, v->params, &run);
    if (status == REEL_OK) {
        const reel_var x = reel_tape_input(run.tape, REEL_F32, shape, "piece", data);
        const reel_var y = (side[0] == 'e' ? reel_wan_vae_encode_piece : reel_wan_vae_decode_piece)(
            &run.nn, v->config, x, which, caches);
        reel_tape_keep(run.tape, y);
        for (int i = 0; i < caches->n && status == REEL_OK; i++)
            status = bind_cache(memory, &run, caches, i);
        visit_outputs(v->r, &run, side, piece, false); /* to be kept */
        if (status == REEL_OK) status = replay_finish(v->r, &run);
        if (status == REEL_OK) visit_outputs(v->r, &run, side, piece, true);
    }
    replay_end(&run);
    reel_free(v->r->env, caches);
    return status;
}

/* Piece by piece as the reference does it: one frame, then factor_t at a time, or one latent. */
static reel_status run_pieces(const vae_case *v, const char *side, const reel_tensor *x) {
    carried memory = {.env = v->r->env};
    const int64_t step = side[0] == 'e' ? reel_wan_vae_factor_t(v->config) : 1;
    const int64_t *d = x->shape.dim;
    reel_status status = REEL_OK;
    int piece = 0;
    for (int64_t first = 0; first < d[2] && status == REEL_OK; piece++) {
        const int64_t n = piece ? step : 1;
        float *data = first + n <= d[2] ? cut(v->r, x, first, n) : NULL;
        status =
            data ? run_piece(v, side, piece, data, REEL_SHAPE(d[0], n, d[3], d[4], d[1]), &memory)
                 : REEL_E_NOMEM;
        reel_free(v->r->env, data);
        first += n;
    }
    for (int i = 0; i < REEL_WAN_VAE_CACHES; i++)
        reel_free(memory.env, memory.data[i]);
    return status;
}

/* ---- a case ---- */

/* The latent as the decoder takes it: given so, or normalised. */
static reel_status read_latent(const vae_case *v, reel_tensor *z, float **owned) {
    replay *r = v->r;
    if (replay_has_input(r, "latent_raw")) return replay_input(r, "latent_raw", z);
    if (replay_has_input(r, "latent")) return replay_input(r, "latent", z);
    reel_status status = replay_input(r, "latent_normalized", z);
    if (status != REEL_OK) return status;
    const int64_t n = reel_tensor_count(z);
    *owned = reel_alloc(r->env, n * 4, "replay");
    if (!*owned) return REEL_E_NOMEM;
    reel_dtype_cast(REEL_F32, *owned, z->dtype, z->data, n);
    for (int64_t b = 0; b < z->shape.dim[0]; b++)
        reel_wan_vae_denormalise(v->config, *owned + b * (n / z->shape.dim[0]),
                                 reel_shape_span(&z->shape, 2, 5));
    *z = (reel_tensor){REEL_F32, z->shape, *owned};
    return REEL_OK;
}

static reel_status run_video(const vae_case *v) {
    reel_tensor video;
    float *mean = NULL, *frame = NULL;
    reel_shape shape;
    reel_status status = replay_input(v->r, "video", &video);
    const encoded_names names = {"mu", "logvar", "mu_normalized"};
    if (status == REEL_OK) status = encode(v, &video, names, &mean, &shape);
    if (status == REEL_OK && replay_output(v->r, "recon_from_mu"))
        status = decode(v, &(reel_tensor){REEL_F32, shape, mean}, "recon_from_mu", NULL);
    reel_free(v->r->env, mean);
    mean = NULL;
    if (status == REEL_OK && replay_output(v->r, "single_frame_mu") && video.shape.dim[0] == 1) {
        const int64_t *d = video.shape.dim, plane = d[3] * d[4];
        frame = reel_alloc(v->r->env, d[1] * plane * 4, "replay");
        for (int64_t c = 0; frame && c < d[1]; c++)
            for (int64_t i = 0; i < plane; i++)
                frame[c * plane + i] =
                    reel_dtype_load(video.dtype, video.data, c * d[2] * plane + i);
        const reel_tensor one = {REEL_F32, REEL_SHAPE(1, d[1], 1, d[3], d[4]), frame};
        status = frame ? encode(v, &one, (encoded_names){.mean = "single_frame_mu"}, &mean, &shape)
                       : REEL_E_NOMEM;
        if (status == REEL_OK)
            status = decode(v, &(reel_tensor){REEL_F32, shape, mean}, "single_frame_recon", NULL);
    }
    reel_free(v->r->env, mean);
    reel_free(v->r->env, frame);
    return status == REEL_OK ? run_pieces(v, "enc", &video) : status;
}

static reel_status run_latent(const vae_case *v) {
    replay *r = v->r;
    reel_tensor z;
    float *owned = NULL;
    if (!replay_has_input(r, "latent_raw") && !replay_has_input(r, "latent") &&
        !replay_has_input(r, "latent_normalized"))
        return REEL_OK; /* a case of the encoder alone */
    reel_status status = read_latent(v, &z, &owned);
    if (status == REEL_OK) status = decode(v, &z, "decoded", "decoded_unclamped");
    if (status == REEL_OK) status = run_pieces(v, "dec", &z);
    reel_free(r->env, owned);
    return status;
}

reel_status replay_wan_vae(replay *r) {
    reel_component_config c;
    vae_case v = {.r = r, .config = &c.vae};
    reel_status status = reel_component_config_read(&r->config, REEL_COMPONENT_VAE, &c);
    if (status == REEL_OK) status = replay_params(r, "", &v.params);
    if (status == REEL_OK && replay_has_input(r, "video")) status = run_video(&v);
    if (status == REEL_OK) status = run_latent(&v);
    if (status == REEL_OK && replay_output(r, "mu") && replay_output(r, "decoded"))
        status = replay_all_used(r, v.params);
    reel_params_free(&v.params);
    return status;
}
