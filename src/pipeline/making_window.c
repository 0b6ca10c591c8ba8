/* Making a window: its canvas, and the denoising of it. A generation that is made at once is one
 * window. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/experts.h"
#include "pipeline/known.h"
#include "pipeline/making_state.h"

/* ---- previews ---- */

reel_status reel_making_fit_preview(reel_making *r) {
    const int64_t z = reel_generate_config(r->g, REEL_COMPONENT_VAE)->vae.z_dim;
    if (!r->g->request->preview_path) return REEL_OK;
    if (r->resume && reel_resume_preview(r->resume, z, &r->preview)) {
        r->has_preview = true;
        return REEL_OK;
    }
    reel_component *c;
    reel_decode_options o;
    reel_status status = reel_making_open_vae(r, true, &c, &o);
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
static reel_status write_preview(reel_making *r, const float *x0) {
    enum { ZOOM = 4 };
    const reel_settings *s = &r->g->settings;
    const char *path = r->g->request->preview_path;
    const bool picture = is_picture(path);
    const int64_t F = r->canvas.F;
    reel_picture small = {0}, large = {0};
    reel_video_writer *writer = NULL;
    reel_video_options o = reel_video_options_default();
    o.width = (int)s->w * ZOOM;
    o.height = (int)s->h * ZOOM;
    o.fps = (reel_rational){s->fps_num, s->fps_den * 4};
    reel_status status = reel_picture_init(r->env, (int)s->w, (int)s->h, &small);
    if (status == REEL_OK) status = reel_picture_init(r->env, o.width, o.height, &large);
    if (status == REEL_OK) status = reel_video_writer_open(r->env, path, &o, &writer);
    for (int64_t f = picture ? F / 2 : 0; status == REEL_OK && f < F; f++) {
        reel_preview_frame(&r->preview, x0, F, s->h, s->w, f, small.pixels);
        status = reel_picture_fit(r->env, &small, REEL_FIT_STRETCH, &large);
        if (status == REEL_OK) status = reel_video_writer_push(writer, large.pixels);
        if (picture) break;
    }
    if (status == REEL_OK) status = reel_video_writer_finish(writer);
    reel_video_writer_close(&writer);
    reel_picture_deinit(r->env, &small);
    reel_picture_deinit(r->env, &large);
    if (status == REEL_OK) reel_making_tell(r, REEL_EVENT_PREVIEW, path, 0, 0);
    return status;
}

/* ---- what is known ---- */

/* What a model that makes video from pictures is shown of them, but for the canvas. */
static reel_status look_at_picture(reel_making *r) {
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
                                        .tick = reel_making_tick,
                                        .tick_context = r};
    const char *first = NULL;
    for (int i = 0; i < g->task.n_inputs; i++)
        if (g->task.input[i].at == 0) first = g->task.input[i].path;
    status = reel_condition_look(r->env, &encoder, first, &r->condition);
    reel_component_close(&c);
    return status;
}

/* What the task's files put on the canvas, or beside it. */
static reel_status put_files(reel_making *r) {
    const reel_generate *g = r->g;
    const reel_settings *s = &g->settings;
    const int64_t *patch =
        reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer.patch_size;
    if (!reel_known_touches(r->job, &r->window)) return REEL_OK;
    if (r->n_windows == 1) reel_making_begin_phase(r, "encode", 0, r->job->n_inputs);
    reel_component *c;
    reel_decode_options vae;
    reel_status status = reel_making_open_vae(r, false, &c, &vae);
    if (status != REEL_OK) return status;
    const reel_known_options options = {.config = vae.config,
                                        .params = vae.params,
                                        .table = vae.table,
                                        .compute = vae.compute,
                                        .width = s->width,
                                        .height = s->height,
                                        .patch = {patch[0], patch[1], patch[2]},
                                        .tile = {s->encode_tile[0], s->encode_tile[1]},
                                        .stride = {s->encode_stride[0], s->encode_stride[1]},
                                        .tick = reel_making_tick,
                                        .context = r};
    status = r->job->condition
                 ? reel_condition_encode(r->env, &options, r->job, s->F, s->h, s->w, &r->condition)
                 : reel_known_put(r->env, &options, r->job, &r->window, &r->canvas);
    reel_component_close(&c);
    reel_memory_trim();
    return status == REEL_OK ? look_at_picture(r) : status;
}

/* Latent frames [from, from + n) of window i, at frame `at` of the canvas. */
static reel_status put_latents(reel_making *r, int64_t i, int64_t from, int64_t n, int64_t at) {
    const int64_t count = r->canvas.C * n * r->canvas.h * r->canvas.w;
    float *latents = reel_alloc(r->env, count * (int64_t)sizeof *latents, "context");
    if (!latents) return REEL_E_NOMEM;
    reel_status status = reel_parts_load(&r->parts, i, from, n, latents);
    if (status == REEL_OK) status = reel_canvas_put(&r->canvas, at, n, latents, 0);
    reel_free(r->env, latents);
    return status;
}

/* What the windows before made. */
static reel_status put_context(reel_making *r, int64_t i) {
    const reel_window *w = &r->window;
    reel_status status = REEL_OK;
    if (w->anchor) status = put_latents(r, 0, 0, w->anchor, 0);
    if (status != REEL_OK || !w->known) return status;
    const reel_settings *s = &r->g->settings;
    const reel_window before = reel_windows_at(&s->spans, s->F, i - 1);
    return put_latents(r, i - 1, before.anchor + w->at - before.at, w->known, w->anchor);
}

/* Says what window i is, and of which job. */
static reel_status choose_window(reel_making *r, int64_t i) {
    const reel_generate *g = r->g;
    r->job = &g->task;
    if (!g->task.n_steps) {
        r->window = reel_windows_at(&g->settings.spans, g->settings.F, i);
        return REEL_OK;
    }
    reel_status status = i ? reel_parts_frames(&r->parts, i - 1, r->before) : REEL_OK;
    if (status == REEL_OK) reel_task_step(&g->task, i, r->before, &r->step);
    r->job = &r->step;
    r->window = (reel_window){.fresh = r->step.F};
    return status;
}

int64_t reel_making_window_frames(const reel_making *r, int64_t i) {
    const reel_generate *g = r->g;
    const reel_spans *s = &g->settings.spans;
    if (g->task.n_steps) return reel_task_step_frames(&g->task, i);
    const int64_t frames = reel_windows_at(s, g->settings.F, i).fresh * s->factor;
    return i ? frames : frames + 1 - s->factor;
}

static reel_status make_canvas(reel_making *r, int64_t i) {
    const reel_settings *s = &r->g->settings;
    const reel_wan_dit_config *dit =
        &reel_generate_config(r->g, REEL_COMPONENT_TRANSFORMER)->transformer;
    reel_status status = choose_window(r, i);
    if (status != REEL_OK) return status;
    const int64_t F = r->window.anchor + r->window.known + r->window.fresh;
    status = reel_canvas_init(r->env, dit->out_channels, F, s->h, s->w, &r->canvas);
    if (status == REEL_OK) status = put_files(r);
    return status == REEL_OK ? put_context(r, i) : status;
}

/* ---- denoise ---- */

static reel_status save(reel_making *r) {
    const reel_denoise_memory memory = reel_denoise_get_memory(r->denoise);
    const reel_resume resume = {.settings = r->key,
                                .seed = r->seed,
                                .window = r->n_done,
                                .done = reel_denoise_done(r->denoise),
                                .text = &r->rows,
                                .preview = r->has_preview ? &r->preview : NULL};
    return reel_resume_save(r->env, r->g->state_path, &resume, &memory);
}

static reel_status after_step(void *context, const reel_denoise_step *step) {
    reel_making *r = context;
    reel_status status = save(r);
    if (status != REEL_OK) return status;
    reel_making_tell(r, REEL_EVENT_STEP, NULL, r->n_done * step->n + step->done,
                     r->n_windows * step->n);
    if (r->has_preview) status = write_preview(r, step->x0);
    return status == REEL_OK ? reel_making_tick(r) : status;
}

static reel_status begin_denoise(reel_making *r, int64_t i) {
    const reel_settings *s = &r->g->settings;
    const reel_denoise_options options = {.sampler = s->sampler,
                                          .guidance = s->guidance,
                                          .seed = reel_windows_seed(r->seed, i),
                                          .known_noise = i ? s->context_noise : 0};
    reel_status status = reel_denoise_new(r->env, &r->canvas, &options, &r->denoise);
    if (status == REEL_OK && r->restores) {
        status = reel_resume_restore(r->resume, r->denoise);
        r->restores = false;
    } else if (status == REEL_OK) {
        status = save(r);
    }
    reel_resume_close(&r->resume);
    return status;
}

static reel_status denoise(reel_making *r, int64_t i) {
    const int done = reel_denoise_done(r->denoise), n = reel_denoise_n(r->denoise);
    if (done == n) return REEL_OK;
    if (!r->is_denoising) reel_making_begin_phase(r, "denoise", i * n + done, r->n_windows * n);
    r->is_denoising = true;
    reel_experts experts = {.g = r->g,
                            .text = &r->rows,
                            .condition = &r->condition,
                            .F = r->canvas.F,
                            .n_groups = reel_denoise_n_groups(r->denoise),
                            .n_rows = reel_denoise_is_guided(r->denoise) ? 2 : 1,
                            .tick = reel_making_tick,
                            .tick_context = r};
    const reel_status status =
        reel_denoise_run(r->denoise, reel_experts_evaluate, &experts, after_step, r);
    reel_experts_close(&experts);
    reel_memory_trim();
    return status;
}

reel_status reel_making_window(reel_making *r, int64_t i) {
    reel_status status = make_canvas(r, i);
    if (status == REEL_OK) status = begin_denoise(r, i);
    return status == REEL_OK ? denoise(r, i) : status;
}

void reel_making_end_window(reel_making *r) {
    reel_denoise_free(&r->denoise);
    reel_canvas_deinit(&r->canvas);
}
