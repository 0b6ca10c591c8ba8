#include "eval/model.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "base/rng.h"
#include "data/quality.h"
#include "models/wan/vae_stream.h"
#include "pipeline/deblock.h"
#include "pipeline/settings.h"
#include "pipeline/transformer.h"
#include "text/prompt.h"
#include "text/tokenizer.h"
#include "zoo/folder.h"

static const char tag[] = "eval model";
enum { PATH_BYTES = 4096 };

struct reel_eval_model {
    reel_env *env;
    reel_eval_model_options o;
    int64_t f, h, w;
    reel_folder *folder; /* NULL: an autoencoder alone */
    reel_settings settings;
    reel_component *part[REEL_COMPONENT_COUNT];
    reel_tokenizer *tokenizer;
    reel_wan_vae_stream *encoder, *decoder;
    int32_t *group; /* [f,h,w] of zeros: all positions have one level */
    float *x, *y;   /* [z,f,h,w] */
};

static reel_dtype compute_of(const reel_component *c) {
    for (int i = 0; i < reel_params_count(c->params); i++)
        if (reel_params_at(c->params, i)->dtype == REEL_BF16) return REEL_BF16;
    return REEL_F32;
}

static const reel_wan_vae_config *vae_of(const reel_eval_model *m) {
    return &m->part[REEL_COMPONENT_VAE]->config.vae;
}

/* ---- opening ---- */

/* The vae/ of a folder that is no whole model, as a training run leaves it. */
static reel_status open_vae_alone(reel_eval_model *m) {
    char path[PATH_BYTES];
    reel_json_doc *doc;
    reel_component_config config;
    snprintf(path, sizeof path, "%s/vae/config.json", m->o.folder);
    reel_status status = reel_json_load(m->env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_component_config_read(&root, REEL_COMPONENT_VAE, &config);
    reel_json_free(&doc);
    snprintf(path, sizeof path, "%s/vae/diffusion_pytorch_model.safetensors", m->o.folder);
    if (status == REEL_OK)
        status = reel_component_open(m->env, &config, path, REEL_WEIGHTS_STORED,
                                     &m->part[REEL_COMPONENT_VAE]);
    return status;
}

/* Everything is made as `reel generate` makes it at this size when nothing else is said. */
static reel_status resolve(reel_eval_model *m) {
    const reel_bucket *s = &m->o.size;
    const reel_generate_request request = {.width = s->width,
                                           .height = s->height,
                                           .frames = s->frames,
                                           .steps = m->o.steps,
                                           .cfg_scale = m->o.cfg_scale,
                                           .cfg_to = -1};
    reel_settings *to = &m->settings;
    const reel_status status = reel_settings_resolve(m->env, m->folder, &request, to);
    if (status != REEL_OK) return status;
    if (m->o.text_length) to->text_length = m->o.text_length;
    if (to->width == s->width && to->height == s->height && to->frames == s->frames) return REEL_OK;
    return reel_fail(m->env, REEL_E_ARG, "%s: cannot make clips of %lld x %lld x %lld: %s",
                     m->o.folder, (long long)s->width, (long long)s->height, (long long)s->frames,
                     to->note[0]);
}

static bool takes_picture(const reel_folder *folder) {
    const reel_component_config *c = reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER);
    return c && reel_wan_dit_takes_picture(&c->transformer);
}

static reel_status open_all(reel_eval_model *m) {
    reel_status status = reel_folder_open(m->env, m->o.folder, &m->folder);
    if (status == REEL_OK &&
        (reel_folder_config(m->folder, REEL_COMPONENT_TRANSFORMER_2) || takes_picture(m->folder)))
        status = reel_fail(m->env, REEL_E_UNSUPPORTED,
                           "%s: takes a picture or has two transformers, which is not evaluated",
                           m->o.folder);
    if (status == REEL_OK) status = resolve(m);
    static const reel_component_kind needed[] = {REEL_COMPONENT_TRANSFORMER, REEL_COMPONENT_VAE,
                                                 REEL_COMPONENT_TEXT_ENCODER};
    for (size_t i = 0; i < sizeof needed / sizeof *needed && status == REEL_OK; i++)
        status =
            reel_folder_component(m->folder, needed[i], REEL_WEIGHTS_STORED, &m->part[needed[i]]);
    if (status != REEL_OK) return status;
    return reel_tokenizer_open(m->env, reel_folder_tokenizer(m->folder), &m->tokenizer);
}

static reel_status set_sizes(reel_eval_model *m) {
    const reel_bucket *s = &m->o.size;
    const int64_t ft = reel_wan_vae_factor_t(vae_of(m)), fs = reel_wan_vae_factor_s(vae_of(m));
    m->f = 1 + (s->frames - 1) / ft;
    m->h = s->height / fs;
    m->w = s->width / fs;
    if (s->frames < 1 || (s->frames - 1) % ft || s->height % fs || s->width % fs)
        return reel_fail(m->env, REEL_E_ARG,
                         "%s: clips must be of multiples of %lld pixels and 1 + k %lld frames, got "
                         "%lld x %lld x %lld",
                         m->o.folder, (long long)fs, (long long)ft, (long long)s->width,
                         (long long)s->height, (long long)s->frames);
    const int64_t n = reel_eval_model_latents(m);
    m->x = reel_calloc(m->env, n, sizeof *m->x, tag);
    m->y = reel_calloc(m->env, n, sizeof *m->y, tag);
    m->group = reel_calloc(m->env, m->f * m->h * m->w, sizeof *m->group, tag);
    return m->x && m->y && m->group ? REEL_OK : REEL_E_NOMEM;
}

static reel_status open_streams(reel_eval_model *m) {
    const reel_component *vae = m->part[REEL_COMPONENT_VAE];
    const reel_wan_vae_stream_options o = {.params = vae->params,
                                           .table = m->o.table,
                                           .compute = compute_of(vae),
                                           .height = m->o.size.height,
                                           .width = m->o.size.width};
    const reel_status status = reel_wan_vae_encoder_open(m->env, vae_of(m), &o, &m->encoder);
    return status == REEL_OK ? reel_wan_vae_decoder_open(m->env, vae_of(m), &o, &m->decoder)
                             : status;
}

reel_status reel_eval_model_open(reel_env *env, const reel_eval_model_options *options,
                                 reel_eval_model **model) {
    char index[PATH_BYTES], vae[PATH_BYTES];
    reel_eval_model *m = reel_calloc(env, 1, sizeof *m, tag);
    if (!m) return REEL_E_NOMEM;
    m->env = env;
    m->o = *options;
    snprintf(index, sizeof index, "%s/model_index.json", options->folder);
    snprintf(vae, sizeof vae, "%s/vae/config.json", options->folder);
    const bool alone =
        reel_path_look(index) != REEL_PATH_FILE && reel_path_look(vae) == REEL_PATH_FILE;
    reel_status status = alone ? open_vae_alone(m) : open_all(m);
    if (status == REEL_OK) status = set_sizes(m);
    if (status == REEL_OK) status = open_streams(m);
    if (status != REEL_OK) {
        reel_eval_model_close(&m);
        return status;
    }
    *model = m;
    return REEL_OK;
}

void reel_eval_model_close(reel_eval_model **model) {
    reel_eval_model *m = *model;
    if (!m) return;
    reel_wan_vae_stream_close(&m->encoder);
    reel_wan_vae_stream_close(&m->decoder);
    reel_tokenizer_close(&m->tokenizer);
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++)
        reel_component_close(&m->part[kind]);
    reel_folder_close(&m->folder);
    reel_free(m->env, m->x);
    reel_free(m->env, m->y);
    reel_free(m->env, m->group);
    reel_free(m->env, m);
    *model = NULL;
}

bool reel_eval_model_generates(const reel_eval_model *m) {
    return m->folder != NULL;
}
int64_t reel_eval_model_factor_s(const reel_eval_model *m) {
    return reel_wan_vae_factor_s(vae_of(m));
}
int64_t reel_eval_model_factor_t(const reel_eval_model *m) {
    return reel_wan_vae_factor_t(vae_of(m));
}
int64_t reel_eval_model_latents(const reel_eval_model *m) {
    return vae_of(m)->z_dim * m->f * m->h * m->w;
}

/* ---- the autoencoder ---- */

/* A clip that is read, or written. */
typedef struct frames {
    const uint8_t *in;
    uint8_t *out;
    int64_t bytes; /* of a frame */
} frames;

static reel_status read_frames(void *context, int64_t first, int64_t n, float *pixels) {
    const frames *c = context;
    for (int64_t i = 0; i < n * c->bytes; i++)
        pixels[i] = (float)c->in[first * c->bytes + i] * (2.0f / 255.0f) - 1.0f;
    return REEL_OK;
}

static reel_status write_frames(void *context, int64_t first, int64_t n, const float *pixels) {
    const frames *c = context;
    reel_pixels_to_u8(pixels, n * c->bytes, c->out + first * c->bytes);
    return REEL_OK;
}

reel_status reel_eval_model_encode(reel_eval_model *m, const uint8_t *rgb, float *latents) {
    frames c = {.in = rgb, .bytes = m->o.size.height * m->o.size.width * 3};
    return reel_wan_vae_encoder_run(m->encoder, read_frames, &c, m->f, latents, NULL);
}

reel_status reel_eval_model_decode(reel_eval_model *m, const float *latents, uint8_t *rgb) {
    frames c = {.out = rgb, .bytes = m->o.size.height * m->o.size.width * 3};
    return reel_wan_vae_decoder_run(m->decoder, latents, m->f, write_frames, &c);
}

/* ---- the transformer ---- */

static reel_status tokenise(reel_eval_model *m, const char *prompt, reel_tokens *tokens) {
    char *clean;
    int64_t bytes;
    const reel_encode_options options = {.max_tokens = m->settings.text_length, .add_end = true};
    reel_status status = reel_prompt_clean(m->env, prompt, (int64_t)strlen(prompt), &clean, &bytes);
    if (status != REEL_OK) return status;
    status = reel_tokenizer_encode(m->tokenizer, clean, bytes, &options, tokens);
    reel_free(m->env, clean);
    return status;
}

/* The rows of the prompt and, with guidance, of nothing. */
static reel_status encode_text(reel_eval_model *m, const char *prompt, bool guided,
                               reel_text_rows *rows) {
    const char *const text[2] = {prompt, ""};
    reel_component *c = m->part[REEL_COMPONENT_TEXT_ENCODER];
    const reel_text_encoder encoder = {.config = &c->config.text_encoder,
                                       .params = c->params,
                                       .table = m->o.table,
                                       .compute = compute_of(c)};
    reel_tokens tokens[2] = {{0}};
    reel_status status = REEL_OK;
    const int n = guided ? 2 : 1;
    for (int i = 0; i < n && status == REEL_OK; i++)
        status = tokenise(m, text[i], &tokens[i]);
    const int32_t *const ids[2] = {tokens[0].id, tokens[1].id};
    const int64_t count[2] = {tokens[0].n, tokens[1].n};
    if (status == REEL_OK) status = reel_text_rows_encode(m->env, &encoder, n, ids, count, rows);
    for (int i = 0; i < 2; i++)
        reel_tokens_deinit(m->env, &tokens[i]);
    return status;
}

static reel_status new_transformer(reel_eval_model *m, const char *prompt, bool guided,
                                   int n_groups, reel_transformer **transformer) {
    reel_component *c = m->part[REEL_COMPONENT_TRANSFORMER];
    reel_text_rows rows = {0};
    if (!c)
        return reel_fail(m->env, REEL_E_UNSUPPORTED, "%s: has an autoencoder alone", m->o.folder);
    reel_status status = encode_text(m, prompt, guided, &rows);
    const reel_transformer_options o = {.config = &c->config.transformer,
                                        .params = c->params,
                                        .table = m->o.table,
                                        .compute = compute_of(c),
                                        .gives_sample = m->settings.gives_sample,
                                        .F = m->f,
                                        .h = m->h,
                                        .w = m->w,
                                        .n_groups = n_groups,
                                        .text = &rows,
                                        .text_length = m->settings.text_length};
    if (status == REEL_OK) status = reel_transformer_new(m->env, &o, transformer);
    reel_text_rows_deinit(m->env, &rows);
    return status;
}

static reel_status denoise(reel_eval_model *m, const char *prompt, reel_denoise *run) {
    reel_transformer *transformer = NULL;
    reel_status status = new_transformer(m, prompt, reel_denoise_is_guided(run),
                                         reel_denoise_n_groups(run), &transformer);
    if (status == REEL_OK)
        status = reel_denoise_run(run, reel_transformer_evaluate, transformer, NULL, NULL);
    reel_transformer_free(&transformer);
    return status;
}

/* As the pictures of a generation come to a file. */
static reel_status deblock(reel_eval_model *m, uint8_t *rgb) {
    const int64_t n = 3 * m->o.size.height * m->o.size.width;
    reel_deblock d;
    if (!(m->settings.deblock > 0)) return REEL_OK;
    const reel_status status =
        reel_deblock_init(m->env, n, reel_wan_vae_factor_t(vae_of(m)), m->settings.deblock, &d);
    for (int64_t f = 0; f < m->o.size.frames && status == REEL_OK; f++)
        reel_deblock_frame(&d, f, rgb + f * n);
    reel_deblock_deinit(&d);
    return status;
}

reel_status reel_eval_model_generate(reel_eval_model *m, const char *prompt, uint64_t seed,
                                     uint8_t *rgb) {
    if (!reel_eval_model_generates(m))
        return reel_fail(m->env, REEL_E_UNSUPPORTED, "%s: has an autoencoder alone", m->o.folder);
    reel_canvas canvas;
    reel_denoise *run = NULL;
    const reel_denoise_options o = {
        .sampler = m->settings.sampler, .guidance = m->settings.guidance, .seed = seed};
    reel_status status = reel_canvas_init(m->env, vae_of(m)->z_dim, m->f, m->h, m->w, &canvas);
    if (status != REEL_OK) return status;
    status = reel_denoise_new(m->env, &canvas, &o, &run);
    if (status == REEL_OK) status = denoise(m, prompt, run);
    if (status == REEL_OK) status = reel_eval_model_decode(m, reel_denoise_latents(run), rgb);
    if (status == REEL_OK) status = deblock(m, rgb);
    reel_denoise_free(&run);
    reel_canvas_deinit(&canvas);
    return status;
}

/* m->x becomes how far the predicted velocity is from the true one, eps - latents: [z,f,h,w] */
static reel_status predict(reel_eval_model *m, const float *latents, const char *prompt, double t,
                           uint64_t seed) {
    const int64_t n = reel_eval_model_latents(m);
    reel_transformer *transformer = NULL;
    const double timestep = 1000 * t;
    float *eps = m->y;
    reel_rng_fill_normal(seed, reel_rng_stream("eval noise"), 0, n, eps);
    for (int64_t i = 0; i < n; i++)
        m->x[i] = (float)(1 - t) * latents[i] + (float)t * eps[i];
    const reel_denoise_query query = {
        .x = m->x, .group = m->group, .n_groups = 1, .timestep = &timestep, .sigma = &t};
    reel_status status = new_transformer(m, prompt, false, 1, &transformer);
    if (status == REEL_OK) status = reel_transformer_evaluate(transformer, &query, m->x, NULL);
    reel_transformer_free(&transformer);
    if (status != REEL_OK) return status;
    for (int64_t i = 0; i < n; i++)
        m->x[i] -= eps[i] - latents[i];
    return REEL_OK;
}

reel_status reel_eval_model_error(reel_eval_model *m, const float *latents, const char *prompt,
                                  double t, uint64_t seed, double *error) {
    const int64_t n = reel_eval_model_latents(m);
    const reel_status status = predict(m, latents, prompt, t, seed);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)m->x[i] * (double)m->x[i];
    *error = sum / (double)n;
    return status;
}

reel_status reel_eval_model_mistake(reel_eval_model *m, const uint8_t *rgb, const char *prompt,
                                    double t, uint64_t seed, float *error) {
    const int64_t n = reel_eval_model_latents(m);
    reel_status status = reel_eval_model_encode(m, rgb, error);
    if (status == REEL_OK) status = predict(m, error, prompt, t, seed);
    for (int64_t i = 0; i < n; i++) /* x0 = x - t v */
        error[i] = (float)-t * m->x[i];
    return status;
}
