#include "app/cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/memory.h"

static const double mib = 1048576;

void reel_progress_init(reel_progress *p, reel_env *env, const reel_generate_settings *settings,
                        bool seed_is_drawn) {
    *p = (reel_progress){.env = env,
                         .settings = settings,
                         .seed_is_drawn = seed_is_drawn,
                         .command = "generate",
                         .terminal = isatty(STDERR_FILENO) == 1};
}

void reel_progress_deinit(reel_progress *p) {
    if (p->phase[0]) fprintf(stderr, "\n");
    p->phase[0] = '\0';
}

void reel_progress_stop(reel_progress *p) {
    if (p->quiet || p->json) return;
    reel_progress_deinit(p);
    fprintf(stderr, "reel %s: stopping; once more ends at once\n", p->command);
}

/* ---- JSON ---- */

static void begin_line(reel_json_out *out, reel_env *env, const char *event) {
    reel_json_out_init(out, env);
    reel_json_out_object_begin(out);
    reel_json_out_put_string(out, "event", event);
}

/* Prints what was begun as one line, at once. */
static void end_line(reel_json_out *out) {
    const char *text;
    int64_t bytes;
    reel_json_out_end(out);
    if (reel_json_out_text(out, &text, &bytes) == REEL_OK) printf("%s\n", text);
    fflush(stdout);
    reel_json_out_deinit(out);
}

static void put_settings(reel_json_out *out, const reel_generate_settings *s) {
    reel_json_out_put_int(out, "width", s->width);
    reel_json_out_put_int(out, "height", s->height);
    reel_json_out_put_int(out, "frames", s->frames);
    reel_json_out_put_real(out, "fps", (double)s->fps_num / s->fps_den);
    reel_json_out_put_real(out, "seconds", (double)s->frames * s->fps_den / s->fps_num);
    reel_json_out_put_int(out, "steps", s->steps);
    reel_json_out_put_real(out, "cfg_scale", s->cfg_scale);
    reel_json_out_put_real(out, "flow_shift", s->flow_shift);
    reel_json_out_put_string(out, "sampler", s->sampler);
    reel_json_out_put_string(out, "type", s->type);
    reel_json_out_put_int(out, "seed", s->seed);
    reel_json_out_put_int(out, "windows", s->windows);
    reel_json_out_put_int(out, "tokens", s->tokens);
    reel_json_out_put_int(out, "prompt_tokens", s->prompt_tokens);
    reel_json_out_key(out, "notes");
    reel_json_out_array_begin(out);
    for (int i = 0; i < s->n_notes; i++)
        reel_json_out_string(out, s->note[i]);
    reel_json_out_end(out);
}

static double total_s(const reel_generate_cost *c) {
    return c->text_s + c->encode_s + c->denoise_s + c->decode_s;
}

static void put_cost(reel_json_out *out, const reel_generate_cost *c) {
    reel_json_out_put_real(out, "text_s", c->text_s);
    reel_json_out_put_real(out, "encode_s", c->encode_s);
    reel_json_out_put_real(out, "denoise_s", c->denoise_s);
    reel_json_out_put_real(out, "decode_s", c->decode_s);
    reel_json_out_put_real(out, "total_s", total_s(c));
    reel_json_out_put_int(out, "text_bytes", c->text_bytes);
    reel_json_out_put_int(out, "encode_bytes", c->encode_bytes);
    reel_json_out_put_int(out, "denoise_bytes", c->denoise_bytes);
    reel_json_out_put_int(out, "decode_bytes", c->decode_bytes);
    reel_json_out_put_int(out, "peak_bytes", c->peak_bytes);
    reel_json_out_put_int(out, "free_bytes", c->free_bytes);
    reel_json_out_put_int(out, "limit_bytes", c->limit_bytes);
    reel_json_out_key(out, "streamed");
    reel_json_out_bool(out, c->streamed);
}

static const char *text_key(reel_event_kind kind) {
    return kind == REEL_EVENT_PHASE ? "phase" : kind == REEL_EVENT_SEAM ? "seam" : "path";
}

static void print_event(const reel_progress *p, const reel_event *e) {
    static const char *const name[] = {
        [REEL_EVENT_PHASE] = "phase",   [REEL_EVENT_STEP] = "step",
        [REEL_EVENT_FRAMES] = "frames", [REEL_EVENT_PREVIEW] = "preview",
        [REEL_EVENT_SEAM] = "seam",     [REEL_EVENT_PARTIAL] = "partial",
        [REEL_EVENT_DONE] = "done"};
    reel_json_out out;
    begin_line(&out, p->env, name[e->kind]);
    if (e->text) reel_json_out_put_string(&out, text_key(e->kind), e->text);
    if (e->total) {
        reel_json_out_put_int(&out, "done", e->done);
        reel_json_out_put_int(&out, "total", e->total);
    }
    reel_json_out_put_real(&out, "elapsed_s", e->elapsed_s);
    if (e->left_s >= 0) reel_json_out_put_real(&out, "left_s", e->left_s);
    if (e->kind == REEL_EVENT_DONE) reel_json_out_put_int(&out, "peak_bytes", reel_memory_peak());
    end_line(&out);
}

/* ---- text ---- */

static void print_settings(FILE *out, const reel_generate_settings *s) {
    char windows[48] = "";
    if (s->windows > 1)
        snprintf(windows, sizeof windows, " in %lld windows", (long long)s->windows);
    fprintf(out,
            "size      %lldx%lld, %lld frame%s at %g fps (%.3g s)%s\n"
            "sampling  %s, %lld steps, cfg scale %g, flow shift %g, seed %lld\n"
            "tokens    %lld of video, %lld of text; weights %s\n",
            (long long)s->width, (long long)s->height, (long long)s->frames,
            s->frames == 1 ? "" : "s", (double)s->fps_num / s->fps_den,
            (double)s->frames * s->fps_den / s->fps_num, windows, s->sampler, (long long)s->steps,
            s->cfg_scale, s->flow_shift, (long long)s->seed, (long long)s->tokens,
            (long long)s->prompt_tokens, s->type);
}

static void print_notes(const reel_progress *p) {
    const reel_generate_settings *s = p->settings;
    for (int i = 0; i < s->n_notes; i++)
        fprintf(stderr, "reel %s: %s\n", p->command, s->note[i]);
}

/* "1:02:03", "2:03" */
static void time_text(double seconds, char *text, size_t text_bytes) {
    const long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, text_bytes, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, text_bytes, "%lld:%02lld", s / 60, s % 60);
}

static void draw(reel_progress *p, const reel_event *e) {
    char gone[32], left[32] = "?";
    time_text(e->elapsed_s, gone, sizeof gone);
    if (e->left_s >= 0) time_text(e->left_s, left, sizeof left);
    fprintf(stderr, "\r\033[K%s  %lld/%lld  %s gone, %s left", p->phase, (long long)e->done,
            (long long)e->total, gone, left);
    fflush(stderr);
}

/* ---- what is said when ---- */

/* What is going to be made: notes, the seed when it was drawn, and where a resumed run is. */
static void print_begin(const reel_progress *p) {
    const reel_generate_settings *s = p->settings;
    if (p->json) {
        reel_json_out out;
        begin_line(&out, p->env, "settings");
        put_settings(&out, s);
        reel_json_out_put_int(&out, "steps_done", s->steps_done);
        reel_json_out_put_int(&out, "windows_done", s->windows_done);
        end_line(&out);
        return;
    }
    if (p->quiet) return;
    print_notes(p);
    if (p->seed_is_drawn) fprintf(stderr, "reel %s: seed %lld\n", p->command, (long long)s->seed);
    if (!s->steps_done && !s->windows_done) return;
    fprintf(stderr, "reel %s: going on after step %lld of %lld", p->command,
            (long long)s->steps_done, (long long)s->steps);
    if (s->windows > 1)
        fprintf(stderr, " of window %lld of %lld", (long long)s->windows_done + 1,
                (long long)s->windows);
    fprintf(stderr, "\n");
}

void reel_progress_prediction(const reel_progress *p, const reel_generate_cost *c) {
    const reel_generate_settings *s = p->settings;
    if (p->json) {
        reel_json_out out;
        begin_line(&out, p->env, "prediction");
        put_settings(&out, s);
        put_cost(&out, c);
        end_line(&out);
        return;
    }
    print_notes(p);
    print_settings(stdout, s);
    char encode_s[48] = "", encode_mib[48] = "";
    if (c->encode_bytes) {
        snprintf(encode_s, sizeof encode_s, ", encoding %.3g", c->encode_s);
        snprintf(encode_mib, sizeof encode_mib, ", encoding %.0f", (double)c->encode_bytes / mib);
    }
    printf("time      about %.3g s: text %.3g%s, denoising %.3g, decoding %.3g\n"
           "memory    peak about %.0f MiB: text %.0f%s, denoising %.0f%s, decoding %.0f\n"
           "limit     %.0f MiB; the machine has %.0f MiB free\n",
           total_s(c), c->text_s, encode_s, c->denoise_s, c->decode_s, (double)c->peak_bytes / mib,
           (double)c->text_bytes / mib, encode_mib, (double)c->denoise_bytes / mib,
           c->streamed ? " with streamed weights" : "", (double)c->decode_bytes / mib,
           (double)c->limit_bytes / mib, (double)c->free_bytes / mib);
}

void reel_progress_event(reel_progress *p, const reel_event *e) {
    if (p->is_half && e->kind == REEL_EVENT_DONE) return;
    if (e->kind == REEL_EVENT_BEGIN) {
        print_begin(p);
        return;
    }
    if (p->json) {
        print_event(p, e);
        return;
    }
    if (e->kind == REEL_EVENT_DONE) {
        reel_progress_deinit(p);
        if (!p->quiet) printf("%s\n", e->text);
        return;
    }
    if (e->kind == REEL_EVENT_SEAM) {
        reel_progress_deinit(p);
        if (!p->quiet) fprintf(stderr, "reel %s: seam %s\n", p->command, e->text);
        return;
    }
    if (e->kind == REEL_EVENT_PARTIAL) {
        reel_progress_deinit(p);
        if (!p->quiet) fprintf(stderr, "reel %s: what there was is in %s\n", p->command, e->text);
        return;
    }
    if (!p->terminal || p->quiet) return;
    if (e->kind == REEL_EVENT_PHASE) {
        reel_progress_deinit(p);
        snprintf(p->phase, sizeof p->phase, "%s", e->text);
    }
    if (e->kind != REEL_EVENT_PREVIEW) draw(p, e);
}
