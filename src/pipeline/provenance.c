#include "pipeline/provenance.h"

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

void reel_provenance_write(reel_json_out *out, const reel_provenance *r, bool with_seed) {
    const reel_settings *s = r->settings;
    reel_json_out_object_begin(out);
    put_text(out, "generator", "reel");
    put_text(out, "version", reel_version());
    put_text(out, "task", "generate");
    if (with_seed) put_text(out, "model", r->model);
    put_text(out, "model_hash", r->hash);
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
    put_text(out, "type", s->type ? s->type : "stored");
    if (s->tile[0] || s->tile[1]) {
        put_int(out, "tile_height", s->tile[0]);
        put_int(out, "tile_width", s->tile[1]);
    }
    put_text(out, "isa", r->isa);
    reel_json_out_end(out);
}
