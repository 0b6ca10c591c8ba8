/* Running a generation: the phases one after another. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/sweep.h"
#include "pipeline/making_state.h"

/* ---- telling ---- */

void reel_making_tell(reel_making *r, reel_event_kind kind, const char *text, int64_t done,
                      int64_t total) {
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

void reel_making_begin_phase(reel_making *r, const char *name, int64_t from, int64_t total) {
    r->phase_s = reel_clock_s();
    r->phase_from = from;
    reel_making_tell(r, REEL_EVENT_PHASE, name, from, total);
}

reel_status reel_making_tick(void *context) {
    reel_making *r = context;
    if (r->is_stopping || !r->cancel || !r->cancel(r->context)) return REEL_OK;
    return reel_fail(r->env, REEL_E_CANCELLED, "stopped; the same command goes on from here");
}

/* ---- who we are ---- */

static reel_status write_provenance(reel_making *r, bool with_seed, const char **text) {
    const reel_generate *g = r->g;
    const reel_provenance provenance = {.model = g->request->model,
                                        .hash = g->hash,
                                        .prompt = g->request->prompt,
                                        .negative_prompt = g->request->negative_prompt,
                                        .isa = g->backend.isa,
                                        .lora = g->request->lora,
                                        .n_loras = g->request->n_loras,
                                        .seed = r->seed,
                                        .n_windows = g->shown.windows,
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

/* ---- parts of the model ---- */

static bool is_other_half(void *context, const reel_param *param) {
    const bool *decode = context;
    return reel_wan_vae_decodes(param->name) != *decode;
}

reel_status reel_making_open_vae(reel_making *r, bool decode, reel_component **c,
                                 reel_decode_options *o) {
    const reel_generate *g = r->g;
    const reel_settings *s = &g->settings;
    const reel_component_kind kind = REEL_COMPONENT_VAE;
    const reel_status status =
        reel_folder_component(g->folder, kind, reel_generate_weights(g, kind), c);
    if (status != REEL_OK) return status;
    reel_params_drop((*c)->params, is_other_half, &decode);
    *o = (reel_decode_options){.config = &(*c)->config.vae,
                               .params = (*c)->params,
                               .table = g->backend.table,
                               .compute = g->bf16 ? REEL_BF16 : REEL_F32,
                               .width = s->width,
                               .height = s->height,
                               .f = r->canvas.F ? r->canvas.F : s->F,
                               .h = s->h,
                               .w = s->w,
                               .n_bands = s->n_bands,
                               .deblock = s->deblock,
                               .tile = {s->tile[0], s->tile[1]},
                               .stride = {s->stride[0], s->stride[1]}};
    return REEL_OK;
}

/* ---- text ---- */

static reel_status encode_text(reel_making *r) {
    reel_generate *g = r->g;
    if (r->resume && reel_resume_text(r->resume, &r->rows) == REEL_OK) {
        if (r->rows.n_prompts == g->n_prompts) return REEL_OK;
        reel_text_rows_deinit(r->env, &r->rows);
    }
    reel_env_clear(r->env);
    reel_making_begin_phase(r, "text", 0, g->n_prompts);
    reel_component *c;
    const reel_component_kind kind = REEL_COMPONENT_TEXT_ENCODER;
    reel_status status = reel_folder_component(g->folder, kind, reel_generate_weights(g, kind), &c);
    if (status != REEL_OK) return status;
    const reel_text_encoder encoder = {.config = &c->config.text_encoder,
                                       .params = c->params,
                                       .files = c->files,
                                       .table = g->backend.table,
                                       .compute = reel_generate_compute(c),
                                       .tick = reel_making_tick,
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

/* ---- the beginning ---- */

/* Finds out at the beginning whether the file can be written at all. */
static reel_status try_writer(reel_making *r) {
    if (!r->g->request->output) return reel_fail(r->env, REEL_E_ARG, "no file to write was named");
    reel_sweep(r->g->request->output); /* what killed runs left */
    reel_sweep(r->g->state_path);
    reel_video_writer *writer = NULL;
    const reel_status status = reel_making_open_writer(r, r->g->request->output, true, &writer);
    reel_video_writer_close(&writer);
    return status;
}

static void plan_windows(reel_making *r) {
    const reel_generate *g = r->g;
    const reel_settings *s = &g->settings;
    r->n_windows = g->task.n_steps ? g->task.n_steps : reel_windows_count(&s->spans, s->F);
    r->parts = (reel_parts){.env = r->env,
                            .folder = g->parts_path,
                            .C = reel_generate_config(g, REEL_COMPONENT_VAE)->vae.z_dim,
                            .window = reel_windows_length(&s->spans, s->F),
                            .h = s->h,
                            .w = s->w};
}

/* Which windows are there. The state is saved while one is made, so it may be older than the part
 * that came of it; parts that are missing cannot be made without those before them. */
static reel_status find_parts(reel_making *r) {
    if (r->n_windows == 1) {
        r->restores = r->resume != NULL;
        return REEL_OK;
    }
    const int64_t n = r->resume ? reel_parts_done(&r->parts) : 0;
    const int64_t window = r->resume ? reel_resume_window(r->resume) : 0;
    const bool good = n >= window && n <= r->n_windows &&
                      (n == 0 || r->g->task.n_steps || reel_parts_has_latents(&r->parts, n - 1));
    if (r->resume && !good)
        reel_log(r->env, REEL_LOG_WARN, "%s: parts of the run are missing; beginning anew",
                 r->g->parts_path);
    r->restores = r->resume && good && n == window;
    r->n_done = good ? n : 0;
    return r->n_done ? REEL_OK : reel_parts_remove(&r->parts);
}

static reel_status find_resume(reel_making *r) {
    reel_generate *g = r->g;
    const int64_t seed = g->request->seed_is_drawn ? -1 : g->request->seed;
    reel_status status = reel_resume_open(r->env, g->state_path, r->key, seed, &r->resume);
    if (status == REEL_OK) status = find_parts(r);
    if (status != REEL_OK) return status;
    r->seed = r->resume ? reel_resume_seed(r->resume) : g->request->seed;
    g->shown.seed = r->seed;
    g->shown.steps_done = r->restores ? reel_resume_done(r->resume) : 0;
    g->shown.windows_done = r->n_done;
    return REEL_OK;
}

/* ---- all of it ---- */

/* Whether the state may be forgotten: the windows that are left are begun with a new one. */
static reel_status make_windows(reel_making *r) {
    reel_status status = REEL_OK;
    for (int64_t i = r->n_done; i < r->n_windows && status == REEL_OK; i++) {
        status = reel_parts_begin(&r->parts, i);
        if (status == REEL_OK) status = reel_making_window(r, i);
        if (status == REEL_OK) status = reel_making_decode_part(r, i);
        if (status == REEL_OK) r->n_done = i + 1;
        if (status == REEL_OK || i > 0) reel_making_end_window(r);
    }
    return status == REEL_OK ? reel_making_join(r) : status;
}

static reel_status prepare(reel_making *r) {
    reel_generate_cost cost;
    reel_status status = reel_generate_identify(r->g);
    if (status == REEL_OK) status = reel_predict_memory(r->g, &cost);
    if (status == REEL_OK) status = write_provenance(r, false, &r->key);
    if (status == REEL_OK) status = try_writer(r);
    if (status == REEL_OK) plan_windows(r);
    if (status == REEL_OK) status = find_resume(r);
    if (status == REEL_OK) status = write_provenance(r, true, &r->provenance);
    return status;
}

/* The file is there: nothing is left to be resumed. */
static reel_status end(reel_making *r) {
    const int64_t frames = r->g->shown.frames;
    (void)unlink(r->g->state_path);
    const reel_status status = r->n_windows > 1 ? reel_parts_remove(&r->parts) : REEL_OK;
    const char *partial = reel_making_partial_path(r);
    if (partial) (void)unlink(partial);
    if (status == REEL_OK)
        reel_making_tell(r, REEL_EVENT_DONE, r->g->request->output, frames, frames);
    return status;
}

static reel_status keep(reel_making *r) {
    reel_generate_note(r->g, "%s is finished, and kept", r->g->request->output);
    r->g->shown.seed = r->seed; /* the note made the rest anew */
    reel_making_tell(r, REEL_EVENT_BEGIN, NULL, 0, r->g->shown.steps);
    return end(r);
}

static reel_status run_phases(reel_making *r) {
    reel_making_tell(r, REEL_EVENT_BEGIN, NULL, r->g->shown.steps_done, r->g->shown.steps);
    reel_status status = encode_text(r);
    if (status == REEL_OK) status = reel_making_fit_preview(r);
    if (status == REEL_OK && r->n_windows > 1) status = make_windows(r);
    if (status == REEL_OK && r->n_windows == 1) {
        status = reel_making_window(r, 0);
        if (status == REEL_OK) status = reel_making_decode(r);
    }
    return status == REEL_OK ? end(r) : status;
}

/* Keeps what there is of a run that was stopped. What fails here is said, and changes nothing. */
static reel_status stop(reel_making *r) {
    r->is_stopping = true;
    reel_env_clear(r->env);
    if (reel_making_keep_partial(r) != REEL_OK)
        reel_log(r->env, REEL_LOG_WARN, "no partial video: %s", reel_env_message(r->env));
    reel_env_clear(r->env);
    return reel_fail(r->env, REEL_E_CANCELLED, "stopped; the same command goes on from here");
}

reel_status reel_generate_run(reel_generate *g, reel_event_fn *on_event, reel_cancel_fn *cancel,
                              void *context) {
    reel_making *r = reel_calloc(g->env, 1, sizeof *r, "run");
    if (!r) return REEL_E_NOMEM;
    *r = (reel_making){.g = g,
                       .env = g->env,
                       .on_event = on_event,
                       .cancel = cancel,
                       .context = context,
                       .start_s = reel_clock_s(),
                       .seed = g->request->seed};
    reel_status status = prepare(r);
    if (status == REEL_OK) {
        const bool keeps = g->request->keep_finished && reel_making_is_finished(r);
        status = keeps ? keep(r) : run_phases(r);
        if (status == REEL_E_CANCELLED) status = stop(r);
    }
    reel_resume_close(&r->resume);
    reel_making_end_window(r);
    reel_condition_deinit(r->env, &r->condition);
    reel_text_rows_deinit(r->env, &r->rows);
    reel_free(g->env, r);
    return status;
}
