#include "pipeline/provenance.h"

#include <stdio.h>

static void put_text(reel_json_out *out, const char *key, const char *text) {
    reel_json_out_key(out, key);
    reel_json_out_string(out, text ? text : "");
}
static void put_int(reel_json_out *out, const char *key, int64_t x) {
    reel_json_out_key(out, key);
    reel_json_out_int(out, x);
}
static void put_real(reel_json_out *out, const char *key, double x) {
    reel_json_out_key(out, key);
    reel_json_out_real(out, x);
}

static void put_hash(reel_json_out *out, const char *key, uint64_t hash) {
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    put_text(out, key, text);
}

/* Files by what is in them; by their names only where people read it. */
static void put_inputs(reel_json_out *out, const reel_job *t, bool with_names) {
    reel_json_out_key(out, "inputs");
    reel_json_out_array_begin(out);
    for (int i = 0; i < t->n_inputs; i++) {
        const reel_task_input *input = &t->input[i];
        reel_json_out_object_begin(out);
        if (with_names) put_text(out, "file", input->path);
        put_hash(out, "hash", input->hash);
        put_int(out, "from", input->from);
        put_int(out, "frames", input->n);
        put_int(out, "latent", input->at);
        put_real(out, "level", input->level);
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
    put_text(out, "fit", t->fit == REEL_FIT_LETTERBOX ? "letterbox" : "crop");
    if (t->mask) put_hash(out, "mask_hash", t->mask_hash);
}

static void put_loras(reel_json_out *out, const reel_provenance *r) {
    reel_json_out_key(out, "loras");
    reel_json_out_array_begin(out);
    for (int i = 0; i < r->n_loras; i++) {
        reel_json_out_object_begin(out);
        put_text(out, "file", r->lora[i].path);
        put_real(out, "scale", r->lora[i].scale);
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
}

/* In frames, as they are asked for. */
static void put_windows(reel_json_out *out, const reel_settings *s) {
    const reel_spans *w = &s->spans;
    put_int(out, "window", 1 + (w->window - 1) * w->factor);
    put_int(out, "context", 1 + (w->context - 1) * w->factor);
    put_int(out, "anchor", w->anchor ? 1 + (w->anchor - 1) * w->factor : 0);
    put_real(out, "context_noise", s->context_noise);
}

void reel_provenance_write(reel_json_out *out, const reel_provenance *r, bool with_seed) {
    const reel_settings *s = r->settings;
    reel_json_out_object_begin(out);
    put_text(out, "generator", "reel");
    put_text(out, "version", reel_version());
    put_text(out, "task", reel_task_name(r->task->kind));
    if (with_seed) put_text(out, "model", r->model);
    put_text(out, "model_hash", r->hash);
    if (with_seed && r->n_loras) put_loras(out, r);
    put_text(out, "prompt", r->prompt);
    put_text(out, "negative_prompt", r->negative_prompt);
    if (with_seed) put_int(out, "seed", r->seed);
    put_int(out, "width", s->width);
    put_int(out, "height", s->height);
    put_int(out, "frames", s->frames);
    reel_json_out_key(out, "fps");
    reel_json_out_array_begin(out);
    reel_json_out_int(out, s->fps_num);
    reel_json_out_int(out, s->fps_den);
    reel_json_out_end(out);
    put_text(out, "sampler", reel_sampler_name(s->sampler.kind));
    put_int(out, "steps", s->sampler.n_steps);
    put_real(out, "flow_shift", s->sampler.schedule.shift);
    put_real(out, "cfg_scale", s->guidance.scale);
    put_real(out, "cfg_rescale", s->guidance.rescale);
    put_real(out, "cfg_from", s->guidance.from);
    put_real(out, "cfg_to", s->guidance.to);
    if (s->boundary > 0) put_real(out, "boundary_ratio", s->boundary);
    put_text(out, "type", s->type ? s->type : "stored");
    if (s->tile[0] || s->tile[1]) {
        put_int(out, "tile_height", s->tile[0]);
        put_int(out, "tile_width", s->tile[1]);
    }
    if (s->encode_tile[0] || s->encode_tile[1]) {
        put_int(out, "encode_tile_height", s->encode_tile[0]);
        put_int(out, "encode_tile_width", s->encode_tile[1]);
    }
    if (r->n_windows > 1) put_windows(out, s);
    if (r->task->n_inputs) put_inputs(out, r->task, with_seed);
    put_text(out, "isa", r->isa);
    reel_json_out_end(out);
}
