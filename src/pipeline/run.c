/* Running a generation: the phases one after another. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sweep.h"
#include "pipeline/experts.h"
#include "pipeline/generate_state.h"
#include "pipeline/known.h"
#include "pipeline/splice.h"

typedef struct run {
    reel_generate *g;
    reel_env *env;
    reel_event_fn *on_event;
    reel_cancel_fn *cancel;
    void *context;
    double start_s, phase_s;
    int64_t phase_from; /* how far the phase was when it began */

    const char *key, *provenance; /* what a resumed run is compared by; what goes into the file */
    int64_t seed;
    reel_resume_file *resume; /* of an interrupted run, or NULL */
    reel_text_rows rows;
    reel_preview_map preview;
    bool has_preview;
    reel_canvas canvas;
    reel_condition condition;
    reel_denoise *denoise;
    reel_video_writer *writer;
} run;

/* ---- telling ---- */

static void tell(run *r, reel_event_kind kind, const char *text, int64_t done, int64_t total) {
    if (!r->on_event) return;
    const double now = reel_clock_s();
    const double gone = now - r->phase_s;
    const int64_t moved = done - r->phase_from;
    const reel_event event = {.kind = kind,
                              .text = text,
                              .done = done,
                              .total = total,
                              .elapsed_s = now - r->start_s,
                              .left_s =
                                  moved > 0 ? gone / (double)moved * (double)(total - done) : -1};
    r->on_event(r->context, &event);
}

static void begin_phase(run *r, const char *name, int64_t from, int64_t total) {
    r->phase_s = reel_clock_s();
    r->phase_from = from;
    tell(r, REEL_EVENT_PHASE, name, from, total);
}

static reel_status tick(void *context) {
    run *r = context;
    if (!r->cancel || !r->cancel(r->context)) return REEL_OK;
    return reel_fail(r->env, REEL_E_CANCELLED, "stopped; the same command goes on from here");
}

/* ---- who we are ---- */

static reel_status write_provenance(run *r, bool with_seed, const char **text) {
    const reel_generate *g = r->g;
    const reel_provenance provenance = {.model = g->request->model,
                                        .hash = g->hash,
                                        .prompt = g->request->prompt,
                                        .negative_prompt = g->request->negative_prompt,
                                        .isa = g->backend.isa,
                                        .lora = g->request->lora,
                                        .n_loras = g->request->n_loras,
                                        .seed = r->seed,
                                        .settings = &g->settings,
                                        .task = &g->task};
    reel_json_out out;
    reel_json_out_init(&out, r->env);
    reel_provenance_write(&out, &provenance, with_seed);
    const char *made;
    int64_t bytes;
    reel_status status = reel_json_out_text(&out, &made, &bytes);
    if (status == REEL_OK) {
        *text = reel_arena_strdup(&r->g->arena, made);
        if (!*text) status = REEL_E_NOMEM;
    }
    reel_json_out_deinit(&out);
    return status;
}

/* ---- the file ---- */

static reel_status open_writer(run *r, reel_video_writer **writer) {
    const reel_settings *s = &r->g->settings;
    reel_video_options o = reel_video_options_default();
    o.width = (int)s->width;
    o.height = (int)s->height;
    o.fps = (reel_rational){s->fps_num, s->fps_den};
    o.comment = r->provenance;
    return reel_video_writer_open(r->env, r->g->request->output, &o, writer);
}

/* Finds out at the beginning whether the file can be written at all. */
static reel_status try_writer(run *r) {
    if (!r->g->request->output) return reel_fail(r->env, REEL_E_ARG, "no file to write was named");
    reel_sweep(r->g->request->output); /* what killed runs left */
    reel_sweep(r->g->state_path);
    reel_video_writer *writer = NULL;
    const reel_status status = open_writer(r, &writer);
    reel_video_writer_close(&writer);
    return status;
}

/* ---- text ---- */

static reel_status encode_text(run *r) {
    reel_generate *g = r->g;
    if (r->resume && reel_resume_text(r->resume, &r->rows) == REEL_OK) {
        if (r->rows.n_prompts == g->n_prompts) return REEL_OK;
        reel_text_rows_deinit(r->env, &r->rows);
    }
    reel_env_clear(r->env);
    begin_phase(r, "text", 0, g->n_prompts);
    reel_component *c;
    const reel_component_kind kind = REEL_COMPONENT_TEXT_ENCODER;
    reel_status status = reel_folder_component(g->folder, kind, reel_generate_weights(g, kind), &c);
    if (status != REEL_OK) return status;
    const reel_text_encoder encoder = {.config = &c->config.text_encoder,
                                       .params = c->params,
                                       .files = c->files,
                                       .table = g->backend.table,
                                       .compute = reel_generate_compute(c),
                                       .tick = tick,
                                       .tick_context = r};
    const int32_t *ids[REEL_MAX_PROMPTS];
    int64_t n[REEL_MAX_PROMPTS];
    for (int i = 0; i < g->n_prompts; i++) {
        ids[i] = g->tokens[i].id;
        n[i] = g->tokens[i].n;
    }
    status = reel_text_rows_encode(r->env, &encoder, g->n_prompts, ids, n, &r->rows);
    reel_component_close(&c);
    return status;
}

/* ---- previews ---- */

static reel_status open_vae(run *r, reel_component **c, reel_decode_options *o) {
    const reel_generate *g = r->g;
    const reel_settings *s = &g->settings;
    const reel_component_kind kind = REEL_COMPONENT_VAE;
    const reel_status status =
        reel_folder_component(g->folder, kind, reel_generate_weights(g, kind), c);
    if (status != REEL_OK) return status;
    *o = (reel_decode_options){.config = &(*c)->config.vae,
                               .params = (*c)->params,
                               .table = g->backend.table,
                               .compute = g->bf16 ? REEL_BF16 : REEL_F32,
                               .width = s->width,
                               .height = s->height,
                               .f = s->F,
                               .h = s->h,
                               .w = s->w,
                               .tile = {s->tile[0], s->tile[1]},
                               .stride = {s->stride[0], s->stride[1]}};
    return REEL_OK;
}

static reel_status fit_preview(run *r) {
    const int64_t z = reel_generate_config(r->g, REEL_COMPONENT_VAE)->vae.z_dim;
    if (!r->g->request->preview_path) return REEL_OK;
    if (r->resume && reel_resume_preview(r->resume, z, &r->preview)) {
        r->has_preview = true;
        return REEL_OK;
    }
    reel_component *c;
    reel_decode_options o;
    reel_status status = open_vae(r, &c, &o);
    if (status != REEL_OK) return status;
    status = reel_decode_fit_preview(r->env, &o, &r->preview);
    r->has_preview = status == REEL_OK;
    reel_component_close(&c);
    return status;
}

static bool is_picture(const char *path) {
    const size_t n = strlen(path);
    return n >= 4 && strcmp(path + n - 4, ".png") == 0 && !strchr(path, '%');
}

/* The frames of the latents, four times as large as they are; of a picture the middle one. */
static reel_status write_preview(run *r, const float *x0) {
    enum { ZOOM = 4 };
    const reel_settings *s = &r->g->settings;
    const char *path = r->g->request->preview_path;
    const bool picture = is_picture(path);
    reel_picture small = {0}, large = {0};
    reel_video_writer *writer = NULL;
    reel_video_options o = reel_video_options_default();
    o.width = (int)s->w * ZOOM;
    o.height = (int)s->h * ZOOM;
    o.fps = (reel_rational){s->fps_num, s->fps_den * 4};
    reel_status status = reel_picture_init(r->env, (int)s->w, (int)s->h, &small);
    if (status == REEL_OK) status = reel_picture_init(r->env, o.width, o.height, &large);
    if (status == REEL_OK) status = reel_video_writer_open(r->env, path, &o, &writer);
    for (int64_t f = picture ? s->F / 2 : 0; status == REEL_OK && f < s->F; f++) {
        reel_preview_frame(&r->preview, x0, s->F, s->h, s->w, f, small.pixels);
        status = reel_picture_fit(r->env, &small, REEL_FIT_STRETCH, &large);
        if (status == REEL_OK) status = reel_video_writer_push(writer, large.pixels);
        if (picture) break;
    }
    if (status == REEL_OK) status = reel_video_writer_finish(writer);
    reel_video_writer_close(&writer);
    reel_picture_deinit(r->env, &small);
    reel_picture_deinit(r->env, &large);
    if (status == REEL_OK) tell(r, REEL_EVENT_PREVIEW, path, 0, 0);
    return status;
}

/* ---- what is known ---- */

/* What a model that makes video from pictures is shown of them, but for the canvas. */
static reel_status look_at_picture(run *r) {
    const reel_generate *g = r->g;
    const reel_component_kind kind = REEL_COMPONENT_IMAGE_ENCODER;
    if (!reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer.image_dim) return REEL_OK;
    reel_component *c;
    reel_status status = reel_folder_component(g->folder, kind, reel_generate_weights(g, kind), &c);
    if (status != REEL_OK) return status;
    const reel_image_encoder encoder = {.config = &c->config.image_encoder,
                                        .params = c->params,
                                        .files = c->files,
                                        .table = g->backend.table,
                                        .compute = reel_generate_compute(c),
                                        .tick = tick,
                                        .tick_context = r};
    const char *first = NULL;
    for (int i = 0; i < g->task.n_inputs; i++)
        if (g->task.input[i].at == 0) first = g->task.input[i].path;
    status = reel_condition_look(r->env, &encoder, first, &r->condition);
    reel_component_close(&c);
    return status;
}

/* The canvas, with what the task's files put on it or beside it. */
static reel_status make_canvas(run *r) {
    const reel_generate *g = r->g;
    const reel_settings *s = &g->settings;
    const reel_wan_dit_config *dit =
        &reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer;
    reel_status status = reel_canvas_init(r->env, dit->out_channels, s->F, s->h, s->w, &r->canvas);
    if (status != REEL_OK || !g->task.n_inputs) return status;
    begin_phase(r, "encode", 0, g->task.n_inputs);
    reel_component *c;
    reel_decode_options vae;
    status = open_vae(r, &c, &vae);
    if (status != REEL_OK) return status;
    const reel_known_options options = {
        .config = vae.config,
        .params = vae.params,
        .table = vae.table,
        .compute = vae.compute,
        .width = s->width,
        .height = s->height,
        .patch = {dit->patch_size[0], dit->patch_size[1], dit->patch_size[2]},
        .tile = {vae.tile[0], vae.tile[1]},
        .stride = {vae.stride[0], vae.stride[1]},
        .tick = tick,
        .context = r};
    status = g->task.condition ? reel_condition_encode(r->env, &options, &g->task, s->F, s->h, s->w,
                                                       &r->condition)
                               : reel_known_put(r->env, &options, &g->task, &r->canvas);
    reel_component_close(&c);
    return status == REEL_OK ? look_at_picture(r) : status;
}

/* ---- denoise ---- */

static reel_status save(run *r) {
    const reel_denoise_memory memory = reel_denoise_get_memory(r->denoise);
    const reel_resume resume = {.settings = r->key,
                                .seed = r->seed,
                                .done = reel_denoise_done(r->denoise),
                                .text = &r->rows,
                                .preview = r->has_preview ? &r->preview : NULL};
    return reel_resume_save(r->env, r->g->state_path, &resume, &memory);
}

static reel_status after_step(void *context, const reel_denoise_step *step) {
    run *r = context;
    reel_status status = save(r);
    if (status != REEL_OK) return status;
    tell(r, REEL_EVENT_STEP, NULL, step->done, step->n);
    if (r->has_preview) status = write_preview(r, step->x0);
    return status == REEL_OK ? tick(r) : status;
}

static reel_status begin_denoise(run *r) {
    const reel_settings *s = &r->g->settings;
    const reel_denoise_options options = {
        .sampler = s->sampler, .guidance = s->guidance, .seed = (uint64_t)r->seed};
    reel_status status = reel_denoise_new(r->env, &r->canvas, &options, &r->denoise);
    if (status == REEL_OK && r->resume) status = reel_resume_restore(r->resume, r->denoise);
    if (status == REEL_OK && !r->resume) status = save(r);
    return status;
}

static reel_status denoise(run *r) {
    reel_status status = begin_denoise(r);
    if (status != REEL_OK) return status;
    const int done = reel_denoise_done(r->denoise), n = reel_denoise_n(r->denoise);
    reel_resume_close(&r->resume);
    if (done == n) return REEL_OK;
    begin_phase(r, "denoise", done, n);
    reel_experts experts = {.g = r->g,
                            .text = &r->rows,
                            .condition = &r->condition,
                            .n_groups = reel_denoise_n_groups(r->denoise),
                            .n_rows = reel_denoise_is_guided(r->denoise) ? 2 : 1,
                            .tick = tick,
                            .tick_context = r};
    status = reel_denoise_run(r->denoise, reel_experts_evaluate, &experts, after_step, r);
    reel_experts_close(&experts);
    return status;
}

/* ---- decode ---- */

static reel_status after_frames(void *context, int64_t frames) {
    run *r = context;
    tell(r, REEL_EVENT_FRAMES, NULL, frames, r->g->settings.frames);
    return tick(r);
}

/* Decodes into the writer what the task's clips are spliced with, and tells of the seams. */
static reel_status decode_spliced(run *r, reel_decode_options *o) {
    const reel_settings *s = &r->g->settings;
    reel_splice *splice = NULL;
    reel_status status =
        reel_splice_open(r->env, &r->g->task, (int)s->width, (int)s->height, r->writer, &splice);
    if (status != REEL_OK) return status;
    o->frame = reel_splice_frame;
    o->frame_context = splice;
    status = reel_decode(r->env, o, reel_denoise_latents(r->denoise), r->writer);
    if (status == REEL_OK) status = reel_splice_finish(splice);
    const double seam = status == REEL_OK ? reel_splice_seam(splice) : -1;
    reel_splice_close(&splice);
    if (seam >= 0) {
        char text[96];
        snprintf(text, sizeof text, "%.3g times the median step between frames", seam);
        tell(r, REEL_EVENT_SEAM, text, 0, 0);
    }
    return status;
}

static reel_status decode(run *r) {
    begin_phase(r, "decode", 0, r->g->settings.frames);
    reel_component *c;
    reel_decode_options o;
    reel_status status = open_vae(r, &c, &o);
    if (status != REEL_OK) return status;
    o.progress = after_frames;
    o.context = r;
    status = open_writer(r, &r->writer);
    if (status == REEL_OK)
        status = r->g->task.n_segments
                     ? decode_spliced(r, &o)
                     : reel_decode(r->env, &o, reel_denoise_latents(r->denoise), r->writer);
    if (status == REEL_OK) status = reel_video_writer_finish(r->writer);
    reel_video_writer_close(&r->writer);
    reel_component_close(&c);
    return status;
}

/* ---- all of it ---- */

static reel_status find_resume(run *r) {
    reel_generate *g = r->g;
    const int64_t seed = g->request->seed_is_drawn ? -1 : g->request->seed;
    const reel_status status = reel_resume_open(r->env, g->state_path, r->key, seed, &r->resume);
    if (status != REEL_OK) return status;
    r->seed = r->resume ? reel_resume_seed(r->resume) : g->request->seed;
    g->shown.seed = r->seed;
    g->shown.steps_done = r->resume ? reel_resume_done(r->resume) : 0;
    return REEL_OK;
}

static reel_status run_phases(run *r) {
    reel_generate_cost cost;
    reel_status status = reel_generate_identify(r->g);
    if (status == REEL_OK) status = reel_predict_memory(r->g, &cost);
    if (status == REEL_OK) status = write_provenance(r, false, &r->key);
    if (status == REEL_OK) status = try_writer(r);
    if (status == REEL_OK) status = find_resume(r);
    if (status == REEL_OK) status = write_provenance(r, true, &r->provenance);
    if (status != REEL_OK) return status;
    tell(r, REEL_EVENT_BEGIN, NULL, r->g->shown.steps_done, r->g->shown.steps);
    status = make_canvas(r);
    if (status == REEL_OK) status = encode_text(r);
    if (status == REEL_OK) status = fit_preview(r);
    if (status == REEL_OK) status = denoise(r);
    if (status == REEL_OK) status = decode(r);
    if (status != REEL_OK) return status;
    (void)unlink(r->g->state_path); /* the file is there: nothing is left to be resumed */
    tell(r, REEL_EVENT_DONE, r->g->request->output, r->g->settings.frames, r->g->settings.frames);
    return REEL_OK;
}

reel_status reel_generate_run(reel_generate *g, reel_event_fn *on_event, reel_cancel_fn *cancel,
                              void *context) {
    run r = {.g = g,
             .env = g->env,
             .on_event = on_event,
             .cancel = cancel,
             .context = context,
             .start_s = reel_clock_s(),
             .seed = g->request->seed};
    const reel_status status = run_phases(&r);
    reel_resume_close(&r.resume);
    reel_denoise_free(&r.denoise);
    reel_canvas_deinit(&r.canvas);
    reel_condition_deinit(r.env, &r.condition);
    reel_text_rows_deinit(r.env, &r.rows);
    return status;
}
